"""Encapsulated Pixel Data, cut into frames"""

from struct import pack

import pytest
from pydicom.encaps import generate_frames

from datalad_icf.dicomweb.frames import list_frames
from datalad_icf.dicomweb.media_types import media_type
from datalad_icf.errors import DicomError
from tests.dicomweb.dicom_bytes import (
    EXPLICIT,
    JPEG,
    bundled_files,
    element,
    fragments,
    part10,
    read,
)

RLE = '1.2.840.10008.1.2.5'
END = b'\xff\xd9'


def image(*values, frames=None, syntax=JPEG, extended=()):
    offsets = b''.join(pack('<Q', offset) for offset in extended)
    return part10(
        (b'' if frames is None else element(0x00280008, 'IS', frames))
        + (element(0x7FE00001, 'OV', offsets) if extended else b'')
        + fragments(*values),
        syntax,
    )


def frames_of(data):
    found = list_frames(read(data))
    texts = [p.text for p in found.problems]
    return [b''.join(found.iter_frame(i)) for i in range(len(found.frames))], texts


def table(*offsets):
    return pack(f'<{len(offsets)}L', *offsets)


def test_one_fragment_is_one_frame():
    assert frames_of(image(b'', b'abcd')) == ([b'abcd'], [])


def test_all_fragments_are_the_only_frame():
    assert frames_of(image(b'', b'abcd', b'ef')) == ([b'abcdef'], [])


def test_each_fragment_is_a_frame_if_there_are_as_many():
    data = image(b'', b'ab', b'cd', b'ef', frames=b'3 ')
    assert frames_of(data) == ([b'ab', b'cd', b'ef'], [])


@pytest.mark.parametrize('extended', [False, True])
def test_follows_the_offset_tables(extended):
    offsets = (0, 10 + 10)
    data = image(
        b'' if extended else table(*offsets),
        b'ab',
        b'cd',
        b'efgh',
        frames=b'2 ',
        extended=offsets if extended else (),
    )
    assert frames_of(data) == ([b'abcd', b'efgh'], [])


@pytest.mark.parametrize('offsets', [(0, 7), (10, 0), (10, 20), (0, 10, 400), (0, 0)])
def test_tells_of_a_table_that_does_not_fit_and_finds_the_frames_without(offsets):
    data = image(table(*offsets), b'ab' + END, b'cd' + END, frames=b'2 ')
    frames, problems = frames_of(data)
    assert frames == [b'ab' + END, b'cd' + END]
    assert problems == ['the Basic Offset Table does not fit the fragments']


def test_finds_frames_by_the_ends_of_their_codestreams():
    values = [b'ab', b'cd' + END, b'ef', b'gh', b'ij' + END + b'\0']
    data = image(b'', *values, frames=b'2 ')
    assert frames_of(data) == ([b'abcd' + END, b'efghij' + END + b'\0'], [])


def test_an_empty_fragment_at_the_end_belongs_to_the_last_frame():
    data = image(b'', b'ab' + END, b'cd', b'ef' + END, b'', frames=b'2 ')
    assert frames_of(data) == ([b'ab' + END, b'cdef' + END], [])


def test_tells_of_more_codestreams_than_frames():
    data = image(b'', b'ab' + END, b'cd', b'ef' + END, b'gh', frames=b'2 ')
    frames, problems = frames_of(data)
    assert frames == [b'ab' + END, b'cdef' + END, b'gh']
    assert problems == ['3 frames were found, not 2']


@pytest.mark.parametrize('syntax', [JPEG, RLE])
def test_without_any_hint_each_fragment_is_a_frame(syntax):
    data = image(b'', b'abcd', b'ef', b'gh', frames=b'2 ', syntax=syntax)
    frames, problems = frames_of(data)
    assert frames == [b'abcd', b'ef', b'gh']
    assert problems == ['3 frames were found, not 2']


