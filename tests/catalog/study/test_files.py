"""The files of a visit: as datalad-catalog would write them, and in linear time"""

from __future__ import annotations

import json
import os
import stat
from copy import deepcopy

import pytest

from datalad_icf.catalog import records, render
from datalad_icf.catalog.records import STUDY_VERSION, study_uuid
from datalad_icf.store import read_instances


def file_records(catalog):
    return [
        child
        for node in catalog.nodes
        for child in node.get('children', ())
        if child.get('type') == 'file'
    ]


def test_every_file_is_listed_with_its_size(deposit, catalog):
    deposit('V01', copies=3)
    catalog.update('V01')
    assert sorted((f['name'], f['contentbytesize']) for f in file_records(catalog)) == [
        (f'{series}-{copy:04d}.dcm', 1000 + copy)
        for series in (0, 1)
        for copy in range(3)
    ]


@pytest.mark.parametrize('max_files', [0, 3, -1])
def test_more_files_than_the_limit_are_not_listed(deposit, catalog, max_files):
    deposit('V01')
    catalog.update('V01', max_files=max_files)
    assert file_records(catalog) == []


def test_as_many_files_as_the_limit_are_listed(deposit, catalog):
    deposit('V01')
    catalog.update('V01', max_files=4)
    assert len(file_records(catalog)) == 4


def test_another_limit_is_a_change(deposit, catalog):
    deposit('V01')
    catalog.update('V01', max_files=0)
    assert catalog.update('V01', max_files=4)[0].is_new
    assert len(file_records(catalog)) == 4
    assert catalog.update('V01', max_files=0)[0].is_new
    assert file_records(catalog) == []


def comparable(location):
    """Content of the records below a directory, whatever their order"""
    found = {}
    for path in location.rglob('*.json'):
        node = json.loads(path.read_bytes())
        node.get('children', []).sort(key=json.dumps)
        found[path.relative_to(location).as_posix()] = node
    return found


def test_the_records_are_those_that_datalad_catalog_writes(
    deposit, catalog, web_catalog, tmp_path
):
    paths = deposit('V01', copies=3, directory='a/b')
    other = json.loads(paths.dicoms_metadata.read_bytes())
    for number, name in enumerate(['top.dcm', 'S1_V01/x.dcm', 'S1_V01/a/y.dcm']):
        other[number]['path'] = name
    tarball = json.loads(paths.tarball_metadata.read_bytes())
    del tarball['dicoms_md5']
    paths.tarball_metadata.write_text(json.dumps(tarball))
    paths.dicoms_metadata.write_text(json.dumps(other))
    catalog.update('V01')

    made = web_catalog(tmp_path / 'other')
    made.create()
    visit = catalog.visit()
    keys = visit.keys() - {'children', 'config'}
    record = {key: visit[key] for key in keys}
    # which datalad-catalog fills
    record['metadata_sources']['key_source_map'] = {}
    (config,) = catalog.visit_directory('V01').glob('*/config.json')
    made.add_record(deepcopy(record), config_file=config)
    for file in records.build_file_records(
        record, read_instances(paths.dicoms_metadata)
    ):
        made.add_record(file)
    name = catalog.visit_directory('V01').name
    assert comparable(catalog.visit_directory('V01')) == comparable(
        tmp_path / 'other' / 'metadata' / name
    )


def test_datalad_catalog_accepts_all_that_is_written(deposit, catalog, web_catalog):
    for name in ('V01', 'V02'):
        deposit(name)
    catalog.update('V01', 'V02')
    validate = web_catalog(catalog.location).schema_validator.validate
    kinds = []
    for node in catalog.nodes:
        kinds.append(node['type'])
        if node['type'] == 'dataset':
            # what datalad-catalog adds to a record when it writes it
            validate({k: v for k, v in node.items() if k not in ('children', 'config')})
        for child in node['children']:
            if child['type'] == 'file':
                kinds.append('file')
                validate(child)
    assert kinds.count('dataset') == 3
    assert kinds.count('file') == 8


def test_datalad_catalog_finds_the_study_and_its_visits(deposit, catalog, web_catalog):
    deposit('V01')
    catalog.update('V01')
    opened = web_catalog(catalog.location)
    assert opened.is_created()
    home = opened.get_main_dataset()
    assert home == {'dataset_id': study_uuid('S1'), 'dataset_version': STUDY_VERSION}
    (visit,) = opened.get_record(**home)['subdatasets']
    record = opened.get_record(visit['dataset_id'], visit['dataset_version'])
    assert record['name'] == 'V01'


def test_the_catalog_can_be_listed_by_the_command_of_datalad_catalog(
    deposit, catalog, run_datalad
):
    deposit('V01')
    catalog.update('V01')
    done = run_datalad('catalog-get', '-c', catalog.location, 'home')
    assert done.record['status'] == 'ok'


@pytest.mark.parametrize('flat', [True, False])
def test_work_grows_with_the_number_of_files_and_not_with_its_square(
    deposit, catalog, monkeypatch, flat
):
    from datalad_catalog.node import Node

    compared = 0
    add_child = Node.add_child

    def count(self, child):
        nonlocal compared
        compared += len(self.children)
        return add_child(self, child)

    monkeypatch.setattr(Node, 'add_child', count)
    copies = 5000 if flat else 500
    series = ({'SeriesNumber': 1},) * (1 if flat else 10)
    deposit('V01', series, copies=copies)
    catalog.update('V01', max_files=5000)
    assert len(file_records(catalog)) == 5000
    # a file of a known directory is not compared with those that are there
    assert compared < 5000


def test_each_record_is_validated_once(deposit, catalog, monkeypatch):
    checked = []
    validate = render.Renderer.validate

    def note(self, record):
        checked.append(record['type'])
        validate(self, record)

    monkeypatch.setattr(render.Renderer, 'validate', note)
    deposit('V01')
    catalog.update('V01')
    assert sorted(checked) == ['dataset'] * 2 + ['file'] * 4


def test_a_visit_that_is_there_is_not_written_again(deposit, catalog, monkeypatch):
    deposit('V01')
    deposit('V02')
    catalog.update('V01')
    written = []
    write = render.Renderer.write_visit

    def note(self, record, files):
        written.append(record['name'])
        return write(self, record, files)

    monkeypatch.setattr(render.Renderer, 'write_visit', note)
    catalog.update('V01', 'V02')
    assert written == ['V02']


@pytest.mark.parametrize('umask', [0o002, 0o022, 0o027, 0o077])
def test_modes_are_those_of_the_umask(deposit, catalog, umask):
    before = os.umask(umask)
    try:
        deposit('V01')
        catalog.update('V01')
        deposit('V01', md5='f' * 32)
        catalog.update('V01')
    finally:
        os.umask(before)
    modes = {
        (path.is_dir(), stat.S_IMODE(path.stat().st_mode))
        for path in [catalog.location, *catalog.location.rglob('*')]
    }
    assert modes == {(True, 0o777 & ~umask), (False, 0o666 & ~umask)}
