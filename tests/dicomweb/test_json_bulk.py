from __future__ import annotations

import hashlib

import pytest

from datalad_icf.dicomweb.bulk import iter_bulk
from datalad_icf.dicomweb.json_model import JsonBuilder
from datalad_icf.dicomweb.model import PIXEL_DATA
from tests.dicomweb.dicom_bytes import (
    BIG_ENDIAN,
    EXPLICIT,
    IMPLICIT,
    JPEG,
    build,
    element,
    fragments,
    item,
    parse,
    part10,
    read,
    sequence,
    value_of,
)

# --- binary values


@pytest.mark.parametrize(
    ('vr', 'in_file'),
    [
        ('OB', 'AAECAwQFBgc='),
        ('UN', 'AAECAwQFBgc='),
        ('OW', 'AQADAgUEBwY='),
        ('OL', 'AwIBAAcGBQQ='),
        ('OF', 'AwIBAAcGBQQ='),
        ('OD', 'BwYFBAMCAQA='),
        ('OV', 'BwYFBAMCAQA='),
    ],
)
def test_inline_binary_is_little_endian(vr, in_file):
    data = bytes(range(8))
    assert value_of(vr, data)[0] == {'InlineBinary': 'AAECAwQFBgc='}
    made = build(element(0x00091010, vr, data, little=False), BIG_ENDIAN)
    assert parse(made)['00091010'] == {'vr': vr, 'InlineBinary': in_file}
    assert not made.inexact


@pytest.mark.parametrize('vr', ['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'UN'])
@pytest.mark.parametrize(('tag', 'limit'), [(0x00091010, 64), (0x00080007, 100)])
def test_long_binary_values_are_bulk_data(vr, tag, limit):
    sizes = {'private_bulk_size': 64, 'public_bulk_size': 100}
    (entry,) = parse(build(element(tag, vr, bytes(limit)), **sizes)).values()
    assert [*entry] == ['vr', 'InlineBinary']
    value = bytes(limit + 2)
    made = build(element(tag, vr, value), **sizes)
    name = hashlib.sha256(value).hexdigest()
    uri = f'STUDY/bulkdata/{name}'
    assert parse(made) == {f'{tag:08X}': {'vr': vr, 'BulkDataURI': uri}}
    ((path, bulk),) = made.bulk
    assert (path, bulk.name, bulk.value) == (f'{tag:08X}', name, value)


@pytest.mark.parametrize('vr', ['CS', 'LO', 'UT', 'DS', 'FD', 'UI', 'PN', 'AT', 'US'])
def test_other_long_values_are_not(vr):
    value = bytes(64) if vr in ('FD', 'AT', 'US') else b'1' * 64
    entry, made = value_of(vr, value * 10, private_bulk_size=0)
    assert [*entry] == ['Value']
    assert not made.bulk


def test_values_in_items_are_bulk_data_with_their_path():
    binary = element(0x00091010, 'OB', bytes(100))
    made = build(
        sequence(
            0x00081140, 'SQ', item(), item(binary, binary[:2] + b'\x11' + binary[3:])
        )
    )
    assert [path for path, _ in made.bulk] == [
        '00081140/2/00091010',
        '00081140/2/00091011',
    ]
    assert made.bulk[0][1] == made.bulk[1][1]


def test_a_value_that_is_too_long_for_memory_is_bulk_data():
    for vr, json_vr in (('UT', 'UT'), ('UN', 'UN')):
        made = build(element(0x00091010, vr, b'a' * 200_000))
        assert parse(made)['00091010']['vr'] == json_vr
        assert made.bulk[0][1].span.length == 200_000
        assert not made.problems
    # not allowed for LO, and only possible with implicit VR
    made = build(element(0x00100020, '', b'a' * 200_000), IMPLICIT)
    assert parse(made)['00100020']['vr'] == 'UN'
    assert [p.tag for p in made.problems] == ['00100020']


@pytest.mark.parametrize('size', [10, 3_000_000])
def test_bulk_data_are_little_endian(size):
    value = bytes(range(250)) * (size // 250 + 1)
    data = part10(element(0x00091010, 'OW', value, little=False), BIG_ENDIAN)
    instance = read(data)
    ((_, bulk),) = JsonBuilder().build(instance).bulk
    expected = bytearray(value)
    expected[::2], expected[1::2] = value[1::2], value[::2]
    parts = [*iter_bulk(instance.source, bulk)]
    assert b''.join(parts) == expected
    assert bulk.name == hashlib.sha256(expected).hexdigest()
    assert max(map(len, parts)) <= 1 << 20


def test_pixel_data_are_frames_however_short():
    instance = read(part10(element(PIXEL_DATA, 'OW', b'ab')))
    for n_frames, uri in ((1, 'frames/1'), (2, 'frames')):
        made = JsonBuilder().build(instance, n_frames)
        expected = {'vr': 'OW', 'BulkDataURI': f'INSTANCE/{uri}'}
        assert parse(made) == {'7FE00010': expected}
        assert not made.bulk


@pytest.mark.parametrize(
    ('tag', 'vr'), [(0x7FE00008, 'OF'), (0x7FE00009, 'OD'), (PIXEL_DATA, 'OB')]
)
def test_pixel_data_of_any_kind_are_frames(tag, vr):
    made = build(element(tag, vr, bytes(8)))
    assert [*parse(made).values()] == [{'vr': vr, 'BulkDataURI': 'INSTANCE/frames/1'}]


def test_encapsulated_pixel_data_are_frames():
    made = build(fragments(b'', b'abcd'), JPEG)
    expected = {'vr': 'OB', 'BulkDataURI': 'INSTANCE/frames/1'}
    assert parse(made) == {'7FE00010': expected}


@pytest.mark.parametrize(
    ('data', 'syntax'), [(element(PIXEL_DATA, 'OW'), EXPLICIT), (fragments(), JPEG)]
)
def test_no_pixel_data_are_no_frames(data, syntax):
    (entry,) = parse(build(data, syntax)).values()
    assert [*entry] == ['vr']


def test_pixel_data_of_an_icon_are_no_frames():
    icon = sequence(0x00880200, 'SQ', item(element(PIXEL_DATA, 'OW', b'abcd')))
    (entry,) = parse(build(icon)).values()
    assert entry['Value'][0]['7FE00010']['InlineBinary'] == 'YWJjZA=='
    data = fragments(b'', b'abcd', b'efgh')
    instance = read(part10(sequence(0x00880200, 'SQ', item(data)), JPEG))
    made = JsonBuilder().build(instance)
    ((path, bulk),) = made.bulk
    assert path == '00880200/1/7FE00010'
    # the value as it stands, without the delimiter
    assert b''.join(iter_bulk(instance.source, bulk)) == data[12:-8]


def test_pixel_data_without_a_whole_frame_are_not_somewhere_else():
    instance = read(part10(element(PIXEL_DATA, 'OW', b'ab')))
    made = JsonBuilder().build(instance, 0)
    assert parse(made) == {'7FE00010': {'vr': 'OW', 'InlineBinary': 'YWI='}}
