"""From a tree back to the very DICOM file"""

import io
import os
import random
import tracemalloc
import zlib
from hashlib import md5
from pathlib import Path
from struct import pack

import pytest

from datalad_icf.dicomweb.info import Origin
from datalad_icf.dicomweb.rebuild import rebuild_p10
from datalad_icf.dicomweb.source import FileSource
from datalad_icf.errors import DicomError
from tests.dicomweb.dicom_bytes import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    JPEG,
    UNDEFINED,
    bundled_files,
    element,
    fragments,
    item,
    part10,
    read,
    sequence,
)
from tests.dicomweb.odd_files import ENCAPSULATED, NAME, ODD, pixels
from tests.dicomweb.write_layout import Uids, write_layout

UIDS = Uids('1.2', '1.2.3', '1.2.3.4')
VISIT = os.environ.get('ICF_EXAMPLE_VISIT')


def rebuilt(tree, uids=UIDS):
    target = io.BytesIO()
    report = rebuild_p10(tree, *uids, target)
    return target.getvalue(), report


def back(tree, data, **options):
    """What comes back of a DICOM file that becomes a tree"""
    write_layout(tree, data, uids=UIDS, **options)
    return rebuilt(tree)[0]


def test_bundled_files_come_back_byte_for_byte(tmp_path):
    seen = 0
    for number, path in enumerate(bundled_files()):
        data = path.read_bytes()
        try:
            read(data)
        except DicomError:
            continue
        assert back(tmp_path / str(number), data) == data, path.name
        seen += 1
    assert seen > 150


@pytest.mark.skipif(not VISIT, reason='ICF_EXAMPLE_VISIT is not set')
def test_real_images_come_back_byte_for_byte(tmp_path):
    paths = sorted(p for p in Path(VISIT or '').rglob('*') if p.is_file())
    for path in random.Random(7).sample(paths, 10):
        data = path.read_bytes()
        uids, info = write_layout(tmp_path, data)
        assert rebuilt(tmp_path, uids)[0] == data
        assert len(info.encode()) < 2000


@pytest.mark.parametrize('data_set', ODD.values(), ids=ODD)
@pytest.mark.parametrize('syntax', [EXPLICIT, DEFLATED])
def test_odd_files_come_back_byte_for_byte(tmp_path, data_set, syntax):
    if syntax == DEFLATED:
        deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        data_set = deflate.compress(data_set) + deflate.flush()
    data = part10(data_set, syntax)
    assert back(tmp_path, data) == data


@pytest.mark.parametrize('values', ENCAPSULATED.values(), ids=ENCAPSULATED)
def test_fragments_come_back_byte_for_byte(tmp_path, values):
    data = part10(fragments(*values) + element(0xFFFCFFFC, 'OB', b'ab'), JPEG)
    assert back(tmp_path, data) == data


@pytest.mark.parametrize('frames', [b'2 ', b'3 ', b'4 ', b'1A'])
def test_fragments_of_several_frames_come_back_byte_for_byte(tmp_path, frames):
    end = b'\xff\xd9'
    values = (b'', b'ab', b'cd' + end, b'ef', b'gh' + end)
    data = part10(element(0x00280008, 'IS', frames) + fragments(*values), JPEG)
    assert back(tmp_path, data) == data


@pytest.mark.parametrize('cut', [1, 8, 9, 12, 17, 20])
def test_fragments_that_are_cut_come_back_byte_for_byte(tmp_path, cut):
    data = part10(NAME + fragments(b'', b'abcd', b'efgh')[:-cut], JPEG)
    assert back(tmp_path, data) == data


def test_implicit_vr_comes_back_byte_for_byte(tmp_path):
    data = part10(
        element(0x00080000, '', pack('<L', 12))
        + element(0x00080060, '', b'MR  ')
        + sequence(0x00081140, '', item(element(0x00080100, '', b'T-1 ')))
        + element(0x00090010, '', b'ACME')
        + element(0x00091001, '', bytes(100))
        + element(0x00280106, '', b'\xff\xff'),
        IMPLICIT,
    )
    assert back(tmp_path, data) == data


def test_explicit_vr_under_an_implicit_label_comes_back_byte_for_byte(tmp_path):
    data = part10(NAME + element(0x00204000, 'LT', b'abcd'), IMPLICIT)
    assert back(tmp_path, data) == data


BIG = {'little': False}


@pytest.mark.parametrize('vr', ['OB', 'OW'])
@pytest.mark.parametrize('bits', [1, 8, 16])
def test_big_endian_comes_back_byte_for_byte(tmp_path, vr, bits):
    value = bytes(range(36)) if bits == 16 else b'abcdefghijklmnopqr'
    data = part10(
        element(0x00080000, 'UL', pack('>L', 12), **BIG)
        + element(0x00080060, 'CS', b'MR  ', **BIG)
        + sequence(
            0x00081140,
            'SQ',
            item(element(0x00080100, 'SH', b'T-1 ', **BIG), length=UNDEFINED, **BIG),
            length=UNDEFINED,
            **BIG,
        )
        + element(0x00091001, 'OW', bytes(range(200)), **BIG)
        + element(0x00280009, 'AT', pack('>HH', 0x18, 0x1063), **BIG)
        + pixels(value, vr, little=False, frames=b'3 ', bits=bits),
        BIG_ENDIAN,
    )
    assert back(tmp_path, data) == data


