"""Visits that have metadata alone, their catalog, and what is in it

A catalog is made of the metadata, so most tests need neither images nor a
tarball.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest

from datalad_icf.catalog import CatalogReport, CatalogSettings, update_catalog
from datalad_icf.catalog.records import STUDY_VERSION, study_uuid, visit_uuid
from datalad_icf.catalog.render import record_file
from datalad_icf.store import Visit, VisitPaths

STUDY = 'S1'
LOCALIZER = {
    'SeriesNumber': 1,
    'SeriesDescription': 'localizer',
    'ProtocolName': 'localizer_fast',
    'Modality': 'MR',
}
T1W = {
    'SeriesNumber': 10,
    'SeriesDescription': 'T1w',
    'ProtocolName': 't1_mprage',
    'Modality': 'MR',
}


@pytest.fixture
def deposit(tmp_path) -> Callable[..., VisitPaths]:
    """Puts the metadata of a visit into the store

    ``series`` are attributes, of which each becomes two images, or one a
    ``copies``.
    """

    def put(
        visit_id: str = 'V01',
        series: tuple[dict[str, Any], ...] = (LOCALIZER, T1W),
        *,
        copies: int = 2,
        directory: str = 'files',
        **tarball: Any,
    ) -> VisitPaths:
        paths = VisitPaths(tmp_path / 'store', Visit(STUDY, visit_id))
        paths.study_dir.mkdir(parents=True, exist_ok=True)
        instances = [
            {
                'path': f'{STUDY}_{visit_id}/{directory}/{number}-{copy:04d}.dcm',
                'md5': md5(b'', usedforsecurity=False).hexdigest(),
                'size': 1000 + copy,
                **attributes,
            }
            for number, attributes in enumerate(series)
            for copy in range(copies)
        ]
        content = json.dumps(instances).encode()
        paths.dicoms_metadata.write_bytes(content)
        record = {
            'size': 123_456,
            'md5': '0123456789abcdef' * 2,
            'dspath': paths.dataset_path,
            'storepath': paths.store_path,
            'mtime': 1_374_050_000,
            'instances': len(instances),
            'dicoms_md5': md5(content, usedforsecurity=False).hexdigest(),
            **tarball,
        }
        paths.tarball_metadata.write_text(json.dumps(record))
        return paths

    return put


class Catalog:
    """The catalog of the study: how it is made, and what is in it"""

    def __init__(self, store_dir: Path) -> None:
        self.paths = VisitPaths(store_dir, Visit(STUDY, '*'))
        self.location = self.paths.catalog_dir
        self.metadata = self.location / 'metadata'

    def visit_paths(self, visit_id: str) -> VisitPaths:
        return VisitPaths(self.paths.store_dir, Visit(STUDY, visit_id))

    def update(self, *visit_ids: str, **settings: Any) -> list[CatalogReport]:
        """Add visits"""
        with update_catalog(self.paths, CatalogSettings(**settings)) as update:
            reports = [update.add(self.visit_paths(v)) for v in visit_ids]
            update.commit()
        return reports

    def rebuild(self, *visit_ids: str) -> list[str]:
        """Remove the metadata of all other visits, and drop these"""
        for path in self.paths.study_dir.glob('*_metadata_*.json'):
            if path.name.split('_metadata_')[0] not in visit_ids:
                path.unlink()
        with update_catalog(self.paths, CatalogSettings()) as update:
            gone = update.drop_gone()
            update.commit()
            update.sweep()
        return gone

    @property
    def study_file(self) -> Path:
        return record_file(self.location, study_uuid(STUDY), STUDY_VERSION)

    @property
    def study(self) -> dict[str, Any]:
        """The record of the study"""
        return json.loads(self.study_file.read_bytes())

    @property
    def listed(self) -> list[str]:
        """The visits that the record of the study lists"""
        return [visit['dataset_path'] for visit in self.study['subdatasets']]

    @property
    def overview(self) -> dict[str, Any]:
        return json.loads((self.location / 'overview.json').read_bytes())

    def visit_directory(self, visit_id: str) -> Path:
        """The directory with all versions of a visit"""
        return self.metadata / visit_uuid(STUDY, visit_id)

    def visit(self, visit_id: str = 'V01') -> dict[str, Any]:
        """The record of a visit, of which there is one version alone"""
        (version,) = self.visit_directory(visit_id).iterdir()
        path = record_file(self.location, version.parent.name, version.name)
        return json.loads(path.read_bytes())

    def tab(self, name: str, visit_id: str = 'V01') -> dict[str, Any]:
        """The content of a tab of the page of a visit"""
        tabs = self.visit(visit_id)['additional_display']
        (content,) = (tab['content'] for tab in tabs if tab['name'] == name)
        return content

    @property
    def nodes(self) -> Iterator[dict[str, Any]]:
        """All files that datalad-catalog reads, less the configurations"""
        for path in sorted(self.metadata.rglob('*.json')):
            if path.name not in ('config.json', 'super.json'):
                yield json.loads(path.read_bytes())

    def files(self) -> dict[str, bytes]:
        """Content of all files that are served"""
        return {
            path.relative_to(self.location).as_posix(): path.read_bytes()
            for path in sorted(self.location.rglob('*'))
            if path.is_file()
        }

    def assert_consistent(self) -> None:
        """Whatever is listed anywhere must be there"""
        if not self.location.exists():
            return
        assert (self.location / 'index.html').exists()
        overview = self.location / 'overview.json'
        if overview.exists():
            for visit in json.loads(overview.read_bytes())['visits']:
                _, _, identity, version = visit['page'].split('/')
                assert record_file(self.location, identity, version).exists()
        if self.study_file.exists():
            for visit in self.study['subdatasets']:
                identity, version = visit['dataset_id'], visit['dataset_version']
                record = record_file(self.location, identity, version)
                assert json.loads(record.read_bytes())['name'] == visit['dataset_path']
        home = self.metadata / 'super.json'
        if home.exists():
            named = json.loads(home.read_bytes())
            assert named['dataset_id'] == study_uuid(STUDY)
            assert self.study_file.exists()


@pytest.fixture
def catalog(tmp_path) -> Catalog:
    """The catalog of the study S1, which is not made yet"""
    return Catalog(tmp_path / 'store')


@pytest.fixture(scope='session')
def web_catalog() -> Callable[[Path], Any]:
    """Opens a catalog with datalad-catalog itself"""

    def open_catalog(location: Path) -> Any:
        with warnings.catch_warnings():
            # of jsonschema, about how datalad-catalog uses it
            warnings.simplefilter('ignore', DeprecationWarning)
            from datalad_catalog.webcatalog import WebCatalog

            return WebCatalog(location)

    return open_catalog
