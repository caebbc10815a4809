"""The ASGI application: who asks, for what, and what each response says"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from starlette.applications import Starlette
from starlette.authentication import (
    AuthCredentials,
    AuthenticationBackend,
    AuthenticationError,
    BaseUser,
    SimpleUser,
)
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from datalad_icf.dicomweb.servers import DEFAULT_REALM
from datalad_icf.serve.access import Login
from datalad_icf.serve.files import StoreFiles

# of each response that has none of its own. No policy for content: the pages of the
# catalog have theirs, and the viewer would not start with any.
_HEADERS = {
    # a browser asks whether a file has changed
    'Cache-Control': 'no-cache',
    'Referrer-Policy': 'same-origin',
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'SAMEORIGIN',
}


class _DefaultHeaders:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message['type'] == 'http.response.start':
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)


class _Backend(AuthenticationBackend):
    def __init__(self, login: Login) -> None:
        self._login = login

    async def authenticate(
        self, conn: HTTPConnection
    ) -> tuple[AuthCredentials, BaseUser]:
        """Let the one user in"""
        if not self._login.matches(conn.headers.get('authorization', '')):
            raise AuthenticationError
        return AuthCredentials(), SimpleUser(self._login.user)


def _challenge(_conn: HTTPConnection, _error: Exception) -> Response:
    header = f'Basic realm="{DEFAULT_REALM}", charset="UTF-8"'
    return PlainTextResponse(
        'A password is needed', 401, headers={'WWW-Authenticate': header}
    )


def build_app(
    root: Path, *, login: Login | None = None, hosts: Sequence[str] | None = None
) -> Starlette:
    """Build the application, see `datalad_icf.serve.build_app`"""
    middleware = [Middleware(_DefaultHeaders)]
    if hosts is not None:
        middleware.append(
            Middleware(
                TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False
            )
        )
    if login:
        middleware.append(
            Middleware(
                AuthenticationMiddleware, backend=_Backend(login), on_error=_challenge
            )
        )
    return Starlette(routes=[Mount('/', app=StoreFiles(root))], middleware=middleware)
