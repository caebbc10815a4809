from __future__ import annotations

import json
import math
from struct import pack

import pydicom
import pytest

from datalad_icf.dicomweb.bulk import iter_bulk
from datalad_icf.dicomweb.json_model import JsonBuilder
from tests.dicomweb.dicom_bytes import (
    BIG_ENDIAN,
    EXPLICIT,
    IMPLICIT,
    NAME,
    UNDEFINED,
    Text,
    assert_gives_back,
    build,
    element,
    item,
    parse,
    part10,
    read,
    sequence,
    value_of,
)

# what pydicom makes of a file that is damaged: see the tests of the reader
DAMAGED = ('no_meta.dcm', 'DICOMDIR-nooffset', 'rtplan_truncated.dcm')


# --- compared with pydicom


def differences(ours, theirs, path=''):
    for found in theirs:
        place = f'{path}{found.tag}'
        if found.tag.element == 0:
            continue
        if found.tag not in ours:
            yield f'{place} is missing'
            continue
        mine = ours[found.tag]
        if mine.VR != found.VR:
            yield f'{place} has VR {mine.VR}'
        elif found.VR == 'SQ':
            if len(mine.value) != len(found.value):
                yield f'{place} has {len(mine.value)} items'
            for a, b in zip(mine.value, found.value):
                yield from differences(a, b, f'{place}/')
        elif (mine.value or found.value) and mine.value != found.value:
            yield f'{place} has another value'
    for mine in ours:
        if mine.tag not in theirs:
            yield f'{path}{mine.tag} is not in the file'


def test_metadata_are_what_pydicom_reads(bundled_file, read_with_pydicom):
    if bundled_file.name in DAMAGED:
        return
    instance = read(bundled_file.read_bytes())
    made = JsonBuilder().build(instance)
    expected = read_with_pydicom(bundled_file)
    bulk = {
        item.name: b''.join(iter_bulk(instance.source, item)) for _, item in made.bulk
    }
    document = json.loads(
        made.document.replace(b'\0S', b'STUDY/').replace(b'\0I', b'INSTANCE/')
    )
    assert [*document] == sorted(document)
    if bundled_file.name == 'badVR.dcm':
        # no integer: kept as it is, but pydicom cannot even read its own JSON then
        assert document.pop('00280008')['Value'] == ['1A']
        del expected[0x00280008]

    def resolve(tag, vr, uri):
        if uri == 'INSTANCE/frames/1':
            return expected[tag].value
        return bulk[uri.removeprefix('STUDY/bulkdata/')]

    found = pydicom.Dataset.from_json(document, resolve)
    assert [*differences(found, expected)] == []


def test_every_byte_of_every_file_can_be_had_back(bundled_file):
    if bundled_file.name == 'no_meta.dcm':
        return
    instance = read(bundled_file.read_bytes())
    for sizes in ((64, 131_074), (0, 0)):
        made = JsonBuilder(*sizes).build(instance)
        if bundled_file.name != 'winter.dcm':
            assert made.problems == ()
        assert_gives_back(instance, made)


# --- what is right (PS3.18, F.2)


def test_tags_are_upper_case_and_ascending_also_if_they_are_not_in_the_file():
    first = element(0x0008103E, 'LO', b'A ')
    nested = sequence(0x00081140, 'SQ', item(NAME, first))
    document = parse(build(NAME + nested + first))
    assert [*document] == ['0008103E', '00081140', '00100010']
    assert [*document['00081140']['Value'][0]] == ['0008103E', '00100010']


def test_the_last_of_two_elements_counts_and_the_other_is_reported():
    made = build(element(0x00100020, 'LO', b'1 ') + element(0x00100020, 'LO', b'2 '))
    assert parse(made) == {'00100020': {'vr': 'LO', 'Value': ['2']}}
    assert [p.tag for p in made.problems] == ['00100020']


