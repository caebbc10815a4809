"""A browser, a web server, and the overview of a study that is made up

The browser is the Chromium of the system, driven by playwright. Every page is
watched: a test fails when its page logs an error, throws, opens a dialog or
asks another server than the one of the test.
"""

from __future__ import annotations

import base64
import functools
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest

import datalad_icf

ASSETS = Path(datalad_icf.__file__).parent / 'catalog' / 'assets'
USER, PASSWORD = 'reader', 'pass word: 1%'
INSECURE_HOST = 'icf.test'


class Handler(SimpleHTTPRequestHandler):
    """Static files, below a path, optionally for one user alone"""

    login: str | None = None

    def send_head(self) -> Any:
        if self.login is not None:
            expected = base64.b64encode(self.login.encode()).decode()
            if self.headers.get('Authorization') != f'Basic {expected}':
                self.send_response(401)
                self.send_header('WWW-Authenticate', 'Basic realm="store"')
                self.send_header('Content-Length', '0')
                self.end_headers()
                return None
        return super().send_head()

    def log_message(self, format: str, *args: object) -> None:
        """Be quiet"""


@contextmanager
def serve(directory: Path, login: str | None = None) -> Iterator[int]:
    """Serve a directory while the context lasts; yields the port"""
    handler = type('LoginHandler', (Handler,), {'login': login})
    with ThreadingHTTPServer(
        ('127.0.0.1', 0), functools.partial(handler, directory=directory)
    ) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@dataclass
class Watched:
    """A page, and what it did that nobody sees"""

    page: Any
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def watch(self) -> None:
        def console(message: Any) -> None:
            if message.type in ('error', 'warning'):
                self.errors.append(message.text)

        def dialog(opened: Any) -> None:
            self.errors.append(f'dialog: {opened.message}')
            opened.dismiss()

        self.page.on('console', console)
        self.page.on('pageerror', lambda e: self.errors.append(str(e)))
        self.page.on('dialog', dialog)
        self.page.on('request', lambda request: self.requests.append(request.url))

    @property
    def foreign(self) -> list[str]:
        """Requests to anywhere else than this machine"""
        known = {'127.0.0.1', INSECURE_HOST}
        return [u for u in self.requests if urlsplit(u).hostname not in known]


@pytest.fixture
def catalog_dir(tmp_path) -> Path:
    """The directory of a catalog, in a store, below a directory of the server"""
    directory = tmp_path / 'srv' / 'some where' / 'S1' / 'catalog'
    directory.mkdir(parents=True)
    for file in ASSETS.glob('overview*'):
        shutil.copy(file, directory)
    (directory / 'index.html').write_text(
        '<!DOCTYPE html><title>Catalog</title><link rel="icon" href="overview.svg">'
    )
    return directory


@pytest.fixture
def open_overview(browser, tmp_path, catalog_dir) -> Iterator[Callable[..., Watched]]:
    """Opens the overview for some data in a fresh profile of the browser

    ``data`` is the content of the file, ``None`` leaves it away. ``expected``
    are parts of errors in the console that belong to the test.
    """
    opened: list[tuple[Watched, tuple[str, ...]]] = []
    with ExitStack() as stack:

        def open_page(
            data: dict[str, Any] | str | None,
            fragment: str = '',
            *,
            host: str = '127.0.0.1',
            login: str | None = None,
            init_script: str = '',
            expected: tuple[str, ...] = (),
            **context: Any,
        ) -> Watched:
            if data is not None:
                text = data if isinstance(data, str) else json.dumps(data)
                (catalog_dir / 'overview.json').write_text(text)
            port = stack.enter_context(serve(tmp_path / 'srv', login))
            settings = {'viewport': {'width': 1360, 'height': 850}, **context}
            profile = browser.new_context(**settings)
            stack.callback(profile.close)
            if init_script:
                profile.add_init_script(init_script)
            watched = Watched(profile.new_page())
            watched.watch()
            opened.append((watched, expected))
            watched.page.goto(
                f'http://{host}:{port}/some%20where/S1/catalog/overview.html{fragment}'
            )
            watched.page.wait_for_selector('#content:not([hidden]), #notice > p')
            return watched

        yield open_page
        for watched, expected in opened:
            unexpected = [
                e for e in watched.errors if not any(part in e for part in expected)
            ]
            assert not unexpected
            assert not watched.foreign


@pytest.fixture
def screenshot() -> Callable[..., None]:
    """Keeps a picture of a page where ``ICF_SCREENSHOTS`` names a directory"""

    def save(page: Any, name: str, **options: Any) -> None:
        directory = os.environ.get('ICF_SCREENSHOTS')
        if directory:
            Path(directory).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=Path(directory) / f'overview-{name}.png', **options)

    return save
