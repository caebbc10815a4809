"""Values of DICOM files as text on a page"""

from __future__ import annotations

from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datalad_icf.catalog.text import MAX_LENGTH, clean_text, format_size

VALUES = st.recursive(
    st.none()
    | st.text(st.characters())
    | st.text(st.sampled_from('a \0\n\u202e\u2066\u200b\ud800\udfff\x85\u2028{<'))
    | st.integers()
    | st.floats()
    | st.booleans(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=10,
)


@given(VALUES)
def test_nothing_is_left_that_a_page_could_not_show(value):
    kinds = {category(character) for character in clean_text(value)}
    assert kinds.isdisjoint({'Cc', 'Cf', 'Cs', 'Co', 'Cn', 'Zl', 'Zp'})


@given(VALUES, st.integers(1, 200))
def test_no_text_is_longer_than_the_limit(value, limit):
    assert len(clean_text(value, limit)) <= limit


@given(VALUES)
def test_a_clean_text_stays_as_it_is(value):
    text = clean_text(value)
    assert clean_text(text) == text.strip()


@given(VALUES)
def test_a_clean_text_can_be_written(value):
    clean_text(value).encode()


@pytest.mark.parametrize(
    ('value', 'text'),
    [
        (None, ''),
        ('', ''),
        ([], ''),
        (0, '0'),
        (1.5, '1.5'),
        (7, '7'),
        (['a', None, '', 3], 'a, 3'),
        (('a', ['b', 'c']), 'a, b, c'),
        ('  a\t\r\n b  ', 'a b'),
        ('a\0b', 'a b'),
        ('\0', ''),
        ('a\u202eb\u2066c\u200fd', 'abcd'),
        ('a\ud800b', 'ab'),
        ('a\u2028b', 'a b'),
        ('Müller 頭 é', 'Müller 頭 é'),
        ('<script>{{ 1 }}', '<script>{{ 1 }}'),
    ],
)
def test_a_value_becomes_one_line_of_text(value, text):
    assert clean_text(value) == text


def test_a_text_at_the_limit_is_whole():
    assert clean_text('x' * MAX_LENGTH) == 'x' * MAX_LENGTH


def test_a_text_that_is_cut_tells_so():
    assert clean_text('x' * 3000) == 'x' * (MAX_LENGTH - 1) + '…'


def test_a_text_that_is_cut_after_what_nobody_sees_tells_so():
    assert clean_text('x' + '\u200b' * 3000 + 'y').endswith('…')


def test_a_list_that_is_cut_tells_so():
    assert clean_text(['abcdef'] * 100).endswith('…')


@pytest.mark.parametrize(
    ('size', 'text'),
    [
        (0, '0 bytes'),
        (999, '999 bytes'),
        (1000, '1.0 kB'),
        (999_949, '999.9 kB'),
        (999_950, '1.0 MB'),
        (10**15, '1.0 PB'),
        (10**19, '10000.0 PB'),
    ],
)
def test_a_size_is_shown_in_a_unit_that_fits(size, text):
    assert format_size(size) == text


def test_lists_in_lists_are_not_followed_for_ever():
    value = 'end'
    for _ in range(5000):
        value = [value]
    assert clean_text(value) == '…'
