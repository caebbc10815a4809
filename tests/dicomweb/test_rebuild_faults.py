"""Damaged trees: an error that names the file, and never a wrong DICOM file"""

import io
import json

import pytest

from datalad_icf.dicomweb.rebuild import rebuild_p10
from datalad_icf.dicomweb.tree import StudyTree
from datalad_icf.errors import RebuildError
from tests.dicomweb.dicom_bytes import JPEG, element, fragments, part10
from tests.dicomweb.write_layout import Uids, write_layout

UIDS = Uids('1.2', '1.2.3', '1.2.3.4')
DATA = part10(
    element(0x00080018, 'UI', b'1.2.3.4\0')
    + element(0x00091001, 'OB', bytes(range(200)))
    + element(0x00100010, 'PN', b'Doe^Jane')
    + fragments(b'', b'abcdefgh'),
    JPEG,
)


@pytest.fixture
def tree(tmp_path):
    write_layout(tmp_path, DATA, uids=UIDS)
    return tmp_path


@pytest.fixture
def instance(tree):
    return StudyTree(tree, UIDS.study).instance(UIDS.series, UIDS.instance)


def rebuild(tree, uids=UIDS):
    rebuild_p10(tree, *uids, io.BytesIO())


def edit(path, **changes):
    """Change fields of a JSON document; `None` removes one"""
    document = json.loads(path.read_bytes())
    document.update(changes)
    kept = {k: v for k, v in document.items() if v is not None}
    path.write_text(json.dumps(kept))


@pytest.mark.parametrize('name', ['info', 'metadata', 'frames/1'])
def test_names_a_file_that_is_missing(tree, instance, name):
    (instance / name).unlink()
    with pytest.raises(RebuildError, match=f'{name} is missing'):
        rebuild(tree)


@pytest.mark.parametrize('name', ['info', 'metadata', 'frames/1'])
@pytest.mark.parametrize('size', [0, 1, 60, -1])
def test_names_a_file_that_is_cut(tree, instance, name, size):
    path = instance / name
    path.write_bytes(path.read_bytes()[:size])
    if name == 'info' and size == -1:
        # the line break
        rebuild(tree)
        return
    with pytest.raises(RebuildError, match=f'{name} is damaged'):
        rebuild(tree)


def test_names_bulk_data_that_are_missing(tree):
    (path,) = StudyTree(tree, UIDS.study).bulkdata.iterdir()
    path.unlink()
    with pytest.raises(RebuildError, match=path.name):
        rebuild(tree)


@pytest.mark.parametrize('content', [b'', bytes(200), bytes(range(201))])
def test_names_bulk_data_that_were_changed(tree, content):
    (path,) = StudyTree(tree, UIDS.study).bulkdata.iterdir()
    path.write_bytes(content)
    with pytest.raises(RebuildError, match=path.name):
        rebuild(tree)


@pytest.mark.parametrize('name', ['info', 'metadata', 'frames/1'])
def test_names_a_directory_in_place_of_a_file(tree, instance, name):
    (instance / name).unlink()
    (instance / name).mkdir()
    with pytest.raises(RebuildError, match=name):
        rebuild(tree)


def test_a_changed_value_is_never_the_original(tree, instance):
    path = instance / 'metadata'
    path.write_bytes(path.read_bytes().replace(b'Jane', b'John'))
    with pytest.raises(RebuildError, match='not the original') as caught:
        rebuild(tree)
    assert 'John' not in str(caught.value)


def test_a_changed_frame_is_never_the_original(tree, instance):
    path = instance / 'frames' / '1'
    path.write_bytes(path.read_bytes().replace(b'abcd', b'dcba'))
    with pytest.raises(RebuildError, match='not the original'):
        rebuild(tree)


@pytest.mark.parametrize(
    'changes',
    [
        {'version': 2},
        {'version': None},
        {'member': None},
        {'member': []},
        {'explicitVR': None},
        {'fileMeta': None},
        {'fileMeta': [1]},
        {'fileMeta': {'00020010': {'vr': 'UI', 'Value': [{}]}}},
        {'pixelData': {}},
        {'pixelData': {'tag': '7FE00010', 'fragments': 5, 'offsetTable': 'empty'}},
        {'encoding': {'order': {'': ['XX']}}},
        {'encoding': {'elements': {'00100010': {'raw': 'no base64'}}}},
        {'encoding': {'elements': {'00100010': {'raw': {'bulkdata': '../../x'}}}}},
        {'encoding': {'elements': []}},
        {'patches': [[0, 10**9, '']]},
        {'patches': [[300, 2, ''], [10, 2, '']]},
        {'patches': [1]},
        {'trailing': 7},
        {'deflated': {'level': 77}},
    ],
)
def test_an_info_of_any_other_form_is_told(tree, instance, changes):
    edit(instance / 'info', **changes)
    with pytest.raises(RebuildError):
        rebuild(tree)


@pytest.mark.parametrize(
    'content', [b'[]', b'{}', b'[1]', b'["a"]', b'[{"00080018":1}]', b'\xff', b'[{}]x']
)
def test_metadata_of_any_other_form_are_told(tree, instance, content):
    (instance / 'metadata').write_bytes(content)
    with pytest.raises(RebuildError):
        rebuild(tree)


def test_metadata_of_another_instance_are_told(tmp_path):
    write_layout(tmp_path, DATA, uids=UIDS, in_series=True)
    series = StudyTree(tmp_path, UIDS.study).series(UIDS.series)
    (series / 'metadata').write_bytes(b'[{"00080018":{"vr":"UI","Value":["9"]}}]')
    with pytest.raises(RebuildError, match='does not have the instance'):
        rebuild(tmp_path)


@pytest.mark.parametrize('uid', ['', '..', '1.2/../3', 'a', '1..2', '/etc'])
def test_refuses_what_is_no_uid(tree, uid):
    for uids in ((uid, *UIDS[1:]), (UIDS[0], uid, UIDS[2]), (*UIDS[:2], uid)):
        with pytest.raises(RebuildError, match='no valid UID'):
            rebuild(tree, uids)


def test_compressed_files_that_are_cut_are_told(tmp_path):
    write_layout(tmp_path, DATA, uids=UIDS, compressed=True)
    directory = StudyTree(tmp_path, UIDS.study).instance(UIDS.series, UIDS.instance)
    path = directory / 'info.gz'
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(RebuildError, match=r'info\.gz is damaged'):
        rebuild(tmp_path)
