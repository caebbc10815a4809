"""``datalad icf-deposit-dataset``: make a visit a DataLad dataset"""

from __future__ import annotations

from collections.abc import Iterator
from logging import getLogger
from pathlib import Path
from typing import Any, ClassVar

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

lgr = getLogger('datalad.icf.deposit_dataset')


@build_doc
class IcfDepositDataset(ValidatedInterface):
    """Make a visit a DataLad dataset that can be cloned from the store

    From the metadata of a visit alone, a dataset is made that has the tarball
    and each DICOM file in it. It is deposited in two files,
    STORE/STUDY-ID/VISIT-ID_XDLRA--refs and VISIT-ID_XDLRA--repo-export. The images
    stay in the tarball: a clone gets them from the URL of the store, with the
    rights that the user has there. Attributes of the DICOM files are git-annex
    metadata.

    The result has the URL for 'datalad clone' as 'clone_url'. The same metadata
    and URL make the same dataset. An equal dataset is left as it is, and what is
    missing of it is added.
    """

    result_renderer = 'tailored'
    custom_result_renderer = staticmethod(render_result)
    custom_result_summary_renderer = staticmethod(render_summary)
    custom_result_summary_renderer_pass_summary = True

    _validator_ = params.visit_validator(
        pattern=True,
        store_url=params.EnsureStoreUrl(),
        existing=params.EXISTING_CONSTRAINT,
        jobs=params.JOBS_CONSTRAINT,
    )
    _params_: ClassVar[dict[str, Parameter]] = {
        **params.VISITS_PARAMS,
        'store_url': params.STORE_URL_PARAM,
        'existing': params.EXISTING_PARAM,
        'jobs': params.JOBS_PARAM,
    }
    _examples_: ClassVar[list[dict[str, str]]] = [
        {
            'text': 'Make the dataset of a visit',
            'code_cmd': 'datalad icf-deposit-dataset --id my-study P000123 '
            '--store-url https://store.example.org',
            'code_py': "icf_deposit_dataset(id=('my-study', 'P000123'), "
            "store_url='https://store.example.org')",
        },
        {
            'text': 'Get the URLs from which the visits of a study can be cloned',
            'code_cmd': "datalad -f json icf-deposit-dataset --id my-study '*' "
            '| jq -r .clone_url',
            'code_py': "[r['clone_url'] for r in "
            "icf_deposit_dataset(id=('my-study', '*'))]",
        },
    ]

    @staticmethod
    @eval_results
    def __call__(
        *,
        id: Visit = params.UNSET,
        store_dir: Path = params.UNSET,
        store_url: str = params.UNSET,
        existing: str = 'refuse',
        jobs: int = 1,
    ) -> Iterator[dict[str, Any]]:
        from datalad_icf.dataset import deposit_dataset

        def step(paths: VisitPaths, progress: Progress) -> Outcome:
            made = deposit_dataset(
                paths,
                store_url=store_url,
                replace=existing == 'replace',
                progress=progress,
            )
            return Outcome(
                is_new=made.is_new,
                message=f'{count(made.instances, "image")}, clone from '
                f'{made.clone_url!r}',
                warnings=made.warnings,
                restored=made.restored,
                fields={
                    'clone_url': made.clone_url,
                    'dataset_id': made.dataset_id,
                    'commit': made.commit,
                    'instances': made.instances,
                },
            )

        yield from run_visits(
            'icf_deposit_dataset',
            store_dir,
            id,
            step,
            reads='tarball_metadata',
            writes='refs',
            logger=lgr,
            jobs=jobs,
        )
