"""``datalad icf-deposit-dataset`` from the shell, from Python, and for programs"""

from __future__ import annotations

import json

import datalad.api as dl
import pytest
from datalad_next.constraints.exceptions import CommandParametrizationError
from datalad_next.exceptions import IncompleteResultsError

from datalad_icf.dicom import archive_visit, deposit_metadata
from datalad_icf.store import Visit, VisitPaths

STORE_URL = 'https://store.example.org'


@pytest.fixture
def described(archived):
    """A visit with tarball and metadata"""
    deposit_metadata(archived)
    return archived


@pytest.fixture
def study(described, visit_files):
    """Three visits, of which the second has bad metadata"""
    for visit_id in ('V02', 'V03'):
        paths = VisitPaths(described.store_dir, Visit('S1', visit_id))
        archive_visit(paths, visit_files)
        deposit_metadata(paths)
        if visit_id == 'V02':
            paths.dicoms_metadata.write_text('[{"path":')
    return described


@pytest.fixture
def deposit(described):
    """Run the command in Python"""

    def deposit(visit_id='V01', **arguments):
        return dl.icf_deposit_dataset(
            **{
                'id': ('S1', visit_id),
                'store_dir': described.store_dir,
                'store_url': STORE_URL,
                'on_failure': 'ignore',
                'result_renderer': 'disabled',
                'return_type': 'list',
                **arguments,
            }
        )

    return deposit


def test_a_record_has_all_that_a_program_needs(described, deposit):
    (record,) = deposit()
    assert record['status'] == 'ok'
    assert record['action'] == 'icf_deposit_dataset'
    assert record['path'] == str(described.refs)
    assert record['type'] == 'file'
    assert (record['study_id'], record['visit_id']) == ('S1', 'V01')
    assert record['instances'] == 5
    assert record['clone_url'].startswith('datalad-annex::?type=external')
    assert STORE_URL in record['clone_url']
    assert len(record['commit']) == 40
    assert len(record['dataset_id']) == 36
    assert record['warnings'] == []


def test_a_second_run_is_not_needed(deposit):
    first, second = deposit()[0], deposit()[0]
    assert second['status'] == 'notneeded'
    for name in ('clone_url', 'commit', 'dataset_id', 'instances'):
        assert second[name] == first[name]


def test_what_was_lost_is_named(described, deposit):
    deposit()
    described.refs.unlink()
    (record,) = deposit()
    assert record['status'] == 'notneeded'
    assert record['restored'] == [described.refs.name]
    assert described.refs.exists()


def test_another_deposit_is_impossible_unless_replaced(deposit):
    deposit()
    (record,) = deposit(store_url='https://other.example.org')
    assert record['status'] == 'impossible'
    assert '--existing replace' in record['message']
    (record,) = deposit(store_url='https://other.example.org', existing='replace')
    assert record['status'] == 'ok'


def test_a_failure_is_an_exception_by_default(described, deposit):
    described.dicoms_metadata.unlink()
    with pytest.raises(IncompleteResultsError, match='run icf-deposit-metadata'):
        deposit(on_failure='continue')


def test_a_failing_git_is_an_error(deposit, monkeypatch, tmp_path):
    monkeypatch.setenv('PATH', str(tmp_path))
    (record,) = deposit()
    assert record['status'] == 'error'
    assert 'git is not installed' in record['message']


def test_one_bad_visit_does_not_stop_the_others(study, deposit):
    records = {r['visit_id']: r for r in deposit('*')}
    assert {v: r['status'] for v, r in records.items()} == {
        'V01': 'ok',
        'V02': 'impossible',
        'V03': 'ok',
    }
    assert 'V02_metadata_dicoms.json' in records['V02']['message']


def test_a_pattern_that_matches_nothing_is_impossible(deposit):
    (record,) = deposit('X*')
    assert record['status'] == 'impossible'


def test_the_shell_prints_a_line_of_json_for_each_visit(study, run_datalad):
    outcome = run_datalad(
        'icf-deposit-dataset',
        *('--id', 'S1', '*', '-o', study.store_dir, '--store-url', STORE_URL),
    )
    assert outcome.code == 1
    assert [r['status'] for r in outcome.records] == ['ok', 'impossible', 'ok']


def test_the_url_of_the_store_can_be_configured(described, run_datalad):
    outcome = run_datalad(
        'icf-deposit-dataset',
        *('--id', 'S1', 'V01'),
        env={
            'DATALAD_CONFIG_OVERRIDES_JSON': json.dumps(
                {
                    'datalad.icf.store-url': STORE_URL,
                    'datalad.icf.store-dir': str(described.store_dir),
                }
            )
        },
    )
    assert outcome.code == 0
    assert f'url={STORE_URL}/S1/V01_' in outcome.record['clone_url']


def test_an_option_goes_before_the_configuration(described, run, datalad_argv):
    outcome = run(
        *datalad_argv,
        *('-c', 'datalad.icf.store-url=https://configured.example.org'),
        *('icf-deposit-dataset', '--id', 'S1', 'V01', '-o', described.store_dir),
        *('--store-url', STORE_URL),
    )
    assert f'url={STORE_URL}/S1/V01_' in outcome.record['clone_url']


def test_a_password_in_the_url_is_refused_and_never_shown(described, run, datalad_argv):
    outcome = run(
        *datalad_argv,
        *('icf-deposit-dataset', '--id', 'S1', 'V01', '-o', described.store_dir),
        *('--store-url', 'https://me:s3cret@store.example.org'),
    )
    assert outcome.code != 0
    assert 'user or password' in outcome.stdout + outcome.stderr
    assert 's3cret' not in outcome.stdout + outcome.stderr
    assert not described.refs.exists()


def test_a_password_in_the_url_is_refused_in_python_too(deposit):
    with pytest.raises(CommandParametrizationError, match='user or password') as caught:
        deposit(store_url='https://me:s3cret@store.example.org')
    assert 's3cret' not in str(caught.value) + repr(caught.value)


@pytest.mark.parametrize(
    'arguments',
    [
        {'id': ('..', 'V01')},
        {'id': ('S1',)},
        {'id': ('S1', 'a/b')},
        {'store_url': 'ftp://example.org'},
        {'existing': 'maybe'},
    ],
)
def test_wrong_arguments_are_refused(deposit, arguments):
    with pytest.raises(CommandParametrizationError):
        deposit(**arguments)


def test_help_shows_an_example(run, datalad_argv):
    outcome = run(*datalad_argv[:3], 'icf-deposit-dataset', '--help')
    assert outcome.code == 0
    assert 'datalad icf-deposit-dataset --id my-study P000123' in outcome.stdout
