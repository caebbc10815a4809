"""The data of the study's own page: one file, a line for each visit"""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

from datalad_icf.catalog.listing import unquote
from datalad_icf.catalog.site import logo_name
from datalad_icf.catalog.summary import SeriesSummary, VisitSummary

FILE_NAME = 'overview.json'
_COLOR = re.compile('#[0-9a-fA-F]{6}')
_START = '{"id":'
# earlier versions wrote blanks
_LINE = re.compile(r'\{"id": ?("(?:[^"\\]|\\.)*"), ?"page": ?"').match
# a third smaller, and what is none is as good as absent
_dumps = json.JSONEncoder(separators=(',', ':')).encode


def build_line(summary: VisitSummary, page: str) -> str:
    """Build the line of a visit

    Parameters
    ----------
    summary
        The visit.
    page
        Address of its page, relative to the catalog.

    Returns
    -------
    str
        A JSON object in one line, which starts with the identifier.
    """
    paths = summary.paths
    return _dumps(
        {
            'id': summary.visit_id,
            'page': page,
            'date': summary.date,
            'images': summary.images,
            'size': summary.tarball.size,
            'md5': summary.tarball.md5,
            'tarball': f'../{quote(paths.tarball.name)}',
            'md5sum': f'../{quote(paths.md5sum.name)}',
            'clone': summary.clone_command,
            'series': [_list_values(series) for series in summary.series],
            **({'viewer': summary.viewer} if summary.viewer else {}),
        }
    )


def _list_values(series: SeriesSummary) -> list[Any]:
    values = list(vars(series).values())
    # what most do not have is last
    while values[-1] is None:
        values.pop()
    return values


def build_overview(study_id: str, lines: list[str], config: dict[str, Any]) -> str:
    """Build the whole file

    Parameters
    ----------
    study_id
        Identifier of the study.
    lines
        The lines of the visits, in their order.
    config
        Configuration of the catalog, with name, logo, colour of the facility.
    """
    color = config.get('link_color')
    logo = config.get('logo_path')
    links = config.get('social_links') or {}
    contact = links.get('about')
    is_safe = isinstance(contact, str) and contact.startswith(
        ('https://', 'http://', 'mailto:')
    )
    head = {
        'format': 1,
        'study': study_id,
        'facility': {
            'name': config.get('catalog_name'),
            'logo': f'artwork/{logo_name(config)}' if logo else None,
            'contact': contact if is_safe else None,
            'color': color if _COLOR.fullmatch(str(color)) else None,
        },
        'catalog': 'index.html',
        'columns': [field.name for field in fields(SeriesSummary)],
    }
    visits = ',\n'.join(lines)
    return f'{json.dumps(head)[:-1]},\n"visits": [\n{visits}\n]}}\n'


def read_lines(path: Path) -> dict[str, str]:
    """Read the lines of the visits, as they stand in the file

    Returns
    -------
    dict
        Visit identifier to line, in the order of the file; nothing of what
        cannot be read, which is then made anew.
    """
    try:
        # bytes, and decoded as what they are: this is read for each new visit
        text = path.read_bytes().decode('ascii')
    except (OSError, ValueError):
        return {}
    lines: dict[str, str] = {}
    if not text.endswith('\n]}\n'):
        return lines
    for line in text.split('\n'):
        if not line.startswith(_START) or not line.endswith(('}', '},')):
            continue
        # the start alone: a study of 1,000 visits has megabytes
        if match := _LINE(line):
            lines[unquote(match[1])] = line[:-1] if line[-1] == ',' else line
    return lines


def is_about(line: str, identity: tuple[str, str] | None) -> bool:
    """Whether a line links to the page of a record

    Parameters
    ----------
    line
        A line as `build_line` makes it.
    identity
        Id and version of the record.
    """
    return identity is not None and f'/{"/".join(identity)}",' in line
