"""Values that mean harm are text, and never part of a link"""

from __future__ import annotations

import json
from unicodedata import category

import pytest

HOSTILE = {
    'script': '<script>alert(1)</script>',
    'image': '<img src=x onerror=alert(1)>',
    'javascript': 'javascript:alert(1)//http://x',
    'mustache': '{{ constructor.constructor("alert(1)")() }}',
    'nul': 'a\0b',
    'bidi': 'a\u202egpj.exe\u2066',
    'long': 'x' * 3000,
    'surrogate': 'a\ud800b',
    'context': '@context',
    'quote': '\'"`$(touch x);\\',
    'parent': '../../../etc/passwd',
}


def attributes(value):
    return {
        'SeriesNumber': value,
        'SeriesDescription': value,
        'ProtocolName': value,
        'Modality': value,
        'PatientName': value,
        'x': {'@type': 'https://schema.org/Thing', 'url': 'javascript:alert(2)'},
    }


@pytest.fixture(params=HOSTILE.values(), ids=HOSTILE.keys())
def hostile(request, deposit, catalog):
    """A catalog with a visit all values of which are hostile"""
    deposit('V01', (attributes(request.param), {'SeriesDescription': request.param}))
    catalog.update('V01')
    return request.param


def strings(value, key=''):
    """All texts in a record, with the key that each stands under"""
    if isinstance(value, dict):
        for name, item in value.items():
            yield 'key', name
            yield from strings(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item, key)
    elif isinstance(value, str):
        yield key, value


def texts(catalog):
    for node in catalog.nodes:
        yield from strings(node)
    yield from strings(catalog.overview)


def test_no_link_has_anything_of_a_value(hostile, catalog):
    links = {
        text
        for key, text in texts(catalog)
        if key in ('url', '@id', 'page', 'tarball', 'md5sum', 'viewer', 'thumbnail')
    }
    # what datalad-catalog would say about a name that we explain nowhere
    links.discard('')
    plain = {'overview.html', '../V01_dicom.tar', '../V01_dicom.tar.md5sum'}
    pages = {link for link in links if link.startswith('index.html#/dataset/')}
    assert links - pages == plain
    assert len(pages) == 1


def test_no_text_has_a_character_that_is_not_shown(hostile, catalog):
    for _, text in texts(catalog):
        kinds = {category(character) for character in text}
        assert kinds.isdisjoint({'Cc', 'Cf', 'Cs', 'Co', 'Zl', 'Zp'})


def test_no_text_is_long(hostile, catalog):
    assert max(len(text) for _, text in texts(catalog)) < 400


def test_all_files_are_ascii_and_json(hostile, catalog):
    paths = list(catalog.metadata.rglob('*.json'))
    assert len(paths) > 4
    for path in paths:
        json.loads(path.read_text(encoding='ascii'))
    json.loads((catalog.location / 'overview.json').read_text(encoding='ascii'))


def test_values_make_no_file_outside_the_records(hostile, catalog):
    names = [p.relative_to(catalog.metadata).parts for p in catalog.metadata.rglob('*')]
    assert all(set(''.join(n)) <= set('0123456789abcdefghijlnoprstu-.') for n in names)


def test_no_tab_of_values_is_taken_for_one_with_links(hostile, catalog):
    assert '@context' not in catalog.tab('series')
    assert '@context' not in catalog.tab('DICOM')


@pytest.mark.parametrize('directory', ['a\u202eb', 'x' * 3000, '<img src=x>', 'a//b'])
def test_names_of_files_are_shown_as_text(deposit, catalog, directory):
    deposit('V01', directory=directory)
    catalog.update('V01')
    names = [text for key, text in texts(catalog) if key in ('path', 'name')]
    assert all('\u202e' not in name and len(name) < 600 for name in names)
    catalog.assert_consistent()


def test_names_that_look_alike_after_cleaning_do_not_break_the_tree(deposit, catalog):
    deposit('V01', directory='a')
    paths = catalog.visit_paths('V01')
    instances = json.loads(paths.dicoms_metadata.read_bytes())
    for name, instance in zip(
        ['t/a', 't/a\u202e', 't/a/b', 't/a\u200b/b', './t/c', 't/./d'], instances * 2
    ):
        instance['path'] = name
    record = json.loads(paths.tarball_metadata.read_bytes())
    del record['dicoms_md5']
    paths.tarball_metadata.write_text(json.dumps(record))
    paths.dicoms_metadata.write_text(json.dumps(instances))
    catalog.update('V01')
    catalog.assert_consistent()
