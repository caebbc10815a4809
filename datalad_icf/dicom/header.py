"""What the header of a DICOM file says about its study and series"""

from __future__ import annotations

import math
import os
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import lru_cache
from typing import Any, BinaryIO

from datalad_icf.dicom.elements import (
    IncompleteHeader,
    RawElement,
    UnusualHeader,
    is_dicom,
    scan_elements,
)

# A value as JSON has it.
JsonValue = str | int | float | list[Any] | None

STUDY_DATE = 0x00080020
STUDY_TIME = 0x00080030
PATIENT_ID = 0x00100020
STUDY_INSTANCE_UID = 0x0020000D
_SPECIFIC_CHARACTER_SET = 0x00080005
# a sequence, or bulk data
_NOT_AN_ATTRIBUTE = frozenset(['SQ', 'UN', 'OB', 'OD', 'OF', 'OL', 'OV', 'OW']) | {
    'OB or OW',
    'US or OW',
    'US or SS or OW',
}
_DEFLATED = '1.2.840.10008.1.2.1.99'


class HeaderError(Exception):
    """The header of a file that starts as a DICOM file cannot be read"""


class NotDicomError(HeaderError):
    """The file does not start as a DICOM file"""


def read_elements(
    head: bytes, tags: frozenset[int], open_file: Callable[[], BinaryIO]
) -> dict[int, RawElement]:
    """Read some data elements of a DICOM file

    Parameters
    ----------
    head
        First bytes of the file. Some kilobytes are enough for most.
    tags
        Tags of the wanted elements.
    open_file
        Opens the file, for when ``head`` is too short or unusual.

    Returns
    -------
    dict
        The wanted elements that the data set has.

    Raises
    ------
    NotDicomError
        If the file has not the prefix of a DICOM file (PS3.10, 7.1).
    HeaderError
        If the header is cut or broken before the last of the tags.
    """
    if not is_dicom(head):
        raise NotDicomError
    try:
        return scan_elements(head, tags)
    except IncompleteHeader:
        with open_file() as f:
            head = f.read(1 << 16)
        with suppress(IncompleteHeader, UnusualHeader):
            return scan_elements(head, tags)
    except UnusualHeader:
        pass
    return _read_with_pydicom(open_file, tags)


def _read_with_pydicom(
    open_file: Callable[[], BinaryIO], tags: frozenset[int]
) -> dict[int, RawElement]:
    from pydicom.dataelem import RawDataElement
    from pydicom.filereader import read_partial

    last = max(tags)
    ends: dict[int, int] = {}

    def stop_when(tag: int, _vr: str | None, length: int) -> bool:
        if tag == _SPECIFIC_CHARACTER_SET:
            ends[tag] = f.tell() + length
        return tag > last

    try:
        with open_file() as f, warnings.catch_warnings():
            warnings.simplefilter('ignore')
            dataset = read_partial(f, stop_when, specific_tags=list(tags))
            size = f.seek(0, os.SEEK_END)
            meta = getattr(dataset, 'file_meta', {})
            # pydicom has inflated it to a file of its own
            is_deflated = meta.get('TransferSyntaxUID') == _DEFLATED
            found: dict[int, RawElement] = {}
            for tag in tags:
                element = dataset.get_item(tag)
                if element is None:
                    continue
                if not isinstance(element, RawDataElement):
                    # the character set, or without a value
                    if ends.get(tag, 0) > size and not is_deflated:
                        msg = f'element {tag:#010x} is cut'
                        raise HeaderError(msg)
                    value = _join(element.value)
                    found[tag] = RawElement(element.VR.encode(), value)
                    continue
                if element.length not in (len(element.value or b''), 0xFFFFFFFF):
                    msg = f'element {tag:#010x} is cut'
                    raise HeaderError(msg)
                found[tag] = RawElement(
                    (element.VR or '').encode(),
                    element.value or b'',
                    element.is_little_endian,
                )
    except HeaderError:
        raise
    except Exception as e:
        # pydicom raises about anything on broken input
        raise HeaderError(type(e).__name__) from e
    if not dataset and not getattr(dataset, 'file_meta', None):
        msg = 'no data set'
        raise HeaderError(msg)
    return found


def _join(value: Any) -> bytes:
    items = [value] if value is None or isinstance(value, str) else list(value)
    return b'\\'.join(str(i or '').encode('latin-1', 'replace') for i in items)


@lru_cache(maxsize=4096)
def study_timestamp(study_date: bytes, study_time: bytes, zone: tzinfo) -> float:
    """Convert *Study Date* and *Study Time* to seconds since 1970

    Parameters
    ----------
    study_date, study_time
        Values of (0008,0020) and (0008,0030) as they stand in the file.
    zone
        The zone in which they are read; DICOM files do not tell it.

    Raises
    ------
    ValueError
        If a value is empty or not as DA and TM (PS3.5, 6.2) have to be. The
        message names the value.

    Examples
    --------
    >>> from datetime import timezone
    >>> study_timestamp(b'20130717', b'141500.5', timezone.utc)
    1374070500.5
    """
    from pydicom.valuerep import DA, TM

    return datetime.combine(
        _parse('StudyDate', DA, study_date),
        _parse('StudyTime', TM, study_time),
        tzinfo=zone,
    ).timestamp()


