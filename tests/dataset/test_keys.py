"""Keys and paths are those that git-annex makes, locators what others read"""

from __future__ import annotations

from hashlib import md5
from pathlib import PurePosixPath
from urllib.parse import unquote

import pytest
from datalad_next.types import ArchiveType, ArchivistLocator

from datalad_icf.dataset import build_key, build_locator
from datalad_icf.dataset.keys import (
    dataset_path,
    encode_name,
    log_path,
    object_path,
    parse_locator,
)

DIGEST = md5(b'hello').hexdigest()
TAR_KEY = f'MD5E-s10240--{DIGEST}.tar'
NAMES = [
    'a.dcm',
    'S1_V01/a.dcm',
    'dir.ext/a',
    'a',
    'a.',
    'a..dcm',
    'a.b.',
    '.hidden',
    '.hidden.dcm',
    '..dcm',
    'a b.dcm',
    'a.d m',
    'a.tar.gz',
    'a.b.tar.gz',
    'MR.1.2.840.10008.5',
    'MR.1.2',
    'IM-0001-0002',
    'a.DCM',
    'a.dicom',
    'a.dicom.gz',
    'a.gz.dicom',
    'a.nii.gz.dcm',
    'a.d_m',
    'a.d-m',
    "a'b.dcm",
    'a"b.dcm',
    'a\\b.dcm',
    'a%b.%41',
    'a&b.&',
    'a#b.#',
    'a:b.c:d',
    'a{b}.{0}',
    '-a.-',
    '~a.~',
    'a.ü',
    'aü.dcm',
    'a.üü',
    'a.üüü',
    'a.日',
    'a.日本',
    'a.²',
    'a.٣',
    'a.\u0301',
    'a.\u20ac',
    'a.\u2028',
    'a.\xa0',
    'a.\x85',
    'a.😀',
    'a.1.\u0301',
    'a.\udcff',
    'a\udcff.dcm',
    'a.d\tm',
    'a\nb.dcm',
    'a.d\nm',
    'a.\x7f',
    f'{"n" * 250}.dcm',
    f'{"d/" * 50}a.dcm',
]


@pytest.fixture(scope='module')
def examined(call, tmp_path_factory) -> dict[str, tuple[str, str, str]]:
    """What git-annex says of each name: key, mixed and lower hash directory"""
    repository = tmp_path_factory.mktemp('examine')
    call('git', 'init', '--quiet', cwd=repository)
    plain = f'MD5-s5--{DIGEST} '.encode()
    written = call(
        'git',
        'annex',
        'examinekey',
        '--batch',
        '-z',
        '--migrate-to-backend=MD5E',
        '--format=${key} ${hashdirmixed} ${hashdirlower}\\n',
        cwd=repository,
        stdin=b''.join(plain + encode_name(name) + b'\0' for name in NAMES),
    )
    lines = written.decode('utf-8', 'surrogateescape').split('\n')[:-1]
    assert len(lines) == len(NAMES)
    # from behind, since an extension can be anything
    return {name: line.rsplit(' ', 2) for name, line in zip(NAMES, lines)}


@pytest.mark.parametrize('name', NAMES, ids=ascii)
def test_a_key_is_the_one_of_git_annex(examined, name):
    assert build_key(DIGEST, 5, name) == examined[name][0]


@pytest.mark.parametrize('name', NAMES, ids=ascii)
def test_the_path_of_an_object_is_the_one_of_git_annex(examined, name):
    key, mixed, _ = examined[name]
    assert object_path(key).startswith(mixed)


@pytest.mark.parametrize('name', NAMES, ids=ascii)
def test_the_path_of_a_log_is_the_one_of_git_annex(examined, name):
    key, _, lower = examined[name]
    assert log_path(key).startswith(lower)


