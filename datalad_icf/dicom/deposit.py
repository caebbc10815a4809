"""Archive a visit and describe it, with one pass over its files"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from datetime import timezone, tzinfo
from functools import partial
from pathlib import Path
from typing import BinaryIO

from datalad_icf.dicom.archive import ArchiveReport, archive_visit
from datalad_icf.dicom.describe import (
    MetadataReport,
    TarballDescription,
    deposit_metadata,
)
from datalad_icf.dicom.header import DEFAULT_ATTRIBUTES, Attribute
from datalad_icf.dicom.members import Member, open_part
from datalad_icf.errors import IcfError
from datalad_icf.progress import Progress, no_progress
from datalad_icf.store import (
    InstanceMetadata,
    TarballMetadata,
    VisitPaths,
    draft_file,
)
from datalad_icf.store.metadata import iter_instances_json

_HEAD = 8192


def deposit_visit(
    paths: VisitPaths,
    source: Path,
    *,
    zone: tzinfo = timezone.utc,
    follow_symlinks: bool = False,
    attributes: tuple[Attribute, ...] = DEFAULT_ATTRIBUTES,
    progress: Progress = no_progress,
) -> tuple[ArchiveReport, MetadataReport]:
    """Do what `archive_visit` and then `deposit_metadata` do

    The tarball is not read again after it was written. Where there is a tarball, or
    there are metadata, it is the two steps one after the other.

    Parameters
    ----------
    paths, source, zone, follow_symlinks, progress
        See `archive_visit`.
    attributes
        See `deposit_metadata`.

    Raises
    ------
    IcfError
        See the two. Of the second, it is none that says that nothing was touched.
    """
    files = (paths.tarball, paths.tarball_metadata, paths.dicoms_metadata)
    is_first = not any(os.path.lexists(path) for path in files)
    observer = _Observer(attributes) if is_first else None
    archived = archive_visit(
        paths,
        source,
        zone=zone,
        follow_symlinks=follow_symlinks,
        observer=observer,
        progress=progress,
    )
    try:
        if observer is None or not archived.is_new:
            return archived, deposit_metadata(
                paths, attributes=attributes, progress=progress
            )
        return archived, _write_metadata(paths, archived, observer)
    except IcfError as e:
        msg = f'archived, but icf-deposit-metadata: {e}'
        raise IcfError(msg) from e


class _Observer:
    """Describes images while they are packed"""

    def __init__(self, attributes: tuple[Attribute, ...]) -> None:
        self.description = TarballDescription(attributes)
        self.instances: list[InstanceMetadata] = []
        self._finish: Callable[[], None] | None = None

    def begin(
        self, name: str, offset: int, size: int, fd: int
    ) -> Callable[[memoryview], None]:
        md5 = hashlib.md5(usedforsecurity=False)
        head = os.pread(fd, min(size, _HEAD), 0)
        open_file: Callable[[], BinaryIO] = partial(open_part, fd, 0, size)

        def finish() -> None:
            member = Member(name, offset, size, 0, md5.hexdigest(), head)
            instance = self.description.describe(member, open_file)
            if instance:
                self.instances.append(instance)

        self._finish = finish
        return md5.update

    def end(self) -> None:
        assert self._finish
        self._finish()


def _write_metadata(
    paths: VisitPaths, archived: ArchiveReport, observer: _Observer
) -> MetadataReport:
    digest = hashlib.md5(usedforsecurity=False)
    with (
        draft_file(paths.dicoms_metadata) as dicoms,
        draft_file(paths.tarball_metadata) as tarball,
    ):
        for part in iter_instances_json(observer.instances):
            digest.update(part)
            dicoms.write(part)
        metadata = TarballMetadata(
            size=archived.size,
            md5=archived.md5,
            dspath=paths.dataset_path,
            storepath=paths.store_path,
            mtime=archived.timestamp,
            instances=len(observer.instances),
            dicoms_md5=digest.hexdigest(),
        )
        tarball.write(metadata.to_json().encode())
        # the metadata of the tarball last: they vouch for the others
        for draft in (dicoms, tarball):
            draft.place()
    return MetadataReport(
        is_new=True,
        tarball=metadata,
        other_files=observer.description.other_files,
        warnings=list(observer.description.tell_undecoded()),
    )
