"""The special remote, where a clone would be no help to see what it does"""

from __future__ import annotations

from hashlib import md5
from pathlib import Path

import pytest
from annexremote import RemoteError, UnsupportedRequest
from datalad_next.annexremotes.archivist import ArchivistRemote

from datalad_icf.dataset import build_locator
from datalad_icf.dataset import remote as module
from datalad_icf.dataset.keys import build_key, object_path
from datalad_icf.dataset.remote import IcfArchivistRemote
from tests.range_server import run_range_server

# no part of it is there twice
CONTENT = b''.join(n.to_bytes(2, 'big') for n in range(5120))
KEY = 'MD5E-s10240--00000000000000000000000000000000.tar'


class Annex:
    """git-annex, as far as the special remote asks it"""

    def __init__(self, git_dir, urls):
        self.git_dir = git_dir
        self.urls = urls

    def getgitdir(self):
        return str(self.git_dir)

    def geturls(self, key, prefix):
        return [url for url in self.urls.get(key, []) if url.startswith(prefix)]

    def dirhash(self, key):
        return object_path(key)[:6]

    def dirhash_lower(self, key):
        return 'abc/def/'

    def debug(self, *args):
        pass

    progress = debug


def key_of(content):
    return build_key(md5(content).hexdigest(), len(content), 'a.dcm')


def key_at(offset, size):
    return key_of(CONTENT[offset : offset + size])


@pytest.fixture
def here(tmp_path):
    """Path of the tarball in the clone"""
    return tmp_path / 'annex' / 'objects' / object_path(KEY)


@pytest.fixture
def target(tmp_path):
    return tmp_path / 'image'


@pytest.fixture
def asked(monkeypatch):
    """The keys that git-annex was told to get, which it cannot"""
    asked = []

    def get(key):
        asked.append(key)
        return 'no route to host'

    monkeypatch.setattr(module, '_get_key', get)
    return asked


@pytest.fixture
def make_remote(tmp_path, here):
    def make_remote(urls, *, has_tarball=True, content=CONTENT):
        if has_tarball:
            here.parent.mkdir(parents=True)
            here.write_bytes(content)
        remote = IcfArchivistRemote(Annex(tmp_path, urls))
        remote.prepare()
        return remote

    return make_remote


def locate(offset, size, path='a&b'):
    return build_locator(KEY, path, size, offset)[0]


@pytest.mark.parametrize(('offset', 'size'), [(0, 5), (512, 1024), (10235, 5), (7, 0)])
def test_an_image_is_what_stands_at_its_offset(make_remote, target, offset, size):
    key = key_at(offset, size)
    make_remote({key: [locate(offset, size)]}).transfer_retrieve(key, str(target))
    assert target.read_bytes() == CONTENT[offset : offset + size]


@pytest.mark.parametrize(
    ('key', 'place', 'problem'),
    [
        (key_at(512, 5), locate(513, 5), 'something else'),
        (key_at(512, 5), locate(512, 6), '6 bytes instead of 5'),
        ('MD5E-s6--' + '0' * 32 + '.dcm', locate(10235, 6), 'ends before'),
    ],
)
def test_what_is_not_the_image_is_told_and_not_left_behind(
    make_remote, target, asked, key, place, problem
):
    with pytest.raises(RemoteError, match=problem):
        make_remote({key: [place]}).transfer_retrieve(key, str(target))
    assert not target.exists()


def test_a_tarball_of_another_size_is_told(make_remote, target, asked):
    key = key_at(512, 5)
    remote = make_remote({key: [locate(512, 5)]}, content=CONTENT + b'more')
    with pytest.raises(RemoteError, match='10244 bytes instead of 10240'):
        remote.transfer_retrieve(key, str(target))
    assert not asked


def test_a_damaged_tarball_here_is_no_hindrance_where_there_is_another(
    make_remote, target, tmp_path
):
    (tmp_path / 'store.tar').write_bytes(CONTENT)
    key = key_at(512, 5)
    urls = {key: [locate(512, 5)], KEY: [(tmp_path / 'store.tar').as_uri()]}
    make_remote(urls, content=bytes(10240)).transfer_retrieve(key, str(target))
    assert target.read_bytes() == CONTENT[512:517]


def test_of_several_problems_a_replaced_tarball_is_told(
    make_remote, target, tmp_path, asked
):
    (tmp_path / 'other.tar').write_bytes(b'other')
    key = key_at(512, 5)
    places = [(tmp_path / name).as_uri() for name in ('a.tar', 'other.tar', 'z.tar')]
    remote = make_remote({key: [locate(512, 5)], KEY: places}, has_tarball=False)
    with pytest.raises(RemoteError, match='5 bytes instead of 10240'):
        remote.transfer_retrieve(key, str(target))
    assert not asked


def test_a_tarball_that_cannot_be_got_is_told_with_the_reason(
    make_remote, target, asked
):
    key = key_at(512, 5)
    remote = make_remote({key: [locate(512, 5)]}, has_tarball=False)
    for _ in range(2):
        with pytest.raises(RemoteError, match=f'{KEY}.*no route to host'):
            remote.transfer_retrieve(key, str(target))
    # and nobody waits for the same again
    assert asked == [KEY]


