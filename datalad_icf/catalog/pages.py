"""What files the pages of a catalog consist of, besides the records"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from datalad_icf.catalog.render import read_object

CONFIG = 'config.json'
ASSETS = Path(__file__).parent / 'assets'
# the table of series
OWN_PAGE = 'overview*'
# what comes with datalad-catalog
_PARTS = ('index.html', 'artwork', 'assets', 'schema', 'templates')


def find_lost(location: Path) -> Iterator[str]:
    """Find files of the pages that are lost, empty or, as the configuration, damaged

    Returns
    -------
    iterator of str
        Names, relative to the catalog.
    """
    own = (Path(path.name) for path in ASSETS.glob(OWN_PAGE))
    for name in (*_shipped(), *sorted(own)):
        if not has_content(location / name):
            yield name.as_posix()
    config = read_object(location / CONFIG)
    if config is None:
        yield CONFIG
    elif (logo := config.get('logo_path')) and not has_content(location / str(logo)):
        yield str(logo)


@lru_cache
def _shipped() -> list[Path]:
    import datalad_catalog.constants as cnst

    shipped = (p for part in _PARTS for p in _list_files(cnst.catalog_path / part))
    return [path.relative_to(cnst.catalog_path) for path in shipped]


def _list_files(path: Path) -> list[Path]:
    return [p for p in (path, *path.rglob('*')) if p.is_file() and p.stat().st_size]


def has_content(path: Path) -> bool:
    """Whether a file is there, and not empty"""
    try:
        return path.stat().st_size > 0
    except OSError:
        return False
