"""Whether a tree has what it says that a visit has in it"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from datalad_icf.dicomweb.documents import has_document
from datalad_icf.dicomweb.state import VisitState, read_shares
from datalad_icf.dicomweb.tree import INDEX, StudyTree


def find_missing(root: Path, visit_id: str, state: VisitState) -> Iterator[str]:
    """Find what a visit has not in a tree, by the names of files

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
    for uid in state.studies:
        study = StudyTree(root, uid)
        try:
            share = read_shares(study).get(visit_id)
        except ValueError as e:
            yield str(e)
            continue
        if share is None or not has_document(study.path / INDEX):
            yield f'study {uid} is not there'
            continue
        for series_uid, series in share.series.items():
            place = study.series(series_uid)
            found = _count_directories(place / 'instances')
            if found < series.instances:
                yield (f'series {series_uid} has {found} of {series.instances} images')
            elif not has_document(place / 'metadata'):
                yield f'series {series_uid} has no metadata'
        absent = [n for n in share.bulkdata if not has_document(study.bulkdata / n)]
        if absent:
            yield f'{len(absent)} bulk data of study {uid} are not there'


def _count_directories(path: Path) -> int:
    try:
        with os.scandir(path) as entries:
            return sum(entry.is_dir() for entry in entries)
    except OSError:
        return 0
