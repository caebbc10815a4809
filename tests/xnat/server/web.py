"""Connections, routing, and the server itself"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.xnat.server.accounts import Accounts
from tests.xnat.server.archiver import commit_idle
from tests.xnat.server.body import Body, ConnectionCutError
from tests.xnat.server.faults import Faults
from tests.xnat.server.members import BadArchiveError
from tests.xnat.server.state import Project, Site, State
from tests.xnat.server.tables import Answer, RefusedError, page


@dataclass
class Recorded:
    """A request that arrived; ``received`` counts the bytes of its body"""

    method: str
    path: str
    query: dict[str, str]
    content_type: str = ''
    chunked: bool = False
    received: int = 0
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Request:
    """What a call gets to see"""

    server: XnatServer
    method: str
    path: str
    query: dict[str, str]
    headers: Any
    body: Body
    user: str = ''
    token: str = ''
    base_url: str = ''
    parts: dict[str, str] = field(default_factory=dict)
    # parameters that may stand there more than once are in `query` only once
    pairs: list[tuple[str, str]] = field(default_factory=list)

    @property
    def state(self) -> State:
        return self.server.state

    def flag(self, name: str) -> bool:
        return self.query.get(name, '').lower() == 'true'

    def values(self, name: str) -> list[str]:
        """All values of a parameter"""
        return [value for key, value in self.pairs if key == name]


# modules rest_*
PARTS = ('session', 'data', 'scans', 'share', 'import', 'prearchive', 'dump')
Call = Callable[[Request], Answer]
ROUTES: list[tuple[str, re.Pattern[str], Call, bool]] = []


def route(methods: str, path: str, *, public: bool = False) -> Callable[[Call], Call]:
    """Make a function the answer to a path, in which ``{name}`` is one segment"""
    pattern = re.compile(re.sub(r'\{(\w+)\}', r'(?P<\1>[^/]+)', path) + '/?')

    def keep(call: Call) -> Call:
        ROUTES.extend((method, pattern, call, public) for method in methods.split())
        return call

    return keep


class XnatServer:
    """An XNAT for tests, on a free port of the loopback interface

    A context manager. Its ``url`` is there after it was entered.

    Attributes
    ----------
    state
        What is on the server, to be prepared and looked at.
    site
        Settings of the site; the same object as ``state.site``.
    faults
        What is to go wrong.
    requests
        All that arrived, in order.
    """

    def __init__(self, *, port: int = 0) -> None:
        # they register themselves, and need what is in this module
        for part in PARTS:
            import_module(f'tests.xnat.server.rest_{part}')
        self.state = State()
        self.faults = Faults()
        self.accounts = Accounts(self.site)
        self.requests: list[Recorded] = []
        self._timers: list[threading.Timer] = []
        self._httpd = _Httpd(('127.0.0.1', port), _Handler)
        self._httpd.xnat = self
        self._thread = threading.Thread(
            target=self._httpd.serve_forever, args=(0.005,), daemon=True
        )

    @property
    def url(self) -> str:
        return f'http://127.0.0.1:{self._httpd.server_port}'

    @property
    def site(self) -> Site:
        return self.state.site

    def __enter__(self) -> XnatServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for timer in self._timers:
            timer.cancel()
        self._httpd.shutdown()
        self._httpd.server_close()

    def add_user(self, user: str, password: str) -> None:
        self.accounts.add(user, password)

    def add_project(self, project: str, *, name: str = '', **access: str) -> Project:
        """A private project; ``access`` is user='owner', 'member', 'collaborator'"""
        made = Project(project, name or f'Project {project}', dict(access))
        self.state.projects[project] = made
        return made

    def idle(self) -> None:
        """Let five minutes pass: see `archiver.commit_idle`"""
        with self.state.lock:
            commit_idle(self.state, self.faults)

    def later(self, seconds: float, call: Callable[[], object]) -> None:
        """Do something in another thread (JMS queues, archiving)"""
        timer = threading.Timer(seconds, call)
        timer.daemon = True
        self._timers.append(timer)
        timer.start()

    def forget(self) -> None:
        """Forget which requests there were, not what they did"""
        self.requests.clear()

    def count(self, path: str = '', method: str = '') -> int:
        """How many requests there were, to paths that match"""
        return len(self.seen(path, method))

    def seen(self, path: str = '', method: str = '') -> list[Recorded]:
        return [
            one
            for one in list(self.requests)
            if re.search(path, one.path) and method in ('', one.method)
        ]

    @property
    def uploaded(self) -> int:
        """Bytes of all bodies to services/import"""
        return sum(one.received for one in self.seen('/services/import'))


class _Httpd(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    xnat: XnatServer

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are no news"""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    # one packet for small answers, sent at once
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    server: _Httpd

    def log_message(self, *_: object) -> None:
        pass

    def handle_expect_100(self) -> bool:
        # curl waits a second for it, so it must not stay in the buffer
        going_on = super().handle_expect_100()
        self.wfile.flush()
        return going_on

    def _answer(self) -> None:
        xnat = self.server.xnat
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        query = dict(pairs)
        seen = Recorded(
            self.command,
            path,
            query,
            self.headers.get('Content-Type', ''),
            self.headers.get('Transfer-Encoding', '').lower() == 'chunked',
            headers={name.lower(): value for name, value in self.headers.items()},
        )
        xnat.requests.append(seen)
        faults = xnat.faults.take(self.command, path)
        limit = min((f.cut_after for f in faults if f.cut_after >= 0), default=None)

        def arrived(size: int) -> None:
            seen.received += size

        body = Body(
            self.rfile,  # type: ignore[arg-type]
            length=int(self.headers.get('Content-Length') or 0),
            chunked=seen.chunked,
            on_bytes=arrived,
            cut_after=limit,
        )
        request = Request(
            xnat, self.command, path, query, self.headers, body, pairs=pairs
        )
        try:
            answer = self._work(request, faults)
            if not any(f.before_body for f in faults):
                body.drain()
        except ConnectionCutError:
            self.close_connection = True
            return
        seen.status = answer.status
        cuts = [f.cut_answer for f in faults if f.cut_answer is not None]
        if cuts:
            self.close_connection = True
        self._send(answer, *cuts[:1])

    def _work(self, request: Request, faults: list) -> Answer:
        xnat = request.server
        for fault in faults:
            if fault.seconds:
                time.sleep(fault.seconds)
            if fault.status:
                if fault.before_body:
                    self.close_connection = True
                answer = page(fault.status, 'The server is not available')
                return answer._replace(headers=fault.headers)
        if xnat.faults.sessions_expire_now():
            xnat.accounts.expire_all()
        # /data/archive and the old /REST are the same as /data
        path = re.sub(r'^/(data/archive|REST)/(?!services)', '/data/', request.path)
        methods = [one for one in ROUTES if one[1].fullmatch(path)]
        try:
            cookies = self._log_in(request)
            for method, pattern, call, public in methods:
                if method != request.method:
                    continue
                if not (request.user or public):
                    raise RefusedError(401, 'Login attempt failed. Please try again.')
                found = pattern.fullmatch(path)
                request.parts = found.groupdict() if found else {}
                answer = call(request)
                return answer._replace(headers=answer.headers + tuple(cookies))
            if not request.user:
                raise RefusedError(401, 'Login attempt failed. Please try again.')
            raise RefusedError(405 if methods else 404, 'Not found')
        except RefusedError as e:
            return page(e.status, e.message)
        except BadArchiveError:
            # what exactly is in the log of the server (DicomZipImporter)
            return page(400, 'unable to read data from file')

    def _log_in(self, request: Request) -> list[tuple[str, str]]:
        """By cookie, else by Basic, which opens a session of its own each time"""
        accounts = request.server.accounts
        cookie = SimpleCookie(self.headers.get('Cookie', '')).get('JSESSIONID')
        if cookie is not None:
            request.token = cookie.value
            request.user = accounts.user_of(cookie.value) or ''
        basic = self.headers.get('Authorization', '')
        if request.user or not basic.startswith('Basic '):
            return []
        token = accounts.log_in_basic(basic)
        if token is None:
            raise RefusedError(401, 'Login attempt failed. Please try again.')
        request.token = token
        request.user = accounts.user_of(token) or ''
        return session_cookies(token, request.server.site)

    def _send(self, answer: Answer, cut: int | None = None) -> None:
        if cut == 0:
            return
        self.send_response(answer.status)
        self.send_header('Content-Type', answer.content_type)
        self.send_header('Content-Length', str(len(answer.content)))
        for name, value in answer.headers:
            self.send_header(name, value)
        if self.close_connection:
            self.send_header('Connection', 'close')
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(answer.content[:cut])

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815


def session_cookies(token: str, site: Site) -> list[tuple[str, str]]:
    """The session, and for how long: milliseconds since 1970, length"""
    now = int(time.time() * 1000)
    length = int(site.session_timeout * 1000)
    return [
        ('Set-Cookie', f'JSESSIONID={token}; Path=/; HttpOnly'),
        ('Set-Cookie', f'SESSION_EXPIRATION_TIME="{now},{length}"; Path=/'),
    ]
