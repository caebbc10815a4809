"""The pages of datalad-catalog, as they are when they are served"""

from __future__ import annotations

import re

import pytest

INDEX, TEMPLATE = 'index.html', 'templates/dataset-template.html'


@pytest.fixture(params=['created', 'patched'])
def pages(request, deposit, catalog, web_catalog):
    """The pages of a catalog that was made here, or by datalad-catalog itself"""
    deposit('V01')
    if request.param == 'patched':
        web_catalog(catalog.location).create()
        former = (catalog.location / INDEX).read_text()
        assert 'https://unpkg.com' in former
    catalog.update('V01')
    return catalog.location


def test_no_other_host_is_asked_for_a_part_of_the_page(pages):
    text = (pages / INDEX).read_text()
    assert not re.findall(
        r'<(?:script|link|img)[^>]+(?:src|href)="(?:https?:)?//', text
    )


def test_all_parts_of_the_page_are_there(pages):
    parts = re.findall(
        r'<(?:script|link)[^>]+(?:src|href)="([^"]+)"', (pages / INDEX).read_text()
    )
    assert any('vue.' in part for part in parts)
    assert all((pages / part).exists() for part in parts)


def test_the_page_may_talk_to_its_own_server_alone(pages):
    text = (pages / INDEX).read_text()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    rules = dict(r.split(maxsplit=1) for r in policy.split('; '))
    assert rules['default-src'] == "'self'"
    assert rules['connect-src'] == "'self'"
    assert 'http' not in policy
    # before anything is loaded
    assert text.index('Content-Security-Policy') < text.index('<script')


def test_the_clone_command_is_quoted(pages):
    text = (pages / TEMPLATE).read_text()
    commands = re.findall(r'datalad clone .*displayData\.url.*', text)
    assert commands
    assert all(re.search(r"clone '\{\{.*\}\}'", command) for command in commands)


def test_nothing_sends_the_address_to_another_host(pages):
    assert 'openWithBinder' not in (pages / TEMPLATE).read_text()


def test_the_rest_of_the_template_stays(pages):
    text = (pages / TEMPLATE).read_text()
    assert text.count('<span') == text.count('</span>')
    for part in ('Download with DataLad', 'access_request_contact', 'show_export'):
        assert part in text


def test_the_overview_is_beside_the_page(pages):
    assert (pages / 'overview.html').exists()
    assert (pages / 'overview.json').exists()


def test_each_part_is_mended_once(pages, catalog):
    before = catalog.files()
    catalog.update('V01')
    catalog.update('V01')
    assert catalog.files() == before
    assert (pages / INDEX).read_text().count('Content-Security-Policy') == 1


def test_no_draft_is_left(pages):
    assert not [p for p in pages.rglob('*') if p.name.startswith('.')]
    assert not list(pages.glob('icf-config*'))


def test_visits_of_an_older_catalog_stay(deposit, catalog, web_catalog):
    """What datalad-catalog made, with a record of another tool"""
    deposit('V01')
    made = web_catalog(catalog.location)
    made.create()
    other = {
        'type': 'dataset',
        'dataset_id': 'other',
        'dataset_version': '1',
        'name': 'other',
        'metadata_sources': {
            'key_source_map': {},
            'sources': [{'source_name': 'x', 'source_version': '1'}],
        },
    }
    made.add_record(other)
    catalog.update('V01')
    assert made.get_record('other', '1')['name'] == 'other'


def test_a_page_that_cannot_be_mended_is_warned_about(deposit, catalog, caplog):
    deposit('V01')
    catalog.update('V01')
    index = catalog.location / INDEX
    index.write_text(
        index.read_text().replace(
            '<script', '<script src="https://cdn.example.org/x.js"></script><script', 1
        )
    )
    catalog.update('V01')
    assert 'another host' in caplog.text
