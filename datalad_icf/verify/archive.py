"""The tarball, its digest file, and its metadata against each other"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from datalad_icf.dicom import (
    Attribute,
    TarballDescription,
    TarballLister,
    TarballReader,
    find_attribute,
)
from datalad_icf.errors import MetadataError, MissingInputError, TarballError
from datalad_icf.progress import Progress
from datalad_icf.store import (
    InstanceMetadata,
    TarballMetadata,
    VisitPaths,
    read_md5sum,
    read_regular,
)
from datalad_icf.verify.blame import blame, missing
from datalad_icf.verify.findings import Finding, NameList
from datalad_icf.verify.zones import find_zones


@dataclass
class ArchiveFacts:
    """What is known of a visit after its archive was looked at

    Attributes
    ----------
    metadata
        Metadata of the tarball, if they can be read.
    instances
        Metadata of the images by path, if they can be read.
    size, md5
        Size of the tarball in bytes, and its MD5 if it was computed.
    recorded
        MD5 that the digest file has.
    mtime
        Newest modification time of a member, in seconds since 1970.
    members
        MD5 of all members by path, empty where it was not computed.
    is_intact
        Whether no image was found to be damaged.
    """

    metadata: TarballMetadata | None = None
    instances: dict[str, InstanceMetadata] = field(default_factory=dict)
    size: int = 0
    md5: str = ''
    recorded: str | None = None
    mtime: float = 0
    members: dict[str, str] = field(default_factory=dict)
    is_intact: bool = True


def check_tarball(
    paths: VisitPaths, facts: ArchiveFacts, *, fast: bool, progress: Progress
) -> Iterator[Finding]:
    """Read the tarball, and compare it with what is said of it

    Parameters
    ----------
    paths
        The visit.
    facts
        What the metadata say; gets what is found.
    fast
        Only look at its structure, and at names, sizes and places.
    progress
        Told of the bytes.
    """
    try:
        facts.recorded = read_md5sum(paths.md5sum)
    except MetadataError as e:
        yield blame('md5sum-damaged', paths.md5sum, e, str(e))
    else:
        yield from _check_md5sum(paths, facts.recorded)
    if not paths.tarball.exists():
        yield missing(
            'tarball-missing',
            paths.tarball,
            'get it back from a backup, or archive the visit again',
            interrupted='its deposit was interrupted; deposit the visit again, or get '
            'the tarball back from a backup',
            beside=paths.tarball,
        )
        return
    try:
        yield from _check_members(paths, facts, fast=fast, progress=progress)
    except (TarballError, MissingInputError) as e:
        # the reader speaks of a deposit that is not made here
        problem = str(e).removesuffix('; nothing was deposited')
        yield blame('tarball-damaged', paths.tarball, e, problem)
        return
    yield from _check_names(paths, facts)
    yield from _check_digests(paths, facts)


def _check_md5sum(paths: VisitPaths, recorded: str | None) -> Iterator[Finding]:
    if recorded is None:
        if paths.tarball.exists():
            yield missing(
                'md5sum-missing',
                paths.md5sum,
                'compare the tarball with a backup, then make it anew with md5sum',
                beside=paths.tarball,
            )
        return
    text = read_regular(paths.md5sum).decode('utf-8', 'surrogateescape')
    # nothing else at its end: for `md5sum --check`, it is a part of the name
    name = text.rstrip('\r\n')[34:]
    if name != paths.tarball.name:
        yield Finding(
            'md5sum-damaged',
            paths.md5sum,
            f'{paths.md5sum} is about {name!r}, and not about {paths.tarball.name}',
        )


def _check_members(
    paths: VisitPaths, facts: ArchiveFacts, *, fast: bool, progress: Progress
) -> Iterator[Finding]:
    comparison = _Comparison(facts, fast=fast)
    if fast:
        with TarballLister(paths.tarball) as lister:
            for member in lister.members():
                # as `TarballDescription` has it, also where all are before 1970
                facts.mtime = max(
                    facts.mtime if facts.members else member.mtime, member.mtime
                )
                facts.members[member.name] = ''
                comparison.see(member.name, member.size, member.offset)
            facts.size = lister.size
    else:
        described = TarballDescription(comparison.attributes)
        size = paths.tarball.stat().st_size
        with (
            progress('Verify', size, ' bytes') as advance,
            TarballReader(paths.tarball, progress=advance) as reader,
        ):
            for instance in described.iter_instances(reader, facts.members):
                comparison.see(instance.path, instance.size, instance.offset, instance)
            facts.size, facts.md5 = reader.size, reader.finish()
            facts.mtime = described.mtime
    facts.is_intact = comparison.is_intact
    yield from comparison.tell(paths)


class _Comparison:
    """Members as they are, against what the metadata say of them"""

    def __init__(self, facts: ArchiveFacts, *, fast: bool) -> None:
        self.attributes = _find_attributes(facts)
        self._known = facts.instances
        self._keywords = {attribute.keyword for attribute in self.attributes}
        self._has_metadata = facts.metadata is not None
        self._fast = fast
        self._missing = set(self._known)
        self._damaged = NameList()
        self._misdescribed = NameList()
        self._not_described = NameList()

    def see(
        self,
        name: str,
        size: int,
        offset: int | None,
        found: InstanceMetadata | None = None,
    ) -> None:
        """Compare a member, or an image with what its header says"""
        known = self._known.get(name)
        if known is None:
            # without its header, it may be no image
            if not self._fast:
                self._not_described.add(name)
            return
        self._missing.discard(name)
        if size != known.size or (found and found.md5 != known.md5):
            self._damaged.add(name)
        elif known.offset not in (None, offset) or (
            found and not self._is_described(known, found)
        ):
            self._misdescribed.add(name)

    @property
    def is_intact(self) -> bool:
        """Whether all images that are there are what the metadata say"""
        return not self._damaged

    def _is_described(self, known: InstanceMetadata, found: InstanceMetadata) -> bool:
        return all(
            value == found.attributes[keyword]
            for keyword, value in known.attributes.items()
            if keyword in self._keywords
        )

    def tell(self, paths: VisitPaths) -> Iterator[Finding]:
        if not self._has_metadata:
            return
        missing = NameList()
        for name in sorted(self._missing):
            missing.add(name)
        again = 'run icf-deposit-metadata --existing replace'
        for code, names, path, problem, advice in (
            (
                'image-damaged',
                self._damaged,
                paths.tarball,
                'not what the metadata say',
                'get the tarball back from a backup',
            ),
            (
                'image-missing',
                missing,
                paths.tarball,
                'not there',
                'get the tarball back from a backup',
            ),
            (
                'image-not-described',
                self._not_described,
                paths.dicoms_metadata,
                'in the tarball, but without metadata',
                again,
            ),
            (
                'image-misdescribed',
                self._misdescribed,
                paths.dicoms_metadata,
                'metadata that the files do not say',
                again,
            ),
        ):
            if names:
                yield Finding(code, path, f'{path}: {problem}: {names}; {advice}')


def _find_attributes(facts: ArchiveFacts) -> tuple[Attribute, ...]:
    """The attributes that the metadata have; each image has the same"""
    found = []
    first = next(iter(facts.instances.values()), None)
    for keyword in first.attributes if first else ():
        # other tools may have more to say than DICOM
        with suppress(KeyError):
            found.append(find_attribute(keyword))
    return tuple(found)


def _check_names(paths: VisitPaths, facts: ArchiveFacts) -> Iterator[Finding]:
    strange = NameList()
    for name in facts.members:
        if not paths.visit.has_member(name):
            strange.add(name)
    if strange:
        yield Finding(
            'tarball-differs',
            paths.tarball,
            f"{paths.tarball}: not below '{paths.visit.member_prefix}/', as all files "
            f'of this visit are: {strange}; this is the tarball of another visit, get '
            'the right one back from a backup',
        )


def _check_digests(paths: VisitPaths, facts: ArchiveFacts) -> Iterator[Finding]:
    """Size and MD5 of the tarball against the digest file and the metadata"""
    metadata = facts.metadata
    zones: dict[str, str] = {}

    def explain(md5: str) -> str:
        # reads the tarball once more, so only where there is hope
        if md5 not in zones:
            zones[md5] = _explain(paths.tarball, md5) if facts.is_intact else ''
        return zones[md5]

    recorded = facts.recorded
    if facts.md5 and recorded not in (None, facts.md5):
        yield Finding(
            'tarball-differs',
            paths.tarball,
            f'{paths.tarball} is not what {paths.md5sum.name} says'
            f'{explain(str(recorded))}; see which of the two is right, with a backup',
        )
    if metadata is None:
        return
    actual = facts.md5 or recorded
    if metadata.size != facts.size or actual not in (None, metadata.md5):
        yield Finding(
            'metadata-differs',
            paths.tarball_metadata,
            f'{paths.tarball_metadata} is about another tarball'
            f'{explain(metadata.md5) if facts.md5 else ""}; if the tarball is right, '
            'run icf-deposit-metadata --existing replace',
        )
    elif metadata.mtime not in (None, facts.mtime):
        yield Finding(
            'metadata-damaged',
            paths.tarball_metadata,
            f'{paths.tarball_metadata} has {metadata.mtime} as the newest time in the '
            f'tarball, which is {facts.mtime}; run icf-deposit-metadata --existing '
            'replace',
        )


def _explain(tarball: Path, md5: str) -> str:
    zones = find_zones(tarball, md5)
    if not zones:
        return ''
    return (
        f', which is the digest with times of members read in {zones[0]}: the time '
        'zone was another one'
    )
