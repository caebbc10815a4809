"""Odd tarballs and metadata, from the tarball to the branches of the dataset

What needs a clone to be seen is in ``tests/integration/test_odd_names.py``.
"""

from __future__ import annotations

import pytest

from datalad_icf.dataset.keys import build_key, log_path
from datalad_icf.dicom import deposit_metadata
from datalad_icf.errors import MetadataError, TarballError
from datalad_icf.store import read_instances


@pytest.fixture
def deposit_members(put_tarball, tar, deposit, paths):
    """Deposit a tarball of these members, its metadata and its dataset"""

    def deposit_members(*members):
        put_tarball(tar(*members))
        described = deposit_metadata(paths)
        return described, deposit()

    return deposit_members


@pytest.fixture
def metadata_of(paths, branches):
    """Read the line of git-annex metadata of the only image"""

    def metadata_of():
        (instance,) = read_instances(paths.dicoms_metadata)
        key = build_key(instance.md5, instance.size, instance.path)
        return branches()[1][f'{log_path(key)}.log.met'][1].decode()

    return metadata_of


@pytest.mark.parametrize(
    'name', ['S1_V01/.git/config', '.git/hooks/post-checkout', 'S1_V01/.Git/a']
)
def test_a_member_below_dot_git_leaves_no_dataset(
    deposit_members, image, paths, files_in, name
):
    with pytest.raises(MetadataError, match=r'\.[Gg]it'):
        deposit_members(('S1_V01/a.dcm', image()), (name, image(SeriesNumber=2)))
    assert not [n for n in files_in(paths.store_dir) if 'XDLRA' in n]


@pytest.mark.parametrize('name', ['/etc/a.dcm', '../a.dcm', 'S1_V01/../../a.dcm'])
def test_a_member_outside_leaves_neither_metadata_nor_dataset(
    deposit_members, image, paths, files_in, name
):
    with pytest.raises(TarballError, match='unsafe name'):
        deposit_members(('S1_V01/a.dcm', image()), (name, image(SeriesNumber=2)))
    assert files_in(paths.study_dir) == [paths.tarball.name, paths.md5sum.name]


@pytest.mark.parametrize('name', ['S1_V01/a.dcm', './S1_V01/a.dcm'])
def test_a_member_that_is_there_twice_leaves_neither_metadata_nor_dataset(
    deposit_members, image, paths, files_in, name
):
    with pytest.raises(TarballError, match='twice'):
        deposit_members(('S1_V01/a.dcm', image()), (name, image(SeriesNumber=2)))
    assert files_in(paths.study_dir) == [paths.tarball.name, paths.md5sum.name]


def test_several_values_are_several_values(deposit_members, image, metadata_of):
    deposit_members(
        ('a.dcm', image(SeriesDescription=['one', 'two'], SeriesNumber=['1', '2']))
    )
    assert ' SeriesDescription +one +two ' in metadata_of()
    assert ' SeriesNumber +1 +2 ' in metadata_of()


@pytest.mark.parametrize('keyword', ['SeriesNumber', 'ProtocolName'])
def test_an_attribute_without_value_has_none(
    deposit_members, image, metadata_of, keyword
):
    deposit_members(('a.dcm', image(**{keyword: None})))
    assert keyword not in metadata_of()
    assert 'None' not in metadata_of()


@pytest.mark.parametrize('keyword', ['SeriesNumber', 'ProtocolName'])
def test_a_missing_attribute_has_no_value(deposit_members, image, metadata_of, keyword):
    deposit_members(('a.dcm', image(without=[keyword])))
    assert keyword not in metadata_of()


def test_files_that_are_not_dicom_are_left_out_and_counted(
    deposit_members, image, branches, paths
):
    described, report = deposit_members(
        ('S1_V01/a.dcm', image()),
        ('S1_V01/empty.dcm', b''),
        ('S1_V01/notes.txt', b'no motion\n'),
    )
    assert described.other_files == 2
    assert report.instances == 1
    symlinks = {p for p, (mode, _) in branches()[0].items() if mode == '120000'}
    assert symlinks == {'S1_V01/a.dcm', paths.dataset_path}


@pytest.mark.parametrize('members', [[], [('S1_V01/notes.txt', b'nothing\n')]])
def test_a_tarball_without_images_is_a_dataset_of_one_file(
    deposit_members, branches, paths, members
):
    _, report = deposit_members(*members)
    assert report.instances == 0
    assert 'no DICOM files' in report.warnings[0]
    symlinks = {p for p, (mode, _) in branches()[0].items() if mode == '120000'}
    assert symlinks == {paths.dataset_path}
