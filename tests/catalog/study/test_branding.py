"""Name, logo and colour of the facility"""

from __future__ import annotations

import json
import re
import shutil
from contextlib import suppress

import pytest

from datalad_icf.catalog.site import build_config
from datalad_icf.errors import CatalogError

OWN = {
    'catalog_name': 'Imaging at Home',
    'link_color': '#123456',
    'logo_path': 'logo.svg',
    'social_links': {'about': 'https://icf.example.org'},
}


@pytest.fixture
def configure_catalog(tmp_path):
    """Writes a configuration of datalad-catalog, with a logo beside it"""

    def write(
        name='brand.json', logo='<svg xmlns="http://www.w3.org/2000/svg"/>', **own
    ):
        directory = tmp_path / 'brand'
        directory.mkdir(exist_ok=True)
        (directory / 'logo.svg').write_text(logo)
        path = directory / name
        # JSON is YAML
        path.write_text(json.dumps({**OWN, **own}))
        return path

    return write


def config_of(catalog):
    return json.loads((catalog.location / 'config.json').read_bytes())


@pytest.fixture(params=['new', 'existing'])
def branded(request, deposit, catalog, configure_catalog):
    """A catalog with the name and logo of a facility"""
    deposit('V01')
    if request.param == 'existing':
        catalog.update('V01')
    catalog.update('V01', config_file=configure_catalog())
    return catalog


def test_the_name_is_that_of_the_facility(branded):
    assert config_of(branded)['catalog_name'] == 'Imaging at Home'
    assert branded.overview['facility']['name'] == 'Imaging at Home'
    assert branded.visit()['authors'] == [{'name': 'Imaging at Home'}]
    assert branded.study['authors'] == [{'name': 'Imaging at Home'}]


def test_the_logo_is_copied_for_both_pages(branded):
    for path in (config_of(branded)['logo_path'], branded.overview['facility']['logo']):
        assert path == 'artwork/logo.svg'
        assert (branded.location / path).read_text().startswith('<svg')


def test_colour_and_contact_are_those_of_the_facility(branded):
    assert config_of(branded)['link_color'] == '#123456'
    facility = branded.overview['facility']
    assert facility['color'] == '#123456'
    assert facility['contact'] == 'https://icf.example.org'


def test_no_path_of_this_machine_is_served(branded, tmp_path):
    for name, content in branded.files().items():
        assert str(tmp_path).encode() not in content, name


def test_a_branded_catalog_is_not_changed_again(branded, configure_catalog):
    before = branded.files()
    branded.update('V01', config_file=configure_catalog())
    assert branded.files() == before


def test_another_logo_of_the_same_name_is_copied(branded, configure_catalog):
    branded.update('V01', config_file=configure_catalog(logo='<svg>other</svg>'))
    assert (branded.location / 'artwork' / 'logo.svg').read_text() == '<svg>other</svg>'


def test_a_logo_that_comes_later_is_shown(deposit, catalog, configure_catalog):
    deposit('V01')
    catalog.update('V01', config_file=configure_catalog(logo_path=''))
    catalog.update('V01', config_file=configure_catalog())
    assert config_of(catalog)['logo_path'] == 'artwork/logo.svg'


def test_another_visit_brings_another_name_to_all_pages(
    branded, deposit, configure_catalog
):
    """The pages of a study have one name"""
    deposit('V02')
    branded.update('V02', config_file=configure_catalog(catalog_name='Renamed'))
    assert branded.overview['facility']['name'] == 'Renamed'
    assert config_of(branded)['catalog_name'] == 'Renamed'


def test_another_colour_reaches_the_overview_although_no_visit_changed(
    branded, configure_catalog
):
    branded.update('V01', config_file=configure_catalog(link_color='#abcdef'))
    assert branded.overview['facility']['color'] == '#abcdef'


def test_a_page_of_a_visit_has_the_colour_of_the_catalog(branded, configure_catalog):
    branded.update('V01', config_file=configure_catalog(link_color='#abcdef'))
    (path,) = branded.visit_directory('V01').glob('*/config.json')
    assert json.loads(path.read_bytes())['link_color'] == '#abcdef'


@pytest.mark.parametrize('name', ['brand.json', 'brand.yaml', 'brand.yml'])
def test_a_configuration_is_json_or_yaml(configure_catalog, name):
    assert build_config(configure_catalog(name))['catalog_name'] == 'Imaging at Home'


def test_real_yaml_is_read(tmp_path):
    path = tmp_path / 'brand.yaml'
    path.write_text('catalog_name: At Home # yes\nlink_color: "#123456"\n')
    assert build_config(path)['catalog_name'] == 'At Home'


