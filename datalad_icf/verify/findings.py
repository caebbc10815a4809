"""What can be wrong with a visit in a store"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

# Code to what it means. Codes are an interface: programs look for them.
CODES = {
    'tarball-missing': 'there is no tarball',
    'tarball-damaged': 'the tarball is cut or damaged, or no safe one',
    'tarball-differs': 'the tarball is another one, or that of another visit',
    'md5sum-missing': 'there is no digest file',
    'md5sum-damaged': 'the digest file is no line of md5sum, or about another file',
    'metadata-missing': 'a metadata file is not there, and what is made of it is',
    'metadata-damaged': 'a metadata file cannot be read, or is not as it was written',
    'metadata-differs': 'the metadata are about another tarball, or visit',
    'image-damaged': 'an image in the tarball is not what its metadata say',
    'image-missing': 'an image of the metadata is not in the tarball',
    'image-not-described': 'an image in the tarball has no metadata',
    'image-misdescribed': 'metadata of an image are not what its header says',
    'dataset-missing': 'one of the two files of the dataset is there alone',
    'dataset-damaged': 'the dataset cannot be unpacked, or git finds damage in it',
    'dataset-differs': 'the dataset is not of this tarball and these metadata',
    'catalog-differs': 'the catalog shows another state of the visit',
    'catalog-damaged': 'the catalog cannot be read, or lacks a page',
    'catalog-without-visit': 'the catalog shows a visit that is not in the store',
    'dicomweb-differs': 'the DICOMweb tree is of another tarball',
    'dicomweb-damaged': 'the DICOMweb tree lacks what it lists',
    'dicomweb-without-visit': 'the DICOMweb tree has a visit that is not in the store',
    'image-not-archived': 'an image of the export is not in the tarball',
    'image-changed': 'an image of the export is another one in the tarball',
    'visit-busy': 'something is being deposited at this moment',
    'not-verified': 'something could not be looked at',
}
# These say nothing of the visit, neither good nor bad.
NO_DAMAGE = frozenset(('visit-busy', 'not-verified'))


class Finding(NamedTuple):
    """Something that is wrong

    Attributes
    ----------
    code
        One of `CODES`.
    path
        The file that is concerned.
    message
        What is wrong, and the way out.
    """

    code: str
    path: Path
    message: str


class NameList:
    """Collects names of files, to be told in one sentence

    Examples
    --------
    >>> names = NameList()
    >>> for name in 'abcde':
    ...     names.add(name)
    >>> len(names), str(names)
    (5, "'a', 'b', 'c' and 2 more")
    """

    _SHOWN = 3

    def __init__(self) -> None:
        self._first: list[str] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, name: str) -> None:
        """Add a name"""
        self._count += 1
        if len(self._first) < self._SHOWN:
            self._first.append(name)

    def __str__(self) -> str:
        shown = ', '.join(map(repr, self._first))
        more = self._count - len(self._first)
        return f'{shown} and {more} more' if more else shown
