"""A visit becomes a part of the DICOMweb tree of its study"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, fields
from typing import Any

from datalad_icf.dicomweb.assemble import Assembler
from datalad_icf.dicomweb.completeness import find_missing
from datalad_icf.dicomweb.convert import Converted, Converter, Sink, put
from datalad_icf.dicomweb.documents import Documents
from datalad_icf.dicomweb.files import FileSink
from datalad_icf.dicomweb.info import Origin
from datalad_icf.dicomweb.members import VisitMembers, open_members
from datalad_icf.dicomweb.model import ELEMENTS_LOST, PIXELS_LOST, format_tag
from datalad_icf.dicomweb.picture_worker import PictureWorker
from datalad_icf.dicomweb.pictures import pick_middle
from datalad_icf.dicomweb.search import SERIES_INSTANCE_UID, SOP_INSTANCE_UID
from datalad_icf.dicomweb.state import FORMAT, StudyShare, TreeState, VisitState
from datalad_icf.dicomweb.transform import Transformation, strip_private
from datalad_icf.dicomweb.tree import THUMBNAIL, StudyTree
from datalad_icf.dicomweb.update import TreeUpdate, stage_visit
from datalad_icf.errors import DicomError, NotAnInstanceError, PictureError
from datalad_icf.progress import Progress, no_progress
from datalad_icf.store import VisitPaths

DEFAULT_PRIVATE_BULK_SIZE = 64
DEFAULT_PUBLIC_BULK_SIZE = 131_074
# so many are kept for the record; the number of all is known
_MAX_PROBLEMS = 1000


@dataclass(frozen=True)
class TreeOptions:
    """What the files of a visit in the tree are

    Attributes
    ----------
    private_bulk_size, public_bulk_size
        Longest value in bytes, of private and of other data elements, that stands
        in the metadata.
    deduplicate
        Whether the metadata of a series are there in short, and then not those of
        each instance.
    instances
        Whether those are there nevertheless.
    gzip
        Whether JSON and frames that are not compressed yet are written compressed.
    strip_private
        Whether private data elements are left out.
    thumbnails
        Whether each series gets a picture.
    stock
        Whether the tree is for a server that knows nothing of DICOMweb: frames
        without the head of a multipart message, lists as pages of directories.
    part10
        Whether the DICOM files themselves are there, too.
    study_metadata
        Whether the metadata of all series of a study are there as one document.
    """

    private_bulk_size: int = DEFAULT_PRIVATE_BULK_SIZE
    public_bulk_size: int = DEFAULT_PUBLIC_BULK_SIZE
    deduplicate: bool = False
    instances: bool = False
    gzip: bool = False
    strip_private: bool = False
    thumbnails: bool = True
    stock: bool = False
    part10: bool = False
    study_metadata: bool = False

    @classmethod
    def of_tree(cls, paths: VisitPaths) -> TreeOptions:
        """Find the options with which a visit is in the tree of its study

        Those of a visit that is not there yet are those of the visit that was
        converted last; without any they are the default.
        """
        state = TreeState(paths.dicomweb_dir).read_like(paths.visit.visit_id)
        kept = state.options if state and isinstance(state.options, dict) else {}
        known: dict[str, Any] = {
            each.name: kept[each.name]
            for each in fields(cls)
            if type(kept.get(each.name)) is type(each.default)
        }
        return cls(**known)

    @property
    def transformations(self) -> tuple[Transformation, ...]:
        """What is done to an instance before it is converted"""
        return (strip_private,) if self.strip_private else ()


@dataclass(frozen=True)
class TreeReport:
    """What became of a visit

    Attributes
    ----------
    is_new
        Whether it was converted, or is there already.
    state
        What it has in the tree.
    """

    is_new: bool
    state: VisitState

    @property
    def failed(self) -> list[dict[str, Any]]:
        """Problems with files that were not converted as a whole"""
        return [p for p in self.state.problems if p['failed']]


def convert_visit(
    paths: VisitPaths,
    options: TreeOptions,
    *,
    force: bool = False,
    sinks: Sequence[Sink] = (),
    pictures: PictureWorker | None = None,
    progress: Progress = no_progress,
) -> TreeReport:
    """Convert a visit, and put it into the tree in place of what it had there

    Parameters
    ----------
    paths
        The visit.
    options
        What the files are.
    force
        Whether a visit is converted that is there already.
    sinks
        What else becomes of the instances.
    pictures
        Makes the pictures, also those of other visits; one is started if none is
        given.
    progress
        Told the bytes of the instances.

    Raises
    ------
    MissingInputError, TarballError, MetadataError
        If the tarball or its metadata are not there, or not sound.
    BusyError, ConflictError, StoreAccessError, StoreWriteError
        If the tree cannot be changed; then it is as before.
    """
    with open_members(paths) as members:
        found = TreeState(paths.dicomweb_dir).read(paths.visit.visit_id)
        wanted = VisitState(members.md5, asdict(options))
        if not force and found and _is_same(found, wanted, paths):
            return TreeReport(False, found)
        with stage_visit(paths) as update, PictureWorker() as own:
            worker = pictures or own
            if options.thumbnails:
                # it imports what it needs while the images are converted
                worker.start()
            state = _convert(paths, options, update, members, sinks, worker, progress)
        return TreeReport(True, state)


def drop_visit(paths: VisitPaths, options: TreeOptions) -> None:
    """Take a visit out of the tree of its study

    Raises
    ------
    BusyError, StoreAccessError, StoreWriteError, TreeError
        If the tree cannot be changed; then it is as before.
    """
    with stage_visit(paths) as update:
        update.commit({}, None, Documents(gzip=options.gzip, stock=options.stock))


def _is_same(found: VisitState, wanted: VisitState, paths: VisitPaths) -> bool:
    return (
        (found.tarball_md5, found.options, found.format)
        == (wanted.tarball_md5, wanted.options, FORMAT)
        and not found.is_blocked
        and TreeState(paths.dicomweb_dir).has(paths.visit.visit_id, found)
        # by names and sizes: what costs more is for icf-verify
        and not any(find_missing(paths.dicomweb_dir, paths.visit.visit_id, found))
    )


def _convert(
    paths: VisitPaths,
    options: TreeOptions,
    update: TreeUpdate,
    members: VisitMembers,
    sinks: Sequence[Sink],
    pictures: PictureWorker,
    progress: Progress,
) -> VisitState:
    documents = Documents(gzip=options.gzip, stock=options.stock)
    assembler = Assembler(update.staging, documents, deduplicate=options.deduplicate)
    with closing(assembler):
        work = _Work(paths, options, update, members, documents, assembler)
        state = work.convert(sinks, progress)
        shares = work.write_series(state, pictures)
    update.commit(shares, state, documents, study_metadata=options.study_metadata)
    return state


class _Work:
    def __init__(
        self,
        paths: VisitPaths,
        options: TreeOptions,
        update: TreeUpdate,
        members: VisitMembers,
        documents: Documents,
        assembler: Assembler,
    ) -> None:
        self._paths = paths
        self._options = options
        self._update = update
        self._members = members
        self._assembler = assembler
        self._files = FileSink(
            update.staging,
            documents,
            gzip=options.gzip,
            bare=options.stock,
            instance_metadata=options.instances or not options.deduplicate,
            part10=options.part10,
        )
        self._seen: dict[tuple[str, str, str], Origin] = {}
        self._names: dict[str, str] = {}
        self._owners: dict[tuple[str, str], str | None] = {}
        self._state = VisitState(members.md5, asdict(options))

    def convert(self, sinks: Sequence[Sink], progress: Progress) -> VisitState:
        options, state = self._options, self._state
        converter = Converter(
            private_bulk_size=options.private_bulk_size,
            public_bulk_size=options.public_bulk_size,
            transformations=options.transformations,
        )
        all_sinks: list[Sink] = [self._files, self._assembler, *sinks]
        members = self._members.members
        with progress('Convert', sum(m.size for m in members), ' Bytes') as advance:
            for member in members:
                source = self._members.open(member)
                origin = self._members.origin(member, source)
                try:
                    converted = converter.convert(source, origin)
                    if self._is_new(converted):
                        self._put(converted, all_sinks)
                except NotAnInstanceError:
                    state.other_files += 1
                except DicomError as e:
                    self._note(member.name, e.tag, str(e), failed=True)
                advance(member.size)
        state.studies = sorted({study for study, _, _ in self._assembler.series()})
        state.series = sum(1 for _ in self._assembler.series())
        return state

    def write_series(
        self, state: VisitState, pictures: PictureWorker
    ) -> dict[str, StudyShare]:
        """Write what is about several instances, return what the visit has"""
        self._assembler.write_series()
        visit_id = self._paths.visit.visit_id
        shares = {
            uid: self._assembler.share(uid, visit_id, state.tarball_md5)
            for uid in state.studies
        }
        self._pick_middles(shares)
        if self._options.thumbnails:
            self._write_thumbnails(shares, pictures)
        return shares

    def _is_new(self, converted: Converted) -> bool:
        """Whether there is no such instance yet"""
        uids = (
            converted.study_instance_uid,
            converted.series_instance_uid,
            converted.sop_instance_uid,
        )
        if owner := self._owner(*uids[:2]):
            self._state.is_blocked = True
            msg = f'its series is in the tree already, from visit {owner}'
            raise DicomError(msg, format_tag(SERIES_INSTANCE_UID))
        origin = converted.origin
        first = self._seen.get(uids)
        if first is not None and first.md5 != origin.md5:
            msg = f'has the SOPInstanceUID of {first.name!r}, which is another image'
            raise DicomError(msg, format_tag(SOP_INSTANCE_UID))
        if first is not None:
            text = f'is the same file as {first.name!r}'
            self._note(origin.name, format_tag(SOP_INSTANCE_UID), text)
            return False
        name = self._names.setdefault(uids[2], origin.name)
        if name != origin.name:
            text = f'has the SOPInstanceUID of {name!r}, which is in another series'
            self._note(origin.name, format_tag(SOP_INSTANCE_UID), text)
        return True

    def _owner(self, study: str, series: str) -> str | None:
        if (study, series) not in self._owners:
            self._owners[study, series] = self._update.owner(study, series)
        return self._owners[study, series]

    def _put(self, converted: Converted, sinks: Sequence[Sink]) -> None:
        try:
            put(converted, sinks)
        except EOFError as e:
            self._files.remove(converted)
            msg = 'is cut'
            raise DicomError(msg) from e
        uids = (
            converted.study_instance_uid,
            converted.series_instance_uid,
            converted.sop_instance_uid,
        )
        self._seen[uids] = converted.origin
        self._state.instances += 1
        self._state.frames += len(converted.frames.frames)
        for tag, text in converted.problems:
            is_lost = text.startswith((PIXELS_LOST, ELEMENTS_LOST))
            self._note(converted.origin.name, tag, text, failed=is_lost)

    def _note(self, name: str, tag: str, text: str, *, failed: bool = False) -> None:
        # those with which a whole file is lost are never left out
        if failed or len(self._state.problems) < _MAX_PROBLEMS:
            self._state.problems.append(
                {'path': name, 'tag': tag, 'text': text, 'failed': failed}
            )

    def _pick_middles(self, shares: dict[str, StudyShare]) -> None:
        for study_uid, series_uid, entries in self._assembler.series():
            numbers = [(_as_number(e.number), e.uid) for e in entries if e.has_frames]
            if numbers:
                shares[study_uid].series[series_uid].middle = pick_middle(numbers)

    def _write_thumbnails(
        self, shares: dict[str, StudyShare], pictures: PictureWorker
    ) -> None:
        members = {member.name: member for member in self._members.members}
        for study_uid, series_uid, entries in self._assembler.series():
            share = shares[study_uid].series[series_uid]
            middle = next((e for e in entries if e.uid == share.middle), None)
            if middle is None:
                continue
            directory = StudyTree(self._update.staging, study_uid).series(series_uid)
            member = members[middle.name]
            try:
                picture = pictures.make(self._paths.tarball, member.offset, member.size)
            except PictureError as e:
                self._note(middle.name, '', f'has no picture: {e}')
                continue
            if picture is not None:
                (directory / THUMBNAIL).write_bytes(picture)
                share.has_thumbnail = True


def _as_number(number: float) -> int | None:
    return None if number == float('inf') else int(number)
