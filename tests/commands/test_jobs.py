"""Several visits at once: the same files, a record for each, and clean ends"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from shutil import copytree

import pytest

from datalad_icf.commands.processes import (
    WorkerLostError,
    check_interrupt,
    run_in_processes,
)
from datalad_icf.dicom import archive_visit, deposit_metadata
from datalad_icf.errors import ConflictError, DicomError, IcfError
from datalad_icf.store import Visit, VisitPaths
from tests.commands.conftest import call

NAMES = ('V01', 'V02', 'V03', 'V04')
LARGE = 400_000_000


def visit_paths(paths, name):
    return VisitPaths(paths.store_dir, Visit('S1', name))


@pytest.fixture
def study(paths, tmp_path, image) -> VisitPaths:
    """Four visits with different images, with metadata"""
    for number, name in enumerate(NAMES):
        source = tmp_path / 'exports' / name
        source.mkdir(parents=True)
        uid = f'2.25.{number + 1}'
        for index in (1, 2):
            content = image(
                SeriesNumber=number + 1,
                StudyInstanceUID=uid,
                SeriesInstanceUID=f'{uid}.1',
                SOPInstanceUID=f'{uid}.1.{index}',
            )
            (source / f'{index}.dcm').write_bytes(content)
        one = visit_paths(paths, name)
        archive_visit(one, source)
        deposit_metadata(one)
    return paths


def contents(directory):
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob('*')
        if path.is_file()
    }


def forget_metadata(paths):
    for path in paths.study_dir.glob('*_metadata*'):
        path.unlink()


COMMANDS = {
    'icf_deposit_metadata': {},
    'icf_deposit_dataset': {'store_url': 'https://store.example.org'},
    'icf_dicomweb': {'thumbnails': False},
}


@pytest.mark.parametrize('command', COMMANDS)
def test_several_at_once_make_the_same_files(study, tmp_path, command):
    if command == 'icf_deposit_metadata':
        forget_metadata(study)
    other = copytree(study.store_dir, tmp_path / 'other')
    arguments = {'id': ('S1', '*'), **COMMANDS[command]}
    one = call(command, other, **arguments)
    several = call(command, study.store_dir, **arguments, jobs=3)
    assert contents(study.store_dir) == contents(other)
    assert [r['visit_id'] for r in one] == list(NAMES)

    def comparable(records, store):
        return sorted(
            json.dumps({**r, 'logger': None}, sort_keys=True, default=str).replace(
                str(store), ''
            )
            for r in records
        )

    assert comparable(several, study.store_dir) == comparable(one, other)


def test_several_at_once_are_verified(study):
    study.tarball.write_bytes(study.tarball.read_bytes()[:-10240])
    before = contents(study.store_dir)
    found = [
        {(r['visit_id'], r['status'], r.get('code')) for r in records}
        for records in (
            call('icf_verify', study.store_dir, id=('S1', '*'), jobs=jobs)
            for jobs in (1, 3)
        )
    ]
    assert found[0] == found[1]
    assert len(found[0]) == 4
    assert ('V01', 'error', 'tarball-damaged') in found[0]
    assert contents(study.store_dir) == before


@pytest.mark.parametrize('command', [*COMMANDS, 'icf_verify'])
def test_a_visit_that_fails_does_not_stop_the_others(study, command):
    if command == 'icf_deposit_metadata':
        forget_metadata(study)
    damaged = visit_paths(study, 'V02')
    for path in (damaged.tarball, damaged.dicoms_metadata):
        if path.exists():
            path.write_bytes(path.read_bytes()[:100])
    records = call(
        command, study.store_dir, id=('S1', '*'), **COMMANDS.get(command, {}), jobs=2
    )
    good = [r['visit_id'] for r in records if r['status'] == 'ok']
    assert sorted(good) == ['V01', 'V03', 'V04']
    assert {r['visit_id'] for r in records if r['status'] != 'ok'} == {'V02'}


def test_the_first_failure_can_stop_all(study, run, datalad_argv):
    damaged = visit_paths(study, 'V01')
    damaged.tarball.write_bytes(b'')
    forget_metadata(study)
    # more than can be under way by then
    content = visit_paths(study, 'V02').tarball.read_bytes()
    for number in range(5, 40):
        visit_paths(study, f'V{number:02d}').tarball.write_bytes(content)
    done = run(
        *datalad_argv,
        *('--on-failure', 'stop', 'icf-deposit-metadata', '--id', 'S1', '*'),
        *('-o', study.store_dir, '--jobs', 2),
    )
    assert done.code == 1
    assert done.records[-1]['visit_id'] == 'V01'
    assert len(done.records) < 39
    assert 'Traceback' not in done.stderr
    assert not list(study.study_dir.glob('.*'))


# processes, without DataLad


def square(number):
    return number * number


def test_each_task_has_one_result():
    results = list(run_in_processes(range(20), square, jobs=3))
    assert sorted(results) == [(n, n * n) for n in range(20)]


def test_there_are_no_more_processes_than_tasks():
    pids = {pid for _, pid in run_in_processes([1, 2], lambda _: os.getpid(), jobs=9)}
    assert len(pids) <= 2
    assert os.getpid() not in pids


def test_no_task_needs_no_process():
    assert list(run_in_processes([], square, jobs=2)) == []


@pytest.mark.parametrize(
    'error', [ConflictError('a'), DicomError('b', '0020000D'), OSError(28, 'full')]
)
def test_an_error_comes_as_it_is(error):
    def fail(_):
        try:
            # a cause that cannot be pickled
            raise ValueError(lambda: None)
        except ValueError as e:
            raise error from e

    ((_, result),) = run_in_processes([1], fail, jobs=2)
    assert (type(result), result.args) == (type(error), error.args)


def test_a_killed_process_takes_only_its_own_task_with_it():
    def work(number):
        if number == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.02)
        return number

    results = dict(run_in_processes(range(12), work, jobs=3))
    lost = results.pop(3)
    assert isinstance(lost, WorkerLostError)
    assert 'killed by signal 9' in str(lost)
    assert results == {n: n for n in range(12) if n != 3}


def test_work_goes_on_where_all_processes_are_killed():
    def work(_):
        os.kill(os.getpid(), signal.SIGKILL)

    results = dict(run_in_processes(range(5), work, jobs=2))
    assert len(results) == 5
    assert all(isinstance(result, WorkerLostError) for result in results.values())


def test_a_fault_of_the_code_is_told_and_the_others_are_done(capfd):
    def work(number):
        if number == 0:
            raise AssertionError('nobody foresaw this')
        return number

    results = dict(run_in_processes(range(4), work, jobs=2))
    assert 'ended with 1' in str(results.pop(0))
    assert results == {n: n for n in range(1, 4)}
    assert 'nobody foresaw this' in capfd.readouterr().err


def test_large_results_do_not_block_the_end():
    """More than fits between two processes, and nobody takes it any more"""
    tasks = run_in_processes(range(8), lambda n: bytes(n * 1_000_000), jobs=3)
    next(tasks)
    time.sleep(0.2)
    start = time.monotonic()
    tasks.close()
    assert time.monotonic() - start < 5


def check_end(tmp_path, work):
    """Three tasks have begun; they end, clean up, and no other begins"""
    tasks = run_in_processes(range(50), work, jobs=3)
    next(tasks)
    while len(list(tmp_path.iterdir())) < 4:
        time.sleep(0.01)
    start = time.monotonic()
    tasks.close()
    assert time.monotonic() - start < 6
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {'0', *(f'{n}{end}' for n in (1, 2, 3) for end in ('', ' cleaned'))}


def test_work_that_looks_for_an_interrupt_ends_there(tmp_path):
    def work(number):
        (tmp_path / str(number)).touch()
        try:
            for _ in range(number and 3000):
                # not here
                time.sleep(0.02)
                check_interrupt()
        except KeyboardInterrupt:
            (tmp_path / f'{number} cleaned').touch()
            raise

    check_end(tmp_path, work)


def test_work_that_does_not_is_ended_all_the_same(tmp_path):
    check_end(tmp_path, lambda number: begin(tmp_path, number))


@pytest.mark.parametrize('before', [signal.SIG_IGN, signal.default_int_handler])
def test_what_the_terminal_tells_a_process_is_for_the_other_one_to_hear(
    tmp_path, before
):
    """It does not hear what is started in the background of a shell"""

    def work(number):
        os.kill(os.getpid(), signal.SIGINT)
        check_interrupt()
        return number

    former = signal.signal(signal.SIGINT, before)
    try:
        results = sorted(run_in_processes(range(4), work, jobs=2))
        check_end(tmp_path, lambda number: begin(tmp_path, number))
    finally:
        signal.signal(signal.SIGINT, former)
    assert results == [(n, n) for n in range(4)]


def begin(directory, number):
    (directory / str(number)).touch()
    try:
        time.sleep(number and 60)
    except KeyboardInterrupt:
        (directory / f'{number} cleaned').touch()
        raise


# a command that is killed or interrupted


@pytest.fixture
def exports(tmp_path, image) -> Path:
    """A small visit, and five that take a while although they need no space"""
    root = tmp_path / 'exports'
    for number in range(6):
        directory = root / f'V0{number}'
        directory.mkdir(parents=True)
        (directory / 'image').write_bytes(image(SeriesNumber=number + 1))
        if number:
            with (directory / 'large').open('wb') as f:
                f.truncate(LARGE)
    return root


# in a session of its own, so that the test can interrupt its group
@pytest.fixture
def start(datalad_argv, exports, paths, tmp_path):
    """Starts the command with two jobs, and kills all of it in the end"""
    started = []

    def popen():
        process = subprocess.Popen(
            [
                *datalad_argv,
                *('icf-deposit', '--id', 'S1', '*', '-o', paths.store_dir),
                *('--visits-from', exports, '--jobs', '2'),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        started.append(process)
        return process

    yield popen
    for process in started:
        for pid in members_of(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.communicate()


def members_of(group):
    """Processes of a process group that are not dead"""
    found = []
    for path in Path('/proc').glob('[0-9]*/stat'):
        # of a process that is gone by now
        with suppress(OSError):
            # the name of the program may have blanks
            state, _, pgid = path.read_text().rpartition(')')[2].split()[:3]
            if int(pgid) == group and state != 'Z':
                found.append(int(path.parent.name))
    return found


def wait_for_drafts(process, paths):
    """Wait until two tarballs are being written"""
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        begun = list(paths.study_dir.glob('.*_dicom.tar.part'))
        if len(begun) == 2 and (paths.study_dir / 'V00_dicom.tar').exists():
            return
        time.sleep(0.005)


def check_rerun(run_datalad, exports, paths):
    before = {p.name: p.stat().st_mtime_ns for p in paths.study_dir.glob('*.tar')}
    inodes = {p.name: p.stat().st_ino for p in paths.study_dir.glob('*.tar')}
    for directory in exports.iterdir():
        # the others would be compared, which takes its time
        if f'{directory.name}_dicom.tar' not in before:
            (directory / 'large').unlink(missing_ok=True)
    done = run_datalad(
        *('icf-deposit', '--id', 'S1', '*', '-o', paths.store_dir),
        *('--visits-from', exports, '--jobs', 2),
    )
    assert done.code == 0
    assert len(done.records) == 6
    made = {r['visit_id'] for r in done.records if 'archive' in r['made']}
    assert made == {f'V0{n}' for n in range(6)} - {name[:3] for name in before}
    assert {name: (paths.study_dir / name).stat().st_ino for name in inodes} == inodes
    assert not list(paths.study_dir.glob('.*.part'))


@pytest.mark.parametrize('to_group', [False, True], ids=['the command', 'the group'])
def test_an_interrupt_ends_all_at_once_and_leaves_nothing(
    start, run_datalad, exports, paths, to_group
):
    process = start()
    wait_for_drafts(process, paths)
    begin = time.monotonic()
    (os.killpg if to_group else os.kill)(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert time.monotonic() - begin < 10
    assert process.returncode != 0
    assert members_of(process.pid) == []
    assert not list(paths.study_dir.glob('.*.part'))
    assert 'Traceback' not in stderr
    check_rerun(run_datalad, exports, paths)


@pytest.mark.skipif(sys.platform != 'linux', reason='finds a process in /proc')
def test_a_killed_worker_is_an_error_and_the_rest_is_done(start, exports, paths):
    for directory in sorted(exports.iterdir())[3:]:
        (directory / 'large').unlink()
    process = start()
    wait_for_drafts(process, paths)
    # the worker that has the draft of the first large visit
    (victim,) = [
        pid
        for pid in members_of(process.pid)
        if pid != process.pid and holds(pid, paths.study_dir / '.V01_dicom.tar.part')
    ]
    os.kill(victim, signal.SIGKILL)
    stdout, stderr = process.communicate(timeout=60)
    records = {r['visit_id']: r for r in map(json.loads, stdout.splitlines())}
    assert process.returncode == 1
    assert sorted(records) == [f'V0{n}' for n in range(6)]
    assert records['V01']['status'] == 'error'
    assert 'killed by signal 9' in records['V01']['message']
    assert {v for v, r in records.items() if r['status'] == 'ok'} == records.keys() - {
        'V01'
    }
    assert 'Traceback' not in stderr
    assert not (paths.study_dir / 'V01_dicom.tar').exists()


def holds(pid, path):
    links = subprocess.run(
        ['ls', '-l', f'/proc/{pid}/fd'], check=False, capture_output=True, text=True
    )
    return f' -> {path.resolve()}\n' in links.stdout


def test_when_the_command_is_killed_no_process_stays(
    start, run_datalad, exports, paths
):
    process = start()
    wait_for_drafts(process, paths)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    deadline = time.monotonic() + 30
    # they finish the visits that they have begun
    while members_of(process.pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    check_rerun(run_datalad, exports, paths)


def test_errors_are_picklable_with_what_they_know():
    """All errors of the package that a worker can raise"""
    import pickle

    from datalad_icf import errors

    for name in errors.__all__:
        error = getattr(errors, name)('message')
        again = pickle.loads(pickle.dumps(error))
        assert isinstance(error, IcfError)
        assert (type(again), str(again)) == (type(error), 'message')
