"""The two metadata files of a visit, by themselves"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

from datalad_icf.dicom import find_attribute
from datalad_icf.errors import MetadataError, MissingInputError
from datalad_icf.store import (
    InstanceMetadata,
    TarballMetadata,
    VisitPaths,
    read_instances,
    read_tarball_metadata,
)
from datalad_icf.verify.archive import ArchiveFacts
from datalad_icf.verify.blame import blame, missing
from datalad_icf.verify.findings import Finding, NameList

_AGAIN = 'run icf-deposit-metadata --existing replace'
# written together, or, by older tools, not at all
_NEWER_FIELDS = ('mtime', 'instances', 'dicoms_md5')


def check_metadata(
    paths: VisitPaths, facts: ArchiveFacts, *, made_of_them: Collection[str] = ()
) -> Iterator[Finding]:
    """Read the two metadata files

    Parameters
    ----------
    paths
        The visit.
    facts
        Gets what they say.
    made_of_them
        What there is that is made of metadata, such as a dataset: then they have to
        be there.
    """
    files = (paths.tarball_metadata, paths.dicoms_metadata)
    there = [path for path in files if path.exists()]
    if not there and made_of_them:
        yield missing(
            'metadata-missing',
            paths.tarball_metadata,
            f'nor is {paths.dicoms_metadata.name}, and there is what is made of them: '
            f'{", ".join(made_of_them)}; run icf-deposit-metadata',
            beside=paths.dicoms_metadata,
        )
    elif len(there) == 1:
        for path in {*files} - {*there}:
            yield missing(
                'metadata-missing',
                path,
                'run icf-deposit-metadata',
                beside=paths.dicoms_metadata,
            )
    if len(there) < 2:
        return
    read = paths.tarball_metadata
    try:
        metadata = read_tarball_metadata(paths.tarball_metadata)
        read = paths.dicoms_metadata
        instances = read_instances(paths.dicoms_metadata, metadata.dicoms_md5)
    except (MetadataError, MissingInputError) as e:
        yield blame('metadata-damaged', read, e, str(e))
        return
    if (metadata.dspath, metadata.storepath) != (paths.dataset_path, paths.store_path):
        yield Finding(
            'metadata-differs',
            paths.tarball_metadata,
            f'{paths.tarball_metadata} is of another visit, {metadata.storepath}',
        )
        return
    yield from _check_fields(paths, metadata)
    if metadata.instances not in (None, len(instances)):
        yield Finding(
            'metadata-damaged',
            paths.dicoms_metadata,
            f'{paths.dicoms_metadata} has {len(instances)} images, and not '
            f'{metadata.instances} as {paths.tarball_metadata.name} says',
        )
    if metadata.dicoms_md5 is None:
        # else it is what was written, also where this pydicom knows less
        yield from _check_keywords(paths, instances)
    facts.metadata = metadata
    facts.instances = {one.path: one for one in instances}


def _check_fields(paths: VisitPaths, metadata: TarballMetadata) -> Iterator[Finding]:
    absent = [name for name in _NEWER_FIELDS if getattr(metadata, name) is None]
    if absent and len(absent) < len(_NEWER_FIELDS):
        yield Finding(
            'metadata-damaged',
            paths.tarball_metadata,
            f'{paths.tarball_metadata} has not the field '
            f'{" and ".join(map(repr, absent))}, which is written together with others '
            f'that it has; {_AGAIN}',
        )


def _check_keywords(
    paths: VisitPaths, instances: list[InstanceMetadata]
) -> Iterator[Finding]:
    """Whether all images have the same attributes, those that they lack as ``''``"""
    counts = Counter(frozenset(one.attributes) for one in instances)
    if not counts:
        return
    usual = counts.most_common(1)[0][0]
    odd = NameList()
    for one in instances:
        if one.attributes.keys() != usual:
            odd.add(one.path)
    if odd:
        yield Finding(
            'metadata-damaged',
            paths.dicoms_metadata,
            f'{paths.dicoms_metadata}: other attributes than most images have: {odd}; '
            f'{_AGAIN}',
        )
    # what many images have is no damage: other tools may have more to say than DICOM
    unknown = [name for name in sorted(usual) if not _is_known(name)]
    if unknown and len(instances) == 1:
        yield Finding(
            'metadata-damaged',
            paths.dicoms_metadata,
            f'{paths.dicoms_metadata} has {", ".join(map(repr, unknown))}, which is no '
            f'attribute of DICOM; {_AGAIN}',
        )


def _is_known(keyword: str) -> bool:
    try:
        find_attribute(keyword)
    except KeyError:
        return False
    return True
