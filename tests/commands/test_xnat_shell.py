"""The five commands as people call them; few, as each start takes its time"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time

import pytest

from tests.xnat.server.faults import ARCHIVE, IMPORT
from tests.xnat.server.uploads import as_zip, make_study

PUSH = ['icf-xnat-push', '--id', 'S1', 'V01', '-o', 'store', '--project', 'P1']


def test_a_push_ends_with_0_and_tells_it_to_people(run, put_visit, xnat_env, fake):
    put_visit()
    done = run('datalad', *PUSH, '--share-to', 'P2', '--jobs', '2', env=xnat_env)
    assert done.code == 0, done.stderr
    assert 'icf_xnat_push(ok)' in done.stdout
    assert '[4 images in P1/V01/S1_V01]' in done.stdout
    again = run('datalad', *PUSH, env=xnat_env)
    assert (again.code, 'icf_xnat_push(notneeded)' in again.stdout) == (0, True)
    assert 'there already: 4 images' in again.stdout


@pytest.mark.parametrize('fault', ['project', 'password', 'conflict'])
def test_a_push_that_fails_ends_with_1(run_datalad, put_visit, xnat_env, fake, fault):
    put_visit()
    argv = PUSH
    if fault == 'project':
        argv = [*PUSH[:-1], 'NoSuch']
    elif fault == 'password':
        xnat_env['DATALAD_CREDENTIAL_XNAT_SECRET'] = 'wrong'
    else:
        fake.server.faults.refuse_archive('no such scanner')
    done = run_datalad(*argv, env=xnat_env)
    assert done.code == 1
    assert done.record['status'] == ('error' if fault == 'conflict' else 'impossible')
    assert fake.server.accounts.failed[fake.user] == (fault == 'password')
    assert 'Traceback' not in done.stderr


def test_without_a_login_nobody_is_asked(run_datalad, put_visit, fake, tmp_path):
    put_visit()
    done = run_datalad(*PUSH, '--url', fake.url, env={'HOME': str(tmp_path)})
    assert (done.code, done.record['status']) == (1, 'impossible')
    assert 'no user and password are known' in done.record['message']


def test_what_is_listed_is_for_programs_too(run, xnat_env, fake, run_datalad):
    fake.upload(as_zip(make_study(1)), dest='/archive/projects/P1')
    done = run_datalad('icf-xnat-list', '--project', 'P1', env=xnat_env)
    assert done.code == 0
    assert [(one['type'], one.get('session')) for one in done.records] == [
        ('subject', None),
        ('session', 'Sub1_V01'),
    ]
    done = run('datalad', 'icf-xnat-list', '--project', 'P1', env=xnat_env)
    assert done.stdout.splitlines() == [
        'subject\tP1\tSub1',
        'session\tP1\tSub1\tSub1_V01\t2024-02-29',
    ]
    done = run('datalad', 'icf-xnat-list', '--project', 'NoSuch', env=xnat_env)
    assert (done.code, 'icf_xnat_list(impossible)' in done.stdout) == (1, True)


def test_the_other_commands_work_from_a_shell(run_datalad, xnat_env, fake, tmp_path):
    fake.upload(as_zip(make_study(1)), dest='/prearchive/projects/P1')
    (tmp_path / 'share.csv').write_text('subject,source,destination\nSub1,P1,P2\n')
    for argv in (
        ['icf-xnat-archive', '--project', 'P1', '--label', 'toolkit'],
        ['icf-xnat-demographics', '--project', 'P1', '--subject', 'Sub1'],
        ['icf-xnat-share', '--table', 'share.csv'],
    ):
        done = run_datalad(*argv, env=xnat_env)
        assert (done.code, done.record['status']) == (0, 'ok'), done.stderr
    (experiment,) = fake.server.state.experiments.values()
    assert experiment.label == 'Sub1_20240229T101500_MR'
    assert list(experiment.shared) == ['P2']


def test_an_interrupt_ends_a_push_soon_and_archives_nothing(
    tmp_path, put_visit, fake, xnat_env, push
):
    put_visit()
    # the server has taken all, and does not answer
    fake.server.faults.slow(60, path=IMPORT)
    process = subprocess.Popen(
        ['datalad', '-f', 'json', *PUSH],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, **xnat_env},
        # a test run in the background of a shell would hand down that this
        # signal is ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        deadline = time.monotonic() + 60
        while not fake.server.count(IMPORT) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        start = time.monotonic()
        _, stderr = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert time.monotonic() - start < 15
    assert process.returncode != 0
    assert b'Traceback' not in stderr
    assert fake.server.count(ARCHIVE) == 0
    assert fake.server.state.experiments == {}
    (record,) = push()
    assert record['status'] == 'ok'


@pytest.mark.parametrize('jobs', [1, 2])
@pytest.mark.parametrize('moment', ['before', 'after'])
def test_an_interrupt_in_python_archives_nothing(
    push, put_visit, fake, monkeypatch, jobs, moment
):
    from tests.xnat.server.importer import import_archive

    for visit in ('V01', 'V02'):
        put_visit(visit)
    waiting = threading.Event()

    def interrupt(*args):
        rows = import_archive(*args) if moment == 'after' else []
        if not waiting.is_set():
            waiting.set()
            os.kill(os.getpid(), signal.SIGINT)
        # nothing comes after it before everybody was told
        time.sleep(0.3)
        return rows or import_archive(*args)

    with monkeypatch.context() as patch:
        patch.setattr('tests.xnat.server.rest_import.import_archive', interrupt)
        with pytest.raises(KeyboardInterrupt):
            push('*', jobs=jobs)
        time.sleep(0.5)
    assert fake.server.count(ARCHIVE) == 0
    assert fake.server.state.experiments == {}
    assert {one['status'] for one in push('*')} == {'ok'}
    assert {one['status'] for one in push('*')} == {'notneeded'}
    assert fake.server.state.rows == []
