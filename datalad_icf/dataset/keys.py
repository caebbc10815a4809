"""Keys and URLs of git-annex, as plain functions on text

Sources: git-annex's pages *key_format*, *backends*, *hashing* and *internals*;
the ``dl+archive:`` URL is that of datalad-next's ``archivist`` special remote.
Names are text with lone surrogates for bytes that are no UTF-8.
"""

from __future__ import annotations

import re
from hashlib import md5 as _md5
from struct import unpack
from typing import NamedTuple
from urllib.parse import quote

_DIGITS = '0123456789zqjxkmvwgpfZQJXKMVWGPF'
_MAX_EXTENSIONS = 2
_MAX_EXTENSION_BYTES = 4
# Compiled where they are used: it takes longer than all else here, and the special
# remote needs neither. git-annex looks at bytes, and takes all that are not ASCII
_IN_EXTENSION = '[A-Za-z0-9\x80-\U0010ffff]*'
_KEY_IN_FILE_NAME = str.maketrans({'&': '&a', '%': '&s', ':': '&c', '/': '%'})
# what neither a line of git-annex nor the syntax of the URL can hold
_NOT_IN_LOCATOR = '[&#\0-\x1f\x7f\ud800-\udfff]'

# a path may have anything in it, as older tools wrote it without a look
_LOCATOR = re.compile(
    r'dl\+archive:([^#]+)#path=(.+)&size=(\d+)(?:&atype=([a-z0-9]+))?'
    r'(?:&offset=(\d+))?',
    re.DOTALL,
)
_SIZE_IN_KEY = re.compile(r'[A-Z0-9_]+(?:-[a-zA-Z]\d+)*?-s(\d+)-')
_MD5_IN_KEY = re.compile(r'MD5E?(?:-[a-zA-Z]\d+)*--([0-9a-f]{32})(?:\..*)?', re.DOTALL)


def encode_name(name: str) -> bytes:
    """Bytes of a name"""
    return name.encode('utf-8', 'surrogateescape')


def build_key(md5: str, size: int, name: str) -> str:
    """Build the MD5E key of a file

    Parameters
    ----------
    md5
        MD5 of the content, 32 hexadecimal digits.
    size
        Size of the content in bytes.
    name
        Name of the file, whose last two short extensions become part of the key.

    Examples
    --------
    >>> build_key('67a93cdb78213b2487367fffd298883c', 5, 'dir/MR.1.2')
    'MD5E-s5--67a93cdb78213b2487367fffd298883c.1.2'
    """
    parts = name.rpartition('/')[2].lstrip('.').split('.')[1:]
    kept: list[str] = []
    for part in reversed(parts):
        if len(encode_name(part)) > _MAX_EXTENSION_BYTES:
            break
        if len(kept) < _MAX_EXTENSIONS and re.fullmatch(_IN_EXTENSION, part):
            kept.insert(0, part)
    extension = ''.join(f'.{part}' for part in kept if part)
    return f'MD5E-s{size}--{md5}{extension}'


def key_file_name(key: str) -> str:
    """Name of a key as a file

    Examples
    --------
    >>> key_file_name('URL--http://a/b')
    'URL--http&c%%a%b'
    """
    return key.translate(_KEY_IN_FILE_NAME)


def object_path(key: str) -> str:
    """Path of the content of a key below ``.git/annex/objects``

    Examples
    --------
    >>> object_path('MD5E-s5--67a93cdb78213b2487367fffd298883c.dcm')[:6]
    'J4/98/'
    """
    word = unpack('<I', _md5(encode_name(key), usedforsecurity=False).digest()[:4])[0]
    a, b, c, d = (_DIGITS[word >> shift & 31] for shift in (0, 6, 12, 18))
    name = key_file_name(key)
    return f'{b}{a}/{d}{c}/{name}/{name}'


