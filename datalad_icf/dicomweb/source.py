"""Where the bytes of an instance come from"""

from __future__ import annotations

import os
from typing import Protocol

_COPY = 1 << 20
# what is kept of a file: its header, most often
_HEAD = 32 * 1024


class ByteSource(Protocol):
    """A DICOM file somewhere: in memory, on disk, or within a tarball

    Attributes
    ----------
    size
        Number of bytes.
    """

    size: int

    def read(self, offset: int, length: int) -> bytes:
        """Read bytes, fewer than wanted only at the end"""
        ...

    def copy(self, offset: int, length: int, fd: int) -> None:
        """Append bytes to an open file, without having all of them in memory

        Raises
        ------
        EOFError
            If the source ends before.
        """
        ...


class BytesSource:
    """A DICOM file in memory"""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read(self, offset: int, length: int) -> bytes:
        """Read bytes, fewer than wanted only at the end"""
        return self._data[offset : offset + length]

    def copy(self, offset: int, length: int, fd: int) -> None:
        """Append bytes to an open file"""
        view = memoryview(self._data)[offset : offset + length]
        if len(view) < length:
            raise EOFError
        while view:
            view = view[os.write(fd, view) :]


class FileSource:
    """A DICOM file that is a part of an open file, such as a tarball

    Parameters
    ----------
    fd
        Descriptor of the open file; its position is neither used nor changed.
    offset, size
        Where the DICOM file is in it, in bytes.
    """

    def __init__(self, fd: int, offset: int, size: int) -> None:
        self._fd = fd
        self._offset = offset
        self._head = b''
        self.size = size

    def read(self, offset: int, length: int) -> bytes:
        """Read bytes, fewer than wanted only at the end"""
        length = max(0, min(length, self.size - offset))
        if offset + length <= len(self._head) or not length:
            return self._head[offset : offset + length]
        data = os.pread(self._fd, length, self._offset + offset)
        while len(data) < length:
            # a signal, or more than the 2 GB of a single call
            more = os.pread(
                self._fd, length - len(data), self._offset + offset + len(data)
            )
            if not more:
                break
            data += more
        if not offset and length <= _HEAD:
            # it is taken apart, compared with what was found, and compared again
            self._head = data
        return data

    def copy(self, offset: int, length: int, fd: int) -> None:
        """Append bytes to an open file"""
        while length:
            data = self.read(offset, min(length, _COPY))
            if not data:
                raise EOFError
            offset += len(data)
            length -= len(data)
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
