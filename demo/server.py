"""A web server with a password in front of a store, for this machine alone"""

from __future__ import annotations

import binascii
import os
import re
import sys
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hmac import compare_digest
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from threading import Condition, Thread
from typing import Any
from urllib.parse import unquote, urlsplit

CHUNK_SIZE = 1 << 16
# all that clients of this package ask for (RFC 9110, 14.2)
RANGE = re.compile(r'bytes=(\d+)-(\d+)')
# what a catalog has; fixed, as the system of a machine may know others
CONTENT_TYPES = {
    '.css': 'text/css; charset=utf-8',
    '.html': 'text/html; charset=utf-8',
    '.jpg': 'image/jpeg',
    '.js': 'text/javascript; charset=utf-8',
    '.json': 'application/json',
    '.png': 'image/png',
    '.svg': 'image/svg+xml',
    '.woff2': 'font/woff2',
}


@dataclass(frozen=True)
class Request:
    """A request that the server has answered

    Parameters
    ----------
    method, path
        As they stand in the request line: percent-encoded, with the query.
    status
        HTTP status code of the response.
    sent
        Bytes of the response's body that were sent.
    head
        Bytes of the request, and of the response before its body.
    """

    method: str
    path: str
    status: int
    sent: int
    head: int = field(default=0, repr=False, compare=False)


