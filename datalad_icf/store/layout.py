"""The layout of the store: the only place that spells a file name"""

from __future__ import annotations

import os
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from unicodedata import category

from datalad_icf.errors import IdentifierError, MissingInputError

PATTERN_CHARACTERS = frozenset('*?[')
# NAME_MAX of common file systems, less the longest suffix of a draft
_NAME_MAX = 255
_MAX_BYTES = _NAME_MAX - len('._metadata_tarball.json.part')
_TARBALL = '_dicom.tar'
# beside the studies: the viewer of a store, and what tells it from a study
VIEWER_DIR = 'viewer'
VIEWER_MARK = 'icf-viewer.json'


def _check_identifier(kind: str, value: str) -> None:
    if not value:
        problem = 'is empty'
    elif '/' in value or '\\' in value:
        problem = 'has a path separator'
    elif value[0] in '.-':
        problem = f'starts with {value[0]!r}'
    elif any(category(c) in ('Cc', 'Cs', 'Zl', 'Zp') for c in value):
        problem = 'has a control character, or is not text'
    elif len(value.encode()) > _MAX_BYTES:
        problem = f'is longer than {_MAX_BYTES} bytes'
    else:
        return
    msg = (
        f'{kind} identifier {value!r} {problem}; an identifier is one component '
        "of a path, like 'P000123'"
    )
    raise IdentifierError(msg)


@dataclass(frozen=True, order=True)
class Visit:
    """A visit of a research study

    Parameters
    ----------
    study_id, visit_id
        Identifiers as they stand in file names and URLs: one component of a
        path, not starting with ``.`` or ``-``, without control characters.

    Raises
    ------
    IdentifierError
        If an identifier could leave the directory of its study.

    Examples
    --------
    >>> Visit('study1', 'visitA').member_prefix
    'study1_visitA'
    """

    study_id: str
    visit_id: str

    def __post_init__(self) -> None:
        _check_identifier('study', self.study_id)
        _check_identifier('visit', self.visit_id)
        if len(self.member_prefix.encode()) > _NAME_MAX:
            msg = f'study and visit identifier together are longer than {_NAME_MAX}'
            raise IdentifierError(msg)

    def __str__(self) -> str:
        return f'{self.study_id}/{self.visit_id}'

    @property
    def member_prefix(self) -> str:
        """Top-level directory of all members of the tarball"""
        return f'{self.study_id}_{self.visit_id}'

    def has_member(self, name: str) -> bool:
        """Whether a member of a tarball has a name that those of this visit have

        Examples
        --------
        >>> visit = Visit('study1', 'visitA')
        >>> visit.has_member('study1_visitA/1.dcm'), visit.has_member('other/1.dcm')
        (True, False)
        """
        return name.removeprefix('./').startswith(f'{self.member_prefix}/')

    @property
    def is_pattern(self) -> bool:
        """Whether ``visit_id`` has a character of a shell pattern"""
        return not PATTERN_CHARACTERS.isdisjoint(self.visit_id)


@dataclass(frozen=True)
class VisitPaths:
    """The files of a visit in a store

    Parameters
    ----------
    store_dir
        Root directory of the store.
    visit
        The visit.

    Examples
    --------
    >>> VisitPaths(Path('/store'), Visit('study1', 'visitA')).tarball.as_posix()
    '/store/study1/visitA_dicom.tar'
    """

    store_dir: Path
    visit: Visit

    def _path(self, suffix: str) -> Path:
        return self.study_dir / f'{self.visit.visit_id}{suffix}'

    @property
    def study_dir(self) -> Path:
        """Directory of the study, which holds all its visits"""
        return self.store_dir / self.visit.study_id

    @property
    def tarball(self) -> Path:
        """The DICOM tarball"""
        return self._path(_TARBALL)

    @property
    def md5sum(self) -> Path:
        """Digest of the tarball, as ``md5sum --check`` reads it"""
        return self._path(f'{_TARBALL}.md5sum')

    @property
    def tarball_metadata(self) -> Path:
        """Metadata of the tarball, a JSON object"""
        return self._path('_metadata_tarball.json')

    @property
    def dicoms_metadata(self) -> Path:
        """Metadata of the instances, a JSON array"""
        return self._path('_metadata_dicoms.json')

    @property
    def refs(self) -> Path:
        """Refs of the dataset, the file that a clone reads first"""
        return self._path('_XDLRA--refs')

    @property
    def repo_export(self) -> Path:
        """Repository of the dataset, a ZIP file"""
        return self._path('_XDLRA--repo-export')

    @property
    def catalog_dir(self) -> Path:
        """The catalog of the study"""
        return self.study_dir / 'catalog'

    @property
    def dicomweb_dir(self) -> Path:
        """The DICOMweb tree of the study"""
        return self.study_dir / 'dicomweb'

    @property
    def dicomweb_staging(self) -> Path:
        """Where the part of the visit in the DICOMweb tree is made"""
        return self.study_dir / f'.dicomweb.{self.visit.visit_id}.part'

    @property
    def dataset_path(self) -> str:
        """POSIX path of the tarball inside the dataset"""
        return f'icf/{self.tarball.name}'

    @property
    def store_path(self) -> str:
        """POSIX path of the tarball, relative to the root of the store"""
        return f'{self.visit.study_id}/{self.tarball.name}'

    @property
    def deposit_prefix(self) -> str:
        """What stands before the annex key in the URL of the dataset's files"""
        return f'{self.visit.study_id}/{self.visit.visit_id}_'


def find_visits(store_dir: Path, visit: Visit, *, having: str) -> list[VisitPaths]:
    """Find the visits that a visit identifier or shell pattern stands for

    Parameters
    ----------
    store_dir
        Root directory of the store.
    visit
        The study, and an identifier or a pattern in place of the visit. An
        identifier is taken as it is, whether or not its files exist.
    having
        Name of the property of `VisitPaths` whose file a visit must have to be
        found by a pattern.

    Returns
    -------
    list of VisitPaths
        At least one, in the order of the identifiers.

    Raises
    ------
    MissingInputError
        If a pattern matches no visit.
    """
    exact = VisitPaths(store_dir, visit)
    wanted: Path = getattr(exact, having)
    if not visit.is_pattern or os.path.exists(wanted):
        return [exact]
    suffix = wanted.name[len(visit.visit_id) :]
    try:
        names = sorted(p.name for p in exact.study_dir.iterdir())
    except OSError as e:
        msg = f'cannot list the study directory {exact.study_dir}: {e.strerror}'
        raise MissingInputError(msg) from e
    found = []
    for name in names:
        visit_id = name[: -len(suffix)]
        if not name.endswith(suffix) or not fnmatchcase(visit_id, visit.visit_id):
            continue
        try:
            found.append(VisitPaths(store_dir, Visit(visit.study_id, visit_id)))
        except IdentifierError:
            # hidden, like the draft of a file, or nothing that we made
            continue
    if not found:
        msg = f'no {visit.visit_id}{suffix} in {exact.study_dir}'
        raise MissingInputError(msg)
    return found
