"""The Snakemake workflow, with the real snakemake on two cores"""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from shutil import copytree

import datalad.api as dl
import pytest
import yaml

from datalad_icf.catalog import read_entries
from demo.phantom import LOCALIZER, write_phantom

WORKFLOW = Path(__file__).parents[2] / 'workflow'
LOCAL = WORKFLOW / 'profiles' / 'local'
SLURM = WORKFLOW / 'profiles' / 'slurm'
URL = 'https://store.example.org'


@pytest.fixture(scope='module', autouse=True)
def _has_snakemake() -> None:
    if importlib.util.find_spec('snakemake'):
        return
    if os.environ.get('ICF_REQUIRE_SNAKEMAKE') and sys.version_info >= (3, 11):
        pytest.fail('ICF_REQUIRE_SNAKEMAKE is set, but there is no snakemake')
    pytest.skip('there is no snakemake, which needs Python 3.11')


class Study:
    """A directory in which the workflow runs, with exports and a store"""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.exports = directory / 'exports'
        self.store = directory / 'store'

    def export(self, *names: str) -> None:
        """Make small visits"""
        for name in names:
            write_phantom(
                self.exports / name, series=(LOCALIZER,), visit=name, rows=2, columns=2
            )

    def argv(
        self, *args: str, profile: Path = LOCAL, **settings: object
    ) -> tuple[list[str], dict[str, str]]:
        settings = {'study': 'S1', 'store_url': URL, **settings}
        config = [f'{name}={value}' for name, value in settings.items()]
        argv = [sys.executable, '-m', 'snakemake', '-s', str(WORKFLOW / 'Snakefile')]
        argv += ['--workflow-profile', str(profile), '--cores', '2', *args]
        caches = {'XDG_CACHE_HOME': str(self.directory / 'cache')}
        return [*argv, '--config', *config], {**os.environ, **caches}

    def run(self, *args: str, **settings: object) -> subprocess.CompletedProcess[str]:
        """Run snakemake to its end; what it tells is its standard output"""
        argv, env = self.argv(*args, **settings)
        return subprocess.run(
            argv,
            check=False,
            cwd=self.directory,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )

    def verify(self) -> dict[str, str]:
        """Status of each visit in the store"""
        records = dl.icf_verify(
            id=('S1', '*'),
            store_dir=self.store,
            result_renderer='disabled',
            on_failure='ignore',
        )
        return {record['visit_id']: record['status'] for record in records}

    def in_catalog(self) -> list[str]:
        """Visits that the catalog shows"""
        return sorted(read_entries(self.store / 'S1' / 'catalog', 'S1'))


@pytest.fixture
def study(tmp_path) -> Study:
    """A study without any visit yet"""
    return Study(tmp_path)


@pytest.fixture(scope='module')
def finished(tmp_path_factory) -> Study:
    """A study of four visits of which all is done, and that is not to be changed"""
    study = Study(tmp_path_factory.mktemp('finished'))
    study.export('V01', 'V02', 'V03', 'visit four')
    done = study.run(dicomweb=True)
    assert done.returncode == 0, done.stdout
    return study


@pytest.fixture
def copy(finished, tmp_path) -> Study:
    """A copy of it"""
    return Study(copytree(finished.directory, tmp_path / 'copy'))


def snapshot(directory: Path) -> dict[str, tuple[int, int]]:
    """Size and time of all files"""
    return {
        str(path): (path.lstat().st_size, path.lstat().st_mtime_ns)
        for path in directory.rglob('*')
        if path.is_file() and not path.name.endswith('.lock')
    }


def test_all_visits_are_whole_and_in_the_catalog(finished):
    visits = ['V01', 'V02', 'V03', 'visit four']
    assert finished.verify() == dict.fromkeys(visits, 'ok')
    assert finished.in_catalog() == visits
    for name in visits:
        assert (finished.store / 'S1' / f'{name}_XDLRA--refs').exists()
    assert (finished.store / 'S1' / 'dicomweb' / 'studies').is_dir()
    log = finished.directory / 'icf-work' / 'S1' / 'logs' / 'V01' / 'dataset.log'
    assert f'url={URL}/S1/V01_' in log.read_text()


def test_a_second_run_has_nothing_to_do(finished):
    before = snapshot(finished.store)
    done = finished.run(dicomweb=True)
    assert done.returncode == 0
    assert 'Nothing to be done' in done.stdout
    assert snapshot(finished.store) == before


