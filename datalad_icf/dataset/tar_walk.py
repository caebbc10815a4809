"""Find the members of a tarball by its headers, a few bytes each

What is found is remembered in a file, so that a tarball is walked through once,
and only as far as it was needed.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from datalad_icf.dataset.keys import dataset_path
from datalad_icf.dicom.tar_format import (
    BLOCK,
    GNU_LONG_LINK,
    GNU_LONG_NAME,
    PAX_GLOBAL,
    PAX_MEMBER,
    REGULAR,
    padding,
    parse_member_header,
    parse_records,
)
from datalad_icf.errors import TarballError

# an extended header with its content, and the header of the member
_USUAL_HEAD = 3 * BLOCK
_MAX_EXTENDED = 1 << 20

ReadAt = Callable[[int, int], bytes]


class Place(NamedTuple):
    """Where the content of a member is in a tarball, in bytes"""

    offset: int
    size: int

    @property
    def next_header(self) -> int:
        """Position of the header of the next member"""
        return self.offset + self.size + padding(self.size)


def iter_members(
    read_at: ReadAt, total: int, start: int = 0
) -> Iterator[tuple[str, Place]]:
    """List regular members without reading their content

    Parameters
    ----------
    read_at
        Reads from a position as many bytes as it is told.
    total
        Size of the tarball in bytes.
    start
        Position of the header to begin with.

    Yields
    ------
    str
        Name of a member; bytes that are no UTF-8 as lone surrogates.
    Place
        Where its content is.

    Raises
    ------
    TarballError
        If a header is damaged, or the tarball is cut.
    """
    position = start
    # most often, all headers of a tarball are as long as the first
    usual = _USUAL_HEAD
    while position < total:
        head = _Head(read_at, position, total, usual)
        found = head.parse()
        if found is None:
            return
        name, size, is_regular = found
        usual = head.position - position
        place = Place(head.position, size)
        if size < 0 or place.offset + size > total:
            msg = f'the tarball ends within a member at byte {head.position}'
            raise TarballError(msg)
        if is_regular:
            yield name.decode('utf-8', 'surrogateescape'), place
        position = place.next_header
    msg = 'the tarball has no end'
    raise TarballError(msg)


class _Head:
    """All that stands before the content of a member"""

    def __init__(self, read_at: ReadAt, start: int, total: int, usual: int) -> None:
        self._read_at = read_at
        self._total = total
        self.position = start
        self._buffer = b''
        self._fill(min(usual, total - start))

    def _fill(self, size: int) -> None:
        start = self.position + len(self._buffer)
        self._buffer += self._read_at(start, size)

    def _take(self, size: int) -> bytes:
        if self.position + size > self._total:
            msg = f'the tarball ends within a header at byte {self.position}'
            raise TarballError(msg)
        if (missing := size - len(self._buffer)) > 0:
            # with the header that follows
            room = self._total - self.position - len(self._buffer)
            self._fill(min(missing + BLOCK, room))
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        self.position += size
        return data

    def parse(self) -> tuple[bytes, int, bool] | None:
        """Name, size, and whether it is a regular file; nothing at the end"""
        long_name: bytes | None = None
        records: dict[bytes, bytes] = {}
        while True:
            block = self._take(BLOCK)
            if not any(block):
                return None
            header = parse_member_header(block)
            if header.kind in (PAX_MEMBER, PAX_GLOBAL, GNU_LONG_NAME, GNU_LONG_LINK):
                if not 0 <= header.size <= _MAX_EXTENDED:
                    msg = 'an extended header is too long'
                    raise TarballError(msg)
                data = self._take(header.size + padding(header.size))[: header.size]
                if header.kind == PAX_MEMBER:
                    records = parse_records(data)
                elif header.kind == GNU_LONG_NAME:
                    long_name = data.partition(b'\0')[0]
                continue
            try:
                size = int(records.get(b'size', header.size))
            except ValueError as e:
                msg = 'an extended header has a size that is no number'
                raise TarballError(msg) from e
            name = records.get(b'path', long_name or header.name)
            is_sparse = any(key.startswith(b'GNU.sparse') for key in records)
            return name, size, header.kind in REGULAR and not is_sparse


class MemberIndex:
    """What is known of the members of a tarball, in a file

    Several processes can use the file: it is written by one of them at a time, and
    a line is there as a whole, or is not looked at.

    Parameters
    ----------
    path
        The file, a line of JSON for each member.
    total
        Size of the tarball in bytes.
    """

    def __init__(self, path: Path, total: int) -> None:
        self._path = path
        self._total = total
        self._places: dict[str, Place] = {}
        self._position = 0
        self._is_complete = False
        self._read_bytes = 0

    def find(self, name: str, size: int, read_at: ReadAt) -> Place | None:
        """Find a member, and walk on where it is not known yet

        Parameters
        ----------
        name
            Name of the member, as a locator has it.
        size
            Its size in bytes.
        read_at
            Reads from a position in the tarball as many bytes as it is told.

        Raises
        ------
        TarballError
            If a header is damaged, or the tarball is cut.
        """
        names = {name, dataset_path(name), unquote(name, errors='surrogateescape')}
        if (place := self._look_up(names, size)) or self._is_complete:
            return place
        with self._locked() as file:
            # another process may have walked on
            self._load(file)
            if (place := self._look_up(names, size)) or self._is_complete:
                return place
            return self._walk(file, names, size, read_at)

    def _look_up(self, names: set[str], size: int) -> Place | None:
        found = (self._places.get(name) for name in names)
        return next((place for place in found if place and place.size == size), None)

    def _walk(
        self, file: int, names: set[str], size: int, read_at: ReadAt
    ) -> Place | None:
        lines: list[str] = []
        found = None
        try:
            for name, place in iter_members(read_at, self._total, self._position):
                lines.append(self._note(name, place))
                if place.size == size and not names.isdisjoint(
                    (name, dataset_path(name))
                ):
                    found = place
                    break
            else:
                self._is_complete = True
                lines.append('null')
        finally:
            # also what was found before the connection was lost
            content = ''.join(f'{line}\n' for line in lines).encode()
            os.lseek(file, self._read_bytes, os.SEEK_SET)
            os.ftruncate(file, self._read_bytes)
            self._read_bytes += os.write(file, content)
        return found

    def _note(self, name: str, place: Place) -> str:
        self._places[name] = place
        # of two with the same name in the dataset, the last
        self._places[dataset_path(name)] = place
        self._position = place.next_header
        return json.dumps([name, *place])

    def _load(self, file: int) -> None:
        """Read what was added to the file, as far as there are whole lines"""
        os.lseek(file, self._read_bytes, os.SEEK_SET)
        data = b''
        while chunk := os.read(file, 1 << 20):
            data += chunk
        whole = data[: data.rfind(b'\n') + 1]
        for line in whole.splitlines():
            try:
                entry = json.loads(line)
                if entry is None:
                    self._is_complete = True
                    continue
                name, offset, size = entry
                self._note(str(name), Place(int(offset), int(size)))
            except (ValueError, TypeError):
                # damaged: walk from here on, and write it anew
                break
            self._read_bytes += len(line) + 1

    @contextmanager
    def _locked(self) -> Iterator[int]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
        finally:
            # and unlocked
            os.close(file)
