"""Thumbnails of colours, frames, and images of any shape and encoding"""

from __future__ import annotations

import io

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.pixels.utils import pack_bits
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from datalad_icf.dicomweb.pictures import make_thumbnail, pick_middle
from datalad_icf.errors import PictureError
from tests.dicomweb.picture_images import NEAR, make_image, seen, shown, stripes

COLORS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]


def colors_of(jpeg: bytes | None) -> list[tuple[int, ...]]:
    """Which primary colours the stripes have"""
    middle = shown(jpeg)[8, 8::16]
    return [tuple(255 * (c > 128) for c in color) for color in middle.tolist()]


def colored(samples: np.ndarray) -> np.ndarray:
    """Stripes of colours: (64, 64, 3)"""
    return samples.repeat(16, axis=0)[None].repeat(64, axis=0)


RGB = np.array(COLORS, 'u1')
# full range, by hand from PS3.3, C.7.6.3.1.2
YBR = np.array([(76, 85, 255), (150, 44, 21), (29, 255, 107), (255, 128, 128)], 'u1')


@pytest.mark.parametrize(
    ('pixels', 'attributes'),
    [
        (colored(RGB), {'PlanarConfiguration': 0}),
        (colored(RGB), {}),
        (np.moveaxis(colored(RGB), 2, 0), {'PlanarConfiguration': 1}),
        (colored(RGB).astype('u2') * 257, {'PlanarConfiguration': 0}),
        (colored(RGB).astype('u2') * 16, {'PlanarConfiguration': 0, 'BitsStored': 12}),
        (
            colored(YBR),
            {'PlanarConfiguration': 0, 'PhotometricInterpretation': 'YBR_FULL'},
        ),
        (
            # Y1 Y2 B R: two pixels share their colour
            colored(YBR).reshape(64, 32, 6)[..., [0, 3, 1, 2]],
            {'PlanarConfiguration': 0, 'PhotometricInterpretation': 'YBR_FULL_422'},
        ),
    ],
)
def test_colors_are_right(pixels, attributes):
    image = {'PhotometricInterpretation': 'RGB', 'Rows': 64, 'Columns': 64}
    content = make_image(pixels, SamplesPerPixel=3, **image | attributes)
    assert colors_of(make_thumbnail(content)) == COLORS


