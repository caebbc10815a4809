"""The visits that the record of a study lists, a line each

datalad-catalog has each of them twice in the record, among its datasets and in
its tree. Both follow from three values, so that a visit can be added without
taking apart the JSON of all others.
"""

from __future__ import annotations

import json
import re
from bisect import bisect
from collections.abc import Collection
from pathlib import Path
from typing import Any

from datalad_icf.catalog.summary import natural_key
from datalad_icf.errors import CatalogError

# visit identifier to id and version of its record
Listed = dict[str, tuple[str, str]]

_START, _END = ',\n"subdatasets": [\n', '\n]}\n'
_CHILDREN = '\n],\n"children": [\n'
_find_lines = re.compile(
    r'^\{"dataset_path": ("(?:[^"\\]|\\.)*"), "dataset_id": "([^"]+)", '
    r'"dataset_version": "([^"]+)", ',
    re.MULTILINE,
).findall
_SOURCE_TIME = re.compile(rb'"source_time": ([0-9]{1,12})\b')
_quote = json.JSONEncoder().encode


def format_listing(record: dict[str, Any], listed: Listed) -> str:
    """Text of the record of a study

    Parameters
    ----------
    record
        The record as datalad-catalog has made it.
    listed
        The visits that it shall list, in their order.
    """
    head = {k: v for k, v in record.items() if k not in ('subdatasets', 'children')}
    subdatasets, children = [], []
    for visit_id, (dataset_id, version) in listed.items():
        name = _quote(visit_id)
        subdatasets.append(
            f'{{"dataset_path": {name}, "dataset_id": "{dataset_id}", '
            f'"dataset_version": "{version}", "dirs_from_path": [{name}]}}'
        )
        children.append(
            f'{{"type": "dataset", "name": {name}, "dataset_id": "{dataset_id}", '
            f'"dataset_version": "{version}"}}'
        )
    return (
        f'{json.dumps(head)[:-1]}{_START}'
        + ',\n'.join(subdatasets)
        + _CHILDREN
        + ',\n'.join(children)
        + _END
    )


def read_listing(path: Path) -> Listed:
    """Read the visits that the record of a study lists, in its order

    Raises
    ------
    CatalogError
        If the record is damaged.
    """
    try:
        text = path.read_bytes().decode('ascii')
        start, end = text.find(_START), text.find(_CHILDREN)
        if 0 < start < end and text.endswith(_END):
            lines = _find_lines(text[start + len(_START) : end])
            return {unquote(name): (key, version) for name, key, version in lines}
        listed = json.loads(text)['subdatasets']
        return {
            str(visit['dataset_path']): (visit['dataset_id'], visit['dataset_version'])
            for visit in listed
        }
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, KeyError, OSError) as e:
        msg = f'{path} is damaged'
        raise CatalogError(msg) from e


def read_source_time(path: Path) -> int:
    """Time of the newest metadata when a record was written, 0 if it is not known"""
    try:
        with open(path, 'rb') as f:
            match = _SOURCE_TIME.search(f.read(1 << 14))
    except OSError:
        return 0
    return int(match[1]) if match else 0


def unquote(text: str) -> str:
    """Value of a JSON string, fast where nothing in it is escaped"""
    return str(json.loads(text)) if '\\' in text else text[1:-1]


def insert(listed: Listed, added: Listed) -> Listed:
    """Add visits to those that are in order, so that numbers count as such"""
    new = added.keys() - listed.keys()
    merged = {**listed, **added}
    if len(new) > 1 + len(listed) // 16:
        return {v: merged[v] for v in sort_visits(merged)}
    order = list(listed)
    for visit_id in new:
        order.insert(bisect(order, natural_key(visit_id), key=natural_key), visit_id)
    return {v: merged[v] for v in order}


def sort_visits(visit_ids: Collection[str]) -> list[str]:
    """Sort identifiers so that numbers in them count as numbers"""
    return sorted(visit_ids, key=natural_key)
