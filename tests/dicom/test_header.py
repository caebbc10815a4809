from __future__ import annotations

import json
from contextlib import suppress
from datetime import timezone
from io import BytesIO
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from datalad_icf.dicom.elements import RawElement
from datalad_icf.dicom.header import (
    attribute_values,
    find_attribute,
    read_elements,
    study_timestamp,
    wanted_tags,
)

UTC = timezone.utc


def values(content, *keywords):
    """The JSON values of attributes, and the keywords of those with problems"""
    attributes = [find_attribute(keyword) for keyword in keywords]
    elements = read_elements(
        content[:4096], wanted_tags(attributes), lambda: BytesIO(content)
    )
    found, problems = attribute_values(elements, attributes)
    assert list(found) == list(keywords)
    json.dumps(found, allow_nan=False)
    return found, problems


@pytest.fixture
def value(image):
    """Makes an image with an attribute, and returns the JSON value of that"""

    def convert(keyword, raw, syntax='', **others):
        content = image(syntax, **{keyword: raw}, **others)
        found, problems = values(content, keyword)
        assert problems == []
        return found[keyword]

    return convert


@pytest.mark.parametrize(
    ('keyword', 'raw', 'expected'),
    [
        ('SeriesDescription', 't1 mprage', 't1 mprage'),
        ('SeriesDescription', 'odd', 'odd'),
        ('SeriesDescription', '', ''),
        ('SeriesDescription', ' both ends ', ' both ends'),
        ('SeriesDescription', 'a\\b', ['a', 'b']),
        ('SeriesDescription', 'Übung', 'Übung'),
        ('SeriesNumber', '7', 7),
        ('SeriesNumber', '-7', -7),
        ('SeriesNumber', b'+7 ', 7),
        ('SeriesNumber', b'1.0', 1),
        ('SeriesNumber', '1\\2', [1, 2]),
        ('SeriesNumber', b'abc', 'abc'),
        ('SeriesNumber', b'NaN', 'NaN'),
        ('SeriesNumber', b'inf', 'inf'),
        ('SeriesNumber', b'1.5', 1.5),
        ('SeriesNumber', '', None),
        ('EchoTime', '2.98', 2.98),
        ('EchoTime', b'NaN', 'NaN'),
        ('EchoTime', '', None),
        ('PixelSpacing', '1.5\\2', [1.5, 2.0]),
        ('StudyDate', '20130717', '20130717'),
        ('StudyInstanceUID', '1.2.3', '1.2.3'),
        ('ReferringPhysicianName', 'A^B', 'A^B'),
        ('Rows', 258, 258),
    ],
)
def test_a_value_becomes_one_that_json_has(value, keyword, raw, expected):
    found = value(keyword, raw)
    assert found == expected
    assert type(found) is type(expected)


def test_a_series_number_without_end_is_no_number_of_json(value):
    assert isinstance(value('SeriesNumber', b'1e999'), str)


def test_an_absent_attribute_is_an_empty_text(image):
    content = image(without=['SeriesDescription', 'SeriesNumber'])
    found, problems = values(content, 'SeriesDescription', 'SeriesNumber')
    assert found == {'SeriesDescription': '', 'SeriesNumber': ''}
    assert problems == []


@pytest.mark.parametrize('syntax', ['', ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize(
    ('keyword', 'raw'),
    [
        ('SeriesNumber', 7),
        ('Rows', 258),
        ('EffectiveDuration', 1.5),
        ('DiffusionBValue', 1000.0),
        ('SimpleFrameList', [1, 258]),
        ('ReferencePixelX0', -3),
        ('TagAngleFirstAxis', 0.25),
        ('FrameIncrementPointer', 0x00181063),
    ],
)
def test_a_number_does_not_depend_on_the_encoding(value, keyword, raw, syntax):
    assert value(keyword, raw, syntax) == raw


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('chrFren.dcm', 'Buc^Jérôme'),
        ('chrGerm.dcm', 'Äneas^Rüdiger'),
        ('chrGreek.dcm', 'Διονυσιος'),
        ('chrX1.dcm', 'Wang^XiaoDong=王^小東'),
    ],
)
def test_text_of_another_character_set_is_decoded(bundled, name, expected):
    found, problems = values(bundled(name).read_bytes(), 'PatientName')
    assert found == {'PatientName': expected}
    assert problems == []


@pytest.mark.parametrize('charset', ['ISO_IR 192', 'NO_SUCH_IT'])
def test_text_that_is_not_in_the_declared_character_set_is_told(image, charset):
    content = image(SeriesDescription='Übung').replace(b'ISO_IR 100', charset.encode())
    found, problems = values(content, 'SeriesDescription', 'SeriesNumber')
    assert 'SeriesDescription' in problems
    assert found['SeriesDescription'].endswith('bung')
    assert found['SeriesNumber'] == 2


@pytest.mark.parametrize(
    'keyword',
    [
        'NoSuchKeyword',
        '',
        'path',
        # of the file meta information
        'TransferSyntaxUID',
        # a sequence, and bulk data
        'ProcedureCodeSequence',
        'PixelData',
    ],
)
def test_a_keyword_that_names_no_attribute_is_refused(keyword):
    with pytest.raises(KeyError):
        find_attribute(keyword)


@given(
    st.sampled_from(
        ['SeriesDescription', 'SeriesNumber', 'EchoTime', 'Rows', 'PatientName']
    ),
    st.sampled_from(
        [b'', b'LO', b'IS', b'DS', b'US', b'SQ', b'UN', b'FD', b'\xff\xff']
    ),
    st.binary(max_size=20),
    st.binary(max_size=12),
    st.booleans(),
)
def test_any_bytes_become_a_value_that_json_has(keyword, vr, raw, charset, little):
    attribute = find_attribute(keyword)
    try:
        vr.decode()
    except UnicodeDecodeError:
        vr = b''
    elements = {
        attribute.tag: RawElement(vr, raw, little),
        0x00080005: RawElement(b'CS', charset),
    }
    found, _ = attribute_values(elements, [attribute])
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(
    ('date', 'time', 'expected'),
    [
        (b'20130717', b'141500', 1374070500.0),
        (b'20130717', b'141500 ', 1374070500.0),
        (b'20130717\0', b'14\0', 1374069600.0),
        (b'2013.07.17', b'141500', 1374070500.0),
        (b'19700101', b'00', 0.0),
    ],
)
def test_study_date_and_time_are_those_of_utc(date, time, expected):
    assert study_timestamp(date, time, UTC) == expected


def test_study_date_and_time_are_read_in_a_zone():
    zone = ZoneInfo('Europe/Berlin')
    assert study_timestamp(b'20130717', b'141500', zone) == 1374063300.0


def test_midnight_is_a_time():
    assert study_timestamp(b'20130717', b'000000', UTC) == 1374019200.0


@given(st.binary(max_size=12), st.binary(max_size=12))
def test_any_bytes_are_a_time_or_a_value_error(date, time):
    with suppress(ValueError, OverflowError):
        assert isinstance(study_timestamp(date, time, UTC), float)


def test_a_long_value_is_not_shown_in_full():
    with pytest.raises(ValueError, match=r"^StudyDate is 'x{16}'$"):
        study_timestamp(b'x' * 500, b'00', UTC)
