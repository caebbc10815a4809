"""datalad-catalog at work: a catalog, and the records in it

Written for release 1.1, and for the unreleased version after it as far as
features can be told apart in the files that are copied.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import warnings
from collections.abc import Iterable
from logging import getLogger
from pathlib import Path
from typing import Any

from datalad_icf.errors import CatalogError

lgr = getLogger('datalad.icf.catalog')

_CONTENT_POLICY = (
    '<meta http-equiv="Content-Security-Policy" content="default-src \'self\'; '
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' "
    "'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; connect-src "
    "'self'; form-action 'none'; base-uri 'self'\">"
)
_STYLE = """
/* long texts of DICOM files must not push the page apart */
#mainbody td, #mainbody h2, #mainbody code, #mainbody .btn, #mainbody .card-text {
  overflow-wrap: anywhere;
  white-space: normal;
}
"""
# file of the created copy, what is looked for, what it becomes
_PATCHES = (
    (
        # no request to another host: the same library lies beside the page
        'index.html',
        re.compile(
            r'<script src="https?://[^"]*vue[^"]*"></script>\s*<!--\s*'
            r'(<script src="assets/vue[^"]*"></script>)\s*-->'
        ),
        r'\1',
    ),
    (
        'index.html',
        re.compile(r'(<meta charset="utf-8"\s*/?>)'),
        rf'\1\n    {_CONTENT_POLICY}',
    ),
    (
        # a shell takes the & in the address for the end of the command
        'templates/dataset-template.html',
        re.compile(r'datalad clone (\{\{\s*displayData\.url\s*\}\})'),
        r"datalad clone '\1'",
    ),
    (
        # a click would send the address of the store to another host
        'templates/dataset-template.html',
        re.compile(
            r'<span>\s*<b-button[^>]*openWithBinder.*?</b-button>\s*</span>', re.DOTALL
        ),
        '',
    ),
    ('assets/style.css', re.compile(r'\Z'), _STYLE),
)


def _web_catalog(location: Path) -> Any:
    from datalad_catalog.webcatalog import WebCatalog

    with warnings.catch_warnings():
        # of jsonschema, about what datalad-catalog uses of it
        warnings.simplefilter('ignore', DeprecationWarning)
        return WebCatalog(location)


def build_config(config_file: Path | None) -> dict[str, Any]:
    """Build the configuration of a catalog

    Parameters
    ----------
    config_file
        A configuration of datalad-catalog, JSON or YAML, with the name, logo,
        colours and links of the facility; whatever it has not is neutral.

    Raises
    ------
    CatalogError
        If the file, or the logo that it names, cannot be read.
    """
    import datalad_catalog.constants as cnst
    from datalad_catalog.utils import load_config_file

    config: dict[str, Any] = load_config_file(cnst.default_config_dir / 'config.json')
    config.update(
        catalog_name='Imaging core facility',
        logo_path='',
        link_color='#0b5394',
        link_hover_color='#073763',
        social_links=dict.fromkeys(config.get('social_links', {})),
    )
    if config_file:
        try:
            own = load_config_file(config_file)
            config.update(own)
            logo = config.get('logo_path')
            if logo and not (config_file.parent / logo).is_file():
                msg = f'{config_file}: there is no logo {logo!r}'
                raise CatalogError(msg)
        except CatalogError:
            raise
        except Exception as e:  # yaml and json have errors of their own
            msg = f'datalad.icf.catalog-config: {config_file} cannot be read: {e}'
            raise CatalogError(msg) from e
    return config


def create_catalog(
    location: Path, config: dict[str, Any], config_file: Path | None
) -> None:
    """Create an empty catalog that works without any other host

    Parameters
    ----------
    location
        Directory that does not exist yet.
    config
        From `build_config`.
    config_file
        The file it was read from; a logo is looked for beside it.
    """
    location.mkdir(parents=True)
    written = location / 'icf-config.json'
    if config_file and config.get('logo_path'):
        config = {**config, 'logo_path': str(config_file.parent / config['logo_path'])}
    written.write_text(json.dumps(config))
    mode = location.stat().st_mode
    _web_catalog(location).create(config_file=written)
    written.unlink()
    patch_catalog(location)
    # the files have come with the modes that they had in the package
    for path in location.rglob('*'):
        path.chmod(mode if path.is_dir() else mode & 0o666)


def patch_catalog(location: Path) -> None:
    """Mend in the created copy what leaks, or does not work"""
    for name, pattern, replacement in _PATCHES:
        path = location / name
        text = path.read_text(encoding='utf-8')
        if _is_patched(text, replacement):
            continue
        patched, count = pattern.subn(replacement, text, count=1)
        if not count:
            # the unreleased version needs some of them no more
            lgr.debug('%s: nothing to be mended for %s', path, pattern.pattern[:40])
            continue
        part = path.with_name(f'.{path.name}.part')
        part.write_text(patched, encoding='utf-8')
        os.replace(part, path)
    page = (location / 'index.html').read_text(encoding='utf-8')
    if re.search(r'<(?:script|link)[^>]+(?:src|href)="https?:', page):
        lgr.warning(
            '%s asks another host for a part of it; this version of datalad-catalog '
            'is not known',
            location / 'index.html',
        )


def _is_patched(text: str, replacement: str) -> bool:
    if replacement == _STYLE:
        return _STYLE in text
    return replacement.startswith(r'\1\n') and _CONTENT_POLICY in text


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
    """

    def __init__(self, catalog: Path, staging: Path, config: dict[str, Any]) -> None:
        # an old catalog is validated by its own schema
        self._validator = _web_catalog(catalog).schema_validator
        self._target = _web_catalog(staging)
        self._target.config = config
        self._staging = staging
        self._config = config

    def _config_file(self, tab: str) -> Path:
        path = self._staging / f'config-{tab}.json'
        if not path.exists():
            options = {**self._config.get('dataset_options', {}), 'default_tab': tab}
            path.write_text(json.dumps({**self._config, 'dataset_options': options}))
        return path

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

    def write_study(self, record: dict[str, Any], listed: list[dict[str, Any]]) -> Path:
        """Write the record of a study, and return its directory

        Parameters
        ----------
        record
            The record, with the visits that are new.
        listed
            The visits as they shall be listed, from `read_listed` or with what
            `list_visit` gives.
        """
        from datalad_catalog.meta_item import MetaItem

        self.validate(record)
        item = MetaItem(
            self._target, record, config_file=self._config_file('subdatasets')
        )
        item.write_nodes_to_files()
        # json.dump() of datalad-catalog is slow where the visits are many
        path = record_file(
            self._staging, record['dataset_id'], record['dataset_version']
        )
        node = json.loads(path.read_bytes())
        node['subdatasets'] = listed
        node['children'] = [
            {
                'type': 'dataset',
                'name': visit['dataset_path'],
                'dataset_id': visit['dataset_id'],
                'dataset_version': visit['dataset_version'],
            }
            for visit in listed
        ]
        path.write_text(json.dumps(node))
        return self._directory(record)

    def _directory(self, record: dict[str, Any]) -> Path:
        return Path(
            self._staging, 'metadata', record['dataset_id'], record['dataset_version']
        )


