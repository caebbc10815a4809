"""What catalog and DICOMweb tree show of visits is checked"""

from __future__ import annotations

import json
from shutil import rmtree

import pytest

from datalad_icf.catalog import CatalogSettings, update_catalog
from datalad_icf.dicomweb import TreeOptions, convert_visit


def test_a_catalog_entry_without_deposit_is_found(paths, find):
    for name in ('tarball', 'md5sum', 'tarball_metadata', 'dicoms_metadata'):
        getattr(paths, name).unlink()
    found = {finding.code: finding for finding in find()}
    assert "'V01'" in found['catalog-without-visit'].message
    assert "'V01'" in found['dicomweb-without-visit'].message


def test_a_catalog_of_another_state_is_found(paths, codes):
    overview = paths.catalog_dir / 'overview.json'
    record = json.loads(overview.read_text())
    images = record['visits'][0]['images']
    text = overview.read_text().replace(f'"images":{images}', '"images":7')
    assert text != overview.read_text()
    overview.write_text(text)
    assert codes() == {'catalog-differs'}


def test_a_lost_page_is_found(paths, codes):
    pages = [p for p in (paths.catalog_dir / 'metadata').iterdir() if p.is_dir()]
    overview = (paths.catalog_dir / 'overview.json').read_text()
    (page,) = [p for p in pages if p.name in overview]
    rmtree(page)
    assert codes() == {'catalog-damaged'}


@pytest.mark.parametrize('name', ['overview.json'])
def test_a_lost_or_cut_table_is_found(paths, codes, name):
    path = paths.catalog_dir / name
    path.write_text(path.read_text()[:100])
    assert codes() == {'catalog-damaged'}
    path.unlink()
    assert codes() == {'catalog-damaged'}


def test_a_damaged_record_of_the_study_is_found(paths, codes):
    for path in (paths.catalog_dir / 'metadata').rglob('*.json'):
        if '"subdatasets": [' in path.read_text():
            path.write_text('{')
    assert codes() == {'catalog-damaged'}


def page_of(paths, visit_id='V01'):
    """The record of a visit"""
    (page,) = (
        path
        for path in (paths.catalog_dir / 'metadata').glob('*/*/*/*.json')
        if json.loads(path.read_bytes()).get('name') == visit_id
    )
    return page


@pytest.mark.parametrize('change', [{'dataset_id': 'x'}, {'type': 'directory'}])
def test_a_page_of_something_else_is_found(paths, find, change):
    page = page_of(paths)
    page.write_text(json.dumps({**json.loads(page.read_bytes()), **change}))
    (finding,) = find()
    assert finding.code == 'catalog-damaged'
    assert 'no sound page' in finding.message


@pytest.mark.parametrize('children', ['S1_V01', 5, ['S1_V01']])
def test_a_page_with_damaged_children_ends_no_check(paths, codes, children):
    page = page_of(paths)
    page.write_text(json.dumps({**json.loads(page.read_bytes()), 'children': children}))
    assert 'not-verified' not in codes()


def test_directories_that_lead_back_to_themselves_are_found(paths, codes):
    for path in page_of(paths).parents[1].glob('*/*.json'):
        record = json.loads(path.read_bytes())
        if record['type'] == 'directory':
            record['children'] = [{'type': 'directory', 'path': record['path']}]
            path.write_text(json.dumps(record))
    assert codes() == {'catalog-damaged'}


def test_a_record_that_says_nothing_is_no_page(paths, codes):
    page_of(paths).write_text('{"type": "dataset"}')
    assert codes() == {'catalog-damaged'}


def test_a_lost_list_of_files_is_found(paths, codes):
    lists = [
        p for p in page_of(paths).parents[1].glob('*/*.json') if 'S1_' in p.read_text()
    ]
    lists[-1].write_text('{}')
    assert codes() == {'catalog-damaged'}


@pytest.mark.parametrize(
    'name',
    [
        *('index.html', 'overview.html', 'overview.js', 'overview-rows.js'),
        *('assets/app.js', 'config.json', 'metadata/super.json'),
        *('artwork/neutral-logo.svg', 'templates/dataset-template.html'),
    ],
)
@pytest.mark.parametrize('is_lost', [True, False])
def test_a_lost_or_empty_file_of_the_catalog_is_found_once(paths, find, name, is_lost):
    path = paths.catalog_dir / name
    if is_lost:
        path.unlink()
    else:
        path.write_bytes(b'')
    (finding,) = find()
    assert finding.code == 'catalog-damaged'
    assert name in finding.message
    with update_catalog(paths, CatalogSettings()) as update:
        update.add(paths)
        update.commit()
    assert find() == []


