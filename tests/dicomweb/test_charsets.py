from __future__ import annotations

import json
import logging

import pytest

from datalad_icf.dicomweb.charset import decode_text, encode_text, find_encodings
from datalad_icf.dicomweb.json_model import JsonBuilder
from tests.dicomweb.dicom_bytes import (
    build,
    bundled_files,
    element,
    item,
    read,
    sequence,
)

NAME = 0x00100010


def name_of(document):
    return document['00100010']['Value'][0]


def document_of(*data):
    return json.loads(build(b''.join(data)).document)


@pytest.mark.parametrize(
    ('file', 'name'),
    [
        ('chrArab', {'Alphabetic': 'قباني^لنزار'}),
        ('chrFren', {'Alphabetic': 'Buc^Jérôme'}),
        ('chrGerm', {'Alphabetic': 'Äneas^Rüdiger'}),
        ('chrGreek', {'Alphabetic': 'Διονυσιος'}),
        (
            'chrH31',
            {
                'Alphabetic': 'Yamada^Tarou',
                'Ideographic': '山田^太郎',
                'Phonetic': 'やまだ^たろう',
            },
        ),
        (
            'chrH32',
            {
                'Alphabetic': 'ﾔﾏﾀﾞ^ﾀﾛｳ',
                'Ideographic': '山田^太郎',
                'Phonetic': 'やまだ^たろう',
            },
        ),
        ('chrHbrw', {'Alphabetic': 'שרון^דבורה'}),
        (
            'chrI2',
            {
                'Alphabetic': 'Hong^Gildong',
                'Ideographic': '洪^吉洞',
                'Phonetic': '홍^길동',
            },
        ),
        ('chrJapMulti', {'Alphabetic': 'やまだ^たろう'}),
        ('chrKoreanMulti', {'Alphabetic': '김희중'}),
        ('chrRuss', {'Alphabetic': 'Люкceмбypг'}),  # noqa: RUF001
        (
            'chrX1',
            {'Alphabetic': 'Wang^XiaoDong', 'Ideographic': '王^小東'},
        ),
        (
            'chrX2',
            {'Alphabetic': 'Wang^XiaoDong', 'Ideographic': '王^小东'},
        ),
    ],
)
def test_names_in_all_character_sets_are_right(file, name):
    (path,) = (p for p in bundled_files() if p.stem == file)
    made = JsonBuilder().build(read(path.read_bytes()))
    found = name_of(json.loads(made.document.replace(b'\0', b'')))
    assert found == name
    assert not made.problems


def test_an_item_has_the_character_set_of_the_data_set_or_its_own():
    name = element(NAME, 'PN', 'ä'.encode())
    own = element(0x00080005, 'CS', b'ISO_IR 192')
    empty = element(0x00080005, 'CS')
    items = sequence(0x00081140, 'SQ', item(name), item(own, name), item(empty, name))
    document = document_of(element(0x00080005, 'CS', b'ISO_IR 144'), items, name)
    found = [name_of(i)['Alphabetic'] for i in document['00081140']['Value']]
    assert found == ['УЄ', 'ä', 'Ã¤']
    assert name_of(document) == {'Alphabetic': 'УЄ'}


def test_the_second_byte_of_a_character_is_no_backslash():
    # 05/12, the second byte of a character in GB18030
    value = '1\u4e57\\2'.encode('gb18030')
    assert value.count(b'\\') == 2
    character_set = element(0x00080005, 'CS', b'GB18030 ')
    document = document_of(character_set, element(0x00081030, 'LO', value + b' '))
    assert document['00081030']['Value'] == ['1\u4e57', '2']


def test_a_yen_sign_separates_values():
    # 05/12 in the Japanese set of one byte (PS3.5, 6.1.2.3)
    character_set = element(0x00080005, 'CS', b'ISO_IR 13 ')
    document = document_of(character_set, element(0x00081030, 'LO', b'\xd4\\\xcf '))
    assert document['00081030']['Value'] == ['ﾔ', 'ﾏ']


