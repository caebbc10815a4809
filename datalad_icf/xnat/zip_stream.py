"""A zip that is made while it is sent, as XNAT can read it

XNAT reads with ``java.util.zip.ZipInputStream``, from the front and once. It refuses
an entry that is stored and has its sizes behind it, which is how zips are usually
streamed. Here CRC and sizes stand in front (APPNOTE.TXT 6.3.10, 4.3.7).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import Any, NamedTuple
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipInfo

# What is read twice in place of being kept: once for its CRC, once to be sent.
_MAX_IN_MEMORY = 8 << 20
# Chunks of a request; what is smaller costs more than it saves.
_CHUNK = 256 << 10
# What fields of 4 and of 2 bytes have where the value is in one of ZIP64 ...
_ELSEWHERE, _ELSEWHERE_16 = 0xFFFFFFFF, 0xFFFF
# ... which is from so many bytes, or so many files, on
_LARGE, _MANY = _ELSEWHERE, _ELSEWHERE_16
# of a DOS time: nothing that the files say
_DATE = (1980, 1, 1, 0, 0, 0)


class ZipEntry(NamedTuple):
    """A file to be put into a zip

    Attributes
    ----------
    name
        Path in the zip, ASCII.
    size
        Size of the content in bytes.
    blocks
        Reads the content, from its start each time.
    """

    name: str
    size: int
    blocks: Callable[[], Iterable[bytes]]


def iter_zip(entries: Iterable[ZipEntry], *, deflate: bool = False) -> Iterator[bytes]:
    """Make a zip of entries, piece by piece

    Parameters
    ----------
    entries
        The files.
    deflate
        Compress them, fast. Files of more than 8 MB are stored all the same.

    Returns
    -------
    iterator of bytes
        Pieces of at most 256 kB or of one file, whichever is more. At no time more
        than one file of up to 8 MB is in memory.

    Examples
    --------
    >>> from io import BytesIO
    >>> from zipfile import ZipFile
    >>> entry = ZipEntry('a.dcm', 4, lambda: [b'ab', b'cd'])
    >>> ZipFile(BytesIO(b''.join(iter_zip([entry])))).read('a.dcm')
    b'abcd'
    """
    waiting: list[bytes] = []
    length = 0
    for piece in _iter_pieces(entries, _compressor() if deflate else None):
        waiting.append(piece)
        length += len(piece)
        if length >= _CHUNK:
            yield b''.join(waiting)
            waiting, length = [], 0
    yield b''.join(waiting)


def _iter_pieces(
    entries: Iterable[ZipEntry], compress: Callable[[bytes], bytes] | None
) -> Iterator[bytes]:
    directory: list[bytes] = []
    position = 0
    for entry in entries:
        info = ZipInfo(entry.name, _DATE)
        info.compress_type = ZIP_STORED
        info.header_offset = position
        info.file_size = info.compress_size = entry.size
        content: Iterable[bytes]
        if entry.size > _MAX_IN_MEMORY:
            info.CRC = 0
            for block in entry.blocks():
                info.CRC = zlib.crc32(block, info.CRC)
            content = entry.blocks()
        else:
            data = b''.join(entry.blocks())
            info.CRC = zlib.crc32(data)
            if compress:
                packed = compress(data)
                if len(packed) < len(data):
                    data = packed
                    info.compress_type = ZIP_DEFLATED
                    info.compress_size = len(packed)
            content = (data,)
        # the library sets bit 3, "sizes follow", only where it is asked to, and uses
        # ZIP64 from 2 GB on
        header = info.FileHeader()
        yield header
        yield from content
        position += len(header) + info.compress_size
        directory.append(_directory_entry(info))
    yield from directory
    yield _end(len(directory), sum(map(len, directory)), position)


def _directory_entry(info: ZipInfo) -> bytes:
    """Central directory header (4.3.12), with ZIP64 fields (4.5.3) where needed"""
    values = [info.file_size, info.compress_size, info.header_offset]
    large = [value for value in values if value >= _LARGE]
    size, packed, offset = map(_field, values)
    extra = (
        struct.pack(f'<HH{len(large)}Q', 1, 8 * len(large), *large) if large else b''
    )
    version = 45 if large else 20
    name = info.filename.encode('ascii')
    # 1 January 1980, 0:00
    head = (version, version, 0, info.compress_type, 0, 0x21, info.CRC, packed, size)
    tail = (len(name), len(extra), 0, 0, 0, 0o100644 << 16, offset)
    return struct.pack('<4s6H3I5H2I', b'PK\1\2', *head, *tail) + name + extra


def _field(value: int) -> int:
    return value if value < _LARGE else _ELSEWHERE


def _end(count: int, size: int, offset: int) -> bytes:
    """End of the central directory, with that of ZIP64 where needed (4.3.14-16)"""
    end64 = b''
    if count >= _MANY or offset + size >= _LARGE:
        record = (44, 45, 45, 0, 0, count, count, size, offset)
        end64 = struct.pack('<4sQ2H2I4Q', b'PK\6\6', *record)
        end64 += struct.pack('<4sIQI', b'PK\6\7', 0, offset + size, 1)
    count = count if count < _MANY else _ELSEWHERE_16
    values = (0, 0, count, count, _field(size), _field(offset), 0)
    return end64 + struct.pack('<4s4H2IH', b'PK\5\6', *values)


def _compressor() -> Callable[[bytes], bytes]:
    """The fastest deflate that is installed (RFC 1951), without header"""
    module: Any
    try:
        module = import_module('isal.isal_zlib')
    except ImportError:
        module = zlib

    def compress(data: bytes) -> bytes:
        compressor = module.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
        packed: bytes = compressor.compress(data) + compressor.flush()
        return packed

    return compress
