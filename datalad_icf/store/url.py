"""The address of the store, and of what is in it"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from datalad_icf.errors import PreconditionError

# RFC 3986, 2: anything else has to be percent-encoded
_IN_URL = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
DEFAULT_STORE_URL = 'https://data.inm-icf.de'


def check_store_url(url: str) -> str:
    """Return the URL, if it can be the base of the URLs in a dataset

    Raises
    ------
    PreconditionError
        If it is no plain http, https or file URL, or has a user or password.
    """
    try:
        parts = urlsplit(url)
        # raises where it is no number
        _ = parts.port
    except ValueError as e:
        msg = f'the store URL cannot be read: {e}'
        raise PreconditionError(msg) from e
    if parts.username is not None or parts.password is not None:
        # not shown: it would stand in logs and records
        msg = 'the store URL has a user or password, which all clones would get'
        raise PreconditionError(msg)
    if (
        parts.scheme not in ('http', 'https', 'file')
        or not (parts.hostname or parts.scheme == 'file')
        or (
            parts.scheme == 'file'
            and not url.startswith(('file:///', 'file://localhost/'))
        )
        or parts.query
        or parts.fragment
        or not _IN_URL.fullmatch(url)
    ):
        msg = f'store URL {url!r} is no http, https or file URL without query'
        raise PreconditionError(msg)
    return url


def find_store_dir(url: str) -> Path | None:
    """Root directory of a store with a ``file:`` URL, if it is one

    Examples
    --------
    >>> find_store_dir('file:///my%20store').as_posix()
    '/my store'
    >>> find_store_dir('https://example.org')
    """
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == 'file' else None


def build_tarball_url(store_url: str, store_path: str) -> str:
    """Build the URL of a file of the store (RFC 3986)

    Examples
    --------
    >>> build_tarball_url('https://example.org/', 'study 1/V_dicom.tar')
    'https://example.org/study%201/V_dicom.tar'
    """
    return f'{store_url.rstrip("/")}/{quote(store_path)}'


def build_clone_url(store_url: str, deposit_prefix: str) -> str:
    """Build the URL from which ``datalad clone`` gets a dataset

    Parameters
    ----------
    store_url
        Base URL of the store.
    deposit_prefix
        Path of the two files of the dataset up to their annex key.

    Examples
    --------
    >>> build_clone_url('https://example.org', 'study1/visitA_')
    ... # doctest: +ELLIPSIS
    'datalad-annex::?type=external&externaltype=uncurl&encryption=none&url=...
    """
    # git-remote-datalad-annex decodes the value once more than the server does
    url = quote(build_tarball_url(store_url, deposit_prefix), safe='/:@[]!$()*,;=~')
    return (
        'datalad-annex::?type=external&externaltype=uncurl&encryption=none'
        f'&url={url}{{{{annex_key}}}}'
    )
