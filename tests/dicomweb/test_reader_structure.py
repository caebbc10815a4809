from __future__ import annotations

import os
import tracemalloc
from struct import pack

import pytest

from datalad_icf.dicomweb.model import PIXEL_DATA, Span
from datalad_icf.dicomweb.reader import read_instance
from datalad_icf.dicomweb.source import BytesSource, FileSource
from datalad_icf.dicomweb.walk import MAX_VALUE
from datalad_icf.dicomweb.window import BUFFER
from tests.dicomweb.dicom_bytes import (
    BIG_ENDIAN,
    EXPLICIT,
    IMPLICIT,
    IMPLICIT_NAME,
    JPEG,
    NAME,
    UNDEFINED,
    element,
    fragments,
    header,
    item,
    part10,
    read,
    sequence,
    tags,
    value,
)

# --- sequences


@pytest.mark.parametrize('outer', [None, UNDEFINED])
@pytest.mark.parametrize('inner', [None, UNDEFINED])
@pytest.mark.parametrize(
    ('vr', 'syntax', 'little'),
    [('', IMPLICIT, True), ('SQ', EXPLICIT, True), ('SQ', BIG_ENDIAN, False)],
)
def test_reads_sequences_with_and_without_lengths(outer, inner, vr, syntax, little):
    how = {'little': little}
    name = element(0x00100010, vr and 'PN', b'ab', **how)
    deep = sequence(0x00081199, vr, item(name, length=inner, **how), item(**how), **how)
    data = sequence(
        0x00081115, vr, item(deep, name, length=inner, **how), length=outer, **how
    )
    instance = read(part10(data + name, syntax))
    assert tags(instance) == [0x00081115, 0x00100010]
    first = instance.elements[0]
    assert (first.vr, first.stored_vr) == ('SQ', vr)
    assert (first.length == UNDEFINED) == (outer == UNDEFINED)
    (only,) = first.items
    assert (only.length == UNDEFINED) == (inner == UNDEFINED)
    assert [e.tag for e in only.elements] == [0x00081199, 0x00100010]
    assert [len(i.elements) for i in only.elements[0].items] == [1, 0]
    assert not instance.problems


@pytest.mark.parametrize('syntax', [EXPLICIT, BIG_ENDIAN])
def test_un_of_undefined_length_has_implicit_vr_inside(syntax):
    data = header(0x00291010, 'UN', UNDEFINED, little=syntax == EXPLICIT)
    data += item(IMPLICIT_NAME, length=UNDEFINED) + header(0xFFFEE0DD, '', 0)
    after = element(0x00300010, 'LO', b'ab', little=syntax == EXPLICIT)
    first, second = read(part10(data + after, syntax)).elements
    assert (first.vr, first.stored_vr) == ('SQ', 'UN')
    assert first.items[0].elements[0].value == b'Doe^Jane'
    assert second.value == b'ab'


def test_a_private_sequence_without_a_vr_is_found():
    data = sequence(0x00291010, '', item(IMPLICIT_NAME), length=UNDEFINED)
    (found,) = read(part10(data, IMPLICIT)).elements
    assert found.items[0].elements[0].value == b'Doe^Jane'


def test_bytes_of_undefined_length_end_at_the_delimiter():
    end = header(0xFFFEE0DD, '', 0)
    plain = header(0x00291010, 'OB', UNDEFINED) + b'abc' * 20_000 + end
    nested = header(0x00291011, 'OB', UNDEFINED) + item(end) + end
    first, second, last = read(part10(plain + nested + NAME)).elements
    assert (first.value, first.length) == (b'abc' * 20_000, UNDEFINED)
    assert second.value == item(end)
    assert last.tag == 0x00100010


def test_no_sequence_but_its_length_is_known_loses_nothing():
    data = element(0x00081115, 'SQ', b'no item at all')
    instance = read(part10(data + NAME))
    first, second = instance.elements
    assert (first.vr, first.stored_vr, first.value) == ('UN', 'SQ', b'no item at all')
    assert second.value == b'Doe^Jane'
    assert [p.tag for p in instance.problems] == ['00081115']


def test_a_problem_tells_the_path_of_the_element():
    broken = element(0x00081199, 'SQ', b'no item at all')
    data = sequence(0x00081115, 'SQ', item(), item(broken))
    assert [p.tag for p in read(part10(data)).problems] == ['00081115/2/00081199']


def test_delimiters_where_nothing_is_open_are_skipped_and_reported():
    ends = header(0xFFFEE00D, '', 0) + header(0xFFFEE0DD, '', 0)
    data = sequence(0x00081115, 'SQ', item(NAME, ends), header(0xFFFEE00D, '', 0))
    instance = read(part10(data + ends + NAME))
    assert tags(instance) == [0x00081115, 0x00100010]
    assert len(instance.elements[0].items[0].elements) == 1
    assert len(instance.problems) == 5


def test_an_item_without_its_delimiter_ends_with_the_sequence():
    data = header(0x00081115, 'SQ', UNDEFINED) + header(0xFFFEE000, '', UNDEFINED)
    instance = read(part10(data + NAME + header(0xFFFEE0DD, '', 0) + NAME))
    assert tags(instance) == [0x00081115, 0x00100010]
    assert [p.text for p in instance.problems] == ['an item has no end']


def test_delimiters_that_are_missing_within_a_length_are_reported():
    opened = header(0x00081199, 'SQ', UNDEFINED) + header(0xFFFEE000, '', UNDEFINED)
    data = sequence(0x00081115, 'SQ', item(opened, NAME))
    instance = read(part10(data + NAME))
    assert tags(instance) == [0x00081115, 0x00100010]
    texts = [p.text for p in instance.problems]
    assert texts == ['an item has no end', 'a sequence has no end']