@pytest.mark.parametrize('explicit', [True, False])
def test_a_sequence_as_un_in_big_endian_comes_back_byte_for_byte(tmp_path, explicit):
    how = {'little': not explicit}
    inner = element(0x00080100, 'SH' if explicit else '', b'T-1 ', **how)
    number = element(0x00280010, 'US' if explicit else '', b'\1\2', **how)
    content = item(inner, number, **how) + pack(
        '>HHL' if explicit else '<HHL', 0xFFFE, 0xE0DD, 0
    )
    data = part10(
        element(0x00081140, 'UN', content, length=UNDEFINED, **BIG), BIG_ENDIAN
    )
    assert back(tmp_path, data) == data


@pytest.mark.parametrize('preamble', [None, b'II*\0' + bytes(124)])
def test_any_preamble_comes_back(tmp_path, preamble):
    data = part10(element(0x00080060, 'CS', b'MR') + NAME)
    data = data[132:] if preamble is None else preamble + data[128:]
    assert back(tmp_path, data) == data


@pytest.mark.parametrize(
    'file_meta',
    [
        element(0x00020000, 'UL', pack('<L', 28)),
        element(0x00020000, 'UL', pack('<L', 9999)),
        element(0x00020000, 'UL', b'ab'),
        element(0x00020002, 'UI', b'1.2 '),
        element(0x00020013, 'SH', b'\xff\xfe'),
        element(0x00020013, 'UN', b'abcd'),
        element(0x00020001, 'OB', b'\0\1') + element(0x00020001, 'OB', b'\0\2'),
        element(0x00020102, 'OB', bytes(200_000)),
    ],
)
def test_odd_file_meta_information_comes_back_byte_for_byte(tmp_path, file_meta):
    data = part10(NAME)
    data = data[:132] + file_meta + data[132:]
    assert back(tmp_path, data) == data


@pytest.mark.parametrize('level', range(10))
def test_deflated_data_come_back_from_any_level(tmp_path, level):
    text = element(0x00204000, 'UT', random.Random(7).randbytes(300).hex().encode())
    deflate = zlib.compressobj(level, wbits=-zlib.MAX_WBITS)
    deflated = deflate.compress(NAME + text) + deflate.flush()
    data = part10(deflated, DEFLATED)
    assert back(tmp_path, data) == data


def test_data_deflated_by_another_program_come_back(tmp_path):
    text = element(0x00204000, 'UT', bytes(range(32, 92)) * 200)
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS, strategy=zlib.Z_HUFFMAN_ONLY)
    deflated = deflate.compress(NAME + text) + deflate.flush()
    data = part10(deflated, DEFLATED)
    _, info = write_layout(tmp_path, data, uids=UIDS)
    assert 'bulkdata' in info.document['deflated']['raw']
    assert rebuilt(tmp_path)[0] == data


@pytest.mark.parametrize(
    'options',
    [{'bare': True}, {'compressed': True}, {'in_series': True}],
    ids=lambda options: next(iter(options)),
)
@pytest.mark.parametrize('kind', ['native', 'encapsulated'])
def test_comes_back_from_every_form_of_the_tree(tmp_path, options, kind):
    uid = element(0x00080018, 'UI', b'1.2.3.4\0')
    data = {
        'native': part10(uid + pixels(b'abcdefghijkl', frames=b'2 ')),
        'encapsulated': part10(uid + fragments(b'', b'abcd', b'ef'), JPEG),
    }[kind]
    assert back(tmp_path, data, **options) == data


def test_tells_what_was_rebuilt(tmp_path):
    data = part10(NAME)
    write_layout(tmp_path, data, uids=UIDS)
    _, report = rebuilt(tmp_path)
    assert report.size == len(data)
    assert report.md5 == md5(data, usedforsecurity=False).hexdigest()
    assert report.transformed == ()


def test_memory_is_bounded_however_large_the_file_is(tmp_path):
    rows, columns, n = 1024, 1024, 48
    order = '<H'
    head = part10(
        element(0x00280002, 'US', pack(order, 1))
        + element(0x00280008, 'IS', b'%d' % n)
        + element(0x00280010, 'US', pack(order, rows))
        + element(0x00280011, 'US', pack(order, columns))
        + element(0x00280100, 'US', pack(order, 8))
        + element(0x7FE00010, 'OB', length=rows * columns * n)
    )
    path = tmp_path / 'large.dcm'
    with open(path, 'wb') as f:
        f.write(head)
        f.truncate(len(head) + rows * columns * n)
    digest = md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    size = os.path.getsize(path)
    with open(path, 'rb') as f:
        source = FileSource(f.fileno(), 0, size)
        origin = Origin('large.dcm', 0, size, digest)
        write_layout(tmp_path / 'tree', source, uids=UIDS, origin=origin)
    with open(tmp_path / 'back.dcm', 'wb') as f:
        tracemalloc.start()
        rebuild_p10(tmp_path / 'tree', *UIDS, f)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert (tmp_path / 'back.dcm').read_bytes() == path.read_bytes()
    assert peak < 8 << 20
