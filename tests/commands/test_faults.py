"""What a kill, a full disk or a second run leave: a finished deposit, or none

Processes are real, and so are their deaths. The other faults are in the tables
of ``tests/dicom``, where no process is needed.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from datalad_icf.dicom import archive_visit, deposit_metadata, deposit_visit
from datalad_icf.store import read_md5sum

LARGE = 100_000_000
ARCHIVE = ['icf-archive', '--id', 'S1', 'V01', '-o', 'store', 'export']
DESCRIBE = ['icf-deposit-metadata', '--id', 'S1', 'V01', '-o', 'store']
ARCHIVED = ['V01_dicom.tar', 'V01_dicom.tar.md5sum']
DESCRIBED = ['V01_metadata_dicoms.json', 'V01_metadata_tarball.json']


@pytest.fixture
def large_visit(export, image):
    """An image, and a file that takes a while although it needs no space"""
    (export / 'image').write_bytes(image())
    with (export / 'large').open('wb') as f:
        f.truncate(LARGE)


@pytest.fixture
def large_tarball(paths, image):
    """The tarball of such a visit, without a digest, and without a need of space"""
    content = image()
    infos = [tarfile.TarInfo(f'S1_V01/{name}') for name in ('image', 'large')]
    infos[0].size, infos[1].size = len(content), LARGE
    head = infos[0].tobuf() + content + bytes(-len(content) % 512) + infos[1].tobuf()
    paths.study_dir.mkdir(parents=True)
    with paths.tarball.open('wb') as f:
        f.write(head)
        size = len(head) + LARGE + -LARGE % 512 + 1024
        f.truncate(size + -size % 10240)


@pytest.fixture
def start(tmp_path, datalad_argv):
    """Starts a command of DataLad, and kills it in the end"""
    started = []

    def popen(argv):
        process = subprocess.Popen(
            [*datalad_argv, *argv],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # a test run in the background of a shell would hand down that this
            # signal is ignored
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        started.append(process)
        return process

    yield popen
    for process in started:
        process.kill()
        process.wait()


def kill_when(process, condition):
    """Kill a process at the moment when something is true"""
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, 'ended before it could be killed'
        assert time.monotonic() < deadline
        time.sleep(0.0005)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def size_of(path):
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1


@pytest.mark.parametrize('written', [0, 1 << 20, LARGE // 2])
def test_a_kill_while_archiving_leaves_nothing_that_counts(
    start, run_datalad, paths, large_visit, files_in, written
):
    draft = paths.study_dir / '.V01_dicom.tar.part'
    kill_when(start(ARCHIVE), lambda: size_of(draft) >= written)
    assert files_in(paths.study_dir) == [draft.name]
    done = run_datalad(*ARCHIVE)
    assert (done.code, done.record['status']) == (0, 'ok')
    assert files_in(paths.study_dir) == ARCHIVED
    assert read_md5sum(paths.md5sum) == done.record['md5']


def test_a_kill_while_describing_leaves_nothing_that_counts(
    start, run_datalad, paths, large_tarball, files_in
):
    draft = paths.study_dir / '.V01_metadata_dicoms.json.part'
    # the metadata of the image are there, and the large file is being read
    kill_when(start(DESCRIBE), lambda: size_of(draft) > 0)
    assert files_in(paths.study_dir) == [draft.name, 'V01_dicom.tar']
    done = run_datalad(*DESCRIBE)
    assert (done.code, done.record['status']) == (0, 'ok')
    assert files_in(paths.study_dir) == ['V01_dicom.tar', *DESCRIBED]


def test_an_interrupt_leaves_nothing(start, paths, large_visit, tmp_path, files_in):
    draft = paths.study_dir / '.V01_dicom.tar.part'
    process = start(ARCHIVE)
    while size_of(draft) < 1 << 20:
        assert process.poll() is None
        time.sleep(0.0005)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) != 0
    assert not paths.store_dir.exists()


# Runs a step on the store, and kills itself before the n-th change of the store.
CRASH = """
import os, signal, sys
from pathlib import Path