@pytest.mark.parametrize('length', [None, UNDEFINED])
def test_a_thousand_sequences_within_each_other_do_no_harm(length):
    data = NAME
    for _ in range(1000):
        data = sequence(0x00081115, 'SQ', item(data), length=length)
    instance = read(part10(element(0x00080060, 'CS', b'MR') + data))
    assert instance.problems
    assert value(instance, 0x00080060) == b'MR'


# --- Pixel Data


@pytest.mark.parametrize('table', [b'', pack('<2L', 0, 12)], ids=['empty', 'full'])
def test_fragments_end_at_the_delimiter_and_may_contain_one(table):
    end = header(0xFFFEE0DD, '', 0)
    image = part10(NAME + fragments(table, end, b'abcd'), JPEG)
    instance = read(image + element(0xFFFCFFFC, 'OB', bytes(20)))
    found = instance.find(PIXEL_DATA)
    assert found.length == UNDEFINED
    assert [instance.source.read(*span) for span in found.fragments] == [
        table,
        end,
        b'abcd',
    ]
    assert tags(instance) == [0x00100010, PIXEL_DATA, 0xFFFCFFFC]


def test_there_may_be_no_fragment_at_all():
    assert read(part10(fragments(), JPEG)).elements[0].fragments == ()


@pytest.mark.parametrize('syntax', [EXPLICIT, IMPLICIT, BIG_ENDIAN])
def test_elements_after_pixel_data_are_read(syntax):
    little = syntax != BIG_ENDIAN
    vrs = ('', '') if syntax == IMPLICIT else ('OW', 'OB')
    data = element(PIXEL_DATA, vrs[0], bytes(200_000), little=little)
    data += element(0xFFFCFFFC, vrs[1], b'ab', little=little)
    instance = read(part10(data, syntax))
    assert instance.elements[0].vr == 'OW'
    assert instance.elements[0].span.length == 200_000
    assert value(instance, 0xFFFCFFFC) == b'ab'


def test_only_short_values_are_held_in_memory():
    data = element(0x00091010, 'OB', bytes(MAX_VALUE))
    data += element(0x00091011, 'OB', bytes(MAX_VALUE + 2))
    image = part10(data)
    first, second = read(image).elements
    assert len(first.value) == MAX_VALUE
    assert second.span == Span(len(image) - MAX_VALUE - 2, MAX_VALUE + 2)


def test_pixel_data_are_not_read(tmp_path):
    path = tmp_path / 'image'
    path.write_bytes(part10(NAME + header(PIXEL_DATA, 'OW', 1 << 30)))
    with path.open('r+b') as file:
        size = file.seek(1 << 30, os.SEEK_END)
        file.write(NAME)
        file.flush()
        tracemalloc.start()
        instance = read_instance(FileSource(file.fileno(), 0, size + len(NAME)))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert tags(instance) == [0x00100010, PIXEL_DATA, 0x00100010]
    assert peak < 1 << 20


def test_a_usual_image_is_read_at_once():
    class Source(BytesSource):
        n_reads = 0

        def read(self, offset, length):
            self.n_reads += 1
            return super().read(offset, length)

    source = Source(part10(NAME * 50 + element(PIXEL_DATA, 'OW', bytes(500_000))))
    read_instance(source)
    # and once more to find out the encoding
    assert source.n_reads == 2


def test_pixel_data_longer_than_their_item_are_no_cut_pixel_data():
    data = sequence(0x00880200, 'SQ', item(header(PIXEL_DATA, 'OW', 100), b'abcd'))
    instance = read(part10(data + NAME))
    assert [e.vr for e in instance.elements] == ['UN', 'PN']
    assert [p.tag for p in instance.problems] == ['00880200']


def test_what_is_wrong_within_what_is_kept_as_un_is_told_once():
    end = header(0xFFFEE00D, '', 0)
    data = element(0x00081115, 'SQ', end + b'no item at all')
    instance = read(part10(data + NAME))
    assert [p.tag for p in instance.problems] == ['00081115']
    assert tags(instance) == [0x00081115, 0x00100010]


@pytest.mark.parametrize(
    ('data', 'is_reported'),
    [
        # stored as a sequence, public, and what others made of private ones
        (element(0x00081115, 'SQ', b'no item at all'), True),
        (element(0x00081115, '', b'no item at all'), True),
        (element(0x00081115, 'UN', b'no item at all'), False),
        (element(0x00291140, '', b'no item at all'), False),
    ],
)
def test_no_sequence_is_no_fault_where_the_file_does_not_say_that_it_is(
    data, is_reported
):
    creator = element(0x00290011, 'LO', b'SIEMENS MEDCOM HEADER ')
    instance = read(part10(creator + data))
    assert instance.elements[-1].vr == 'UN'
    assert bool(instance.problems) == is_reported


def test_a_vr_that_is_open_within_no_sequence_disturbs_nothing():
    inner = item(element(0x00280106, '', b'\1\0'))
    data = element(0x00081115, '', inner + b'no item at all')
    instance = read(part10(data + IMPLICIT_NAME, IMPLICIT))
    assert [e.vr for e in instance.elements] == ['UN', 'PN']


@pytest.mark.parametrize('missing', range(9))
def test_a_delimiter_is_found_between_two_pieces_that_are_read(missing):
    value = b'a' * (BUFFER - missing)
    end = header(0xFFFEE0DD, '', 0)
    data = header(0x00291010, 'OB', UNDEFINED) + value + end + NAME
    first, second = read(part10(data)).elements
    assert first.value == value
    assert second.value == b'Doe^Jane'
