"""``datalad icf-verify``: whether visits in the store are whole"""

from __future__ import annotations

import os
from collections.abc import Iterator
from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from datalad_next.commands import (
    Parameter,
    ValidatedInterface,
    build_doc,
    eval_results,
)
from datalad_next.constraints import EnsureBool

from datalad_icf.commands import params
from datalad_icf.commands.results import count, failed, render_result, visit_record
from datalad_icf.commands.summary import render_summary
from datalad_icf.commands.visits import work_on_visits
from datalad_icf.errors import IcfError, PreconditionError
from datalad_icf.progress import Progress
from datalad_icf.store import Visit, VisitPaths

if TYPE_CHECKING:
    from datalad_icf.verify import Finding, VerifyReport

lgr = getLogger('datalad.icf.verify')


@build_doc
class IcfVerify(ValidatedInterface):
    """Verify that visits in the store are whole, and change nothing

    The tarball is read once. Its MD5 is compared with its digest file and its
    metadata, the MD5 of each image with that in the metadata, the metadata with the
    headers of the images. Then the dataset (its git repository, keys, URLs and
    locations), and what catalog and DICOMweb tree show of the visit.

    Each finding is a record with status 'error' and a 'code', such as
    'image-damaged'; a visit without any is one record with status 'ok'. What could not
    be verified, such as a visit that is being deposited, has status 'impossible'. The
    exit code is 0 if all is well. With the visit '*', also what catalog and DICOMweb
    tree show of visits that are not there any more is found.
    """

    result_renderer = 'tailored'
    custom_result_renderer = staticmethod(render_result)
    custom_result_summary_renderer = staticmethod(render_summary)
    custom_result_summary_renderer_pass_summary = True

    _validator_ = params.visit_validator(
        pattern=True,
        fast=EnsureBool(),
        images_from=params.EnsureSource(),
        jobs=params.JOBS_CONSTRAINT,
    )
    _params_: ClassVar[dict[str, Parameter]] = {
        **params.VISITS_PARAMS,
        'fast': Parameter(
            args=('--fast',),
            action='store_true',
            doc="""do not read images: only names, sizes and places in the tarball, and
            whether the files of the visit are about each other. Damage within an image
            is not found""",
        ),
        'images_from': Parameter(
            args=('--images-from',),
            metavar='DIR',
            doc="""compare the files of a scanner export with the tarball of one visit,
            too: files that have come late, or are others now, are findings""",
        ),
        'jobs': params.JOBS_PARAM,
    }
    _examples_: ClassVar[list[dict[str, str]]] = [
        {
            'text': 'Verify all visits of a study',
            'code_cmd': "datalad icf-verify --id my-study '*' -o /data/store",
            'code_py': "icf_verify(id=('my-study', '*'), store_dir='/data/store')",
        },
        {
            'text': 'Find out whether images have come since a visit was archived',
            'code_cmd': 'datalad icf-verify --id my-study P000123 -o /data/store '
            '--images-from export/',
            'code_py': "icf_verify(id=('my-study', 'P000123'), "
            "store_dir='/data/store', images_from='export')",
        },
    ]

    @staticmethod
    @eval_results
    def __call__(
        *,
        id: Visit = params.UNSET,
        store_dir: Path = params.UNSET,
        fast: bool = False,
        images_from: Path | None = None,
        jobs: int = 1,
    ) -> Iterator[dict[str, Any]]:
        from datalad_icf.verify import (
            StudyViews,
            find_deposits,
            verify_study,
            verify_visit,
        )

        exact = VisitPaths(store_dir, id)
        record = visit_record('icf_verify', id, exact.study_dir, logger=lgr)
        if images_from and id.is_pattern:
            msg = (
                f'{id.visit_id!r} is a pattern, and --images-from has the files of one '
                'visit; name that visit'
            )
            yield failed(record, PreconditionError(msg))
            return
        try:
            views = StudyViews(exact)
            is_whole = id.visit_id == '*'
            for finding in verify_study(exact, views, is_whole=is_whole):
                yield _found(dict(record), finding)
            found = find_deposits(store_dir, id)
        except (IcfError, OSError) as e:
            yield failed(record, e)
            return

        def step(paths: VisitPaths, progress: Progress) -> VerifyReport:
            return verify_visit(
                paths, views, fast=fast, export=images_from, progress=progress
            )

        for paths, report in work_on_visits(found, step, jobs=jobs, logger=lgr):
            one = visit_record('icf_verify', paths.visit, paths.tarball, logger=lgr)
            if isinstance(report, Exception):
                yield failed(one, report)
                continue
            for finding in report.findings:
                yield _found(one, finding)
            for warning in report.warnings:
                lgr.warning('%s: %s', paths.visit, warning)
            if not report.findings:
                yield _whole(one, report, fast=fast)


def _found(record: dict[str, Any], finding: Finding) -> dict[str, Any]:
    from datalad_icf.verify import NO_DAMAGE

    return dict(
        record,
        status='impossible' if finding.code in NO_DAMAGE else 'error',
        path=os.path.abspath(finding.path),
        type='directory' if finding.path.is_dir() else 'file',
        code=finding.code,
        message=finding.message,
    )


def _whole(
    record: dict[str, Any], report: VerifyReport, *, fast: bool
) -> dict[str, Any]:
    there = [name for name, is_there in report.parts.items() if is_there]
    parts = f' and {", ".join(there)}' if there else ''
    how = 'as far as can be seen without reading it' if fast else 'whole'
    message = f'tarball{parts} {how}: {report.size / 1e6:.1f} MB'
    if report.parts['metadata']:
        message = f'{message}, {count(report.images, "image")}'
    return dict(
        record,
        status='ok',
        message=message,
        size=report.size,
        instances=report.images if report.parts['metadata'] else None,
        parts=report.parts,
        fast=fast,
        warnings=report.warnings,
    )
