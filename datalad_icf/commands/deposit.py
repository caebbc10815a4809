"""``datalad icf-deposit``: all steps for a visit, or for all visits of a study"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import tzinfo
from fnmatch import fnmatchcase
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
from datalad_icf.commands.results import (
    Outcome,
    count,
    done,
    failed,
    render_result,
    visit_record,
)
from datalad_icf.commands.summary import render_summary
from datalad_icf.commands.visits import work_on_visits
from datalad_icf.errors import (
    IcfError,
    IdentifierError,
    MissingInputError,
    PreconditionError,
)
from datalad_icf.progress import Progress
from datalad_icf.store import Visit, VisitPaths

if TYPE_CHECKING:
    from datalad_icf.commands.deposit_steps import Steps

lgr = getLogger('datalad.icf.deposit')


@build_doc
class IcfDeposit(ValidatedInterface):
    """Archive visits, and make metadata, datasets and catalog of them

    Does for a visit what 'icf-archive', 'icf-deposit-metadata',
    'icf-deposit-dataset', 'icf-catalog' and, if asked for, 'icf-dicomweb' do, with one
    pass over its files for the first two. A step that fails ends the work on the
    visit, and not that on others. Run again, it does what is missing.

    With --visits-from, the directories in a directory are visits, each called like
    its directory, and the visit identifier is a pattern for them.
    """

    result_renderer = 'tailored'
    custom_result_renderer = staticmethod(render_result)
    custom_result_summary_renderer = staticmethod(render_summary)
    custom_result_summary_renderer_pass_summary = True

    _validator_ = params.visit_validator(
        pattern=True,
        source=params.EnsureSource(),
        visits_from=params.EnsureSource(),
        store_url=params.EnsureStoreUrl(),
        timezone=params.EnsureTimeZone(),
        follow_symlinks=EnsureBool(),
        keywords=params.EnsureAttributes(),
        config_file=params.EnsureCatalogConfig(),
        dicomweb=EnsureBool(),
        dry_run=EnsureBool(),
        jobs=params.JOBS_CONSTRAINT,
    )
    _params_: ClassVar[dict[str, Parameter]] = {
        'source': Parameter(
            args=('source',),
            metavar='DIR',
            nargs='?',
            doc='directory with all files of the visit',
        ),
        **params.VISITS_PARAMS,
        'visits_from': Parameter(
            args=('--visits-from',),
            metavar='DIR',
            doc="""directory with a directory for each visit. Those whose names match
            the visit identifier, such as '*', are deposited""",
        ),
        'dicomweb': Parameter(
            args=('--dicomweb',),
            action='store_true',
            doc='make a DICOMweb tree for viewers, too',
        ),
        'store_url': params.STORE_URL_PARAM,
        'timezone': params.TIMEZONE_PARAM,
        'follow_symlinks': params.FOLLOW_SYMLINKS_PARAM,
        'keywords': params.KEYWORDS_PARAM,
        'config_file': params.CONFIG_FILE_PARAM,
        'dry_run': Parameter(
            args=('--dry-run',),
            action='store_true',
            doc='only tell which visits would be deposited, and change nothing',
        ),
        'jobs': params.JOBS_PARAM,
    }
    _examples_: ClassVar[list[dict[str, str]]] = [
        {
            'text': 'Deposit a visit',
            'code_cmd': 'datalad icf-deposit --id my-study P000123 -o /data/store '
            'export/',
            'code_py': "icf_deposit('export', id=('my-study', 'P000123'), "
            "store_dir='/data/store')",
        },
        {
            'text': 'See what would become of the directories of a study, then do it '
            'with four processes',
            'code_cmd': "datalad icf-deposit --id my-study '*' -o /data/store "
            "--visits-from exports/ --dry-run\ndatalad icf-deposit --id my-study '*' "
            '-o /data/store --visits-from exports/ --jobs 4',
            'code_py': "icf_deposit(id=('my-study', '*'), store_dir='/data/store', "
            "visits_from='exports', jobs=4)",
        },
    ]

    @staticmethod
    @eval_results
    def __call__(
        source: Path | None = None,
        *,
        id: Visit = params.UNSET,
        store_dir: Path = params.UNSET,
        visits_from: Path | None = None,
        dicomweb: bool = False,
        store_url: str = params.UNSET,
        timezone: tzinfo = params.UNSET,
        follow_symlinks: bool = False,
        keywords: tuple[Any, ...] = params.UNSET,
        config_file: Path | None = params.UNSET,
        dry_run: bool = False,
        jobs: int = 1,
    ) -> Iterator[dict[str, Any]]:
        from datalad_icf.commands.deposit_steps import Steps

        try:
            found = _find(VisitPaths(store_dir, id), source, visits_from)
        except IcfError as e:
            tarball = VisitPaths(store_dir, id).tarball
            yield failed(visit_record('icf_deposit', id, tarball, logger=lgr), e)
            return
        steps = Steps(
            sources={paths.visit: directory for paths, directory in found},
            store_url=store_url,
            zone=timezone,
            follow_symlinks=follow_symlinks,
            keywords=keywords,
            config_file=config_file,
            dicomweb=dicomweb,
            is_study=visits_from is not None,
        )
        for paths, outcome in work_on_visits(
            [paths for paths, _ in found],
            _preview(steps) if dry_run else steps.run,
            jobs=jobs,
            logger=lgr,
        ):
            record = visit_record('icf_deposit', paths.visit, paths.tarball, logger=lgr)
            if isinstance(outcome, Exception):
                yield failed(record, outcome)
            else:
                yield done(record, outcome)


def _preview(steps: Steps) -> Any:
    def preview(paths: VisitPaths, _progress: Progress) -> Outcome:
        files, size = steps.measure(paths)
        message = f'{count(files, "file")}, {size / 1e6:.1f} MB'
        is_new = not paths.tarball.exists()
        if is_new:
            message = f'would be archived: {message}'
        return Outcome(is_new, message, fields={'files': files, 'dry_run': True})

    return preview


def _find(
    paths: VisitPaths, source: Path | None, visits_from: Path | None
) -> list[tuple[VisitPaths, Path]]:
    """Find visits with the directories that their files are in"""
    if (source is None) == (visits_from is None):
        msg = 'either a directory, or --visits-from, says where the files are'
        raise PreconditionError(msg)
    visit = paths.visit
    if source is not None:
        if visit.is_pattern:
            msg = f'{visit.visit_id!r} is a pattern, and needs --visits-from'
            raise PreconditionError(msg)
        return [(paths, source)]
    assert visits_from is not None
    try:
        # a link to nothing may be one to a share that is not mounted
        names = sorted(
            p.name
            for p in visits_from.iterdir()
            if p.is_dir() or (p.is_symlink() and not p.exists())
        )
    except OSError as e:
        msg = f'cannot list {visits_from}: {e.strerror}'
        raise MissingInputError(msg) from e
    found = []
    for name in names:
        if not fnmatchcase(name, visit.visit_id) and name != visit.visit_id:
            continue
        if name.startswith('.'):
            # what file managers and the like keep for themselves
            continue
        try:
            one = Visit(visit.study_id, name)
            if one.is_pattern:
                raise IdentifierError(f'{name!r} has one of the characters *?[')
        except IdentifierError as e:
            # left out in silence, its images would be missed
            msg = f'{visits_from / name}: {e}; rename it, or deposit it by itself'
            raise PreconditionError(msg) from e
        found.append((VisitPaths(paths.store_dir, one), visits_from / name))
    if not found:
        msg = f'there is no directory {visit.visit_id} in {visits_from}'
        raise MissingInputError(msg)
    return found
