"""Damage of the metadata files is found, whatever the tarball is"""

from __future__ import annotations

import json
from shutil import rmtree

import pytest

from datalad_icf.dicom import archive_visit, deposit_metadata
from datalad_icf.store import Visit, VisitPaths
from datalad_icf.verify import StudyViews, verify_visit
from datalad_icf.verify.archive import ArchiveFacts, check_tarball
from datalad_icf.verify.metadata import check_metadata


@pytest.fixture
def lose_metadata(paths):
    """Removes both metadata files, and all but some of what was made of them"""

    def lose(*kept: str) -> None:
        for path in (paths.tarball_metadata, paths.dicoms_metadata):
            path.unlink()
        if 'dataset' not in kept:
            paths.refs.unlink()
            paths.repo_export.unlink()
        for name in {'catalog', 'dicomweb'} - {*kept}:
            rmtree(paths.study_dir / name)

    return lose


@pytest.fixture
def as_older_tools(paths):
    """Makes the metadata those of older tools"""
    for path in (paths.tarball_metadata, paths.dicoms_metadata):
        record = json.loads(path.read_text())
        for one in record if isinstance(record, list) else [record]:
            for name in ('offset', 'mtime', 'instances', 'dicoms_md5'):
                one.pop(name, None)
        path.write_text(json.dumps(record))
    # its URLs have places in the tarball, which older ones have not
    paths.refs.unlink()
    paths.repo_export.unlink()
    # it shows how to clone that
    rmtree(paths.catalog_dir)


@pytest.mark.parametrize('kept', ['dataset', 'catalog', 'dicomweb'])
def test_metadata_are_missed_where_something_is_made_of_them(
    paths, find, lose_metadata, kept
):
    lose_metadata(kept)
    # a clone command without its dataset is a finding of its own
    (finding,) = (each for each in find() if each.code != 'catalog-differs')
    assert (finding.code, finding.path) == ('metadata-missing', paths.tarball_metadata)
    assert kept in finding.message


def test_metadata_are_not_missed_where_there_is_only_a_tarball(find, lose_metadata):
    lose_metadata()
    assert find() == []


def flips(content):
    """The content with each of its bits flipped, one at a time"""
    for position in range(len(content)):
        for bit in range(8):
            damaged = bytearray(content)
            damaged[position] ^= 1 << bit
            yield bytes(damaged)


def is_as_before(paths, facts, known):
    """Whether the metadata say what they said, without a look at the tarball"""
    if list(check_metadata(paths, facts)):
        return False
    return (facts.metadata, facts.instances) == known


def test_each_flipped_bit_of_the_metadata_of_the_tarball_is_found(paths):
    """Size, digest and time are compared with the tarball by other tests"""
    content = paths.tarball_metadata.read_bytes()
    facts = ArchiveFacts()
    assert not list(check_metadata(paths, facts))
    known = facts.metadata, facts.instances
    for damaged in flips(content):
        paths.tarball_metadata.write_bytes(damaged)
        assert not is_as_before(paths, ArchiveFacts(), known), damaged


@pytest.mark.parametrize('fast', [False, True])
def test_another_time_is_found(paths, find, fast):
    record = json.loads(paths.tarball_metadata.read_text())
    paths.tarball_metadata.write_text(json.dumps({**record, 'mtime': 5.0}))
    (finding,) = find(fast=fast)
    assert (finding.code, finding.path) == ('metadata-damaged', paths.tarball_metadata)


@pytest.mark.parametrize('name', ['mtime', 'instances', 'dicoms_md5'])
def test_a_field_that_lost_its_name_is_found(paths, find, name):
    text = paths.tarball_metadata.read_text()
    paths.tarball_metadata.write_text(text.replace(f'"{name}"', f'"{name[:-1]}_"'))
    (finding,) = find()
    assert finding.code == 'metadata-damaged'
    assert repr(name) in finding.message


@pytest.mark.parametrize('number', [1, 3])
def test_each_flipped_bit_of_an_image_of_older_tools_is_found(
    paths, as_older_tools, number
):
    """Of the only image, and of one of many; values are compared with its header"""
    records = json.loads(paths.dicoms_metadata.read_text())[:number]
    first = json.dumps(records[0]).encode()
    rest = json.dumps(records)[1 + len(first) :].encode()
    paths.dicoms_metadata.write_bytes(b'[' + first + rest)
    facts = ArchiveFacts()
    assert not list(check_metadata(paths, facts))
    known = facts.metadata, facts.instances
    for damaged in flips(first):
        paths.dicoms_metadata.write_bytes(b'[' + damaged + rest)
        assert not is_as_before(paths, ArchiveFacts(), known), damaged


def test_an_attribute_of_another_name_is_found(paths, find, as_older_tools):
    text = paths.dicoms_metadata.read_text()
    damaged = text.replace('ProtocolName', 'ProtocolNamf', 1)
    paths.dicoms_metadata.write_text(damaged)
    (finding,) = find()
    assert (finding.code, finding.path) == ('metadata-damaged', paths.dicoms_metadata)


def test_attributes_that_images_lack_are_no_damage(paths, image, export, find):
    """All tools write them as an empty text"""
    (export / '1').write_bytes(image(ProtocolName='T1w'))
    (export / '2').write_bytes(image(ProtocolName=None))
    other = VisitPaths(paths.store_dir, Visit('S1', 'V02'))
    archive_visit(other, export)
    deposit_metadata(other)
    records = json.loads(other.dicoms_metadata.read_text())
    assert [record['ProtocolName'] for record in records] == ['T1w', '']
    tarball = json.loads(other.tarball_metadata.read_text())
    for name in ('mtime', 'instances', 'dicoms_md5'):
        del tarball[name]
    other.tarball_metadata.write_text(json.dumps(tarball))
    assert find() == []


def test_what_other_tools_say_of_all_images_is_no_damage(paths, find, as_older_tools):
    records = json.loads(paths.dicoms_metadata.read_text())
    assert len(records) > 1
    told = [{**record, 'Quality': 'good'} for record in records]
    paths.dicoms_metadata.write_text(json.dumps(told))
    assert find() == []


def test_each_flipped_bit_of_the_digest_file_is_found(paths, monkeypatch):
    """But for the case of letters, which md5sum does not mind"""

    def check():
        facts = ArchiveFacts()
        found = check_tarball(paths, facts, fast=True, progress=None)
        return list(found), facts.recorded

    monkeypatch.setattr('datalad_icf.verify.archive._check_members', lambda *a, **k: [])
    content = paths.md5sum.read_bytes()
    whole = check()
    digest = content[:32].decode()
    assert whole == ([], digest)
    for damaged in flips(content):
        if damaged[:32].lower() + damaged[32:] != content:
            paths.md5sum.write_bytes(damaged)
            assert check() != whole, damaged


def test_metadata_that_cannot_be_read_are_not_called_damaged(paths, monkeypatch):
    def refuse(_path):
        raise PermissionError(13, 'Permission denied')

    monkeypatch.setattr('datalad_icf.store.metadata.read_regular', refuse)
    found = verify_visit(paths, StudyViews(paths)).findings
    assert [finding.code for finding in found] == ['not-verified']
    assert 'replace' not in found[0].message
