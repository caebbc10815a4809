"""Inflate deflated data sets (PS3.5, A.5)"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from tempfile import SpooledTemporaryFile

from datalad_icf.dicomweb.source import ByteSource, BytesSource, FileSource

_BLOCK = 1 << 20
# what is longer goes into a file
_IN_MEMORY = 8 << 20
# a few bytes can be inflated to any size: a limit, so that the disk is not full
_LIMIT = 16 << 30


class InflatedSource(FileSource):
    """An inflated data set in a temporary file, which is removed with it"""

    def __init__(self, file: SpooledTemporaryFile[bytes], size: int) -> None:
        # kept open as long as somebody reads from its descriptor
        self._file = file
        super().__init__(file.fileno(), 0, size)

    def __del__(self) -> None:
        self._file.close()


def inflate(source: ByteSource, position: int) -> tuple[ByteSource, bool]:
    """Inflate what follows a position, up to the end of the compressed stream

    Parameters
    ----------
    source
        A file.
    position
        Where the deflated data set starts in it (RFC 1951, without a header).

    Returns
    -------
    tuple
        The inflated data set, in memory if it is small, and whether it is
        complete. Of a damaged stream, it has what can be inflated.
    """
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    size = 0
    file = SpooledTemporaryFile[bytes](max_size=_IN_MEMORY)
    while size < _LIMIT and not inflater.eof:
        data = inflater.unconsumed_tail
        if not data:
            data = source.read(position, _BLOCK)
            position += len(data)
        before = inflater.copy()
        try:
            made = inflater.decompress(data, _BLOCK) if data else inflater.flush()
        except zlib.error:
            for made in _inflate_damaged(before, data):
                size += file.write(made)
            break
        size += file.write(made)
        if not data:
            break
    file.flush()
    if size > _IN_MEMORY:
        return InflatedSource(file, size), inflater.eof
    with file:
        file.seek(0)
        return BytesSource(file.read()), inflater.eof


def _inflate_damaged(inflater: zlib._Decompress, data: bytes) -> Iterator[bytes]:
    """Inflate up to the damage, which would lose all of a block otherwise"""
    position = 0
    for step in (4096, 64, 1):
        while position < len(data):
            before = inflater.copy()
            try:
                yield inflater.decompress(data[position : position + step])
            except zlib.error:
                inflater = before
                break
            position += step
