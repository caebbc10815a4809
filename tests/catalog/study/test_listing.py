"""The record of a study, of which a visit is a line"""

import json

import pytest

from datalad_icf.catalog.listing import format_listing, insert, read_listing
from datalad_icf.errors import CatalogError

RECORD = {'type': 'dataset', 'name': 'S1', 'subdatasets': [], 'children': []}
ODD = {
    'P"1': ('id-1', 'a'),
    'P\\2': ('id-2', 'b'),
    'Ä\N{SNOWMAN}': ('id-3', 'c'),
    'x", "dataset_id": "y': ('id-4', 'd'),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'record.json'


def test_what_is_written_is_read_in_the_same_order(path):
    path.write_text(format_listing(RECORD, ODD))
    assert list(read_listing(path).items()) == list(ODD.items())


def test_the_record_is_what_datalad_catalog_would_have_written():
    record = json.loads(format_listing(RECORD, {'V"1': ('id-1', 'a')}))
    assert record == {
        'type': 'dataset',
        'name': 'S1',
        'subdatasets': [
            {
                'dataset_path': 'V"1',
                'dataset_id': 'id-1',
                'dataset_version': 'a',
                'dirs_from_path': ['V"1'],
            }
        ],
        'children': [
            {
                'type': 'dataset',
                'name': 'V"1',
                'dataset_id': 'id-1',
                'dataset_version': 'a',
            }
        ],
    }


def test_a_study_without_visits_is_read(path):
    path.write_text(format_listing(RECORD, {}))
    assert read_listing(path) == {}


def test_a_record_that_datalad_catalog_has_written_is_read(path):
    path.write_text(json.dumps(json.loads(format_listing(RECORD, ODD))))
    assert read_listing(path) == ODD


def test_no_record_lists_nothing(path):
    assert read_listing(path) == {}


@pytest.mark.parametrize(
    'text', ['', '{', '[]', '{}', '{"subdatasets": [3]}', '{"subdatasets": [{}]}', 'ä']
)
def test_a_damaged_record_is_told(path, text):
    path.write_bytes(text.encode())
    with pytest.raises(CatalogError, match=f'{path} is damaged'):
        read_listing(path)


def test_a_cut_record_is_told(path):
    text = format_listing(RECORD, ODD)
    path.write_text(text[:-4])
    with pytest.raises(CatalogError, match='is damaged'):
        read_listing(path)


@pytest.mark.parametrize('count', [1, 30])
def test_numbers_count_wherever_a_visit_is_inserted(count):
    there = {f'P{n}': ('id', 'a') for n in range(2, 40) if n not in (10, 20)}
    added = {f'P{n}': ('id', 'b') for n in [10, 20, *range(40, 40 + count)]}
    expected = [f'P{n}' for n in range(2, 40 + count)]
    assert list(insert(there, added)) == expected


def test_a_visit_that_was_there_keeps_its_place_and_gets_the_new_version():
    there = {'P1': ('id', 'a'), 'P2': ('id', 'a')}
    assert insert(there, {'P1': ('id', 'b')}) == {'P1': ('id', 'b'), 'P2': ('id', 'a')}
