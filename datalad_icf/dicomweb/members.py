"""The files of a visit that are to be converted"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from datalad_icf.dicom import Member, TarballLister
from datalad_icf.dicomweb.info import Origin
from datalad_icf.dicomweb.source import FileSource
from datalad_icf.errors import MetadataError, MissingInputError
from datalad_icf.store import (
    VisitPaths,
    read_instances,
    read_md5sum,
    read_tarball_metadata,
)

_BLOCK = 1 << 20


class VisitMembers:
    """The files in the tarball of a visit, made by `open_members`

    Attributes
    ----------
    md5
        MD5 of the tarball, as its digest file has it.
    members
        All regular members.
    """

    def __init__(
        self,
        tarball: TarballLister,
        md5: str,
        members: list[Member],
        digests: dict[tuple[str, int], str],
    ) -> None:
        self.md5 = md5
        self.members = members
        self._tarball = tarball
        self._digests = digests

    def open(self, member: Member) -> FileSource:
        """Where the content of a member is"""
        return FileSource(self._tarball.fileno(), member.offset, member.size)

    def origin(self, member: Member, source: FileSource) -> Origin:
        """What a member is, with the MD5 that the metadata have for it"""
        md5 = self._digests.get((member.name, member.size)) or _digest(source)
        return Origin(member.name, member.offset, member.size, md5)


@contextmanager
def open_members(paths: VisitPaths) -> Iterator[VisitMembers]:
    """Open the tarball of a visit

    It is not read as a whole: that it is sound was found out when its metadata
    were made. Without metadata the MD5 of each file is computed.

    Raises
    ------
    MissingInputError
        If there is no tarball, or no digest file.
    TarballError
        If it is damaged.
    MetadataError
        If its metadata are of another tarball.
    """
    with TarballLister(paths.tarball) as tarball:
        md5 = read_md5sum(paths.md5sum)
        if md5 is None:
            msg = f'{paths.md5sum} is not there; run icf-archive first'
            raise MissingInputError(msg)
        digests = _read_digests(paths, md5, tarball.size)
        yield VisitMembers(tarball, md5, list(tarball.members()), digests)


def _read_digests(paths: VisitPaths, md5: str, size: int) -> dict[tuple[str, int], str]:
    try:
        metadata = read_tarball_metadata(paths.tarball_metadata)
        instances = read_instances(paths.dicoms_metadata, metadata.dicoms_md5)
    except MissingInputError:
        return {}
    if (metadata.md5, metadata.size) != (md5, size):
        msg = (
            f'{paths.tarball_metadata} is about another tarball; run '
            'icf-deposit-metadata again'
        )
        raise MetadataError(msg)
    return {(i.path, i.size): i.md5 for i in instances}


def _digest(source: FileSource) -> str:
    md5 = hashlib.md5(usedforsecurity=False)
    for offset in range(0, source.size, _BLOCK):
        md5.update(source.read(offset, _BLOCK))
    return md5.hexdigest()
