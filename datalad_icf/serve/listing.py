"""Pages that show what is in the store, and in a study"""

from __future__ import annotations

import os
from base64 import b64encode
from dataclasses import dataclass, field
from datetime import datetime, timezone
from hashlib import sha256
from html import escape
from pathlib import Path
from urllib.parse import quote

from datalad_icf.store import VIEWER_DIR

_STYLE = """
:root { color-scheme: light dark; --page: #f6f7f9; --surface: #fff; --text: #1d2329;
  --muted: #5a6673; --line: #dfe3e8; --link: #0b57a4; --hover: #f0f4f9 }
@media (prefers-color-scheme: dark) { :root { --page: #14181c; --surface: #1c2127;
  --text: #e4e8ec; --muted: #9eaab6; --line: #2e353d; --link: #8fc1f5;
  --hover: #232a32 } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1.5rem; max-width: 64rem; background: var(--page);
  color: var(--text); font: 0.9375rem/1.45 system-ui, sans-serif;
  overflow-wrap: anywhere }
a { color: var(--link); text-underline-offset: 0.15em }
:focus-visible { outline: 2px solid; outline-offset: 2px }
h1 { margin: 0 0 1rem; font-size: 1.5rem; line-height: 1.25 }
nav { margin-bottom: 1rem; display: flex; flex-wrap: wrap; gap: 0.5rem 1.25rem }
table { width: 100%; border-collapse: collapse; background: var(--surface);
  border: 1px solid var(--line) }
th, td { padding: 0.4rem 0.75rem; border-bottom: 1px solid var(--line);
  text-align: left; font-weight: normal; vertical-align: top }
thead th { color: var(--muted); font-size: 0.8125rem }
tbody tr:hover { background: var(--hover) }
td a + a { margin-left: 1rem }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums }
"""
# of the pages: nothing runs, and nothing is loaded
PAGE_POLICY = (
    "default-src 'none'; img-src data:; "
    f"style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True)
class Page:
    """A page for people

    Parameters
    ----------
    title
        What it is, in a word.
    path
        Its URL, relative to where it is listed, percent-encoded.
    """

    title: str
    path: str


@dataclass(frozen=True)
class Study:
    """A study of the store, and the pages that there are for it

    Parameters
    ----------
    study_id
        Name of its directory.
    pages
        Pages, relative to the directory.
    """

    study_id: str
    pages: tuple[Page, ...] = field(default=())


def find_studies(root: Path) -> list[Study]:
    """Find the studies of a store, in the order of their identifiers

    Parameters
    ----------
    root
        Root directory of the store. Names that start with a dot, files, symbolic
        links to other places, and the viewer are no studies.
    """
    names = [
        entry.name
        for entry in _scan(root, root)
        if entry.is_dir() and not _is_viewer(root, entry.name)
    ]
    return [Study(name, _find_pages(root / name)) for name in names]


def render_root(root: Path) -> str:
    """Render the page of the store, a table of its studies"""
    studies = find_studies(root)
    rows = [
        (
            f'<th scope="row"><a href="{quote(s.study_id)}/">{_text(s.study_id)}</a>'
            f'</th><td>{_links(s.pages, f"{quote(s.study_id)}/")}</td>'
        )
        for s in studies
    ]
    table = _table('Studies', ('Study', 'Pages'), rows)
    return _page('Studies', table if rows else '<p>There is no study yet.</p>')


def render_study(root: Path, study_id: str) -> str:
    """Render the page of a study, a table of its files

    Parameters
    ----------
    root
        Root directory of the store.
    study_id
        Name of a directory in it.
    """
    rows = []
    for entry in _scan(root, root / study_id):
        if not entry.is_file():
            continue
        status = entry.stat()
        changed = datetime.fromtimestamp(status.st_mtime, tz=timezone.utc)
        rows.append(
            f'<th scope="row"><a href="{quote(entry.name)}">{_text(entry.name)}</a>'
            f'</th><td class="number" title="{status.st_size} bytes">'
            f'{format_size(status.st_size)}</td>'
            f'<td class="number">{changed:%Y-%m-%d %H:%M}</td>'
        )
    pages = (Page('All studies', '../'), *_find_pages(root / study_id))
    table = _table('Files', ('Name', 'Size', 'Changed (UTC)'), rows)
    return _page(
        f'Study {study_id}',
        f'<nav aria-label="Pages">{_links(pages)}</nav>',
        table if rows else '<p>There is no file yet.</p>',
    )


def format_size(size: int) -> str:
    """Tell a number of bytes to people, in powers of 1000

    Examples
    --------
    >>> format_size(999), format_size(1500), format_size(75_100_160)
    ('999 B', '1.5 kB', '75.1 MB')
    """
    value, unit = float(size), 'B'
    for larger in ('kB', 'MB', 'GB', 'TB'):
        if value < 999.95:
            break
        value, unit = value / 1000, larger
    return f'{size} B' if unit == 'B' else f'{value:.1f} {unit}'


def _scan(root: Path, directory: Path) -> list[os.DirEntry[str]]:
    with os.scandir(directory) as entries:
        found = [e for e in entries if _is_shown(root, e)]
    return sorted(found, key=lambda e: e.name)


def _is_shown(root: Path, entry: os.DirEntry[str]) -> bool:
    if entry.name.startswith('.'):
        return False
    try:
        entry.name.encode()
    except UnicodeEncodeError:
        # it has no URL that is text
        return False
    if not entry.is_symlink():
        return True
    # what the server would not find either
    # not `Path.resolve`, which stops at a circle of links
    target, real_root = (Path(os.path.realpath(p)) for p in (entry.path, root))
    return (
        os.path.exists(target)
        and target.is_relative_to(real_root)
        and not any(p.startswith('.') for p in target.relative_to(real_root).parts)
    )


def _is_viewer(root: Path, name: str) -> bool:
    return name == VIEWER_DIR and (root / VIEWER_DIR / 'index.html').is_file()


def _find_pages(directory: Path) -> tuple[Page, ...]:
    known = (
        ('Overview', 'catalog/overview.html', 'catalog/overview.html'),
        ('Catalog', 'catalog/index.html', 'catalog/'),
    )
    return tuple(
        Page(title, path) for title, file, path in known if (directory / file).is_file()
    )


def _text(name: str) -> str:
    # isolated, so that a name cannot turn the text around it
    return f'<bdi>{escape(name)}</bdi>'


def _links(pages: tuple[Page, ...], start: str = '') -> str:
    return ' '.join(
        f'<a href="{start}{page.path}">{escape(page.title)}</a>' for page in pages
    )


def _table(caption: str, headings: tuple[str, ...], rows: list[str]) -> str:
    numbers = ('Size', 'Changed (UTC)')
    head = ''.join(
        f'<th scope="col"{" class=number" if h in numbers else ""}>{h}</th>'
        for h in headings
    )
    body = '\n'.join(f'<tr>{row}</tr>' for row in rows)
    return (
        f'<table aria-label="{caption}">\n<thead><tr>{head}</tr></thead>\n'
        f'<tbody>\n{body}\n</tbody>\n</table>'
    )


def _page(title: str, *parts: str) -> str:
    head = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="robots" content="noindex">\n'
        f'<title>{escape(title)}</title>\n<link rel="icon" href="data:,">\n'
        f'<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n'
        f'<h1>{_text(title)}</h1>\n'
    )
    body = '\n'.join(parts)
    return f'{head}{body}\n</main>\n</body>\n</html>\n'