@pytest.mark.parametrize('bits', [8, 16])
@pytest.mark.parametrize('syntax', [ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_a_palette_is_applied(bits, syntax):
    order = '>' if syntax == ExplicitVRBigEndian else '<'
    table = (RGB.astype('u2') << (bits - 8)).astype(f'{order}u2')
    attributes = {}
    for i, color in enumerate(('Red', 'Green', 'Blue')):
        attributes[f'{color}PaletteColorLookupTableDescriptor'] = [4, 0, bits]
        attributes[f'{color}PaletteColorLookupTableData'] = table[:, i].tobytes()
    content = make_image(
        stripes(0, 1, 2, 3, dtype='u1'),
        syntax,
        PhotometricInterpretation='PALETTE COLOR',
        **attributes,
    )
    assert colors_of(make_thumbnail(content)) == COLORS


def test_a_palette_that_is_missing_leaves_grays():
    content = make_image(stripes(0, 1, 2, 3), PhotometricInterpretation='PALETTE COLOR')
    assert seen(make_thumbnail(content)) == pytest.approx([0, 85, 170, 255], abs=NEAR)


@pytest.mark.parametrize(
    'syntax',
    [RLELossless, JPEGLSLossless, JPEG2000Lossless, DeflatedExplicitVRLittleEndian],
)
def test_compressed_images_have_the_same_picture(syntax):

    noise = np.random.default_rng(4).integers(0, 4000, (50, 70), dtype='u2')
    content = make_image(noise, BitsStored=12, HighBit=11)
    dataset = dcmread(io.BytesIO(content))
    if syntax.is_encapsulated:
        dataset.compress(syntax)
    else:
        dataset.file_meta.TransferSyntaxUID = syntax
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    assert make_thumbnail(file) == make_thumbnail(content)


def frames(*values: int) -> np.ndarray:
    """Frames of stripes; in each, another stripe is white"""
    return np.concatenate([stripes(*(9 * (i == v) for i in range(4))) for v in values])


@pytest.mark.parametrize(
    ('order', 'number', 'white'),
    [((1,), None, 1), ((0, 2), None, 2), ((0, 1, 2), None, 1), ((0, 1, 2), 3, 2)],
)
def test_of_several_frames_the_middle_one_is_shown(order, number, white):
    content = make_image(frames(*order), NumberOfFrames=len(order), Rows=64)
    grays = seen(make_thumbnail(content, frame=number))
    assert grays.index(max(grays)) == white


@pytest.mark.parametrize('number', [0, 4, -1])
def test_a_frame_that_is_not_there_is_refused(number):
    content = make_image(frames(0, 1, 2), NumberOfFrames=3, Rows=64)
    with pytest.raises(PictureError, match='no frame'):
        make_thumbnail(content, frame=number)


def test_the_first_frame_is_shown_where_the_middle_one_is_cut():
    content = make_image(frames(3, 0, 0), NumberOfFrames=3, Rows=64)
    grays = seen(make_thumbnail(content[: -64 * 64 * 2 * 2]))
    assert grays.index(max(grays)) == 3
    with pytest.raises(PictureError, match='frame 2'):
        make_thumbnail(content[: -64 * 64 * 2 * 2], frame=2)


def test_a_frame_has_its_own_window_and_spacing():
    groups = []
    for center in (1000, 2):
        window, measures, group = Dataset(), Dataset(), Dataset()
        window.WindowCenter, window.WindowWidth = center, 4
        window.VOILUTFunction = 'LINEAR_EXACT'
        measures.PixelSpacing = [center, 1]
        group.FrameVOILUTSequence = [window]
        group.PixelMeasuresSequence = [measures]
        groups.append(group)
    shared, scaling = Dataset(), Dataset()
    scaling.RescaleSlope, scaling.RescaleIntercept = 2, 0
    shared.PixelValueTransformationSequence = [scaling]
    content = make_image(
        np.concatenate([stripes(0, 1, 2, 3, height=32)] * 2),
        NumberOfFrames=2,
        Rows=32,
        PerFrameFunctionalGroupsSequence=groups,
        SharedFunctionalGroupsSequence=[shared],
    )
    picture = make_thumbnail(content)
    assert seen(picture) == pytest.approx([0, 128, 255, 255], abs=NEAR)
    assert shown(picture).shape == (64, 64)


def test_single_bits_are_white_also_where_frames_start_within_a_byte():
    bits = np.zeros((3, 5, 9), 'u1')
    bits[1, 1:4, 2:8] = 1
    packed = np.frombuffer(pack_bits(bits.ravel()), 'u1')[None]
    content = make_image(
        packed,
        Rows=5,
        Columns=9,
        BitsAllocated=1,
        BitsStored=1,
        HighBit=0,
        NumberOfFrames=3,
    )
    assert (shown(make_thumbnail(content)) > 128).tolist() == (bits[1] > 0).tolist()
    assert shown(make_thumbnail(content, frame=3)).max() <= NEAR


@pytest.mark.parametrize(
    ('attributes', 'shape'),
    [
        ({}, (16, 64)),
        ({'PixelSpacing': [3, 1]}, (48, 64)),
        ({'PixelSpacing': [1, 2]}, (16, 128)),
        ({'PixelSpacing': [1, 4]}, (8, 128)),
        ({'ImagerPixelSpacing': [2, 1]}, (32, 64)),
        ({'PixelAspectRatio': [2, 1]}, (32, 64)),
        ({'PixelSpacing': [0, 1]}, (16, 64)),
        ({'PixelSpacing': [1000, 1]}, (16, 64)),
        ({'PixelSpacing': [1, 1], 'PixelAspectRatio': [2, 1]}, (16, 64)),
    ],
)
def test_pixels_become_square(attributes, shape):
    picture = make_thumbnail(make_image(stripes(0, 1, 2, 3, height=16), **attributes))
    assert shown(picture).shape == shape


@pytest.mark.parametrize(
    ('rows', 'columns', 'shape'),
    [(500, 1000, (64, 128)), (3000, 1000, (128, 43)), (1, 5000, (1, 128))],
)
def test_large_images_are_scaled_down_to_the_size(rows, columns, shape):
    ramp = np.linspace(0, 1000, columns).astype('u2')[None].repeat(rows, axis=0)
    gray = shown(make_thumbnail(make_image(ramp)))
    assert gray.shape == shape
    assert (np.diff(gray[0]) >= -NEAR).all()
    assert gray[0, shape[1] // 2] == pytest.approx(128, abs=8)


@pytest.mark.parametrize(
    ('instances', 'middle'),
    [
        ([(1, 'a')], 'a'),
        ([(3, 'c'), (1, 'a'), (2, 'b')], 'b'),
        ([(10, 'j'), (9, 'i'), (2, 'b'), (1, 'a')], 'i'),
        ([(1, 'b'), (1, 'a'), (1, 'c')], 'b'),
        ([(None, 'x'), (5, 'e'), (None, 'y')], 'e'),
        ([(None, 'y'), (None, 'x')], 'y'),
    ],
)
def test_the_middle_of_a_series_is_found_by_the_numbers(instances, middle):
    assert pick_middle(instances) == middle
