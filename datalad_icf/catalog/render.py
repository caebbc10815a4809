"""datalad-catalog at work: records become files of a catalog"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from datalad_icf.catalog.listing import Listed, format_listing
from datalad_icf.catalog.records import AGENT
from datalad_icf.errors import CatalogError


def open_web_catalog(location: Path) -> Any:
    """Open a catalog of datalad-catalog, also one that is yet to be created"""
    with warnings.catch_warnings():
        # of jsonschema, about what datalad-catalog uses of it
        warnings.simplefilter('ignore', DeprecationWarning)
        from datalad_catalog.webcatalog import WebCatalog

        return WebCatalog(location)


class Renderer:
    """Turns records into files, in a staging directory

    Parameters
    ----------
    catalog
        The catalog, which is only read.
    staging
        Directory that gets ``metadata/``.
    config
        Configuration of the catalog.

    Raises
    ------
    CatalogError
        If the schema of the catalog is damaged.
    """

    def __init__(self, catalog: Path, staging: Path, config: dict[str, Any]) -> None:
        try:
            # an old catalog is validated by its own schema
            self._validator = open_web_catalog(catalog).schema_validator
        except (ValueError, KeyError, TypeError, OSError) as e:
            msg = f'{catalog / "schema"} is damaged; remove it, and it is made again'
            raise CatalogError(msg) from e
        self._target = open_web_catalog(staging)
        self._target.config = config
        self._staging = staging
        self._config = config

    def _config_file(self, tab: str) -> Path:
        path = self._staging / f'config-{tab}.json'
        if not path.exists():
            options = {**self._config.get('dataset_options', {}), 'default_tab': tab}
            path.write_text(json.dumps({**self._config, 'dataset_options': options}))
        return path

    def brand(self, catalog: Path, study: str) -> None:
        """Give the records that are there the configuration of the catalog"""
        for path in (catalog / 'metadata').glob('*/*/config.json'):
            tab = 'subdatasets' if path.parts[-3] == study else 'series'
            part = self._staging / 'config.json'
            part.write_bytes(self._config_file(tab).read_bytes())
            part.replace(path)

    def validate(self, record: dict[str, Any]) -> None:
        """Check a record against the schema of the catalog

        Raises
        ------
        CatalogError
            If datalad-catalog would not take it.
        """
        error = next(self._validator.iter_errors(record), None)
        if error is not None:
            where = '/'.join(str(p) for p in error.absolute_path)
            msg = (
                f'datalad-catalog does not take {where!r} of a {record["type"]} record'
            )
            raise CatalogError(msg)

    def write_visit(
        self, record: dict[str, Any], files: Iterable[dict[str, Any]]
    ) -> Path:
        """Write the record of a visit and its files, and return their directory"""
        from datalad_catalog.meta_item import MetaItem

        self.validate(record)
        item = MetaItem(self._target, record, config_file=self._config_file('series'))
        root = next(iter(item._node_instances.values()))
        known: set[str] = set()
        for file in files:
            self.validate(file)
            directory, _, name = file['path'].rpartition('/')
            if file['path'] in known:
                continue
            known.add(file['path'])
            if directory + '/' not in known:
                known.add(directory + '/')
                item.process_file(root, file)
                continue
            # process_file() compares with all files of the directory
            node = root
            if directory:
                node = item.getNode(
                    self._target,
                    'directory',
                    record['dataset_id'],
                    record['dataset_version'],
                    Path(directory),
                )
            node.children.append({**file, 'name': name})
        item.write_nodes_to_files()
        return self._directory(record)

    def write_study(self, record: dict[str, Any], listed: Listed) -> Path:
        """Write the record of a study, and return its directory

        Parameters
        ----------
        record
            The record, with the visits that are new.
        listed
            All visits that it shall list, in their order.
        """
        from datalad_catalog.meta_item import MetaItem

        self.validate(record)
        item = MetaItem(
            self._target, record, config_file=self._config_file('subdatasets')
        )
        item.write_nodes_to_files()
        path = record_file(
            self._staging, record['dataset_id'], record['dataset_version']
        )
        node = json.loads(path.read_bytes())
        # there or not, depending on whether a visit is new
        node['metadata_sources']['key_source_map'].pop('subdatasets', None)
        path.write_bytes(format_listing(node, listed).encode())
        return self._directory(record)

    def _directory(self, record: dict[str, Any]) -> Path:
        return Path(
            self._staging, 'metadata', record['dataset_id'], record['dataset_version']
        )


def record_file(catalog: Path, dataset_id: str, version: str) -> Path:
    """Where the record of a dataset is"""
    from datalad_catalog.utils import md5hash

    name: str = md5hash(f'{dataset_id}-{version}')
    directory = catalog / 'metadata' / dataset_id / version
    return directory / name[:3] / f'{name[3:]}.json'


def directories_of(paths: Iterable[str]) -> set[str]:
    """All directories in which files are, by the paths of the files"""
    return {
        parent.as_posix()
        for path in paths
        for parent in PurePosixPath(path).parents
        if parent.name
    }


def has_record(catalog: Path, dataset_id: str, version: str) -> bool:
    """Whether there is a record of a dataset, and the configuration of its page

    A record that was put in the place of another one is none.
    """
    record = read_object(record_file(catalog, dataset_id, version))
    config = catalog / 'metadata' / dataset_id / version / 'config.json'
    return (
        record is not None
        and _is_of(record, 'dataset', dataset_id, version)
        and read_object(config) is not None
    )


def has_directories(
    catalog: Path, dataset_id: str, version: str, directories: Iterable[str]
) -> bool:
    """Whether there are the records of directories of a dataset"""
    return all(
        _read_directory(catalog, dataset_id, version, directory) is not None
        for directory in directories
    )


def has_page(catalog: Path, dataset_id: str, version: str) -> bool:
    """Whether there is a record, and those of all directories that it leads to"""
    if not has_record(catalog, dataset_id, version):
        return False
    record = read_object(record_file(catalog, dataset_id, version))
    seen: set[str] = set()
    waiting = _list_directories(record)
    while waiting:
        directory = waiting.pop()
        # a damaged record may lead back to where one came from
        if directory in seen:
            return False
        seen.add(directory)
        record = _read_directory(catalog, dataset_id, version, directory)
        if record is None:
            return False
        waiting += _list_directories(record)
    return True


def _list_directories(record: dict[str, Any] | None) -> list[str]:
    children = record.get('children') if record else None
    return [
        str(child.get('path'))
        for child in (children if isinstance(children, list) else ())
        if isinstance(child, dict) and child.get('type') == 'directory'
    ]


def _read_directory(
    catalog: Path, dataset_id: str, version: str, directory: str
) -> dict[str, Any] | None:
    from datalad_catalog.utils import md5hash

    name: str = md5hash(f'{dataset_id}-{version}-{directory}')
    base = catalog / 'metadata' / dataset_id / version
    record = read_object(base / name[:3] / f'{name[3:]}.json')
    is_sound = (
        record is not None
        and _is_of(record, 'directory', dataset_id, version)
        and record.get('path') == directory
    )
    return record if is_sound else None


def _is_of(record: dict[str, Any], kind: str, dataset_id: str, version: str) -> bool:
    return (
        record.get('type'),
        record.get('dataset_id'),
        record.get('dataset_version'),
    ) == (kind, dataset_id, version)


def read_object(path: Path) -> dict[str, Any] | None:
    """Read a JSON object, nothing if there is none that can be read"""
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def remove_tree(path: Path) -> None:
    """Remove a directory, if there is one"""
    shutil.rmtree(path, ignore_errors=True)


def is_ours(directory: Path) -> bool:
    """Whether records of a dataset are of this package, or none is left of them"""
    agent = f'"{AGENT}"'.encode()
    records = [p for p in directory.glob('*/*/*.json') if p.is_file()]
    # records of directories do not tell
    return directory.is_dir() and (
        not records or any(agent in p.read_bytes() for p in records)
    )
