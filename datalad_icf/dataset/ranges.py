"""Read a part of a file of a store: by an HTTP Range request, or from a local file

Nothing here knows DataLad or git-annex. Who may read is asked of a `Login`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPResponse
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, unquote, urljoin, urlsplit

from datalad_icf.dataset.answers import (
    REASONS,
    Part,
    check_part,
    check_status,
    tell_replaced,
)
from datalad_icf.dataset.connections import (
    BROKEN,
    Connections,
    NoConnectionError,
    Origin,
    origin_of,
)
from datalad_icf.errors import (
    ReplacedTarballError,
    StoreReadError,
)

_CHUNK = 1 << 16
# bytes after which a connection that is cut is no reason to give up
_SOME = 1 << 12
_MAX_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_UNAVAILABLE = (408, 425, 429, 500, 502, 503, 504)


class Login(Protocol):
    """Where users and passwords come from"""

    def find(self, url: str, challenge: str, /) -> str | None:
        """Find what answers a challenge; asked again, something else if there is

        Parameters
        ----------
        url
            What was asked for.
        challenge
            The header ``WWW-Authenticate``.

        Returns
        -------
        str or None
            The header ``Authorization``.
        """

    def accept(self) -> None:
        """Take note that what was found last has worked"""

    def explain(self) -> str:
        """Say how a server can be given what it asked for last"""


class NoLogin:
    """Knows no user"""

    def find(self, _url: str, _challenge: str, /) -> str | None:
        """Find nothing"""
        return None

    def accept(self) -> None:
        """Take note of nothing"""

    def explain(self) -> str:
        """Say that there is no way"""
        return 'no password is known'


class StoreClient:
    """Reads files and parts of files, and keeps connections and logins

    An answer to a login is kept, and sent to the same scheme, host and port only.
    Somewhere else, where a redirect leads to, it is asked for anew.

    Parameters
    ----------
    login
        Where users and passwords come from.
    attempts
        How often a connection that was cut, or a server that is busy, is tried.
    pause
        Seconds before the second attempt; each later one waits twice as long.
    user_agent
        How the client names itself.
    """

    def __init__(
        self,
        login: Login | None = None,
        *,
        attempts: int = 4,
        pause: float = 0.25,
        user_agent: str = 'datalad-icf',
    ) -> None:
        self._login = login or NoLogin()
        self._attempts = attempts
        self._pause = pause
        self._headers = {
            'User-Agent': user_agent,
            # a part of what is compressed would be no part of the file
            'Accept-Encoding': 'identity',
            'Accept': '*/*',
        }
        self._connections = Connections()
        self._auths: dict[Origin, str] = {}
        self._refused: set[Origin] = set()

    def iter_part(self, url: str, part: Part) -> Iterator[bytes]:
        """Read a part of a file

        A connection that is cut is continued where it was.

        Parameters
        ----------
        url
            An http, https or file URL.
        part
            What is read.

        Raises
        ------
        NoRangesError
            If the server sends no parts of files.
        ReplacedTarballError
            If the file has another size.
        StoreReadError
            If it cannot be read: refused, missing, or the server is not reachable.
        """
        if url.startswith('file:'):
            yield from _iter_local(_local_path(url), part)
            return
        position = part.start
        failures = 0
        while position < part.end:
            begin = position
            rest = Part(position, part.end - position, part.total)
            try:
                for chunk in self._iter_once(url, rest):
                    position += len(chunk)
                    yield chunk
                if position < part.end:
                    raise ConnectionError('the connection was closed too early')
            except BROKEN as e:
                failures = 1 if position - begin >= _SOME else failures + 1
                if failures >= self._attempts:
                    msg = f'{url} cannot be read: {_explain(e)}'
                    raise StoreReadError(msg, is_passing=_is_passing(e)) from e
                time.sleep(self._pause * 2 ** (failures - 1))

    def _iter_once(self, url: str, part: Part) -> Iterator[bytes]:
        headers = {'Range': f'bytes={part.start}-{part.end - 1}'}
        place, response = self._request(url, headers)
        todo = part.size
        try:
            check_part(url, response, part)
            while todo and (chunk := response.read(min(todo, _CHUNK))):
                todo -= len(chunk)
                yield chunk
            if not todo and response.chunked:
                # the mark of its end, after which the connection can go on
                with suppress(*BROKEN):
                    response.read(1)
        finally:
            self._connections.discard(place, response)

    def explain_login(self) -> str:
        """Say how a server can be given the password that it asks for"""
        return self._login.explain()

    def read_file(self, url: str, *, limit: int) -> bytes:
        """Read a small file as a whole

        Parameters
        ----------
        url
            An http, https or file URL.
        limit
            Size in bytes from which on it is none.

        Raises
        ------
        StoreReadError
            If it cannot be read, or is larger.
        """
        if url.startswith('file:'):
            path = _local_path(url)
            try:
                with path.open('rb') as f:
                    content = f.read(limit + 1)
            except OSError as e:
                raise _local_error(path, e) from e
        else:
            content = self._read_remote(url, limit)
        if len(content) > limit:
            msg = f'{url} has more than {limit} bytes'
            raise StoreReadError(msg)
        return content

    def _read_remote(self, url: str, limit: int) -> bytes:
        for attempt in range(1, self._attempts + 1):
            is_last = attempt == self._attempts
            try:
                place, response = self._request(url, {})
                try:
                    check_status(url, response, 200)
                    return response.read(limit + 1)
                finally:
                    self._connections.discard(place, response)
            except BROKEN as e:
                if is_last:
                    msg = f'{url} cannot be read: {_explain(e)}'
                    raise StoreReadError(msg, is_passing=_is_passing(e)) from e
                time.sleep(self._pause * 2 ** (attempt - 1))
        raise AssertionError

    def _request(self, url: str, headers: dict[str, str]) -> tuple[str, HTTPResponse]:
        """Send a request to where redirects lead, each with its own login"""
        place = url
        for _ in range(_MAX_REDIRECTS + 1):
            response = self._ask(place, headers)
            if response.status not in _REDIRECTS:
                break
            target = response.headers.get('Location', '')
            self._connections.discard(place, response)
            place = _follow(url, place, target)
        else:
            msg = f'{url} is redirected again and again'
            raise StoreReadError(msg)
        if response.status in _UNAVAILABLE:
            self._connections.discard(place, response)
            msg = f'the server answers with status {response.status}'
            raise _UnavailableError(msg)
        return place, response

    def _ask(self, url: str, headers: dict[str, str]) -> HTTPResponse:
        try:
            origin = origin_of(url)
        except ValueError as e:
            raise StoreReadError(f'{url} is not an address: {e}') from e
        response = self._send(url, headers, self._auths.get(origin))
        if response.status != 401:
            return response
        challenge = ', '.join(response.headers.get_all('WWW-Authenticate', []))
        self._connections.discard(url, response)
        # a password that was wrong once is not tried again and again
        if origin not in self._refused and origin not in self._auths:
            tried = None
            while (auth := self._login.find(url, challenge)) and auth != tried:
                response = self._send(url, headers, auth)
                if response.status != 401:
                    self._auths[origin] = auth
                    if response.status < 400:
                        self._login.accept()
                    return response
                self._connections.discard(url, response)
                if tried:
                    break
                tried = auth
        self._refused.add(origin)
        raise StoreReadError(f'{url}: the server {REASONS[401]}', status_code=401)

    def _send(
        self, url: str, headers: dict[str, str], auth: str | None
    ) -> HTTPResponse:
        login = {'Authorization': auth} if auth else {}
        return self._connections.get(url, {**self._headers, **headers, **login})


class _UnavailableError(ConnectionError):
    """The server is there, but busy or out of order"""


def _follow(url: str, place: str, target: str) -> str:
    """Find where a redirect leads to (RFC 9110, 10.2.2)"""
    # headers are taken for Latin-1; servers send spaces and UTF-8 as they are, too
    quoted = quote(target.encode('latin-1', 'replace'), safe="%/:?#[]@!$&'()*+,;=~")
    with suppress(ValueError):
        place = urljoin(place, quoted)
        if target and urlsplit(place).scheme in ('http', 'https'):
            origin_of(place)
            return place
    msg = f'{url} is redirected to where nothing can be read'
    raise StoreReadError(msg)


def _is_passing(error: Exception) -> bool:
    """Whether the server was there, so that it may be there again"""
    return not isinstance(error, NoConnectionError)


def _explain(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return 'there is no answer'
    if isinstance(error, (NoConnectionError, _UnavailableError)):
        return str(error)
    return f'the connection was cut ({str(error) or type(error).__name__})'


def _local_path(url: str) -> Path:
    return Path(unquote(urlsplit(url).path, errors='surrogateescape'))


def _local_error(path: Path, error: OSError) -> StoreReadError:
    is_missing = isinstance(error, FileNotFoundError)
    status = 404 if is_missing else 403 if isinstance(error, PermissionError) else 0
    msg = f'{path} cannot be read: {error.strerror}'
    return StoreReadError(msg, status_code=status)


def _iter_local(path: Path, part: Part) -> Iterator[bytes]:
    try:
        with path.open('rb') as f:
            size = f.seek(0, 2)
            if part.total is not None and size != part.total:
                raise ReplacedTarballError(tell_replaced(path, size, part.total))
            f.seek(part.start)
            todo = part.size
            while todo:
                chunk = f.read(min(todo, 16 * _CHUNK))
                if not chunk:
                    msg = f'{path} ends before the image does'
                    raise StoreReadError(msg)
                todo -= len(chunk)
                yield chunk
    except OSError as e:
        raise _local_error(path, e) from e
