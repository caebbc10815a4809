"""Native Pixel Data, cut into frames"""

import os
from struct import pack

import numpy as np
import pytest

from datalad_icf.dicomweb.frame_list import BitRange
from datalad_icf.dicomweb.frames import list_frames
from datalad_icf.dicomweb.model import Span
from datalad_icf.dicomweb.reader import read_instance
from datalad_icf.dicomweb.source import FileSource
from datalad_icf.errors import DicomError
from tests.dicomweb.dicom_bytes import (
    BIG_ENDIAN,
    EXPLICIT,
    IMPLICIT,
    JPEG,
    bundled_files,
    element,
    part10,
    read,
)


def image(
    pixels,
    *,
    rows=2,
    columns=3,
    bits=8,
    samples=1,
    frames=None,
    photometric=b'MONOCHROME2',
    vr='OB',
    tag=0x7FE00010,
    syntax=EXPLICIT,
):
    """A DICOM file with nothing but an image; `None` leaves an attribute out"""
    little = syntax != BIG_ENDIAN
    order = '<H' if little else '>H'
    values = {
        (0x00280002, 'US'): samples and pack(order, samples),
        (0x00280004, 'CS'): photometric,
        (0x00280008, 'IS'): frames,
        (0x00280010, 'US'): rows and pack(order, rows),
        (0x00280011, 'US'): columns and pack(order, columns),
        (0x00280100, 'US'): bits and pack(order, bits),
        (tag, vr): pixels,
    }
    explicit = syntax != IMPLICIT
    return part10(
        b''.join(
            element(t, v if explicit else '', value, little=little)
            for (t, v), value in values.items()
            if value is not None
        ),
        syntax,
    )


def frames_of(data):
    found = list_frames(read(data))
    return found, [b''.join(found.iter_frame(i)) for i in range(len(found.frames))]


@pytest.mark.parametrize('syntax', [EXPLICIT, IMPLICIT])
def test_cuts_native_pixel_data_into_frames_of_one_syntax(syntax):
    found, frames = frames_of(image(b'abcdefghijkl', frames=b'2 ', syntax=syntax))
    assert frames == [b'abcdef', b'ghijkl']
    assert found.media_type == 'application/octet-stream'
    assert found.transfer_syntax_uid == EXPLICIT
    assert (found.rows, found.columns, found.bits) == (2, 3, 8)
    assert found.problems == ()


def test_no_frame_is_read_to_know_where_they_are(tmp_path):
    rows, columns, n = 1024, 512, 4000
    head = image(b'', rows=rows, columns=columns, frames=b'4000')
    path = tmp_path / 'large.dcm'
    with open(path, 'wb') as f:
        # 2 GB, of which the file system stores nothing
        f.write(head[:-4] + pack('<L', rows * columns * n))
        f.truncate(len(head) + rows * columns * n)
    with open(path, 'rb') as f:
        source = FileSource(f.fileno(), 0, os.path.getsize(path))
        found = list_frames(read_instance(source))
        assert len(found.frames) == n
        assert found.frames[-1] == (
            Span(len(head) + rows * columns * (n - 1), rows * columns),
        )
        assert found.frame_size(n - 1) == rows * columns
        parts = list(found.iter_frame(n - 1))
    assert max(map(len, parts)) <= 1 << 20


@pytest.mark.parametrize(
    ('stated', 'n'), [(b'1A', 2), (b'', 2), (b'0 ', 2), (None, 2), (b'-1', 2)]
)
def test_derives_a_number_of_frames_that_is_none_and_tells_it(stated, n):
    found, frames = frames_of(image(b'abcdefghijkl', frames=stated))
    assert len(frames) == n
    assert [p.tag for p in found.problems] == ['00280008']


def test_an_image_without_a_number_of_frames_is_one_frame():
    found, frames = frames_of(image(b'abcdef'))
    assert frames == [b'abcdef']
    assert found.problems == ()


@pytest.mark.parametrize(
    ('length', 'whole', 'rest', 'problems'),
    [(12, 2, 0, 0), (13, 2, 1, 0), (18, 2, 6, 1), (11, 1, 5, 1), (5, 0, 5, 1)],
)
def test_gives_whole_frames_and_tells_of_a_length_that_does_not_fit(
    length, whole, rest, problems
):
    found, frames = frames_of(image(bytes(length), frames=b'2 '))
    assert frames == [bytes(6)] * whole
    assert found.rest.length == rest
    assert [p.tag for p in found.problems] == ['7FE00010'] * problems


@pytest.mark.parametrize('missing', ['rows', 'columns', 'bits', 'samples'])
def test_has_no_frames_without_an_attribute_that_tells_their_size(missing):
    found, frames = frames_of(image(b'abcdef', **{missing: None}))
    assert frames == []
    assert found.rest.length == 6
    assert 'not known' in found.problems[0].text


def test_something_without_pixels_has_no_frames():
    found, frames = frames_of(image(None))
    assert (frames, found.tag, found.problems) == ([], 0, ())


def test_tells_that_the_pixels_are_at_a_server():
    found, frames = frames_of(image(None, syntax='1.2.840.10008.1.2.4.94'))
    assert frames == []
    assert 'JPIP' in found.problems[0].text


