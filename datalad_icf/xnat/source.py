"""What is to be sent: images of a tarball, a directory or a zip, by their headers"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

from datalad_icf.dicom import (
    Attribute,
    HeaderError,
    NotDicomError,
    RawElement,
    attribute_values,
    read_elements,
    wanted_tags,
)

# Of a file whose header is read.
HEAD = 8192
# As much as is in memory of a file that is sent as it is.
BLOCK = 1 << 20

_MEDIA_STORAGE_DIRECTORY = '1.2.840.10008.1.3.10'
_SOP_CLASS_UID = 0x00080016
_SOP_INSTANCE_UID = 0x00080018
_STUDY_INSTANCE_UID = 0x0020000D
_SERIES_INSTANCE_UID = 0x0020000E
_STUDY_DATE = 0x00080020
_STUDY_TIME = 0x00080030
_MODALITY = 0x00080060
_SEX = 0x00100040
_BIRTH_DATE = 0x00100030
_AGE = 0x00101010
# these may be in any character set
_DESCRIPTION = Attribute('SeriesDescription', 0x0008103E)
_PATIENT_ID = Attribute('PatientID', 0x00100020)
_TAGS = wanted_tags((_DESCRIPTION, _PATIENT_ID)) | {
    _SOP_CLASS_UID,
    _SOP_INSTANCE_UID,
    _STUDY_INSTANCE_UID,
    _SERIES_INSTANCE_UID,
    _STUDY_DATE,
    _STUDY_TIME,
    _MODALITY,
    _SEX,
    _BIRTH_DATE,
    _AGE,
}

_SERIES_TAGS = tuple(sorted(_TAGS - {_SOP_CLASS_UID, _SOP_INSTANCE_UID}))


@dataclass(frozen=True)
class Series:
    """What all images of a series say; ``folder`` is where they are in the source"""

    study_instance_uid: str
    series_instance_uid: str
    description: str
    modality: str
    folder: str
    study_date: str
    study_time: str
    patient_id: str = field(repr=False)
    # values of (0010,0040), (0010,0030) and (0010,1010)
    sex: str = field(repr=False)
    birth_date: str = field(repr=False)
    age: str = field(repr=False)


class LocalInstance(NamedTuple):
    """A DICOM image that can be sent

    Attributes
    ----------
    name
        Path in the source, for messages.
    sop_instance_uid
        Its UID.
    size
        Size in bytes.
    series
        The series that it is of.
    blocks
        Reads it, from its start each time.
    """

    name: str
    sop_instance_uid: str
    size: int
    series: Series
    blocks: Callable[[], Iterable[bytes]]


class Whole(NamedTuple):
    """A file that can be sent as it is: its type, size in bytes, and content"""

    content_type: str
    size: int
    blocks: Callable[[], Iterable[bytes]]


@dataclass
class Contents:
    """What is in a source that is open

    Attributes
    ----------
    instances
        All images, in the order of the source.
    whole
        The source as one file, if XNAT can read that.
    ignored
        Number of files that are no DICOM files.
    unusable
        Names of DICOM files that XNAT would not take, with what is wrong.
    """

    instances: list[LocalInstance] = field(default_factory=list)
    whole: Whole | None = None
    ignored: int = 0
    unusable: dict[str, str] = field(default_factory=dict)
    _series: dict[tuple[Any, ...], Series] = field(default_factory=dict, repr=False)

    def add(
        self,
        name: str,
        folder: str,
        size: int,
        head: bytes,
        open_file: Callable[[], BinaryIO],
        blocks: Callable[[], Iterable[bytes]],
    ) -> None:
        """Add a file of the source, by what its header says

        Parameters
        ----------
        name, folder
            Its path, and that of its directory, in the source.
        size, head
            Its size in bytes, and its first ones.
        open_file, blocks
            Open it, for a header that is longer or unusual; read it.
        """
        try:
            elements = read_elements(head, _TAGS, open_file)
        except NotDicomError:
            self.ignored += 1
            return
        except HeaderError as e:
            self.unusable[name] = f'its header is damaged ({e})'
            return
        uids = {
            tag: _text(elements, tag)
            for tag in (
                _SOP_CLASS_UID,
                _SOP_INSTANCE_UID,
                _STUDY_INSTANCE_UID,
                _SERIES_INSTANCE_UID,
            )
        }
        if uids[_SOP_CLASS_UID] == _MEDIA_STORAGE_DIRECTORY or (
            # only its File Meta Information has it; a file that was cut is no DICOMDIR
            not any(uids.values()) and _MEDIA_STORAGE_DIRECTORY.encode() in head
        ):
            # a DICOMDIR, which is about files and is no image
            self.ignored += 1
            return
        missing = [
            f'({t >> 16:04X},{t & 0xFFFF:04X})' for t, v in uids.items() if not v
        ]
        if missing:
            self.unusable[name] = f'it has no {" and no ".join(missing)}'
            return
        series = self._describe(elements, uids, folder)
        uid = uids[_SOP_INSTANCE_UID]
        self.instances.append(LocalInstance(name, uid, size, series, blocks))

    def _describe(
        self, elements: dict[int, RawElement], uids: dict[int, str], folder: str
    ) -> Series:
        # the elements as they stand in the file: most images of a series have the same
        key = (folder, *map(elements.get, _SERIES_TAGS))
        known = self._series.get(key)
        if known:
            return known
        texts, _ = attribute_values(elements, (_DESCRIPTION, _PATIENT_ID))
        series = Series(
            study_instance_uid=uids[_STUDY_INSTANCE_UID],
            series_instance_uid=uids[_SERIES_INSTANCE_UID],
            description=_join(texts['SeriesDescription']),
            modality=_text(elements, _MODALITY),
            folder=folder,
            study_date=_text(elements, _STUDY_DATE).replace('.', ''),
            study_time=_text(elements, _STUDY_TIME).replace(':', ''),
            patient_id=_join(texts['PatientID']),
            sex=_text(elements, _SEX),
            birth_date=_text(elements, _BIRTH_DATE),
            age=_text(elements, _AGE),
        )
        self._series[key] = series
        return series


class Source(Protocol):
    """A tarball, a directory or a zip with images

    Attributes
    ----------
    path
        Its absolute path.
    fields
        What labels can be made of, see `datalad_icf.xnat.labels.FIELDS`.
    """

    path: Path
    fields: dict[str, str]

    def open(self) -> AbstractContextManager[Contents]:
        """Open it, and read all headers"""


def _text(elements: dict[int, RawElement], tag: int) -> str:
    element = elements.get(tag)
    return element.value.decode('latin-1').strip(' \0') if element else ''


def _join(value: object) -> str:
    if isinstance(value, list):
        return '\\'.join(_join(one) for one in value)
    return '' if value is None else str(value).strip(' \0')
