"""Records with which servers answer searches (QIDO-RS: PS3.18, 10.6.3)

A record is made of the JSON of data elements as it stands in the metadata, by tag.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

# JSON of data elements by tag, like ``b'"0020000D":{"vr":"UI","Value":["1.2"]}'``
Elements = Mapping[int, bytes]

_CHARACTER_SET = 0x00080005
_TIME_ZONE = 0x00080201
STUDY_INSTANCE_UID = 0x0020000D
SERIES_INSTANCE_UID = 0x0020000E
SOP_INSTANCE_UID = 0x00080018
MODALITY = 0x00080060
SERIES_NUMBER = 0x00200011
INSTANCE_NUMBER = 0x00200013
# PS3.18, tables 10.6.3-3 to 10.6.3-5, and what viewers show in lists
STUDY_TAGS = frozenset(
    (
        _CHARACTER_SET,
        0x00080020,  # Study Date
        0x00080030,  # Study Time
        0x00080050,  # Accession Number
        0x00080090,  # Referring Physician's Name
        _TIME_ZONE,
        0x00081030,  # Study Description
        0x00100010,  # Patient's Name
        0x00100020,  # Patient ID
        0x00100030,  # Patient's Birth Date
        0x00100040,  # Patient's Sex
        STUDY_INSTANCE_UID,
        0x00200010,  # Study ID
    )
)
SERIES_TAGS = frozenset(
    (
        _CHARACTER_SET,
        0x00080021,  # Series Date
        0x00080031,  # Series Time
        MODALITY,
        _TIME_ZONE,
        0x0008103E,  # Series Description
        0x00180015,  # Body Part Examined
        0x00181030,  # Protocol Name
        STUDY_INSTANCE_UID,
        SERIES_INSTANCE_UID,
        SERIES_NUMBER,
        0x00400244,  # Performed Procedure Step Start Date
        0x00400245,  # Performed Procedure Step Start Time
        0x00400275,  # Request Attributes Sequence
    )
)
INSTANCE_TAGS = frozenset(
    (
        _CHARACTER_SET,
        0x00080016,  # SOP Class UID
        SOP_INSTANCE_UID,
        _TIME_ZONE,
        STUDY_INSTANCE_UID,
        SERIES_INSTANCE_UID,
        INSTANCE_NUMBER,
        0x00280008,  # Number of Frames
        0x00280010,  # Rows
        0x00280011,  # Columns
        0x00280100,  # Bits Allocated
    )
)


def select(elements: Elements, tags: frozenset[int]) -> dict[int, bytes]:
    """Select the data elements of a record, without those that are elsewhere"""
    return {
        tag: elements[tag]
        for tag in sorted(tags & elements.keys())
        if b'\0' not in elements[tag]
    }


def build_record(elements: Elements) -> bytes:
    """Build a JSON object of data elements, in ascending order of their tags

    Examples
    --------
    >>> build_record({2: b'"00000002":{"vr":"UI"}', 1: b'"00000001":{"vr":"UI"}'})
    b'{"00000001":{"vr":"UI"},"00000002":{"vr":"UI"}}'
    """
    return b'{' + b','.join(elements[tag] for tag in sorted(elements)) + b'}'


def build_study_record(
    elements: Elements, *, modalities: Iterable[str], series: int, instances: int
) -> bytes:
    """Build the record of a study

    Parameters
    ----------
    elements
        From one of its instances.
    modalities
        All modalities in the study.
    series, instances
        How many the study has.
    """
    added = {
        0x00080056: _encode(0x00080056, 'CS', ['ONLINE']),
        0x00080061: _encode(0x00080061, 'CS', sorted(set(modalities))),
        0x00201206: _encode(0x00201206, 'IS', [series]),
        0x00201208: _encode(0x00201208, 'IS', [instances]),
    }
    return build_record({**elements, **added})


def build_series_record(elements: Elements, *, instances: int) -> bytes:
    """Build the record of a series with a number of instances"""
    added = {0x00201209: _encode(0x00201209, 'IS', [instances])}
    return build_record({**elements, **added})


def build_list(records: Iterable[bytes]) -> bytes:
    """Build the list of records that answers a search, a record in a line

    Examples
    --------
    >>> build_list([b'{}', b'{}'])
    b'[\\n{},\\n{}\\n]\\n'
    >>> build_list([])
    b'[\\n]\\n'
    """
    lines = b',\n'.join(records)
    return b'[\n' + lines + b'\n]\n' if lines else b'[\n]\n'


def first_value(elements: Elements, tag: int) -> str | int | float | None:
    """First value of a data element, if it has one"""
    if tag not in elements or b'\0' in elements[tag]:
        return None
    element = json.loads(b'{' + elements[tag] + b'}').popitem()[1]
    values = element.get('Value') or [None]
    value: str | int | float | None = values[0]
    return value if isinstance(value, (str, int, float)) else None


def _encode(tag: int, vr: str, values: list[str] | list[int]) -> bytes:
    # no value is no Value (PS3.18, F.2.5)
    element = {'vr': vr, 'Value': values} if values else {'vr': vr}
    text = json.dumps({f'{tag:08X}': element}, separators=(',', ':'))
    return text[1:-1].encode()
