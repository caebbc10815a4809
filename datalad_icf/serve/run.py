"""The server: an address, and the application at work behind it"""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path
from threading import current_thread, main_thread
from typing import Any

from datalad_icf.errors import MissingInputError, PreconditionError
from datalad_icf.serve.access import Login

DEFAULT_HOST, DEFAULT_PORT = '127.0.0.1', 8000
# what a request may call this machine. Others are refused where there is no
# password: a page from elsewhere could have given its own name the address 127.0.0.1
# meanwhile, and read the store with the browser of the user.
_LOOPBACK_NAMES = ('localhost', '127.0.0.1', '[::1]', '*.localhost')
# seconds for responses that are under way at the end
_GRACE = 2


def build_app(
    root: Path, *, login: Login | None = None, hosts: Sequence[str] | None = None
) -> Any:
    """Build the ASGI application that serves a store

    Parameters
    ----------
    root
        Root directory of the store.
    login
        What each request must come with, if anything.
    hosts
        Names that requests may call the server by, ``*.NAME`` for those below one.
        Default: any.

    Returns
    -------
    starlette.applications.Starlette
        For any ASGI server.

    Raises
    ------
    PreconditionError
        If starlette is not installed.
    """
    try:
        from datalad_icf.serve.app import build_app
    except ModuleNotFoundError as e:
        raise _missing(e) from e
    return build_app(root, login=login, hosts=hosts)


class Server:
    """A server whose address is taken; use `open_server`

    Requests wait until `run` answers them.

    Parameters
    ----------
    listener
        A socket that listens.
    host
        The address as it was asked for.
    app
        The ASGI application.
    """

    def __init__(self, listener: socket.socket, host: str, app: Any) -> None:
        from uvicorn import Config
        from uvicorn import Server as Uvicorn

        self._listener = listener
        self._host = host
        config = Config(
            app,
            # nobody has to know who looked at whom
            access_log=False,
            log_config=None,
            log_level='warning',
            lifespan='off',
            ws='none',
            server_header=False,
            timeout_graceful_shutdown=_GRACE,
        )
        self._uvicorn = Uvicorn(config)

    @property
    def port(self) -> int:
        """Number of the port"""
        return int(self._listener.getsockname()[1])

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches the server"""
        return _is_loopback(self._listener.getsockname()[0])

    @property
    def url(self) -> str:
        """Address of the store, with a slash at its end"""
        host = self._host
        if ip_address(self._listener.getsockname()[0].split('%')[0]).is_unspecified:
            host = socket.gethostname()
        return f'http://{f"[{host}]" if ":" in host else host}:{self.port}/'

    @property
    def is_ending(self) -> bool:
        """Whether somebody has called `stop`"""
        return self._uvicorn.should_exit

    def run(self) -> None:
        """Answer requests until Ctrl-C, or until `stop`

        Nothing is logged but errors of the program: an address names a patient to
        those who know the UIDs.
        """
        # this is how people end it
        with suppress(KeyboardInterrupt):
            self._uvicorn.run(sockets=[self._listener])

    def stop(self) -> None:
        """Let `run`, in another thread, come to its end"""
        self._uvicorn.should_exit = True


@contextmanager
def open_server(
    root: Path,
    *,
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    login: Login | None = None,
    allow_anyone: bool = False,
) -> Iterator[Server]:
    """Open a server for a store, and close it when the context ends

    In the context, Ctrl-C ends the server; where it does not run, once it does.

    Parameters
    ----------
    root
        Root directory of the store.
    host
        Address or name of an interface of this machine.
    port
        Number of the port; 0 takes one that is free.
    login
        What each request must come with, if anything.
    allow_anyone
        Whether other machines may read the store without a password.

    Raises
    ------
    PreconditionError
        If the address cannot be had, a password is needed, or uvicorn or starlette
        is not installed.
    MissingInputError
        If there is no store.

    Examples
    --------
    >>> with open_server(Path('.'), port=0) as server:
    ...     server.is_local
    True
    """
    if not root.is_dir():
        raise MissingInputError(f'there is no store at {root}')
    with _listen(host, port) as listener:
        is_local = _is_loopback(listener.getsockname()[0])
        if not is_local and not login and not allow_anyone:
            msg = (
                f'other machines reach {host}, and would read the store without a '
                'password: give one with --credential or --password-file'
            )
            raise PreconditionError(msg)
        hosts = (*_LOOPBACK_NAMES, host) if is_local and not login else None
        app = build_app(root, login=login, hosts=hosts)
        try:
            server = Server(listener, host, app)
        except ModuleNotFoundError as e:
            raise _missing(e) from e
        with _ended_by_ctrl_c(server):
            yield server


@contextmanager
def _ended_by_ctrl_c(server: Server) -> Iterator[None]:
    """Let Ctrl-C end the server, also before it runs"""

    def stop(_signal: int, _frame: object) -> None:
        if server.is_ending:
            raise KeyboardInterrupt
        server.stop()

    if current_thread() is not main_thread():
        # where signals are is a matter of others
        yield
        return
    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
        )[0]
    except (OSError, UnicodeError) as e:
        raise PreconditionError(f'{host!r} is no address of a machine') from e
    # The protocol is named, as asyncio turns Nagle's algorithm off only then, which
    # delays each small response by 40 ms.
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(address)
        listener.listen(1024)
    except (OSError, OverflowError) as e:
        listener.close()
        reason = getattr(e, 'strerror', None) or e
        msg = f'cannot serve at {host} port {port}: {reason}; try another --port'
        raise PreconditionError(msg) from e
    return listener


def _is_loopback(address: str) -> bool:
    return ip_address(address.split('%')[0]).is_loopback


def _missing(error: ModuleNotFoundError) -> PreconditionError:
    return PreconditionError(
        f"icf-serve needs the package {error.name}: pip install 'datalad-icf[serve]'"
    )
