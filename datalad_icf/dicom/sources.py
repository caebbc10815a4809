"""The files of a visit, before they are packed"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone, tzinfo
from pathlib import Path
from stat import S_ISDIR, S_ISLNK, S_ISREG
from typing import BinaryIO, NamedTuple

from datalad_icf.dicom.header import (
    PATIENT_ID,
    STUDY_DATE,
    STUDY_INSTANCE_UID,
    STUDY_TIME,
    HeaderError,
    NotDicomError,
    read_elements,
    study_timestamp,
)
from datalad_icf.errors import SourceError

_HEAD = 4096
_TAGS = frozenset((STUDY_DATE, STUDY_TIME, PATIENT_ID, STUDY_INSTANCE_UID))
# a visit of thousands of files with one fault is told in a few lines
_MAX_WARNINGS = 10
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class SourceFile(NamedTuple):
    """A file of a visit, as it was found

    Attributes
    ----------
    name
        POSIX path relative to the directory of the visit; bytes that are no
        UTF-8 stand as lone surrogates.
    size
        Size in bytes.
    identity
        Device, inode, and times of modification and of change of status in
        nanoseconds: what tells that the file is still the same.
    timestamp
        *Study Date* and *Study Time* in seconds since 1970; nothing for what is
        no DICOM file, or has no valid time.
    """

    name: str
    size: int
    identity: tuple[int, int, int, int]
    timestamp: float | None


@dataclass
class VisitSources:
    """All files of a visit

    Attributes
    ----------
    root
        Directory of the visit.
    files
        The files in the order of the archive.
    instances
        Number of DICOM files.
    timestamp
        Latest time of the DICOM files, in seconds since 1970; without any, the
        beginning of 1970.
    warnings
        What somebody should look at, a sentence each.
    follow_symlinks
        Whether links are packed as what they point to.
    """

    root: Path
    files: list[SourceFile]
    instances: int = 0
    timestamp: float = 0.0
    warnings: list[str] = field(default_factory=list)
    follow_symlinks: bool = False

    @property
    def size(self) -> int:
        """Size of all files together, in bytes"""
        return sum(f.size for f in self.files)


def list_files(root: Path, *, follow_symlinks: bool = False) -> list[str]:
    """List all files below a directory, in the order of an archive

    Parameters
    ----------
    root
        The directory.
    follow_symlinks
        Whether a link counts as what it points to, or is refused.

    Returns
    -------
    list of str
        POSIX paths relative to ``root``, ordered by their components.

    Raises
    ------
    SourceError
        If there is anything but regular files and directories, something that
        cannot be read, or nothing at all. Nothing is ever left out.
    """
    names: list[str] = []
    # directory, and the directories it was reached through
    todo: list[tuple[str, tuple[tuple[int, int], ...]]] = [('', ())]
    while todo:
        prefix, parents = todo.pop()
        path = os.path.join(root, prefix) if prefix else os.fspath(root)
        try:
            with os.scandir(path) as entries:
                if follow_symlinks:
                    stat = os.stat(path)
                    here = (stat.st_dev, stat.st_ino)
                    if here in parents:
                        _refuse(path, 'is a symbolic link that leads back to itself')
                    parents = (*parents, here)
                for entry in entries:
                    name = prefix + entry.name
                    mode = entry.stat(follow_symlinks=follow_symlinks).st_mode
                    if S_ISREG(mode):
                        names.append(name)
                    elif S_ISDIR(mode):
                        todo.append((name + '/', parents))
                    elif S_ISLNK(mode):
                        _refuse(
                            entry.path,
                            'is a symbolic link; replace it by what it points to, '
                            'or use --follow-symlinks',
                        )
                    else:
                        _refuse(entry.path, 'is no regular file; remove it')
        except FileNotFoundError as e:
            what = 'does not exist' if not prefix else 'is gone, or a dangling link'
            _refuse(e.filename or path, what, e)
        except OSError as e:
            _refuse(e.filename or path, f'cannot be read: {e.strerror}', e)
    if not names:
        _refuse(root, 'has no files; there is nothing to archive')
    names.sort(key=lambda name: name.split('/'))
    return names


def scan_sources(
    root: Path,
    names: list[str],
    *,
    zone: tzinfo = timezone.utc,
    follow_symlinks: bool = False,
    progress: Callable[[int], None] | None = None,
) -> VisitSources:
    """Look into all files of a visit

    Parameters
    ----------
    root
        Directory of the visit.
    names
        Its files, from `list_files`.
    zone
        Time zone of *Study Date* and *Study Time*.
    follow_symlinks
        As for `list_files`.
    progress
        Called with the number of files that were looked at since the last call.

    Raises
    ------
    SourceError
        If a file cannot be read.
    """
    sources = VisitSources(root, [], follow_symlinks=follow_symlinks)
    patients = set()
    studies = set()
    untimed: dict[str, list[str]] = {}
    latest = None
    for name in names:
        fd = open_source(sources, name)
        try:
            stat = os.fstat(fd)
            if not S_ISREG(stat.st_mode):
                _refuse(root / name, 'is no regular file any more; try again')
            head = os.pread(fd, _HEAD, 0)
        except OSError as e:
            _refuse(root / name, f'cannot be read: {e.strerror}', e)
        finally:
            os.close(fd)
        timestamp = None
        try:
            found = read_elements(head, _TAGS, _opener(sources, name))
        except NotDicomError:
            pass
        except OSError as e:
            _refuse(root / name, f'cannot be read: {e.strerror}', e)
        except HeaderError:
            sources.instances += 1
            untimed.setdefault('its header is cut or broken', []).append(name)
        else:
            sources.instances += 1
            if PATIENT_ID in found:
                patients.add(found[PATIENT_ID].value.rstrip(b'\0 '))
            if STUDY_INSTANCE_UID in found:
                studies.add(found[STUDY_INSTANCE_UID].value.rstrip(b'\0 '))
            try:
                timestamp = study_timestamp(
                    found[STUDY_DATE].value, found[STUDY_TIME].value, zone
                )
            except KeyError as e:
                keyword = 'StudyDate' if e.args == (STUDY_DATE,) else 'StudyTime'
                untimed.setdefault(f'{keyword} is absent', []).append(name)
            except (ValueError, OverflowError) as e:
                untimed.setdefault(str(e), []).append(name)
            else:
                latest = timestamp if latest is None else max(latest, timestamp)
        sources.files.append(SourceFile(name, stat.st_size, _identity(stat), timestamp))
        if progress:
            progress(1)
    # without any, the beginning of 1970 in that zone, as older tools did
    sources.timestamp = _EPOCH.replace(tzinfo=zone).timestamp()
    if latest is not None:
        sources.timestamp = latest
    sources.warnings.extend(_tell_mixed(len(patients), len(studies)))
    sources.warnings.extend(_tell_untimed(untimed))
    return sources


def _tell_mixed(patients: int, studies: int) -> Iterator[str]:
    if patients > 1:
        yield f'the files are of {patients} different patients (PatientID)'
    if studies > 1:
        yield f'the files are of {studies} different studies (StudyInstanceUID)'


def _tell_untimed(untimed: dict[str, list[str]]) -> Iterator[str]:
    for count, (reason, names) in enumerate(sorted(untimed.items())):
        if count == _MAX_WARNINGS:
            yield f'{len(untimed) - count} more reasons are not listed'
            return
        more = f' and {len(names) - 1} more files' if len(names) > 1 else ''
        yield f"{names[0]!r}{more}: {reason}; archived with the visit's latest time"


def open_source(sources: VisitSources, name: str) -> int:
    """Open a file of a visit, and return the file descriptor

    Raises
    ------
    SourceError
        If it cannot be opened.
    """
    path = os.path.join(sources.root, name)
    # never waits for the other end of what has become a FIFO meanwhile
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
    if not sources.follow_symlinks:
        flags |= os.O_NOFOLLOW
    try:
        return os.open(path, flags)
    except OSError as e:
        _refuse(path, f'cannot be read: {e.strerror}', e)
    raise AssertionError


def check_unchanged(sources: VisitSources, file: SourceFile, fd: int) -> None:
    """Check that an open file is the one that was scanned

    Raises
    ------
    SourceError
        If it has another identity or size.
    """
    stat = os.fstat(fd)
    if stat.st_size != file.size or _identity(stat) != file.identity:
        _refuse(
            sources.root / file.name,
            'changed while it was read; try again when the export has finished',
        )


def _identity(stat: os.stat_result) -> tuple[int, int, int, int]:
    return stat.st_dev, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns


def _opener(sources: VisitSources, name: str) -> Callable[[], BinaryIO]:
    return lambda: os.fdopen(open_source(sources, name), 'rb')


def _refuse(path: object, why: str, cause: BaseException | None = None) -> None:
    msg = f'{os.fspath(path)!r} {why}'  # type: ignore[call-overload]
    raise SourceError(msg) from cause
