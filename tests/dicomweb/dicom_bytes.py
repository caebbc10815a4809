"""DICOM files as bytes, also those that no library would write"""

from __future__ import annotations

import json
from pathlib import Path
from struct import pack

import pydicom.data
import pytest

from datalad_icf.dicomweb.bulk import iter_bulk
from datalad_icf.dicomweb.charset import (
    DEFAULT_ENCODINGS,
    SPECIFIC_CHARACTER_SET,
    find_encodings,
)
from datalad_icf.dicomweb.json_model import InstanceJson, JsonBuilder
from datalad_icf.dicomweb.json_values import (
    WORD_SIZES,
    encode_value,
    read_document,
    swap_words,
)
from datalad_icf.dicomweb.model import Instance
from datalad_icf.dicomweb.reader import read_instance
from datalad_icf.dicomweb.source import BytesSource

UNDEFINED = 0xFFFFFFFF
IMPLICIT = '1.2.840.10008.1.2'
EXPLICIT = '1.2.840.10008.1.2.1'
DEFLATED = '1.2.840.10008.1.2.1.99'
BIG_ENDIAN = '1.2.840.10008.1.2.2'
JPEG = '1.2.840.10008.1.2.4.50'

_LONG_VRS = b'OB OD OF OL OV OW SQ SV UC UN UR UT UV'.split()

_DATA = Path(pydicom.data.__file__).parent
_NO_DICOM = ('.gz', '.icc', '.json', '.md', '.txt', '.dump')


def bundled_files() -> list[Path]:
    """The DICOM files that pydicom's package has, without those it downloads"""
    folders = ('test_files', 'charset_files', 'palettes')
    return sorted(
        path
        for folder in folders
        for path in (_DATA / folder).rglob('*')
        if path.is_file()
        and path.suffix not in _NO_DICOM
        and path.stem != 'README'
        and '__' not in str(path.relative_to(_DATA))
    )


def header(tag, vr, length, *, little=True):
    """Header of an element; implicit VR if `vr` is empty"""
    order = '<' if little else '>'
    group, number = tag >> 16, tag & 0xFFFF
    if not vr:
        return pack(f'{order}HHL', group, number, length)
    letters = vr.encode('latin-1')
    if letters in _LONG_VRS:
        return pack(f'{order}HH2sHL', group, number, letters, 0, length)
    return pack(f'{order}HH2sH', group, number, letters, length & 0xFFFF)


def element(tag, vr, value=b'', *, length=None, little=True):
    """An element, with the length that it has, or another"""
    length = len(value) if length is None else length
    return header(tag, vr, length, little=little) + value


def item(*elements, length=None, little=True):
    """An item; one of undefined length gets a delimiter"""
    data = b''.join(elements)
    if length == UNDEFINED:
        data += header(0xFFFEE00D, '', 0, little=little)
    length = len(data) if length is None else length
    return header(0xFFFEE000, '', length, little=little) + data


def sequence(tag, vr, *items, length=None, little=True):
    """A sequence; one of undefined length gets a delimiter"""
    data = b''.join(items)
    if length == UNDEFINED:
        data += header(0xFFFEE0DD, '', 0, little=little)
    return element(tag, vr, data, length=length, little=little)


def fragments(*values, vr='OB'):
    """Encapsulated Pixel Data, the first value is the offset table"""
    return sequence(0x7FE00010, vr, *map(item, values), length=UNDEFINED)


def part10(data_set, syntax=EXPLICIT):
    """A DICOM file with preamble and file meta information"""
    uid = syntax.encode()
    return (
        bytes(128)
        + b'DICM'
        + element(0x00020010, 'UI', uid + b'\0' * (len(uid) % 2))
        + data_set
    )


def read(data: bytes) -> Instance:
    """Read a DICOM file"""
    return read_instance(BytesSource(data))


def build(data_set: bytes, syntax: str = EXPLICIT, **options) -> InstanceJson:
    """The JSON of a data set"""
    return JsonBuilder(**options).build(read(part10(data_set, syntax)))


def assert_gives_back(instance: Instance, made: InstanceJson) -> None:
    """All values and stored VRs are in the JSON text, or noted beside it"""
    document = read_document(made.document.replace(b'\0', b''))
    bulk = {
        path: b''.join(iter_bulk(instance.source, item)) for path, item in made.bulk
    }
    _assert_gives_back(
        instance,
        made,
        document,
        bulk,
        instance.elements,
        encodings=DEFAULT_ENCODINGS,
        explicit=instance.explicit,
        path='',
    )


def _assert_gives_back(
    instance, made, entries, bulk, elements, *, encodings, explicit, path
):
    last = {found.tag: found for found in elements}
    if len(last) < len(elements):
        # a tag that is there twice is reported, and told from others nowhere
        assert made.problems
        return
    for found in elements:
        if found.tag == SPECIFIC_CHARACTER_SET:
            encodings = find_encodings(found.value or b'')[0]
    for found in elements:
        place = f'{path}{found.tag:08X}'
        entry = entries.get(f'{found.tag:08X}')
        usual_vr = entry['vr'] if entry and explicit else ''
        assert made.vrs.get(place, usual_vr) == found.stored_vr
        if found.items is not None:
            if not entry:
                continue
            for number, (child, values) in enumerate(
                zip(found.items, entry.get('Value', ())), start=1
            ):
                _assert_gives_back(
                    instance,
                    made,
                    values,
                    bulk,
                    child.elements,
                    encodings=encodings,
                    explicit=explicit and found.stored_vr != 'UN',
                    path=f'{place}/{number}/',
                )
            assert len(entry.get('Value', ())) == len(found.items)
        elif found.value is not None and (not entry or 'frames' not in str(entry)):
            little = instance.little_endian
            value = made.inexact.get(place)
            if value is None and place in bulk:
                size = 1 if little else WORD_SIZES.get(entry['vr'], 1)
                value = swap_words(bulk[place], size)
            elif value is None:
                value = encode_value(
                    entry['vr'], entry, encodings=encodings, little_endian=little
                )
            assert value == found.value, place


NAME = element(0x00100010, 'PN', b'Doe^Jane')
IMPLICIT_NAME = element(0x00100010, '', b'Doe^Jane')


def tags(instance: Instance) -> list[int]:
    """Tags of the data set, in their order"""
    return [e.tag for e in instance.elements]


def value(instance: Instance, tag: int) -> bytes:
    """The bytes of a value"""
    return instance.find(tag).value


def parse(made):
    """The JSON object, with marks as letters and numbers as they stand there"""
    text = made.document.replace(b'\0S', b'STUDY/').replace(b'\0I', b'INSTANCE/')
    return json.loads(
        text, parse_float=Text, parse_int=Text, parse_constant=pytest.fail
    )


class Text(str):
    """A number, by its letters"""


def value_of(vr, value, **options):
    """JSON of the only element of a data set, and what is noted"""
    made = build(element(0x00091010, vr, value), **options)
    (entry,) = parse(made).values()
    assert entry.pop('vr') == vr
    return entry, made