def list_visit(link: dict[str, str]) -> dict[str, Any]:
    """A visit as the record of a study lists it"""
    return {**link, 'dirs_from_path': [link['dataset_path']]}


def read_listed(catalog: Path, dataset_id: str, version: str) -> list[dict[str, Any]]:
    """Read the visits that the record of a study lists

    Raises
    ------
    CatalogError
        If the record is damaged.
    """
    path = record_file(catalog, dataset_id, version)
    try:
        record = json.loads(path.read_bytes())
        return list(record.get('subdatasets', []))
    except FileNotFoundError:
        return []
    except (ValueError, AttributeError, OSError) as e:
        msg = f"{path} is damaged; run icf-catalog with '*' to make it again"
        raise CatalogError(msg) from e


def record_file(catalog: Path, dataset_id: str, version: str) -> Path:
    """Where the record of a dataset is"""
    from datalad_catalog.utils import md5hash

    name: str = md5hash(f'{dataset_id}-{version}')
    directory = catalog / 'metadata' / dataset_id / version
    return directory / name[:3] / f'{name[3:]}.json'


def copy_assets(source: Path, location: Path) -> None:
    """Copy the study's own page, where it is not the same already"""
    for path in source.iterdir():
        target = location / path.name
        content = path.read_bytes()
        if not target.exists() or target.read_bytes() != content:
            part = location / f'.{path.name}.part'
            part.write_bytes(content)
            os.replace(part, target)


def remove_tree(path: Path) -> None:
    """Remove a directory, if there is one"""
    shutil.rmtree(path, ignore_errors=True)
