"""``icf-deposit`` from Python and from the shell"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from shutil import copytree

import pytest
from datalad_next.constraints.exceptions import CommandParametrizationError

from datalad_icf.catalog import read_entries
from datalad_icf.dicomweb import TreeOptions, TreeState
from datalad_icf.dicomweb.state import VisitState, write_state
from datalad_icf.store import Visit, VisitPaths, draft_file, read_instances
from demo.phantom import write_phantom
from tests.commands.conftest import call

URL = 'https://store.example.org'
ALL = ['archive', 'metadata', 'dataset', 'catalog']
NAMES = ('V01', 'V02', 'V03')


@pytest.fixture
def deposit(paths):
    """The command in Python, whose records are returned"""
    return partial(call, 'icf_deposit', paths.store_dir, store_url=URL)


@pytest.fixture
def exports(visit_files, tmp_path) -> Path:
    """Directories of three visits"""
    root = tmp_path / 'exports'
    for name in NAMES:
        copytree(visit_files, root / name)
    return root


@pytest.fixture
def study(deposit, exports):
    """The command for visits of the study"""
    return partial(deposit, id=('S1', '*'), visits_from=exports)


def statuses(records):
    return {record['visit_id']: record['status'] for record in records}


def snapshot(directory):
    return {
        path.relative_to(directory): path.lstat().st_mtime_ns
        for path in directory.rglob('*')
    }


def test_all_of_a_visit_is_made(deposit, paths, visit_files):
    (record,) = deposit(visit_files)
    assert record['status'] == 'ok'
    assert record['action'] == 'icf_deposit'
    assert (record['path'], record['type']) == (str(paths.tarball), 'file')
    assert (record['study_id'], record['visit_id']) == ('S1', 'V01')
    assert record['made'] == ALL
    assert (record['files'], record['instances']) == (6, 5)
    assert record['size'] == paths.tarball.stat().st_size
    assert paths.md5sum.read_text().startswith(record['md5'])
    assert URL in record['clone_url']
    assert record['warnings'] == []
    for path in (paths.refs, paths.repo_export, paths.catalog_dir / 'overview.html'):
        assert path.exists()
    assert not paths.dicomweb_dir.exists()
    assert not list(paths.study_dir.glob('.*.part'))


def test_it_is_what_the_separate_commands_make(deposit, paths, visit_files, tmp_path):
    deposit(visit_files)
    other = tmp_path / 'other'
    call('icf_archive', other, visit_files)
    call('icf_deposit_metadata', other)
    call('icf_deposit_dataset', other, store_url=URL)
    for path in sorted((other / 'S1').iterdir()):
        assert (paths.study_dir / path.name).read_bytes() == path.read_bytes()
    (record,) = call('icf_catalog', paths.store_dir, store_url=URL)
    assert record['status'] == 'notneeded'


def test_the_store_is_whole_then(study, paths):
    study(dicomweb=True)
    records = call('icf_verify', paths.store_dir, id=('S1', '*'))
    assert statuses(records) == dict.fromkeys(NAMES, 'ok')
    assert all(all(record['parts'].values()) for record in records)


def test_a_second_run_is_not_needed(deposit, paths, visit_files):
    (first,) = deposit(visit_files)
    before = snapshot(paths.study_dir)
    (second,) = deposit(visit_files)
    assert second['status'] == 'notneeded'
    assert second['made'] == []
    for name in ('size', 'md5', 'files', 'instances', 'clone_url'):
        assert second[name] == first[name]
    assert snapshot(paths.study_dir) == before


@pytest.mark.parametrize(
    ('lost', 'made'),
    [
        ('md5sum', 'archive'),
        ('dicoms_metadata', 'metadata'),
        ('repo_export', 'dataset'),
    ],
)
def test_what_is_missing_is_made(deposit, paths, visit_files, lost, made):
    deposit(visit_files)
    content = getattr(paths, lost).read_bytes()
    getattr(paths, lost).unlink()
    (record,) = deposit(visit_files)
    assert (record['status'], record['made']) == ('ok', [made])
    assert getattr(paths, lost).read_bytes() == content


def test_a_dicomweb_tree_is_made_if_asked_for(deposit, paths, visit_files):
    (record,) = deposit(visit_files, dicomweb=True)
    assert record['made'] == ['archive', 'metadata', 'dataset', 'dicomweb', 'catalog']
    assert (paths.dicomweb_dir / 'studies').is_dir()
    (record,) = deposit(visit_files, dicomweb=True)
    assert record['status'] == 'notneeded'


def test_a_tree_that_comes_later_is_shown_in_the_catalog(deposit, visit_files):
    deposit(visit_files)
    (record,) = deposit(visit_files, dicomweb=True)
    assert record['made'] == ['dicomweb', 'catalog']


def test_a_linked_visit_is_packed_if_asked_for_and_none_is_missed(
    study, exports, tmp_path, image
):
    (exports / 'V02').rename(tmp_path / 'elsewhere')
    (exports / 'V02').symlink_to(tmp_path / 'elsewhere')
    (exports / 'V03').rename(tmp_path / 'gone')
    # of a share that is not mounted, say
    (exports / 'V03').symlink_to(tmp_path / 'not mounted')
    (exports / 'notes').symlink_to(tmp_path / 'elsewhere' / 'scan-notes.txt')
    for dry_run in (True, False):
        records = {record['visit_id']: record for record in study(dry_run=dry_run)}
        assert statuses(records.values()) == {
            'V01': 'ok',
            'V02': 'impossible',
            'V03': 'impossible',
        }
        assert '--follow-symlinks' in records['V02']['message']
        assert 'what is not there' in records['V03']['message']
    records = statuses(study(follow_symlinks=True))
    assert records == {'V01': 'notneeded', 'V02': 'ok', 'V03': 'impossible'}


def test_a_tree_keeps_its_options(deposit, paths, visit_files, tmp_path):
    options = {'strip_private': True, 'thumbnails': False, 'public_bulk_size': 99}
    deposit(visit_files, dicomweb=True)
    call('icf_dicomweb', paths.store_dir, **options)
    (record,) = deposit(visit_files, dicomweb=True)
    assert record['made'] == ['catalog']
    # like the visit that was converted last
    write_phantom(tmp_path / 'second', visit='V02')
    (record,) = deposit(tmp_path / 'second', id=('S1', 'V02'), dicomweb=True)
    assert record['status'] == 'ok'
    for name in ('V01', 'V02'):
        state = TreeState(paths.dicomweb_dir).read(name)
        assert options.items() <= state.options.items()


@pytest.mark.parametrize('kept', [{}, None, {'gzip': 'yes', 'other': 1}])
def test_damaged_options_of_a_tree_are_not_taken(paths, kept):
    visits = paths.dicomweb_dir / '.icf' / 'visits'
    visits.mkdir(parents=True)
    write_state(visits / 'V01.json', VisitState('0' * 32, kept))
    assert TreeOptions.of_tree(paths) == TreeOptions()


def test_an_image_that_cannot_be_shown_fails_last(deposit, paths, visit_files):
    (visit_files / 'cut').write_bytes(bytes(128) + b'DICM')
    (record,) = deposit(visit_files, dicomweb=True)
    assert record['status'] == 'error'
    assert (
        'icf-dicomweb: 1 file not converted as a whole, of which the first is '
        in (record['message'])
    )
    # and why
    assert record['message'].endswith(
        "/cut': is no DICOM file: it has no data element that can be read"
    )
    # all else is there, and will be the next time
    assert read_entries(paths.catalog_dir, 'S1')['V01'].in_overview


def test_options_reach_their_steps(deposit, paths, visit_files, tmp_path, image):
    (tmp_path / 'elsewhere').write_bytes(image())
    (visit_files / 'link').symlink_to(tmp_path / 'elsewhere')
    config = tmp_path / 'config.json'
    config.write_text('{"catalog_name": "Facility of the test"}')
    (record,) = deposit(
        visit_files,
        follow_symlinks=True,
        timezone='America/New_York',
        keywords=['EchoTime'],
        config_file=config,
    )
    assert (record['status'], record['instances']) == ('ok', 6)
    assert all(
        'EchoTime' in i.attributes for i in read_instances(paths.dicoms_metadata)
    )
    other = tmp_path / 'other'
    call(
        'icf_archive',
        other,
        visit_files,
        follow_symlinks=True,
        timezone='America/New_York',
    )
    assert (other / 'S1' / 'V01_dicom.tar').read_bytes() == paths.tarball.read_bytes()
    assert 'Facility of the test' in (paths.catalog_dir / 'config.json').read_text()


def test_options_can_be_configured(deposit, paths, visit_files, configure):
    configure('datalad.icf.metadata-keywords', 'EchoTime')
    configure('datalad.icf.store-url', 'https://configured.example.org')
    (record,) = deposit(visit_files, store_url=None)
    assert 'https://configured.example.org' in record['clone_url']
    assert b'EchoTime' in paths.dicoms_metadata.read_bytes()


# a step that fails


def test_files_that_cannot_be_archived_leave_nothing(deposit, paths, visit_files):
    (visit_files / 'link').symlink_to('nowhere')
    (record,) = deposit(visit_files)
    assert record['status'] == 'impossible'
    assert 'symbolic link' in record['message']
    assert not paths.store_dir.exists()


@pytest.mark.parametrize(
    ('attribute', 'step', 'there'),
    [
        ('refs', 'icf-deposit-dataset', 'tarball_metadata'),
        ('catalog_dir', 'icf-catalog', 'refs'),
    ],
)
def test_a_step_that_fails_names_itself(
    deposit, paths, visit_files, attribute, step, there
):
    """There is something else in the place of what it makes"""
    path = getattr(paths, attribute)
    path.parent.mkdir(parents=True)
    if attribute == 'catalog_dir':
        path.write_text('no directory')
    else:
        path.mkdir()
    (record,) = deposit(visit_files)
    assert record['status'] == 'error'
    assert f'archived, but {step}: ' in record['message']
    assert getattr(paths, there).exists()


def test_metadata_with_other_keywords_are_left_and_the_step_is_named(
    deposit, paths, visit_files
):
    deposit(visit_files)
    before = paths.dicoms_metadata.read_bytes()
    (record,) = deposit(visit_files, keywords=['EchoTime'])
    assert record['status'] == 'error'
    assert 'archived, but icf-deposit-metadata: ' in record['message']
    assert paths.dicoms_metadata.read_bytes() == before


@pytest.mark.parametrize('jobs', [1, 2])
def test_a_visit_that_fails_does_not_stop_the_others(study, paths, exports, jobs):
    (exports / 'V02' / 'link').symlink_to('nowhere')
    assert statuses(study(jobs=jobs)) == {
        'V01': 'ok',
        'V02': 'impossible',
        'V03': 'ok',
    }
    (exports / 'V02' / 'link').unlink()
    assert statuses(study(jobs=jobs)) == {
        'V01': 'notneeded',
        'V02': 'ok',
        'V03': 'notneeded',
    }


def test_a_visit_that_another_process_works_on_is_impossible(study, paths):
    with draft_file(paths.tarball, make_directory=True):
        assert statuses(study()) == {'V01': 'impossible', 'V02': 'ok', 'V03': 'ok'}


# many visits


@pytest.mark.parametrize(
    ('pattern', 'found'),
    [('*', NAMES), ('V0[13]', ('V01', 'V03')), ('V02', ('V02',)), ('?03', ('V03',))],
)
def test_directories_that_match_are_visits(study, pattern, found):
    records = study(id=('S1', pattern), dry_run=True)
    assert [record['visit_id'] for record in records] == list(found)


def test_several_at_once_make_the_same_files(study, deposit, exports, paths, tmp_path):
    records = study(jobs=2)
    assert statuses(records) == dict.fromkeys(NAMES, 'ok')
    assert {tuple(record['made']) for record in records} == {tuple(ALL)}
    other = tmp_path / 'other'
    call(
        'icf_deposit',
        other,
        id=('S1', '*'),
        visits_from=exports,
        store_url=URL,
    )
    made = {p.name: p.read_bytes() for p in paths.study_dir.glob('V*')}
    assert made == {p.name: p.read_bytes() for p in (other / 'S1').glob('V*')}
    assert len(made) == 18
    overview = (paths.catalog_dir / 'overview.html').read_text()
    assert overview == (other / 'S1' / 'catalog' / 'overview.html').read_text()


def test_hidden_directories_and_files_are_no_visits(study, exports):
    (exports / '.trash').mkdir()
    (exports / 'list.txt').write_text('V01')
    assert set(statuses(study(dry_run=True))) == set(NAMES)


@pytest.mark.parametrize('name', ['-V04', 'V[4]', 'V\n4', 'V*'])
def test_a_directory_that_can_be_no_visit_is_told_and_nothing_is_done(
    study, exports, paths, name
):
    (exports / name).mkdir()
    (record,) = study()
    assert record['status'] == 'impossible'
    assert 'rename it' in record['message']
    assert not paths.store_dir.exists()


def test_a_directory_that_can_be_no_visit_and_is_not_meant_does_no_harm(study, exports):
    (exports / '-V04').mkdir()
    assert statuses(study(id=('S1', 'V*'), dry_run=True)).keys() == set(NAMES)


def test_a_visit_whose_directory_is_empty_is_impossible(study, exports):
    (exports / 'V04').mkdir()
    assert statuses(study())['V04'] == 'impossible'


@pytest.mark.parametrize(
    ('arguments', 'problem'),
    [
        ({}, '--visits-from'),
        ({'source': 'x', 'visits_from': 'exports'}, '--visits-from'),
        ({'source': 'x', 'id': ('S1', '*')}, 'is a pattern'),
        ({'visits_from': 'none', 'id': ('S1', '*')}, 'cannot list'),
        ({'visits_from': 'exports', 'id': ('S1', 'X*')}, 'no directory X*'),
    ],
)
def test_what_makes_no_sense_is_impossible(
    deposit, exports, paths, monkeypatch, arguments, problem
):
    monkeypatch.chdir(exports.parent)
    (record,) = deposit(**arguments)
    assert record['status'] == 'impossible'
    assert problem in record['message']
    assert not paths.store_dir.exists()


@pytest.mark.parametrize(
    'arguments', [{'jobs': 0}, {'jobs': 'many'}, {'source': ''}, {'timezone': 'Mars'}]
)
def test_wrong_arguments_are_refused(deposit, visit_files, arguments):
    with pytest.raises(CommandParametrizationError):
        deposit(**{'source': visit_files, **arguments})


# --dry-run


@pytest.mark.parametrize('jobs', [1, 2])
def test_a_dry_run_tells_and_changes_nothing(study, deposit, exports, paths, jobs):
    deposit(exports / 'V02', id=('S1', 'V02'))
    (exports / 'V03' / 'link').symlink_to('nowhere')
    before = snapshot(paths.store_dir)
    records = {r['visit_id']: r for r in study(dry_run=True, jobs=jobs)}
    assert statuses(records.values()) == {
        'V01': 'ok',
        'V02': 'notneeded',
        'V03': 'impossible',
    }
    assert 'would be archived: 6 files' in records['V01']['message']
    assert records['V01']['dry_run']
    assert records['V01']['files'] == 6
    assert snapshot(paths.store_dir) == before


def test_a_dry_run_makes_no_store(study, paths):
    study(dry_run=True)
    assert not paths.store_dir.exists()


# the shell


def test_the_shell_gets_a_line_of_json_for_each_visit(run_datalad, exports, paths):
    (exports / 'V02' / 'link').symlink_to('nowhere')
    argv = ['icf-deposit', '--id', 'S1', '*', '-o', paths.store_dir]
    argv += ['--visits-from', exports, '--jobs', 2]
    outcome = run_datalad(*argv)
    assert outcome.code == 1
    assert statuses(outcome.records) == {'V01': 'ok', 'V02': 'impossible', 'V03': 'ok'}
    (exports / 'V02' / 'link').unlink()
    outcome = run_datalad(*argv)
    assert outcome.code == 0
    assert statuses(outcome.records)['V02'] == 'ok'
    assert 'Traceback' not in outcome.stderr


def test_the_shell_tells_people_what_was_made(run, exports, paths):
    outcome = run(
        *('datalad', 'icf-deposit', '--id', 'S1', 'V01', '-o', paths.store_dir),
        exports / 'V01',
    )
    assert outcome.code == 0
    assert 'icf_deposit(ok)' in outcome.stdout
    assert 'archive, metadata, dataset, catalog: 5 images' in outcome.stdout


def test_nothing_that_names_a_patient_is_told(run, exports, paths, tmp_path):
    write_phantom(
        tmp_path / 'named',
        rows=2,
        columns=2,
        PatientName='SECRET^NAME',
        PatientID='SECRET',
    )
    os.rename(tmp_path / 'named', exports / 'V04')
    outcome = run(
        *('datalad', '-l', 'debug', '-f', 'json', 'icf-deposit', '--id', 'S1', '*'),
        *('-o', paths.store_dir, '--visits-from', exports, '--jobs', 2),
    )
    assert outcome.code == 0
    assert 'SECRET' not in outcome.stdout + outcome.stderr
    described = VisitPaths(paths.store_dir, Visit('S1', 'V04')).dicoms_metadata
    assert 'SECRET' not in described.read_text()
