"""Images come back whatever their names are"""

from __future__ import annotations

import os
import shutil
from hashlib import md5

import pytest

# found by name, with DataLad alone
USUAL = [
    'plain.dcm',
    'a b.dcm',
    ' blank first.dcm',
    'blank last ',
    '\'quotes".dcm',
    'ü-日-😀.dcm',
    '100%.dcm',
    '%41.dcm',
    '{0}.dcm',
    'a:b.dcm',
    'back\\slash.dcm',
    '-dash.dcm',
    '.hidden.dcm',
    'no-extension',
    'long.extension',
    'MR.1.2.840',
    'a.ü',
    'a?b=c.dcm',
    'a;b,c|d*e.dcm',
    '$HOME`id`.dcm',
    'line\u2028separator.dcm',
    'next\x85line.dcm',
    'no-break\xa0space.dcm',
    f'{"long" * 60}.dcm',
    f'{"deep/" * 30}a.dcm',
    'missing-attribute.dcm',
    'twin1.dcm',
    'twin2.dcm',
]
# found by offset, with the special remote of this package
UNUSUAL = [
    'a&b.dcm',
    'a&size=1&atype=zip.dcm',
    'a#b.dcm',
    'a#path=b.dcm',
    'new\nline.dcm',
    'carriage\rreturn.dcm',
    'tab\tab.dcm',
    'escape\x1b[31m.dcm',
    'latin1-\udcfc.dcm',
    'not-utf8.\udcff',
    './S1_odd/dot.dcm',
    'S1_odd//double.dcm',
]


def member_name(name):
    return name if '/' in name and 'S1_odd' in name else f'S1_odd/{name}'


def local_name(name):
    return os.path.normpath(member_name(name))


@pytest.fixture(scope='module')
def contents(image):
    """Name to content of each image"""
    contents = {
        name: image(SeriesNumber=n, PatientComments=f'image {n}')
        for n, name in enumerate(USUAL + UNUSUAL)
    }
    contents['twin2.dcm'] = contents['twin1.dcm']
    contents['missing-attribute.dcm'] = image(without=['ProtocolName', 'Modality'])
    return contents


@pytest.fixture(scope='module')
def deposited(deposit_visit, contents, tar):
    members = [(member_name(name), content) for name, content in contents.items()]
    return deposit_visit('S1', 'odd', tar(*members))


@pytest.fixture(scope='module')
def cloned(deposited, reader):
    """A clone with the content of all images that DataLad alone can get"""
    clone = reader.clone(deposited.dataset.clone_url, 'odd')
    shutil.copytree(clone, f'{clone}-by-offset', symlinks=True)
    reader.try_run('git', 'annex', 'get', '.', cwd=clone)
    return clone


@pytest.fixture(scope='module')
def cloned_by_offset(cloned, reader):
    """A clone with the content of all images, by our special remote"""
    clone = cloned.with_name(f'{cloned.name}-by-offset')
    setting = ('remote.archivist.annex-externaltype', 'icf-archivist')
    reader.run('git', 'config', *setting, cwd=clone)
    reader.run('git', 'annex', 'get', '.', cwd=clone)
    return clone


@pytest.mark.parametrize('name', USUAL, ids=ascii)
def test_a_usual_name_needs_datalad_alone(cloned, contents, digest, name):
    assert digest(cloned / local_name(name)) == md5(contents[name]).hexdigest()


@pytest.mark.parametrize('name', USUAL + UNUSUAL, ids=ascii)
def test_every_image_can_be_got_by_its_offset(cloned_by_offset, contents, digest, name):
    path = cloned_by_offset / local_name(name)
    assert digest(path) == md5(contents[name]).hexdigest()


@pytest.mark.parametrize('name', UNUSUAL, ids=ascii)
def test_an_unusual_name_gives_no_wrong_content_without_it(
    cloned, contents, digest, name
):
    path = cloned / local_name(name)
    assert path.is_symlink()
    if path.exists():
        assert digest(path) == md5(contents[name]).hexdigest()


def test_git_annex_agrees_with_every_image(cloned_by_offset, reader):
    reader.run('git', 'annex', 'fsck', '--quiet', cwd=cloned_by_offset)


def test_git_sees_no_change_in_a_clone_with_odd_names(cloned_by_offset, reader):
    status = reader.run('git', 'status', '--porcelain', cwd=cloned_by_offset)
    assert status.stdout == ''


def test_the_report_says_how_many_images_need_our_special_remote(deposited):
    (warning,) = deposited.dataset.warnings
    assert f'cannot look up {len(UNUSUAL)} of the names' in warning
    assert 'icf-archivist' in warning


def test_images_with_the_same_content_share_a_key(cloned, reader):
    keys = reader.run('git', 'annex', 'lookupkey', 'S1_odd/twin1.dcm', cwd=cloned)
    others = reader.run('git', 'annex', 'lookupkey', 'S1_odd/twin2.dcm', cwd=cloned)
    assert keys.stdout == others.stdout


def test_our_special_remote_reads_images_of_a_clone_that_has_the_tarball(
    cloned, reader, tmp_path, digest, contents, server
):
    clone = shutil.copytree(cloned, tmp_path / 'clone', symlinks=True)
    setting = ('remote.archivist.annex-externaltype', 'icf-archivist')
    reader.run('git', 'config', *setting, cwd=clone)
    seen = len(server.requests)
    reader.run('git', 'annex', 'get', 'S1_odd/a#b.dcm', cwd=clone)
    assert digest(clone / 'S1_odd/a#b.dcm') == md5(contents['a#b.dcm']).hexdigest()
    assert not [r for r in server.requests[seen:] if r.method == 'GET']


def test_our_special_remote_tells_that_the_tarball_cannot_be_had(
    cloned, deposited, stranger, tmp_path
):
    clone = shutil.copytree(cloned, tmp_path / 'clone', symlinks=True)
    setting = ('remote.archivist.annex-externaltype', 'icf-archivist')
    stranger.run('git', 'config', *setting, cwd=clone)
    tarball = deposited.paths.dataset_path
    stranger.run('git', 'annex', 'drop', '--force', tarball, cwd=clone)
    outcome = stranger.try_run('git', 'annex', 'get', 'S1_odd/a#b.dcm', cwd=clone)
    assert outcome.code != 0
    assert 'tarball' in outcome.text
    assert not (clone / 'S1_odd/a#b.dcm').exists()
