"""A store that is served by this process, and somebody who asks"""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from datalad_icf.serve import Login, Server, build_app, open_server

LOGIN = Login('reader', 'pass word: ü%')


@dataclass(frozen=True)
class Answer:
    """What a server answered"""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@pytest.fixture
def root(tmp_path) -> Path:
    """A store with a study S1, and something else beside the store"""
    root = tmp_path / '.srv' / 'store'
    (root / 'S1').mkdir(parents=True)
    (root / 'S1' / 'V01_dicom.tar').write_bytes(bytes(range(256)) * 8)
    (tmp_path / 'secret.txt').write_text('secret')
    (root.parent / 'store-of-others').mkdir()
    (root.parent / 'store-of-others' / 'file').write_text('secret')
    return root


@pytest.fixture
def serve(root) -> Iterator[Callable[..., Server]]:
    """Serves the store at a free port, in a thread, until the test ends"""
    with ExitStack() as stack:

        def start(**options: Any) -> Server:
            server = stack.enter_context(open_server(root, port=0, **options))
            thread = Thread(target=server.run, daemon=True)
            thread.start()
            stack.callback(thread.join, 10)
            stack.callback(server.stop)
            return server

        yield start


@pytest.fixture
def ask() -> Callable[..., Answer]:
    """Asks for a path exactly as it is given, which libraries would tidy up"""

    def ask(server: Server, path: str, method: str = 'GET', **headers: str) -> Answer:
        connection = http.client.HTTPConnection('127.0.0.1', server.port, timeout=20)
        try:
            connection.putrequest(
                method, path, skip_host='Host' in headers, skip_accept_encoding=True
            )
            for name, value in headers.items():
                connection.putheader(name.replace('_', '-'), value)
            connection.endheaders()
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    return ask


class Switch:
    """The application of a server that is there for all tests"""

    app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


@pytest.fixture(scope='session')
def shared() -> Iterator[tuple[Server, Switch]]:
    """A server, as starting one for each test takes long"""
    switch = Switch()
    with socket.create_server(('127.0.0.1', 0)) as listener:
        server = Server(listener, '127.0.0.1', switch)
        thread = Thread(target=server.run, daemon=True)
        thread.start()
        yield server, switch
        server.stop()
        thread.join(10)


@pytest.fixture
def get(shared, root, ask) -> Callable[..., Answer]:
    """Asks for what is in the store, without a password"""
    server, switch = shared
    switch.app = build_app(root)

    def get(path: str, method: str = 'GET', **headers: str) -> Answer:
        return ask(server, path, method, **headers)

    return get
