"""Whether two addresses of a clone stand for the same dataset of a store"""

from __future__ import annotations

import os
from urllib.parse import SplitResult, unquote, urlsplit

_PREFIX = 'datalad-annex::?'
_PORTS = {'http': 80, 'https': 443}


def is_same_address(one: str, other: str) -> bool:
    """Whether ``datalad clone`` would get the same dataset from both

    Examples
    --------
    >>> is_same_address(
    ...     'datalad-annex::?type=external&externaltype=uncurl&url=http://a/S/V_',
    ...     'datalad-annex::?url=http://A:80/S/V_&type=external&externaltype=uncurl',
    ... )
    True
    """
    return one == other or _parse(one) == _parse(other)


def _parse(address: str) -> tuple[tuple[str, ...], ...]:
    """What an address says, in an order and a spelling of its own"""
    if not address.startswith(_PREFIX):
        return ((address,),)
    said = {}
    for parameter in address.removeprefix(_PREFIX).split('&'):
        name, _, value = parameter.partition('=')
        said[name] = value
    url = _normalise(said.pop('url', ''))
    return (*sorted(said.items()), url)


def _normalise(url: str) -> tuple[str, ...]:
    # git-remote-datalad-annex decodes it, and the server once more
    try:
        parts = urlsplit(url)
        place = _normalise_host(parts)
    except ValueError:
        return (url,)
    path = unquote(unquote(parts.path))
    if parts.scheme == 'file':
        directory, slash, name = path.rpartition('/')
        # a path may have several names, by symbolic links
        return ('file', f'{os.path.realpath(directory)}{slash}{name}')
    return (parts.scheme, place, path, parts.query)


def _normalise_host(parts: SplitResult) -> str:
    port = parts.port or _PORTS.get(parts.scheme)
    return f'{parts.hostname or ""}:{port}'
