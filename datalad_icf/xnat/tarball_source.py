"""A visit in the store, sent straight from its tarball"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import PurePosixPath

from datalad_icf.dicom import TarballLister, open_part
from datalad_icf.errors import TarballError
from datalad_icf.store import VisitPaths
from datalad_icf.xnat.source import BLOCK, HEAD, Contents, Whole


class TarballSource:
    """The tarball of a visit, never unpacked

    Parameters
    ----------
    paths
        The files of the visit.
    """

    def __init__(self, paths: VisitPaths) -> None:
        self.path = paths.tarball
        self.fields = {'study': paths.visit.study_id, 'visit': paths.visit.visit_id}
        self._prefix = f'{paths.visit.member_prefix}/'

    @contextmanager
    def open(self) -> Iterator[Contents]:
        """Open the tarball, and read the headers of its images

        Raises
        ------
        MissingInputError
            If there is no tarball.
        TarballError
            If it is damaged.
        """
        with TarballLister(self.path) as tarball:
            fd = tarball.fileno()
            contents = Contents()
            for member in tarball.members():
                name = member.name.removeprefix('./').removeprefix(self._prefix)
                contents.add(
                    name,
                    str(PurePosixPath(name).parent),
                    member.size,
                    os.pread(fd, min(member.size, HEAD), member.offset),
                    partial(open_part, fd, member.offset, member.size),
                    partial(self._blocks, fd, member.offset, member.size),
                )
            contents.whole = Whole(
                'application/x-tar',
                tarball.size,
                partial(self._blocks, fd, 0, tarball.size),
            )
            yield contents

    def _blocks(self, fd: int, offset: int, size: int) -> Iterator[bytes]:
        end = offset + size
        while offset < end:
            try:
                block = os.pread(fd, min(BLOCK, end - offset), offset)
            except OSError as e:
                msg = f'cannot read {self.path}: {e.strerror}'
                raise TarballError(msg) from e
            if not block:
                msg = f'{self.path} was cut while it was sent'
                raise TarballError(msg)
            yield block
            offset += len(block)
