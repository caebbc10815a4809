"""The layout of the DICOMweb tree: the only place that spells a name in it

URLs are those of PS3.18: 10.3 (metadata, frames, bulk data), 10.6 (searches).
"""

from __future__ import annotations

from pathlib import Path

# In all bodies the same, so that a server can name it in a header; in lower case,
# since Apache's ForceType makes it so. Random, so that no image contains it.
BOUNDARY = 'icf-5f0c9b7e2d4a4f1f8b6c3a9d7e1b2c40'

# Marks in JSON documents, where the address of something else has to stand: NUL
# is in no JSON text. A document replaces them by what is right at its place.
#   STUDY_MARK + 'bulkdata/HASH'   from the resource of the study
#   INSTANCE_MARK + 'frames/1'     from the resource of the instance
STUDY_MARK = b'\0S'
INSTANCE_MARK = b'\0I'

INDEX = 'index.json'
METADATA = 'metadata'
INFO = 'info'
PART10 = 'index.mht'
FRAMES = 'frames'
THUMBNAIL = 'thumbnail'
DEDUPLICATED = 'deduplicated'
# what a server gives for a directory that knows nothing of DICOMweb
STOCK_INDEX = 'index.html'
GZIP_SUFFIX = '.gz'
# hidden, so that no server gives it away: what is whose in the tree
STATE_DIR = '.icf'


class StudyTree:
    """Paths of a DICOM study in a tree

    Parameters
    ----------
    root
        The tree, or a directory in which a part of it is made.
    study_instance_uid
        *Study Instance UID*.
    """

    def __init__(self, root: Path, study_instance_uid: str) -> None:
        self.path = root / 'studies' / study_instance_uid
        self.state = self.path / STATE_DIR
        self.series_index = self.path / 'series'
        self.instances_index = self.path / 'instances'
        self.metadata = self.path / 'metadata'
        self.bulkdata = self.path / 'bulkdata'

    def series(self, series_instance_uid: str) -> Path:
        """Directory of a series"""
        return self.series_index / series_instance_uid

    def instance(self, series_instance_uid: str, sop_instance_uid: str) -> Path:
        """Directory of an instance"""
        return self.series(series_instance_uid) / 'instances' / sop_instance_uid


def resolve_marks(
    document: bytes,
    *,
    series_instance_uid: str = '',
    sop_instance_uid: str = '',
    level: str,
) -> bytes:
    """Make the addresses in a document right for the place where it will stand

    Parameters
    ----------
    document
        JSON with marks.
    series_instance_uid, sop_instance_uid
        Of the instance that the document is about.
    level
        ``study``, ``series`` or ``instance``: of which the document is the
        ``metadata``. A relative address is resolved from it (RFC 3986, 5.2).
    """
    if b'\0' not in document:
        return document
    study, instance = {
        'study': ('', f'series/{series_instance_uid}/instances/{sop_instance_uid}/'),
        'series': ('../../', f'instances/{sop_instance_uid}/'),
        'instance': ('../../../../', ''),
    }[level]
    document = document.replace(STUDY_MARK, study.encode())
    return document.replace(INSTANCE_MARK, instance.encode())
