"""Directories of DICOM files: one of a session, or a tree of subjects and sessions"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from datalad_icf.dicom import list_files
from datalad_icf.errors import SourceError
from datalad_icf.xnat.source import BLOCK, HEAD, Contents, Source
from datalad_icf.xnat.zip_source import ZipSource


class DirectorySource:
    """All files below the directory of a session

    Parameters
    ----------
    path
        The directory.
    subject, session
        What the directories are called, for labels.
    """

    def __init__(self, path: Path, subject: str, session: str) -> None:
        self.path = path
        self.fields = {'subject': subject, 'session': session}

    @contextmanager
    def open(self) -> Iterator[Contents]:
        """Read the headers of all files

        Raises
        ------
        SourceError
            If there is something that cannot be read, or is no regular file.
        """
        contents = Contents()
        for name in list_files(self.path, follow_symlinks=True):
            file = self.path / name
            try:
                with file.open('rb') as f:
                    size, head = os.fstat(f.fileno()).st_size, f.read(HEAD)
            except OSError as e:
                msg = f'cannot read {file}: {e.strerror}'
                raise SourceError(msg) from e
            contents.add(
                name,
                str(PurePosixPath(name).parent),
                size,
                head,
                partial(_open, file),
                partial(_blocks, file, size),
            )
        yield contents


def find_sources(root: Path) -> list[Source]:
    """Find the sessions below a directory

    Either zip files, in any depth, each a session of the subject that it is named
    after, as XNAT_CLI_Toolkit takes them; or directories ``SUBJECT/SESSION/...``, as
    dicomUpload.py does.

    Raises
    ------
    SourceError
        If there are neither, or both, or files in between, which would be lost.
    """
    files = [root / name for name in list_files(root, follow_symlinks=True)]
    zips = [file for file in files if file.suffix.lower() == '.zip']
    others = [file for file in files if file.suffix.lower() != '.zip']
    # hidden files are what file managers leave behind
    visible = [file for file in others if not file.name.startswith('.')]
    if zips and visible:
        msg = (
            f'{root} has zip files, and others, such as {visible[0]}; put one kind '
            'into a directory of its own'
        )
        raise SourceError(msg)
    if zips:
        return [ZipSource(file) for file in zips]
    sessions = {}
    for file in others:
        parts = file.relative_to(root).parts
        if len(parts) < 3 and file.name.startswith('.'):
            continue
        if len(parts) < 3:
            msg = (
                f'{file} is not in the directory of a session; below {root}, files '
                'have to be in SUBJECT/SESSION/'
            )
            raise SourceError(msg)
        sessions[parts[:2]] = root.joinpath(*parts[:2])
    if not sessions:
        msg = f'{root} has neither sessions nor zip files; there is nothing to send'
        raise SourceError(msg)
    return [DirectorySource(path, *names) for names, path in sorted(sessions.items())]


def _open(file: Path) -> BinaryIO:
    return file.open('rb')


def _blocks(file: Path, size: int) -> Iterator[bytes]:
    sent = 0
    try:
        with file.open('rb') as f:
            while block := f.read(BLOCK):
                sent += len(block)
                yield block
    except OSError as e:
        msg = f'cannot read {file}: {e.strerror}'
        raise SourceError(msg) from e
    if sent != size:
        msg = f'{file} has changed while it was sent'
        raise SourceError(msg)