def test_a_tarball_that_git_annex_got_is_read(make_remote, target, here, monkeypatch):
    def get(key):
        here.parent.mkdir(parents=True)
        here.write_bytes(CONTENT)
        return ''

    monkeypatch.setattr(module, '_get_key', get)
    key = key_at(512, 5)
    remote = make_remote({key: [locate(512, 5)]}, has_tarball=False)
    remote.transfer_retrieve(key, str(target))
    assert target.read_bytes() == CONTENT[512:517]


def test_another_kind_of_archive_is_left_to_archivist(make_remote, target, monkeypatch):
    asked = []
    monkeypatch.setattr(ArchivistRemote, 'prepare', lambda _: None)
    monkeypatch.setattr(
        ArchivistRemote, 'transfer_retrieve', lambda _, key, path: asked.append(key)
    )
    urls = {'key': ['dl+archive:MD5E-s9--0.zip#path=a.dcm&size=5&atype=zip']}
    make_remote(urls).transfer_retrieve('key', str(target))
    assert asked == ['key']


def test_of_several_locators_one_with_offset_is_enough(make_remote, target):
    key = key_at(512, 5)
    urls = {key: [locate(None, 5, 'a.dcm'), locate(512, 5, 'a.dcm')]}
    make_remote(urls).transfer_retrieve(key, str(target))
    assert target.read_bytes() == CONTENT[512:517]


@pytest.mark.parametrize('size', [10240, 10245], ids=['of the same size', 'larger'])
def test_an_image_that_is_in_the_tarball_before_and_the_one_after(
    make_remote, target, tmp_path, size, asked
):
    """A visit that was deposited anew, and an updated clone, which knows both"""
    key, new = key_at(512, 5), f'MD5E-s{size}--{"1" * 32}.tar'
    changed = (b'other' + CONTENT + bytes(5))[:size]
    (tmp_path / 'store.tar').write_bytes(changed)
    url = (tmp_path / 'store.tar').as_uri()
    second, _ = build_locator(new, 'a&b', 5, 517)
    urls = {key: [locate(512, 5), second], KEY: [url], new: [url]}
    remote = make_remote(urls, has_tarball=False)
    for _ in range(2):
        remote.transfer_retrieve(key, str(target))
        assert target.read_bytes() == CONTENT[512:517]
    # the next one is looked for where this one was
    assert [one.tar_key for one in remote._find_locators(key)] == [new, KEY]


def test_the_tarball_is_got_where_only_the_one_before_was_replaced(
    make_remote, target, tmp_path, asked
):
    key, new = key_at(512, 5), f'MD5E-s10240--{"1" * 32}.tar'
    (tmp_path / 'store.tar').write_bytes(b'other')
    urls = {
        key: [locate(512, 5), build_locator(new, 'a&b', 5, 517)[0]],
        KEY: [(tmp_path / 'store.tar').as_uri()],
    }
    remote = make_remote(urls, has_tarball=False)
    with pytest.raises(RemoteError, match='no route to host'):
        remote.transfer_retrieve(key, str(target))
    assert asked == [new]


def test_an_image_is_there_if_a_byte_of_it_is(make_remote):
    key = key_at(512, 5)
    assert make_remote({key: [locate(512, 5)]}).checkpresent(key)


def test_the_presence_of_images_is_not_asked_for_where_there_are_no_ranges(
    make_remote, monkeypatch
):
    """As each answer would be the tarball"""
    keys = [key_at(offset, 5) for offset in range(0, 50, 5)]
    with run_range_server(files={'/a.tar': CONTENT}) as server:
        urls = {key: [locate(5 * n, 5)] for n, key in enumerate(keys)}
        urls[KEY] = [f'{server.url}/a.tar']

        def whole(_, answer):
            answer.status, answer.body = 200, CONTENT
            answer.headers = {'Content-Length': str(len(CONTENT))}

        server.change = whole
        remote = make_remote(urls, has_tarball=False)
        monkeypatch.setattr(ArchivistRemote, 'prepare', lambda _: None)
        monkeypatch.setattr(ArchivistRemote, 'checkpresent', lambda *_: True)
        assert all(remote.checkpresent(key) for key in keys)
        assert len(server.seen) == 1


@pytest.mark.parametrize(
    ('url', 'is_claimed'),
    [(locate(512, 5), True), (locate(None, 5), True), ('http://127.0.0.1/a', False)],
)
def test_urls_of_members_are_claimed(make_remote, url, is_claimed):
    remote = make_remote({}, has_tarball=False)
    assert remote.claimurl(url) == is_claimed
    assert not is_claimed or remote.checkurl(url)


def test_nothing_is_stored_or_removed(make_remote, target):
    remote = make_remote({}, has_tarball=False)
    with pytest.raises(UnsupportedRequest):
        remote.transfer_store('key', str(target))
    with pytest.raises(UnsupportedRequest):
        remote.remove('key')


def test_the_program_is_installed(call, tmp_path):
    spoken = call('git-annex-remote-icf-archivist', cwd=tmp_path)
    assert spoken.startswith(b'VERSION 1')
    assert not list(Path(tmp_path).iterdir())
