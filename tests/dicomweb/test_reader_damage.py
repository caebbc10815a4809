from __future__ import annotations

import tracemalloc
import zlib

import pytest

from datalad_icf.dicomweb.model import PIXEL_DATA, Problem, Span
from tests.dicomweb.dicom_bytes import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
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

# --- damaged files


def test_of_a_file_that_is_cut_anywhere_all_that_is_whole_is_read():
    modality = element(0x00080060, 'CS', b'MR')
    nested = sequence(0x00081115, 'SQ', item(NAME, length=UNDEFINED), length=UNDEFINED)
    parts = [modality, nested, sequence(0x00081140, 'SQ', item(NAME)), NAME]
    image = part10(b''.join(parts))
    start = len(part10(b''))
    ends = [start + len(b''.join(parts[:i])) for i in range(len(parts) + 1)]
    for cut in range(start, len(image)):
        instance = read(image[:cut])
        whole = sum(end <= cut for end in ends) - 1
        assert len(instance.elements) == whole
        assert bool(instance.problems) == (cut not in ends)
        assert instance.trailing == Span(ends[whole], cut - ends[whole])


@pytest.mark.parametrize('syntax', [IMPLICIT, EXPLICIT, BIG_ENDIAN])
@pytest.mark.parametrize(('tag', 'told'), [(0x00104000, '00104000'), (0x41424344, '')])
def test_an_element_that_is_cut_is_named_if_it_is_a_known_one(syntax, tag, told):
    vr, little = ('' if syntax == IMPLICIT else 'LT'), syntax != BIG_ENDIAN
    first = element(0x00080060, vr and 'CS', b'MR', little=little)
    image = part10(first + element(tag, vr, b'a comment', little=little), syntax)
    (problem,) = read(image[:-3]).problems
    assert problem.tag == told
    assert problem.text.startswith('data elements are lost: ')


def test_an_element_that_is_cut_does_not_hinder_what_others_mean():
    smallest = element(0x00280106, '', b'\1\0')
    instance = read(part10(smallest + element(0x00280107, '', b'\1\0'), IMPLICIT)[:-1])
    assert [e.vr for e in instance.elements] == ['US']
    assert instance.problems


def test_pixel_data_that_are_cut_are_kept_as_far_as_they_go():
    image = part10(NAME + element(PIXEL_DATA, 'OW', bytes(1000)))
    instance = read(image[:-10])
    found = instance.find(PIXEL_DATA)
    assert (found.length, found.span.length) == (1000, 990)
    assert instance.problems == (
        Problem('7FE00010', 'pixels are lost: the file is cut'),
    )


def test_fragments_that_are_cut_are_kept_as_far_as_they_are_whole():
    image = part10(fragments(b'', b'abcd', b'efgh'), JPEG)
    for cut in range(1, 20):
        instance = read(image[:-cut])
        spans = instance.elements[0].fragments
        contents = [instance.source.read(*span) for span in spans]
        assert contents == [b'', b'abcd', b'efgh'][: 2 + (cut <= 8)]
        assert instance.problems[0].tag == '7FE00010'
        assert instance.trailing.offset == sum(spans[-1])


@pytest.mark.parametrize('length', [0x7FFFFFFE, 0xFFFFFFFE, UNDEFINED, 101])
@pytest.mark.parametrize('vr', ['SQ', 'OB', 'UN', 'UT'])
def test_a_length_that_cannot_be_loses_only_what_follows(vr, length):
    image = part10(NAME + header(0x00120010, vr, length) + bytes(100))
    instance = read(image)
    assert value(instance, 0x00100010) == b'Doe^Jane'
    assert instance.problems
    assert sum(instance.trailing) == len(image)


@pytest.mark.parametrize('n_bytes', [1, 7, 8, 100, 3_000_000])
def test_zeros_after_the_last_element_are_padding(n_bytes):
    image = part10(NAME)
    instance = read(image + bytes(n_bytes))
    assert tags(instance) == [0x00100010]
    assert instance.trailing == Span(len(image), n_bytes)


def test_something_else_after_the_last_element_is_reported():
    instance = read(part10(NAME) + bytes(50) + b'x')
    assert tags(instance) == [0x00100010]
    assert instance.problems


@pytest.mark.parametrize(
    ('data', 'limit'),
    [
        (element(0x00080060, '') * 50_000, 'walk.MAX_PARTS'),
        (sequence(0x00081140, '', item() * 50_000), 'walk.MAX_PARTS'),
        (sequence(0x00081140, '', item() * 50_000, length=UNDEFINED), 'walk.MAX_PARTS'),
        (
            sequence(
                0x00081140, '', *[item(element(0x00080060, '', bytes(40)) * 25)] * 60
            ),
            'walk.MAX_PARTS',
        ),
        (fragments(*[b''] * 50_000, vr=''), 'window.MAX_PARTS'),
        (header(0xFFFEE00D, '', 0) * 50_000, 'walk._MAX_PROBLEMS'),
    ],
    ids=['elements', 'items', 'more items', 'both', 'fragments', 'problems'],
)
def test_parts_without_end_do_not_fill_the_memory(monkeypatch, data, limit):
    monkeypatch.setattr(f'datalad_icf.dicomweb.{limit}', 100)
    image = part10(data, IMPLICIT)
    tracemalloc.start()
    instance = read(image)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert instance.problems
    assert peak < 2_000_000


# --- deflated


def deflate(data):
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


@pytest.mark.parametrize('size', [100, 20_000_000])
def test_a_deflated_data_set_is_inflated(size):
    data = NAME + element(PIXEL_DATA, 'OW', bytes(range(100)) * (size // 100))
    deflated = deflate(data)
    instance = read(part10(deflated + b'\0', DEFLATED))
    assert value(instance, 0x00100010) == b'Doe^Jane'
    assert instance.source.size == len(data)
    assert instance.source.read(size - 80, 1000) == data[size - 80 :]
    assert instance.deflated == Span(len(part10(b'', DEFLATED)), len(deflated) + 1)
    assert instance.file.read(*instance.deflated) == deflated + b'\0'
    assert not instance.problems


def test_inflating_needs_little_memory():
    image = part10(deflate(element(PIXEL_DATA, 'OW', bytes(200_000_000))), DEFLATED)
    tracemalloc.start()
    instance = read(image)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert instance.elements[0].span.length == 200_000_000
    assert peak < 30_000_000


@pytest.mark.parametrize('rest', [b'', b'\7abc'], ids=['cut', 'no block'])
def test_of_a_damaged_deflated_data_set_the_first_elements_are_read(rest):
    compressor = zlib.compressobj(wbits=-15)
    deflated = compressor.compress(NAME) + compressor.flush(zlib.Z_FULL_FLUSH)
    instance = read(part10(deflated + rest, DEFLATED))
    assert value(instance, 0x00100010) == b'Doe^Jane'
    (problem,) = instance.problems
    assert problem.text == 'data elements are lost: the deflated data set is damaged'
