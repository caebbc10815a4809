"""The data of the study's own page: one file, a line for each visit"""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import quote

from datalad_icf.catalog.summary import VisitSummary

FILE_NAME = 'overview.json'
_COLOR = re.compile('#[0-9a-fA-F]{6}')
_PREFIX = '{"id": '
_decode = json.JSONDecoder().raw_decode


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
    return json.dumps(
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
            'viewer': None,
            'series': [
                {**vars(series), 'thumbnail': None, 'viewer': None}
                for series in summary.series
            ],
        }
    )


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
            'logo': f'artwork/{PurePath(logo).name}' if logo else None,
            'contact': contact if is_safe else None,
            'color': color if _COLOR.fullmatch(str(color)) else None,
        },
        'catalog': 'index.html',
    }
    visits = ',\n'.join(lines)
    return f'{json.dumps(head)[:-1]},\n"visits": [\n{visits}\n]}}\n'


def read_lines(path: Path) -> dict[str, str]:
    """Read the lines of the visits, as they stand in the file

    Returns
    -------
    dict
        Visit identifier to line; nothing of what cannot be read, which is then
        made anew.
    """
    try:
        text = path.read_text(encoding='utf-8')
    except (OSError, ValueError):
        return {}
    lines: dict[str, str] = {}
    if not text.endswith('\n]}\n'):
        return lines
    for line in text.splitlines():
        if line.startswith(_PREFIX) and line.endswith(('}', '},')):
            try:
                # the identifier alone: a study of 1,000 visits has megabytes
                visit_id = _decode(line, len(_PREFIX))[0]
            except ValueError:
                continue
            lines[visit_id] = line.removesuffix(',')
    return lines
