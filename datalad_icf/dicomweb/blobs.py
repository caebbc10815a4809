"""Bytes that are in the files of a tree, not in memory"""

from __future__ import annotations

import hashlib
import re
import zlib
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from datalad_icf.dicomweb.json_values import swap_words
from datalad_icf.dicomweb.model import Span
from datalad_icf.dicomweb.multipart import (
    MULTIPART_HEAD_MAX,
    MULTIPART_TAIL,
    multipart_head_size,
)
from datalad_icf.dicomweb.tree import GZIP_SUFFIX
from datalad_icf.errors import RebuildError

_BLOCK = 1 << 20
_GZIP = 16 + zlib.MAX_WBITS
_is_name = re.compile(r'[0-9a-f]{64}').fullmatch


class Blob(NamedTuple):
    """Bytes that can be read when they are needed

    Attributes
    ----------
    size
        How many they are.
    read
        Gives them in parts.
    """

    size: int
    read: Callable[[], Iterator[bytes]]


class BlobStore:
    """Blobs of one file; a `Span` stands for each, with its number as offset

    Parameters
    ----------
    bulkdata
        Directory with the bulk data of the study.
    """

    def __init__(self, bulkdata: Path) -> None:
        self._bulkdata = bulkdata
        self._blobs: list[Blob] = []

    def add(self, blob: Blob) -> Span:
        """Add a blob, return what stands for it"""
        self._blobs.append(blob)
        return Span(len(self._blobs) - 1, blob.size)

    def add_bytes(self, data: bytes) -> Span:
        """Add a blob that is in memory"""
        return self.add(Blob(len(data), lambda: iter((data,))))

    def read(self, span: Span) -> Iterator[bytes]:
        """Read a blob in parts

        Raises
        ------
        RebuildError
            If a file is not there, or not as it was written.
        """
        return self._blobs[span.offset].read()

    def add_bulkdata(self, name: str, word_size: int = 1) -> Span:
        """Add an item of bulk data, whose words are turned around

        Raises
        ------
        RebuildError
            If there is none.
        """
        if not _is_name(name):
            msg = f'{self._bulkdata} has no item of the name that is given'
            raise RebuildError(msg)
        path = self._bulkdata / name
        try:
            size = path.stat().st_size
        except OSError as e:
            msg = f'cannot read {path}: {e.strerror}'
            raise RebuildError(msg) from e
        return self.add(Blob(size, lambda: _read_bulkdata(path, word_size)))

    def unpack(self, packed: Any) -> bytes | Span:
        """Return what `pack_bytes` packed

        Raises
        ------
        ValueError
            If it is something else.
        """
        if isinstance(packed, dict):
            return self.add_bulkdata(packed['bulkdata'])
        return b64decode(packed, validate=True)

    def unpack_bytes(self, packed: Any) -> bytes:
        """Return what `pack_bytes` packed, in memory"""
        unpacked = self.unpack(packed)
        if isinstance(unpacked, Span):
            return b''.join(self.read(unpacked))
        return unpacked


def _read_bulkdata(path: Path, word_size: int) -> Iterator[bytes]:
    digest = hashlib.sha256()
    for data in read_file(path):
        digest.update(data)
        yield swap_words(data, word_size)
    if digest.hexdigest() != path.name:
        msg = f'{path} is damaged: its name is not the SHA-256 of its content'
        raise RebuildError(msg)


def find_frame(directory: Path, number: int) -> Path:
    """Find the file of a frame, the first has number 1

    Raises
    ------
    RebuildError
        If there is none.
    """
    path = directory / str(number)
    compressed = directory / f'{number}{GZIP_SUFFIX}'
    for candidate in (path, compressed):
        if candidate.is_file():
            return candidate
    msg = f'{path} is missing'
    raise RebuildError(msg)


def read_frame(path: Path, size: int) -> Iterator[bytes]:
    """Read a frame in parts of up to 1 MB, be it bare, multipart or compressed

    Parameters
    ----------
    path
        From `find_frame`.
    size
        Number of bytes that it has to have.

    Raises
    ------
    RebuildError
        If the file is damaged.
    """
    try:
        yield from _strip_multipart(read_file(path), size)
    except ValueError as e:
        msg = f'{path} is damaged: {e}'
        raise RebuildError(msg) from e


def read_file(path: Path) -> Iterator[bytes]:
    """Read a file in parts of up to 1 MB; inflate it, if its name ends with ``.gz``

    Raises
    ------
    RebuildError
        If it cannot be read.
    """
    try:
        with open(path, 'rb') as f:
            yield from _read_gzip(f) if path.suffix == GZIP_SUFFIX else _read_blocks(f)
    except OSError as e:
        msg = f'cannot read {path}: {e.strerror}'
        raise RebuildError(msg) from e
    except (EOFError, zlib.error) as e:
        msg = f'{path} is damaged: it cannot be inflated'
        raise RebuildError(msg) from e


def _read_blocks(file: BinaryIO) -> Iterator[bytes]:
    while data := file.read(_BLOCK):
        yield data


def _read_gzip(file: BinaryIO) -> Iterator[bytes]:
    inflater = zlib.decompressobj(_GZIP)
    for data in _read_blocks(file):
        while data:
            yield inflater.decompress(data, _BLOCK)
            data = inflater.unconsumed_tail
    yield inflater.flush()
    if not inflater.eof:
        raise EOFError


def _strip_multipart(parts: Iterator[bytes], size: int) -> Iterator[bytes]:
    start = b''
    for part in parts:
        start += part
        if len(start) >= MULTIPART_HEAD_MAX:
            break
    head = multipart_head_size(start[:MULTIPART_HEAD_MAX])
    todo = size
    tail = b''
    data = start[head:]
    while True:
        taken = data[:todo]
        todo -= len(taken)
        if taken:
            yield taken
        tail += data[len(taken) :]
        following = next(parts, None)
        if following is None or len(tail) > len(MULTIPART_TAIL):
            break
        data = following
    if todo or tail != (MULTIPART_TAIL if head else b''):
        msg = f'there are not {size} bytes in it'
        raise ValueError(msg)