def test_tells_of_native_pixel_data_under_a_compressed_transfer_syntax():
    found, frames = frames_of(image(b'abcdef', syntax=JPEG))
    assert frames == [b'abcdef']
    assert found.media_type == 'application/octet-stream'
    assert 'no fragments' in found.problems[0].text


def test_subsampled_colours_have_two_thirds_of_the_bytes():
    data = image(
        b'abcdefghijklmnop',
        rows=1,
        columns=4,
        samples=3,
        frames=b'2 ',
        photometric=b'YBR_FULL_422',
    )
    assert frames_of(data)[1] == [b'abcdefgh', b'ijklmnop']


def test_colours_that_are_only_said_to_be_subsampled_are_whole():
    data = image(
        bytes(24),
        rows=1,
        columns=4,
        samples=3,
        frames=b'2 ',
        photometric=b'YBR_FULL_422',
    )
    assert frames_of(data)[1] == [bytes(12)] * 2


@pytest.mark.parametrize(
    ('tag', 'vr', 'size'), [(0x7FE00008, 'OF', 4), (0x7FE00009, 'OD', 8)]
)
def test_float_pixel_data_are_frames(tag, vr, size):
    data = image(
        bytes(range(6 * size)) * 2, tag=tag, vr=vr, bits=None, samples=None, frames=b'2'
    )
    found, frames = frames_of(data)
    assert frames == [bytes(range(6 * size))] * 2
    assert (found.tag, found.bits) == (tag, 8 * size)


def pack_bits(bits):
    return np.packbits(bits, bitorder='little').tobytes()


@pytest.mark.parametrize('vr', ['OB', 'OW'])
@pytest.mark.parametrize('syntax', [EXPLICIT, BIG_ENDIAN])
def test_each_frame_of_single_bits_starts_on_a_byte(vr, syntax):
    bits = np.random.default_rng(7).integers(0, 2, size=(5, 3, 7), dtype=np.uint8)
    pixels = pack_bits(bits.ravel())
    pixels += bytes(len(pixels) % 2)
    if vr == 'OW' and syntax == BIG_ENDIAN:
        pixels = np.frombuffer(pixels, '<u2').astype('>u2').tobytes()
    found, frames = frames_of(
        image(pixels, rows=3, columns=7, bits=1, frames=b'5 ', vr=vr, syntax=syntax)
    )
    assert frames == [pack_bits(frame.ravel()) for frame in bits]
    assert found.problems == ()
    assert isinstance(found.frames[1], BitRange)
    assert found.frame_size(1) == 3


def test_large_frames_of_single_bits_are_read_in_parts():
    rows, columns = 4001, 4001
    bits = np.random.default_rng(7).integers(0, 2, (2, rows * columns), np.uint8)
    pixels = pack_bits(bits.ravel())
    data = image(
        pixels + bytes(len(pixels) % 2),
        rows=rows,
        columns=columns,
        bits=1,
        frames=b'2 ',
    )
    found = list_frames(read(data))
    parts = list(found.iter_frame(1))
    assert b''.join(parts) == pack_bits(bits[1])
    assert max(map(len, parts)) <= 1 << 20


@pytest.mark.parametrize('bits', [8, 16, 32, 64])
def test_big_endian_frames_become_little_endian(bits):
    values = (np.arange(12) * (19 if bits == 8 else 1019)).astype(f'<u{bits // 8}')
    big = values.astype(f'>u{bits // 8}').tobytes()
    if bits == 8:
        # in words of 16 bits (PS3.5, 8.1.1), which frames do not start with
        big = np.frombuffer(big, '<u2').astype('>u2').tobytes()
    data = image(
        big, rows=1, columns=3, bits=bits, frames=b'4 ', vr='OW', syntax=BIG_ENDIAN
    )
    found, frames = frames_of(data)
    assert frames == [values[i : i + 3].tobytes() for i in (0, 3, 6, 9)]
    assert found.problems == ()


def test_bytes_have_no_byte_order():
    _, frames = frames_of(image(b'abcdef', vr='OB', syntax=BIG_ENDIAN))
    assert frames == [b'abcdef']


@pytest.mark.parametrize('vr', ['OB', 'OW'])
def test_a_frame_is_copied_as_it_is_read(tmp_path, vr):
    found = list_frames(
        read(image(b'abcdefghijkl', frames=b'2 ', vr=vr, syntax=BIG_ENDIAN))
    )
    with open(tmp_path / 'frame', 'w+b') as f:
        found.copy_frame(1, f.fileno())
        f.seek(0)
        assert f.read() == b''.join(found.iter_frame(1))


def test_native_frames_of_bundled_files_are_those_of_pydicom(read_with_pydicom):
    compared = 0
    for path in bundled_files():
        try:
            found = list_frames(read(path.read_bytes()))
        except DicomError:
            continue
        if found.media_type != 'application/octet-stream' or not found.frames:
            continue
        raw = read_with_pydicom(path).PixelData
        whole = len(raw) - len(raw) % found.word
        words = np.frombuffer(raw[:whole], f'>u{found.word}')
        if found.word > 1:
            raw = words.astype(f'<u{found.word}').tobytes()
        data = b''.join(b''.join(found.iter_frame(i)) for i in range(len(found.frames)))
        assert raw[: len(data)] == data, path.name
        # padding, but for one file that has more than it states
        assert len(raw) - len(data) <= 1 or path.name == 'MR_small_padded.dcm'
        compared += 1
    assert compared > 50
