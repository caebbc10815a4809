"""Thumbnails show the right grays"""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.dataelem import DataElement
from pydicom.uid import (
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)

from datalad_icf.dicomweb.pictures import make_thumbnail
from tests.dicomweb.picture_images import NEAR, make_image, seen, shown, stripes


@pytest.mark.parametrize(
    ('dtype', 'values'),
    [
        ('u1', (0, 80, 160, 240)),
        ('i1', (-120, -40, 40, 120)),
        ('u2', (1000, 11000, 21000, 31000)),
        ('i2', (-300, -200, -100, 0)),
        ('u4', (0, 10**9, 2 * 10**9, 3 * 10**9)),
        ('i4', (-(10**9), 0, 10**9, 2 * 10**9)),
        ('f4', (-0.25, 0.0, 0.25, 0.5)),
        ('f8', (1e-30, 2e-30, 3e-30, 4e-30)),
    ],
)
@pytest.mark.parametrize('syntax', [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_values_of_any_type_become_grays_in_their_order(dtype, values, syntax):
    picture = make_thumbnail(make_image(stripes(*values, dtype=dtype), syntax))
    assert seen(picture) == pytest.approx([0, 85, 170, 255], abs=NEAR)


def test_unused_high_bits_are_not_part_of_a_value():
    # an overlay, as older files have it
    stored = stripes(0, 4095, 0x1000, 0xFFFF)
    picture = make_thumbnail(make_image(stored, BitsStored=12, HighBit=11))
    assert seen(picture) == pytest.approx([0, 255, 0, 255], abs=NEAR)


def test_signed_values_of_12_bits_are_signed():
    stored = stripes(0xF00, 0, 0x100, 0x200)
    picture = make_thumbnail(
        make_image(stored, BitsStored=12, HighBit=11, PixelRepresentation=1)
    )
    assert seen(picture) == pytest.approx([0, 85, 170, 255], abs=NEAR)


@pytest.mark.parametrize(
    ('function', 'expected'),
    [
        # by hand from PS3.3, C.11.2.1.2: (x - 1.5) / 3 + 0.5,
        ('', [0, 85, 170, 255]),
        # (x - 2) / 4 + 0.5,
        ('LINEAR_EXACT', [0, 64, 128, 191]),
        # 1 / (1 + exp(-4 * (x - 2) / 4))
        ('SIGMOID', [30, 69, 128, 186]),
    ],
)
def test_the_first_window_of_several_is_applied(function, expected):
    attributes = {'VOILUTFunction': function} if function else {}
    picture = make_thumbnail(
        make_image(
            stripes(0, 1, 2, 3),
            WindowCenter=[2, 2000],
            WindowWidth=[4, 2000],
            **attributes,
        )
    )
    assert seen(picture) == pytest.approx(expected, abs=NEAR)


def test_the_window_is_one_of_rescaled_values():
    picture = make_thumbnail(
        make_image(
            stripes(0, 500, 1000, 1500),
            RescaleSlope=2,
            RescaleIntercept=-1000,
            WindowCenter=0.5,
            WindowWidth=4001,
        )
    )
    # -1000, 0, 1000, 2000 of -2000 to 2000
    assert seen(picture) == pytest.approx([64, 128, 191, 255], abs=NEAR)


def lut(data: list[int], first: int = 0, bits: int = 16) -> list[Dataset]:
    item = Dataset()
    item.LUTDescriptor = [len(data), first, bits]
    item.LUTData = np.array(data, '<u2').tobytes()
    item['LUTDescriptor'].VR, item['LUTData'].VR = 'US', 'OW'
    return [item]


def test_a_modality_lut_is_applied():
    table = lut([30, 20, 10, 0])
    picture = make_thumbnail(make_image(stripes(0, 1, 2, 3), ModalityLUTSequence=table))
    assert seen(picture) == pytest.approx([255, 170, 85, 0], abs=NEAR)


def test_a_voi_lut_is_applied_and_not_the_window():
    table = lut([4095, 0, 2048, 1024], first=100, bits=12)
    picture = make_thumbnail(
        make_image(
            stripes(100, 101, 102, 103),
            VOILUTSequence=table,
            WindowCenter=102,
            WindowWidth=4,
        )
    )
    assert seen(picture) == pytest.approx([255, 0, 128, 64], abs=NEAR)


@pytest.mark.parametrize(
    'broken', [{'WindowWidth': 0}, {'WindowWidth': -5}, {'WindowCenter': 30000}]
)
def test_a_window_that_shows_nothing_is_not_taken(broken):
    attributes = {'WindowCenter': 50, 'WindowWidth': 100} | broken
    picture = make_thumbnail(make_image(stripes(0, 1, 2, 3), **attributes))
    assert seen(picture) == pytest.approx([0, 85, 170, 255], abs=NEAR)


def test_a_broken_number_is_as_if_it_was_not_there():
    content = make_image(
        stripes(0, 1, 2, 3), WindowCenter='7777', WindowWidth=2, RescaleSlope='9999'
    )
    content = content.replace(b'7777', b'1,5x').replace(b'9999', b'abc ')
    assert seen(make_thumbnail(content)) == pytest.approx([0, 85, 170, 255], abs=NEAR)


def test_monochrome1_is_inverted():
    picture = make_thumbnail(
        make_image(stripes(0, 1, 2, 3), PhotometricInterpretation='MONOCHROME1')
    )
    assert seen(picture) == pytest.approx([255, 170, 85, 0], abs=NEAR)


def test_outliers_and_background_do_not_make_the_window():
    # half of the image is air, in the other half are the values 1000 to 1099
    stored = np.zeros((100, 200), 'u2')
    stored[:, 100:] = np.arange(1000, 1100)
    stored[50, 50] = 65535
    gray = shown(make_thumbnail(make_image(stored), size=200))
    assert gray[90, 20] <= NEAR
    assert gray[90, 105] < 30
    assert gray[90, 150] == pytest.approx(128, abs=8)
    assert gray[90, 195] > 230


@pytest.mark.parametrize(
    'padding',
    # the second one as an unsigned value, against the standard
    [-2000, DataElement('PixelPaddingValue', 'US', 63536)],
    ids=['signed', 'unsigned'],
)
@pytest.mark.parametrize('photometric', ['MONOCHROME1', 'MONOCHROME2'])
def test_padding_is_black_and_not_in_the_window(photometric, padding):
    stored = stripes(-2000, 10, 20, 30, dtype='i2')
    content = make_image(
        stored,
        PixelPaddingValue=padding,
        PhotometricInterpretation=photometric,
    )
    grays = [0, 0, 128, 255] if photometric == 'MONOCHROME2' else [0, 255, 128, 0]
    assert seen(make_thumbnail(content)) == pytest.approx(grays, abs=NEAR)


def test_a_range_of_padding_is_padding():
    stored = stripes(3, 5, 20, 30)
    content = make_image(stored, PixelPaddingValue=0, PixelPaddingRangeLimit=5)
    assert seen(make_thumbnail(content)) == pytest.approx([0, 0, 0, 255], abs=NEAR)


@pytest.mark.parametrize('odd', [float('nan'), float('inf'), -float('inf')])
def test_what_is_no_number_is_black(odd):
    stored = stripes(odd, 1, 2, 3, dtype='f4')
    assert seen(make_thumbnail(make_image(stored))) == pytest.approx(
        [0, 0, 128, 255], abs=NEAR
    )


@pytest.mark.parametrize(
    'stored',
    [
        np.zeros((9, 9), 'u2'),
        np.full((9, 9), -7, 'i2'),
        np.full((9, 9), np.nan, 'f8'),
        np.full((1, 1), 3, 'u1'),
    ],
)
def test_an_image_of_one_value_is_black(stored):
    assert shown(make_thumbnail(make_image(stored))).max() <= NEAR


def test_an_image_that_is_all_padding_is_black():
    content = make_image(np.full((9, 9), 5, 'u2'), PixelPaddingValue=5)
    assert shown(make_thumbnail(content)).max() <= NEAR
