"""``datalad icf-deposit-metadata``: describe the tarball of a visit"""

from __future__ import annotations

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

from datalad_icf.commands import params
from datalad_icf.commands.results import Outcome, count, render_result
from datalad_icf.commands.summary import render_summary
from datalad_icf.commands.visits import run_visits
from datalad_icf.progress import Progress
from datalad_icf.store import Visit, VisitPaths

if TYPE_CHECKING:
    from datalad_icf.dicom import Attribute

lgr = getLogger('datalad.icf.deposit_metadata')


@build_doc
class IcfDepositMetadata(ValidatedInterface):
    """Describe the tarball of a visit in two JSON files

    STORE/STUDY-ID/VISIT-ID_metadata_tarball.json has size and MD5 of the
    tarball, VISIT-ID_metadata_dicoms.json has path, MD5, size, byte offset, and a
    few attributes of the series for each DICOM file in it. None of the attributes
    recorded by default can name a patient.

    The tarball is read once. It is refused if it is damaged, compressed, not what
    its digest file says, or has members that are not safe to unpack. Metadata of
    the same tarball are left as they are, and what is missing of them is added.
    """

    result_renderer = 'tailored'
    custom_result_renderer = staticmethod(render_result)
    custom_result_summary_renderer = staticmethod(render_summary)
    custom_result_summary_renderer_pass_summary = True

    _validator_ = params.visit_validator(
        pattern=True,
        keywords=params.EnsureAttributes(),
        existing=params.EXISTING_CONSTRAINT,
        jobs=params.JOBS_CONSTRAINT,
    )
    _params_: ClassVar[dict[str, Parameter]] = {
        **params.VISITS_PARAMS,
        'keywords': params.KEYWORDS_PARAM,
        'existing': params.EXISTING_PARAM,
        'jobs': params.JOBS_PARAM,
    }
    _examples_: ClassVar[list[dict[str, str]]] = [
        {
            'text': 'Describe one visit',
            'code_cmd': 'datalad icf-deposit-metadata --id my-study P000123',
            'code_py': "icf_deposit_metadata(id=('my-study', 'P000123'))",
        },
        {
            'text': 'Describe all visits of a study that are not described yet',
            'code_cmd': "datalad icf-deposit-metadata --id my-study '*'",
            'code_py': "icf_deposit_metadata(id=('my-study', '*'))",
        },
        {
            'text': 'Record the echo time, too, and replace what was recorded before',
            'code_cmd': 'datalad icf-deposit-metadata --id my-study P000123 '
            '--keywords EchoTime --existing replace',
            'code_py': "icf_deposit_metadata(id=('my-study', 'P000123'), "
            "keywords=['EchoTime'], existing='replace')",
        },
    ]

    @staticmethod
    @eval_results
    def __call__(
        *,
        id: Visit = params.UNSET,
        store_dir: Path = params.UNSET,
        keywords: tuple[Attribute, ...] = params.UNSET,
        existing: str = 'refuse',
        jobs: int = 1,
    ) -> Iterator[dict[str, Any]]:
        from datalad_icf.dicom import DEFAULT_ATTRIBUTES, deposit_metadata

        def step(paths: VisitPaths, progress: Progress) -> Outcome:
            made = deposit_metadata(
                paths,
                attributes=tuple(dict.fromkeys((*DEFAULT_ATTRIBUTES, *keywords))),
                replace=existing == 'replace',
                progress=progress,
            )
            return Outcome(
                is_new=made.is_new,
                message=f'{count(made.tarball.instances, "image")} described'
                + (
                    f', {count(made.other_files, "other file")}'
                    if made.other_files
                    else ''
                ),
                warnings=made.warnings,
                restored=made.restored,
                fields={
                    'size': made.tarball.size,
                    'md5': made.tarball.md5,
                    'instances': made.tarball.instances,
                    'other_files': made.other_files,
                },
            )

        yield from run_visits(
            'icf_deposit_metadata',
            store_dir,
            id,
            step,
            reads='tarball',
            writes='tarball_metadata',
            logger=lgr,
            jobs=jobs,
        )
