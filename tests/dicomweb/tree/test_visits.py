"""Visits come, change and go: the tree always has exactly what they have"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from fcntl import LOCK_EX, flock
from hashlib import md5
from io import BytesIO

import pytest

from datalad_icf.dicomweb import TreeOptions, TreeState, convert_visit, rebuild_p10
from datalad_icf.errors import BusyError, ConflictError, StoreAccessError, TreeError
from tests.dicomweb.tree.conftest import SERIES, STUDY, make
from tests.dicomweb.tree.tree_reader import files, names, value

SECOND = '1.2.2'
TRUNCATED = make(2)[:300]
BULK = {'RedPaletteColorLookupTableData': bytes(200_000)}


def other_study(number=1, **attributes):
    return make(number, study=SECOND, series='1.2.2.1', **attributes)


def instances(study, dicom_study=STUDY):
    return [
        value(i['00080018']) for i in study.read('instances/index.json', dicom_study)
    ]


def test_visits_are_added(study):
    study.put(make(1))
    study.put(other_study(1), visit_id='V02')
    study.convert('V02')
    assert study.listed == [SECOND]
    study.convert('V01')
    assert study.listed == [STUDY, SECOND]
    study.assert_consistent()


def test_a_visit_takes_the_place_of_what_it_was(study):
    study.put(make(1, **BULK), make(2), other_study(1))
    study.convert()
    study.put(make(2, PatientComments='new'), make(3))
    report = study.convert()
    assert report.is_new
    assert study.listed == [STUDY]
    assert names(study.tree / 'studies') == {STUDY}
    assert instances(study) == [f'{SERIES}.2', f'{SERIES}.3']
    assert not list(study.path('bulkdata').glob('*'))
    (metadata,) = study.read(f'series/{SERIES}/instances/{SERIES}.2/metadata')
    assert value(metadata['00104000']) == 'new'
    study.assert_consistent()


def test_a_second_time_nothing_is_needed(study):
    study.put(make(1), TRUNCATED)
    first = study.convert()
    before = {p: p.stat().st_mtime_ns for p in study.directory.rglob('*')}
    again = study.convert()
    assert (first.is_new, again.is_new) == (True, False)
    assert again.state == first.state
    assert again.failed == first.failed != []
    assert {p: p.stat().st_mtime_ns for p in study.directory.rglob('*')} == before


@pytest.mark.parametrize(
    'options',
    [
        *({'gzip': True}, {'stock': True}, {'deduplicate': True}, {'part10': True}),
        *({'strip_private': True}, {'public_bulk_size': 3}, {'study_metadata': True}),
    ],
)
def test_with_other_options_all_is_made_again(study, tmp_path, options):
    study.put(make(1, **BULK))
    study.convert()
    plain = study.files()
    assert study.convert(**options).is_new
    fresh = type(study)(tmp_path / 'fresh' / 'store')
    fresh.put(make(1, **BULK))
    fresh.convert(**options)
    assert study.files(hidden=True) == fresh.files(hidden=True)
    study.assert_consistent()
    study.convert()
    assert study.files() == plain


def test_a_visit_is_dropped(study):
    study.put(make(1))
    study.put(other_study(), visit_id='V02')
    study.convert('V01')
    alone = study.files(hidden=True)
    study.convert('V02')
    study.drop('V02')
    assert study.files(hidden=True) == alone
    assert not study.path('', SECOND).exists()
    study.drop('V01')
    assert study.listed == []
    assert not study.path().exists()
    assert list(TreeState(study.tree).visits()) == []


def test_to_drop_what_is_not_there_changes_nothing(study):
    study.put(make(1))
    study.convert()
    before = study.files(hidden=True)
    study.drop('V09')
    assert study.files(hidden=True) == before


# --- visits that have to do with each other


@pytest.fixture
def shared(study):
    """Two visits with a series each of the same DICOM study, and common bulk data"""
    study.put(make(1, **BULK))
    study.put(
        make(1, series='1.2.1.2', Modality='CT', **BULK), other_study(), visit_id='V02'
    )
    study.convert('V01', study_metadata=True)
    study.convert('V02')
    return study


def test_two_visits_share_a_dicom_study(shared):
    assert names(shared.path('series')) == {SERIES, '1.2.1.2'}
    (record,) = shared.read('index.json')
    assert record['00201206']['Value'] == record['00201208']['Value'] == [2]
    assert record['00080061']['Value'] == ['CT', 'MR']
    assert len(shared.read('metadata')) == 2
    assert len(list(shared.path('bulkdata').iterdir())) == 1
    shared.assert_consistent()
    for series in (SERIES, '1.2.1.2'):
        rebuild_p10(shared.tree, STUDY, series, f'{series}.1', BytesIO())


def test_what_a_visit_shares_stays_when_it_is_dropped(shared):
    shared.drop('V02')
    assert shared.listed == [STUDY]
    assert names(shared.path('series')) == {SERIES}
    assert len(list(shared.path('bulkdata').iterdir())) == 1
    shared.assert_consistent()
    rebuild_p10(shared.tree, STUDY, SERIES, f'{SERIES}.1', BytesIO())
    shared.drop('V01')
    assert shared.listed == []


def test_what_another_visit_has_of_a_study_is_not_touched(shared):
    before = files(shared.path(f'series/{SERIES}'))
    shared.put(make(2, series='1.2.1.3'), visit_id='V02')
    shared.convert('V02', gzip=True)
    assert files(shared.path(f'series/{SERIES}')) == before
    assert names(shared.path('series')) == {SERIES, '1.2.1.3'}
    assert shared.listed == [STUDY]
    shared.assert_consistent()


def test_a_tree_can_be_compressed_in_parts(shared):
    shared.convert('V02', gzip=True)
    shared.assert_consistent()
    assert len(shared.read('metadata')) == 2
    shared.convert('V01', study_metadata=True)
    shared.assert_consistent()
    assert len(shared.read('metadata')) == 2


def test_a_series_of_another_visit_is_reported_and_stays_there(study):
    study.put(make(1))
    study.convert('V01')
    before = study.files()
    study.put(make(2), other_study(), visit_id='V02')
    report = study.convert('V02')
    (problem,) = report.failed
    assert (problem['path'], problem['tag']) == ('S1_V02/0000.dcm', '0020000E')
    assert 'V01' in problem['text']
    assert study.listed == [STUDY, SECOND]
    assert files(study.path()) == {
        name.removeprefix(f'studies/{STUDY}/'): content
        for name, content in before.items()
        if name.startswith(f'studies/{STUDY}/')
    }
    study.assert_consistent()


def test_a_series_is_there_once_the_other_visit_is_gone(study):
    study.put(make(1))
    study.put(make(2), visit_id='V02')
    study.convert('V01')
    assert study.convert('V02').failed
    assert study.convert('V02').failed
    study.drop('V01')
    report = study.convert('V02')
    assert (report.is_new, report.failed) == (True, [])
    assert instances(study) == [f'{SERIES}.2']
    assert not study.convert('V02').is_new
    study.assert_consistent()


def test_of_two_visits_at_once_the_second_does_not_take_a_series(study):
    """It found out that the series is free before the first one took it"""
    study.put(make(1))
    study.put(make(2), other_study(), visit_id='V02')

    class Meanwhile:
        def put_frame(self, converted, index):
            study.convert('V01')

        def put_metadata(self, converted):
            pass

    options = TreeOptions(thumbnails=False)
    with pytest.raises(ConflictError, match=f'visit V01 has series {SERIES} already'):
        convert_visit(study.paths('V02'), options, sinks=[Meanwhile()])
    assert study.listed == [STUDY]
    assert not list(study.directory.glob('.dicomweb.*.part'))
    assert len(study.convert('V02').failed) == 1
    study.assert_consistent()


# --- what was damaged or left


def heal(study, visits=('V01', 'V02')):
    for visit_id in visits:
        study.convert(visit_id)


@pytest.fixture
def two(study):
    study.put(make(1), make(2))
    study.put(other_study(), visit_id='V02')
    heal(study)
    return study


@pytest.mark.parametrize(
    'name',
    [
        *('studies/index.json', f'studies/{STUDY}', f'studies/{STUDY}/index.json'),
        *('studies', '.icf', '.icf/visits/V01.json', f'studies/{STUDY}/.icf'),
    ],
)
def test_what_is_lost_is_made_again(two, name):
    before = two.files(hidden=True)
    path = two.tree / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    heal(two)
    assert two.files(hidden=True) == before


@pytest.mark.parametrize(
    'content', ['', '{', '[]', '{"a": 1}', 'null', '[\n{},\n{}\n]\n']
)
@pytest.mark.parametrize('name', ['studies/index.json', '.icf/visits/V01.json'])
def test_a_damaged_file_is_made_again(two, name, content):
    before = two.files(hidden=True)
    (two.tree / name).write_text(content)
    heal(two)
    assert two.files(hidden=True) == before


def test_a_list_without_its_end_is_made_again(two):
    before = two.files(hidden=True)
    path = two.tree / 'studies' / 'index.json'
    path.write_bytes(path.read_bytes()[:-5])
    heal(two)
    assert two.files(hidden=True) == before


def test_state_of_another_kind_is_made_again(two):
    path = two.tree / '.icf' / 'visits' / 'V01.json'
    before = two.files(hidden=True)
    for change in ({'studies': 5}, {'format': -1}, {'problems': None}, {'new': 1}):
        path.write_text(
            json.dumps({**json.loads(before['.icf/visits/V01.json']), **change})
        )
        assert two.convert('V01').is_new
        assert two.files(hidden=True) == before


def test_a_list_that_lost_a_study_has_it_after_any_update(two):
    path = two.tree / 'studies' / 'index.json'
    before = path.read_bytes()
    lines = before.split(b'\n')
    path.write_bytes(b'\n'.join([lines[0], lines[2], lines[3], b'']))
    two.put(make(1, study='1.2.3', series='1.2.3.1'), visit_id='V03')
    two.convert('V03')
    assert two.listed == [STUDY, SECOND, '1.2.3']
    two.assert_consistent()


@pytest.mark.parametrize('content', ['', '{', '{}', '[]', '{"series": 1}'])
def test_damaged_state_that_other_visits_need_is_told(shared, content):
    before = shared.files()
    (shared.path('.icf') / 'V01.json').write_text(content)
    shared.put(make(7, series='1.2.1.7'), visit_id='V02')
    with pytest.raises(TreeError, match='is damaged; run icf-dicomweb for visit V01'):
        shared.convert('V02')
    assert shared.files() == before


def test_lost_files_of_other_visits_are_told(shared):
    shutil.rmtree(shared.path(f'series/{SERIES}'))
    shared.put(make(7, series='1.2.1.7'), visit_id='V02')
    with pytest.raises(TreeError, match='run icf-dicomweb'):
        shared.convert('V02')
    shared.convert('V01', gzip=True)
    assert shared.convert('V02').is_new
    shared.assert_consistent()


def test_what_a_killed_run_left_is_removed_by_the_next(two):
    before = two.files(hidden=True)
    for visit_id in ('V01', 'V09'):
        staging = two.paths(visit_id).dicomweb_staging
        (staging / 'studies' / '1.9').mkdir(parents=True)
        (staging / 'spool').write_bytes(b'left')
    two.convert('V02', gzip=True)
    assert not list(two.directory.glob('.dicomweb.*.part'))
    two.convert('V02')
    assert two.files(hidden=True) == before


def test_what_another_run_is_making_is_left_alone(two):
    staging = two.paths('V09').dicomweb_staging
    staging.mkdir()
    (staging / 'spool').write_bytes(b'in use')
    fd = os.open(staging / 'lock', os.O_RDWR | os.O_CREAT)
    flock(fd, LOCK_EX)
    two.convert('V02', gzip=True)
    assert (staging / 'spool').exists()
    two.put(make(1), visit_id='V09')
    with pytest.raises(BusyError):
        two.convert('V09')
    os.close(fd)


def test_a_study_that_a_killed_run_had_parked_is_put_back(two):
    """Where directories cannot be exchanged, for a moment there is none"""
    before = two.files(hidden=True)
    parked = two.paths('V01').dicomweb_staging / 'parked'
    parked.mkdir(parents=True)
    two.path().rename(parked / STUDY)
    (two.tree / '.icf' / 'unfinished').touch()
    two.convert('V02', gzip=True)
    two.convert('V02')
    assert two.files(hidden=True) == before


def test_what_is_parked_by_a_run_that_is_killed_meanwhile_is_put_back(two):
    class Meanwhile:
        def put_frame(self, converted, index):
            parked = two.paths('V01').dicomweb_staging / 'parked'
            parked.mkdir(parents=True)
            two.path().rename(parked / STUDY)
            (two.tree / '.icf' / 'unfinished').touch()

        def put_metadata(self, converted):
            pass

    options = TreeOptions(thumbnails=False, gzip=True)
    convert_visit(two.paths('V02'), options, sinks=[Meanwhile()])
    assert two.listed == [STUDY, SECOND]
    two.assert_consistent()


def test_visits_are_known_also_without_their_state(two):
    (two.tree / '.icf' / 'visits' / 'V01.json').unlink()
    assert TreeState(two.tree).visits() == ['V01', 'V02']


@pytest.mark.skipif(os.geteuid() == 0, reason='root may write anywhere')
def test_a_store_that_cannot_be_written_to_is_left_as_it_is(study):
    study.put(make(1))
    study.directory.chmod(0o555)
    with suppress(StoreAccessError):
        study.convert()
    study.directory.chmod(0o755)
    assert not study.tree.exists()


def test_a_server_configuration_is_written_again_where_it_changed(two):
    path = two.tree / '.htaccess'
    text = path.read_text()
    path.write_text('old')
    two.convert('V01', gzip=True)
    assert path.read_text() == text


def test_files_of_a_visit_without_metadata_have_their_md5(two):
    (info,) = two.path('', SECOND).rglob('info')
    content = other_study()
    assert json.loads(info.read_bytes())['member']['md5'] == md5(content).hexdigest()


def test_what_cannot_be_seen_to_be_damaged_is_made_again_by_force(study):
    study.put(make(1))
    study.convert()
    before = study.files()
    frame = study.path(f'series/{SERIES}/instances/{SERIES}.1/frames/1')
    frame.write_bytes(b'something else')
    assert not study.convert().is_new
    assert study.convert(force=True).is_new
    assert study.files() == before
