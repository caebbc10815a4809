"""What is whose in a tree: which visit has which series of which DICOM study

What a visit has of a study stands in the directory of that study, so that both
appear at the same moment. What a visit has in all stands at the root of the tree.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from datalad_icf.dicomweb.documents import has_document, read_document
from datalad_icf.dicomweb.tree import INDEX, STATE_DIR, StudyTree

# raised when the same tarball and options make another tree than before
FORMAT = 1


@dataclass
class SeriesShare:
    """A series

    Attributes
    ----------
    record
        Its search record, a JSON object.
    number
        *Series Number*, by which series are sorted; ``None`` is last.
    instances
        Number of instances.
    first
        Name of the first of their files in the tarball.
    middle
        *SOP Instance UID* of the image in the middle, if there is an image.
    has_thumbnail
        Whether there is a picture.
    """

    record: str
    number: float | None
    instances: int
    first: str
    middle: str | None = None
    has_thumbnail: bool = False


@dataclass
class StudyShare:
    """What a visit has of a DICOM study

    Attributes
    ----------
    visit_id
        The visit.
    tarball_md5
        MD5 of its tarball.
    elements
        JSON of the data elements of the search record of the study, by tag.
    modalities
        All modalities.
    series
        *Series Instance UID* to series.
    bulkdata
        Names of the bulk data that it needs.
    """

    visit_id: str
    tarball_md5: str
    elements: dict[str, str]
    modalities: list[str]
    series: dict[str, SeriesShare]
    bulkdata: list[str]


@dataclass
class VisitState:
    """What a visit has in a tree

    Attributes
    ----------
    tarball_md5
        MD5 of its tarball.
    options
        Options that decide what the files are.
    studies
        *Study Instance UIDs*.
    series, instances, frames
        Numbers of what was converted.
    other_files
        Number of files that are no DICOM files, or not of an instance.
    problems
        What was not converted as it stands: path, tag, text, and whether the
        whole file failed.
    is_blocked
        Whether files were left out because another visit has their series.
    format
        `FORMAT` of the version that made it.
    """

    tarball_md5: str
    options: dict[str, Any]
    studies: list[str] = field(default_factory=list)
    series: int = 0
    instances: int = 0
    frames: int = 0
    other_files: int = 0
    problems: list[dict[str, Any]] = field(default_factory=list)
    is_blocked: bool = False
    format: int = FORMAT


def state_file(directory: Path, visit_id: str) -> Path:
    """Where the state of a visit is"""
    return directory / f'{visit_id}.json'


def write_share(study: StudyTree, share: StudyShare) -> None:
    """Write what a visit has of a study"""
    study.state.mkdir(exist_ok=True)
    state_file(study.state, share.visit_id).write_text(json.dumps(asdict(share)))


def list_shares(study: StudyTree) -> list[str]:
    """Visits that have something of a study"""
    if not study.state.is_dir():
        return []
    return sorted(path.name.removesuffix('.json') for path in study.state.iterdir())


def read_share(study: StudyTree, visit_id: str) -> StudyShare | None:
    """Read what a visit has of a study, if it has anything

    Raises
    ------
    ValueError
        If the file is damaged, which it names.
    """
    path = state_file(study.state, visit_id)
    try:
        fields = json.loads(path.read_bytes())
        fields['series'] = {
            uid: SeriesShare(**series) for uid, series in fields['series'].items()
        }
        share = StudyShare(**fields)
        if share.visit_id != visit_id:
            raise ValueError(share.visit_id)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as e:
        msg = f'{path} is damaged'
        raise ValueError(msg) from e
    return share


class TreeState:
    """The state at the root of a tree

    Parameters
    ----------
    root
        The tree.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._visits = root / STATE_DIR / 'visits'
        self._unfinished = root / STATE_DIR / 'unfinished'

    def begin(self, visit_id: str) -> None:
        """Note that the lists, and what a visit has, will not fit for a while"""
        self._visits.mkdir(parents=True, exist_ok=True)
        self._unfinished.touch()
        state_file(self._visits, visit_id).unlink(missing_ok=True)

    def end(self) -> None:
        """Note that they fit again"""
        self._unfinished.unlink(missing_ok=True)

    @property
    def is_finished(self) -> bool:
        """Whether the last change was not stopped half-way"""
        return not self._unfinished.exists()

    def read(self, visit_id: str) -> VisitState | None:
        """Read the state of a visit; what is damaged is as good as absent"""
        try:
            text = state_file(self._visits, visit_id).read_bytes()
            state = VisitState(**json.loads(text))
        except (OSError, ValueError, TypeError):
            return None
        is_sound = isinstance(state.studies, list) and isinstance(state.problems, list)
        return state if is_sound else None

    def read_like(self, visit_id: str) -> VisitState | None:
        """Read the state of a visit, or of the one that was converted last"""
        if state := self.read(visit_id):
            return state
        try:
            found = [(e.stat().st_mtime_ns, e.name) for e in os.scandir(self._visits)]
        except OSError:
            return None
        others = (name.removesuffix('.json') for _, name in sorted(found, reverse=True))
        return next((state for name in others if (state := self.read(name))), None)

    def place(self, visit_id: str, made: Path) -> None:
        """Rename the state of a visit, from `write_state`, to its place"""
        made.replace(state_file(self._visits, visit_id))

    def visits(self) -> list[str]:
        """Identifiers of all visits, also of those whose change was not finished"""
        places = [self._visits, *(study / STATE_DIR for study in self.studies())]
        return sorted(
            {
                path.name.removesuffix('.json')
                for place in places
                if place.is_dir()
                for path in place.iterdir()
            }
        )

    def studies(self) -> list[Path]:
        """Directories of all DICOM studies"""
        directory = self._root / 'studies'
        if not directory.is_dir():
            return []
        return [Path(e.path) for e in os.scandir(directory) if e.is_dir()]

    def has(self, visit_id: str, state: VisitState) -> bool:
        """Whether what a visit has is there, and listed"""
        if not self.is_finished:
            return False
        try:
            index = read_document(self._root / 'studies' / INDEX) or b''
        except ValueError:
            return False
        # all of it, as half a list may have the studies
        return index.endswith(b']\n') and all(
            f'"{uid}"'.encode() in index
            and has_document(study.path / INDEX)
            and _has_share(study, visit_id)
            for uid in state.studies
            for study in (StudyTree(self._root, uid),)
        )


def _has_share(study: StudyTree, visit_id: str) -> bool:
    try:
        return read_share(study, visit_id) is not None
    except ValueError:
        return False


def write_state(path: Path, state: VisitState) -> None:
    """Write the state of a visit"""
    path.write_text(json.dumps(asdict(state)))


def series_address(study_instance_uid: str, series_instance_uid: str) -> str:
    """Address of a series, relative to the tree"""
    return f'studies/{quote(study_instance_uid)}/series/{quote(series_instance_uid)}'
