"""A connection to an XNAT server, on the ``xnat`` package

Login, retries, sessions that expire in mid-run, and from HTTP statuses to errors. What
is asked of the server is in the other modules.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cached_property
from html import unescape
from types import TracebackType
from typing import Any, NoReturn
from urllib.parse import urljoin, urlsplit

import requests
import xnat
from requests.auth import HTTPBasicAuth

from datalad_icf.errors import XnatAccessError, XnatConnectionError, XnatError

# Seconds to wait before a request is repeated. That many times, then no more.
DELAYS = (1.0, 3.0, 9.0)
# The longest wait that a server may ask for.
_MAX_DELAY = 60.0
# Statuses of proxies, and of a server that starts or is under load.
_TRY_AGAIN = frozenset((429, 502, 503, 504))
_CONNECT_SECONDS = 30.0
# XNAT answers after 600 s, if archiving takes longer (SiteConfigPreferences)
READ_SECONDS = 660.0
_MAX_REDIRECTS = 5

Query = Mapping[str, str | list[str]]
Body = Callable[[], Iterable[bytes]]

# all that xnatpy tells: names of users, stack traces of servers; it is told as errors
_quiet = logging.getLogger('datalad.icf.xnat.xnatpy')
_quiet.addHandler(logging.NullHandler())
_quiet.propagate = False


class XnatClient:
    """A connection to an XNAT server; a context manager

    One for each thread. The user logs in once: with a wrong password there is no
    second try, because 20 of them lock an account.

    Parameters
    ----------
    url
        Address of the server, without user, query and fragment.
    user, password
        A user and its password, or an alias token and its secret.

    Raises
    ------
    XnatAccessError
        On entering, if the server refuses the user.
    XnatConnectionError
        On entering, if the server cannot be reached, or sends to another host.
    """

    def __init__(self, url: str, user: str, password: str) -> None:
        self.url = url.rstrip('/')
        self.user = user
        self._password = password
        self._connection: Any = None
        self._is_refused = False

    def __enter__(self) -> XnatClient:
        # it may have been entered, to find out whether the password is right
        if self._connection is None:
            self.url = _find_server(self.url)
            self._log_in()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # a user who interrupts does not wait for the server
        self._log_out(tell=kind is None or issubclass(kind, Exception))

    @cached_property
    def version(self) -> tuple[int, ...]:
        """Release of the server, ``(1, 8, 11)``, empty if it does not tell"""
        try:
            found = self.call('GET', '/xapi/siteConfig/buildInfo').json()['version']
        except (XnatError, ValueError, KeyError, TypeError):
            return ()
        return tuple(int(n) for n in re.findall(r'\d+', str(found).partition('-')[0]))

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Body | None = None,
        headers: Mapping[str, str] | None = None,
        allow: Iterable[int] = (),
        retry: bool = True,
    ) -> requests.Response:
        """Send one request, and repeat it where that may help and does no harm

        Parameters
        ----------
        method, path
            HTTP method, and what follows the address of the server.
        query
            Parameters of the URL.
        body
            Makes the body, each time anew. It is sent in chunks unless it has a
            length.
        headers
            More headers.
        allow
            Statuses that are no error, besides those of success.
        retry
            Whether to repeat after a cut connection and after 429, 502, 503, 504.

        Raises
        ------
        XnatAccessError
            If the status is 401, 403 or 404.
        XnatConnectionError
            If there is no answer, or none but from a proxy.
        XnatError
            If the status is any other one that is no success.
        """
        delays = iter(DELAYS if retry else ())
        logged_in_again = False
        if self._connection is None:
            # an earlier request could not log in again
            self._log_in()
        while True:
            problem: Exception | None = None
            answer = None
            try:
                answer = self._send(method, path, query, body, headers)
            except requests.RequestException as e:
                problem = e
            if answer is not None:
                # redirects are `ok` for requests
                if answer.status_code < 300 or answer.status_code in allow:
                    return answer
                if answer.status_code == 401 and not logged_in_again:
                    # the session has expired, which is no fault of the password
                    logged_in_again = True
                    self._log_out()
                    self._log_in()
                    continue
                if answer.status_code not in _TRY_AGAIN:
                    self._refuse(method, path, answer)
            delay = next(delays, None)
            if delay is None:
                self._give_up(answer, problem)
            time.sleep(_asked_delay(answer) or delay)

    def rows(self, path: str, **query: str | list[str]) -> list[dict[str, str]]:
        """Read a listing, of which each row has texts by column"""
        answer = self.call('GET', path, query={'format': 'json', **query})
        with suppress(ValueError, KeyError, TypeError):
            return [dict(row) for row in answer.json()['ResultSet']['Result']]
        msg = f'{self.url} has answered {path} with something that is no listing'
        raise XnatError(msg)

    def item(self, path: str) -> dict[str, Any] | None:
        """Read one thing: ``data_fields`` and ``children``; None if it is not there"""
        answer = self.call('GET', path, query={'format': 'json'}, allow=[404])
        if answer.status_code == 404:
            return None
        with suppress(ValueError, KeyError, TypeError, IndexError):
            return dict(answer.json()['items'][0])
        msg = f'{self.url} has answered {path} with something that is no item'
        raise XnatError(msg)

    def _send(
        self,
        method: str,
        path: str,
        query: Query | None,
        body: Body | None,
        headers: Mapping[str, str] | None,
    ) -> requests.Response:
        answer: requests.Response = self._connection.interface.request(
            method,
            f'{self.url}{path}',
            params=query,
            data=body() if body else None,
            headers=headers,
            # to another host, images would follow
            allow_redirects=False,
            timeout=(_CONNECT_SECONDS, READ_SECONDS),
        )
        return answer

    def _log_in(self) -> None:
        if self._is_refused:
            raise self._refusal()
        answer = self._open_session()
        for delay in DELAYS:
            # of a proxy, so that no login has failed
            if answer.status_code not in _TRY_AGAIN:
                break
            time.sleep(_asked_delay(answer) or delay)
            answer = self._open_session()
        if answer.status_code in _TRY_AGAIN:
            self._give_up(answer, None)
        if answer.status_code in (401, 403):
            self._is_refused = True
            raise self._refusal()
        if answer.status_code != 200 or not re.fullmatch(r'\s*[\w.-]+\s*', answer.text):
            msg = (
                f'{self.url} does not answer as XNAT does (status '
                f'{answer.status_code}); is this its address?'
            )
            raise XnatConnectionError(msg, answer.status_code)
        try:
            self._connection = xnat.connect(
                self.url,
                jsession=answer.text.strip(),
                logger=_quiet,
                detect_redirect=False,
                # 4 requests instead of 19 and more
                no_parse_model=True,
            )
        except (requests.RequestException, xnat.exceptions.XNATError, OSError) as e:
            raise _no_connection(self.url, e) from None
        # it logs in again when it has to, and a thread cannot tell what goes wrong
        self._connection.keepalive = False

    def _refusal(self) -> XnatAccessError:
        msg = (
            f'{self.url} refuses the user name or the password. Nothing was sent. '
            'Set the right ones with `datalad credentials set`, and do not try '
            'again with these: XNAT locks accounts'
        )
        return XnatAccessError(msg, 401)

    def _open_session(self) -> requests.Response:
        session = requests.Session()
        try:
            # Basic authentication for this request alone; the session that it opens is
            # that of all others
            return session.get(
                f'{self.url}/data/JSESSION',
                auth=HTTPBasicAuth(self.user.encode(), self._password.encode()),
                allow_redirects=False,
                timeout=_CONNECT_SECONDS,
            )
        except requests.RequestException as e:
            raise _no_connection(self.url, e) from None
        finally:
            session.close()

    def _log_out(self, *, tell: bool = True) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if not tell:
            connection._interface = None
            return
        # a session that is gone is what was wanted
        with suppress(requests.RequestException, xnat.exceptions.XNATError, OSError):
            connection.disconnect()
        # its destructor would try again
        connection._interface = None

    def _refuse(self, method: str, path: str, answer: requests.Response) -> NoReturn:
        status = answer.status_code
        told = read_reason(answer)
        if status in (401, 403, 404):
            raise XnatAccessError(told or f'{method} {path} is refused', status)
        if answer.is_redirect:
            msg = f'{self.url} sends {method} {path} to another address'
            raise XnatConnectionError(msg, status)
        msg = f'{method} {path} failed with status {status}'
        raise XnatError(f'{msg}: {told}' if told else msg, status)

    def _give_up(
        self, answer: requests.Response | None, problem: Exception | None
    ) -> NoReturn:
        if answer is not None:
            msg = (
                f'{self.url} is not available (status {answer.status_code}); try again '
                'later'
            )
            raise XnatConnectionError(msg, answer.status_code)
        raise _no_connection(self.url, problem) from None


def read_reason(answer: requests.Response) -> str:
    """What XNAT says of an error: the heading of its page, or a short text

    Examples
    --------
    >>> answer = requests.Response()
    >>> answer._content = b'<html><h3>No  such project</h3>...</html>'
    >>> read_reason(answer)
    'No such project'
    """
    heading = re.search(r'<h3>(.*?)</h3>', answer.text, re.DOTALL)
    text = heading.group(1) if heading else answer.text
    if '<' in text and not heading:
        return ''
    return ' '.join(unescape(re.sub(r'<[^>]*>', ' ', text)).split())[:300]


def _find_server(url: str) -> str:
    """Follow a server from http to https; without the user, and never elsewhere"""
    wanted = urlsplit(url)
    at = f'{url}/'
    for _ in range(_MAX_REDIRECTS):
        try:
            with requests.Session() as session:
                answer = session.get(
                    at,
                    # nor what is in .netrc
                    auth=lambda request: request,
                    allow_redirects=False,
                    timeout=_CONNECT_SECONDS,
                )
        except requests.RequestException as e:
            raise _no_connection(url, e) from None
        if not answer.is_redirect:
            break
        at = urljoin(at, answer.headers['Location'])
        found = urlsplit(at)
        # nor from https to http, where others could read the password
        if found.hostname != wanted.hostname or found.scheme not in (
            'https',
            wanted.scheme,
        ):
            msg = (
                f'{url} leads to {found.scheme}://{found.netloc}. Nothing was sent '
                'there; give that address if it is the right one'
            )
            raise XnatConnectionError(msg)
        if (found.scheme, found.netloc) != (wanted.scheme, wanted.netloc):
            wanted = wanted._replace(scheme=found.scheme, netloc=found.netloc)
    return wanted.geturl().rstrip('/')


def _no_connection(url: str, problem: Exception | None) -> XnatConnectionError:
    if isinstance(problem, requests.exceptions.SSLError):
        text = 'its certificate is not valid here'
    elif isinstance(problem, requests.exceptions.Timeout):
        text = 'it does not answer in time'
    elif isinstance(problem, requests.exceptions.ConnectionError):
        text = 'it cannot be reached, or has cut the connection'
    else:
        # no text of the exception: it may have the URL with all that was asked
        text = type(problem).__name__
    return XnatConnectionError(f'no connection to {url}: {text}')


def _asked_delay(answer: requests.Response | None) -> float:
    """Seconds of *Retry-After* (RFC 9110, 10.2.3), 0 if it does not say so"""
    value = answer.headers.get('Retry-After', '') if answer is not None else ''
    return min(float(value), _MAX_DELAY) if value.isdecimal() else 0.0
