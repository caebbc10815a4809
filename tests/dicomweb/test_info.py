"""What `info` tells, and what it must not tell"""

import json
from struct import pack

import pydicom
import pytest

from datalad_icf.dicomweb.rebuild import rebuild_p10
from datalad_icf.dicomweb.transform import strip_private
from tests.dicomweb.dicom_bytes import (
    EXPLICIT,
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
NAME = element(0x00100010, 'PN', b'Doe^Jane')
INNER = element(0x00080100, 'SH', b'T-1 ')


@pytest.fixture
def document(tmp_path):
    """Makes the document of a data set"""

    def make(data_set, syntax=EXPLICIT, **options):
        data = part10(data_set, syntax)
        _, info = write_layout(tmp_path, data, uids=UIDS, **options)
        return json.loads(info.encode())

    return make


def test_tells_where_the_file_is(document):
    found = document(NAME)
    assert found['version'] == 1
    assert found['member'] == {
        'name': 'a/b.dcm',
        'offset': 1536,
        'size': len(part10(NAME)),
        'md5': found['member']['md5'],
    }
    assert found['transferSyntaxUID'] == EXPLICIT
    assert (found['explicitVR'], found['littleEndian']) == (True, True)


def test_the_file_meta_information_is_in_the_dicom_json_model(document):
    assert document(NAME)['fileMeta'] == {'00020010': {'vr': 'UI', 'Value': [EXPLICIT]}}


def test_nothing_is_said_of_what_is_as_usual(document):
    found = document(sequence(0x00081140, 'SQ', item(INNER), item()) + NAME)
    assert {*found} == {
        'version',
        'member',
        'fileMeta',
        'transferSyntaxUID',
        'explicitVR',
        'littleEndian',
    }


def test_undefined_lengths_are_said_once_for_all_sequences(document):
    sequences = b''.join(
        sequence(tag, 'SQ', item(INNER, length=UNDEFINED), length=UNDEFINED)
        for tag in range(0x00081140, 0x00081150)
    )
    odd = sequence(0x00081150, 'SQ', item(INNER))
    assert document(sequences + odd)['encoding'] == {
        'undefinedSequences': True,
        'undefinedItems': True,
        'elements': {
            '00081150': {'undefined': False},
            '00081150/1': {'undefined': False},
        },
    }


def test_right_group_lengths_are_said_without_their_values(document):
    found = document(element(0x00100000, 'UL', pack('<L', 16)) + NAME)
    assert found['encoding'] == {'groupLengths': ['0010']}


def test_the_order_is_said_if_it_is_wrong(document):
    found = document(NAME + element(0x00080060, 'CS', b'MR'))
    assert found['encoding'] == {'order': {'': ['00100010', '00080060']}}


def test_inexact_values_are_there(document):
    found = document(element(0x00100010, 'PN', b'Doe   '))
    assert found['encoding'] == {'elements': {'00100010': {'raw': 'RG9lICAg'}}}


def test_bulk_data_have_their_paths(document):
    found = document(
        sequence(0x00081140, 'SQ', item(element(0x00091001, 'OB', bytes(100))))
        + element(0x00091001, 'OB', bytes(120))
    )
    assert [(b['path'], b['length']) for b in found['bulkdata']] == [
        ('00081140/1/00091001', 100),
        ('00091001', 120),
    ]


def test_frames_have_their_size(document):
    image = (
        element(0x00280002, 'US', b'\1\0')
        + element(0x00280008, 'IS', b'3 ')
        + element(0x00280010, 'US', b'\2\0')
        + element(0x00280011, 'US', b'\5\0')
        + element(0x00280100, 'US', b'\1\0')
        + element(0x7FE00010, 'OB', b'abcd')
    )
    assert document(image)['pixelData'] == {
        'tag': '7FE00010',
        'mediaType': 'application/octet-stream',
        'transferSyntaxUID': EXPLICIT,
        'numberOfFrames': 3,
        'rows': 2,
        'columns': 5,
        'bitsAllocated': 1,
        'frameBits': 10,
        'word': 1,
        # the two bits and the byte behind the last frame
        'rest': 'ZA==',
    }


def test_fragments_have_their_lengths(document):
    table = pack('<LL', 0, 12)
    data_set = element(0x00280008, 'IS', b'2 ') + fragments(
        table, b'abcd', b'ef', b'ghij'
    )
    found = document(data_set, JPEG)['pixelData']
    assert found['fragments'] == [4, [2, 4]]
    assert found['offsetTable'] == 'complete'
    assert found['mediaType'] == 'image/jpeg'


def test_much_that_json_cannot_hold_is_bulk_data(document, tmp_path):
    found = document(NAME + b'\xfe\xff\x99\x99' + bytes(range(250)) * 30)
    name = found['trailing']['bulkdata']
    path = tmp_path / 'studies' / UIDS.study / 'bulkdata' / name
    assert path.read_bytes().startswith(b'\xfe\xff\x99\x99')


# ---- transformed instances

SECRET = b'secret secret secret'
STRIPPED = (
    element(0x00080000, 'UL', pack('<L', 9999))
    + sequence(
        0x00081140,
        'SQ',
        item(INNER, element(0x00091001, 'LT', SECRET)),
        item(element(0x00091001, 'UN', SECRET)),
    )
    + element(0x00090010, 'LO', b'ACME')
    + element(0x00091001, 'LT', SECRET + b'    ')
    + element(0x00091002, 'OB', SECRET * 50)
    + sequence(0x00091003, 'SQ', item(element(0x00100010, 'LT', SECRET)))
    + NAME
)


@pytest.fixture
def stripped(tmp_path):
    data = (
        SECRET.ljust(128, b'\0') + part10(STRIPPED + b'\xfe\xff\x99\x99' + SECRET)[128:]
    )
    write_layout(tmp_path, data, uids=UIDS, change=strip_private)
    return tmp_path


def test_nothing_is_left_of_what_a_transformation_took_away(stripped):
    for path in stripped.rglob('*'):
        if path.is_file():
            content = path.read_bytes()
            assert SECRET not in content
            # in base64, at any of the three places within a group
            for part in (b'c2VjcmV0', b'NlY3JldC', b'ZWNyZXQg'):
                assert part not in content, path.name


def test_a_transformed_file_comes_back_with_right_lengths(stripped):
    path = stripped / 'back.dcm'
    with open(path, 'wb') as f:
        report = rebuild_p10(stripped, *UIDS, f)
    assert report.transformed == ('strip_private',)
    dataset = pydicom.dcmread(path)
    assert [*map(int, dataset.keys())] == [0x00080000, 0x00081140, 0x00100010]
    assert [len(item) for item in dataset[0x00081140].value] == [1, 0]
    assert dataset.PatientName == 'Doe^Jane'
    # header and value of the sequence: two items, one of them with an element
    assert dataset[0x00080000].value == 12 + 8 + 12 + 8


def test_what_a_transformation_left_alone_is_not_called_transformed(document):
    assert 'transformed' not in document(NAME)


def test_a_transformed_deflated_file_comes_back(tmp_path):
    import zlib

    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = deflate.compress(STRIPPED) + deflate.flush()
    data = part10(deflated, '1.2.840.10008.1.2.1.99')
    write_layout(tmp_path, data, uids=UIDS, change=strip_private)
    path = tmp_path / 'back.dcm'
    with open(path, 'wb') as f:
        rebuild_p10(tmp_path, *UIDS, f)
    assert pydicom.dcmread(path).PatientName == 'Doe^Jane'
