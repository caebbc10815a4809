"""Uploaded archives, read entry by entry while they arrive

As XNAT does it: what is broken or missing at the end of the upload does not undo
what came before.
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from io import BytesIO
from struct import unpack
from typing import Protocol

# in-body uploads by Content-Type (SecureResource.getFileWritersAndLoadParams); a
# ``.tar.gz`` is x-gtar
CONTENT_TYPES = {
    'application/zip': 'zip',
    'application/x-tar': 'tar',
    'application/x-gtar': 'tgz',
    'application/dicom': 'dicom',
}


class Stream(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


class BadArchiveError(Exception):
    """What java.util.zip or commons-compress refuse"""


def archive_format(name: str) -> str:
    """Format by file name (org.nrg.xft.utils.fileExtraction.Format)

    >>> archive_format('a.tar.gz'), archive_format('IM_0001')
    ('tgz', '')
    """
    for ending, kind in (
        ('.zip', 'zip'),
        ('.tar', 'tar'),
        ('.tar.gz', 'tgz'),
        ('.tgz', 'tgz'),
    ):
        if name.lower().endswith(ending):
            return kind
    return ''


def iter_members(stream: Stream, kind: str) -> Iterator[tuple[str, bytes]]:
    """Files of an archive, and of the archives in it (DicomZipImporter)

    Raises
    ------
    BadArchiveError
        Where the damage is, not before.
    """
    if kind == 'dicom':
        yield 'upload.dcm', read_all(stream)
        return
    opened = iter_zip(stream) if kind == 'zip' else iter_tar(stream, kind)
    for name, content in opened:
        inner = archive_format(name)
        if inner:
            yield from iter_members(BytesIO(content), inner)
        else:
            yield name, content


def iter_tar(stream: Stream, kind: str) -> Iterator[tuple[str, bytes]]:
    source = gzip.GzipFile(fileobj=stream) if kind == 'tgz' else stream  # type: ignore[call-overload]
    try:
        with tarfile.open(fileobj=source, mode='r|', bufsize=1 << 18) as tar:
            for member in tar:
                file = tar.extractfile(member)
                if file is not None:
                    yield member.name, file.read()
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as e:
        raise BadArchiveError(str(e)) from e


def iter_zip(stream: Stream) -> Iterator[tuple[str, bytes]]:
    """The entries as java.util.zip.ZipInputStream gives them

    It reads from the front and never sees the directory at the end, so all that
    it knows of an entry is its local header. Anything that is no local header
    ends the archive, also rubbish: no error, the rest is not read.
    """
    source = _Ahead(stream)
    while source.read(4) == b'PK\3\4':
        head = unpack('<HHHHHIIIHH', source.exactly(26))
        _, flags, method, _, _, crc, packed, size, name_length, extra_length = head
        name = source.exactly(name_length).decode('utf-8', 'replace')
        extra = source.exactly(extra_length)
        described = bool(flags & 8)
        if flags & 1:
            raise BadArchiveError('encrypted ZIP entry not supported')
        if described and method == 0:
            # ZipInputStream.readLOC: where would the entry end?
            raise BadArchiveError('only DEFLATED entries can have EXT descriptor')
        if 0xFFFFFFFF in (packed, size):
            packed, size = _zip64_sizes(extra, packed, size)
        if method == 0:
            content = source.exactly(size)
        elif method == 8:
            content, packed_seen = _inflate(source)
            if described:
                crc, packed, size = _descriptor(source, packed_seen, len(content))
            if (packed, size) != (packed_seen, len(content)):
                raise BadArchiveError('invalid entry size')
        else:
            raise BadArchiveError('invalid compression method')
        if zlib.crc32(content) != crc:
            raise BadArchiveError('invalid entry CRC')
        if not name.endswith('/'):
            yield name, content


def _inflate(source: _Ahead) -> tuple[bytes, int]:
    inflate = zlib.decompressobj(-15)
    content, seen = [], 0
    while not inflate.eof:
        data = source.some()
        seen += len(data)
        try:
            content.append(inflate.decompress(data))
        except zlib.error as e:
            raise BadArchiveError(str(e)) from e
    source.push_back(inflate.unused_data)
    return b''.join(content), seen - len(inflate.unused_data)


def _descriptor(source: _Ahead, packed: int, size: int) -> tuple[int, int, int]:
    """ZipInputStream.readEnd: with or without a signature; long where it must be"""
    first = source.exactly(4)
    if first == b'PK\7\10':
        first = source.exactly(4)
    if max(packed, size) > 0xFFFFFFFF:
        sizes = unpack('<QQ', source.exactly(16))
    else:
        sizes = unpack('<II', source.exactly(8))
    return int.from_bytes(first, 'little'), *sizes


def _zip64_sizes(extra: bytes, packed: int, size: int) -> tuple[int, int]:
    while len(extra) >= 4:
        tag, length = unpack('<HH', extra[:4])
        if tag == 1 and length >= 16:
            size, packed = unpack('<QQ', extra[4:20])
        extra = extra[4 + length :]
    return packed, size


def read_all(stream: Stream) -> bytes:
    parts = []
    while data := stream.read(1 << 16):
        parts.append(data)
    return b''.join(parts)


class _Ahead:
    """A stream that takes back what was read too far"""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._ahead = b''

    def push_back(self, data: bytes) -> None:
        self._ahead = data + self._ahead

    def some(self) -> bytes:
        data, self._ahead = self._ahead or self._stream.read(1 << 16), b''
        if not data:
            raise BadArchiveError('Unexpected end of ZLIB input stream')
        return data

    def read(self, size: int) -> bytes:
        parts = [self._ahead[:size]]
        self._ahead = self._ahead[size:]
        missing = size - len(parts[0])
        while missing and (data := self._stream.read(missing)):
            parts.append(data)
            missing -= len(data)
        return b''.join(parts)

    def exactly(self, size: int) -> bytes:
        data = self.read(size)
        if len(data) < size:
            raise BadArchiveError('Unexpected end of ZIP input stream')
        return data