def test_group_lengths_are_not_in_json():
    length = element(0x00080000, 'UL', b'\1\0\0\0')
    made = build(length + sequence(0x00081140, 'SQ', item(length)))
    assert parse(made) == {'00081140': {'vr': 'SQ', 'Value': [{}]}}
    places = ('00080000', '00081140/1/00080000')
    assert made.inexact == dict.fromkeys(places, b'\1\0\0\0')
    assert made.vrs == dict.fromkeys(places, 'UL')
    assert not made.problems


def test_the_character_set_is_that_of_the_source():
    made = build(element(0x00080005, 'CS', b'ISO_IR 100'))
    assert parse(made)['00080005'] == {'vr': 'CS', 'Value': ['ISO_IR 100']}


@pytest.mark.parametrize(
    ('vr', 'value'),
    [(vr, b'') for vr in ('CS', 'DS', 'IS', 'PN', 'US', 'FD', 'AT', 'OB', 'UT', 'SQ')]
    + [('CS', b'  '), ('UI', b'\0\0'), ('DS', b' '), ('PN', b' '), ('LT', b' ')],
)
def test_no_value_has_no_member(vr, value):
    entry, made = value_of(vr, value)
    assert entry == {}
    assert made.inexact == ({'00091010': value} if value else {})


@pytest.mark.parametrize('vr', ['AE', 'CS', 'LO', 'DS', 'IS', 'DA', 'UI', 'SH', 'UC'])
def test_an_empty_value_among_others_is_null(vr):
    entry, made = value_of(vr, b'1\\\\23\\')
    assert entry == {'Value': ['1', None, '23', None]}
    assert not made.inexact


def test_an_empty_name_among_others_is_null():
    entry, _ = value_of('PN', b'A\\\\=B')
    expected = [{'Alphabetic': 'A'}, None, {'Ideographic': 'B'}]
    assert entry == {'Value': expected}


@pytest.mark.parametrize(
    ('vr', 'value', 'numbers', 'strings'),
    [
        ('DS', b'1.500', ['1.500'], []),
        ('DS', b' -0\\1e5\\2E-03 ', ['-0', '1e5', '2E-03'], []),
        (
            'DS',
            b'+1\\.5\\5.\\007\\abc\\1,5',
            [],
            ['+1', '.5', '5.', '007', 'abc', '1,5'],
        ),
        ('DS', b'NaN\\0x1', [], ['NaN', '0x1']),
        ('IS', b'12\\-3\\0 ', ['12', '-3', '0'], []),
        ('IS', b'1A\\1.5\\+1\\01', [], ['1A', '1.5', '+1', '01']),
        ('IS', b'9007199254740993', ['9007199254740993'], []),
    ],
)
def test_numbers_in_text_stay_as_they_are(vr, value, numbers, strings):
    entry, made = value_of(vr, value)
    assert entry['Value'] == numbers + strings
    assert [isinstance(v, Text) for v in entry['Value']] == [True] * len(numbers) + [
        False
    ] * len(strings)
    assert not made.problems


@pytest.mark.parametrize(('vr', 'letter'), [('FD', 'd'), ('FL', 'f')])
def test_what_is_no_number_is_a_string(vr, letter):
    numbers = (math.nan, math.inf, -math.inf, -0.0, 0.1)
    entry, made = value_of(vr, pack(f'<5{letter}', *numbers))
    *strings, zero, tenth = entry['Value']
    assert strings == ['NaN', 'Infinity', '-Infinity']
    assert not any(isinstance(string, Text) for string in strings)
    assert zero == '-0.0'
    assert isinstance(tenth, Text)
    assert pack(f'<{letter}', float(tenth)) == pack(f'<{letter}', 0.1)
    assert not made.inexact


def test_a_nan_with_other_bits_is_not_lost():
    value = bytes.fromhex('010000000000f87f')
    entry, made = value_of('FD', value)
    assert entry == {'Value': ['NaN']}
    assert made.inexact == {'00091010': value}


