"""A sink that puts together what is about several instances

The metadata of a series and the lists that answer searches are in the order of the
instances in their series, which is known at the end. Until then the metadata are
in a file, so that memory does not grow with them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from errno import ENOENT
from math import isfinite
from pathlib import Path

from datalad_icf.dicomweb.bulk import BulkItem
from datalad_icf.dicomweb.convert import Converted
from datalad_icf.dicomweb.deduplicate import iter_deduplicated
from datalad_icf.dicomweb.documents import (
    Documents,
    has_document,
    iter_lines,
    read_document,
)
from datalad_icf.dicomweb.search import (
    INSTANCE_NUMBER,
    INSTANCE_TAGS,
    MODALITY,
    SERIES_NUMBER,
    SERIES_TAGS,
    STUDY_TAGS,
    build_list,
    build_record,
    build_series_record,
    build_study_record,
    first_value,
    select,
)
from datalad_icf.dicomweb.source import ByteSource
from datalad_icf.dicomweb.state import SeriesShare, StudyShare
from datalad_icf.dicomweb.tree import (
    DEDUPLICATED,
    INDEX,
    METADATA,
    StudyTree,
    resolve_marks,
)

# a JSON text has no line break, but where somebody wants to read it
_BETWEEN = b',\n'


@dataclass(frozen=True, order=True)
class Entry:
    """An instance of a series

    Attributes
    ----------
    number
        *Instance Number*, by which instances are sorted; infinite if there is none.
    name
        Name of the file in the tarball.
    uid
        *SOP Instance UID*.
    record
        Its search record.
    offset, length
        Where its metadata are in the spool.
    has_frames
        Whether it is an image.
    """

    number: float
    name: str
    uid: str
    record: bytes = field(compare=False)
    offset: int = field(compare=False)
    length: int = field(compare=False)
    has_frames: bool = field(compare=False)


@dataclass
class _Series:
    entries: list[Entry] = field(default_factory=list)
    first: Entry | None = None
    study: dict[int, bytes] = field(default_factory=dict)
    series: dict[int, bytes] = field(default_factory=dict)


class Assembler:
    """Collects instances, and writes what is about several of them

    Parameters
    ----------
    root
        Directory of the tree.
    documents
        How documents are written.
    deduplicate
        Whether each series gets its metadata once more in short.
    """

    def __init__(
        self, root: Path, documents: Documents, *, deduplicate: bool = False
    ) -> None:
        self._root = root
        self._documents = documents
        self._deduplicate = deduplicate
        self._spool = open(root / 'spool', 'w+b')  # noqa: SIM115
        self._end = 0
        self._studies: dict[str, dict[str, _Series]] = {}
        self._bulkdata: dict[str, set[str]] = {}

    def close(self) -> None:
        """Remove what was only needed meanwhile"""
        self._spool.close()
        (self._root / 'spool').unlink(missing_ok=True)

    def put_bulkdata(
        self,
        converted: Converted,
        source: ByteSource,  # noqa: ARG002
        bulk: BulkItem,
    ) -> None:
        """Note that a study needs a value"""
        needed = self._bulkdata.setdefault(converted.study_instance_uid, set())
        needed.add(bulk.name)

    def put_frame(self, converted: Converted, index: int) -> None:
        """Frames are of no interest"""

    def put_metadata(self, converted: Converted) -> None:
        """Collect the metadata of an instance"""
        elements = converted.json.parts
        # apart from each other, so that they can be told apart again
        document = _BETWEEN.join(elements.values())
        self._spool.write(document)
        number = _as_number(first_value(elements, INSTANCE_NUMBER))
        entry = Entry(
            _sort_number(number),
            converted.origin.name,
            converted.sop_instance_uid,
            build_record(select(elements, INSTANCE_TAGS)),
            self._end,
            len(document),
            bool(converted.frames.frames),
        )
        self._end += len(document)
        study = self._studies.setdefault(converted.study_instance_uid, {})
        series = study.setdefault(converted.series_instance_uid, _Series())
        series.entries.append(entry)
        if series.first is None or entry < series.first:
            series.first = entry
            series.study = select(elements, STUDY_TAGS)
            series.series = select(elements, SERIES_TAGS)

    def series(self) -> Iterator[tuple[str, str, list[Entry]]]:
        """All series: UIDs of study and series, and the instances in their order"""
        for study_uid, study in self._studies.items():
            for series_uid, series in study.items():
                series.entries.sort()
                yield study_uid, series_uid, series.entries

    def write_series(self) -> None:
        """Write the documents of all series"""
        self._spool.flush()
        for study_uid, series_uid, entries in self.series():
            directory = StudyTree(self._root, study_uid).series(series_uid)
            self._documents.write_parts(
                directory / METADATA, self._iter_metadata(series_uid, entries, 'series')
            )
            self._documents.write_list(
                directory / 'instances', build_list(e.record for e in entries)
            )
            if self._deduplicate:
                split = (
                    self._read(series_uid, entry, 'series').split(_BETWEEN)
                    for entry in entries
                )
                self._documents.write_parts(
                    directory / DEDUPLICATED, iter_deduplicated(split)
                )

    def share(self, study_uid: str, visit_id: str, tarball_md5: str) -> StudyShare:
        """What the visit has of a study, after its series were written"""
        modalities = set()
        found = {}
        for series_uid, series in self._studies[study_uid].items():
            number = _as_number(first_value(series.series, SERIES_NUMBER))
            modalities.add(first_value(series.series, MODALITY))
            found[series_uid] = SeriesShare(
                record=build_series_record(
                    series.series, instances=len(series.entries)
                ).decode(),
                number=number,
                instances=len(series.entries),
                first=min(e.name for e in series.entries),
            )
        first = min(self._studies[study_uid].values(), key=lambda s: s.entries[0])
        return StudyShare(
            visit_id,
            tarball_md5,
            elements={f'{t:08X}': e.decode() for t, e in first.study.items()},
            modalities=sorted(m for m in modalities if isinstance(m, str)),
            series=found,
            bulkdata=sorted(self._bulkdata.get(study_uid, ())),
        )

    def _read(self, series_uid: str, entry: Entry, level: str) -> bytes:
        document = os.pread(self._spool.fileno(), entry.length, entry.offset)
        return resolve_marks(
            document,
            series_instance_uid=series_uid,
            sop_instance_uid=entry.uid,
            level=level,
        )

    def _iter_metadata(
        self, series_uid: str, entries: list[Entry], level: str
    ) -> Iterator[bytes]:
        separator = b'[{'
        for entry in entries:
            yield separator
            yield self._read(series_uid, entry, level)
            separator = b'},\n{'
        yield b'}]\n'


def write_study(
    tree: Path,
    study_uid: str,
    shares: dict[str, StudyShare],
    documents: Documents,
    *,
    study_metadata: bool = False,
) -> None:
    """Write the documents of a study, from what the visits have of it

    Parameters
    ----------
    tree
        Directory of the tree, with all series of the study.
    study_uid
        *Study Instance UID*.
    shares
        Visit to what it has of the study.
    documents
        How documents are written.
    study_metadata
        Whether the metadata of all series are written as one document.

    Raises
    ------
    ValueError
        If a list of one of the series is missing or damaged.
    """
    study = StudyTree(tree, study_uid)
    series = {uid: s for share in shares.values() for uid, s in share.series.items()}
    order = sorted(series, key=lambda uid: (_sort_number(series[uid].number), uid))
    documents.write_list(
        study.series_index, build_list(series[uid].record.encode() for uid in order)
    )
    study.instances_index.mkdir(exist_ok=True)
    records = (_read_records(study.series(uid) / 'instances' / INDEX) for uid in order)
    documents.write_list(study.instances_index, build_list(records))
    first = min(shares.values(), key=lambda share: share.visit_id)
    record = build_study_record(
        {int(tag, 16): e.encode() for tag, e in first.elements.items()},
        modalities=(m for share in shares.values() for m in share.modalities),
        series=len(series),
        instances=sum(s.instances for s in series.values()),
    )
    documents.write_list(study.path, build_list([record]))
    if study_metadata:
        documents.write_parts(study.metadata, _iter_study_metadata(study, order))


def check_series(
    study: StudyTree, series_uid: str, *, with_metadata: bool = False
) -> None:
    """Check that there is what `write_study` reads of a series

    Raises
    ------
    ValueError, FileNotFoundError
        If it is damaged, or missing.
    """
    directory = study.series(series_uid)
    _read_records(directory / 'instances' / INDEX)
    if with_metadata and not has_document(directory / METADATA):
        raise FileNotFoundError(ENOENT, '', str(directory / METADATA))


def _iter_study_metadata(study: StudyTree, series: list[str]) -> Iterator[bytes]:
    """The metadata of all series as one document, addressed from the study"""
    separator = b'['
    for uid in series:
        base = f'"BulkDataURI":"series/{uid}/instances/'.encode()
        for line in iter_lines(study.series(uid) / METADATA):
            # a line for each data element; within a text, quotes would be escaped
            text = line.replace(b'"BulkDataURI":"../../', b'"BulkDataURI":"')
            text = text.replace(b'"BulkDataURI":"instances/', base)
            yield separator + text.strip(b'[],\n')
            separator = b',\n'
    yield b']\n'


def _read_records(path: Path) -> bytes:
    text = read_document(path)
    if text is None or not (text.startswith(b'[\n{') and text.endswith(b'}\n]\n')):
        msg = f'{path} is missing or damaged'
        raise ValueError(msg)
    # without the brackets
    return text[2:-3]


def _as_number(value: str | float | None) -> float | None:
    try:
        # '+1' is a number for DICOM, but not for JSON
        number = float('' if value is None else value)
    except (ValueError, OverflowError):
        return None
    return number if isfinite(number) else None


def _sort_number(number: float | None) -> float:
    return float('inf') if number is None else number


def link_tree(source: Path, target: Path) -> None:
    """Make a directory of the same files as another, without a second copy"""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, target, copy_function=link_file, dirs_exist_ok=True)


def link_file(source: str | Path, target: str | Path) -> None:
    """Make a second name of a file, or a copy where that cannot be"""
    try:
        os.link(source, target)
    except OSError:
        # a file system without hard links
        shutil.copy2(source, target)
