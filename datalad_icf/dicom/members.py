"""Read a tarball in one pass, and trust none of it"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from stat import S_ISREG
from types import TracebackType
from typing import BinaryIO, NamedTuple

from datalad_icf.dicom.digest import BlockDigest
from datalad_icf.dicom.tar_format import (
    BLOCK,
    DIRECTORY,
    GNU_LONG_LINK,
    GNU_LONG_NAME,
    PAX_GLOBAL,
    PAX_MEMBER,
    RECORD,
    REGULAR,
    MemberHeader,
    padding,
    parse_member_header,
    parse_records,
)
from datalad_icf.errors import MissingInputError, TarballError
from datalad_icf.store.metadata import MAX_TIME

_HEAD = 8192
# an extended header has a path and some numbers
_MAX_EXTENDED = 1 << 20
_COMPRESSED = {
    b'\x1f\x8b': 'gzip',
    b'BZh': 'bzip2',
    b'\xfd7zXZ': 'xz',
    b'\x28\xb5\x2f\xfd': 'zstd',
    b'PK\x03\x04': 'zip',
}


class Member(NamedTuple):
    """A regular file in a tarball

    Attributes
    ----------
    name
        Path as it stands in the tarball; bytes that are no UTF-8 as lone
        surrogates.
    offset
        Position of the first byte of the content in the tarball.
    size
        Size of the content in bytes.
    mtime
        Modification time in seconds since 1970.
    md5
        MD5 of the content, 32 hexadecimal digits.
    head
        The first bytes of the content, up to 8 kB, often less.
    """

    name: str
    offset: int
    size: int
    mtime: float
    md5: str
    head: bytes


class TarballReader:
    """Reads a tarball once from its start to its end, with all digests

    A context manager. The formats ustar, pax, GNU and v7 are read (POSIX.1-2001,
    *pax*). Memory does not grow with the size of the files.

    Parameters
    ----------
    path
        The tarball.
    progress
        Called with the number of bytes since the last call.

    Raises
    ------
    MissingInputError
        If there is no such file.
    TarballError
        On entering or reading, if the tarball is cut, damaged or compressed, if
        it has a member that is not a regular file or a directory, if a name
        leaves the tarball, or stands there twice.
    """

    def __init__(
        self, path: Path, *, progress: Callable[[int], None] | None = None
    ) -> None:
        self.path = path
        self._progress = progress
        self._digest = BlockDigest()
        self._block = bytearray()
        self._start = 0
        self._end = 0
        self._position = 0
        # normalised names, and what they are
        self._names: dict[bytes, bytes] = {}
        self.size = 0

    def __enter__(self) -> TarballReader:
        try:
            # does not wait for the other end of a FIFO
            fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            self._file = os.fdopen(fd, 'rb', buffering=0)
        except FileNotFoundError as e:
            msg = f'{self.path} is not there; run icf-archive first'
            raise MissingInputError(msg) from e
        except OSError as e:
            msg = f'cannot read {self.path}: {e.strerror}'
            raise MissingInputError(msg) from e
        stat = os.fstat(self._file.fileno())
        if not S_ISREG(stat.st_mode):
            self._file.close()
            raise self._error('is no regular file')
        self.size = stat.st_size
        start = os.pread(self._file.fileno(), BLOCK, 0)
        for magic, kind in _COMPRESSED.items():
            if start.startswith(magic):
                self._file.close()
                raise self._error(f'is compressed with {kind}; only plain tar is read')
        self._digest.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._digest.__exit__(kind, error, traceback)
        self._file.close()

    def finish(self) -> str:
        """MD5 of the whole tarball, after all members were read"""
        return self._digest.finish()

    def fileno(self) -> int:
        """Descriptor of the open tarball; its position is of no meaning"""
        return self._file.fileno()

    def open_member(self, member: Member) -> BinaryIO:
        """Open the content of a member that was read already"""
        return open_part(self._file.fileno(), member.offset, member.size)

    def members(self) -> Iterator[Member]:
        """Read all regular members, in the order of the tarball"""
        long_name: bytes | None = None
        records: dict[bytes, bytes] = {}
        while True:
            block = self._take(BLOCK)
            if not any(block):
                break
            try:
                header = parse_member_header(block)
                if header.kind in (
                    PAX_MEMBER,
                    PAX_GLOBAL,
                    GNU_LONG_NAME,
                    GNU_LONG_LINK,
                ):
                    extended = self._take_extended(header)
                    if header.kind == PAX_MEMBER:
                        records = parse_records(extended)
                    elif header.kind == GNU_LONG_NAME:
                        long_name = extended.partition(b'\0')[0]
                    continue
                name = records.get(b'path', long_name or header.name)
                size = int(records.get(b'size', header.size))
                mtime = float(records.get(b'mtime', header.mtime))
                if not abs(mtime) < MAX_TIME:
                    raise ValueError('a member has no valid time')
            except (TarballError, ValueError) as e:
                raise self._error(
                    f'is damaged before byte {self._position}: {e}'
                ) from e
            if any(key.startswith(b'GNU.sparse') for key in records):
                raise self._error(f'has {_show(name)}, which is a sparse file')
            records, long_name = {}, None
            self._check_name(name, is_directory=header.kind == DIRECTORY)
            if header.kind == DIRECTORY:
                continue
            if header.kind not in REGULAR:
                raise self._error(
                    f'has {_show(name)}, which is {header.kind_name}; only regular '
                    'files can be in the tarball of a visit'
                )
            offset = self._position
            if size < 0 or offset + size > self.size:
                raise self._error(f'is cut within {_show(name)}')
            md5, head = self._digest_content(size)
            yield Member(
                name.decode('utf-8', 'surrogateescape'), offset, size, mtime, md5, head
            )
        self._check_end()

    def _check_name(self, name: bytes, *, is_directory: bool) -> None:
        parts = [part for part in name.split(b'/') if part not in (b'', b'.')]
        if (
            name.startswith(b'/')
            or b'\0' in name
            or b'..' in parts
            or not (is_directory or (parts and name.endswith(parts[-1])))
        ):
            raise self._error(f'has the unsafe name {_show(name)}')
        normal = b'/'.join(parts)
        if normal in self._names and not (
            is_directory and self._names[normal] == DIRECTORY
        ):
            raise self._error(f'has {_show(name)} twice')
        self._names[normal] = DIRECTORY if is_directory else b'0'
        # most often, the directory is known from the member before
        while (normal := normal.rpartition(b'/')[0]) and (
            self._names.setdefault(normal, b'') != DIRECTORY
        ):
            if self._names[normal]:
                raise self._error(f'has {_show(normal)} as a file and as a directory')
            self._names[normal] = DIRECTORY

    def _check_end(self) -> None:
        if any(self._take(BLOCK)):
            raise self._error('has only one of the two blocks that end a tarball')
        while self._position < self.size:
            if any(self._take(min(self.size - self._position, RECORD))):
                raise self._error('has something behind its end')
        if self.size % RECORD:
            raise self._error(f'is cut: its size is no multiple of {RECORD} bytes')

    def _take_extended(self, header: MemberHeader) -> bytes:
        if not 0 <= header.size <= _MAX_EXTENDED:
            msg = 'an extended header is too long'
            raise TarballError(msg)
        data = self._take(header.size)
        self._take(padding(header.size))
        return data

    def _digest_content(self, size: int) -> tuple[str, bytes]:
        """Read a content and its padding, return its MD5 and first bytes"""
        md5 = hashlib.md5(usedforsecurity=False)
        head = b''
        todo = size
        while todo:
            count = self._available(todo)
            with memoryview(self._block) as view:
                part = view[self._start : self._start + count]
                md5.update(part)
                if todo == size:
                    head = bytes(part[:_HEAD])
                part.release()
            self._advance(count)
            todo -= count
        self._take(padding(size))
        return md5.hexdigest(), head

    def _take(self, size: int) -> bytes:
        parts = []
        while size:
            count = self._available(size)
            parts.append(bytes(self._block[self._start : self._start + count]))
            self._advance(count)
            size -= count
        return b''.join(parts)

    def _advance(self, count: int) -> None:
        self._start += count
        self._position += count

    def _available(self, wanted: int) -> int:
        """Return how many of the wanted bytes are in the block, at least one"""
        if self._start == self._end:
            self._block = self._digest.next_block()
            try:
                count = self._file.readinto(self._block)
            except OSError as e:
                msg = f'cannot read {self.path}: {e.strerror}'
                raise TarballError(msg) from e
            if not count:
                raise self._error(
                    'is cut: the two blocks that end a tarball are missing'
                )
            self._digest.digest_block(self._block, count)
            self._start, self._end = 0, count
            if self._progress:
                self._progress(count)
        return min(wanted, self._end - self._start)

    def _error(self, problem: str) -> TarballError:
        return TarballError(f'{self.path} {problem}; nothing was deposited')


class TarballLister(TarballReader):
    """Lists the members of a tarball without reading what is in them

    A context manager like `TarballReader`, for a tarball that was read and
    checked before: a `Member` has neither MD5 nor head.
    """

    def __enter__(self) -> TarballLister:
        super().__enter__()
        return self

    def _take(self, size: int) -> bytes:
        data = os.pread(self._file.fileno(), size, self._position)
        if len(data) < size:
            raise self._error('is cut: the two blocks that end a tarball are missing')
        self._position += size
        return data

    def _digest_content(self, size: int) -> tuple[str, bytes]:
        self._position += size + padding(size)
        return '', b''

    def _check_end(self) -> None:
        if any(self._take(BLOCK)):
            raise self._error('has only one of the two blocks that end a tarball')


def _show(name: bytes) -> str:
    return repr(name.decode('utf-8', 'surrogateescape'))


def open_part(fd: int, offset: int, size: int) -> BinaryIO:
    """Open a part of an open file as a file of its own

    Parameters
    ----------
    fd
        Descriptor of the file, which may be closed before.
    offset, size
        Where the part is, in bytes.
    """
    return io.BufferedReader(_Window(os.dup(fd), offset, size))


class _Window(io.RawIOBase):
    """A part of a file, as a file of its own"""

    # pydicom asks files for it
    name = 'member'

    def __init__(self, fd: int, offset: int, size: int) -> None:
        super().__init__()
        self._fd = fd
        self._offset = offset
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = (0, self._position, self._size)[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = max(0, min(len(buffer), self._size - self._position))
        data = os.pread(self._fd, count, self._offset + self._position)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            os.close(self._fd)
        super().close()