@pytest.mark.parametrize(
    ('key', 'name'),
    [
        ('MD5E-s5--ab.dcm', 'MD5E-s5--ab.dcm'),
        ('URL--http://a/b&c%d', 'URL--http&c%%a%b&ac&sd'),
    ],
)
def test_a_key_is_escaped_as_a_file_name(key, name):
    assert log_path(key).split('/', 2)[2] == name
    assert object_path(key).split('/', 2)[2] == f'{name}/{name}'


@pytest.mark.parametrize(
    'path',
    ['a.dcm', 'S 1/ü%41.dcm', 'S1/{0}:"\'\\-', 'a=b', 'S1/a\u2028b', 'S1/path=x'],
)
def test_datalad_next_reads_a_locator(path):
    locator = ArchivistLocator.from_str(build_locator(TAR_KEY, path, 5, 1536)[0])
    assert str(locator.akey) == TAR_KEY
    assert locator.member == PurePosixPath(path)
    assert locator.size == 5
    assert locator.atype == ArchiveType.tar


@pytest.mark.parametrize('path', ['a.dcm', 'a&size=7', 'a#path=b', 'a\nb', '\udcff'])
def test_the_offset_of_a_locator_can_be_read_again(path):
    url, _ = build_locator(TAR_KEY, path, 5, 1536)
    found = parse_locator(url)
    assert (found.tar_key, found.size, found.offset) == (TAR_KEY, 5, 1536)


@pytest.mark.parametrize(
    'path', ['a.dcm', 'a&b', 'a&size=7&size=8', 'a#path=b', './a', 'a&atype=zip']
)
def test_a_locator_of_older_tools_is_read_whatever_the_name(path):
    url = f'dl+archive:{TAR_KEY}#path={path}&size=5'
    assert parse_locator(url) == (TAR_KEY, path, 5, None)


@pytest.mark.parametrize(
    'url',
    [
        'http://127.0.0.1/a',
        f'dl+archive:{TAR_KEY}#path=a.dcm',
        f'dl+archive:{TAR_KEY}#path=a.dcm&size=5&atype=zip',
        'dl+archive:MD5E-s9--0.tar.gz#path=a.dcm&size=5&atype=tar',
        'dl+archive:MD5E-s9--0.zip#path=a.dcm&size=5',
    ],
)
def test_what_is_no_member_of_a_plain_tarball_is_no_locator(url):
    assert parse_locator(url) is None


def test_a_locator_without_offset_has_none():
    url, _ = build_locator(TAR_KEY, 'a.dcm', 5, None)
    assert url == f'dl+archive:{TAR_KEY}#path=a.dcm&size=5&atype=tar'
    assert parse_locator(url).offset is None


@pytest.mark.parametrize(
    'path', ['a&b', 'a#b', 'a\nb', 'a\rb', 'a\0b', 'a\udcffb', './a', 'a//b', 'a/./b']
)
def test_a_name_that_archivist_cannot_look_up_is_told(path):
    assert not build_locator(TAR_KEY, path, 5, 1536)[1]


@pytest.mark.parametrize(
    'path', ['a b', 'ü', '%26', '{}', ':', '\\', '-a', '..a', '.a']
)
def test_a_name_that_archivist_can_look_up_is_told(path):
    assert build_locator(TAR_KEY, path, 5, 1536)[1]


@pytest.mark.parametrize('path', ['a&b', 'a#b', 'a\nb', 'a\udcffb', 'a%\n'])
def test_a_locator_is_one_line_of_text_whatever_the_name(path):
    url, _ = build_locator(TAR_KEY, path, 5, 1536)
    assert url.isprintable()
    assert f'#path={path}&size=5' in unquote(url, errors='surrogateescape')


@pytest.mark.parametrize(
    ('name', 'path'),
    [
        ('a/b', 'a/b'),
        ('./a', 'a'),
        ('a//b', 'a/b'),
        ('a/./b', 'a/b'),
        ('.a/b.', '.a/b.'),
        ('..a/b', '..a/b'),
    ],
)
def test_a_path_in_the_dataset_has_no_empty_components(name, path):
    assert dataset_path(name) == path
