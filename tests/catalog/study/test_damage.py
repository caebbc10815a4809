"""What befell files of a catalog is healed by the next run"""

from __future__ import annotations

import json

import pytest

from datalad_icf.catalog import update_catalog
from datalad_icf.catalog.render import record_file
from datalad_icf.catalog.settings import CatalogSettings
from datalad_icf.errors import CatalogError


@pytest.fixture
def whole(deposit, catalog):
    """A catalog of two visits, and its files"""
    for name in ('V01', 'V02'):
        deposit(name)
    catalog.update('V01', 'V02')
    return catalog.files()


def record_of(catalog, visit_id):
    (version,) = catalog.visit_directory(visit_id).iterdir()
    return record_file(catalog.location, version.parent.name, version.name)


def test_records_that_were_exchanged_are_written_again(catalog, whole):
    first, second = (record_of(catalog, name) for name in ('V01', 'V02'))
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    catalog.update('V01', 'V02')
    assert catalog.files() == whole


@pytest.mark.parametrize('text', ['{"type": "dataset"}', '{}', '[]'])
def test_a_record_that_does_not_say_what_it_is_of_is_written_again(
    catalog, whole, text
):
    record_of(catalog, 'V01').write_text(text)
    catalog.update('V01')
    assert catalog.files() == whole


def test_records_of_directories_that_were_exchanged_are_written_again(catalog, whole):
    first, second = (
        path
        for path in sorted(record_of(catalog, 'V01').parents[1].glob('*/*.json'))
        if json.loads(path.read_bytes())['type'] == 'directory'
    )
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    catalog.update('V01')
    assert catalog.files() == whole


def test_a_damaged_configuration_of_a_page_is_written_again(catalog, whole):
    (config,) = catalog.visit_directory('V01').glob('*/config.json')
    config.write_bytes(b'')
    catalog.update('V01')
    assert catalog.files() == whole


@pytest.mark.parametrize('text', ['', '{', '[]', '7'])
def test_a_damaged_configuration_is_made_again(catalog, whole, text):
    (catalog.location / 'config.json').write_text(text)
    catalog.update('V01', 'V02')
    assert catalog.files() == whole


def test_a_damaged_configuration_is_made_again_with_name_and_colours(
    catalog, whole, tmp_path
):
    own = tmp_path / 'own.json'
    own.write_text('{"catalog_name": "Imaging at Home"}')
    catalog.update('V01', 'V02', config_file=own)
    expected = catalog.files()
    (catalog.location / 'config.json').write_text('')
    catalog.update('V02', config_file=own)
    assert catalog.files() == expected != whole


def test_what_stops_one_visit_is_told_for_the_next_one_too(catalog, whole, tmp_path):
    own = tmp_path / 'own.json'
    own.write_text('{"catalog_name": "Imaging at Home"}')
    (catalog.location / 'schema' / 'jsonschema_dataset.json').write_text('{')
    with update_catalog(catalog.paths, CatalogSettings(config_file=own)) as update:
        for visit_id in ('V01', 'V02'):
            with pytest.raises(CatalogError, match='schema is damaged'):
                update.add(catalog.visit_paths(visit_id))
