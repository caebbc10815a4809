"""The pages of a catalog, without its records: created, mended, branded"""

from __future__ import annotations

import json
import os
import re
import shutil
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path, PurePath
from typing import Any

from datalad_icf.catalog.pages import (
    ASSETS,
    CONFIG,
    OWN_PAGE,
    find_lost,
    has_content,
)
from datalad_icf.catalog.render import open_web_catalog, read_object, remove_tree
from datalad_icf.errors import CatalogError

lgr = getLogger('datalad.icf.catalog')

_NEW_CONFIG = 'new-config.json'
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
/* of the names of attributes, however, none should be broken for lack of room */
#mainbody td:first-child {
  min-width: min(12rem, 35vw);
}
/* on a telephone, buttons leave no room beside them for the filter of visits */
@media (max-width: 575px) {
  #mainbody #input-1 {
    min-width: 100%;
  }
}
/* a logo that is not wide would fill the window */
#datacat img[src^="artwork/"][alt=""] {
  width: auto !important;
  max-width: 100%;
  max-height: 6rem;
}
"""
# where there is no logo, datalad-catalog shows its own
_NEUTRAL_LOGO = 'neutral-logo.svg'


# the name of a visit has any character but a slash
_TARGET = r"""'{{(selectedDataset.name || "").split("'").join("'\\''")}}'"""
_UNKNOWN = '%s %s; this version of datalad-catalog is not known'


@dataclass(frozen=True)
class _Patch:
    """A change of a file of the created copy

    Attributes
    ----------
    file
        The file, relative to the catalog.
    pattern, replacement
        What is looked for, and what it becomes.
    is_needed_in
        Whether a text, as it is or after the change, still has what is wrong.
    fault
        What then is wrong, for people.
    """

    file: str
    pattern: re.Pattern[str]
    replacement: str
    is_needed_in: Callable[[str], bool]
    fault: str


def _asks_elsewhere(text: str) -> bool:
    shown = re.sub('<!--.*?-->', '', text, flags=re.DOTALL)
    return bool(re.search(r'<(?:script|link)[^>]+(?:src|href)="https?:', shown))


_PATCHES = (
    _Patch(
        'index.html',
        re.compile(
            r'<script src="https?://[^"]*vue[^"]*"></script>\s*<!--\s*'
            r'(<script src="assets/vue[^"]*"></script>)\s*-->'
        ),
        r'\1',
        _asks_elsewhere,
        'asks another host for a part of it',
    ),
    _Patch(
        'index.html',
        re.compile(r'(<meta charset="utf-8"\s*/?>)'),
        rf'\1\n    {_CONTENT_POLICY}',
        lambda text: _CONTENT_POLICY not in text,
        'has no content security policy',
    ),
    _Patch(
        # the logo is that of a facility
        'index.html',
        re.compile(r'(<img :src="logo_path"[^>]*) alt="datalad"'),
        r'\1 alt=""',
        lambda text: 'alt="datalad"' in text,
        'calls the logo that of DataLad',
    ),
    _Patch(
        # a shell takes the & in the address for the end of the command, and datalad
        # the end of the address for the name of the clone
        'templates/dataset-template.html',
        re.compile(
            # with what earlier versions have put behind it
            r"datalad clone '?(\{\{\s*displayData\.url\s*\}\})'?(?: '\{\{.*\}\}')?"
        ),
        r"datalad clone '\1' " + _TARGET.replace('\\', r'\\'),
        lambda text: _TARGET not in text,
        'shows a clone command that may not work when it is pasted',
    ),
    _Patch(
        # a click would send the address of the store to another host
        'templates/dataset-template.html',
        re.compile(
            r'<span>\s*<b-button[^>]*openWithBinder.*?</b-button>\s*</span>', re.DOTALL
        ),
        '',
        lambda text: 'openWithBinder' in text,
        'can send the address of a visit to another host',
    ),
    _Patch(
        'assets/style.css',
        # in place of that of an earlier version
        re.compile(r'(?:\n/\* long texts of DICOM files.*)?\Z', re.DOTALL),
        _STYLE.replace('\\', r'\\'),
        lambda text: _STYLE.strip() not in text,
        'does not wrap long texts',
    ),
)


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
        logo_path=_NEUTRAL_LOGO,
        link_color='#0b5394',
        link_hover_color='#073763',
        social_links=dict.fromkeys(config.get('social_links', {})),
    )
    if config_file:
        try:
            own = load_config_file(config_file)
        except Exception as e:
            msg = f'datalad.icf.catalog-config: {config_file} cannot be read: {e}'
            raise CatalogError(msg) from e
        if not isinstance(own, dict):
            msg = f'{config_file} has no names with values, as a configuration must'
            raise CatalogError(msg)
        # which tool may say what in a record: here it is this one alone
        own.pop('property_sources', None)
        for key, value in own.items():
            if key in config and type(value) is not type(config[key]):
                msg = f'{config_file}: {key!r} is of a wrong type'
                raise CatalogError(msg)
        config.update(own)
        logo = config['logo_path'] = config['logo_path'] or _NEUTRAL_LOGO
        if not config['catalog_name'].strip():
            msg = f"{config_file}: 'catalog_name' is empty"
            raise CatalogError(msg)
        if not _find_logo(config, config_file).is_file():
            msg = f'{config_file}: there is no logo {logo!r}'
            raise CatalogError(msg)
    return config


def _find_logo(config: dict[str, Any], config_file: Path | None) -> Path:
    name = config['logo_path']
    if name == _NEUTRAL_LOGO or config_file is None:
        return ASSETS / str(name)
    return config_file.parent / str(name)


def logo_name(config: dict[str, Any]) -> str:
    """Name of the logo in a catalog, which is a part of addresses"""
    name = PurePath(config['logo_path'])
    stem = re.sub('[^A-Za-z0-9_-]+', '-', name.stem) or 'logo'
    return f'{stem}{name.suffix}'


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
    logo = location.with_name(logo_name(config))
    shutil.copyfile(_find_logo(config, config_file), logo)
    # an absolute one makes datalad-catalog fail
    config = {**config, 'logo_path': os.path.relpath(logo, location)}
    written.write_text(json.dumps(config))
    mode = location.stat().st_mode
    catalog = open_web_catalog(location)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DeprecationWarning)
        catalog.create(config_file=written)
    written.unlink()
    logo.unlink()
    patch_catalog(location)
    # the files have come with the modes that they had in the package
    for path in location.rglob('*'):
        path.chmod(mode if path.is_dir() else mode & 0o666)


def patch_catalog(location: Path) -> None:
    """Mend in the created copy what leaks, or does not work

    What a version of datalad-catalog that is not known has in another form stays
    as it is, with a warning where it matters.
    """
    for patch in _PATCHES:
        path = location / patch.file
        try:
            text = path.read_text(encoding='utf-8')
        except FileNotFoundError:
            lgr.warning(_UNKNOWN, path, 'is not there')
            continue
        if not patch.is_needed_in(text):
            continue
        patched = patch.pattern.sub(patch.replacement, text, count=1)
        if patch.is_needed_in(patched):
            lgr.warning(_UNKNOWN, path, patch.fault)
        if patched != text:
            part = path.with_name(f'.{path.name}.part')
            part.write_text(patched, encoding='utf-8')
            os.replace(part, path)


def ensure_pages(
    location: Path, staging: Path, config: dict[str, Any], config_file: Path | None
) -> bool:
    """Create what is missing of the pages, and brand them

    Parameters
    ----------
    location
        The catalog.
    staging
        Where to make what then appears.
    config, config_file
        As for `create_catalog`.

    Returns
    -------
    bool
        Whether name, logo or colours have changed.

    Raises
    ------
    CatalogError
        If there is something else at the place of the catalog.
    """
    created = staging / 'catalog'
    # of an attempt for another visit, which failed
    remove_tree(created)
    if not location.exists():
        create_catalog(created, config, config_file)
        os.rename(created, location)
        return True
    is_catalog = (location / 'metadata').is_dir() or (location / 'index.html').exists()
    if not is_catalog and any(location.iterdir()):
        msg = f'{location} is no catalog; move it away'
        raise CatalogError(msg)
    is_branded_anew = _is_branded_anew(location, config, config_file)
    if read_object(location / CONFIG) is None:
        # what reads it takes none for the default, and stops at a damaged one
        (location / CONFIG).unlink(missing_ok=True)
    if is_branded_anew or next(find_lost(location), None):
        create_catalog(created, config, config_file)
        for path in sorted(p for p in created.rglob('*') if p.is_file()):
            name = path.relative_to(created)
            target = location / name
            if is_branded_anew and name == Path(CONFIG):
                # from which the next process sees that this one was not stopped
                os.replace(path, staging / _NEW_CONFIG)
                continue
            is_logo = name.parts[0] == 'artwork'
            if not has_content(target) or (is_branded_anew and is_logo):
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(path, target)
        (location / 'metadata').mkdir(exist_ok=True)
    patch_catalog(location)
    return is_branded_anew


def finish_pages(location: Path, staging: Path) -> None:
    """Put the configuration in place, when all else has the new name and colours"""
    with suppress(FileNotFoundError):
        os.replace(staging / _NEW_CONFIG, location / CONFIG)


def _is_branded_anew(
    location: Path, config: dict[str, Any], config_file: Path | None
) -> bool:
    try:
        current = json.loads((location / CONFIG).read_bytes())
        logo = _find_logo(config, config_file)
        copied = f'artwork/{logo_name(config)}'
        return bool(
            current != {**config, 'logo_path': copied}
            or logo.read_bytes() != (location / copied).read_bytes()
        )
    except (OSError, ValueError):
        return True


def copy_assets(source: Path, location: Path, staging: Path) -> None:
    """Copy the study's own page, where it is not the same already"""
    for path in source.glob(OWN_PAGE):
        target = location / path.name
        content = path.read_bytes()
        if not target.exists() or target.read_bytes() != content:
            part = staging / path.name
            part.write_bytes(content)
            os.replace(part, target)
