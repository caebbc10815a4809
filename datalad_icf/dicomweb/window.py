"""Read a DICOM file in pieces of a useful size"""

from __future__ import annotations

from struct import Struct

from datalad_icf.dicomweb.encoding import Encoding
from datalad_icf.dicomweb.model import Span
from datalad_icf.dicomweb.source import ByteSource

# the header of a usual image, so that most files are read with one call
BUFFER = 32 * 1024
# data elements, items, fragments of one file: a gigabyte of empty ones must not
# fill the memory
MAX_PARTS = 1 << 21

ITEM = 0xFFFEE000
ITEM_END = 0xFFFEE00D
SEQUENCE_END = 0xFFFEE0DD
ITEM_BYTES = (b'\xfe\xff\x00\xe0', b'\xff\xfe\xe0\x00')


class Malformed(Exception):
    """Here the data elements cannot be told apart any more

    Attributes
    ----------
    offset
        Where the element starts that could not be read, in bytes.
    """

    offset = 0


class Window:
    """A source, and those of its bytes that are in memory

    Parameters
    ----------
    source
        What is read. Positions are offsets in it.
    head
        Its first bytes, if they were read already.
    """

    def __init__(self, source: ByteSource, head: bytes = b'') -> None:
        self.source = source
        self._size = source.size
        self._data = head
        self._base = 0

    def _fill(self, position: int, length: int = BUFFER) -> bytes:
        self._base = position
        self._data = self.source.read(position, length)
        return self._data

    def read_header(
        self, position: int, end: int, encoding: Encoding
    ) -> tuple[int, int]:
        """Return tag and length of an item or a delimiter"""
        start = position - self._base
        if start < 0 or start + 8 > len(self._data):
            # fragments are often long, and nothing but this is wanted of them
            self._fill(position, 512)
            start = 0
        if start + 8 > len(self._data) or position + 8 > end:
            raise Malformed('ends within a sequence')
        group, number, length = encoding.header(self._data, start)
        return group << 16 | number, length

    def peek(self, position: int) -> bytes:
        """Return the 4 bytes at a position"""
        return self.source.read(position, 4)

    def has_items(self, position: int) -> bool:
        """Whether an item starts at a position, in whatever byte order"""
        return self.peek(position) in ITEM_BYTES

    def read_fragments(
        self, fragments: list[Span], position: int, end: int, encoding: Encoding
    ) -> int:
        """Append where the fragments are, return what is after the delimiter"""
        while True:
            tag, length = self.read_header(position, end, encoding)
            position += 8
            if tag == SEQUENCE_END:
                return position
            if tag != ITEM:
                raise Malformed('there is no fragment')
            if len(fragments) >= MAX_PARTS:
                raise Malformed('has too many fragments')
            if position + length > end:
                raise Malformed('a fragment is longer than what is left')
            fragments.append(Span(position, length))
            position += length

    def find_end(self, position: int, end: int, encoding: Encoding) -> int:
        """Return where the delimiter of a value is that is no sequence"""
        if self.has_items(position):
            # fragments, as of Pixel Data; they may have a delimiter in them
            try:
                return self.read_fragments([], position, end, encoding) - 8
            except Malformed:
                pass
        order = '<' if encoding.little_endian else '>'
        delimiter = Struct(f'{order}HHL').pack(0xFFFE, 0xE0DD, 0)
        while position < end:
            data = self.source.read(position, min(BUFFER, end - position))
            found = data.find(delimiter)
            if found >= 0:
                return position + found
            if len(data) <= 7:
                break
            position += len(data) - 7
        raise Malformed('a value has no end')
