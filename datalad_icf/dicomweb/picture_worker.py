"""Make pictures in a process of its own

Decoders of compressed images are written in C. One that crashes on a damaged image
must not end the conversion of a visit, so they run elsewhere.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from struct import calcsize, pack, unpack
from types import TracebackType
from typing import IO, BinaryIO

from datalad_icf.dicom import open_part
from datalad_icf.dicomweb.pictures import make_thumbnail
from datalad_icf.errors import PictureError

_SIZE = '<q'
# in place of a size
_NO_PICTURE, _FAILED = -1, -2


class PictureWorker:
    """Makes pictures of images that are parts of files

    A context manager. The process is started for the first picture, and again after
    a crash.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> PictureWorker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    @property
    def pid(self) -> int | None:
        """Number of the process, if it runs"""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the process, which takes a while, if it does not run"""
        if self._process is None:
            self._process = _start()

    def make(self, path: Path, offset: int, size: int) -> bytes | None:
        """Make a picture, as `make_thumbnail` does

        Parameters
        ----------
        path
            The file.
        offset, size
            Where the DICOM file is in it, in bytes.

        Raises
        ------
        PictureError
            Also if a decoder has crashed.
        """
        self.start()
        assert self._process
        request = json.dumps([os.fspath(path), offset, size]).encode() + b'\n'
        try:
            assert self._process.stdin
            assert self._process.stdout
            self._process.stdin.write(request)
            self._process.stdin.flush()
            count = unpack(_SIZE, _read(self._process.stdout, calcsize(_SIZE)))[0]
            if count == _NO_PICTURE:
                return None
            if count >= 0:
                return _read(self._process.stdout, count)
            length = unpack(_SIZE, _read(self._process.stdout, calcsize(_SIZE)))[0]
            message = _read(self._process.stdout, length).decode()
        except (OSError, EOFError) as e:
            self._end()
            msg = 'the decoder has crashed'
            raise PictureError(msg) from e
        raise PictureError(message)

    def _end(self) -> None:
        if self._process is not None:
            process, self._process = self._process, None
            # of a crash before it has read what it was asked for
            with suppress(BrokenPipeError), process:
                process.kill()


def _start() -> subprocess.Popen[bytes]:
    # the code of this process, wherever it was imported from
    paths = [p for p in sys.path if p]
    return subprocess.Popen(
        [sys.executable, '-m', __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # decoders print what they think of an image
        stderr=subprocess.DEVNULL,
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(paths)},
        # an interrupt of the terminal is not its business: it would look like a crash,
        # and an image without picture is nothing that is tried again
        start_new_session=True,
    )


def _read(file: IO[bytes], size: int) -> bytes:
    data: bytes = file.read(size)
    if len(data) < size:
        raise EOFError
    return data


def _prepare() -> None:
    """Import what takes longest, before the first image is there"""
    # what is missing, and why, is told with the first picture
    with suppress(ImportError):
        import_module('datalad_icf.dicomweb.pictures_decode')
        import_module('datalad_icf.dicomweb.pictures_render')


def _serve(requests: BinaryIO, answers: BinaryIO) -> None:
    for request in requests:
        path, offset, size = json.loads(request)
        try:
            with open(path, 'rb') as f, open_part(f.fileno(), offset, size) as part:
                picture = make_thumbnail(part)
        except (PictureError, OSError) as e:
            text = str(e).encode()
            answers.write(pack(_SIZE, _FAILED) + pack(_SIZE, len(text)) + text)
        else:
            count = _NO_PICTURE if picture is None else len(picture)
            answers.write(pack(_SIZE, count) + (picture or b''))
        answers.flush()


if __name__ == '__main__':
    answers = os.fdopen(os.dup(1), 'wb')
    # whatever decoders print is no answer
    os.dup2(2, 1)
    _prepare()
    _serve(sys.stdin.buffer, answers)
