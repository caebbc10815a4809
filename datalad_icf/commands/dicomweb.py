"""``datalad icf-dicomweb``: show the images of a visit to viewers and programs"""

from __future__ import annotations

from argparse import BooleanOptionalAction
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
from datalad_next.constraints import EnsureBool, EnsureInt, EnsureNone, EnsureRange

from datalad_icf.commands import params
from datalad_icf.commands.results import (
    Outcome,
    count,
    done,
    failed,
    render_result,
    visit_record,
)
from datalad_icf.commands.summary import render_summary
from datalad_icf.commands.visits import run_visits
from datalad_icf.errors import IcfError
from datalad_icf.progress import Progress
from datalad_icf.store import Visit, VisitPaths

if TYPE_CHECKING:
    from datalad_icf.dicomweb import TreeOptions, TreeReport

lgr = getLogger('datalad.icf.dicomweb')

# so many problems stand in a record
_MAX_SHOWN = 100


@build_doc
class IcfDicomweb(ValidatedInterface):
    """Show the images of a visit to viewers and programs, without an image server

    Turns the tarball of a visit into files below STORE/STUDY-ID/dicomweb/, which a
    web server can serve as DICOMweb: searches (QIDO-RS), metadata, frames and bulk
    data (WADO-RS). 'datalad icf-serve' is such a server, and has the configuration
    for nginx and Apache. There is one tree for a study; a visit is there once,
    however often this runs, and replaces what it had there before.

    Frames stay in their transfer syntax. What cannot be converted is reported by
    file and tag, and all else is there; the exit code then is not 0. With '*' in
    place of the visit, visits whose tarball is gone are dropped.

    The tree holds what the DICOM files hold, names of patients too: protect it like
    the tarballs. To see pictures and links of the viewer in the catalog, run
    icf-catalog after this.
    """

    result_renderer = 'tailored'
    custom_result_renderer = staticmethod(render_result)
    custom_result_summary_renderer = staticmethod(render_summary)
    custom_result_summary_renderer_pass_summary = True

    _validator_ = params.visit_validator(
        pattern=True,
        private_bulk_size=EnsureInt() & EnsureRange(min=0),
        public_bulk_size=EnsureInt() & EnsureRange(min=0),
        deduplicate=EnsureBool(),
        instances=EnsureBool(),
        gzip=EnsureBool(),
        strip_private=EnsureBool(),
        thumbnails=EnsureBool() | EnsureNone(),
        stock=EnsureBool(),
        part10=EnsureBool(),
        study_metadata=EnsureBool(),
        force=EnsureBool(),
        viewer=params.EnsureViewer(),
        jobs=params.JOBS_CONSTRAINT,
    )
    _params_: ClassVar[dict[str, Parameter]] = {
        **params.VISITS_PARAMS,
        'private_bulk_size': Parameter(
            args=('--private-bulk-size',),
            metavar='BYTES',
            doc="""longest binary value of a private element that stands in the
            metadata; what is longer is a file of its own""",
        ),
        'public_bulk_size': Parameter(
            args=('--public-bulk-size',),
            metavar='BYTES',
            doc='the same for all other elements',
        ),
        'deduplicate': Parameter(
            args=('--deduplicate',),
            action='store_true',
            doc="""write the metadata of each series in short ('deduplicated'), with
            what its instances have in common once, in place of the metadata of each
            instance: a third of the files less""",
        ),
        'instances': Parameter(
            args=('--instances',),
            action='store_true',
            doc='with --deduplicate, write the metadata of each instance as well',
        ),
        'gzip': Parameter(
            args=('--gzip',),
            action='store_true',
            doc="""compress JSON, and frames that are not compressed, as NAME.gz. The
            server must send 'Content-Encoding: gzip', as icf-serve and the
            configurations that it prints do""",
        ),
        'strip_private': Parameter(
            args=('--strip-private',),
            action='store_true',
            doc='leave out private data elements, in sequences too',
        ),
        'thumbnails': Parameter(
            args=('--thumbnails',),
            action=BooleanOptionalAction,
            doc="""make a picture of the image in the middle of each series [default:
            if the packages are installed: pip install 'datalad-icf[pictures]']""",
        ),
        'stock': Parameter(
            args=('--stock',),
            action='store_true',
            doc="""write for a server that knows nothing of DICOMweb, like 'python -m
            http.server': bare frames, of which OHIF shows those that are not
            compressed, and lists as index.html""",
        ),
        'part10': Parameter(
            args=('--part10',),
            action='store_true',
            doc='write each DICOM file as well; the tree becomes twice as large',
        ),
        'study_metadata': Parameter(
            args=('--study-metadata',),
            action='store_true',
            doc='write the metadata of all series of a DICOM study as one document, '
            'too',
        ),
        'force': Parameter(
            args=('--force',),
            action='store_true',
            doc="""convert a visit again that is there already, such as one with damage
            that names and sizes of files do not show""",
        ),
        'viewer': Parameter(
            args=('--viewer',),
            metavar='PATH',
            doc="""build of the OHIF viewer, as 'npm pack @ohif/app' makes it, or the
            directory with it. It is installed once per store, in STORE/viewer/, and
            linked from the catalogs""",
        ),
        'jobs': params.JOBS_PARAM,
    }
    _examples_: ClassVar[list[dict[str, str]]] = [
        {
            'text': 'Convert one visit',
            'code_cmd': 'datalad icf-dicomweb --id my-study P000123',
            'code_py': "icf_dicomweb(id=('my-study', 'P000123'))",
        },
        {
            'text': 'Convert all visits that are not converted yet, without private '
            'elements, and drop those that are gone',
            'code_cmd': "datalad icf-dicomweb --id my-study '*' --strip-private",
            'code_py': "icf_dicomweb(id=('my-study', '*'), strip_private=True)",
        },
        {
            'text': 'Install a viewer, too',
            'code_cmd': 'datalad icf-dicomweb --id my-study P000123 '
            '--viewer ohif-app-3.13.2.tgz',
            'code_py': "icf_dicomweb(id=('my-study', 'P000123'), "
            "viewer='ohif-app-3.13.2.tgz')",
        },
    ]

    @staticmethod
    @eval_results
    def __call__(
        *,
        id: Visit = params.UNSET,
        store_dir: Path = params.UNSET,
        private_bulk_size: int = 64,
        public_bulk_size: int = 131_074,
        deduplicate: bool = False,
        instances: bool = False,
        gzip: bool = False,
        strip_private: bool = False,
        thumbnails: bool | None = None,
        stock: bool = False,
        part10: bool = False,
        study_metadata: bool = False,
        force: bool = False,
        viewer: Path | None = None,
        jobs: int = 1,
    ) -> Iterator[dict[str, Any]]:
        from datalad_icf.dicomweb import (
            PictureWorker,
            TreeOptions,
            can_make_pictures,
            convert_visit,
        )

        options = TreeOptions(
            private_bulk_size=private_bulk_size,
            public_bulk_size=public_bulk_size,
            deduplicate=deduplicate,
            instances=instances,
            gzip=gzip,
            strip_private=strip_private,
            thumbnails=can_make_pictures() if thumbnails is None else thumbnails,
            stock=stock,
            part10=part10,
            study_metadata=study_metadata,
        )

        if viewer is not None:
            yield _install(store_dir, id, viewer)
        paths = VisitPaths(store_dir, id)
        gone = list(_find_gone(paths)) if id.visit_id == '*' else []
        # first, as their series may be those of other visits now
        yield from _drop(gone, options)
        # of the last visit that is dropped there is no tarball
        if gone and not any(paths.study_dir.glob(f'*{paths.tarball.name[1:]}')):
            return
        with PictureWorker() as pictures:

            def step(paths: VisitPaths, progress: Progress) -> Outcome:
                report = convert_visit(
                    paths, options, force=force, pictures=pictures, progress=progress
                )
                return _describe(paths, report)

            for record in run_visits(
                'icf_dicomweb',
                store_dir,
                id,
                step,
                reads='tarball',
                writes='dicomweb_dir',
                logger=lgr,
                jobs=jobs,
            ):
                yield dict(record, type='directory', **_status(record))