def test_the_default_character_set_takes_any_byte():
    assert document_of(element(0x00081030, 'LO', b'\xe4 '))['00081030']['Value'] == [
        'ä'
    ]


@pytest.mark.parametrize(
    ('character_set', 'value'),
    [
        (b'ISO_IR 192', b'\xff\xfe'),
        (b'ISO 2022 IR 6\\ISO 2022 IR 87 ', b'\x1b$B\xff\xfe'),
    ],
)
def test_bytes_that_do_not_fit_are_replaced_reported_and_kept(character_set, value):
    data = element(0x00080005, 'CS', character_set) + element(0x00081030, 'LO', value)
    made = build(data)
    assert '00081030' in json.loads(made.document)
    assert [p.tag for p in made.problems] == ['00081030']
    assert made.inexact['00081030'] == value


def test_an_escape_sequence_that_is_none_is_reported_and_kept():
    data = element(0x00080005, 'CS', b'\\ISO 2022 IR 149 ')
    made = build(data + element(0x00081030, 'LO', b'\x1b$)X12'))
    assert json.loads(made.document)['00081030']['Value'] == ['\x1b$)X12']
    assert [p.tag for p in made.problems] == ['00081030']


@pytest.mark.parametrize(
    ('value', 'encodings', 'is_right'),
    [
        (b'', ('iso8859',), True),
        (b'ISO_IR 100', ('latin_1',), True),
        (b'ISO_IR 192 ', ('UTF8',), True),
        (b'\\ISO 2022 IR 87', ('iso8859', 'iso2022_jp'), True),
        (b'ISO 2022 IR 100\\ISO 2022 IR 144', ('latin_1', 'iso_ir_144'), True),
        (b'ISO-IR 100', ('latin_1',), False),
        (b'ISO 2022 IR 6\\ISO_IR 192', ('iso8859',), False),
        (b'ISO_IR 192\\ISO 2022 IR 6', ('UTF8',), False),
        (b'no such', ('iso8859',), False),
        (b'rot13', ('iso8859',), False),
        (b'zlib\\undefined', ('iso8859', 'iso8859'), False),
        (b'a\0b', ('iso8859',), False),
        (b'\xff', ('iso8859',), False),
    ],
)
def test_finds_the_encodings_of_a_character_set(value, encodings, is_right):
    assert find_encodings(value) == (encodings, is_right)


def test_a_character_set_that_is_none_is_reported_but_not_logged(caplog):
    caplog.set_level(logging.DEBUG)
    made = build(element(0x00080005, 'CS', b'Doe^Jane') + element(NAME, 'PN', b'\xe4'))
    assert name_of(json.loads(made.document)) == {'Alphabetic': 'ä'}
    assert [p.tag for p in made.problems] == ['00080005']
    assert 'Doe' not in caplog.text


@pytest.mark.parametrize(
    ('character_set', 'text'),
    [
        (b'', 'Jane'),
        (b'ISO_IR 100', 'Jérôme'),
        (b'ISO_IR 192', '山田^太郎'),
        (b'GB18030', '王^小东'),
        (b'\\ISO 2022 IR 87', '山田^太郎=やまだ^たろう'),
        (b'\\ISO 2022 IR 149', '洪^吉洞=홍^길동'),
        (b'ISO 2022 IR 13\\ISO 2022 IR 87', 'ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎'),
        (b'ISO 2022 IR 100\\ISO 2022 IR 144', 'Buc^Jérôme=Люкс'),
    ],
)
def test_texts_come_back_as_they_were(character_set, text):
    encodings, _ = find_encodings(character_set)
    value = encode_text(text, encodings, '=^')
    assert decode_text(value, encodings) == (text, True)


@pytest.mark.parametrize('character_set', [b'ISO_IR 100', b'\\ISO 2022 IR 87'])
def test_what_a_character_set_does_not_have_cannot_be_encoded(character_set):
    with pytest.raises(UnicodeError):
        encode_text('a\u0e01', find_encodings(character_set)[0])
