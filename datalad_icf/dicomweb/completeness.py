"""Whether a tree has what it says that a visit has in it

By names and sizes of files, and by the lists, which are short: so it can be known
before each conversion. What is in the documents is for `datalad_icf.dicomweb.contents`.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datalad_icf.dicomweb.contents import begins_with
from datalad_icf.dicomweb.documents import read_document
from datalad_icf.dicomweb.model import format_tag
from datalad_icf.dicomweb.search import (
    SERIES_INSTANCE_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
)
from datalad_icf.dicomweb.state import SeriesShare, StudyShare, VisitState, read_share
from datalad_icf.dicomweb.tree import (
    DEDUPLICATED,
    FRAMES,
    GZIP_SUFFIX,
    INDEX,
    INFO,
    METADATA,
    PART10,
    STOCK_INDEX,
    THUMBNAIL,
    StudyTree,
)


def find_missing(root: Path, visit_id: str, state: VisitState) -> Iterator[str]:
    """Find what a visit has not in a tree, without reading its documents

    Parameters
    ----------
    root
        The tree.
    visit_id, state
        The visit, and what `TreeState` says of it.

    Returns
    -------
    iterator of str
        A clause for each thing that is missing.
    """
    form = _Form.of(state)
    frames = 0
    is_whole = True
    for uid in state.studies:
        study = StudyTree(root, uid)
        try:
            share = read_share(study, visit_id)
        except ValueError as e:
            yield str(e)
            is_whole = False
            continue
        if share is None:
            yield f'study {uid} is not there'
            is_whole = False
            continue
        listed: set[str] = set()
        for series_uid, series in share.series.items():
            found = _Series(study, series_uid, series, form)
            yield from found.find_missing()
            is_whole = is_whole and found.is_whole
            frames += found.frames
            listed |= found.listed
        yield from _find_missing_of_study(study, uid, share, form, listed)
    if is_whole and frames < state.frames:
        yield f'there are {frames} of {state.frames} frames'


@dataclass(frozen=True)
class _Form:
    """What files there are, as the options of a visit say"""

    instance: tuple[str, ...]
    series: tuple[str, ...]
    is_stock: bool
    study_metadata: bool

    @classmethod
    def of(cls, state: VisitState) -> _Form:
        options: dict[str, Any] = (
            state.options if isinstance(state.options, dict) else {}
        )
        deduplicate = options.get('deduplicate')
        has_metadata = options.get('instances') or not deduplicate
        return cls(
            instance=(
                INFO,
                *([METADATA] if has_metadata else []),
                *([PART10] if options.get('part10') else []),
            ),
            series=(METADATA, *([DEDUPLICATED] if deduplicate else [])),
            is_stock=bool(options.get('stock')),
            study_metadata=bool(options.get('study_metadata')),
        )


class _Series:
    def __init__(
        self, study: StudyTree, uid: str, share: SeriesShare, form: _Form
    ) -> None:
        self._path = study.series(uid)
        self._uid = uid
        self._share = share
        self._form = form
        self.frames = 0
        self.listed: set[str] = set()
        self.is_whole = True

    def find_missing(self) -> Iterator[str]:
        """Clauses for what is missing; `is_whole` is about the number of instances"""
        instances = _scan(self._path / 'instances')
        lacking: Counter[str] = Counter()
        uids = set()
        for name, entry in instances.items():
            if entry.is_dir():
                uids.add(name)
                lacking.update(self._look_at(entry.path))
        stated = self._share.instances
        self.is_whole = len(uids) >= stated
        if len(uids) < stated:
            yield f'series {self._uid} has {len(uids)} of {stated} images'
        for name, count in sorted(lacking.items()):
            yield f'series {self._uid} lacks {name} of {count} of its images'
        there = _scan(self._path)
        wanted = [
            *self._form.series,
            *([THUMBNAIL] if self._share.has_thumbnail else []),
        ]
        for name in wanted:
            if not _has_content(there, name):
                yield f'series {self._uid} has no {name}'
            elif name == METADATA and not begins_with(self._path / name, self._uid):
                yield f'the metadata of series {self._uid} are cut, or of another one'
        self.listed = _list(self._path / 'instances', SOP_INSTANCE_UID)
        if len(self.listed) < stated or (uids and self.listed.isdisjoint(uids)):
            yield f'the list of the images of series {self._uid} is lost or damaged'
        if self._form.is_stock and not _has_content(instances, STOCK_INDEX):
            yield f'series {self._uid} has no {STOCK_INDEX}'

    def _look_at(self, path: str) -> list[str]:
        """Count the frames of an instance, and return what it lacks"""
        there = _scan(path)
        if FRAMES in there:
            frames = _scan(f'{path}/{FRAMES}')
            self.frames += len(
                {
                    name.removesuffix(GZIP_SUFFIX)
                    for name in frames
                    if _has_content(frames, name) or self._is_empty(Path(path), name)
                }
            )
        return [n for n in self._form.instance if not _has_content(there, n)]

    def _is_empty(self, path: Path, name: str) -> bool:
        """Whether a frame has nothing in it, as fragments may have"""
        # else it has the head of a message
        if not self._form.is_stock:
            return False
        try:
            info = json.loads(read_document(path / INFO) or b'')
            lengths = info['pixelData']['fragments'][int(name) - 1]
        except (ValueError, LookupError, TypeError):
            return False
        return not (lengths if isinstance(lengths, int) else sum(lengths))


def _find_missing_of_study(
    study: StudyTree, uid: str, share: StudyShare, form: _Form, listed: set[str]
) -> Iterator[str]:
    """Clauses for what is missing of what is about a study"""
    for name, directory, tag, wanted in (
        ('study', study.path, STUDY_INSTANCE_UID, {uid}),
        ('series', study.series_index, SERIES_INSTANCE_UID, {*share.series}),
        ('images', study.instances_index, SOP_INSTANCE_UID, listed),
    ):
        if not wanted <= _list(directory, tag):
            yield f'the list with the {name} of study {uid} is lost or damaged'
        elif (
            form.is_stock
            # else it depends on what the visit wanted that was converted last
            and len(_scan(study.state)) == 1
            and not _has_content(_scan(directory), STOCK_INDEX)
        ):
            yield f'the {STOCK_INDEX} with the {name} of study {uid} is lost'
    if form.study_metadata and not _has_content(_scan(study.path), METADATA):
        yield f'study {uid} has no {METADATA}'
    if share.bulkdata:
        there = _scan(study.bulkdata)
        absent = [name for name in share.bulkdata if not _has_content(there, name)]
        if absent:
            yield f'{len(absent)} bulk data of study {uid} are not there'


def _scan(path: str | Path) -> dict[str, os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return {entry.name: entry for entry in entries}
    except PermissionError:
        # nothing is known then, and it is not to be called damage
        raise
    except OSError:
        return {}


def _has_content(entries: dict[str, os.DirEntry[str]], name: str) -> bool:
    """Whether a document is there in one of its forms, and not empty"""
    entry = entries.get(name) or entries.get(name + GZIP_SUFFIX)
    try:
        return entry is not None and entry.is_file() and entry.stat().st_size > 0
    except PermissionError:
        raise
    except OSError:
        return False


def _list(directory: Path, tag: int) -> set[str]:
    """Read the UIDs that a list has, none if it is damaged"""
    try:
        text = read_document(directory / INDEX) or b''
    except PermissionError:
        raise
    except (ValueError, OSError):
        return set()
    # ten times as fast as JSON, which is the larger part of all that is done here
    is_list = text.startswith(b'[\n{') and text.endswith(b'}\n]\n')
    pattern = b'"%b":{"vr":"UI","Value":["' % format_tag(tag).encode()
    found = text.split(pattern)[1:] if is_list else ()
    return {
        part[: part.find(b'"', 0, 100)].decode('ascii', 'replace') for part in found
    }
