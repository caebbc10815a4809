from __future__ import annotations

import http.client
import socket
import sys
from contextlib import ExitStack
from statistics import median
from time import perf_counter

import pytest

from datalad_icf.errors import MissingInputError, PreconditionError
from datalad_icf.serve import Login, open_server


def test_small_answers_on_one_connection_come_without_delay(serve, root):
    """Nagle's algorithm would wait for 40 ms, as answers are in two pieces"""
    (root / 'S1' / 'small.json').write_text('[]')
    connection = http.client.HTTPConnection('127.0.0.1', serve().port, timeout=20)
    times = []
    for _ in range(20):
        start = perf_counter()
        connection.request('GET', '/S1/small.json')
        assert connection.getresponse().read() == b'[]'
        times.append(perf_counter() - start)
    connection.close()
    assert median(times) < 0.03


def test_connections_do_not_wait_for_more_to_send(root):
    with open_server(root, port=0) as server, ExitStack() as stack:
        client = stack.enter_context(
            socket.create_connection(('127.0.0.1', server.port))
        )
        accepted, _ = server._listener.accept()
        stack.enter_context(accepted)
        # what asyncio looks at
        assert accepted.proto == socket.IPPROTO_TCP
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert client


def test_a_port_that_is_taken_is_told(root):
    with (
        open_server(root, port=0) as server,
        pytest.raises(PreconditionError, match=f'port {server.port}.*--port'),
        open_server(root, port=server.port),
    ):
        pass


def test_a_port_is_free_again_at_once(root):
    with open_server(root, port=0) as server:
        port = server.port
        with socket.create_connection(('127.0.0.1', port)):
            # who closes first keeps the port for a minute
            server._listener.accept()[0].close()
    with open_server(root, port=port) as server:
        assert server.port == port


@pytest.mark.parametrize('host', ['203.0.113.1', 'a' * 300])
def test_an_address_of_elsewhere_is_told(root, host):
    with pytest.raises(PreconditionError), open_server(root, host=host, port=0):
        pass


@pytest.mark.parametrize('host', ['0.0.0.0', '::'])
def test_other_machines_need_a_password(root, host):
    try:
        with open_server(root, host=host, port=0, allow_anyone=True) as server:
            assert not server.is_local
            assert socket.gethostname() in server.url
    except PreconditionError:
        pytest.skip(f'this machine has no {host}')
    with pytest.raises(PreconditionError, match='without a password'):
        open_server(root, host=host, port=0).__enter__()
    with open_server(root, host=host, port=0, login=Login('u', 'p')) as server:
        assert not server.is_local


@pytest.mark.parametrize('host', ['localhost', '127.0.0.1', '::1'])
def test_this_machine_needs_none(root, host):
    try:
        with open_server(root, host=host, port=0) as server:
            assert server.is_local
            shown = '[::1]' if host == '::1' else host
            assert server.url == f'http://{shown}:{server.port}/'
    except PreconditionError:
        pytest.skip(f'this machine has no {host}')


def test_a_store_must_be_there(tmp_path):
    with (
        pytest.raises(MissingInputError, match='no store'),
        open_server(tmp_path / 'none', port=0),
    ):
        pass


@pytest.mark.parametrize('package', ['starlette', 'uvicorn'])
def test_what_is_not_installed_is_told(root, monkeypatch, package):
    for name in list(sys.modules):
        if name.startswith('datalad_icf.serve.'):
            monkeypatch.delitem(sys.modules, name)
        if name.split('.')[0] == package:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with (
        pytest.raises(PreconditionError, match=r"pip install 'datalad-icf\[serve\]'"),
        open_server(root, port=0),
    ):
        pass
