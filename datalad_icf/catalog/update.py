"""Add visits to the catalog of a study

Every file appears whole, and in an order in which whoever reads meanwhile
finds a catalog that fits together: the records of a visit under a version that
nobody knows yet, the record of the study that lists it, the overview, and only
then the former version goes.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import md5
from logging import getLogger
from pathlib import Path

from datalad_icf.catalog import overview
from datalad_icf.catalog.listing import (
    Listed,
    insert,
    read_listing,
    read_source_time,
    sort_visits,
)
from datalad_icf.catalog.pages import ASSETS
from datalad_icf.catalog.records import (
    STUDY_VERSION,
    build_file_records,
    build_study_record,
    build_visit_link,
    build_visit_record,
    page_link,
    study_uuid,
)
from datalad_icf.catalog.render import (
    Renderer,
    directories_of,
    has_directories,
    has_record,
    is_ours,
    record_file,
    remove_tree,
)
from datalad_icf.catalog.settings import CatalogReport, CatalogSettings
from datalad_icf.catalog.site import (
    build_config,
    copy_assets,
    ensure_pages,
    finish_pages,
)
from datalad_icf.catalog.summary import summarise_visit
from datalad_icf.errors import (
    CatalogError,
    IdentifierError,
    MetadataError,
    MissingInputError,
    StoreWriteError,
)
from datalad_icf.store import (
    Visit,
    VisitPaths,
    locked,
    read_instances,
    read_tarball_metadata,
)

lgr = getLogger('datalad.icf.catalog')


@dataclass
class _Pending:
    links: dict[str, dict[str, str]] = field(default_factory=dict)
    directories: list[Path] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)
    is_changed: bool = False


class CatalogUpdate:
    """An update of the catalog of a study, made by `update_catalog`"""

    def __init__(
        self, paths: VisitPaths, staging: Path, settings: CatalogSettings
    ) -> None:
        self._study_id = paths.visit.study_id
        self._location = paths.catalog_dir
        self._staging = staging
        self._settings = settings
        self._config = build_config(settings.config_file)
        self._facility = str(self._config['catalog_name'])
        self._study = study_uuid(self._study_id)
        self._listed = self._read_listed()
        self._lines = overview.read_lines(self._location / overview.FILE_NAME)
        self._renderer: Renderer | None = None
        self._pending = _Pending()
        self._newest = 0

    def _open(self) -> Renderer:
        """Create the catalog or what is missing of it, at the first change"""
        if self._renderer is None:
            file = self._settings.config_file
            self._pending.is_changed |= ensure_pages(
                self._location, self._staging, self._config, file
            )
            copy_assets(ASSETS, self._location, self._staging)
            self._renderer = Renderer(self._location, self._staging, self._config)
            if self._pending.is_changed:
                self._renderer.brand(self._location, self._study)
        return self._renderer

    @property
    def _study_file(self) -> Path:
        return record_file(self._location, self._study, STUDY_VERSION)

    def _read_listed(self) -> Listed:
        try:
            return read_listing(self._study_file)
        except CatalogError as e:
            lgr.warning('%s, and made again', e)
            return {}

    @property
    def visits(self) -> list[str]:
        """Identifiers of the visits that are in the catalog"""
        return sort_visits(self._listed)

    def add(self, paths: VisitPaths) -> CatalogReport:
        """Prepare a visit, so that the next `commit` adds or replaces it

        Raises
        ------
        MissingInputError, MetadataError
            If the metadata of the visit are not there, or damaged.
        CatalogError
            If datalad-catalog does not take a record.
        """
        settings = self._settings
        tarball = read_tarball_metadata(paths.tarball_metadata)
        instances = read_instances(paths.dicoms_metadata, tarball.dicoms_md5)
        summary = summarise_visit(
            paths,
            tarball,
            instances,
            store_url=settings.store_url,
            zone=settings.zone,
            images=settings.find_images(paths),
        )
        listed = instances if len(instances) <= settings.max_files else []
        files = md5(usedforsecurity=False)
        for instance in listed:
            files.update(repr((instance.path, instance.size)).encode())
        time = int(paths.tarball_metadata.stat().st_mtime)
        record = build_visit_record(
            summary,
            facility=self._facility,
            source_time=time,
            files_digest=files.hexdigest(),
        )
        visit_id = summary.visit_id
        line = overview.build_line(summary, page_link(record))
        report = CatalogReport(
            is_new=True,
            images=summary.images,
            series=len(summary.series),
            page=page_link(record),
        )
        link = build_visit_link(visit_id, record)
        renderer = self._open()
        file_records = list(build_file_records(record, listed))
        exists = self._has_records(link, (file['path'] for file in file_records))
        if not exists:
            staged = renderer.write_visit(record, file_records)
            if staged not in self._pending.directories:
                self._pending.directories.append(staged)
        report.is_new = not (
            exists
            and self._lines.get(visit_id) == line
            and self._listed.get(visit_id) == _identity(link)
        )
        if report.is_new:
            self._pending.links[visit_id] = link
            self._pending.is_changed = True
        self._lines[visit_id] = line
        self._pending.touched.add(visit_id)
        self._newest = max(self._newest, time)
        return report

    def _has_records(self, link: dict[str, str], paths: Iterable[str]) -> bool:
        identity = _identity(link)
        # whole, as they appear at once, but for what befell them later
        return has_record(self._location, *identity) and has_directories(
            self._location, *identity, directories_of(paths)
        )

    def drop_gone(self) -> list[str]:
        """Prepare to drop the visits of which all metadata are gone

        Returns
        -------
        list of str
            Their identifiers. What has come meanwhile is not among them.
        """
        gone = sorted(
            visit_id
            for visit_id in self._listed.keys() | self._lines.keys()
            if not any(path.exists() for path in self._metadata_of(visit_id))
        )
        for visit_id in gone:
            self._listed.pop(visit_id, None)
            self._lines.pop(visit_id, None)
            self._pending.links.pop(visit_id, None)
        self._pending.is_changed |= bool(gone)
        return gone

    def _metadata_of(self, visit_id: str) -> list[Path]:
        try:
            visit = Visit(self._study_id, visit_id)
        except IdentifierError:
            return []
        paths = VisitPaths(self._location.parent.parent, visit)
        return [paths.tarball_metadata, paths.dicoms_metadata]

    def commit(self) -> None:
        """Let what was prepared appear"""
        if not self._pending.touched and not self._location.exists():
            # there was nothing that could be added
            return
        renderer = self._open()
        self._heal()
        for staged in self._pending.directories:
            target = self._location / staged.relative_to(self._staging)
            target.parent.mkdir(parents=True, exist_ok=True)
            # of a process that was killed: without a record, or it would be used
            remove_tree(target)
            os.rename(staged, target)
        links = self._pending.links
        self._listed = insert(
            self._listed, {v: _identity(link) for v, link in links.items()}
        )
        if self._pending.is_changed or not self._is_complete():
            self._write_study(renderer)
            text = overview.build_overview(
                self._study_id,
                [self._lines[v] for v in self._listed if v in self._lines],
                self._config,
            )
            self._replace(self._location / overview.FILE_NAME, text)
        finish_pages(self._location, self._staging)
        self._remove_former()
        self._pending = _Pending()

    def _heal(self) -> None:
        """Prepare the visits of which study record and overview do not agree"""
        for visit_id in self._listed.keys() | self._lines.keys():
            if visit_id in self._pending.touched or overview.is_about(
                self._lines.get(visit_id, ''), self._listed.get(visit_id)
            ):
                continue
            try:
                paths = VisitPaths(
                    self._location.parent.parent, Visit(self._study_id, visit_id)
                )
                self.add(paths)
            except (IdentifierError, MissingInputError, MetadataError) as e:
                # nothing to make it of; a page that is there stays until a rebuild
                lgr.warning('visit %s is not in the table of series: %s', visit_id, e)
                self._lines.pop(visit_id, None)

    def _is_complete(self) -> bool:
        home = self._location / 'metadata' / 'super.json'
        try:
            return (
                home.read_text() == json.dumps(self._home)
                and (self._location / overview.FILE_NAME).exists()
                and has_record(self._location, self._study, STUDY_VERSION)
            )
        except (OSError, ValueError):
            return False

    @property
    def _home(self) -> dict[str, str]:
        return {'dataset_id': self._study, 'dataset_version': STUDY_VERSION}

    def _write_study(self, renderer: Renderer) -> None:
        record = build_study_record(
            self._study_id,
            facility=self._facility,
            # the others were checked when they were added
            visits=self._pending.links.values(),
            source_time=max(self._newest, read_source_time(self._study_file))
            or int(self._location.stat().st_mtime),
        )
        staged = renderer.write_study(record, self._listed)
        target = self._location / staged.relative_to(self._staging)
        for path in sorted(p for p in staged.rglob('*') if p.is_file()):
            place = target / path.relative_to(staged)
            place.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, place)
        home = self._location / 'metadata' / 'super.json'
        self._replace(home, json.dumps(self._home))

    def _replace(self, path: Path, text: str) -> None:
        part = self._staging / path.name
        part.write_bytes(text.encode())
        os.replace(part, path)

    def _remove_former(self) -> None:
        for visit_id in self._pending.touched & self._listed.keys():
            dataset_id, current = self._listed[visit_id]
            for version in (self._location / 'metadata' / dataset_id).iterdir():
                if version.name != current:
                    remove_tree(version)

    def sweep(self) -> None:
        """Remove our records of visits that are not listed, after `commit`"""
        known = {dataset_id for dataset_id, _ in self._listed.values()} | {self._study}
        with suppress(FileNotFoundError):
            for directory in (self._location / 'metadata').iterdir():
                if directory.name not in known and is_ours(directory):
                    remove_tree(directory)


def _identity(link: dict[str, str]) -> tuple[str, str]:
    return link['dataset_id'], link['dataset_version']


@contextmanager
def update_catalog(
    paths: VisitPaths, settings: CatalogSettings
) -> Iterator[CatalogUpdate]:
    """Open the catalog of a study to add visits, and make it if there is none

    Others that want to add visits wait. What was not committed is forgotten.

    Parameters
    ----------
    paths
        Any visit of the study.
    settings
        How the catalog is made.

    Raises
    ------
    CatalogError
        If the catalog is damaged, or the configuration cannot be read.
    StoreAccessError, StoreWriteError
        If the store cannot be written to, or is full.
    """
    if not paths.study_dir.is_dir():
        msg = f'there is no study directory {paths.study_dir}'
        raise MissingInputError(msg)
    staging = paths.catalog_dir.with_name('.catalog.part')
    with locked(paths.catalog_dir):
        try:
            remove_tree(staging)
            staging.mkdir()
            try:
                yield CatalogUpdate(paths, staging, settings)
            finally:
                remove_tree(staging)
        except OSError as e:
            msg = f'cannot write {paths.catalog_dir}: {_tell(e)}'
            raise StoreWriteError(msg) from e


def _tell(error: OSError) -> str:
    if isinstance(error, shutil.Error) and error.args[0]:
        # of each file that was not copied
        return str(error.args[0][0][2])
    return error.strerror or str(error)