def _parse(keyword: str, vr: Callable[[str], Any], raw: bytes) -> Any:
    text = raw.decode('latin-1').rstrip('\0 ')
    try:
        with warnings.catch_warnings():
            # a second of 60 is changed to 59
            warnings.simplefilter('ignore')
            value = vr(text)
    except (ValueError, TypeError):
        value = None
    if not value:
        # a name that has got here by mistake is not to be seen in a log
        start = text[:16]
        is_harmless = re.fullmatch(r'[\w.:+\\-]+', start, re.ASCII)
        shown = repr(start) if is_harmless else 'no valid value' if text else 'empty'
        msg = f'{keyword} is {shown}'
        raise ValueError(msg)
    return value


@dataclass(frozen=True)
class Attribute:
    """A DICOM attribute, by its keyword (PS3.6, 6) and tag"""

    keyword: str
    tag: int


# What the tools before this one recorded; none of them can name a patient. With
# their tags, so that they are known without the dictionary of pydicom.
DEFAULT_ATTRIBUTES = (
    Attribute('SeriesDescription', 0x0008103E),
    Attribute('SeriesNumber', 0x00200011),
    Attribute('Modality', 0x00080060),
    Attribute('MRAcquisitionType', 0x00180023),
    Attribute('ProtocolName', 0x00181030),
    Attribute('PulseSequenceName', 0x00189005),
)


def find_attribute(keyword: str) -> Attribute:
    """Look up a DICOM keyword

    Raises
    ------
    KeyError
        If DICOM PS3.6 does not have it for an element of a data set, or for one
        with a sequence or bulk data.

    Examples
    --------
    >>> f'{find_attribute("EchoTime").tag:08X}'
    '00180081'
    """
    from pydicom.datadict import dictionary_VR, tag_for_keyword

    tag = tag_for_keyword(keyword) if keyword else None
    if tag is None or tag >> 16 == 2 or dictionary_VR(tag) in _NOT_AN_ATTRIBUTE:
        raise KeyError(keyword)
    return Attribute(keyword, int(tag))


def wanted_tags(attributes: Iterable[Attribute]) -> frozenset[int]:
    """Tags that must be read to know the values of some attributes"""
    return frozenset({_SPECIFIC_CHARACTER_SET, *(a.tag for a in attributes)})


def attribute_values(
    elements: Mapping[int, RawElement], attributes: Iterable[Attribute]
) -> tuple[dict[str, JsonValue], list[str]]:
    """Convert elements to values that JSON has

    Parameters
    ----------
    elements
        As `read_elements` gives them for `wanted_tags`.
    attributes
        The attributes.

    Returns
    -------
    values
        Keyword to value. An absent attribute is ``''``, an empty number
        ``None``, several values are a list, a number that is none is text.
    problems
        Keywords whose text is not in the declared character set; what could not
        be decoded is replaced.
    """
    charset = elements.get(_SPECIFIC_CHARACTER_SET)
    charset_value = charset.value if charset else b''
    values: dict[str, JsonValue] = {}
    problems = []
    for attribute in attributes:
        element = elements.get(attribute.tag)
        if element is None:
            values[attribute.keyword] = ''
            continue
        value, sound = _convert(attribute.tag, element, charset_value)
        values[attribute.keyword] = value
        if not sound:
            problems.append(attribute.keyword)
    return values, problems


@lru_cache(maxsize=4096)
def _convert(tag: int, element: RawElement, charset: bytes) -> tuple[JsonValue, bool]:
    """Convert one element, cached because a series repeats its values"""
    from pydicom.charset import convert_encodings
    from pydicom.dataelem import RawDataElement, convert_raw_data_element
    from pydicom.tag import Tag

    vr = element.vr.decode() or None
    raw = RawDataElement(
        Tag(tag),
        vr,
        len(element.value),
        element.value,
        0,
        vr is None,
        element.little_endian,
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        try:
            names = charset.decode('latin-1').rstrip('\0 ').split('\\')
            encodings = convert_encodings(names)
            value = convert_raw_data_element(raw, encoding=encodings).value
        except Exception:  # noqa: BLE001 pydicom raises about anything on bad values
            value = element.value.decode('latin-1').rstrip('\0 ')
    if isinstance(value, bytes):
        value = value.decode('latin-1').rstrip('\0 ')
    told = any('decod' in str(w.message) or 'encod' in str(w.message) for w in caught)
    return _to_json(value), element.value.isascii() or not told


def _to_json(value: Any) -> JsonValue:
    from pydicom.multival import MultiValue

    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, (MultiValue, list)):
        return [_to_json(v) for v in value]
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        number = float(value)
        return number if math.isfinite(number) else str(value)
    return str(value)