class StoreServer(ThreadingHTTPServer):
    """An HTTP server for the files below a directory

    Use `serve_store` to have it started and stopped.

    Parameters
    ----------
    directory
        What is served: regular files, no listings, nothing outside.
    user, password, realm
        What a request must come with (RFC 7617), and the name of the protected
        part, without quotes and backslashes.
    """

    def __init__(self, directory: Path, user: str, password: str, realm: str) -> None:
        self.root = directory.resolve()
        self.login = f'{user}:{password}'.encode()
        self.challenge = f'Basic realm="{realm}", charset="UTF-8"'
        self._log: list[Request] = []
        self._pending = 0
        self._changed = Condition()
        super().__init__(('127.0.0.1', 0), StoreRequestHandler)

    @property
    def url(self) -> str:
        """Address of the store, without a slash at the end"""
        return f'http://127.0.0.1:{self.server_address[1]}'

    @property
    def requests(self) -> list[Request]:
        """The answered requests so far, in the order of their completion

        A client can have the last byte before the server has noted it. Hence
        this waits for the requests that are under way, 10 seconds at most.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._pending, timeout=10)
            return list(self._log)

    @contextmanager
    def pending(self) -> Iterator[None]:
        """Note that a request is under way"""
        with self._changed:
            self._pending += 1
        try:
            yield
        finally:
            with self._changed:
                self._pending -= 1
                self._changed.notify_all()

    def note(self, request: Request) -> None:
        """Add a request to the log"""
        with self._changed:
            self._log.append(request)

    def server_bind(self) -> None:
        """Bind the socket, without the look-up of a host name that can take seconds"""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = '127.0.0.1', self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet about clients that hang up, and about nothing else"""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class StoreRequestHandler(BaseHTTPRequestHandler):
    """The connection of a client of `StoreServer`"""

    server: StoreServer
    # a client comes back on the same connection with its password
    protocol_version = 'HTTP/1.1'
    # or the content waits for the client to acknowledge the headers, 40 ms each
    disable_nagle_algorithm = True
    _head = 0

    def do_GET(self) -> None:
        """Send a file"""
        with self.server.pending():
            self._answer()

    def do_HEAD(self) -> None:
        """Send what comes before the content of a file"""
        with self.server.pending():
            self._answer()

    def log_message(self, format: str, *args: object) -> None:
        """Be quiet: `StoreServer.requests` is the log"""

    def _answer(self) -> None:
        if not self._is_authorized():
            self._refuse(HTTPStatus.UNAUTHORIZED, challenge=self.server.challenge)
            return
        try:
            path = self._locate()
            file = path.open('rb')
        except (OSError, ValueError):
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        sent = 0
        with file:
            size = os.fstat(file.fileno()).st_size
            part = self._find_part(size)
            status = HTTPStatus.PARTIAL_CONTENT if part else HTTPStatus.OK
            start, end = part or (0, size)
            try:
                self.send_response(status)
                for name, value in self._describe(path).items():
                    self.send_header(name, value)
                if part:
                    self.send_header('Content-Range', f'bytes {start}-{end - 1}/{size}')
                self.send_header('Content-Length', str(end - start))
                self.end_headers()
                file.seek(start)
                todo = end - start if self.command == 'GET' else 0
                while todo and (chunk := file.read(min(todo, CHUNK_SIZE))):
                    self.wfile.write(chunk)
                    sent += len(chunk)
                    todo -= len(chunk)
            finally:
                self._note(status, sent)

    def _find_part(self, size: int) -> tuple[int, int] | None:
        """Where the part begins and ends that is asked for, if it is one"""
        match = RANGE.fullmatch(self.headers.get('Range', ''))
        if not match:
            return None
        start, end = int(match[1]), min(int(match[2]) + 1, size)
        return (start, end) if start < end else None

    def _is_authorized(self) -> bool:
        scheme, _, encoded = self.headers.get('Authorization', '').partition(' ')
        try:
            login = b64decode(encoded.strip(), validate=True)
        except (binascii.Error, ValueError):
            return False
        return scheme.lower() == 'basic' and compare_digest(login, self.server.login)

    def _locate(self) -> Path:
        relative = unquote(urlsplit(self.path).path, errors='surrogateescape')
        # resolved, so that neither dots nor a symlink lead out of the store
        path = (self.server.root / relative.lstrip('/')).resolve()
        if not path.is_relative_to(self.server.root) or not path.is_file():
            raise FileNotFoundError(relative)
        return path

    def _describe(self, path: Path) -> dict[str, str]:
        if 'catalog' not in path.relative_to(self.server.root).parts[:-1]:
            # of the store itself, which nobody is to look into
            return {'Content-Type': 'application/octet-stream'}
        kind = CONTENT_TYPES.get(path.suffix, 'application/octet-stream')
        headers = {'Content-Type': kind, 'X-Content-Type-Options': 'nosniff'}
        if path.suffix == '.json':
            # or a browser would show the catalog as it was before an update
            headers['Cache-Control'] = 'no-cache'
        return headers

    def _refuse(self, status: HTTPStatus, challenge: str = '') -> None:
        self.send_response(status)
        if challenge:
            self.send_header('WWW-Authenticate', challenge)
        self.send_header('Content-Length', '0')
        self.end_headers()
        self._note(status, 0)

    def flush_headers(self) -> None:
        """Send what comes before the content, and count it"""
        self._head = sum(map(len, getattr(self, '_headers_buffer', [])))
        super().flush_headers()

    def _note(self, status: HTTPStatus, sent: int) -> None:
        head = len(self.raw_requestline) + len(bytes(self.headers)) + self._head
        self.server.note(Request(self.command, self.path, int(status), sent, head))


@contextmanager
def serve_store(
    directory: Path, user: str, password: str, *, realm: str = 'icf-store'
) -> Iterator[StoreServer]:
    """Serve a directory on a free port of this machine while the context lasts

    Parameters
    ----------
    directory
        The store.
    user, password, realm
        What a client must log in with, and for what.

    Yields
    ------
    StoreServer
        Its ``url`` is the address, its ``requests`` what was asked for.

    Examples
    --------
    >>> import tempfile, urllib.error, urllib.request
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     with serve_store(Path(directory), 'user', 'secret') as server:
    ...         try:
    ...             urllib.request.urlopen(f'{server.url}/file')
    ...         except urllib.error.HTTPError as e:
    ...             e.close()
    ...         server.requests
    [Request(method='GET', path='/file', status=401, sent=0)]
    """
    with StoreServer(Path(directory), user, password, realm) as server:
        # a short poll, because shutdown() waits for the next one
        thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
