from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datalad_icf.dicomweb.json_values import (
    BINARY_VRS,
    UnfitValue,
    encode_value,
    read_document,
    swap_words,
    write_value,
)

VRS = (
    (
        b'AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SS ST SV '
        b'TM UC UI UL UN UR US UT UV'
    )
    .decode()
    .split()
)
HOW = {'encodings': ('latin-1',), 'little_endian': True}


@given(st.sampled_from(VRS), st.binary(max_size=30), st.booleans())
def test_any_value_becomes_json_or_is_refused(vr, value, little_endian):
    how = {'encodings': ('UTF8',), 'little_endian': little_endian}
    try:
        text, _ = write_value(vr, value, **how)
    except UnfitValue:
        assert vr not in BINARY_VRS
        return
    document = b'{%b}' % text[1:]
    json.loads(document, parse_constant=pytest.fail)
    back = encode_value(vr, read_document(document), **how)
    # what comes back is written in the same way: only padding can be lost
    assert write_value(vr, back, **how)[0] == text
    if vr in BINARY_VRS:
        assert back == value


@given(st.binary(max_size=50), st.sampled_from((1, 2, 4, 8)))
def test_swapping_twice_changes_nothing(data, size):
    swapped = swap_words(data, size)
    assert len(swapped) == len(data)
    assert swap_words(swapped, size) == data


@pytest.mark.parametrize(
    ('vr', 'entry'),
    [
        ('US', {'Value': ['65536']}),
        ('US', {'Value': [None]}),
        ('US', {'Value': ['a']}),
        ('FL', {'Value': ['1e300']}),
        ('LO', {'Value': [1]}),
        ('LO', {'Value': 5}),
        ('LO', {'Value': ['\u0416']}),
        ('PN', {'Value': ['Doe']}),
        ('AT', {'Value': ['xyz']}),
        ('OB', {'InlineBinary': 'a'}),
        ('OB', {'InlineBinary': 5}),
    ],
)
def test_what_is_no_value_of_the_vr_is_refused(vr, entry):
    with pytest.raises(UnfitValue, match='is no value of VR'):
        encode_value(vr, entry, **HOW)


def test_numbers_keep_their_letters():
    entry = read_document(b'{"Value":[1.50,1e3,"+1"]}')
    assert encode_value('DS', entry, **HOW) == b'1.50\\1e3\\+1 '


def test_a_vr_that_is_not_known_is_refused():
    with pytest.raises(UnfitValue):
        write_value('ZZ', b'ab', **HOW)