def test_a_number_of_frames_that_is_none_is_found_and_told():
    frames, problems = frames_of(
        image(b'', b'ab', b'cd' + END, b'ef' + END, frames=b'1A')
    )
    assert frames == [b'abcd' + END, b'ef' + END]
    assert problems == ['Number of Frames is no number']


def test_tells_that_there_are_no_fragments():
    assert frames_of(image(b'')) == ([], ['there are no fragments'])


def test_tells_of_fragments_under_a_native_transfer_syntax():
    frames, problems = frames_of(image(b'', b'abcd', syntax=EXPLICIT))
    assert frames == [b'abcd']
    assert problems == ['fragments do not fit the transfer syntax']


def test_a_video_is_one_frame():
    syntax = '1.2.840.10008.1.2.4.102'
    data = image(table(0), b'ab', b'cd', b'ef', frames=b'250 ', syntax=syntax)
    assert frames_of(data) == ([b'abcdef'], [])


def test_thousands_of_fragments_take_no_reading_of_them():
    n = 5000
    data = image(b'', *[b'ab' + END] * n, frames=str(n).encode())
    instance = read(data)
    found = list_frames(instance)
    assert len(found.frames) == n
    assert found.problems == ()


@pytest.mark.parametrize(
    ('syntax', 'expected'),
    [
        ('1.2.840.10008.1.2.1.98', 'application/octet-stream'),
        ('1.2.840.10008.1.2.4.50', 'image/jpeg'),
        ('1.2.840.10008.1.2.4.57', 'image/jpeg'),
        ('1.2.840.10008.1.2.4.70', 'image/jpeg'),
        ('1.2.840.10008.1.2.4.80', 'image/jls'),
        ('1.2.840.10008.1.2.4.91', 'image/jp2'),
        ('1.2.840.10008.1.2.4.92', 'image/jpx'),
        ('1.2.840.10008.1.2.4.100', 'video/mpeg'),
        ('1.2.840.10008.1.2.4.101.1', 'video/mpeg'),
        ('1.2.840.10008.1.2.4.106.1', 'video/mp4'),
        ('1.2.840.10008.1.2.4.108', 'video/mp4'),
        ('1.2.840.10008.1.2.4.110', 'image/jxl'),
        ('1.2.840.10008.1.2.4.201', 'image/jphc'),
        ('1.2.840.10008.1.2.4.203', 'image/jphc'),
        ('1.2.840.10008.1.2.5', 'image/dicom-rle'),
        ('1.2.840.10008.1.2.4.x', 'application/octet-stream'),
        ('1.2.3', 'application/octet-stream'),
    ],
)
def test_media_types_are_those_of_the_standard(syntax, expected):
    assert media_type(syntax) == expected


def test_encapsulated_frames_have_the_syntax_in_which_they_are_stored():
    found = list_frames(read(image(b'', b'abcd', syntax=RLE)))
    assert (found.media_type, found.transfer_syntax_uid) == ('image/dicom-rle', RLE)


def test_uncompressed_fragments_are_native_frames():
    found = list_frames(read(image(b'', b'abcd', syntax='1.2.840.10008.1.2.1.98')))
    assert found.transfer_syntax_uid == EXPLICIT
    assert found.problems == ()


def test_encapsulated_frames_of_bundled_files_are_those_of_pydicom(read_with_pydicom):
    compared = 0
    for path in bundled_files():
        try:
            found = list_frames(read(path.read_bytes()))
        except DicomError:
            continue
        if found.media_type == 'application/octet-stream':
            continue
        dataset = read_with_pydicom(path)
        n = int(dataset.get('NumberOfFrames', 1))
        expected = list(generate_frames(dataset.PixelData, number_of_frames=n))
        frames = [b''.join(found.iter_frame(i)) for i in range(len(found.frames))]
        assert frames == expected, path.name
        assert found.problems == (), path.name
        compared += 1
    assert compared > 30
