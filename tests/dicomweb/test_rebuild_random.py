"""Whatever can be read comes back byte for byte"""

import io
import tempfile
from pathlib import Path
from struct import pack

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from datalad_icf.dicomweb.rebuild import rebuild_p10
from datalad_icf.dicomweb.vr import LONG_VRS, SHORT_VRS
from datalad_icf.errors import DicomError
from tests.dicomweb.dicom_bytes import (
    BIG_ENDIAN,
    EXPLICIT,
    IMPLICIT,
    JPEG,
    UNDEFINED,
    element,
    fragments,
    item,
    part10,
    sequence,
)
from tests.dicomweb.write_layout import Uids, write_layout

UIDS = Uids('1.2', '1.2.3', '1.2.3.4')
# public, private, group lengths, and those with a meaning of their own
TAGS = st.sampled_from(
    (
        0x00080000,
        0x00080005,
        0x00080008,
        0x00080018,
        0x00081140,
        0x00090010,
        0x00091001,
        0x00091002,
        0x00100000,
        0x00100010,
        0x00200013,
        0x00280008,
        0x00280010,
        0x00280011,
        0x00280100,
        0x00280106,
        0x7FE00010,
        0xFFFCFFFC,
    )
)
VRS = st.sampled_from((*sorted(SHORT_VRS | LONG_VRS - {'SQ'}), 'XX'))
VALUES = st.one_of(
    st.binary(max_size=12),
    st.sampled_from(
        (
            b'\2\0',
            b'1\\2 ',
            b'Doe^Jane=\xe5\xb1\xb1^\xe7=',
            b'ISO_IR 192',
            b'\\ISO 2022 IR 87',
            b'\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B',
            b'1.50\\+2\\ 3 ',
            b'abc \0\0',
            bytes(range(256)) * 20,
        )
    ),
)
LENGTHS = st.sampled_from((None, None, UNDEFINED))


@st.composite
def data_sets(draw, explicit=True, little=True, depth=2):
    """A data set, whose elements are mostly in order"""
    how = {'little': little}
    tags = draw(st.lists(TAGS, max_size=8, unique=draw(st.booleans())))
    if draw(st.integers(0, 3)):
        tags.sort()
    parts = []
    for tag in tags:
        if depth and tag in (0x00081140, 0x00091002):
            as_un = explicit and little and draw(st.booleans())
            inner = data_sets(explicit and not as_un, little, depth - 1)
            items = [
                item(content, length=draw(LENGTHS), **how)
                for content in draw(st.lists(inner, max_size=3))
            ]
            vr = ('UN' if as_un else 'SQ') if explicit else ''
            length = UNDEFINED if as_un else draw(LENGTHS)
            parts.append(sequence(tag, vr, *items, length=length, **how))
            continue
        vr = draw(VRS) if explicit else ''
        parts.append(element(tag, vr, draw(VALUES), **how))
    return b''.join(parts)


def assert_comes_back(data):
    with tempfile.TemporaryDirectory() as directory:
        tree = Path(directory)
        try:
            write_layout(tree, data, uids=UIDS)
        except DicomError:
            return False
        target = io.BytesIO()
        rebuild_p10(tree, *UIDS, target)
        assert target.getvalue() == data
    return True


@pytest.mark.parametrize(
    ('syntax', 'explicit', 'little'),
    [(EXPLICIT, True, True), (IMPLICIT, False, True), (BIG_ENDIAN, True, False)],
    ids=['explicit', 'implicit', 'big endian'],
)
@settings(max_examples=60)
@given(data=st.data())
def test_random_data_sets_come_back(syntax, explicit, little, data):
    data_set = data.draw(data_sets(explicit, little))
    assert_comes_back(part10(data_set, syntax))


IMAGE = (
    element(0x00080005, 'CS', b'ISO_IR 100')
    + sequence(
        0x00081140,
        'SQ',
        item(element(0x00081150, 'UI', b'1.2.3\0'), length=UNDEFINED),
        item(),
        length=UNDEFINED,
    )
    + element(0x00090010, 'LO', b'ACME')
    + element(0x00091001, 'OB', bytes(80))
    + element(0x00100000, 'UL', pack('<L', 16))
    + element(0x00100010, 'PN', b'Doe^Jane')
    + element(0x00280002, 'US', b'\1\0')
    + element(0x00280008, 'IS', b'2 ')
    + element(0x00280010, 'US', b'\2\0')
    + element(0x00280011, 'US', b'\3\0')
    + element(0x00280100, 'US', b'\x08\0')
)
FILES = (
    part10(IMAGE + element(0x7FE00010, 'OB', b'abcdefghijkl')),
    part10(IMAGE + fragments(pack('<L', 0), b'ab\xff\xd9', b'cd\xff\xd9'), JPEG),
)


@settings(max_examples=150)
@given(
    data=st.sampled_from(FILES),
    places=st.lists(st.floats(0, 1, exclude_max=True), max_size=3),
    values=st.lists(st.integers(0, 255), min_size=3, max_size=3),
    end=st.one_of(st.just(1.0), st.floats(0.3, 1)),
)
@example(data=FILES[0], places=[], values=[0, 0, 0], end=1.0)
def test_damaged_files_that_can_be_read_come_back(data, places, values, end):
    damaged = bytearray(data)
    for place, value in zip(places, values):
        damaged[132 + int(place * (len(data) - 132))] = value
    came_back = assert_comes_back(bytes(damaged[: int(end * len(damaged))]))
    assert came_back or places or end < 1
