"""Put a directory in place of another, so that there is always one of them"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

_AT_FDCWD = -100
_EXCHANGE = 2
# file systems and systems that cannot do it
_UNABLE = frozenset((errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM))


def put_directory(made: Path, target: Path, parked: Path) -> None:
    """Rename a directory to its place; if there is one already, they change places

    Parameters
    ----------
    made
        The new directory, on the same file system.
    target
        Its place in a directory that exists. A former directory may be there, which
        ends up at ``made``.
    parked
        Where the former one is for a moment, if the file system cannot exchange
        two directories.

    Raises
    ------
    OSError
        If it cannot be renamed; then all is as before.
    """
    if not target.exists():
        os.rename(made, target)
        return
    if exchange(made, target):
        return
    # for a moment there is neither; `restore_directory` is for a kill just then
    os.rename(target, parked)
    try:
        os.rename(made, target)
    except OSError:
        os.rename(parked, target)
        raise
    os.rename(parked, made)


def restore_directory(parked: Path, target: Path) -> None:
    """Undo half a `put_directory` of a process that was killed"""
    if parked.exists() and not target.exists():
        os.rename(parked, target)


def can_exchange(directory: Path) -> bool:
    """Whether two directories below a directory can change places at one moment"""
    pair = directory / 'one', directory / 'other'
    for path in pair:
        path.mkdir(exist_ok=True)
    return exchange(*pair)


def exchange(first: Path, second: Path) -> bool:
    """Let two directories change places at one moment

    Returns
    -------
    bool
        Whether the system and the file system can do it, and it is done.
    """
    renameat2 = _find_renameat2()
    if renameat2 is None:
        return False
    names = os.fsencode(first), os.fsencode(second)
    # what others do to files, they tell likewise: for tests and for audits
    sys.audit('os.rename', first, second, -1, -1)
    if renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _UNABLE:
        return False
    raise OSError(code, os.strerror(code), str(second))


@lru_cache
def _find_renameat2() -> Callable[..., int] | None:
    # of Linux, renameat2(2); Python has no function for it
    function = getattr(ctypes.CDLL(None, use_errno=True), 'renameat2', None)
    if function is not None:
        char_p, integer = ctypes.c_char_p, ctypes.c_int
        function.argtypes = (integer, char_p, integer, char_p, ctypes.c_uint)
    return function
