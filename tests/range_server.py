"""A web server whose answers to range requests are as wrong as a test wants"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote

USER, PASSWORD, REALM = 'reader', 'päss word: 1%', 'icf-store'
LOGIN = 'Basic ' + b64encode(f'{USER}:{PASSWORD}'.encode()).decode()


@dataclass
class Seen:
    """A request: what was asked for, and what was answered"""

    path: str
    range: str | None
    login: str | None
    status: int = 0
    sent: int = 0
    # with the headers, in both directions
    traffic: int = 0


@dataclass
class RangeServer:
    """What is served, and how

    Attributes
    ----------
    files
        Path to content.
    change
        Called with each request, and the status, headers and body of its answer, which
        it may change; one that returns a number lets the connection be cut after so
        many bytes.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    needs_login: bool = False
    change: Callable[..., int | None] | None = None
    seen: list[Seen] = field(default_factory=list)
    url: str = ''

    def answered(self, status: int) -> list[Seen]:
        """The requests that were answered so"""
        return [seen for seen in self.seen if seen.status == status]


@dataclass
class Answer:
    """What is sent"""

    status: int
    headers: dict[str, str]
    body: bytes


class _Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True

    def log_message(self, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        state: RangeServer = self.server.state
        seen = Seen(
            unquote(self.path),
            self.headers.get('Range'),
            self.headers.get('Authorization'),
        )
        state.seen.append(seen)
        answer = self._answer(state, seen)
        cut = state.change(seen, answer) if state.change else None
        headers = [f'HTTP/1.1 {answer.status} .']
        headers += [f'{k}: {v}' for k, v in answer.headers.items()]
        head = '\r\n'.join([*headers, '', '']).encode()
        body = b'' if self.command == 'HEAD' else answer.body
        seen.status = answer.status
        sent = body if cut is None else body[:cut]
        seen.sent = len(sent)
        asked = len(self.raw_requestline) + len(bytes(self.headers))
        seen.traffic = asked + len(head) + len(sent)
        try:
            self.wfile.write(head + sent)
        except ConnectionError:
            cut = 0
        if cut is not None or 'Content-Length' not in answer.headers:
            self.close_connection = True

    def _answer(self, state: RangeServer, seen: Seen) -> Answer:
        if state.needs_login and seen.login != LOGIN:
            challenge = f'Basic realm="{REALM}", charset="UTF-8"'
            headers = {'WWW-Authenticate': challenge, 'Content-Length': '0'}
            return Answer(401, headers, b'')
        content = state.files.get(seen.path)
        if content is None:
            return Answer(404, {'Content-Length': '0'}, b'')
        match = re.fullmatch(r'bytes=(\d+)-(\d+)', seen.range or '')
        if not match:
            return Answer(200, {'Content-Length': str(len(content))}, content)
        start, end = int(match[1]), min(int(match[2]) + 1, len(content))
        if start >= end:
            headers = {
                'Content-Range': f'bytes */{len(content)}',
                'Content-Length': '0',
            }
            return Answer(416, headers, b'')
        headers = {
            'Content-Range': f'bytes {start}-{end - 1}/{len(content)}',
            'Content-Length': str(end - start),
        }
        return Answer(206, headers, content[start:end])


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


@contextmanager
def run_range_server(**state: Any) -> Iterator[RangeServer]:
    """Serve on a free port of this machine while the context lasts"""
    with _Server(('127.0.0.1', 0), _Handler) as server:
        server.state = RangeServer(**state)
        server.state.url = f'http://127.0.0.1:{server.server_address[1]}'
        thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server.state
        finally:
            server.shutdown()
            thread.join()
