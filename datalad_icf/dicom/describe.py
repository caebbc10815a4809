"""Deposit the metadata of a tarball beside it"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from dataclasses import replace as replace_fields
from functools import partial
from hashlib import md5
from pathlib import Path
from typing import BinaryIO

from datalad_icf.dicom.header import (
    DEFAULT_ATTRIBUTES,
    Attribute,
    HeaderError,
    NotDicomError,
    attribute_values,
    read_elements,
    wanted_tags,
)
from datalad_icf.dicom.members import Member, TarballReader
from datalad_icf.errors import (
    ConflictError,
    MetadataError,
    MissingInputError,
    TarballError,
)
from datalad_icf.progress import Progress, no_progress
from datalad_icf.store import (
    Draft,
    InstanceMetadata,
    TarballMetadata,
    Visit,
    VisitPaths,
    clear_draft,
    draft_file,
    read_instances,
    read_md5sum,
    read_regular,
    read_tarball_metadata,
)
from datalad_icf.store.metadata import iter_instances_json


@dataclass
class MetadataReport:
    """What `deposit_metadata` did

    Attributes
    ----------
    is_new
        Whether the metadata were written, or were there and are the same.
    tarball
        The metadata of the tarball.
    other_files
        Number of members that are no DICOM files, and have no metadata.
    warnings
        What somebody should look at, a sentence each.
    restored
        Names of files that were lost, and were written again.
    """

    is_new: bool
    tarball: TarballMetadata
    other_files: int = 0
    warnings: list[str] = field(default_factory=list)
    restored: list[str] = field(default_factory=list)


def deposit_metadata(
    paths: VisitPaths,
    *,
    attributes: tuple[Attribute, ...] = DEFAULT_ATTRIBUTES,
    replace: bool = False,
    progress: Progress = no_progress,
) -> MetadataReport:
    """Read the tarball of a visit, and write the two metadata files

    Parameters
    ----------
    paths
        The visit.
    attributes
        The DICOM attributes to be recorded.
    replace
        Whether other metadata are replaced.
    progress
        Told of the steps.

    Raises
    ------
    MissingInputError
        If there is no tarball.
    TarballError
        If the tarball is damaged or unsafe, see `TarballReader`.
    MetadataError
        If the tarball is not what its digest file says.
    ConflictError
        If there are other metadata, and they are not to be replaced.
    BusyError, StoreAccessError, StoreWriteError
        See `datalad_icf.store.draft_file`.
    """
    if not replace and (known := _find_current(paths, attributes)):
        for path in (paths.dicoms_metadata, paths.tarball_metadata):
            clear_draft(path)
        return MetadataReport(is_new=False, tarball=known)
    if not paths.tarball.exists():
        msg = f'{paths.tarball} is not there; run icf-archive first'
        raise MissingInputError(msg)
    with draft_file(paths.dicoms_metadata) as dicoms:
        report = _describe(paths, attributes, dicoms, progress)
        if not replace:
            report.tarball = _compare(paths, dicoms.path, report.tarball)
        with draft_file(paths.tarball_metadata) as tarball:
            tarball.write(report.tarball.to_json().encode())
            drafts = (dicoms, tarball)
            missing = [d for d in drafts if not d.target.exists()]
            is_other = replace and any(
                not _is_same(d) for d in drafts if d not in missing
            )
            report.is_new = is_other or len(missing) == 2
            report.restored = [d.target.name for d in missing if not report.is_new]
            # the metadata of the tarball last: they vouch for the others
            for draft in drafts if report.is_new else missing:
                draft.place(replace=replace)
    return report


def _is_same(draft: Draft) -> bool:
    """Whether the draft is equal to what is there"""
    try:
        return draft.path.read_bytes() == read_regular(draft.target)
    except OSError:
        return False


def _find_current(
    paths: VisitPaths, attributes: tuple[Attribute, ...]
) -> TarballMetadata | None:
    """Return the metadata that are there, if nothing speaks against them

    Nothing does, if they are as they were written, are younger than the
    tarball, and have its size and the digest of its digest file. So a run over
    all visits of a study need not read all tarballs again.
    """
    keywords = {attribute.keyword for attribute in attributes}
    try:
        tarball = read_tarball_metadata(paths.tarball_metadata)
        instances = read_instances(paths.dicoms_metadata, tarball.dicoms_md5)
        stat = paths.tarball.stat()
        written = paths.tarball_metadata.stat()
    except (MetadataError, MissingInputError, OSError):
        return None
    if (
        tarball.dicoms_md5
        and tarball.size == stat.st_size
        and tarball.storepath == paths.store_path
        and tarball.md5 == read_md5sum(paths.md5sum)
        # the time of modification is that of the scan
        and stat.st_ctime_ns < written.st_ctime_ns
        and all(set(i.attributes) == keywords for i in instances)
    ):
        return tarball
    return None


def _describe(
    paths: VisitPaths,
    attributes: tuple[Attribute, ...],
    dicoms: Draft,
    progress: Progress,
) -> MetadataReport:
    warnings: list[str] = []
    described = TarballDescription(attributes, paths.visit)
    written = md5(usedforsecurity=False)
    size = paths.tarball.stat().st_size
    with (
        progress('Read', size, ' bytes') as advance,
        TarballReader(paths.tarball, progress=advance) as reader,
    ):
        for part in iter_instances_json(described.iter_instances(reader)):
            written.update(part)
            dicoms.write(part)
        digest = reader.finish()
    recorded = read_md5sum(paths.md5sum)
    if recorded is None:
        warnings.append(f'there is no {paths.md5sum.name} to compare the tarball with')
    elif recorded != digest:
        msg = (
            f'{paths.tarball} is not what {paths.md5sum.name} says; the tarball is '
            'damaged, or the file is of another one; nothing was deposited'
        )
        raise MetadataError(msg)
    warnings.extend(described.tell_strange())
    warnings.extend(described.tell_undecoded())
    tarball = TarballMetadata(
        size=reader.size,
        md5=digest,
        dspath=paths.dataset_path,
        storepath=paths.store_path,
        mtime=described.mtime,
        instances=described.instances,
        dicoms_md5=written.hexdigest(),
    )
    return MetadataReport(
        is_new=True,
        tarball=tarball,
        other_files=described.other_files,
        warnings=warnings,
    )


class TarballDescription:
    """What is learned of a tarball while its instances are passed on

    Parameters
    ----------
    attributes
        The DICOM attributes to be read.
    visit
        The visit whose tarball it should be, if that is to be looked at.

    Attributes
    ----------
    instances, other_files
        Number of members that are DICOM files, and of all others.
    mtime
        Newest modification time of a member, in seconds since 1970.
    """

    def __init__(
        self, attributes: tuple[Attribute, ...], visit: Visit | None = None
    ) -> None:
        self.instances = 0
        self.other_files = 0
        self.mtime = 0.0
        self._attributes = attributes
        self._tags = wanted_tags(attributes)
        self._visit = visit
        self._strange: list[str] = []
        self._undecoded: list[str] = []
        self._broken: list[str] = []

    def iter_instances(
        self, reader: TarballReader, digests: dict[str, str] | None = None
    ) -> Iterator[InstanceMetadata]:
        """Read a tarball, and describe its DICOM files in their order

        Parameters
        ----------
        reader
            The tarball, not read yet.
        digests
            Gets the MD5 of each member by its name.

        Raises
        ------
        TarballError
            See `TarballReader`.
        """
        first = True
        for member in reader.members():
            self.mtime = member.mtime if first else max(self.mtime, member.mtime)
            first = False
            if self._visit and not self._visit.has_member(member.name):
                self._strange.append(member.name)
            if digests is not None:
                digests[member.name] = member.md5
            try:
                instance = self.describe(member, partial(reader.open_member, member))
            except OSError as e:
                msg = f'cannot read {reader.path}: {e.strerror}'
                raise TarballError(msg) from e
            if instance:
                yield instance

    def describe(
        self, member: Member, open_file: Callable[[], BinaryIO]
    ) -> InstanceMetadata | None:
        """Describe a member; nothing if it is no DICOM file

        Parameters
        ----------
        member
            The member.
        open_file
            Opens it, for when its head is too short or unusual.
        """
        try:
            elements = read_elements(member.head, self._tags, open_file)
        except NotDicomError:
            self.other_files += 1
            return None
        except HeaderError:
            elements = {}
            self._broken.append(member.name)
        values, problems = attribute_values(elements, self._attributes)
        if problems:
            self._undecoded.append(member.name)
        self.instances += 1
        return InstanceMetadata(
            member.name, member.md5, member.size, member.offset, values
        )

    def tell_strange(self) -> Iterator[str]:
        """Say which members are not of the visit, in a sentence"""
        if self._visit and self._strange:
            names = self._strange
            more = f' and {len(names) - 1} more files' if names[1:] else ''
            yield (
                f"{names[0]!r}{more}: not below '{self._visit.member_prefix}/', as all "
                'files of this visit are; is this the tarball of another visit?'
            )

    def tell_undecoded(self) -> Iterator[str]:
        """Say which headers were not read as they should, a sentence each"""
        for names, why in (
            (self._broken, 'its header is cut or broken, and has no attributes'),
            (self._undecoded, 'a text is not in the declared character set'),
        ):
            if names:
                more = f' and {len(names) - 1} more files' if names[1:] else ''
                yield f'{names[0]!r}{more}: {why}'


def _compare(
    paths: VisitPaths, draft: Path, tarball: TarballMetadata
) -> TarballMetadata:
    """Compare with what is there, and return what fits to it

    What another tool wrote is the same if all that it knows is the same.
    """
    differs = None
    if paths.dicoms_metadata.exists():
        old = read_instances(paths.dicoms_metadata)
        new = {i.path: i for i in read_instances(draft)}
        if len(old) != len(new) or not all(
            i.path in new and _is_part(i, new[i.path]) for i in old
        ):
            differs = paths.dicoms_metadata
        digest = md5(paths.dicoms_metadata.read_bytes(), usedforsecurity=False)
        tarball = replace_fields(tarball, dicoms_md5=digest.hexdigest())
    if paths.tarball_metadata.exists() and differs is None:
        known = vars(read_tarball_metadata(paths.tarball_metadata))
        if any(v is not None and v != vars(tarball)[k] for k, v in known.items()):
            differs = paths.tarball_metadata
    if differs:
        msg = (
            f'{differs} exists, and is not of this tarball and these keywords; see '
            'what is right, then use --existing replace'
        )
        raise ConflictError(msg)
    return tarball


def _is_part(old: InstanceMetadata, new: InstanceMetadata) -> bool:
    return (
        (old.md5, old.size) == (new.md5, new.size)
        and old.offset in (None, new.offset)
        and old.attributes == new.attributes
    )
