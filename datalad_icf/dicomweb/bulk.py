"""Values that are too long for metadata (PS3.18, F.2.6)"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

from datalad_icf.dicomweb.json_values import swap_words
from datalad_icf.dicomweb.model import Span
from datalad_icf.dicomweb.source import ByteSource

# a multiple of all word sizes
_BLOCK = 1 << 20


class BulkItem(NamedTuple):
    """A value outside of the metadata, named by what is in it

    Attributes
    ----------
    name
        SHA-256 of the bytes that `iter_bulk` gives, 64 hexadecimal digits.
    value, span
        Its bytes, or where they are in the source of the instance. As in the
        file, in whatever byte order. One of the two is ``None``.
    word_size
        Number of bytes that are turned around, as bulk data are little endian; 1
        if nothing has to be.
    """

    name: str
    value: bytes | None
    span: Span | None
    word_size: int = 1


def make_bulk(
    source: ByteSource, value: bytes | None, span: Span | None, word_size: int
) -> BulkItem:
    """Name a value; arguments as the attributes of `BulkItem`"""
    digest = hashlib.sha256()
    for data in iter_bulk(source, BulkItem('', value, span, word_size)):
        digest.update(data)
    return BulkItem(digest.hexdigest(), value, span, word_size)


def iter_bulk(source: ByteSource, item: BulkItem) -> Iterator[bytes]:
    """Read the bytes of bulk data, in little endian byte order, bit by bit

    Raises
    ------
    EOFError
        If the source ends before.
    """
    if item.span is None:
        yield swap_words(item.value or b'', item.word_size)
        return
    position, end = item.span.offset, item.span.offset + item.span.length
    while position < end:
        data = source.read(position, min(_BLOCK, end - position))
        if len(data) < min(_BLOCK, end - position):
            raise EOFError
        yield swap_words(data, item.word_size)
        position += len(data)
