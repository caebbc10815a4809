"""HTTP connections that are kept, with as little as a single request needs

Libraries for HTTP take longer to import than an image takes to be got.
"""

from __future__ import annotations

import os
from base64 import b64encode
from contextlib import suppress
from http.client import (
    HTTPConnection,
    HTTPException,
    HTTPResponse,
    HTTPSConnection,
)
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

if TYPE_CHECKING:
    import ssl

# seconds until a server says something
_TIMEOUT = 60
# of an answer that nobody reads: as much keeps the connection
_SMALL = 1 << 16
_PORTS = {'http': 80, 'https': 443}

Origin = tuple[str, str, int]
# what is wrong with a connection, or with what came over it
BROKEN = (HTTPException, OSError)


def origin_of(url: str) -> Origin:
    """Scheme, host and port: to nothing else is a password sent

    Examples
    --------
    >>> origin_of('https://Example.org/a')
    ('https', 'example.org', 443)
    """
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or '', parts.port or _PORTS[parts.scheme]


class NoConnectionError(OSError):
    """There is no server at an address, or none that can be trusted"""


class Connections:
    """Connections to servers, one to each, which are used again"""

    def __init__(self) -> None:
        self._open: dict[Origin, HTTPConnection] = {}
        self._pid = os.getpid()

    def get(self, url: str, headers: dict[str, str]) -> HTTPResponse:
        """Ask for an URL; its answer must be read, or given to `discard`

        Raises
        ------
        NoConnectionError
            If there is no connection.
        OSError, HTTPException
            If it breaks.
        """
        if self._pid != os.getpid():
            # after a fork, they are those of the other process
            self._open, self._pid = {}, os.getpid()
        origin = origin_of(url)
        parts = urlsplit(url)
        target = parts.path or '/'
        if parts.query:
            target += f'?{parts.query}'
        connection = self._open.get(origin)
        if connection and connection.sock:
            try:
                return _exchange(connection, target, headers)
            except BROKEN:
                # the server may have closed it meanwhile
                connection.close()
        connection, is_proxy = _make(parts)
        self._open[origin] = connection
        if is_proxy and parts.scheme == 'http':
            headers = {**headers, **_proxy_login(parts)}
            # with a proxy, a request names the server
            target = f'http://{parts.netloc}{target}'
        try:
            connection.connect()
        except OSError as e:
            connection.close()
            raise NoConnectionError(_explain(e)) from e
        except UnicodeError as e:
            msg = 'there is no server of that name'
            raise NoConnectionError(msg) from e
        return _exchange(connection, target, headers)

    def discard(self, url: str, response: HTTPResponse) -> None:
        """Forget an answer: a short one is read, with a long one it is closed"""
        if not response.isclosed():
            with suppress(*BROKEN):
                if response.length is not None and response.length <= _SMALL:
                    response.read()
        if not response.isclosed():
            response.close()
            if connection := self._open.pop(origin_of(url), None):
                connection.close()


def _exchange(
    connection: HTTPConnection, target: str, headers: dict[str, str]
) -> HTTPResponse:
    try:
        connection.request('GET', target, headers=headers)
        return connection.getresponse()
    except BROKEN:
        connection.close()
        raise


def _explain(error: OSError) -> str:
    import ssl

    if isinstance(error, ssl.SSLError):
        return f'there is no trusted connection to the server ({error.reason})'
    if isinstance(error, TimeoutError):
        return 'there is no answer'
    return f'there is no connection to the server ({error.strerror or error})'


def _make(parts: SplitResult) -> tuple[HTTPConnection, bool]:
    """Make a connection to a server, or to the proxy that is set for it"""
    host, port = parts.hostname or '', parts.port or _PORTS[parts.scheme]
    proxy = _find_proxy(parts)
    near = proxy or parts
    near_port = near.port or (_PORTS.get(near.scheme, 80) if proxy else port)
    if parts.scheme == 'http':
        return HTTPConnection(near.hostname or '', near_port, timeout=_TIMEOUT), bool(
            proxy
        )
    connection = HTTPSConnection(
        near.hostname or '', near_port, timeout=_TIMEOUT, context=_make_context()
    )
    if proxy:
        connection.set_tunnel(host, port, headers=_proxy_login(parts))
    return connection, bool(proxy)


def _make_context() -> ssl.SSLContext:
    import ssl

    # the variables that DataLad's own downloads look at
    for name in ('REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE'):
        if place := os.environ.get(name):
            if os.path.isdir(place):
                return ssl.create_default_context(capath=place)
            return ssl.create_default_context(cafile=place)
    context = ssl.create_default_context()
    with suppress(ImportError, OSError):
        # beside what the system trusts, where there may be nothing
        import certifi

        context.load_verify_locations(certifi.where())
    return context


def _find_proxy(parts: SplitResult) -> SplitResult | None:
    if not any(name.lower().endswith('_proxy') for name in os.environ):
        return None
    from urllib import request

    proxies = request.getproxies_environment()
    url = proxies.get(parts.scheme) or proxies.get('all')
    host = f'{parts.hostname}:{parts.port}' if parts.port else str(parts.hostname)
    # it is there on all systems, but not in the annotations
    is_near = request.proxy_bypass_environment  # type: ignore[attr-defined]
    if not url or is_near(host, proxies):
        return None
    return urlsplit(url if '://' in url else f'http://{url}')


def _proxy_login(parts: SplitResult) -> dict[str, str]:
    proxy = _find_proxy(parts)
    if not proxy or proxy.username is None:
        return {}
    login = f'{unquote(proxy.username)}:{unquote(proxy.password or "")}'
    return {'Proxy-Authorization': f'Basic {b64encode(login.encode()).decode()}'}
