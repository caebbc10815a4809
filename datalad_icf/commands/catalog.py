"""``datalad icf-catalog``: show the visits of a study on html pages"""

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
from datalad_next.constraints import EnsureInt, EnsureRange

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
from datalad_icf.errors import IcfError, MissingInputError
from datalad_icf.store import Visit, VisitImages, VisitPaths, find_visits

lgr = getLogger('datalad.icf.catalog')

# so many visits appear in the catalog together
_BATCH = 50


@build_doc
class IcfCatalog(ValidatedInterface):
    """Show visits of a study in its html catalog

    Creates or updates STORE/STUDY-ID/catalog/ from the metadata of visits. Any web
    server can serve it beside the tarballs, with the same password; nothing of it
    asks any other host. 'index.html' is a DataLad catalog with a page for each
    visit, 'overview.html' a table of the series of all visits, to sort and to
    search, with downloads and commands for cloning.

    A visit is there once, however often this runs, and changed metadata replace
    those before. With '*' in place of the visit, visits whose metadata are gone
    are dropped. Whoever can read the catalog reads the attributes of the
    metadata: protect it like the tarballs.
    """

    result_renderer = 'tailored'
    custom_result_renderer = staticmethod(render_result)
    custom_result_summary_renderer = staticmethod(render_summary)
    custom_result_summary_renderer_pass_summary = True

    _validator_ = params.visit_validator(
        pattern=True,
        store_url=params.EnsureStoreUrl(),
        config_file=params.EnsureCatalogConfig(),
        max_files=EnsureInt() & EnsureRange(min=0),
        timezone=params.EnsureTimeZone(),
    )
    _params_: ClassVar[dict[str, Parameter]] = {
        **params.VISITS_PARAMS,
        'store_url': params.STORE_URL_PARAM,
        'config_file': params.CONFIG_FILE_PARAM,
        'max_files': Parameter(
            args=('--max-files',),
            metavar='N',
            doc="""list the files of a visit with up to so many images; 0 lists
            none""",
        ),
        'timezone': Parameter(
            args=('--timezone',),
            metavar='ZONE',
            doc="""time zone with which the visits were archived, for the day of a
            scan [default: configuration 'datalad.icf.timezone', or UTC]""",
        ),
    }
    _examples_: ClassVar[list[dict[str, str]]] = [
        {
            'text': 'Add a visit to the catalog of its study',
            'code_cmd': 'datalad icf-catalog --id my-study P000123',
            'code_py': "icf_catalog(id=('my-study', 'P000123'))",
        },
        {
            'text': 'Bring the catalog of a study up to date with all its visits',
            'code_cmd': "datalad icf-catalog --id my-study '*'",
            'code_py': "icf_catalog(id=('my-study', '*'))",
        },
    ]

    @staticmethod
    @eval_results
    def __call__(
        *,
        id: Visit = params.UNSET,
        store_dir: Path = params.UNSET,
        store_url: str = params.UNSET,
        config_file: Path | None = params.UNSET,
        max_files: int = 2000,
        timezone: Any = params.UNSET,
    ) -> Iterator[dict[str, Any]]:
        from datalad_icf.catalog import CatalogSettings

        settings = CatalogSettings(
            store_url, timezone, config_file, max_files, find_visit_images
        )
        paths = VisitPaths(store_dir, id)
        try:
            found = _find(paths)
            for start in range(0, len(found), _BATCH):
                yield from _add_visits(found[start : start + _BATCH], settings)
            if id.visit_id == '*':
                yield from _drop_others(paths, settings)
        except (IcfError, OSError) as e:
            yield failed(_record(paths), e)


def _find(paths: VisitPaths) -> list[VisitPaths]:
    try:
        return find_visits(paths.store_dir, paths.visit, having='tarball_metadata')
    except MissingInputError as e:
        # then the last visit of a catalog is to be dropped
        if paths.visit.visit_id == '*' and paths.catalog_dir.is_dir():
            return []
        if not paths.study_dir.is_dir():
            raise
        msg = f'{e}; run icf-deposit-metadata first'
        raise MissingInputError(msg) from e


def find_visit_images(paths: VisitPaths) -> VisitImages | None:
    """Find out where the images of a visit can be seen, if there is a tree"""
    # most studies have no tree, and then need not know what DICOMweb is
    if not paths.dicomweb_dir.is_dir():
        return None
    from datalad_icf.dicomweb import find_images

    return find_images(paths)


def _record(paths: VisitPaths) -> dict[str, Any]:
    record = visit_record('icf_catalog', paths.visit, paths.catalog_dir, logger=lgr)
    # also before it is there
    return dict(record, type='directory')


def _add_visits(found: list[VisitPaths], settings: Any) -> list[dict[str, Any]]:
    from datalad_icf.catalog import update_catalog

    records = []
    with update_catalog(found[0], settings) as catalog:
        for paths in found:
            record = _record(paths)
            try:
                made = catalog.add(paths)
            except IcfError as e:
                records.append(failed(record, e))
                continue
            visit_id = paths.visit.visit_id
            message = (
                f'{visit_id}: {count(made.images, "image")} in {made.series} series'
            )
            fields = {
                'instances': made.images,
                'series': made.series,
                'page': made.page,
            }
            outcome = Outcome(made.is_new, message, fields=fields)
            records.append(done(record, outcome))
        catalog.commit()
    return records


def _drop_others(paths: VisitPaths, settings: Any) -> Iterator[dict[str, Any]]:
    from datalad_icf.catalog import update_catalog

    with update_catalog(paths, settings) as catalog:
        gone = catalog.drop_gone()
        catalog.commit()
        catalog.sweep()
        left = catalog.visits
    for visit_id in left:
        each = VisitPaths(paths.store_dir, Visit(paths.visit.study_id, visit_id))
        if not each.tarball_metadata.exists():
            # not found by the pattern, and not gone either
            msg = f'{each.tarball_metadata} is not there; run icf-deposit-metadata'
            yield failed(_record(each), MissingInputError(msg))
    for visit_id in gone:
        visit = Visit(paths.visit.study_id, visit_id)
        record = _record(VisitPaths(paths.store_dir, visit))
        message = f'{visit_id}: dropped, as its metadata are gone'
        yield done(record, Outcome(True, message))
