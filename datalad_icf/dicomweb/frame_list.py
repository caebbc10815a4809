"""The frames of an instance, to be copied or read"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from datalad_icf.dicomweb.json_values import swap_words
from datalad_icf.dicomweb.model import Problem, Span
from datalad_icf.dicomweb.source import ByteSource

_CHUNK = 1 << 20


class BitRange(NamedTuple):
    """A frame that has to be converted

    Attributes
    ----------
    start, length
        In bits, within the value of the data element in little endian; the first
        pixel is in the lowest bit (PS3.5, 8.1.1).
    """

    start: int
    length: int


class FrameList(NamedTuple):
    """The frames of an instance

    Attributes
    ----------
    tag
        Of the data element with the pixels, 0 if there is none.
    media_type, transfer_syntax_uid
        What a frame is, as it is served.
    source
        What the spans refer to.
    frames
        The first is ``frames/1``. Spans of a frame together are its bytes; a
        `BitRange` takes a conversion, see `iter_frame`.
    rows, columns, bits
        Size of a frame in pixels, and bits allocated for each sample; 0 if they
        are not known.
    value
        Where the value of the data element is, if it is not encapsulated.
    rest
        The end of the value, if it is not made of frames alone.
    word
        Big endian: bytes are swapped in words of this many bytes, else 1.
    problems
        What was wrong.
    """

    tag: int
    media_type: str
    transfer_syntax_uid: str
    source: ByteSource
    frames: tuple[tuple[Span, ...] | BitRange, ...] = ()
    rows: int = 0
    columns: int = 0
    bits: int = 0
    value: Span = Span(0, 0)
    rest: Span = Span(0, 0)
    word: int = 1
    problems: tuple[Problem, ...] = ()

    def frame_size(self, index: int) -> int:
        """Size of a frame in bytes, the first has index 0"""
        frame = self.frames[index]
        if isinstance(frame, BitRange):
            return -(-frame.length // 8)
        return sum(span.length for span in frame)

    def iter_frame(self, index: int) -> Iterator[bytes]:
        """Read a frame in parts of up to 1 MB, the first has index 0

        Raises
        ------
        EOFError
            If the source ends before.
        """
        frame = self.frames[index]
        if isinstance(frame, BitRange):
            yield from self._convert(frame)
            return
        for offset, length in frame:
            for start in range(offset, offset + length, _CHUNK):
                yield self._read(start, min(_CHUNK, offset + length - start))

    def copy_frame(self, index: int, fd: int) -> None:
        """Append a frame to an open file, the first has index 0

        Raises
        ------
        EOFError
            If the source ends before.
        """
        frame = self.frames[index]
        if not isinstance(frame, BitRange):
            for offset, length in frame:
                self.source.copy(offset, length, fd)
            return
        for part in self._convert(frame):
            view = memoryview(part)
            while view:
                view = view[os.write(fd, view) :]

    def _read(self, offset: int, length: int) -> bytes:
        data = self.source.read(offset, length)
        if len(data) < length:
            raise EOFError
        return data

    def _convert(self, frame: BitRange) -> Iterator[bytes]:
        end = frame.start + frame.length
        for start in range(frame.start, end, 8 * _CHUNK):
            stop = min(end, start + 8 * _CHUNK)
            # whole words, as only these can be swapped
            first = start // 8 // self.word * self.word
            last = -(-stop // 8 // self.word) * self.word
            data = self._read(self.value.offset + first, last - first)
            data = swap_words(data, self.word)
            if start % 8 == stop % 8 == 0:
                yield data[start // 8 - first : stop // 8 - first]
                continue
            # in an integer, the first pixel is the lowest bit, too
            number = int.from_bytes(data, 'little') >> (start - 8 * first)
            number &= (1 << (stop - start)) - 1
            yield number.to_bytes(-(-(stop - start) // 8), 'little')