def test_no_file_of_store_or_exports_is_an_output(copy):
    """Whatever snakemake removes, it is no image"""
    before = snapshot(copy.store) | snapshot(copy.exports)
    done = copy.run('--delete-all-output', dicomweb=True)
    assert done.returncode == 0, done.stdout
    assert not (copy.directory / 'icf-work' / 'S1' / 'archive' / 'V01').exists()
    assert snapshot(copy.store) | snapshot(copy.exports) == before
    # what was done is found out again
    done = copy.run(dicomweb=True)
    assert done.returncode == 0, done.stdout
    assert snapshot(copy.store) | snapshot(copy.exports) == before


def test_an_image_that_comes_late_is_told_and_nothing_is_replaced(copy):
    time.sleep(0.01)
    (copy.exports / 'V02' / 'late.dcm').write_bytes(b'late')
    before = snapshot(copy.store)
    done = copy.run(dicomweb=True)
    assert done.returncode != 0
    assert 'V02_dicom.tar exists, and is not what these files make' in done.stdout
    assert snapshot(copy.store) == before


def test_a_visit_that_comes_later_is_added(copy):
    copy.export('V05')
    done = copy.run(dicomweb=True)
    assert done.returncode == 0, done.stdout
    # the five steps of this visit, the catalog, and `all`
    assert '7 of 7 steps' in done.stdout
    assert 'V05' in copy.in_catalog()
    assert len(copy.verify()) == 5


def test_a_dry_run_changes_nothing(study):
    study.export('V01', 'V02')
    done = study.run('--dry-run')
    assert done.returncode == 0
    assert 'archive         2' in done.stdout
    assert not study.store.exists()
    assert not (study.directory / 'icf-work').exists()


def test_a_visit_that_fails_does_so_alone_and_is_done_later(study):
    study.export('V01', 'V02')
    (study.exports / 'V02' / 'link').symlink_to('nowhere')
    done = study.run()
    assert done.returncode != 0
    assert 'symbolic link' in done.stdout
    assert study.verify() == {'V01': 'ok'}
    assert study.in_catalog() == ['V01']
    (study.exports / 'V02' / 'link').unlink()
    done = study.run()
    assert done.returncode == 0, done.stdout
    assert study.verify() == {'V01': 'ok', 'V02': 'ok'}
    assert study.in_catalog() == ['V01', 'V02']


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts snakemake in a process group of its own, which is killed in the end"""
    started = []

    def popen(study: Study) -> subprocess.Popen[bytes]:
        argv, env = study.argv()
        process = subprocess.Popen(
            argv,
            cwd=study.directory,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield popen
    for process in started:
        kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and its children, as a machine that goes down does"""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_a_run_that_was_killed_is_completed(study, start):
    study.export('V01', 'V02', 'V03')
    process = start(study)
    marks = study.directory / 'icf-work' / 'S1'
    deadline = time.monotonic() + 120
    while not list(marks.glob('metadata/*')):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    kill(process)
    tarballs = snapshot(study.store)
    assert not (marks / 'catalog').exists()
    done = study.run()
    assert done.returncode == 0, done.stdout
    assert study.verify() == dict.fromkeys(('V01', 'V02', 'V03'), 'ok')
    assert study.in_catalog() == ['V01', 'V02', 'V03']
    # what was there is as it was
    after = snapshot(study.store)
    assert {n: s for n, s in tarballs.items() if n in after} == {
        n: after[n] for n in tarballs if n in after
    }
    assert not list((study.store / 'S1').glob('.*.part'))


@pytest.mark.parametrize(
    ('name', 'settings', 'problem'),
    [
        ('V01', {'study': ''}, 'cannot be the identifier of the study'),
        ('V[1]', {}, 'cannot be the name of a visit'),
        ('V{1}', {}, 'cannot be the name of a visit'),
        ('V01', {'exports': 'none'}, 'cannot list'),
        ('V01', {'work': 'store/work'}, 'must not be in the store'),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_done(study, name, settings, problem):
    (study.exports / name).mkdir(parents=True)
    done = study.run(**settings)
    assert done.returncode != 0
    assert problem in done.stdout
    assert not study.store.exists()


def test_the_profile_for_slurm_fits_the_workflow(study):
    """There is no Slurm here, but its options and groups have to be known"""
    study.export('V01')
    profile = yaml.safe_load((SLURM / 'config.yaml').read_text())
    rules = {rule for rule, _ in (group.split('=') for group in profile['groups'])}
    assert rules == {'archive', 'metadata', 'dataset', 'dicomweb', 'verify'}
    done = study.run('--executor', 'local', '--dry-run', profile=SLURM)
    assert done.returncode == 0, done.stdout