def test_a_catalog_of_another_tool_is_not_looked_at(paths, codes):
    rmtree(paths.catalog_dir)
    (paths.catalog_dir / 'metadata').mkdir(parents=True)
    (paths.catalog_dir / 'config.json').write_text('{')
    assert codes() == set()


def test_a_clone_command_for_a_dataset_that_is_gone_is_found(paths, find):
    paths.refs.unlink()
    paths.repo_export.unlink()
    (finding,) = find()
    assert finding.code == 'catalog-differs'
    assert 'icf-deposit-dataset' in finding.message
    with update_catalog(paths, CatalogSettings()) as update:
        update.add(paths)
        update.commit()
    assert find() == []


def test_a_visit_that_is_not_in_the_catalog_is_whole(paths, codes):
    with update_catalog(paths, CatalogSettings()) as update:
        for path in (paths.tarball_metadata, paths.dicoms_metadata):
            path.rename(path.with_suffix('.away'))
        update.drop_gone()
        update.commit()
    for path in (paths.tarball_metadata, paths.dicoms_metadata):
        path.with_suffix('.away').rename(path)
    assert codes() == set()


@pytest.mark.parametrize(
    'pattern',
    [
        'studies/*/series/*/instances/*',
        'studies/*/series/*/metadata',
        'studies/*/index.json',
        'studies/index.json',
        'studies/*/.icf/V01.json',
        '.icf/visits/V01.json',
        'studies/*/series/index.json',
        'studies/*/instances/index.json',
        'studies/*/series/*/instances/index.json',
        'studies/*/series/*/instances/*/info',
        'studies/*/series/*/instances/*/metadata',
        'studies/*/series/*/instances/*/frames',
        'studies/*/series/*/instances/*/frames/1',
    ],
)
def test_what_is_lost_in_the_tree_is_found(paths, codes, pattern):
    lost = next(iter(sorted(paths.dicomweb_dir.glob(pattern))))
    if lost.is_dir():
        rmtree(lost)
    else:
        lost.unlink()
    assert codes() == {'dicomweb-damaged'}


def test_an_unfinished_tree_is_found(paths, codes):
    (paths.dicomweb_dir / '.icf' / 'unfinished').touch()
    assert codes() == {'dicomweb-damaged'}


def test_a_tree_of_another_tarball_is_found(paths, codes):
    state = paths.dicomweb_dir / '.icf' / 'visits' / 'V01.json'
    record = json.loads(state.read_text())
    state.write_text(json.dumps({**record, 'tarball_md5': '0' * 32}))
    assert codes() == {'dicomweb-differs'}


@pytest.mark.parametrize('name', ['info', 'metadata'])
def test_documents_of_images_that_are_of_others_are_found(paths, find, name):
    first, *_, last = sorted(paths.dicomweb_dir.glob(f'**/instances/*/{name}'))
    content = first.read_bytes()
    if name == 'info':
        content = content.replace(b'"md5":"', b'"md5":"0')
    else:
        content = last.read_bytes()
    first.write_bytes(content)
    assert find(fast=True) == []
    (finding,) = find()
    assert finding.code == 'dicomweb-damaged'
    assert '--force' in finding.message
    convert_visit(paths, TreeOptions(thumbnails=False), force=True)
    assert find() == []


def test_a_tree_of_another_tarball_is_found_without_metadata(paths, codes):
    for name in ('tarball_metadata', 'dicoms_metadata', 'refs', 'repo_export'):
        getattr(paths, name).unlink()
    rmtree(paths.catalog_dir)
    assert codes(fast=True) == {'metadata-missing'}
    state = paths.dicomweb_dir / '.icf' / 'visits' / 'V01.json'
    record = json.loads(state.read_text())
    state.write_text(json.dumps({**record, 'tarball_md5': '0' * 32}))
    assert codes(fast=True) == {'metadata-missing', 'dicomweb-differs'}


def test_a_tree_that_may_not_be_read_is_not_called_damaged(paths, codes, monkeypatch):
    def refuse(_path):
        raise PermissionError(13, 'Permission denied')

    monkeypatch.setattr('datalad_icf.dicomweb.completeness.read_document', refuse)
    assert codes() == {'not-verified'}
    monkeypatch.undo()
    monkeypatch.setattr('datalad_icf.dicomweb.contents.read_document', refuse)
    assert codes() == {'not-verified'}
