"""Zip files that somebody has made, one for each session"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, cast

from datalad_icf.errors import SourceError
from datalad_icf.xnat.source import BLOCK, HEAD, Contents, Whole

_ENCRYPTED = 0x01
_SIZES_FOLLOW = 0x08


class ZipSource:
    """A zip with the images of a session; its name is that of the subject

    Parameters
    ----------
    path
        The zip.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fields = {'subject': path.stem, 'session': path.stem}

    @contextmanager
    def open(self) -> Iterator[Contents]:
        """Open the zip, and read the headers of its images

        Raises
        ------
        SourceError
            If it is damaged, or encrypted.
        """
        try:
            archive = zipfile.ZipFile(self.path)
        except (OSError, zipfile.BadZipFile) as e:
            raise self._error(e) from e
        with archive:
            contents = Contents()
            readable = True
            for info in archive.infolist():
                if info.is_dir():
                    continue
                if info.flag_bits & _ENCRYPTED:
                    msg = f'{self.path} is encrypted'
                    raise SourceError(msg)
                # what the server cannot read is made anew, see `zip_stream`
                stored = info.compress_type == zipfile.ZIP_STORED
                readable &= not (stored and info.flag_bits & _SIZES_FOLLOW)
                readable &= stored or info.compress_type == zipfile.ZIP_DEFLATED
                try:
                    with archive.open(info) as f:
                        head = f.read(HEAD)
                except (OSError, zipfile.BadZipFile, zlib.error, ValueError) as e:
                    raise self._error(e) from e
                contents.add(
                    info.filename,
                    str(PurePosixPath(info.filename).parent),
                    info.file_size,
                    head,
                    partial(_open, archive, info),
                    partial(self._blocks, archive, info),
                )
            if readable:
                size = self.path.stat().st_size
                contents.whole = Whole('application/zip', size, self._all)
            yield contents

    def _blocks(
        self, archive: zipfile.ZipFile, info: zipfile.ZipInfo
    ) -> Iterator[bytes]:
        try:
            # which checks the CRC
            with archive.open(info) as f:
                yield from _read(f)
        except (OSError, zipfile.BadZipFile, zlib.error) as e:
            raise self._error(e) from e

    def _all(self) -> Iterator[bytes]:
        try:
            with self.path.open('rb') as f:
                yield from _read(f)
        except OSError as e:
            raise self._error(e) from e

    def _error(self, cause: Exception) -> SourceError:
        problem = getattr(cause, 'strerror', None) or 'it is damaged, or no zip'
        return SourceError(f'cannot read {self.path}: {problem}')


def _open(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> BinaryIO:
    return cast('BinaryIO', archive.open(info))


def _read(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(BLOCK):
        yield block
