"""``icf-catalog``, from Python and from a shell"""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import datalad.api
import pytest
from datalad_next.constraints.exceptions import CommandParametrizationError

from datalad_icf.commands import catalog as commands
from datalad_icf.dicom import archive_visit, deposit_metadata
from datalad_icf.store import Visit, VisitPaths

COMMAND = ['icf-catalog', '--id', 'S1', 'V01', '-o', 'store']
ALL = ['icf-catalog', '--id', 'S1', '*', '-o', 'store']


@pytest.fixture
def add(paths):
    """The command ``icf_catalog`` of Python, whose records are returned"""

    def call(visit_id='V01', **arguments):
        return datalad.api.icf_catalog(
            id=('S1', visit_id),
            store_dir=paths.store_dir,
            result_renderer='disabled',
            on_failure='ignore',
            return_type='list',
            **arguments,
        )

    return call


@pytest.fixture
def described(archived):
    """The visit with its metadata"""
    deposit_metadata(archived)
    return archived


@pytest.fixture
def visits(paths, visit_files):
    """Visits V01 to V03, with their metadata"""
    made = [VisitPaths(paths.store_dir, Visit('S1', f'V0{n}')) for n in (1, 2, 3)]
    for visit in made:
        archive_visit(visit, visit_files)
        deposit_metadata(visit)
    return made


def listed(paths):
    overview = json.loads((paths.catalog_dir / 'overview.json').read_bytes())
    return [visit['id'] for visit in overview['visits']]


def statuses(records):
    return {record['visit_id']: record['status'] for record in records}


def test_a_record_says_what_was_added(described, add):
    (record,) = add()
    assert record['action'] == 'icf_catalog'
    assert (record['status'], record['type']) == ('ok', 'directory')
    assert record['path'] == str(described.catalog_dir)
    assert (record['study_id'], record['visit_id']) == ('S1', 'V01')
    assert (record['instances'], record['series']) == (5, 2)
    assert record['message'] == 'V01: 5 images in 2 series'


def test_the_page_of_a_record_is_one_of_the_catalog(described, add):
    (record,) = add()
    page, _, route = record['page'].partition('#')
    assert (described.catalog_dir / page).exists()
    identity, version = route.split('/')[-2:]
    assert (described.catalog_dir / 'metadata' / identity / version).is_dir()


def test_a_second_run_is_not_needed(described, add):
    add()
    assert add()[0]['status'] == 'notneeded'


def test_all_visits_have_one_record_each(visits, add):
    assert statuses(add('*')) == dict.fromkeys(('V01', 'V02', 'V03'), 'ok')
    assert statuses(add('*')) == dict.fromkeys(('V01', 'V02', 'V03'), 'notneeded')


def test_a_pattern_adds_the_visits_that_match_and_drops_none(visits, add):
    add('*')
    visits[0].tarball_metadata.unlink()
    assert statuses(add('V0[23]')) == dict.fromkeys(('V02', 'V03'), 'notneeded')
    assert listed(visits[0]) == ['V01', 'V02', 'V03']


def test_all_visits_drop_those_that_are_gone(visits, add):
    add('*')
    visits[1].tarball_metadata.unlink()
    visits[1].dicoms_metadata.unlink()
    records = add('*')
    assert statuses(records)['V02'] == 'ok'
    assert 'dropped' in records[-1]['message']
    assert listed(visits[0]) == ['V01', 'V03']


def test_all_visits_drop_the_last_one(described, add):
    add()
    described.tarball_metadata.unlink()
    described.dicoms_metadata.unlink()
    (record,) = add('*')
    assert (record['visit_id'], record['status']) == ('V01', 'ok')
    assert listed(described) == []


def test_a_visit_without_metadata_names_the_file_and_the_step(archived, add):
    (record,) = add()
    assert record['status'] == 'impossible'
    assert str(archived.tarball_metadata) in record['message']
    assert 'icf-deposit-metadata' in record['message']


@pytest.mark.parametrize('name', ['tarball_metadata', 'dicoms_metadata'])
def test_damaged_metadata_stop_that_visit_alone(visits, add, name):
    damaged = getattr(visits[1], name)
    damaged.write_bytes(damaged.read_bytes()[:-9])
    records = add('*')
    assert statuses(records) == {'V01': 'ok', 'V02': 'impossible', 'V03': 'ok'}
    (message,) = (r['message'] for r in records if r['visit_id'] == 'V02')
    assert str(damaged) in message
    assert listed(visits[0]) == ['V01', 'V03']


def test_damaged_metadata_of_a_visit_that_is_listed_leave_it_there(visits, add):
    add('*')
    visits[1].dicoms_metadata.write_text('[')
    assert statuses(add('*'))['V02'] == 'impossible'
    assert listed(visits[0]) == ['V01', 'V02', 'V03']


def test_a_study_without_metadata_is_impossible(archived, add):
    (record,) = add('*')
    assert record['status'] == 'impossible'
    assert f'_metadata_tarball.json in {archived.study_dir}' in record['message']
    assert 'icf-deposit-metadata' in record['message']
    assert not archived.catalog_dir.exists()


def test_a_study_that_does_not_exist_is_impossible(add, paths):
    (record,) = add()
    assert record['status'] == 'impossible'
    assert not paths.store_dir.exists()