@pytest.mark.parametrize(
    ('vr', 'letter', 'number'),
    [
        ('US', 'H', 65535),
        ('SS', 'h', -32768),
        ('UL', 'L', 4294967295),
        ('SL', 'l', -2147483648),
        ('UV', 'Q', 18446744073709551615),
        ('SV', 'q', -9223372036854775808),
    ],
)
@pytest.mark.parametrize(('syntax', 'order'), [(EXPLICIT, '<'), (BIG_ENDIAN, '>')])
def test_integers_of_any_size_are_numbers(vr, letter, number, syntax, order):
    little = order == '<'
    value = pack(f'{order}2{letter}', number, 1)
    made = build(element(0x00091010, vr, value, little=little), syntax)
    entry = parse(made)['00091010']
    assert entry == {'vr': vr, 'Value': [str(number), '1']}
    assert all(isinstance(v, Text) for v in entry['Value'])
    assert not made.inexact


def test_the_first_number_of_a_lut_descriptor_is_never_negative():
    data = element(0x00283002, 'SS', pack('<Hhh', 40000, -5, 16))
    made = build(data)
    assert parse(made)['00283002']['Value'] == ['40000', '-5', '16']
    assert not made.inexact


@pytest.mark.parametrize(('syntax', 'order'), [(EXPLICIT, '<'), (BIG_ENDIAN, '>')])
def test_tags_as_values_are_upper_case_hexadecimal_digits(syntax, order):
    value = pack(f'{order}4H', 0x0018, 0x00FF, 0x7FE0, 0x0010)
    made = build(element(0x00280009, 'AT', value, little=order == '<'), syntax)
    assert parse(made)['00280009']['Value'] == ['001800FF', '7FE00010']
    assert not made.inexact


def test_text_is_not_split_at_backslashes():
    for vr in ('LT', 'ST', 'UT', 'UR'):
        assert value_of(vr, b' a\\b\n ')[0] == {'Value': [' a\\b\n']}


def test_padding_goes_and_other_spaces_stay():
    entry, made = value_of('CS', b'DERIVED \\PRIMARY ')
    assert entry == {'Value': ['DERIVED ', 'PRIMARY']}
    # one more than is needed
    assert made.inexact == {'00091010': b'DERIVED \\PRIMARY '}
    assert value_of('UI', b'1.2.3\0')[0] == {'Value': ['1.2.3']}
    assert value_of('AE', b' A \\ B')[0] == {'Value': ['A', 'B']}


def test_names_have_their_representations():
    entry, _ = value_of('PN', b'Doe^Jane==phonetic\\Roe')
    name = {'Alphabetic': 'Doe^Jane', 'Phonetic': 'phonetic'}
    assert entry == {'Value': [name, {'Alphabetic': 'Roe'}]}


def test_sequences_have_a_list_of_objects():
    made = build(
        sequence(0x00081140, 'SQ', item(NAME), item())
        + sequence(0x00081150, 'SQ', length=UNDEFINED)
    )
    name = {'00100010': {'vr': 'PN', 'Value': [{'Alphabetic': 'Doe^Jane'}]}}
    assert parse(made) == {
        '00081140': {'vr': 'SQ', 'Value': [name, {}]},
        '00081150': {'vr': 'SQ'},
    }


# --- one bad element


@pytest.mark.parametrize(
    ('vr', 'value'), [('US', b'abc'), ('FD', b'1234567'), ('AT', b'ab'), ('SL', b'ab')]
)
def test_a_bad_value_is_kept_as_un_and_reported(vr, value):
    data = element(0x00091010, vr, value)
    made = build(sequence(0x00081140, 'SQ', item(data)) + NAME)
    document = parse(made)
    entry = document['00081140']['Value'][0]['00091010']
    assert entry['vr'] == 'UN'
    assert document['00100010']['Value'] == [{'Alphabetic': 'Doe^Jane'}]
    assert [p.tag for p in made.problems] == ['00081140/1/00091010']
    assert made.vrs == {'00081140/1/00091010': vr}
    assert_gives_back(read(part10(data)), build(data))


