"""Thumbnails of real files, of broken ones, and of a file that is too large"""

from __future__ import annotations

import io
import struct
import tracemalloc
from contextlib import suppress
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom.uid import MPEG2MPML

from datalad_icf.dicomweb import pictures
from datalad_icf.dicomweb.pictures import can_make_pictures, make_thumbnail
from datalad_icf.errors import PictureError

DATA = Path(pydicom.__file__).parent / 'data'
FILES = sorted(DATA.rglob('*.dcm'))
# what a picture cannot be made of, and why
UNDECODABLE = {
    'JPEG-lossy.dcm': 'decoders that are installed',
    'JPGExtended.dcm': 'decoders that are installed',
    # it says in the name what is wrong with it
    'JPEG2000-embedded-sequence-delimiter.dcm': 'decoders that are installed',
    'MR_truncated.dcm': 'frame 1 cannot be decoded',
    'meta_missing_tsyntax.dcm': 'does not tell its bits_allocated, columns, rows',
    'nested_priv_SQ.dcm': 'does not tell its bits_allocated, columns, rows',
}
# without, or with, the one decoder for it
DEPENDS = {'JPEG-lossy.dcm', 'JPGExtended.dcm'}


def file(name: str) -> Path:
    (found,) = (f for f in FILES if f.name == name)
    return found


def gray(jpeg: bytes | None) -> np.ndarray:
    assert jpeg is not None
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert('L')).astype(float)


@pytest.mark.parametrize('path', FILES, ids=lambda p: p.name)
@pytest.mark.filterwarnings('ignore')
def test_every_file_of_pydicom_has_a_picture_or_a_clear_error(path):
    expected = UNDECODABLE.get(path.name)
    try:
        with path.open('rb') as f:
            picture = make_thumbnail(f)
        problem = None
    except PictureError as e:
        picture, problem = None, str(e)
    if problem or (expected and path.name not in DEPENDS):
        assert expected in problem
        return
    assert (picture is not None) == ('PixelData' in pydicom.dcmread(path, force=True))
    if picture:
        image = Image.open(io.BytesIO(picture))
        assert image.format == 'JPEG'
        assert max(image.size) <= 128
        assert picture == make_thumbnail(path.read_bytes())


MR = file('MR_small.dcm')


@pytest.mark.parametrize(
    'name',
    [
        'MR_small_RLE.dcm',
        'MR_small_bigendian.dcm',
        'MR_small_expb.dcm',
        'MR_small_implicit.dcm',
        'MR_small_jp2klossless.dcm',
        'MR_small_jpeg_ls_lossless.dcm',
        'MR_small_padded.dcm',
    ],
)
def test_the_encoding_of_an_image_does_not_matter(name):
    assert make_thumbnail(file(name).read_bytes()) == make_thumbnail(MR.read_bytes())


def test_an_mr_image_looks_as_its_window_says():
    dataset = pydicom.dcmread(MR)
    # read without pydicom's decoders: 64 x 64, signed, 16 bits, little endian
    stored = np.frombuffer(dataset.PixelData, '<i2').reshape(64, 64).astype(float)
    center, width = float(dataset.WindowCenter), float(dataset.WindowWidth)
    expected = np.clip((stored - center + 0.5) / (width - 1) + 0.5, 0, 1) * 255
    difference = np.abs(gray(make_thumbnail(MR.read_bytes())) - expected)
    assert difference.mean() < 3
    assert difference.max() < 40


def test_a_ct_image_without_a_window_keeps_the_order_of_its_tissues():
    picture = gray(make_thumbnail(file('CT_small.dcm').read_bytes()))
    stored = np.frombuffer(pydicom.dcmread(file('CT_small.dcm')).PixelData, '<i2')
    assert np.corrcoef(stored, picture.ravel())[0, 1] > 0.95


