"""Files appear in the store whole or not at all

A file is written under a hidden name beside its target, the *draft*, and then
put in place. The draft is locked by the process that writes it. So it is the
lock of a deposit, too: a second process finds it taken and gives up, and a
draft that a killed process left is free and will be used again by the next.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock
from functools import lru_cache
from pathlib import Path
from stat import S_ISREG

from datalad_icf.errors import (
    BusyError,
    ConflictError,
    MetadataError,
    StoreAccessError,
    StoreWriteError,
)
from datalad_icf.store.read import read_regular

# never waits for the other end of what may be a FIFO
_OPEN_DRAFT = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# each but the last fails only if another process fails at that very moment
_ATTEMPTS = 10
_MD5SUM_LINE = re.compile(r'([0-9a-f]{32}) [ *](.+)')


class Draft:
    """A file in the making, locked by this process

    Made by `draft_file`, which also removes it where it was not placed.

    Attributes
    ----------
    target
        Where the file is to appear.
    path
        Where it is written.
    fd
        Open file descriptor, at position 0 of an empty file.
    """

    def __init__(self, target: Path, path: Path, fd: int) -> None:
        self.target = target
        self.path = path
        self.fd = fd

    def reserve(self, size: int) -> None:
        """Reserve room on disk, where the file system can

        Writing then takes about half of the time in the system, and a disk that is
        too small is told before anything is written.

        Parameters
        ----------
        size
            At most as many bytes as will be written.

        Raises
        ------
        OSError
            If there is not so much room.
        """
        fallocate = _find_fallocate()
        if fallocate is not None and size and fallocate(self.fd, 0, 0, size):
            code = ctypes.get_errno()
            if code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise OSError(code, os.strerror(code))

    def write(self, data: bytes | memoryview) -> None:
        """Append all of the data"""
        view = memoryview(data)
        while view:
            view = view[os.write(self.fd, view) :]

    def sync(self) -> None:
        """Wait until what was written is on disk, which may take a while"""
        os.fsync(self.fd)

    def place(self, *, replace: bool = False) -> None:
        """Let the file appear at its target, on disk before it has the name

        Parameters
        ----------
        replace
            Whether a file at the target is replaced.

        Raises
        ------
        ConflictError
            If there is a file at the target, and it is not to be replaced.
        """
        self.sync()
        if replace:
            os.replace(self.path, self.target)
        else:
            try:
                # unlike a rename, this fails if the target exists
                os.link(self.path, self.target)
            except FileExistsError as e:
                msg = f'{self.target} exists already'
                raise ConflictError(msg) from e
            except OSError as e:
                if e.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
                    raise
                # no hard links here; all who write to a store hold the draft
                if self.target.exists():
                    msg = f'{self.target} exists already'
                    raise ConflictError(msg) from e
                os.rename(self.path, self.target)
            else:
                os.unlink(self.path)
        _sync_directory(self.target.parent)


@lru_cache
def _find_fallocate() -> Callable[..., int] | None:
    # of Linux; os.posix_fallocate() would write zeros where it cannot be done
    function = getattr(ctypes.CDLL(None, use_errno=True), 'fallocate', None)
    if function is not None:
        offset = ctypes.c_int64
        function.argtypes = (ctypes.c_int, ctypes.c_int, offset, offset)
    return function


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        # some network file systems cannot do this for directories
        with suppress(OSError):
            os.fsync(fd)
    finally:
        os.close(fd)


def _lock_draft(path: Path) -> int:
    while True:
        # the mode leaves the rights to umask and to the directory's defaults
        fd = os.open(path, _OPEN_DRAFT, 0o666)
        try:
            flock(fd, LOCK_EX | LOCK_NB)
            stat = os.fstat(fd)
            # else it was placed or removed between opening and locking
            if os.path.samestat(stat, os.stat(path)):
                if S_ISREG(stat.st_mode) and stat.st_size == 0 and stat.st_nlink == 1:
                    return fd
                # Left by a process that was killed. Never truncated, since it may
                # be a second name of the file that was just put in place.
                os.unlink(path)
        except FileNotFoundError:
            pass
        except BlockingIOError as e:
            os.close(fd)
            msg = f'another process is writing {path}; wait for it, then try again'
            raise BusyError(msg) from e
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def is_draft_in_use(target: Path) -> bool | None:
    """Whether a process is writing the draft of a file; nothing if there is no draft

    Parameters
    ----------
    target
        Where the file is to appear.
    """
    path = target.with_name(f'.{target.name}.part')
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        # shared, and for a moment: two that ask do not take each other for a writer
        flock(fd, LOCK_SH | LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def clear_draft(target: Path) -> None:
    """Remove a draft that a killed process has left, unless it is in use"""
    path = target.with_name(f'.{target.name}.part')
    with suppress(OSError):
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            flock(fd, LOCK_EX | LOCK_NB)
            if os.path.samestat(os.fstat(fd), os.stat(path)):
                os.unlink(path)
        finally:
            os.close(fd)


@contextmanager
def locked(target: Path) -> Iterator[None]:
    """Wait for the lock of something that has many files, and hold it

    Parameters
    ----------
    target
        What is to be changed. The lock is a hidden file beside it, which stays.

    Raises
    ------
    StoreAccessError
        If the store cannot be written to.
    """
    path = target.with_name(f'.{target.name}.lock')
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as e:
        msg = f'cannot write to {target.parent}: {e.strerror}'
        raise StoreAccessError(msg) from e
    try:
        flock(fd, LOCK_EX)
        yield
    finally:
        os.close(fd)


@contextmanager
def draft_file(target: Path, *, make_directory: bool = False) -> Iterator[Draft]:
    """Open a draft of a file of the store, and lock it

    What is not placed when the context ends is removed, also the directory
    that was made for it.

    Parameters
    ----------
    target
        Where the file is to appear.
    make_directory
        Whether the directory of the file is made, if there is none.

    Raises
    ------
    BusyError
        If another process has the draft.
    StoreAccessError
        If the store cannot be written to.
    StoreWriteError
        If writing fails half-way, as on a full disk.
    """
    path = target.with_name(f'.{target.name}.part')
    made: list[Path] = []
    try:
        try:
            fd = _lock_in_directory(path, made) if make_directory else _lock_draft(path)
        except OSError as e:
            msg = f'cannot write to {target.parent}: {e.strerror or e}'
            raise StoreAccessError(msg) from e
        try:
            yield Draft(target, path, fd)
        except OSError as e:
            msg = f'cannot write {target}: {e.strerror or e}; nothing was deposited'
            raise StoreWriteError(msg) from e
        finally:
            # only the draft of this process: what has the name may be another's
            with suppress(OSError):
                if os.path.samestat(os.fstat(fd), os.stat(path)):
                    os.unlink(path)
            os.close(fd)
    finally:
        for directory in made:
            # stays where it is not empty, that is, where the deposit is
            with suppress(OSError):
                directory.rmdir()


def _lock_in_directory(path: Path, made: list[Path]) -> int:
    """Lock a draft in a directory that is made where there is none

    What was made is put into `made`, innermost first. Another process that has made
    the same directory, and nothing in it, may take it away at any moment.
    """
    for _ in range(_ATTEMPTS):
        missing = [path.parent, *path.parent.parents]
        missing = missing[: next(i for i, p in enumerate(missing) if p.exists())]
        made[:0] = [p for p in missing if p not in made]
        with suppress(FileNotFoundError):
            for directory in reversed(missing):
                directory.mkdir(exist_ok=True)
            return _lock_draft(path)
    return _lock_draft(path)


def format_md5sum(md5: str, name: str) -> str:
    """Text of a digest file, as ``md5sum --check`` of GNU coreutils reads it

    Examples
    --------
    >>> format_md5sum('d41d8cd98f00b204e9800998ecf8427e', 'V_dicom.tar')
    'd41d8cd98f00b204e9800998ecf8427e  V_dicom.tar\\n'
    """
    return f'{md5}  {name}\n'


def read_md5sum(path: Path) -> str | None:
    """Read the digest that a digest file has for its file

    Returns
    -------
    str or None
        32 hexadecimal digits, or nothing if there is no such file.

    Raises
    ------
    MetadataError
        If the file is something else than one line of ``md5sum``.
    """
    try:
        text = read_regular(path).decode('utf-8', 'surrogateescape')
    except FileNotFoundError:
        return None
    except OSError as e:
        msg = f'cannot read {path}: {e.strerror}'
        raise MetadataError(msg) from e
    match = _MD5SUM_LINE.fullmatch(text.strip().lower())
    if not match:
        msg = f'{path} is not a line as md5sum writes it; check it, and remove it'
        raise MetadataError(msg)
    return match[1]
