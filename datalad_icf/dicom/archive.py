"""Pack a visit into the store"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from datetime import timezone, tzinfo
from pathlib import Path
from typing import BinaryIO

from datalad_icf.dicom.sources import VisitSources, list_files, scan_sources
from datalad_icf.dicom.tarball import MemberObserver, TarballSummary, write_tarball
from datalad_icf.errors import (
    ConflictError,
    IdentifierError,
    MetadataError,
    SourceError,
)
from datalad_icf.progress import Progress, no_progress
from datalad_icf.store import (
    VIEWER_MARK,
    VisitPaths,
    clear_draft,
    draft_file,
    format_md5sum,
    open_regular,
    read_md5sum,
)


@dataclass(frozen=True)
class ArchiveReport:
    """What `archive_visit` did

    Attributes
    ----------
    is_new
        Whether the tarball was made, or was there and is the same.
    size, md5
        Size of the tarball in bytes, and its digest in hexadecimal digits.
    files, instances
        Number of files, and of DICOM files among them.
    timestamp
        Newest modification time of a member, in seconds since 1970.
    warnings
        What somebody should look at, a sentence each.
    restored
        Names of files that were lost, and were written again.
    """

    is_new: bool
    size: int
    md5: str
    files: int
    instances: int
    timestamp: float
    warnings: list[str] = field(default_factory=list)
    restored: list[str] = field(default_factory=list)


def archive_visit(
    paths: VisitPaths,
    source: Path,
    *,
    zone: tzinfo = timezone.utc,
    follow_symlinks: bool = False,
    observer: MemberObserver | None = None,
    progress: Progress = no_progress,
) -> ArchiveReport:
    """Pack the files of a visit into its tarball, with a digest file beside it

    The data are read once, after the first 4 kB of each file. Where there is a
    tarball already, it is compared with what would be written.

    Parameters
    ----------
    paths
        Where to.
    source
        Directory with all files of the visit, in any organisation.
    zone
        Time zone of *Study Date* and *Study Time*, which are the modification
        times of the members.
    follow_symlinks
        Whether a symbolic link is packed as what it points to, or refused.
    observer
        Sees the members of a tarball that is written, and nothing where there is one.
    progress
        Told of the steps.

    Raises
    ------
    SourceError
        If not everything below ``source`` can be packed as it is.
    ConflictError
        If there is another tarball.
    MetadataError
        If there is a digest file that is not of the tarball.
    BusyError, StoreAccessError, StoreWriteError
        See `datalad_icf.store.draft_file`.
    """
    if paths.visit.is_pattern:
        msg = f'visit identifier {paths.visit.visit_id!r} has one of the characters *?['
        raise IdentifierError(msg)
    if (paths.study_dir / VIEWER_MARK).exists():
        msg = f'{paths.study_dir} has the viewer of the store, and can be no study'
        raise ConflictError(msg)
    _check_not_inside(paths, source)

    def scan() -> VisitSources:
        names = list_files(source, follow_symlinks=follow_symlinks)
        with progress('Scan', len(names), ' files') as advance:
            return scan_sources(
                source,
                names,
                zone=zone,
                follow_symlinks=follow_symlinks,
                progress=advance,
            )

    if os.path.lexists(paths.tarball):
        clear_draft(paths.tarball)
        return _compare_with_tarball(paths, scan(), progress)
    # first, since a store that cannot be written to needs no reading
    with draft_file(paths.tarball, make_directory=True) as draft:
        sources = scan()
        draft.reserve(sources.size)
        with progress('Pack', sources.size, ' bytes') as advance:
            summary = write_tarball(
                sources,
                paths.visit.member_prefix,
                draft.write,
                progress=advance,
                observer=observer,
            )
        os.utime(draft.fd, (time.time(), sources.timestamp))
        _tell_replaced_digest(paths, summary.md5, sources)
        # A large one takes minutes to get to disk, and a digest without a tarball
        # looks as if it were lost: that is to be so for a moment only.
        draft.sync()
        # whoever sees a tarball sees its digest, too
        _write_md5sum(paths, summary.md5)
        draft.place()
    return _report(sources, summary, is_new=True)


def _check_not_inside(paths: VisitPaths, source: Path) -> None:
    # unlike Path.resolve(), this does not mind a loop, which is told of later
    directory = Path(os.path.realpath(paths.study_dir))
    if Path(os.path.realpath(source)) in (directory, *directory.parents):
        msg = (
            f'{str(source)!r} contains the study directory {str(directory)!r}, and '
            'would be archived with its own tarball; name another directory with -o'
        )
        raise SourceError(msg)


def _tell_replaced_digest(paths: VisitPaths, md5: str, sources: VisitSources) -> None:
    try:
        recorded = read_md5sum(paths.md5sum)
    except MetadataError:
        recorded = 'something else'
    if recorded not in (None, md5):
        sources.warnings.append(
            f'{paths.md5sum.name} was of another tarball, which is gone, and had '
            f'{recorded}; it is replaced'
        )


def _write_md5sum(paths: VisitPaths, md5: str) -> None:
    with draft_file(paths.md5sum) as draft:
        draft.write(format_md5sum(md5, paths.tarball.name).encode())
        draft.place(replace=True)


def _compare_with_tarball(
    paths: VisitPaths, sources: VisitSources, progress: Progress
) -> ArchiveReport:
    try:
        opened = open_regular(paths.tarball)
    except OSError as e:
        msg = f'{paths.tarball} is there, and cannot be read: {e.strerror}'
        raise ConflictError(msg) from e
    with opened as existing:

        def compare(block: memoryview) -> None:
            if _read_exactly(existing, len(block)) != block:
                raise _different(paths)

        with progress('Compare', sources.size, ' bytes') as advance:
            summary = write_tarball(
                sources, paths.visit.member_prefix, compare, progress=advance
            )
        if existing.read(1):
            raise _different(paths)
    recorded = read_md5sum(paths.md5sum)
    restored = []
    if recorded is None:
        _write_md5sum(paths, summary.md5)
        restored.append(paths.md5sum.name)
    elif recorded != summary.md5:
        msg = (
            f'{paths.md5sum} is not the digest of {paths.tarball.name}, which has all '
            'files of the visit as they are; remove it, and run this again'
        )
        raise MetadataError(msg)
    return _report(sources, summary, is_new=False, restored=restored)


def _different(paths: VisitPaths) -> ConflictError:
    return ConflictError(
        f'{paths.tarball} exists, and is not what these files make; a tarball is never '
        'overwritten: use another visit identifier, or move it away first'
    )


def _read_exactly(file: BinaryIO, size: int) -> bytes:
    parts = []
    while size and (part := file.read(size)):
        parts.append(part)
        size -= len(part)
    return b''.join(parts)


def _report(
    sources: VisitSources,
    summary: TarballSummary,
    *,
    is_new: bool,
    restored: list[str] | None = None,
) -> ArchiveReport:
    return ArchiveReport(
        is_new=is_new,
        size=summary.size,
        md5=summary.md5,
        files=len(sources.files),
        instances=sources.instances,
        timestamp=sources.timestamp,
        warnings=sources.warnings,
        restored=restored or [],
    )