from datalad_icf.dicom import archive_visit, deposit_metadata, deposit_visit
from datalad_icf.store import Visit, VisitPaths

store, export, step, left = *sys.argv[1:4], int(sys.argv[4])
CHANGES = ('os.mkdir', 'os.link', 'os.remove', 'os.rename', 'os.utime', 'open')

def count_down(event, args):
    global left
    if event not in CHANGES:
        return
    if event == 'open' and not str(args[0]).endswith('.part'):
        return
    if event != 'os.utime' and not str(args[0]).startswith(store):
        return
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)

paths = VisitPaths(Path(store), Visit('S1', 'V01'))
sys.addaudithook(count_down)
if step == 'archive':
    archive_visit(paths, Path(export))
elif step == 'both':
    deposit_visit(paths, Path(export))
else:
    deposit_metadata(paths, replace=step == 'replace')
"""


def crash(run, paths, export, step, moment):
    """Run a step that kills itself; return whether it came to that"""
    done = run(sys.executable, '-c', CRASH, paths.store_dir, export, step, moment)
    assert done.code in (0, -signal.SIGKILL), done.stderr
    return done.code != 0


def contents(paths):
    """The visible files of the study"""
    return {
        p.name: p.read_bytes() for p in paths.study_dir.iterdir() if p.name[0] != '.'
    }


def test_a_kill_before_any_change_of_an_archive_leaves_a_finished_one_or_none(
    run, paths, visit_files
):
    archive_visit(paths, visit_files)
    finished = contents(paths)
    shutil.rmtree(paths.store_dir)
    moment = 0
    while crash(run, paths, visit_files, 'archive', moment):
        if paths.tarball.exists():
            # whoever sees the tarball sees its digest
            assert contents(paths) == finished
        archive_visit(paths, visit_files)
        assert contents(paths) == finished
        shutil.rmtree(paths.store_dir)
        moment += 1
    assert moment >= 8
    assert contents(paths) == finished


def test_a_kill_before_any_change_of_both_leaves_a_state_to_go_on_from(
    run, paths, visit_files
):
    deposit_visit(paths, visit_files)
    finished = contents(paths)
    shutil.rmtree(paths.store_dir)
    moment = 0
    while crash(run, paths, visit_files, 'both', moment):
        if paths.study_dir.exists():
            assert contents(paths).items() <= finished.items()
        deposit_visit(paths, visit_files)
        assert contents(paths) == finished
        shutil.rmtree(paths.store_dir)
        # what comes before the tarball is the same as for an archive alone
        moment = max(moment + 1, 7)
    assert moment >= 12


def test_a_kill_before_any_change_of_metadata_leaves_a_state_to_go_on_from(
    run, archived, visit_files
):
    before = contents(archived)
    deposit_metadata(archived)
    finished = contents(archived)

    def reset():
        for path in archived.study_dir.iterdir():
            if path.name not in before:
                path.unlink()

    reset()
    moment = 0
    while crash(run, archived, visit_files, 'describe', moment):
        # what is under a final name is as it will be
        assert contents(archived).items() <= finished.items()
        deposit_metadata(archived)
        assert contents(archived) == finished
        reset()
        moment += 1
    assert moment >= 5


def test_a_kill_before_any_change_of_replaced_metadata_can_be_repeated(
    run, archived, visit_files, put_tarball, tar, image
):
    deposit_metadata(archived)
    old = contents(archived)
    put_tarball(tar(('S1_V01/a', image())))
    tarball = {k: v for k, v in contents(archived).items() if 'dicom.tar' in k}
    deposit_metadata(archived, replace=True)
    finished = contents(archived)

    def reset():
        for name in DESCRIBED:
            (archived.study_dir / name).write_bytes(old[name])

    reset()
    moment = 0
    while crash(run, archived, visit_files, 'replace', moment):
        for name, content in contents(archived).items():
            # each file is the old one or the new one, never a part
            assert content in (finished[name], tarball.get(name, old[name]))
        deposit_metadata(archived, replace=True)
        assert contents(archived) == finished
        reset()
        moment += 1
    assert moment >= 4


def test_a_digest_that_was_left_by_a_kill_is_replaced(paths, visit_files):
    """The state after a kill between the placing of digest and tarball"""
    paths.study_dir.mkdir(parents=True)
    paths.md5sum.write_text(f'{"0" * 32}  {paths.tarball.name}\n')
    (paths.study_dir / '.V01_dicom.tar.part').write_bytes(b'x' * 50_000)
    made = archive_visit(paths, visit_files)
    assert made.is_new
    assert read_md5sum(paths.md5sum) == made.md5


def test_a_second_name_of_a_finished_tarball_is_not_truncated(archived, visit_files):
    """The state after a kill between the link to the target and the unlink"""
    before = archived.tarball.read_bytes()
    os.link(archived.tarball, archived.study_dir / '.V01_dicom.tar.part')
    archive_visit(archived, visit_files)
    assert archived.tarball.read_bytes() == before


@pytest.mark.parametrize('command', ['archive', 'describe'])
def test_a_full_disk_is_an_error_and_the_next_run_works(
    run, run_datalad, datalad_argv, paths, export, tar, put_tarball, image, command
):
    if command == 'archive':
        (export / 'large').write_bytes(bytes(3_000_000))
        argv, blocks, finished = ARCHIVE, 2000, ARCHIVED
    else:
        content = image(SeriesDescription='x' * 60)
        put_tarball(tar(*((f'S1_V01/{i:05d}', content) for i in range(300))))
        argv, blocks, finished = DESCRIBE, 100, [*ARCHIVED, *DESCRIBED]
    full = run(
        *('sh', '-c', f'ulimit -f {blocks}; exec "$@"', 'sh', *datalad_argv, *argv),
        # what measures coverage writes files, too
        env={'COVERAGE_PROCESS_START': '', 'COVERAGE_PROCESS_CONFIG': ''},
    )
    assert full.code == 1
    assert full.record['status'] == 'error'
    assert 'File too large' in full.record['message']
    assert 'Traceback' not in full.stderr
    assert not paths.tarball_metadata.exists()
    assert not list(paths.store_dir.rglob('.*'))
    assert paths.tarball.exists() == (command == 'describe')
    assert run_datalad(*argv).record['status'] == 'ok'
    assert sorted(os.listdir(paths.study_dir)) == finished


def test_of_two_runs_at_once_one_wins(run_datalad, paths, large_visit, files_in):
    with ThreadPoolExecutor() as pool:
        done = list(pool.map(lambda _: run_datalad(*ARCHIVE), range(2)))
    statuses = sorted(d.record['status'] for d in done)
    assert statuses in (['impossible', 'ok'], ['notneeded', 'ok'])
    assert files_in(paths.study_dir) == ARCHIVED
    (winner,) = (d.record for d in done if d.record['status'] == 'ok')
    assert read_md5sum(paths.md5sum) == winner['md5']


def test_while_one_run_works_another_is_refused(start, run_datalad, paths, large_visit):
    draft = paths.study_dir / '.V01_dicom.tar.part'
    process = start(ARCHIVE)
    while size_of(draft) < 1 << 20:
        assert process.poll() is None
        time.sleep(0.0005)
    process.send_signal(signal.SIGSTOP)
    other = run_datalad(*ARCHIVE)
    assert (other.code, other.record['status']) == (1, 'impossible')
    assert 'another process' in other.record['message']
    process.send_signal(signal.SIGCONT)
    assert process.wait(60) == 0
    assert paths.tarball.exists()


def test_a_store_below_a_file_is_impossible(run_datalad, visit_files, tmp_path):
    """What not even root can write to"""
    (tmp_path / 'store').touch()
    done = run_datalad(*ARCHIVE)
    assert (done.code, done.record['status']) == (1, 'impossible')
    assert 'Traceback' not in done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason='root may write anywhere')
def test_a_read_only_store_is_impossible(run_datalad, paths, visit_files):
    paths.store_dir.mkdir(mode=0o555)
    done = run_datalad(*ARCHIVE)
    assert (done.code, done.record['status']) == (1, 'impossible')