def test_without_a_configuration_nothing_names_datalad_or_another_host(
    deposit, catalog
):
    deposit('V01')
    catalog.update('V01')
    facility = catalog.overview['facility']
    assert facility == {
        'name': 'Imaging core facility',
        'logo': 'artwork/neutral-logo.svg',
        'contact': None,
        'color': '#0b5394',
    }
    assert config_of(catalog)['logo_path'] == 'artwork/neutral-logo.svg'
    assert (catalog.location / 'artwork' / 'neutral-logo.svg').exists()
    assert 'http' not in json.dumps(config_of(catalog))


def test_a_missing_logo_is_refused_and_nothing_is_made(
    deposit, catalog, configure_catalog
):
    deposit('V01')
    with pytest.raises(CatalogError, match='no logo'):
        catalog.update('V01', config_file=configure_catalog(logo_path='absent.png'))
    assert not catalog.location.exists()


@pytest.mark.parametrize(
    ('name', 'content'),
    [
        ('a.json', '{'),
        ('a.json', '[]'),
        ('a.json', '7'),
        ('a.yaml', 'a: [b'),
        ('a.yaml', ''),
        ('a.yaml', 'x: !!python/object/apply:os.system ["true"]'),
        ('a.json', '{"catalog_name": null}'),
        ('a.json', '{"catalog_name": ["x"]}'),
        ('a.json', '{"catalog_name": ""}'),
        ('a.json', '{"link_color": 123456}'),
        ('a.json', '{"social_links": []}'),
        ('a.json', '{"social_links": null}'),
        ('a.json', '{"dataset_options": null}'),
        ('a.json', '{"logo_path": 7}'),
        ('a.json', '{"logo_path": null}'),
        ('a.json', '{"property_sources": null}'),
    ],
)
def test_an_odd_configuration_works_or_is_refused_with_its_name(
    deposit, catalog, tmp_path, name, content
):
    deposit('V01')
    path = tmp_path / name
    path.write_text(content)
    with suppress(CatalogError):
        catalog.update('V01', config_file=path)
        name = catalog.overview['facility']['name']
        assert name not in ('', 'None', "['x']", None)
        return
    with pytest.raises(CatalogError, match=re.escape(str(path))):
        catalog.update('V01', config_file=path)
    assert not catalog.location.exists()


@pytest.mark.parametrize(
    'sources',
    [
        {'dataset': {'name': {'rule': 'single', 'source': 'metalad_core'}}},
        {'dataset': {'description': {'rule': 'priority', 'source': ['bids_dataset']}}},
        {'dataset': {'name': 'x'}},
        7,
    ],
)
def test_a_configuration_for_other_tools_takes_nothing_from_a_visit(
    deposit, catalog, configure_catalog, sources
):
    deposit('V01')
    catalog.update('V01', config_file=configure_catalog())
    before = catalog.visit(), catalog.study
    shutil.rmtree(catalog.location)
    config_file = configure_catalog(property_sources=sources)
    catalog.update('V01', config_file=config_file)
    assert (catalog.visit(), catalog.study) == before


@pytest.mark.parametrize(
    'contact', ['javascript:alert(1)', 'data:text/html,x', 7, None]
)
def test_a_contact_that_is_no_address_is_left_out(
    deposit, catalog, configure_catalog, contact
):
    deposit('V01')
    own = configure_catalog(social_links={'about': contact})
    catalog.update('V01', config_file=own)
    assert catalog.overview['facility']['contact'] is None


@pytest.mark.parametrize('color', ['red', 'url(http://x)', '#12345', '#123456;x', ''])
def test_a_colour_that_is_none_is_left_out(deposit, catalog, configure_catalog, color):
    deposit('V01')
    catalog.update('V01', config_file=configure_catalog(link_color=color))
    assert catalog.overview['facility']['color'] is None


def test_the_name_of_a_logo_becomes_one_that_is_safe_in_an_address(
    deposit, catalog, configure_catalog
):
    deposit('V01')
    config = configure_catalog(logo_path='my logo#1 50%.svg')
    (config.parent / 'logo.svg').rename(config.parent / 'my logo#1 50%.svg')
    catalog.update('V01', config_file=config)
    logo = catalog.overview['facility']['logo']
    assert logo == 'artwork/my-logo-1-50-.svg'
    assert config_of(catalog)['logo_path'] == logo
    assert (catalog.location / logo).is_file()


def test_an_empty_configuration_is_told(deposit, catalog, tmp_path):
    deposit('V01')
    config = tmp_path / 'empty.yaml'
    config.touch()
    with pytest.raises(CatalogError, match='has no names with values'):
        catalog.update('V01', config_file=config)
