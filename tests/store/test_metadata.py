from __future__ import annotations

import json
import os
from hashlib import md5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datalad_icf.errors import MetadataError, MissingInputError
from datalad_icf.store import (
    InstanceMetadata,
    TarballMetadata,
    read_instances,
    read_tarball_metadata,
)
from datalad_icf.store.metadata import iter_instances_json

MD5 = 'd41d8cd98f00b204e9800998ecf8427e'
# what the tools before this one wrote, and nothing else
OLD_TARBALL = {
    'size': 10240,
    'md5': MD5,
    'dspath': 'icf/V01_dicom.tar',
    'storepath': 'S1/V01_dicom.tar',
}
OLD_INSTANCE = {'path': 'S1_V01/a', 'md5': MD5, 'size': 5, 'Modality': 'MR'}


@pytest.fixture
def write(tmp_path):
    def put(content):
        path = tmp_path / 'metadata.json'
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return put


def test_tarball_metadata_come_back_as_they_were_written(write):
    metadata = TarballMetadata(**OLD_TARBALL, mtime=-1.5, instances=3, dicoms_md5=MD5)
    assert read_tarball_metadata(write(metadata.to_json())) == metadata


def test_tarball_metadata_of_older_tools_are_read(write):
    metadata = read_tarball_metadata(write(OLD_TARBALL))
    assert metadata == TarballMetadata(**OLD_TARBALL)


def test_unknown_fields_of_tarball_metadata_are_left_aside(write):
    metadata = read_tarball_metadata(write({**OLD_TARBALL, 'sha256': 'x'}))
    assert metadata == TarballMetadata(**OLD_TARBALL)


@pytest.mark.parametrize(
    'change',
    [
        {'size': None},
        {'size': '10240'},
        {'md5': 'abc'},
        {'md5': MD5.upper()},
        {'dspath': '../x'},
        {'dspath': ''},
        {'storepath': '/abs'},
        {'storepath': 'a/../b'},
        {'mtime': 'yesterday'},
    ],
)
def test_damaged_tarball_metadata_are_refused(write, change):
    with pytest.raises(MetadataError, match='is damaged'):
        read_tarball_metadata(write({**OLD_TARBALL, **change}))


@pytest.mark.parametrize('name', OLD_TARBALL)
def test_tarball_metadata_without_a_field_are_refused(write, name):
    record = {k: v for k, v in OLD_TARBALL.items() if k != name}
    with pytest.raises(MetadataError, match=name):
        read_tarball_metadata(write(record))


@pytest.mark.parametrize('text', ['', '{', '[]', '3', '{"size": 1', '\x00'])
def test_what_is_no_json_object_is_refused_as_tarball_metadata(write, text):
    with pytest.raises(MetadataError, match='is damaged'):
        read_tarball_metadata(write(text))


@pytest.mark.parametrize('read', [read_tarball_metadata, read_instances])
def test_metadata_that_are_not_there_are_missing(tmp_path, read):
    with pytest.raises(MissingInputError, match='run icf-deposit-metadata'):
        read(tmp_path / 'nothing')


@pytest.mark.parametrize('read', [read_tarball_metadata, read_instances])
def test_metadata_that_cannot_be_read_are_refused(tmp_path, read):
    with pytest.raises(MetadataError, match='cannot read'):
        read(tmp_path)


def test_instances_of_older_tools_are_read(write):
    (instance,) = read_instances(write([OLD_INSTANCE]))
    assert instance == InstanceMetadata('S1_V01/a', MD5, 5, None, {'Modality': 'MR'})


def test_instances_are_written_a_line_each(write):
    instance = InstanceMetadata('a', MD5, 5, 1536, {'SeriesNumber': None})
    text = b''.join(iter_instances_json([instance, instance])).decode()
    lines = text.splitlines()
    assert lines[0] == '['
    assert lines[-1] == ']'
    assert json.loads(lines[2]) == {
        'path': 'a',
        'md5': MD5,
        'size': 5,
        'SeriesNumber': None,
        'offset': 1536,
    }


def test_no_instances_are_an_empty_array(write):
    text = b''.join(iter_instances_json([])).decode()
    assert read_instances(write(text)) == []


def test_of_several_instances_with_the_same_path_the_last_counts(write):
    records = [{**OLD_INSTANCE, 'size': size} for size in (5, 6)]
    assert [i.size for i in read_instances(write(records))] == [6]


@given(
    st.lists(
        st.builds(
            InstanceMetadata,
            path=st.binary(min_size=1, max_size=9)
            .filter(lambda name: b'\0' not in name)
            .map(lambda name: 'S1_V01/' + name.decode('utf-8', 'surrogateescape'))
            .filter(lambda name: '..' not in name.split('/')),
            md5=st.just(MD5),
            size=st.integers(0, 1 << 40),
            offset=st.none() | st.integers(0, 1 << 40),
            attributes=st.dictionaries(
                st.sampled_from(['Modality', 'SeriesNumber']),
                st.none() | st.integers() | st.text() | st.lists(st.text()),
            ),
        ),
        unique_by=lambda instance: instance.path,
    )
)
def test_instances_come_back_as_they_were_written(tmp_path_factory, instances):
    path = tmp_path_factory.mktemp('metadata') / 'metadata.json'
    path.write_bytes(b''.join(iter_instances_json(instances)))
    assert read_instances(path) == instances


def test_a_number_that_json_does_not_have_is_never_written():
    instance = InstanceMetadata('a', MD5, 5, None, {'SeriesNumber': float('nan')})
    with pytest.raises(ValueError, match='JSON'):
        instance.to_json()


@pytest.mark.parametrize(
    'change',
    [
        {'path': None},
        {'md5': 5},
        {'md5': 'abc'},
        {'size': '5'},
        {'offset': '5'},
    ],
)
def test_a_damaged_instance_is_refused(write, change):
    with pytest.raises(MetadataError, match='item 0 has not path, md5 and size'):
        read_instances(write([{**OLD_INSTANCE, **change}]))


@pytest.mark.parametrize('record', [None, 'text', 3, [], {'path': 'a'}])
def test_what_is_no_instance_is_refused(write, record):
    with pytest.raises(MetadataError, match='item 1 has not'):
        read_instances(write([OLD_INSTANCE, record]))


@pytest.mark.parametrize('path', ['', '/abs', '..', '../x', 'a/../../x'])
def test_an_unsafe_path_of_an_instance_is_refused(write, path):
    with pytest.raises(MetadataError, match='not safe'):
        read_instances(write([{**OLD_INSTANCE, 'path': path}]))


@pytest.mark.parametrize('text', ['', '[', '[{"path"', '{}', 'null'])
def test_what_is_no_json_array_is_refused_as_instances(write, text):
    with pytest.raises(MetadataError, match='is damaged'):
        read_instances(write(text))


def test_instances_of_another_run_are_refused(write):
    with pytest.raises(MetadataError, match='not the one of the metadata'):
        read_instances(write([OLD_INSTANCE]), MD5)


def test_instances_of_the_same_run_are_read(write):
    path = write([OLD_INSTANCE])
    digest = md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    assert len(read_instances(path, digest)) == 1


@pytest.mark.parametrize('read', [read_instances, read_tarball_metadata])
def test_a_fifo_in_place_of_metadata_is_refused(tmp_path, read):
    os.mkfifo(tmp_path / 'metadata.json')
    with pytest.raises(MetadataError, match='no regular file'):
        read(tmp_path / 'metadata.json')
