"""``datalad icf-archive``: pack one visit into its tarball"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import tzinfo
from logging import getLogger
from pathlib import Path
from typing import Any, ClassVar

from datalad_next.commands import (
    Parameter,
    ValidatedInterface,
    build_doc,
    eval_results,
)
from datalad_next.constraints import EnsureBool

from datalad_icf.commands import params
from datalad_icf.commands.results import Outcome, count, render_result
from datalad_icf.commands.visits import run_visits
from datalad_icf.progress import Progress
from datalad_icf.store import Visit, VisitPaths

lgr = getLogger('datalad.icf.archive')


@build_doc
class IcfArchive(ValidatedInterface):
    """Pack the files of one visit into a reproducible tarball

    All files below a directory, in any number and organisation, become members
    of STORE/STUDY-ID/VISIT-ID_dicom.tar, with their names and content as they
    are, below a directory STUDY-ID_VISIT-ID. Order, owner, mode and modification
    time are normalised: the same files make the same tarball, byte for byte. The
    modification time of a DICOM file is its StudyDate and StudyTime, that of any
    other file is the latest of the visit. Beside the tarball is its digest, as
    'md5sum --check' reads it.

    Nothing is ever left out: what cannot be read, symbolic links, and files
    that change meanwhile end the command before anything is in the store. A DICOM
    file without a valid time is archived, with a warning. A tarball is never
    overwritten. If there is one, it is compared with the files, and a lost digest
    is written again.
    """

    result_renderer = 'tailored'
    custom_result_renderer = staticmethod(render_result)

    _validator_ = params.visit_validator(
        source=params.EnsureSource(),
        timezone=params.EnsureTimeZone(),
        follow_symlinks=EnsureBool(),
    )
    _params_: ClassVar[dict[str, Parameter]] = {
        'source': Parameter(
            args=('source',), metavar='DIR', doc='directory with all files of the visit'
        ),
        **params.VISIT_PARAMS,
        'timezone': params.TIMEZONE_PARAM,
        'follow_symlinks': params.FOLLOW_SYMLINKS_PARAM,
    }
    _examples_: ClassVar[list[dict[str, str]]] = [
        {
            'text': 'Archive a scanner export as visit P000123 of study my-study',
            'code_cmd': 'datalad icf-archive --id my-study P000123 '
            '-o /data/store export/',
            'code_py': "icf_archive('export', id=('my-study', 'P000123'), "
            "store_dir='/data/store')",
        },
        {
            'text': 'Make the tarball that older tools made on a machine in Germany',
            'code_cmd': 'datalad icf-archive --id my-study P000123 '
            '--timezone Europe/Berlin export/',
            'code_py': "icf_archive('export', id=('my-study', 'P000123'), "
            "timezone='Europe/Berlin')",
        },
    ]

    @staticmethod
    @eval_results
    def __call__(
        source: Path,
        *,
        id: Visit = params.UNSET,
        store_dir: Path = params.UNSET,
        timezone: tzinfo = params.UNSET,
        follow_symlinks: bool = False,
    ) -> Iterator[dict[str, Any]]:
        # late, because `import datalad.api` loads this file
        from datalad_icf.dicom import archive_visit

        def step(paths: VisitPaths, progress: Progress) -> Outcome:
            made = archive_visit(
                paths,
                source,
                zone=timezone,
                follow_symlinks=follow_symlinks,
                progress=progress,
            )
            return Outcome(
                is_new=made.is_new,
                message=f'{count(made.instances, "image")} in '
                f'{count(made.files, "file")}, {made.size / 1e6:.1f} MB',
                warnings=made.warnings,
                restored=made.restored,
                fields={
                    'size': made.size,
                    'md5': made.md5,
                    'files': made.files,
                    'instances': made.instances,
                },
            )

        yield from run_visits(
            'icf_archive',
            store_dir,
            id,
            step,
            reads='tarball',
            writes='tarball',
            logger=lgr,
        )