def test_more_visits_than_appear_together_are_all_in(described, add, monkeypatch):
    monkeypatch.setattr('datalad_icf.commands.catalog._BATCH', 2)
    names = [f'V0{n}' for n in range(1, 6)]
    for name in names[1:]:
        other = VisitPaths(described.store_dir, Visit('S1', name))
        shutil.copy(described.tarball_metadata, other.tarball_metadata)
        shutil.copy(described.dicoms_metadata, other.dicoms_metadata)
    assert statuses(add('*')) == dict.fromkeys(names, 'ok')
    assert listed(described) == names


@pytest.mark.parametrize(
    ('option', 'value'),
    [
        ('max_files', 'many'),
        ('timezone', 'Nowhere/At all'),
        ('store_url', 'ftp://example.org'),
        ('config_file', 'absent.json'),
    ],
)
def test_a_wrong_option_is_refused(described, add, option, value):
    with pytest.raises(CommandParametrizationError):
        add(**{option: value})
    assert not described.catalog_dir.exists()


def test_the_time_zone_is_that_of_the_option(described, add):
    record = json.loads(described.tarball_metadata.read_bytes())
    record['mtime'] = 1_374_100_200  # 22:30 UTC
    described.tarball_metadata.write_text(json.dumps(record))
    for zone, date in (('UTC', '2013-07-17'), ('Europe/Berlin', '2013-07-18')):
        add(timezone=zone)
        overview = json.loads((described.catalog_dir / 'overview.json').read_bytes())
        assert overview['visits'][0]['date'] == date


def test_the_facility_is_that_of_the_configuration(described, add, configure, tmp_path):
    own = tmp_path / 'brand.yaml'
    own.write_text('catalog_name: At Home\n')
    configure('datalad.icf.catalog-config', str(own))
    add()
    config = json.loads((described.catalog_dir / 'config.json').read_bytes())
    assert config['catalog_name'] == 'At Home'


def test_a_logo_that_is_absent_is_an_error_with_its_name(described, add, tmp_path):
    own = tmp_path / 'brand.json'
    own.write_text('{"logo_path": "absent.png"}')
    (record,) = add(config_file=own)
    assert record['status'] == 'error'
    assert 'absent.png' in record['message']


def test_a_shell_gets_the_record_as_json(described, run_datalad):
    done = run_datalad(*COMMAND)
    assert done.code == 0, done.stderr
    assert done.record['status'] == 'ok'
    assert done.record['instances'] == 5


def test_a_shell_shows_a_line_for_each_visit(visits, run):
    done = run('datalad', *ALL)
    assert done.code == 0, done.stderr
    assert done.stdout.count('icf_catalog(ok)') == 3
    assert 'Warning' not in done.stderr


def test_a_failure_is_told_by_the_exit_code(archived, run_datalad):
    done = run_datalad(*COMMAND)
    assert (done.code, done.record['status']) == (1, 'impossible')
    assert 'Traceback' not in done.stderr


def test_several_commands_at_once_add_all_their_visits(visits, run_datalad):
    argv = [[*COMMAND[:3], f'V0{n}', *COMMAND[4:]] for n in (1, 2, 3)]
    with ThreadPoolExecutor() as pool:
        done = list(pool.map(lambda a: run_datalad(*a), argv))
    assert [d.record['status'] for d in done] == ['ok'] * 3
    assert listed(visits[0]) == ['V01', 'V02', 'V03']


def test_the_command_of_datalad_catalog_takes_all_records(
    described, run_datalad, tmp_path
):
    """As a user would check them, against the schema of the catalog"""
    run_datalad(*COMMAND)
    records = tmp_path / 'records.jsonl'
    with records.open('w') as file:
        for path in (described.catalog_dir / 'metadata').rglob('*.json'):
            node = json.loads(path.read_bytes())
            if node.get('type') == 'dataset':
                found = [node, *(c for c in node['children'] if c['type'] == 'file')]
            elif node.get('type') == 'directory':
                found = [c for c in node['children'] if c['type'] == 'file']
            else:
                continue
            file.writelines(json.dumps(record) + '\n' for record in found)
    done = run_datalad('catalog-validate', '-c', described.catalog_dir, '-m', records)
    assert done.code == 0, done.stdout + done.stderr
    assert len(done.records) == 7
    assert {record['status'] for record in done.records} == {'ok'}


def test_the_help_has_an_example_for_a_shell(run):
    text = run('datalad', 'icf-catalog', '--help').stdout
    assert 'datalad icf-catalog --id my-study P000123' in text
    assert "datalad icf-catalog --id my-study '*'" in text


def test_the_help_of_python_has_an_example():
    assert "icf_catalog(id=('my-study', 'P000123'))" in datalad.api.icf_catalog.__doc__


def test_a_visit_that_comes_meanwhile_is_not_dropped(visits, add, monkeypatch):
    add('*')
    # as the list was before V03 came
    found = commands.find_visits
    monkeypatch.setattr(commands, 'find_visits', lambda *a, **k: found(*a, **k)[:2])
    assert statuses(add('*')) == dict.fromkeys(('V01', 'V02'), 'notneeded')
    monkeypatch.undo()
    assert statuses(add('V03')) == {'V03': 'notneeded'}


def test_a_visit_with_one_of_its_files_lost_is_an_error_that_names_it(visits, add):
    add('*')
    lost = visits[1].tarball_metadata
    lost.unlink()
    records = {r['visit_id']: r for r in add('*')}
    assert records['V02']['status'] == 'impossible'
    assert str(lost) in records['V02']['message']


def test_messages_say_which_visit(visits, add):
    assert [r['message'].split(':')[0] for r in add('*')] == ['V01', 'V02', 'V03']