@pytest.mark.parametrize(
    ('data', 'is_reported'),
    [
        (element(0x00280010, '', b'abc'), True),
        (element(0x00280010, 'UN', b'abc'), False),
        (element(0x00191115, '', b'abc'), False),
        (element(0x00081030, 'UN', b'\xff\xff'), False),
        (element(0x00081030, '', b'\xff\xff'), True),
    ],
)
def test_a_bad_value_is_no_fault_where_the_file_does_not_tell_its_vr(data, is_reported):
    utf8 = element(0x00080005, 'CS', b'ISO_IR 192')
    creator = element(0x00190011, 'LO', b'SIEMENS MR HEADER ')
    instance = read(part10(utf8 + creator + data))
    made = JsonBuilder().build(instance)
    assert bool(made.problems) == is_reported
    assert_gives_back(instance, made)


def test_no_problem_has_a_value_in_it():
    name = element(0x00080005, 'CS', b'Doe^Jane')
    name += element(0x00100010, 'PN', b'\xff\xfeDoe^Jane')
    name += element(0x00100010, 'US', b'Doe^Jane1')
    made = build(element(0x00080005, 'CS', b'ISO_IR 192') + name)
    assert len(made.problems) > 2
    assert 'Jane' not in str(made.problems)


# --- stored VRs


def test_only_vrs_that_json_does_not_tell_are_noted():
    un = element(0x00080060, 'UN', b'MR')
    implicit = element(0x00080070, '', b'A ')
    inner = sequence(0x00291010, 'UN', item(implicit, implicit), length=UNDEFINED)
    made = build(un + implicit + inner + NAME)
    assert made.vrs == {'00080060': 'UN', '00080070': '', '00291010': 'UN'}
    assert parse(made)['00080060'] == {'vr': 'CS', 'Value': ['MR']}
    assert build(implicit, IMPLICIT).vrs == {}


# --- memory and speed


def test_instances_that_are_alike_do_not_disturb_each_other():
    builder = JsonBuilder()
    bad = element(0x00091010, 'US', b'abc')
    binary = element(0x00091011, 'OB', bytes(100))
    data_sets = [
        (bad + binary + NAME, EXPLICIT),
        (element(0x00080005, 'CS', b'ISO_IR 192') + bad + binary + NAME, EXPLICIT),
        (sequence(0x00081140, 'SQ', item(bad + binary + NAME)), EXPLICIT),
        (sequence(0x00081140, 'UN', item(element(0x00100010, '', b'ab'))), EXPLICIT),
    ]
    for data_set in data_sets * 2:
        instance = read(part10(*data_set))
        assert builder.build(instance) == JsonBuilder().build(instance)


def test_a_text_of_one_character_set_is_not_taken_for_another():
    builder = JsonBuilder()
    texts = []
    for character_set in (b'ISO_IR 100', b'ISO_IR 144', b'ISO_IR 100'):
        data = element(0x00080005, 'CS', character_set)
        made = builder.build(read(part10(data + element(0x00100010, 'PN', b'\xe4'))))
        texts.append(parse(made)['00100010']['Value'][0]['Alphabetic'])
    assert texts == ['ä', 'ф', 'ä']


def test_what_is_remembered_has_a_limit(monkeypatch):
    monkeypatch.setattr('datalad_icf.dicomweb.json_model._MAX_ENTRIES', 10)
    builder = JsonBuilder()
    for number in range(100):
        data = element(0x00100020, 'LO', b'%04d' % number) + NAME
        document = parse(builder.build(read(part10(data))))
        assert document['00100020']['Value'] == [f'{number:04}']
        assert sum(map(len, builder._memos.values())) <= 10


def test_a_group_length_that_is_there_twice_is_a_problem():
    twice = element(0x00080000, 'UL', bytes(4)) * 2
    made = JsonBuilder().build(read(part10(twice)))
    assert [problem.tag for problem in made.problems] == ['00080000']


def test_a_tag_that_is_there_twice_with_others_between_is_a_problem():
    comment = element(0x00204000, 'LT', b'none')
    made = JsonBuilder().build(read(part10(comment + NAME + comment)))
    assert [problem.tag for problem in made.problems] == ['00204000']
