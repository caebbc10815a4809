"""Whatever ends a process: there is the finished deposit or none, and the next works"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time

import pytest

from datalad_icf.dataset import deposit_dataset, export
from datalad_icf.dicom import deposit_metadata
from datalad_icf.errors import GitError, IcfError, StoreAccessError, StoreWriteError

STORE_URL = 'https://store.example.org'
FINISHED = ['V01_XDLRA--refs', 'V01_XDLRA--repo-export']


@pytest.fixture
def described(archived):
    """A visit with tarball and metadata"""
    deposit_metadata(archived)
    return archived


@pytest.fixture
def deposited_files(described):
    """Names of the files of datasets, finished or not"""
    return lambda: sorted(
        p.name for p in described.study_dir.iterdir() if 'XDLRA' in p.name
    )


@pytest.fixture
def expected(described, tmp_path):
    """What an undisturbed run makes"""
    twin = type(described)(tmp_path / 'twin', described.visit)
    shutil.copytree(described.store_dir, twin.store_dir)
    deposit_dataset(twin, store_url=STORE_URL)
    return twin.refs.read_bytes(), twin.repo_export.read_bytes()


def assert_next_run_works(paths, expected):
    deposit_dataset(paths, store_url=STORE_URL)
    assert (paths.refs.read_bytes(), paths.repo_export.read_bytes()) == expected
    assert [p for p in paths.study_dir.iterdir() if p.name.startswith('.')] == []


@pytest.mark.parametrize('command', ['init', 'fast-import', 'for-each-ref'])
def test_a_kill_of_the_command_leaves_no_deposit_and_the_next_run_works(
    described, deposited_files, expected, datalad_argv, tmp_path, command
):
    # a git that gets stuck, so that there is time to kill
    program = tmp_path / 'bin' / 'git'
    program.parent.mkdir()
    program.write_text(
        '#!/bin/sh\n'
        f'case " $* " in *" {command} "*) touch {tmp_path}/stuck; sleep 60;; esac\n'
        f'exec {shutil.which("git")} "$@"\n'
    )
    program.chmod(0o755)
    (tmp_path / 'tmp').mkdir()
    process = subprocess.Popen(
        [
            *datalad_argv,
            'icf-deposit-dataset',
            *('--id', 'S1', 'V01', '-o', str(described.store_dir)),
            *('--store-url', STORE_URL),
        ],
        env={
            **os.environ,
            'PATH': f'{program.parent}{os.pathsep}{os.environ["PATH"]}',
            'TMPDIR': str(tmp_path / 'tmp'),
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / 'stuck').exists():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    parts = [n for n in deposited_files() if n.endswith('.part')]
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert len(parts) == 2
    assert deposited_files() == parts
    assert_next_run_works(described, expected)


KILLED = """
import os, signal, sys
from pathlib import Path
from datalad_icf.dataset import deposit_dataset
from datalad_icf.store import Visit, VisitPaths

_, store_dir, url, name, when, count = sys.argv
whole = getattr(os, name)
calls = 0

def cut(*args, **kwargs):
    global calls
    calls += 1
    if calls == int(count) and when == 'before':
        os.kill(os.getpid(), signal.SIGKILL)
    result = whole(*args, **kwargs)
    if calls == int(count):
        os.kill(os.getpid(), signal.SIGKILL)
    return result

