"""A store on a network file system, as far as one machine can tell

NFS locks only what is open for writing, and files only (flock(2), "NFS details").
Hard links it has; room it cannot reserve, and directories it cannot exchange.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat

import pytest

from datalad_icf.store import deposit as store_deposit
from tests.commands.conftest import call


@pytest.fixture
def nfs(monkeypatch) -> list[int]:
    """Locks as NFS knows them; returns what was locked"""
    locked = []
    real = fcntl.flock

    def flock(fd, operation):
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        if not stat.S_ISREG(os.fstat(fd).st_mode) or not flags & os.O_ACCMODE:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        locked.append(fd)
        return real(fd, operation)

    monkeypatch.setattr(fcntl, 'flock', flock)
    monkeypatch.setattr(store_deposit, 'flock', flock)
    monkeypatch.setattr(store_deposit, '_find_fallocate', lambda: None)
    monkeypatch.setattr('datalad_icf.dicomweb.update.can_exchange', lambda _: False)
    return locked


def test_all_of_a_visit_is_made_there(nfs, paths, visit_files):
    for _ in range(2):
        (record,) = call('icf_deposit', paths.store_dir, visit_files, dicomweb=True)
        assert record['status'] in ('ok', 'notneeded'), record['message']
    assert len(nfs) > 8
    (record,) = call('icf_verify', paths.store_dir)
    assert record['status'] == 'ok'
    assert all(record['parts'].values())
    assert not list(paths.study_dir.glob('.*.part'))


def test_a_tree_that_another_process_makes_is_left_to_it(nfs, paths, visit_files):
    from datalad_icf.dicomweb.staging import open_staging

    call('icf_archive', paths.store_dir, visit_files)
    with open_staging(paths) as staging:
        (record,) = call('icf_dicomweb', paths.store_dir, thumbnails=False)
        assert record['status'] == 'impossible'
        assert 'another process' in record['message']
        assert staging.exists()
    (record,) = call('icf_dicomweb', paths.store_dir, thumbnails=False)
    assert record['status'] == 'ok'
