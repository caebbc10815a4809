"""A scanner export against what was archived of it"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from datalad_icf.dicom import list_files
from datalad_icf.errors import SourceError
from datalad_icf.progress import Progress
from datalad_icf.store import VisitPaths
from datalad_icf.verify.archive import ArchiveFacts
from datalad_icf.verify.findings import Finding, NameList

_BLOCK = 1 << 20


@dataclass(frozen=True)
class ExportReport:
    """What came of a comparison: findings, and what the export has no more"""

    findings: list[Finding]
    gone: NameList


def compare_export(
    paths: VisitPaths, facts: ArchiveFacts, export: Path, progress: Progress
) -> ExportReport:
    """Compare the files of an export with the members of a tarball

    A file counts as archived if its content is in the tarball, under whatever name:
    exports of the same visit are organised in different ways.

    Parameters
    ----------
    paths
        The visit.
    facts
        What is known of its archive, with the MD5 of all members.
    export
        Directory with all files of the visit.
    progress
        Told of the files.

    Raises
    ------
    SourceError
        If a file cannot be read.
    """
    prefix = f'{paths.visit.member_prefix}/'
    archived = set(facts.members.values())
    found: set[str] = set()
    late, changed = NameList(), NameList()
    names = list_files(export, follow_symlinks=True)
    with progress('Compare', len(names), ' files') as advance:
        for name in names:
            md5 = _digest(export / name)
            found.add(md5)
            advance(1)
            if md5 in archived:
                continue
            (changed if prefix + name in facts.members else late).add(name)
    gone = NameList()
    for member, md5 in facts.members.items():
        if md5 not in found:
            gone.add(member.removeprefix(prefix))
    return ExportReport(list(_tell(paths, export, late, changed)), gone)


def _tell(
    paths: VisitPaths, export: Path, late: NameList, changed: NameList
) -> Iterator[Finding]:
    if late:
        yield Finding(
            'image-not-archived',
            export,
            f'come late to {export}, and not in {paths.tarball.name}: {late}; archive '
            'the visit as it is now under another identifier',
        )
    if changed:
        yield Finding(
            'image-changed',
            export,
            f'of {export}, other files in {paths.tarball.name}: {changed}; see which '
            'is right',
        )


def _digest(file: Path) -> str:
    md5 = hashlib.md5(usedforsecurity=False)
    try:
        with file.open('rb') as f:
            while block := f.read(_BLOCK):
                md5.update(block)
    except OSError as e:
        msg = f'cannot read {file}: {e.strerror}'
        raise SourceError(msg) from e
    return md5.hexdigest()
