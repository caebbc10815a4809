"""The special remote, where a clone would be no help to see what it does"""

from __future__ import annotations

from pathlib import Path

import pytest
from datalad_next.annexremotes import RemoteError
from datalad_next.annexremotes.archivist import ArchivistRemote
from datalad_next.runners import CommandError

from datalad_icf.dataset import build_locator
from datalad_icf.dataset.remote import IcfArchivistRemote

# no part of it is there twice
CONTENT = b''.join(n.to_bytes(2, 'big') for n in range(5120))
KEY = 'MD5E-s10240--00000000000000000000000000000000.tar'


class Annex:
    """git-annex, as far as the special remote asks it"""

    def __init__(self, *urls):
        self.urls = urls

    def geturls(self, key, prefix):
        return [url for url in self.urls if url.startswith(prefix)]


class Repository:
    """A clone which may have the tarball, or cannot get it"""

    def __init__(self, directory, *, has_tarball, pretends):
        self.dot_git = directory
        self.pretends = pretends
        self.has_tarball = has_tarball
        if has_tarball:
            (directory / 'tarball').write_bytes(CONTENT)

    def call_annex_oneline(self, args):
        assert args == ['contentlocation', KEY]
        if not self.has_tarball:
            raise CommandError('contentlocation')
        return 'tarball'

    def call_annex(self, args):
        assert args == ['get', '--key', KEY]
        if not self.pretends:
            raise CommandError('get', stderr='no route to host')


@pytest.fixture
def make_remote(tmp_path):
    def make_remote(*urls, has_tarball=True, pretends=False):
        remote = IcfArchivistRemote(Annex(*urls))
        remote._repo = Repository(tmp_path, has_tarball=has_tarball, pretends=pretends)
        return remote

    return make_remote


@pytest.mark.parametrize(('offset', 'size'), [(0, 5), (512, 1024), (10235, 5), (7, 0)])
def test_an_image_is_what_stands_at_its_offset(make_remote, tmp_path, offset, size):
    remote = make_remote(build_locator(KEY, 'a&b', size, offset)[0])
    remote.transfer_retrieve('key', str(tmp_path / 'image'))
    assert (tmp_path / 'image').read_bytes() == CONTENT[offset : offset + size]


def test_an_image_behind_the_end_of_the_tarball_is_told(make_remote, tmp_path):
    remote = make_remote(build_locator(KEY, 'a&b', 6, len(CONTENT) - 5)[0])
    with pytest.raises(RemoteError, match='ends before the image'):
        remote.transfer_retrieve('key', str(tmp_path / 'image'))


def test_a_tarball_that_cannot_be_got_is_told_with_the_reason(make_remote, tmp_path):
    url, _ = build_locator(KEY, 'a&b', 5, 512)
    remote = make_remote(url, has_tarball=False)
    with pytest.raises(RemoteError, match=f'{KEY}.*no route to host'):
        remote.transfer_retrieve('key', str(tmp_path / 'image'))


def test_a_tarball_that_is_not_here_after_all_is_told(make_remote, tmp_path):
    url, _ = build_locator(KEY, 'a&b', 5, 512)
    remote = make_remote(url, has_tarball=False, pretends=True)
    with pytest.raises(RemoteError, match=f'could not get the tarball, {KEY}'):
        remote.transfer_retrieve('key', str(tmp_path / 'image'))


def test_a_locator_without_offset_is_left_to_archivist(
    make_remote, tmp_path, monkeypatch
):
    asked = []
    monkeypatch.setattr(
        ArchivistRemote, 'transfer_retrieve', lambda _, key, path: asked.append(key)
    )
    remote = make_remote(build_locator(KEY, 'a.dcm', 5, None)[0])
    remote.transfer_retrieve('key', str(tmp_path / 'image'))
    assert asked == ['key']


def test_of_several_locators_one_with_offset_is_enough(make_remote, tmp_path):
    urls = [build_locator(KEY, 'a.dcm', 5, offset)[0] for offset in (None, 512)]
    make_remote(*urls).transfer_retrieve('key', str(tmp_path / 'image'))
    assert (tmp_path / 'image').read_bytes() == CONTENT[512:517]


def test_the_program_is_installed(call, tmp_path):
    spoken = call('git-annex-remote-icf-archivist', cwd=tmp_path)
    assert spoken.startswith(b'VERSION 1')
    assert not list(Path(tmp_path).iterdir())
