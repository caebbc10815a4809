"""Look at a visit, and say all that is wrong with it"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from datalad_icf.errors import (
    IdentifierError,
    MissingInputError,
    PreconditionError,
    SourceError,
)
from datalad_icf.progress import Progress, no_progress
from datalad_icf.store import Visit, VisitPaths
from datalad_icf.verify.archive import ArchiveFacts, check_tarball
from datalad_icf.verify.blame import guard
from datalad_icf.verify.dataset import check_dataset
from datalad_icf.verify.export import compare_export
from datalad_icf.verify.findings import Finding
from datalad_icf.verify.metadata import check_metadata
from datalad_icf.verify.views import StudyViews

# What a visit has in the directory of its study.
_FILES = (
    'tarball',
    'md5sum',
    'tarball_metadata',
    'dicoms_metadata',
    'refs',
    'repo_export',
)


@dataclass
class VerifyReport:
    """What is wrong with a visit, and what there is of it

    Attributes
    ----------
    findings
        All that is wrong.
    size, images
        Of the tarball, in bytes, and number of images with metadata.
    parts
        Which of metadata, dataset, catalog and dicomweb there are; none has to be.
    warnings
        Sentences about what is no damage.
    """

    findings: list[Finding] = field(default_factory=list)
    size: int = 0
    images: int = 0
    parts: dict[str, bool] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def find_deposits(store_dir: Path, visit: Visit) -> list[VisitPaths]:
    """Find visits of which anything is there, also if it is not the tarball

    Parameters
    ----------
    store_dir
        Root directory of the store.
    visit
        The study, and an identifier or a pattern in place of the visit.

    Raises
    ------
    MissingInputError
        If there is none.
    """
    exact = VisitPaths(store_dir, visit)
    suffixes = [
        getattr(exact, name).name[len(visit.visit_id) :]
        # the digest file first: its suffix ends with nothing that others have
        for name in sorted(_FILES, key=lambda n: -len(getattr(exact, n).name))
    ]
    try:
        names = [path.name for path in exact.study_dir.iterdir()]
    except OSError as e:
        msg = f'cannot list the study directory {exact.study_dir}: {e.strerror}'
        raise MissingInputError(msg) from e
    found = set()
    for name in names:
        suffix = next((s for s in suffixes if name.endswith(s)), None)
        if suffix is None:
            continue
        visit_id = name[: -len(suffix)]
        is_meant = visit_id == visit.visit_id or (
            visit.is_pattern and fnmatchcase(visit_id, visit.visit_id)
        )
        try:
            if is_meant:
                found.add(Visit(visit.study_id, visit_id))
        except IdentifierError:
            # hidden, like the draft of a file
            continue
    if not found:
        msg = f'there is nothing of visit {visit.visit_id} in {exact.study_dir}'
        raise MissingInputError(msg)
    return [VisitPaths(store_dir, one) for one in sorted(found)]


def verify_visit(
    paths: VisitPaths,
    views: StudyViews,
    *,
    fast: bool = False,
    export: Path | None = None,
    progress: Progress = no_progress,
) -> VerifyReport:
    """Verify a visit; nothing in the store is changed

    Parameters
    ----------
    paths
        The visit.
    views
        Catalog and DICOMweb tree of its study.
    fast
        Only what can be seen without reading the images.
    export
        Directory with the files of the visit, to be compared with the tarball.
    progress
        Told of the steps.

    Raises
    ------
    PreconditionError
        If an export is to be compared without reading the images.
    """
    if fast and export:
        msg = 'to compare an export, the tarball has to be read: leave out --fast'
        raise PreconditionError(msg)
    facts = ArchiveFacts()
    report = VerifyReport()
    # before the metadata are looked for: in a deposit, they come first
    dataset = [os.path.exists(path) for path in (paths.refs, paths.repo_export)]
    parts = {'dataset': any(dataset), **views.has(paths)}
    made_of_them = [name for name, is_there in parts.items() if is_there]
    for path, checks in (
        (
            paths.tarball_metadata,
            check_metadata(paths, facts, made_of_them=made_of_them),
        ),
        (
            paths.tarball,
            check_tarball(paths, facts, fast=fast, progress=progress),
        ),
        (paths.repo_export, check_dataset(paths, facts, fast=fast)),
        (paths.study_dir, views.check_visit(paths, facts)),
        (export, _check_export(paths, facts, export, report, progress)),
    ):
        report.findings += guard(checks, path or paths.tarball)
    report.size, report.images = facts.size, len(facts.instances)
    report.parts = {
        'metadata': facts.metadata is not None,
        **parts,
        'dataset': all(dataset),
    }
    return report


def _check_export(
    paths: VisitPaths,
    facts: ArchiveFacts,
    export: Path | None,
    report: VerifyReport,
    progress: Progress,
) -> Iterator[Finding]:
    if export and facts.md5:
        try:
            compared = compare_export(paths, facts, export, progress)
        except SourceError as e:
            # it speaks of an archive that is not made here
            problem = str(e).removesuffix('; there is nothing to archive')
            yield Finding(
                'not-verified',
                export,
                f'{paths.tarball.name} was not compared with the export: {problem}',
            )
            return
        yield from compared.findings
        if compared.gone:
            report.warnings.append(f'the export has not, or no more: {compared.gone}')


def verify_study(
    paths: VisitPaths, views: StudyViews, *, is_whole: bool
) -> Iterator[Finding]:
    """Verify what is about a study as such

    Parameters
    ----------
    paths
        Any of its visits.
    views
        Its catalog and DICOMweb tree.
    is_whole
        Whether all visits are looked at, so that what is shown of others is wrong.
    """
    visit_ids = None
    if is_whole:
        everything = Visit(paths.visit.study_id, '*')
        visit_ids = [
            one.visit.visit_id
            for one in find_deposits(paths.store_dir, everything)
            if one.tarball.exists() or one.tarball_metadata.exists()
        ]
    yield from views.check_study(visit_ids)
