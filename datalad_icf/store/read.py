"""Read a file of the store, and wait for nothing that has its name"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import BinaryIO


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading, if it is one

    Parameters
    ----------
    path
        The file. To open what has its name could take for ever, such as a FIFO that
        nobody writes to.

    Raises
    ------
    OSError
        If it cannot be opened, or is a directory, a FIFO or the like.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(fd).st_mode
    if not S_ISREG(mode):
        os.close(fd)
        code = errno.EISDIR if S_ISDIR(mode) else errno.EINVAL
        problem = os.strerror(code) if S_ISDIR(mode) else 'it is no regular file'
        raise OSError(code, problem, str(path))
    return os.fdopen(fd, 'rb')


def read_regular(path: Path) -> bytes:
    """Read a whole file, if it is one

    Raises
    ------
    OSError
        See `open_regular`.
    """
    with open_regular(path) as f:
        return f.read()
