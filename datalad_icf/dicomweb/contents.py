"""Whether the documents of a visit in a tree are whole, and about it"""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from datalad_icf.dicomweb.documents import (
    has_document,
    iter_lines,
    open_document,
    read_document,
)
from datalad_icf.dicomweb.state import VisitState, read_share
from datalad_icf.dicomweb.tree import GZIP_SUFFIX, INFO, METADATA, StudyTree

# a data element of the top level is at the start of a line, alone or behind brackets
_SERIES = re.compile(
    rb'^\[?\{?"0020000E":\{"vr":"UI","Value":\["([0-9.]+)', re.MULTILINE
)
_INSTANCE = re.compile(rb'\[?\{?"00080018":\{"vr":"UI","Value":\["([0-9.]+)')
# the first instance, up to its UIDs
_HEAD = 1 << 16
_END = b'}]\n'
# besides a refusal, of which nothing can be said
_UNREADABLE = (OSError, EOFError, ValueError, zlib.error)


def begins_with(path: Path, series_uid: str) -> bool:
    """Whether metadata of a series begin with an instance of it, and have an end

    Little is read, so that this can be asked of many series.
    """
    try:
        with open_document(path) as f:
            found = _SERIES.search(f.read(_HEAD))
            if found and found[1].decode() != series_uid:
                return False
            if path.with_name(path.name + GZIP_SUFFIX).exists():
                # to its end, it is for `find_foreign`
                return True
            f.seek(-len(_END), os.SEEK_END)
            return f.read() == _END
    except PermissionError:
        raise
    except _UNREADABLE:
        return False


def find_foreign(
    root: Path, visit_id: str, state: VisitState, digests: Mapping[str, str]
) -> Iterator[str]:
    """Find documents of a visit that are damaged, or about something else

    Parameters
    ----------
    root
        The tree.
    visit_id, state
        The visit, and what `TreeState` says of it.
    digests
        Path in the tarball to MD5, of all files; nothing if it is not known.

    Returns
    -------
    iterator of str
        A clause for each series that has such documents.
    """
    for uid in state.studies:
        study = StudyTree(root, uid)
        share = read_share(study, visit_id)
        for series_uid in share.series if share else ():
            instances = study.series(series_uid) / 'instances'
            uids = {path.name for path in instances.iterdir() if path.is_dir()}
            if not _is_metadata_of(study.series(series_uid) / METADATA, uids):
                yield f'the metadata of series {series_uid} are damaged, or of another'
            for name, is_sound in (
                (INFO, lambda path: _is_info(path, digests)),
                (METADATA, _is_metadata_of_instance),
            ):
                foreign = sum(not is_sound(instances / each / name) for each in uids)
                if foreign:
                    which = (
                        '1 image that is'
                        if foreign == 1
                        else f'{foreign} images that are'
                    )
                    yield (
                        f'series {series_uid} has {name} of {which} damaged, or of '
                        'another'
                    )


def _is_metadata_of(path: Path, uids: set[str]) -> bool:
    found = set()
    line = b''
    try:
        for line in iter_lines(path):
            if match := _INSTANCE.match(line):
                found.add(match[1].decode())
    except PermissionError:
        raise
    except _UNREADABLE:
        return False
    return found == uids and line.endswith(_END)


def _is_metadata_of_instance(path: Path) -> bool:
    if not has_document(path):
        # whether it should be there is for `find_missing`
        return True
    try:
        (record,) = json.loads(read_document(path) or b'')
        return bool(record['00080018']['Value'] == [path.parent.name])
    except PermissionError:
        raise
    except (*_UNREADABLE, LookupError, TypeError):
        return False


def _is_info(path: Path, digests: Mapping[str, str]) -> bool:
    try:
        member = json.loads(read_document(path) or b'')['member']
        return not digests or bool(digests[member['name']] == member['md5'])
    except PermissionError:
        raise
    except (*_UNREADABLE, LookupError, TypeError):
        return False
