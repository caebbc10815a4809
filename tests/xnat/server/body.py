"""Bodies of requests: with a length, in chunks, or as a form with a file"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import BinaryIO

from tests.xnat.server.members import Stream


class ConnectionCutError(Exception):
    """The client is gone, or is to believe that the server is"""


class Body:
    """Reads a body to its end and no further; chunked or with a length

    ``on_bytes`` is told how much arrived. ``cut_after`` is the number of bytes
    after which the connection breaks.
    """

    def __init__(
        self,
        source: BinaryIO,
        *,
        length: int,
        chunked: bool,
        on_bytes: Callable[[int], None],
        cut_after: int | None = None,
    ) -> None:
        self.chunked = chunked
        self.received = 0
        self._source = source
        self._left = length
        self._on_bytes = on_bytes
        self._cut_after = cut_after
        self._ended = not chunked and length == 0

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            parts = []
            while data := self.read(1 << 16):
                parts.append(data)
            return b''.join(parts)
        if self.chunked and not self._left and not self._ended:
            self._next_chunk()
        if self._ended or size == 0:
            return b''
        if self._cut_after is not None:
            size = min(size, self._cut_after - self.received)
            if size <= 0:
                raise ConnectionCutError
        data = self._source.read1(min(size, self._left))  # type: ignore[attr-defined]
        if not data:
            raise ConnectionCutError
        self.received += len(data)
        self._left -= len(data)
        if not self._left:
            if self.chunked:
                self._line()
            else:
                self._ended = True
        self._on_bytes(len(data))
        return data

    def _next_chunk(self) -> None:
        try:
            self._left = int(self._line().split(b';')[0], 16)
        except ValueError as e:
            raise ConnectionCutError from e
        if not self._left:
            self._ended = True
            while self._line():
                pass

    def _line(self) -> bytes:
        line = self._source.readline(65537)
        if not line.endswith(b'\n'):
            raise ConnectionCutError
        return line.strip()

    def drain(self) -> None:
        while self.read(1 << 16):
            pass


class FormFile:
    """The file in a form (multipart/form-data), and the fields before it"""

    def __init__(self, body: Stream, content_type: str) -> None:
        found = re.search(r'boundary="?([^";]+)', content_type)
        self._end = b'\r\n--' + (found.group(1) if found else '').encode()
        self._body = body
        # so that the first boundary looks like the others
        self._ahead = b'\r\n'
        self._ended = False
        self.fields: dict[str, str] = {}
        self.name = ''
        self._skip_part()
        while not self._ended and not self.name:
            head = self._until(b'\r\n\r\n').decode('utf-8', 'replace')
            values = dict(re.findall(r'\b(filename|name)="([^"]*)"', head))
            if 'filename' in values:
                self.name = values['filename']
            elif values:
                self.fields[values['name']] = self._part().decode()
            else:
                self._ended = True

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes of the file"""
        while not self._ended:
            cut = self._ahead.find(self._end)
            if cut < 0:
                # the boundary may have begun
                cut = len(self._ahead) - len(self._end)
            elif cut == 0:
                self._ended = True
                return b''
            if cut > 0:
                take = cut if size < 0 else min(size, cut)
                data, self._ahead = self._ahead[:take], self._ahead[take:]
                return data
            self._more()
        return b''

    def _part(self) -> bytes:
        parts = []
        while data := self.read():
            parts.append(data)
        self._ended = False
        self._skip_part()
        return b''.join(parts)

    def _skip_part(self) -> None:
        self._until(self._end)
        self._ended = self._until(b'\r\n').startswith(b'--')

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._ahead:
            self._more()
        before, _, self._ahead = self._ahead.partition(mark)
        return before

    def _more(self) -> None:
        data = self._body.read(1 << 16)
        if not data:
            raise ConnectionCutError
        self._ahead += data