def _describe(paths: VisitPaths, report: TreeReport) -> Outcome:
    state = report.state
    parts = [count(state.instances, 'image')]
    if state.other_files:
        parts.append(count(state.other_files, 'other file'))
    if report.failed:
        first = report.failed[0]
        failures = len({problem['path'] for problem in report.failed})
        parts.append(
            f'{count(failures, "file")} not converted as a whole, of which the first '
            f'is {first["path"]!r}: {first["text"]}'
        )
    return Outcome(
        is_new=report.is_new,
        message=f'{paths.visit.visit_id}: {parts[0]} in {state.series} series'
        + ''.join(f', {part}' for part in parts[1:]),
        warnings=_warn(report),
        fields={
            'instances': state.instances,
            'series': state.series,
            'studies': state.studies,
            'frames': state.frames,
            'other_files': state.other_files,
            'failed': len({problem['path'] for problem in report.failed}),
            'problems': state.problems[:_MAX_SHOWN],
        },
    )


def _warn(report: TreeReport) -> list[str]:
    minor = [p for p in report.state.problems if not p['failed']]
    warnings = [
        f'{p["path"]!r}{", element " + p["tag"] if p["tag"] else ""}: {p["text"]}'
        for p in minor[:3]
    ]
    if len(minor) > len(warnings):
        warnings.append(f'... and {len(minor) - len(warnings)} more of this kind')
    return warnings


def _status(record: dict[str, Any]) -> dict[str, Any]:
    # also where all was there already: nobody is to forget about it
    return {'status': 'error'} if record.get('failed') else {}


def _install(store_dir: Path, visit: Visit, viewer: Path) -> dict[str, Any]:
    from datalad_icf.dicomweb import install_viewer

    record = visit_record('icf_dicomweb', visit, store_dir / 'viewer', logger=lgr)
    record = dict(record, type='directory')
    try:
        report = install_viewer(viewer, store_dir)
    except (IcfError, OSError) as e:
        return failed(record, e)
    return done(record, Outcome(report.is_new, f'viewer {report.version}'))


def _find_gone(paths: VisitPaths) -> Iterator[VisitPaths]:
    from datalad_icf.dicomweb import TreeState

    for visit_id in TreeState(paths.dicomweb_dir).visits():
        visit = VisitPaths(paths.store_dir, Visit(paths.visit.study_id, visit_id))
        if not visit.tarball.exists():
            yield visit


def _drop(gone: list[VisitPaths], options: TreeOptions) -> Iterator[dict[str, Any]]:
    from datalad_icf.dicomweb import drop_visit

    for paths in gone:
        record = visit_record(
            'icf_dicomweb', paths.visit, paths.dicomweb_dir, logger=lgr
        )
        record = dict(record, type='directory')
        try:
            drop_visit(paths, options)
        except (IcfError, OSError) as e:
            yield failed(record, e)
        else:
            yield done(
                record,
                Outcome(
                    True, f'{paths.visit.visit_id}: dropped, as its tarball is gone'
                ),
            )
