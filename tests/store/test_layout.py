from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datalad_icf.errors import IdentifierError, MissingInputError
from datalad_icf.store import Visit, VisitPaths, find_visits

BAD_IDENTIFIERS = {
    'empty': '',
    'this directory': '.',
    'parent directory': '..',
    'path upwards': '../../x',
    'path': 'x/y',
    'absolute': '/abs',
    'path of Windows': 'x\\y',
    'hidden': '.x',
    'option': '-x',
    'newline': 'x\ny',
    'NUL': 'x\0y',
    'escape': 'x\x1b[1m',
    'line separator': 'x\u2028y',
    'no text': 'x\udcff',
    'too long': 'x' * 250,
    'too long as UTF-8': 'ä' * 130,
}


@pytest.mark.parametrize('value', BAD_IDENTIFIERS.values(), ids=BAD_IDENTIFIERS)
def test_refuses_a_bad_study_identifier(value):
    with pytest.raises(IdentifierError, match='study identifier'):
        Visit(value, 'V01')


@pytest.mark.parametrize('value', BAD_IDENTIFIERS.values(), ids=BAD_IDENTIFIERS)
def test_refuses_a_bad_visit_identifier(value):
    with pytest.raises(IdentifierError, match='visit identifier'):
        Visit('S1', value)


@pytest.mark.parametrize('value', ['P000123', 'a_b', 'a b', 'x.tar', 'ü', '{x}', '%s'])
def test_accepts_what_is_one_component_of_a_path(value):
    assert Visit(value, value).member_prefix == f'{value}_{value}'


identifiers = st.text(alphabet='./\\\0\n~- *ab\u2028ü\udcff', max_size=9)


@given(identifiers, identifiers)
def test_no_identifier_leads_out_of_the_study_directory(study_id, visit_id):
    try:
        paths = VisitPaths(Path('/store'), Visit(study_id, visit_id))
    except IdentifierError:
        return
    for path in (paths.tarball, paths.md5sum, paths.refs, paths.repo_export):
        assert path.parts[:3] == ('/', 'store', study_id)
        assert len(path.parts) == 4


def test_the_longest_identifier_leaves_room_for_the_name_of_a_draft(tmp_path):
    visit = Visit('S1', 'x' * 227)
    name = VisitPaths(tmp_path, visit).tarball_metadata.name
    (tmp_path / f'.{name}.part').touch()


def test_visits_with_the_same_member_prefix_have_different_files():
    one, other = Visit('a_b', 'c'), Visit('a', 'b_c')
    assert one.member_prefix == other.member_prefix
    assert VisitPaths(Path(), one).tarball != VisitPaths(Path(), other).tarball


def test_all_files_have_the_names_of_the_store(paths):
    assert [
        p.relative_to(paths.store_dir).as_posix()
        for p in (
            paths.tarball,
            paths.md5sum,
            paths.tarball_metadata,
            paths.dicoms_metadata,
            paths.refs,
            paths.repo_export,
        )
    ] == [
        'S1/V01_dicom.tar',
        'S1/V01_dicom.tar.md5sum',
        'S1/V01_metadata_tarball.json',
        'S1/V01_metadata_dicoms.json',
        'S1/V01_XDLRA--refs',
        'S1/V01_XDLRA--repo-export',
    ]


def test_paths_inside_of_store_and_dataset_are_relative(paths):
    assert paths.store_path == 'S1/V01_dicom.tar'
    assert paths.dataset_path == 'icf/V01_dicom.tar'
    assert paths.deposit_prefix == 'S1/V01_'


@pytest.fixture
def study(tmp_path):
    study_dir = tmp_path / 'S1'
    study_dir.mkdir()
    for name in (
        'P02_dicom.tar',
        'P01_dicom.tar',
        'Q01_dicom.tar',
        'P03_dicom.tar.md5sum',
        '.P04_dicom.tar',
        '.P05_dicom.tar.part',
        '-P06_dicom.tar',
    ):
        (study_dir / name).touch()
    return tmp_path


def find(store, pattern):
    found = find_visits(store, Visit('S1', pattern), having='tarball')
    return [p.visit.visit_id for p in found]


def test_a_pattern_finds_visits_with_the_wanted_file_in_order(study):
    assert find(study, '*') == ['P01', 'P02', 'Q01']


@pytest.mark.parametrize(
    ('pattern', 'found'),
    [('P*', ['P01', 'P02']), ('P?2', ['P02']), ('[QR]*', ['Q01'])],
)
def test_a_pattern_selects_visits(study, pattern, found):
    assert find(study, pattern) == found


def test_an_identifier_is_taken_as_it_is(study):
    assert find(study, 'nobody') == ['nobody']


def test_a_visit_that_is_named_like_a_pattern_is_itself(study):
    (study / 'S1' / 'P*_dicom.tar').touch()
    assert find(study, 'P*') == ['P*']


def test_a_pattern_without_a_match_is_an_error(study):
    with pytest.raises(MissingInputError, match=r'no X\*_dicom.tar'):
        find(study, 'X*')


def test_a_pattern_in_a_study_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(MissingInputError, match='cannot list'):
        find(tmp_path, '*')
