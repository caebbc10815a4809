"""``icf-clone`` of a store in the file system, and what it refuses"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

import datalad.api
import pytest

from datalad_icf.commands import clone_steps
from datalad_icf.dataset import deposit_dataset
from datalad_icf.dicom import deposit_metadata
from datalad_icf.errors import GitError
from datalad_icf.store import Visit, VisitPaths


@pytest.fixture(scope='module')
def clone():
    """Clone, and return the records"""

    def clone(*args, **kwargs):
        return datalad.api.icf_clone(
            *args,
            **kwargs,
            on_failure='ignore',
            result_renderer='disabled',
            return_type='list',
        )

    return clone


@pytest.fixture
def deposited(archived):
    deposit_metadata(archived)
    deposit_dataset(archived, store_url='http://store.test')
    return archived


@pytest.fixture
def clone_visit(clone, deposited):
    return lambda *a, visit='V01', **k: clone(
        *a, **{'id': ('S1', visit), 'store_dir': deposited.store_dir, **k}
    )


def test_a_clone_is_ready_for_single_images(clone_visit, deposited, tmp_path, run):
    target = tmp_path / 'mine'
    (record,) = clone_visit(target)
    assert record['status'] == 'ok'
    assert record['type'] == 'dataset'
    assert record['path'] == str(target)
    assert (record['study_id'], record['visit_id']) == ('S1', 'V01')
    assert record['commit'] in deposited.refs.read_text()
    config = run('git', 'config', 'remote.archivist.annex-externaltype', cwd=target)
    assert config.stdout == 'icf-archivist\n'
    # from the tarball of the store, whose URL does not exist
    done = run('git', 'annex', 'get', 'S1_V01', cwd=target)
    assert done.code == 0
    (again,) = clone_visit(target)
    assert again['status'] == 'notneeded'


def test_a_repository_around_is_left_alone(clone_visit, tmp_path, run, monkeypatch):
    # which DataLad's own clone makes one of git-annex
    run('git', 'init', 'around')
    monkeypatch.chdir(tmp_path / 'around')
    before = run('git', 'config', '--list', '--local', cwd=tmp_path / 'around').stdout
    (record,) = clone_visit('../mine')
    assert record['path'] == str(tmp_path / 'mine')
    assert record['status'] == 'ok'
    after = run('git', 'config', '--list', '--local', cwd=tmp_path / 'around').stdout
    assert after == before


def test_a_newer_deposit_is_brought_to_the_clone_unless_it_has_changes(
    clone_visit, deposited, tmp_path, run
):
    target = tmp_path / 'mine'
    clone_visit(target)
    deposit_dataset(deposited, store_url='http://other.test', replace=True)
    (target / 'own').write_text('')
    (record,) = clone_visit(target)
    assert record['status'] == 'ok'
    assert record['commit'] in deposited.refs.read_text()
    assert (target / 'own').exists()
    whereis = run('git', 'annex', 'whereis', 'icf', cwd=target)
    assert 'http://other.test/S1/V01_dicom.tar' in whereis.stdout
    run('git', '-c', 'user.name=x', '-c', 'user.email=x', 'add', '.', cwd=target)
    deposit_dataset(deposited, store_url='http://third.test', replace=True)
    (record,) = clone_visit(target)
    assert record['status'] == 'impossible'
    assert 'changes of its own' in record['message']


def test_what_was_only_fetched_is_brought_to_the_clone(
    clone_visit, deposited, tmp_path, run
):
    target = tmp_path / 'mine'
    clone_visit(target)
    for url in ('http://other.test', 'http://third.test'):
        deposit_dataset(deposited, store_url=url, replace=True)
        run('git', 'fetch', cwd=target)
    (record,) = clone_visit(target)
    assert record['status'] == 'ok'
    assert record['commit'] in deposited.refs.read_text()
    own = ('-c', 'user.name=x', '-c', 'user.email=x', 'commit', '--allow-empty')
    run('git', *own, '-m', 'own', cwd=target)
    (record,) = clone_visit(target)
    assert record['status'] == 'notneeded'
    assert record['commit'] not in deposited.refs.read_text()


def test_what_is_at_the_place_of_a_clone_stays(clone_visit, tmp_path, run):
    (tmp_path / 'file').write_text('mine')
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full' / 'file').write_text('mine')
    run('git', 'init', 'other')
    for name in ('file', 'full', 'other'):
        (record,) = clone_visit(tmp_path / name)
        assert record['status'] == 'impossible'
        assert 'choose another place' in record['message']
    assert (tmp_path / 'file').read_text() == 'mine'
    assert (tmp_path / 'full' / 'file').read_text() == 'mine'


def test_a_clone_that_fails_leaves_nothing_behind(clone_visit, deposited, tmp_path):
    deposited.repo_export.write_bytes(b'damaged')
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'link').symlink_to('empty')
    for target in (tmp_path / 'a' / 'b' / 'mine', tmp_path / 'link'):
        (record,) = clone_visit(target)
        assert record['status'] == 'error'
        assert 'S1/V01 cannot be cloned' in record['message']
    assert not (tmp_path / 'a').exists()
    assert not any((tmp_path / 'empty').iterdir())


# ends as if it was killed, when all but the last step is done
KILLED = """
import os, sys
import datalad.api
from datalad_icf.commands import clone_steps
setattr(clone_steps, sys.argv[3], lambda *_: os._exit(9))
datalad.api.icf_clone(sys.argv[1], id=('S1', 'V01'), store_dir=sys.argv[2])
"""


@pytest.mark.parametrize('step', ['set_up_clone', 'put_in_place'])
@pytest.mark.parametrize('is_there', [False, True])
def test_a_clone_that_was_killed_is_made_again(
    clone_visit, deposited, tmp_path, run, step, is_there
):
    place = tmp_path / 'place'
    place.mkdir()
    target = place / 'mine'
    if is_there:
        target.mkdir()
    run(sys.executable, '-c', KILLED, target, deposited.store_dir, step)
    assert not (target / '.git').exists()
    (record,) = clone_visit(target)
    assert record['status'] == 'ok', record['message']
    assert [p.name for p in place.iterdir()] == ['mine']
    assert run('git', 'status', '--porcelain', cwd=target).stdout == ''
    assert run('git', 'annex', 'get', 'S1_V01', cwd=target).code == 0
    here = run('git', 'annex', 'info', '--fast', cwd=target).stdout
    assert re.search(rf'@\S+:\S*{target.name} \[here\]', here)


def test_two_processes_make_one_clone(deposited, tmp_path):
    place = tmp_path / 'place'
    arguments = ('--id', 'S1', 'V01', place / 'super' / 'V01', '-o')
    command = ['datalad', '-f', 'json', 'icf-clone', *arguments, deposited.store_dir]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    records = [json.loads(process.communicate()[0]) for process in both]
    assert {r['status'] for r in records} == {'ok', 'notneeded'}, records
    assert [p.name for p in (place / 'super').iterdir()] == ['V01']


def test_a_clone_that_something_else_left_unfinished_is_told(
    clone_visit, tmp_path, run
):
    target = tmp_path / 'mine'
    (record,) = clone_visit(target)
    run('git', 'init', 'unfinished')
    config = ('config', 'remote.origin.url', record['clone_url'])
    run('git', *config, cwd=tmp_path / 'unfinished')
    (record,) = clone_visit(tmp_path / 'unfinished')
    assert record['status'] == 'impossible'
    assert 'not finished; remove it' in record['message']


@pytest.mark.parametrize('visit', ['V02', 'X*'])
def test_a_visit_that_is_not_there_is_told(clone_visit, tmp_path, visit):
    for arguments in ({}, {'superdataset': tmp_path / 'super'}):
        (record,) = clone_visit(visit=visit, **arguments)
        assert record['status'] == 'impossible'
    assert not (tmp_path / 'super').exists()


def test_there_is_one_store_and_one_place(clone_visit, tmp_path):
    for arguments in (
        {'store_url': 'http://store.test'},
        {'target': tmp_path / 'a', 'superdataset': tmp_path / 'b'},
    ):
        (record,) = clone_visit(**arguments)
        assert record['status'] == 'impossible'
        assert 'either' in record['message'] or 'two stores' in record['message']


def test_a_clone_of_datalad_is_set_up(clone_visit, deposited, tmp_path, run):
    # as in the guide
    place = f'url=file://{deposited.store_dir}/S1/V01_{{{{annex_key}}}}'
    kind = 'type=external&externaltype=uncurl&encryption=none'
    run('datalad', 'clone', f'datalad-annex::?{kind}&{place}', 'mine')
    (record,) = clone_visit(tmp_path / 'mine')
    assert record['status'] == 'notneeded', record['message']
    assert run('git', 'annex', 'get', 'S1_V01', cwd=tmp_path / 'mine').code == 0


def test_the_url_of_a_directory_is_a_store_in_the_file_system(
    clone, deposited, tmp_path, run
):
    store = {'store_url': deposited.store_dir.as_uri()}
    (record,) = clone(tmp_path / 'mine', id=('S1', 'V01'), **store)
    assert record['status'] == 'ok'
    # from the tarball of the store, whose URL does not exist
    done = run('git', 'annex', 'get', 'S1_V01', cwd=tmp_path / 'mine')
    assert done.code == 0


def test_somebody_whom_git_does_not_know_is_told_once(
    clone_visit, tmp_path, monkeypatch
):
    (tmp_path / 'empty').mkdir()
    for name in ('AUTHOR', 'COMMITTER'):
        monkeypatch.delenv(f'GIT_{name}_NAME', raising=False)
        monkeypatch.delenv(f'GIT_{name}_EMAIL', raising=False)
    monkeypatch.setenv('HOME', str(tmp_path / 'empty'))
    # git would take a name from the system
    (tmp_path / 'config').write_text('[user]\nuseConfigOnly = true\n')
    monkeypatch.setenv('GIT_CONFIG_GLOBAL', str(tmp_path / 'config'))
    for arguments in ({}, {'superdataset': tmp_path / 'new'}):
        (record,) = clone_visit(visit='V*', **arguments)
        assert record['status'] == 'impossible'
        assert 'git config --global user.email' in record['message']
    assert not (tmp_path / 'new').exists()


def test_a_superdataset_without_visits_is_removed(clone_visit, deposited, tmp_path):
    deposited.repo_export.write_bytes(b'damaged')
    (record,) = clone_visit(superdataset=tmp_path / 'new')
    assert record['status'] == 'error'
    assert not (tmp_path / 'new').exists()


def test_a_superdataset_has_what_the_store_has_not_any_more(
    clone_visit, deposited, tmp_path, monkeypatch
):
    monkeypatch.setattr('datalad_icf.commands.clone_study._AT_ONCE', 1)
    more = VisitPaths(deposited.store_dir, Visit('S1', 'V02'))
    shutil.copy(deposited.refs, more.refs)
    shutil.copy(deposited.repo_export, more.repo_export)
    arguments = {'superdataset': tmp_path / 'all'}
    *_, last = clone_visit(visit='V*', **arguments)
    assert last['message'] == '2 visits as subdatasets'
    more.refs.unlink()
    first, gone, last = clone_visit(visit='V*', **arguments)
    assert first['status'] == gone['status'] == last['status'] == 'notneeded'
    assert gone['path'] == str(tmp_path / 'all' / 'V02')
    assert 'does not have it any more' in gone['message']
    assert (tmp_path / 'all' / 'V02' / '.git').exists()
    assert last['message'] == 'there already: 1 visit as a subdataset'


def test_a_superdataset_has_what_was_cloned_before_it_was_killed(
    clone_visit, deposited, tmp_path, monkeypatch, run
):
    monkeypatch.setattr('datalad_icf.commands.clone_study._AT_ONCE', 1)
    more = VisitPaths(deposited.store_dir, Visit('S1', 'V02'))
    shutil.copy(deposited.refs, more.refs)
    seen = []

    def spy(*_args):
        seen.append(run('git', 'ls-files', cwd=tmp_path / 'all').stdout.split())
        raise GitError('ended here')

    place = 'datalad_icf.commands.clone_steps._make'
    make = clone_steps._make
    monkeypatch.setattr(place, lambda *a: make(*a) if a[0].name == 'V01' else spy(*a))
    clone_visit(visit='V*', superdataset=tmp_path / 'all')
    assert 'V01' in seen[0]


def test_several_visits_are_cloned_at_once(clone_visit, deposited, tmp_path, run):
    for number in range(2, 6):
        more = VisitPaths(deposited.store_dir, Visit('S1', f'V0{number}'))
        shutil.copy(deposited.refs, more.refs)
        shutil.copy(deposited.repo_export, more.repo_export)
    more.repo_export.write_bytes(b'damaged')
    arguments = {'visit': 'V*', 'superdataset': tmp_path / 'all', 'jobs': 2}
    *records, last = clone_visit(**arguments)
    statuses = {record['visit_id']: record['status'] for record in records}
    assert statuses == {**{f'V0{n}': 'ok' for n in range(1, 5)}, 'V05': 'error'}
    assert last['message'] == '4 visits as subdatasets'
    assert run('git', 'status', '--porcelain', cwd=tmp_path / 'all').stdout == ''
    assert not [p for p in (tmp_path / 'all').iterdir() if 'icf-clone' in p.name]
    shutil.copy(deposited.repo_export, more.repo_export)
    *records, last = clone_visit(**arguments)
    statuses = {record['visit_id']: record['status'] for record in records}
    assert statuses == {**{f'V0{n}': 'notneeded' for n in range(1, 5)}, 'V05': 'ok'}
    assert last['message'] == '5 visits as subdatasets'


def test_a_superdataset_is_made_where_nothing_is(clone_visit, tmp_path):
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full' / 'file').write_text('mine')
    (record,) = clone_visit(superdataset=tmp_path / 'full')
    assert record['status'] == 'impossible'
    assert [p.name for p in (tmp_path / 'full').iterdir()] == ['file']
