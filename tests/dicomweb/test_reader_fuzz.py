from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datalad_icf.dicomweb.bulk import iter_bulk
from datalad_icf.dicomweb.json_model import JsonBuilder
from datalad_icf.dicomweb.model import Element
from datalad_icf.errors import DicomError
from tests.dicomweb.dicom_bytes import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    JPEG,
    UNDEFINED,
    assert_gives_back,
    bundled_files,
    element,
    fragments,
    header,
    item,
    part10,
    read,
    sequence,
)

_SMALL = [path.read_bytes() for path in bundled_files() if path.stat().st_size < 9000]
_SYNTAXES = (BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT, JPEG)
_ESCAPES = (b'\x1b$B', b'\x1b(J', b'\x1b$)C', b'\x1b-F', b'\\', b'=', b'^', b' ')
_CHARACTER_SETS = (
    b'ISO_IR 100',
    b'ISO_IR 192',
    b'GB18030 ',
    b'ISO_IR 13 ',
    b'\\ISO 2022 IR 87',
    b'\\ISO 2022 IR 149 ',
    b'ISO 2022 IR 6\\ISO 2022 IR 126 ',
    b'ISO 2022 IR 13\\ISO 2022 IR 87\\ISO 2022 IR 159 ',
    b'no such',
    b'rot13 ',
    b'undefined ',
)

_values = st.one_of(
    st.binary(max_size=40),
    st.lists(st.one_of(st.sampled_from(_ESCAPES), st.binary(max_size=4))).map(b''.join),
)
_vrs = st.sampled_from(
    b'AE AS AT CS DA DS DT FD FL IS LO LT OB OW PN SH SL SQ SS UC UI UN UT'.split()
)
_tags = st.sampled_from(
    (0x00080000, 0x00080005, 0x00100010, 0x00280103, 0x00280106, 0x00291010, 0x7FE00010)
)
_lengths = st.none() | st.sampled_from((0, 3, 1 << 20, UNDEFINED))


@st.composite
def _elements(draw, children):
    tag, vr, length = draw(_tags), draw(_vrs).decode(), draw(_lengths)
    kind = draw(st.integers(0, 9))
    vr = draw(st.sampled_from((vr, '')))
    if kind == 0:
        return sequence(tag, vr, *draw(children), length=length)
    if kind == 1:
        return item(*draw(children), length=length)
    if kind == 2:
        return fragments(*draw(children))
    if kind == 3:
        return header(draw(st.sampled_from((0xFFFEE00D, 0xFFFEE0DD))), '', 0)
    if kind == 4:
        return element(0x00080005, 'CS', draw(st.sampled_from(_CHARACTER_SETS)))
    return element(tag, vr, draw(_values), length=draw(st.none() | _lengths))


_data_sets = st.recursive(
    st.lists(_elements(st.just([])), max_size=8),
    lambda children: st.lists(_elements(children), max_size=8),
    max_leaves=30,
)


def check(data):
    """Nothing but a DicomError, and all that comes out is well-formed"""
    try:
        instance = read(data)
    except DicomError:
        return
    assert instance.trailing.offset + instance.trailing.length == instance.source.size
    check_elements(instance.elements, instance)
    made = JsonBuilder(private_bulk_size=10, public_bulk_size=20).build(instance)
    text = made.document.replace(b'\0', b'')
    document = json.loads(text, parse_constant=pytest.fail)
    assert [*document] == sorted(
        {f'{e.tag:08X}' for e in instance.elements if e.tag & 0xFFFF}
    )
    assert_gives_back(instance, made)
    for _, bulk in made.bulk:
        size = sum(map(len, iter_bulk(instance.source, bulk)))
        assert size == (len(bulk.value) if bulk.span is None else bulk.span.length)


def check_elements(elements, instance):
    for found in elements:
        assert len(found.vr) == 2
        kinds = [found.value, found.span, found.items, found.fragments]
        assert kinds.count(None) == 3
        for child in found.items or ():
            check_elements(child.elements, instance)
        for span in (*(found.fragments or ()), found.span or (0, 0)):
            assert sum(span) <= instance.source.size
        assert isinstance(found, Element)


@settings(max_examples=400)
@given(st.data())
def test_damaged_files_of_pydicom_raise_no_other_error(data):
    content = bytearray(data.draw(st.sampled_from(_SMALL)))
    for _ in range(data.draw(st.integers(1, 5))):
        position = data.draw(st.integers(0, max(0, len(content) - 1)))
        kind = data.draw(st.integers(0, 3))
        if kind == 0:
            content[position : position + 1] = data.draw(st.binary(max_size=8))
        elif kind == 1:
            content[position : position + 4] = b'\xff' * 4
        elif kind == 2:
            del content[position : position + data.draw(st.integers(1, 40))]
        else:
            del content[position:]
    check(bytes(content))


@settings(max_examples=200)
@given(_data_sets, st.sampled_from(_SYNTAXES), st.binary(max_size=12))
def test_odd_data_sets_raise_no_other_error(parts, syntax, rest):
    check(part10(b''.join(parts) + rest, syntax))


@given(st.binary(max_size=300), st.sampled_from(_SYNTAXES))
def test_arbitrary_bytes_raise_no_other_error(data, syntax):
    with suppress(DicomError):
        read(data)
    check(part10(data, syntax))