def log_path(key: str) -> str:
    """Path of the logs of a key on the git-annex branch, without their suffix

    Examples
    --------
    >>> log_path('MD5E-s5--67a93cdb78213b2487367fffd298883c.dcm')[:8]
    'c48/5a6/'
    """
    digest = _md5(encode_name(key), usedforsecurity=False).hexdigest()
    return f'{digest[:3]}/{digest[3:6]}/{key_file_name(key)}'


def build_locator(
    tar_key: str, path: str, size: int, offset: int | None
) -> tuple[str, bool]:
    """Build the URL of a member of a tarball

    Parameters
    ----------
    tar_key
        Key of the tarball.
    path
        Name of the member.
    size
        Size of the member in bytes.
    offset
        Position of its first byte in the tarball, if known.

    Returns
    -------
    url
        In the order that datalad-next asks for; it ignores the offset.
    by_name
        Whether datalad-next's ``archivist`` finds the member by this URL. It has
        no escapes, and it normalises paths. Where that fails, the path is
        percent-encoded, and the offset is what is left to find the member.

    Examples
    --------
    >>> build_locator('KEY', 'S_V/a.dcm', 5, 1536)
    ('dl+archive:KEY#path=S_V/a.dcm&size=5&atype=tar&offset=1536', True)
    >>> build_locator('KEY', 'S_V/a&b', 5, None)
    ('dl+archive:KEY#path=S_V/a%26b&size=5&atype=tar', False)
    """
    by_name = not re.search(_NOT_IN_LOCATOR, path)
    written = path if by_name else quote(encode_name(path))
    place = '' if offset is None else f'&offset={offset}'
    url = f'dl+archive:{tar_key}#path={written}&size={size}&atype=tar{place}'
    return url, by_name and path == dataset_path(path)


class Locator(NamedTuple):
    """What the URL of a member of a tarball says

    Attributes
    ----------
    tar_key
        Key of the tarball.
    path
        Name of the member, percent-encoded where the syntax has no place for it.
    size
        Size of the member in bytes.
    offset
        Position of its first byte in the tarball, if known.
    """

    tar_key: str
    path: str
    size: int
    offset: int | None


def parse_locator(url: str) -> Locator | None:
    """Read the URL of a member of a tarball, also one that older tools wrote

    Returns
    -------
    Locator or None
        Nothing if it is no such URL, or that of another kind of archive.

    Examples
    --------
    >>> parse_locator('dl+archive:KEY#path=a.dcm&size=5&atype=tar&offset=1536')
    Locator(tar_key='KEY', path='a.dcm', size=5, offset=1536)
    >>> parse_locator('dl+archive:MD5E-s9--0.tar#path=a&b#c.dcm&size=5')
    Locator(tar_key='MD5E-s9--0.tar', path='a&b#c.dcm', size=5, offset=None)
    """
    match = _LOCATOR.fullmatch(url)
    if not match:
        return None
    tar_key, path, size, kind, offset = match.groups()
    # a compressed one has no members at positions that could be read
    if kind not in (None, 'tar') or (offset is None and not tar_key.endswith('.tar')):
        return None
    return Locator(tar_key, path, int(size), None if offset is None else int(offset))


def size_of_key(key: str) -> int | None:
    """Size of the content of a key in bytes, if it says so

    Examples
    --------
    >>> size_of_key('MD5E-s5--67a93cdb78213b2487367fffd298883c.dcm')
    5
    """
    match = _SIZE_IN_KEY.match(key)
    return int(match[1]) if match else None


def md5_of_key(key: str) -> str | None:
    """MD5 of the content of a key, if it says so

    Examples
    --------
    >>> md5_of_key('MD5E-s5--67a93cdb78213b2487367fffd298883c.dcm')
    '67a93cdb78213b2487367fffd298883c'
    """
    match = _MD5_IN_KEY.fullmatch(key)
    return match[1] if match else None


def dataset_path(path: str) -> str:
    """Path of a member in the dataset: without empty and ``.`` components

    Examples
    --------
    >>> dataset_path('./S_V//a.dcm')
    'S_V/a.dcm'
    """
    return '/'.join(part for part in path.split('/') if part not in ('', '.'))
