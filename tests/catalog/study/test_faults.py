"""Whatever happens to an update: what is served fits together, and heals

Processes are real, and so are their deaths.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

# Adds visits, and kills itself before the n-th change of the store.
UPDATE = """
import os, signal, sys, warnings
from pathlib import Path

warnings.simplefilter('ignore')
from datalad_icf.catalog import CatalogSettings, update_catalog
from datalad_icf.store import Visit, VisitPaths

store, left, kept = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
names = sys.argv[4:]
config = os.environ.get('CATALOG_CONFIG')
settings = CatalogSettings(config_file=Path(config) if config else None)

def count_down(event, args):
    global left
    if event not in ('os.mkdir', 'os.rename', 'os.remove', 'os.rmdir'):
        return
    # what is staged is seen by nobody
    paths = [str(a) for a in args if isinstance(a, str) or hasattr(a, '__fspath__')]
    if event != 'os.rmdir' and event != 'os.remove':
        if not any('/catalog' in p and '.part' not in p for p in paths):
            return
    left -= 1
    if left == -1:
        os.kill(os.getpid(), signal.SIGKILL)

def paths_of(name):
    return VisitPaths(store, Visit('S1', name))

sys.addaudithook(count_down)
if kept != '-':
    for path in paths_of('*').study_dir.glob('*_metadata_*.json'):
        if path.name.split('_metadata_')[0] not in kept.split(','):
            path.unlink()
    with update_catalog(paths_of('*'), CatalogSettings()) as update:
        gone = update.drop_gone()
        update.commit()
        update.sweep()
for name in names:
    with update_catalog(paths_of('*'), settings) as update:
        update.add(paths_of(name))
        update.commit()
