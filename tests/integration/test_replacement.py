"""Clones that exist learn what replaced the deposit that they were made of"""

from __future__ import annotations

import json
from hashlib import md5

import pytest

from datalad_icf.dataset import deposit_dataset


@pytest.fixture(scope='module')
def replaced(deposit_visit, reader, tar, image, server):
    """A clone that has fetched the deposit which replaced its own"""
    members = [(f'S2_V01/{n}.dcm', image(SeriesNumber=n)) for n in range(2)]
    deposited = deposit_visit('S2', 'V01', tar(*members))
    clone = reader.clone(deposited.dataset.clone_url, 'before replacement')
    paths = deposited.paths
    records = json.loads(paths.dicoms_metadata.read_bytes())
    for record in records:
        record.update(Modality='CT', ProtocolName='corrected', EchoTime=30)
    text = json.dumps(records)
    paths.dicoms_metadata.write_text(text)
    tarball = json.loads(paths.tarball_metadata.read_bytes())
    tarball['dicoms_md5'] = md5(text.encode()).hexdigest()
    paths.tarball_metadata.write_text(json.dumps(tarball))
    url = server.url.replace('127.0.0.1', 'localhost')
    deposit_dataset(paths, store_url=url, replace=True)
    reader.run('git', 'fetch', 'origin', cwd=clone)
    reader.run('git', 'annex', 'merge', cwd=clone)
    return clone, paths, url


@pytest.fixture
def fields(replaced, reader):
    clone, _, _ = replaced
    written = reader.run('git', 'annex', 'metadata', '--json', 'S2_V01', cwd=clone)
    return [record['fields'] for record in written.records]


def test_an_existing_clone_learns_the_new_url(replaced, reader):
    clone, paths, url = replaced
    found = reader.run(
        'git', 'annex', 'whereis', '--json', paths.dataset_path, cwd=clone
    )
    urls = {u for place in found.records[0]['whereis'] for u in place['urls']}
    assert f'{url}/{paths.store_path}' in urls


def test_an_existing_clone_learns_new_metadata(fields):
    assert {tuple(f['EchoTime']) for f in fields} == {('30',)}


def test_an_existing_clone_has_corrected_metadata_beside_the_former(fields):
    """git-annex merges values; `docs/admin/archival.rst` tells to clone anew"""
    assert all('corrected' in f['ProtocolName'] for f in fields)
    assert all('CT' in f['Modality'] for f in fields)


def test_an_existing_clone_still_gets_images(replaced, reader, digest, store):
    clone, paths, _ = replaced
    reader.run('datalad', 'get', 'S2_V01/0.dcm', cwd=clone)
    (record,) = (
        r
        for r in json.loads(paths.dicoms_metadata.read_bytes())
        if r['path'] == 'S2_V01/0.dcm'
    )
    assert digest(clone / 'S2_V01/0.dcm') == record['md5']


def test_an_existing_clone_can_be_brought_to_the_new_commit(replaced, reader):
    # not merged: the new dataset has no history in common with the old one
    clone, paths, _ = replaced
    reader.run('datalad', 'update', '--how', 'reset', cwd=clone)
    head = reader.run('git', 'rev-parse', 'HEAD', cwd=clone).stdout.strip()
    assert f'{head} refs/heads/main' in paths.refs.read_text()
