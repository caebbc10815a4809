"""Write files of a tree: as they are, or compressed for servers that say so"""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, cast

from datalad_icf.dicomweb.tree import GZIP_SUFFIX, INDEX, STOCK_INDEX

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
_BLOCK = 1 << 20
# parts that are written without being joined
_FEW = 8
# a gzip header without time and name: the same content gives the same bytes
_GZIP = 16 + zlib.MAX_WBITS
_LEVEL = 1


def _find_deflate() -> Any:
    try:
        # several times as fast
        return import_module('isal.isal_zlib')
    except ImportError:
        return zlib


_deflate = _find_deflate()


class Documents:
    """Writes files in one way

    Parameters
    ----------
    gzip
        Whether documents are written compressed, with ``.gz`` behind their name.
    stock
        Whether lists are written once more, for servers that give a page for a
        directory.
    """

    def __init__(self, *, gzip: bool = False, stock: bool = False) -> None:
        self._gzip = gzip
        self._stock = stock

    def write(self, path: str | Path, content: bytes) -> None:
        """Write a document"""
        self.write_parts(path, (content,))

    def write_parts(self, path: str | Path, parts: Iterable[bytes]) -> None:
        """Write a document that need not be in memory at once"""
        if self._gzip:
            write_file(f'{path}{GZIP_SUFFIX}', compress(parts))
        else:
            write_file(path, parts)

    def write_list(self, directory: Path, content: bytes) -> None:
        """Write what answers a search at the address of a directory"""
        self.write(directory / INDEX, content)
        if self._stock:
            write_file(directory / STOCK_INDEX, (content,))


def place_list(made: Path, directory: Path) -> None:
    """Rename a list to its place, where another, in any form, is read meanwhile

    Parameters
    ----------
    made
        Directory on the same file system with nothing but the new list.
    directory
        Where it belongs.
    """
    names = {path.name for path in made.iterdir()}
    for name in sorted(names):
        os.replace(made / name, directory / name)
    for name in {INDEX, INDEX + GZIP_SUFFIX, STOCK_INDEX} - names:
        (directory / name).unlink(missing_ok=True)


def has_document(path: Path) -> bool:
    """Whether a document is there in one of its forms"""
    return path.is_file() or path.with_name(path.name + GZIP_SUFFIX).is_file()


def read_document(path: Path) -> bytes | None:
    """Read a document in the form in which it is there

    Returns
    -------
    bytes or None
        Nothing if there is none.

    Raises
    ------
    ValueError
        If it is damaged.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        pass
    packed = path.with_name(path.name + GZIP_SUFFIX)
    try:
        return zlib.decompress(packed.read_bytes(), _GZIP)
    except FileNotFoundError:
        return None
    except zlib.error as e:
        msg = f'{packed} is damaged'
        raise ValueError(msg) from e


def open_document(path: Path) -> BinaryIO:
    """Open a document in the form in which it is there, to read it in parts"""
    packed = path.with_name(path.name + GZIP_SUFFIX)
    if packed.exists():
        return cast(BinaryIO, gzip.open(packed))
    return open(path, 'rb')


def iter_lines(path: Path) -> Iterator[bytes]:
    """Read a document line by line"""
    with open_document(path) as f:
        yield from f


def compress(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Compress as gzip does (RFC 1952), always to the same bytes"""
    compressor = _deflate.compressobj(_LEVEL, _deflate.DEFLATED, _GZIP)
    for part in parts:
        if data := compressor.compress(part):
            yield data
    yield compressor.flush()


def write_file(path: str | Path, parts: Iterable[bytes]) -> None:
    """Write a file part by part"""
    fd = os.open(path, _CREATE, 0o666)
    try:
        waiting: list[bytes] = []
        size = 0
        for part in parts:
            waiting.append(part)
            size += len(part)
            # few calls, little memory
            if size >= _BLOCK:
                _write_all(fd, waiting)
                waiting, size = [], 0
        _write_all(fd, waiting)
    finally:
        os.close(fd)


def _write_all(fd: int, parts: list[bytes]) -> None:
    if len(parts) > _FEW:
        parts = [b''.join(parts)]
    # at once, and a frame between its head and its end is not copied
    written = os.writev(fd, parts) if parts else 0
    if written < sum(map(len, parts)):
        view = memoryview(b''.join(parts))[written:]
        while view:
            view = view[os.write(fd, view) :]