"""


def start(run, catalog, *names, moment=10**9, kept='-', config=''):
    done = run(
        *(sys.executable, '-c', UPDATE, catalog.paths.store_dir, moment, kept, *names),
        env={'CATALOG_CONFIG': str(config)},
    )
    assert done.code in (0, -signal.SIGKILL), done.stderr
    return done.code != 0


@pytest.mark.parametrize('exists', [True, False], ids=['updated', 'created'])
def test_of_many_processes_at_once_all_visits_are_in(run, deposit, catalog, exists):
    names = [f'V{number:02d}' for number in range(32)]
    for name in names:
        deposit(name)
    if exists:
        catalog.update(names[0])
    shares = [names[number::8] for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda share: start(run, catalog, *share), shares))
    assert catalog.listed == names
    assert [v['id'] for v in catalog.overview['visits']] == names
    catalog.assert_consistent()


def test_of_many_processes_that_add_the_same_visit_it_is_in_once(run, deposit, catalog):
    deposit('V01')
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: start(run, catalog, 'V01', 'V01'), range(4)))
    assert catalog.listed == ['V01']
    assert catalog.visit()['name'] == 'V01'


def test_a_kill_before_any_change_of_an_update_leaves_what_fits_together(
    run, deposit, catalog, tmp_path
):
    for name in ('V01', 'V02', 'V03'):
        deposit(name)
    catalog.update('V01', 'V02')
    deposit('V02', md5='f' * 32)
    before = tmp_path / 'before'
    shutil.copytree(catalog.paths.study_dir, before)
    catalog.update('V02')
    catalog.update('V03')
    finished = catalog.files()

    def reset():
        shutil.rmtree(catalog.paths.study_dir)
        shutil.copytree(before, catalog.paths.study_dir)

    reset()
    moment = 0
    while start(run, catalog, 'V02', 'V03', moment=moment):
        catalog.assert_consistent()
        assert set(catalog.listed) >= {'V01', 'V02'}
        catalog.update('V02')
        catalog.update('V03')
        left = catalog.files()
        assert left.keys() == finished.keys(), f'after a kill before change {moment}'
        catalog.assert_consistent()
        reset()
        moment += 1
    assert moment >= 8
    assert catalog.files() == finished


def test_a_kill_of_an_update_heals_when_another_visit_is_added(
    run, deposit, catalog, tmp_path
):
    for name in ('V01', 'V02'):
        deposit(name)
    catalog.update('V01')
    deposit('V01', md5='f' * 32)
    before = tmp_path / 'before'
    shutil.copytree(catalog.paths.study_dir, before)
    moment = 0
    while start(run, catalog, 'V01', moment=moment):
        catalog.update('V02')
        assert catalog.listed == ['V01', 'V02']
        catalog.assert_consistent()
        versions = {
            v['id']: v['page'].split('/')[-1] for v in catalog.overview['visits']
        }
        assert versions == {
            v['dataset_path']: v['dataset_version']
            for v in catalog.study['subdatasets']
        }, f'the pages disagree after a kill before change {moment}'
        shutil.rmtree(catalog.paths.study_dir)
        shutil.copytree(before, catalog.paths.study_dir)
        moment += 1
    assert moment >= 4


def test_a_kill_before_any_change_of_the_first_update_heals(run, deposit, catalog):
    deposit('V01')
    catalog.update('V01')
    finished = catalog.files()

    def reset():
        shutil.rmtree(catalog.location, ignore_errors=True)
        shutil.rmtree(catalog.paths.study_dir / '.catalog.part', ignore_errors=True)

    reset()
    moment = 0
    while start(run, catalog, 'V01', moment=moment):
        catalog.assert_consistent()
        catalog.update('V01')
        assert catalog.files() == finished
        reset()
        moment += 1
    assert moment >= 4
    assert catalog.files() == finished


def test_a_kill_while_name_and_colours_change_heals(run, deposit, catalog, tmp_path):
    deposit('V01')
    catalog.update('V01')
    config = tmp_path / 'brand.json'
    config.write_text('{"catalog_name": "Imaging", "link_color": "#112233"}')
    before = tmp_path / 'before'
    shutil.copytree(catalog.paths.study_dir, before)
    catalog.update('V01', config_file=config)
    finished = catalog.files()
    moment = 0
    while True:
        shutil.rmtree(catalog.paths.study_dir)
        shutil.copytree(before, catalog.paths.study_dir)
        if not start(run, catalog, 'V01', moment=moment, config=config):
            break
        catalog.update('V01', config_file=config)
        assert catalog.files() == finished, f'after a kill before change {moment}'
        moment += 1
    assert moment >= 4


def test_a_kill_while_visits_are_dropped_leaves_nothing_of_them_in_the_end(
    run, deposit, catalog, tmp_path
):
    """Whoever removes a visit wants that nobody can read it any more"""
    for name in ('V01', 'V02', 'V03'):
        deposit(name)
    catalog.update('V01', 'V02', 'V03')
    before = tmp_path / 'before'
    shutil.copytree(catalog.paths.study_dir, before)
    moment = 0
    while start(run, catalog, kept='V02', moment=moment):
        if catalog.study_file.exists():
            assert set(catalog.listed) in ({'V02'}, {'V01', 'V02', 'V03'})
        catalog.rebuild('V02')
        assert catalog.listed == ['V02']
        catalog.assert_consistent()
        for name in ('V01', 'V03'):
            assert not catalog.visit_directory(name).exists(), f'after kill {moment}'
        shutil.rmtree(catalog.paths.study_dir)
        shutil.copytree(before, catalog.paths.study_dir)
        moment += 1
    assert moment >= 4


ADD = ['icf-catalog', '--id', 'S1', '*', '-o', 'store']


@pytest.mark.parametrize('blocks', [8, 64, 400])
@pytest.mark.parametrize('exists', [True, False], ids=['updated', 'created'])
def test_a_full_disk_is_an_error_and_the_next_run_works(
    run, run_datalad, datalad_argv, deposit, catalog, blocks, exists
):
    series = tuple(
        {'SeriesNumber': n, 'SeriesDescription': f'{n}' * 60} for n in range(300)
    )
    if exists:
        deposit('V00')
        catalog.update('V00')
        before = catalog.files()
    deposit('V01', series, copies=5)
    full = run(
        *('sh', '-c', f'ulimit -f {blocks}; exec "$@"', 'sh', *datalad_argv, *ADD),
        # what measures coverage writes files, too
        env={'COVERAGE_PROCESS_START': '', 'COVERAGE_PROCESS_CONFIG': ''},
    )
    if full.code == 0:
        pytest.skip('the limit was high enough')
    assert 'Traceback' not in full.stderr
    statuses = [record['status'] for record in full.records]
    assert 'error' in statuses
    assert 'File too large' in full.stdout
    if exists:
        assert catalog.files() == before
    assert not (catalog.paths.study_dir / '.catalog.part').exists()
    again = run_datalad(*ADD)
    assert again.code == 0, again.stdout + again.stderr
    assert catalog.listed == (['V00', 'V01'] if exists else ['V01'])
    catalog.assert_consistent()


@pytest.mark.skipif(os.geteuid() == 0, reason='root may write anywhere')
def test_a_read_only_study_is_impossible(run_datalad, deposit, catalog):
    deposit('V01')
    catalog.paths.study_dir.chmod(0o555)
    done = run_datalad(*ADD)
    catalog.paths.study_dir.chmod(0o755)
    assert (done.code, done.record['status']) == (1, 'impossible')
    assert not catalog.location.exists()


def test_what_a_killed_run_staged_is_removed(deposit, catalog):
    deposit('V01')
    staged = catalog.paths.study_dir / '.catalog.part' / 'metadata'
    staged.mkdir(parents=True)
    (staged / 'x').write_text('x')
    catalog.update('V01')
    assert not staged.parent.exists()
    assert 'metadata/x' not in catalog.files()
