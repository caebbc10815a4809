"""A clone of a visit works with DataLad and git-annex, over http with a password"""

from __future__ import annotations

from collections import Counter

import pytest


def annex(person, clone, *arguments):
    return person.run('git', 'annex', *arguments, cwd=clone)


def test_a_clone_has_all_files_and_no_content(clone, phantom):
    names = {i.path for i in phantom.instances} | {phantom.paths.dataset_path}
    found = {p for p in clone.rglob('*') if p.is_symlink()}
    assert {p.relative_to(clone).as_posix() for p in found} == names
    assert not any(p.exists() for p in found)


@pytest.mark.parametrize('name', ['uncurl', 'archivist'])
def test_a_clone_has_both_remotes_enabled(clone, reader, name):
    config = reader.run('git', 'config', '--list', cwd=clone).stdout
    assert f'remote.{name}.annex-externaltype={name}\n' in config


def test_a_clone_has_the_id_of_the_dataset(clone, reader, phantom):
    config = reader.run(
        'git', 'config', '-f', '.datalad/config', 'datalad.dataset.id', cwd=clone
    )
    assert config.stdout.strip() == phantom.dataset.dataset_id


def test_a_clone_has_the_commit_that_was_reported(clone, reader, phantom):
    head = reader.run('git', 'rev-parse', 'HEAD', cwd=clone).stdout
    assert head.strip() == phantom.dataset.commit


def test_datalad_sees_nothing_to_save_in_a_clone(clone, reader):
    status = reader.run('datalad', '-f', 'json', 'status', '--annex', cwd=clone)
    assert {r['state'] for r in status.records} <= {'clean'}


def test_one_image_comes_back_as_it_went_in(clone, reader, phantom, digest):
    image = phantom.instances[-1]
    reader.run('datalad', 'get', image.path, cwd=clone)
    assert digest(clone / image.path) == image.md5


def test_all_images_come_back_as_they_went_in(clone, reader, phantom, digest):
    reader.run('datalad', 'get', '.', cwd=clone)
    assert {i.path: digest(clone / i.path) for i in phantom.instances} == {
        i.path: i.md5 for i in phantom.instances
    }
    annex(reader, clone, 'fsck', '--quiet')


def test_the_tarball_comes_back_as_it_went_in(clone, reader, phantom, digest):
    annex(reader, clone, 'get', phantom.paths.dataset_path)
    assert digest(clone / phantom.paths.dataset_path) == digest(phantom.paths.tarball)


def test_images_are_at_archivist_and_the_tarball_is_at_uncurl(clone, reader, phantom):
    found = {
        record['file']: [place['description'] for place in record['whereis']]
        for record in annex(reader, clone, 'whereis', '--json').records
    }
    expected = {i.path: ['[archivist]'] for i in phantom.instances}
    assert found == {**expected, phantom.paths.dataset_path: ['[uncurl]']}


def test_git_annex_finds_the_content_of_all_files_at_their_place(clone, reader):
    annex(reader, clone, 'fsck', '--fast', '--quiet')


def test_attributes_are_metadata_of_git_annex(clone, reader, phantom):
    found = {
        record['file']: record['fields']
        for record in annex(reader, clone, 'metadata', '--json').records
    }
    for image in phantom.instances:
        for keyword, value in image.attributes.items():
            assert found[image.path].get(keyword, []) == [str(value)]


def test_images_are_found_by_an_attribute(clone, reader, phantom):
    found = annex(
        reader, clone, 'find', '--anything', '--metadata', 'ProtocolName=t1_mprage_sag'
    )
    assert sorted(found.stdout.splitlines()) == sorted(
        i.path
        for i in phantom.instances
        if i.attributes['ProtocolName'] == 't1_mprage_sag'
    )


def test_a_view_sorts_images_by_attributes(clone, reader, phantom):
    annex(reader, clone, 'view', 'protocolname=*', 'seriesnumber=*')
    expected = Counter(
        f'{i.attributes["ProtocolName"]}/{i.attributes["SeriesNumber"]}'
        for i in phantom.instances
    )
    images = [p for p in clone.rglob('*.dcm') if p.is_symlink()]
    assert Counter(p.parent.relative_to(clone).as_posix() for p in images) == expected


def test_an_image_can_be_got_in_a_view(clone, reader, phantom, digest):
    annex(reader, clone, 'view', 'seriesnumber=2')
    image = next(p for p in clone.rglob('*.dcm') if p.is_symlink())
    reader.run('datalad', 'get', str(image), cwd=clone)
    assert digest(image) in {i.md5 for i in phantom.instances}


def test_an_image_can_be_dropped_and_got_again(clone, reader, phantom, digest):
    image = phantom.instances[0]
    reader.run('datalad', 'get', image.path, cwd=clone)
    reader.run('datalad', 'drop', image.path, cwd=clone)
    assert not (clone / image.path).exists()
    reader.run('datalad', 'get', image.path, cwd=clone)
    assert digest(clone / image.path) == image.md5