@pytest.mark.parametrize(
    'name',
    [
        'SC_rgb_rle.dcm',
        'SC_rgb_rle_16bit.dcm',
        'SC_rgb_rle_32bit.dcm',
        'SC_rgb_jpeg_gdcm.dcm',
        'SC_rgb_jpeg_dcmtk.dcm',
        'SC_rgb_gdcm_KY.dcm',
        'SC_ybr_full_422_uncompressed.dcm',
        'SC_rgb_dcmtk_+eb+cr.dcm',
        'SC_rgb_dcmtk_+eb+cy+n1.dcm',
        'SC_rgb_dcmtk_+eb+cy+s4.dcm',
    ],
)
def test_a_test_card_has_its_colors(name):
    picture = make_thumbnail(file(name).read_bytes())
    assert picture
    image = np.asarray(Image.open(io.BytesIO(picture)).convert('RGB')).astype(int)
    # stripes of ten rows, each with a name in the manual of the file
    card = [
        (255, 0, 0),
        (255, 128, 128),
        (0, 255, 0),
        (128, 255, 128),
        (0, 0, 255),
        (128, 128, 255),
        (0, 0, 0),
        (64, 64, 64),
        (192, 192, 192),
        (255, 255, 255),
    ]
    assert np.abs(image[5::10, 50] - np.array(card)).max() < 12


def test_a_segmentation_is_white_on_black():
    picture = gray(make_thumbnail(file('liver_1frame.dcm').read_bytes()))
    assert (picture < 30).mean() > 0.5
    assert (picture > 225).mean() > 0.1


def test_what_has_no_pixel_data_has_no_picture():
    assert make_thumbnail(file('test-SR.dcm').read_bytes()) is None


@pytest.mark.parametrize('content', [b'', b'no DICOM at all', bytes(500)])
def test_what_is_no_dicom_file_has_no_picture(content):
    with suppress(PictureError):
        assert make_thumbnail(content) is None


@given(st.data())
def test_damage_is_nothing_but_a_picture_error(data):
    content = bytearray(MR.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(128, 1700))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(200, len(content)))
    with suppress(PictureError):
        make_thumbnail(content[:end])


def test_one_frame_alone_is_read_of_a_file_of_2_gigabytes(tmp_path):
    n_frames, length = 1000, 1024 * 1024 * 2
    dataset = pydicom.dcmread(file('MR_small_implicit.dcm'))
    dataset.Rows = dataset.Columns = 1024
    dataset.NumberOfFrames = n_frames
    dataset.PixelData = b''
    for tag in [e.tag for e in dataset if e.tag > 0x7FE00010]:
        del dataset[tag]
    head = io.BytesIO()
    dataset.save_as(head)
    path = tmp_path / 'large.dcm'
    with path.open('w+b') as f:
        f.write(head.getvalue()[:-4] + struct.pack('<L', n_frames * length))
        start = f.tell()
        f.truncate(start + n_frames * length)
        # the frame in the middle has a white half
        f.seek(start + 500 * length)
        f.write(struct.pack('<h', 2000) * (512 * 1024))
        tracemalloc.start()
        picture = gray(make_thumbnail(f))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert picture[10].min() > 200
    assert picture[120].max() < 50
    assert peak < 80e6


def test_a_frame_that_would_fill_the_memory_is_refused():
    dataset = pydicom.dcmread(MR)
    dataset.Rows = dataset.Columns = 65535
    content = io.BytesIO()
    dataset.save_as(content)
    with pytest.raises(PictureError, match='too large'):
        make_thumbnail(content)


def test_a_video_has_no_picture():
    dataset = pydicom.dcmread(file('MR_small_RLE.dcm'))
    dataset.file_meta.TransferSyntaxUID = MPEG2MPML
    content = io.BytesIO()
    dataset.save_as(content)
    with pytest.raises(PictureError, match='no decoder for transfer syntax'):
        make_thumbnail(content)


def test_the_extra_is_named_where_its_packages_are_missing(monkeypatch):
    assert can_make_pictures()
    monkeypatch.setattr(pictures, 'find_spec', lambda name: None)
    assert not can_make_pictures()
    with pytest.raises(PictureError, match=r'datalad-icf\[pictures\]'):
        make_thumbnail(MR.read_bytes())


def test_the_extra_is_named_where_a_decoder_is_missing(monkeypatch):
    from pydicom.pixels.decoders.base import Decoder

    monkeypatch.setattr(Decoder, 'is_available', False)
    with pytest.raises(PictureError, match=r'JPEG-LS.*datalad-icf\[pictures\]'):
        make_thumbnail(file('MR_small_jpeg_ls_lossless.dcm').read_bytes())


def test_an_image_can_be_named_without_the_packages(run):
    import sys

    code = (
        'import sys; sys.modules.update(numpy=None, PIL=None);'
        'from datalad_icf.dicomweb.pictures import pick_middle;'
        "print(pick_middle([(1, 'a')]))"
    )
    done = run(sys.executable, '-c', code, cwd=Path.cwd())
    assert (done.code, done.stdout) == (0, 'a\n')
