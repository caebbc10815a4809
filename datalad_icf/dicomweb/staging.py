"""Directories in which parts of a tree are made, beside the tree

Each visit has one, with a file that is locked by the process that makes the part.
What a killed process has left is cleared by the next one, for whatever visit that is.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from datalad_icf.dicomweb.swap import restore_directory
from datalad_icf.dicomweb.tree import StudyTree
from datalad_icf.errors import BusyError, StoreAccessError, StoreWriteError
from datalad_icf.store import VisitPaths, locked

# below it, studies of the tree are for a moment while they are replaced
PARKED = 'parked'


@contextmanager
def open_staging(paths: VisitPaths) -> Iterator[Path]:
    """Open a directory for the part of a visit, empty but for its lock

    Whatever is in it at the end is removed.

    Raises
    ------
    BusyError
        If another process has it.
    StoreAccessError
        If the store cannot be written to.
    StoreWriteError
        If writing fails half-way, as on a full disk.
    """
    staging = paths.dicomweb_staging
    # nobody clears what another one is about to lock
    with locked(paths.dicomweb_dir):
        clear_stale(paths)
        try:
            fd = _make_and_lock(staging)
        except OSError as e:
            msg = f'cannot write to {paths.study_dir}: {e.strerror or e}'
            raise StoreAccessError(msg) from e
    try:
        yield staging
    except OSError as e:
        msg = f'cannot write {paths.dicomweb_dir}: {e.strerror or e}'
        raise StoreWriteError(msg) from e
    finally:
        # what cannot be removed is for the next process
        with suppress(OSError):
            # else it is to be put back, by somebody who has the lock of the tree
            if not _parked(staging):
                shutil.rmtree(staging)
        os.close(fd)
        with suppress(OSError):
            # NFS keeps the lock in it as long as that is open
            staging.rmdir()


def clear_stale(paths: VisitPaths) -> None:
    """Clear what killed processes have left; the tree must be locked

    A study that was about to be replaced, and is at neither place, is put back.
    """
    for staging in list(paths.study_dir.glob('.dicomweb.*.part')):
        with suppress(OSError, BusyError):
            fd = _lock(staging)
            try:
                for study in _parked(staging):
                    place = StudyTree(paths.dicomweb_dir, study.name).path
                    restore_directory(study, place)
                shutil.rmtree(staging)
            finally:
                os.close(fd)


def _make_and_lock(staging: Path) -> int:
    while True:
        staging.mkdir(exist_ok=True)
        # unless whoever had it has just removed it
        with suppress(FileNotFoundError):
            return _lock(staging)


def _lock(staging: Path) -> int:
    # a file, open for writing: NFS locks neither a directory nor what is only read
    path = staging / 'lock'
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(fd), os.stat(path)):
            raise FileNotFoundError
    except BlockingIOError as e:
        os.close(fd)
        msg = f'another process is writing {staging}; wait for it, then try again'
        raise BusyError(msg) from e
    except BaseException:
        os.close(fd)
        raise
    return fd


def _parked(staging: Path) -> list[Path]:
    parked = staging / PARKED
    return list(parked.iterdir()) if parked.is_dir() else []
