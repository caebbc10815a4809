"""The commands on the pages of a catalog work when they are pasted"""

from __future__ import annotations

import json

import pytest

from datalad_icf.catalog import CatalogSettings, update_catalog


@pytest.fixture(scope='module')
def catalog_dir(phantom, server):
    """The catalog with the visit of the phantom"""
    settings = CatalogSettings(store_url=server.url)
    with update_catalog(phantom.paths, settings) as catalog:
        catalog.add(phantom.paths)
        catalog.commit()
    return phantom.paths.catalog_dir


@pytest.fixture(scope='module')
def visit(catalog_dir):
    """The line of the visit in the overview"""
    (line,) = json.loads((catalog_dir / 'overview.json').read_bytes())['visits']
    return line


@pytest.fixture(scope='module')
def record(catalog_dir, visit):
    """The record of the visit"""
    identity, version = visit['page'].split('/')[-2:]
    for path in (catalog_dir / 'metadata' / identity / version).rglob('*.json'):
        node = json.loads(path.read_bytes())
        if node.get('type') == 'dataset':
            return node
    raise AssertionError


def test_the_command_of_the_overview_clones_and_gets_an_image(
    reader, phantom, visit, tmp_path, digest
):
    reader.run('bash', '-c', visit['clone'], cwd=tmp_path)
    image = phantom.instances[0]
    reader.run('datalad', 'get', image.path, cwd=tmp_path / 'V01')
    assert digest(tmp_path / 'V01' / image.path) == image.md5


def test_all_commands_for_cloning_are_the_same(record, visit):
    tabs = {tab['name']: tab['content'] for tab in record['additional_display']}
    assert tabs['access']['clone'] == visit['clone']
    assert record['url'] in visit['clone']


def test_somebody_without_a_password_gets_nothing(stranger, visit, tmp_path):
    assert stranger.try_run('bash', '-c', visit['clone'], cwd=tmp_path).code != 0


def test_no_password_is_in_the_catalog(catalog_dir, password):
    for path in catalog_dir.rglob('*'):
        if path.is_file():
            assert password.encode() not in path.read_bytes()