setattr(os, name, cut)
paths = VisitPaths(Path(store_dir), Visit('S1', 'V01'))
deposit_dataset(paths, store_url=url, replace=url != 'https://store.example.org')
"""
MOMENTS = [
    ('fsync', 'before', 1),
    ('replace', 'before', 1),
    ('replace', 'after', 1),
    ('replace', 'before', 2),
    ('replace', 'after', 2),
]


@pytest.fixture
def kill(described, tmp_path):
    """Deposit in a process that is killed at a call of a function of `os`"""

    def kill(name, when, count, url=STORE_URL):
        (tmp_path / 'tmp').mkdir(exist_ok=True)
        process = subprocess.run(
            [
                *(sys.executable, '-c', KILLED, str(described.store_dir), url),
                *(name, when, str(count)),
            ],
            env={**os.environ, 'TMPDIR': str(tmp_path / 'tmp')},
            check=False,
        )
        assert process.returncode == -signal.SIGKILL

    return kill


@pytest.mark.parametrize(('name', 'when', 'count'), MOMENTS)
def test_a_kill_while_files_appear_is_healed_by_the_next_run(
    described, kill, expected, name, when, count
):
    kill(name, when, count)
    # never refs without what they stand for
    assert described.repo_export.exists() or not described.refs.exists()
    assert_next_run_works(described, expected)


@pytest.mark.parametrize(('name', 'when', 'count'), MOMENTS)
def test_a_kill_while_a_deposit_is_replaced_is_healed_by_the_next_run(
    described, kill, name, when, count
):
    url = 'https://other.example.org'
    deposit_dataset(described, store_url=STORE_URL)
    kill(name, when, count, url)
    report = deposit_dataset(described, store_url=url, replace=True)
    assert report.commit in described.refs.read_text()
    assert not deposit_dataset(described, store_url=url).is_new
    assert [p for p in described.study_dir.iterdir() if p.name.startswith('.')] == []


@pytest.fixture
def limit_files():
    """Let no file of this process become longer than that"""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit_files(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))

    yield limit_files
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_store_is_told_and_leaves_nothing(
    described, deposited_files, expected, limit_files, monkeypatch
):
    whole = export.export_repository

    def write_to_full_disk(*args):
        limit_files(400)
        try:
            whole(*args)
        finally:
            limit_files(resource.RLIM_INFINITY)

    with monkeypatch.context() as patch:
        patch.setattr(export, 'export_repository', write_to_full_disk)
        with pytest.raises(StoreWriteError, match=r'V01_XDLRA.*nothing was deposited'):
            deposit_dataset(described, store_url=STORE_URL)
    assert deposited_files() == []
    assert_next_run_works(described, expected)


def test_a_full_temporary_directory_is_told_and_leaves_nothing(
    described, deposited_files, expected, limit_files
):
    limit_files(400)
    try:
        with pytest.raises((GitError, StoreWriteError)):
            deposit_dataset(described, store_url=STORE_URL)
    finally:
        limit_files(resource.RLIM_INFINITY)
    assert deposited_files() == []
    assert_next_run_works(described, expected)


def test_a_missing_temporary_directory_is_no_fault_of_the_store(
    described, deposited_files, monkeypatch, tmp_path
):
    monkeypatch.setattr('tempfile.tempdir', str(tmp_path / 'nowhere'))
    with pytest.raises(IcfError, match='nowhere'):
        deposit_dataset(described, store_url=STORE_URL)
    assert deposited_files() == []


def test_a_store_that_is_read_only_is_told(described, deposited_files):
    described.study_dir.chmod(0o555)
    if os.access(described.study_dir, os.W_OK):
        pytest.skip('root may write everywhere')
    try:
        with pytest.raises(StoreAccessError, match='cannot write'):
            deposit_dataset(described, store_url=STORE_URL)
    finally:
        described.study_dir.chmod(0o755)
    assert deposited_files() == []


def test_an_error_half_way_leaves_the_old_deposit(described, monkeypatch):
    deposit_dataset(described, store_url=STORE_URL)
    before = described.refs.read_bytes(), described.repo_export.read_bytes()

    def fail(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(export, 'export_repository', fail)
    with pytest.raises(StoreWriteError, match='No space left'):
        deposit_dataset(described, store_url='https://a.example.org', replace=True)
    assert (described.refs.read_bytes(), described.repo_export.read_bytes()) == before


def test_finished_deposits_are_two_files(described, deposited_files):
    deposit_dataset(described, store_url=STORE_URL)
    assert deposited_files() == FINISHED
