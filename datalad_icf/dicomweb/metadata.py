"""Read the JSON documents of a tree: metadata and ``info``"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datalad_icf.dicomweb.blobs import read_file
from datalad_icf.dicomweb.model import format_tag
from datalad_icf.dicomweb.search import SOP_INSTANCE_UID
from datalad_icf.dicomweb.tree import GZIP_SUFFIX, METADATA, StudyTree
from datalad_icf.errors import RebuildError

_SOP_INSTANCE_UID = format_tag(SOP_INSTANCE_UID)
# numbers as they stand there, so that nothing of them is lost
_decode = json.JSONDecoder(
    parse_float=str, parse_int=str, parse_constant=str
).raw_decode
_BETWEEN = ' \t\r\n,['


def read_json(path: Path) -> Any:
    """Read a document, or what is compressed beside it

    Raises
    ------
    RebuildError
        If there is none, or if it is damaged.
    """
    found = _find(path)
    if found is None:
        msg = f'{path} is missing'
        raise RebuildError(msg)
    try:
        return json.loads(b''.join(read_file(found)))
    except ValueError as e:
        msg = f'{found} is damaged: it is no JSON'
        raise RebuildError(msg) from e


def find_metadata(
    study: StudyTree, series_instance_uid: str, sop_instance_uid: str
) -> tuple[dict[str, Any], Path]:
    """Find the metadata of an instance, in its own document or one of many

    Returns
    -------
    tuple
        DICOM JSON Model, as `json_values.read_document` reads it, and the file.

    Raises
    ------
    RebuildError
        If they are nowhere, or if the document is damaged.
    """
    places = (
        study.instance(series_instance_uid, sop_instance_uid) / METADATA,
        study.series(series_instance_uid) / METADATA,
        study.metadata,
    )
    for level, place in enumerate(places):
        path = _find(place)
        if path is None:
            continue
        if not level:
            # nothing else is in it, whatever the spelling of the UID
            entries = list(_iter_objects(path))
            if len(entries) != 1:
                msg = f'{path} is damaged: it is not about one instance'
                raise RebuildError(msg)
            return entries[0], path
        for entry in _iter_objects(path):
            uid = entry.get(_SOP_INSTANCE_UID)
            if isinstance(uid, dict) and sop_instance_uid in uid.get('Value', ()):
                return entry, path
    msg = f'{places[0]} is missing, and {places[1]} does not have the instance'
    raise RebuildError(msg)


def _find(path: Path) -> Path | None:
    for candidate in (path, path.with_name(path.name + GZIP_SUFFIX)):
        if candidate.is_file():
            return candidate
    return None


def _iter_objects(path: Path) -> Iterator[dict[str, Any]]:
    """Read the objects of a list one by one, as it may have thousands of them"""
    try:
        decoder = codecs.getincrementaldecoder('utf-8')()
        text = ''
        for part in read_file(path):
            text += decoder.decode(part)
            position = 0
            while True:
                position = _skip(text, position)
                try:
                    entry, position = _decode(text, position)
                except json.JSONDecodeError:
                    # more of it is needed
                    break
                if not isinstance(entry, dict):
                    raise ValueError('it has something else')
                yield entry
            text = text[position:]
        if decoder.decode(b'', final=True) or text.strip() != ']':
            raise ValueError('it does not end')
    except ValueError as e:
        msg = f'{path} is damaged: it is no list of JSON objects'
        raise RebuildError(msg) from e


def _skip(text: str, position: int) -> int:
    while text[position : position + 1] and text[position] in _BETWEEN:
        position += 1
    return position
