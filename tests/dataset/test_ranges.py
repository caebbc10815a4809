"""Parts of files over http: right bytes, or an error that says what is wrong"""

from __future__ import annotations

import os
from urllib.parse import unquote

import pytest

from datalad_icf.dataset.answers import Part
from datalad_icf.dataset.connections import Connections
from datalad_icf.dataset.ranges import StoreClient
from datalad_icf.errors import NoRangesError, ReplacedTarballError, StoreReadError
from tests.range_server import LOGIN, run_range_server

# no part of it is there twice
CONTENT = b''.join(n.to_bytes(4, 'big') for n in range(1 << 16))
PART = Part(1000, 150_000, len(CONTENT))
WANTED = CONTENT[1000:151_000]


class Login:
    """Somebody who knows a password, and who is asked for it"""

    def __init__(self, answer=LOGIN):
        self.answer = answer
        self.asked = []
        self.accepted = 0

    def find(self, url, challenge):
        self.asked.append((url, challenge))
        return self.answer

    def accept(self):
        self.accepted += 1

    def explain(self):
        return ''


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in list(os.environ):
        if name.lower().endswith('_proxy'):
            monkeypatch.delenv(name)


@pytest.fixture
def server():
    with run_range_server(files={'/a.tar': CONTENT}) as server:
        yield server


@pytest.fixture
def login():
    return Login()


@pytest.fixture
def read(server, login):
    """Read a part of the file with a client that is not patient"""
    client = StoreClient(login, pause=0.001)

    def read(part=PART, url=None):
        return b''.join(client.iter_part(url or f'{server.url}/a.tar', part))

    return read


@pytest.mark.parametrize(('start', 'size'), [(0, 1), (1000, 150_000), (262_143, 1)])
def test_a_part_is_one_request_and_its_bytes(read, server, start, size):
    part = Part(start, size, len(CONTENT))
    assert read(part) == CONTENT[start : start + size]
    (seen,) = server.seen
    assert seen.range == f'bytes={start}-{start + size - 1}'
    assert size <= seen.traffic <= size + 2048


def test_an_empty_part_needs_no_request(read, server):
    assert read(Part(5, 0, len(CONTENT))) == b''
    assert not server.seen


def test_a_login_costs_one_more_request_once(read, server, login):
    server.needs_login = True
    assert read() == WANTED
    assert read() == WANTED
    assert [seen.status for seen in server.seen] == [401, 206, 206]
    assert len(login.asked) == login.accepted == 1


def test_a_wrong_login_is_tried_once(read, server, login):
    server.needs_login = True
    login.answer = 'Basic d3Jvbmc='
    for _ in range(3):
        with pytest.raises(StoreReadError, match='asks for a password') as caught:
            read()
        assert caught.value.status_code == 401
    # asked once more, in case something else is known
    assert len(login.asked) == 2
    assert sum(seen.login is not None for seen in server.seen) == 1
    assert not login.accepted


def test_another_login_is_tried_if_the_first_was_wrong(read, server, login):
    server.needs_login = True
    answers = ['Basic d3Jvbmc=', LOGIN]
    login.find = lambda *_: answers.pop(0)
    assert read() == WANTED
    assert login.accepted == 1


def test_a_login_that_is_wrong_twice_is_given_up(read, server, login):
    server.needs_login = True
    answers = iter(range(100))
    login.find = lambda *_: f'Basic {next(answers)}'
    with pytest.raises(StoreReadError, match='asks for a password'):
        read()
    assert [seen.login for seen in server.seen] == [None, 'Basic 0', 'Basic 1']


def test_a_login_that_is_not_valid_any_more_is_told(read, server):
    server.needs_login = True
    assert read() == WANTED
    server.change = lambda _, answer: setattr(answer, 'status', 401)
    with pytest.raises(StoreReadError, match='asks for a password'):
        read()


@pytest.mark.parametrize('status', [301, 302, 307, 308])
def test_no_password_follows_a_redirect_to_another_host(read, server, login, status):
    server.needs_login = True
    with run_range_server(files={'/a.tar': CONTENT}) as other:

        def redirect(_, answer):
            if answer.status == 206:
                answer.status = status
                answer.headers = {
                    'Location': f'{other.url}/a.tar',
                    'Content-Length': '0',
                }
                answer.body = b''

        server.change = redirect
        assert read() == WANTED
        assert read() == WANTED
        assert [seen.login for seen in other.seen] == [None, None]
    assert server.seen[-1].login == LOGIN


def test_another_host_that_asks_for_a_password_is_looked_up_as_itself(
    read, server, login
):
    with run_range_server(files={'/a.tar': CONTENT}, needs_login=True) as other:

        def redirect(_, answer):
            answer.status = 302
            answer.headers = {'Location': f'{other.url}/a.tar', 'Content-Length': '0'}
            answer.body = b''

        server.change = redirect
        login.answer = None
        with pytest.raises(StoreReadError):
            read()
        ((url, _),) = login.asked
        assert url.startswith(other.url)


def test_a_relative_redirect_is_followed(read, server):
    server.files['/b/a.tar'] = server.files.pop('/a.tar')

    def redirect(seen, answer):
        if seen.path == '/a.tar':
            answer.status = 302
            answer.headers = {'Location': 'b/a.tar', 'Content-Length': '0'}

    server.change = redirect
    assert read() == WANTED


NOWHERE = ['http://127.0.0.1:abc/x', 'http://127.0.0.1:99999/x', 'http://[::1/x']


@pytest.mark.parametrize('place', ['/a.tar', 'file:///etc/passwd', '', *NOWHERE])
def test_a_redirect_that_leads_nowhere_is_told(read, server, place):
    def redirect(_, answer):
        answer.status = 302
        answer.headers = {'Location': place, 'Content-Length': '0'}
        answer.body = b''

    server.change = redirect
    with pytest.raises(StoreReadError, match='redirected'):
        read()


@pytest.mark.parametrize('place', ['/b c.tar', '/b%20c.tar', '/ü.tar'])
def test_a_redirect_that_is_not_quoted_is_followed(read, server, place):
    server.files[unquote(place)] = server.files.pop('/a.tar')

    def redirect(seen, answer):
        if seen.path == '/a.tar':
            answer.status = 302
            answer.headers = {'Location': place, 'Content-Length': '0'}

    server.change = redirect
    assert read() == WANTED


@pytest.mark.parametrize('url', [*NOWHERE, f'http://{"x" * 70}.test/a.tar'])
def test_what_is_no_address_is_told(read, url):
    with pytest.raises(StoreReadError, match=r'not an address|no server of that name'):
        read(url=url)


def test_a_password_is_not_kept_for_a_server_that_refuses_it(read, server, login):
    server.needs_login = True

    def refuse(_, answer):
        if answer.status == 206:
            answer.status = 403

    server.change = refuse
    with pytest.raises(StoreReadError, match='refuses'):
        read()
    assert not login.accepted


def whole(_, answer):
    answer.status, answer.body = 200, CONTENT
    answer.headers = {'Content-Length': str(len(CONTENT))}


def set_header(name, value):
    return lambda _, answer: answer.headers.update({name: value})


@pytest.mark.parametrize(
    'change',
    [
        whole,
        lambda _, answer: answer.headers.pop('Content-Range') and None,
        set_header('Content-Range', f'bytes 1001-151000/{len(CONTENT)}'),
        set_header('Content-Range', f'bytes 1000-151000/{len(CONTENT)}'),
        set_header('Content-Range', 'nonsense'),
        set_header('Content-Length', '149999'),
        set_header('Content-Length', '150001'),
        set_header('Content-Encoding', 'gzip'),
    ],
    ids=['200', 'no range', 'shifted', 'longer', 'odd', 'short', 'long', 'encoded'],
)
def test_what_is_no_part_is_not_taken_for_one(read, server, change):
    server.change = change
    with pytest.raises(NoRangesError):
        read()
    assert len(server.seen) == 1


def test_an_answer_without_length_is_read_as_far_as_it_must(read, server):
    server.change = lambda _, answer: answer.headers.pop('Content-Length') and None
    assert read() == WANTED


def test_an_answer_in_chunks_is_read(read, server):
    def chunk(_, answer):
        del answer.headers['Content-Length']
        answer.headers['Transfer-Encoding'] = 'chunked'
        parts = (answer.body[:70_000], answer.body[70_000:], b'')
        answer.body = b''.join(b'%x\r\n%s\r\n' % (len(p), p) for p in parts)

    server.change = chunk
    assert read() == WANTED


def test_an_unknown_size_of_the_file_is_no_hindrance(read, server):
    server.change = set_header('Content-Range', 'bytes 1000-150999/*')
    assert read() == WANTED


@pytest.mark.parametrize('size', [100_000, 262_145, 500])
def test_another_file_in_its_place_is_told(read, server, size):
    server.files['/a.tar'] = (CONTENT + b'more')[:size]
    with pytest.raises(ReplacedTarballError, match=f'{size} bytes instead of 262144'):
        read()


def test_a_cut_connection_is_continued_where_it_was(read, server):
    server.change = lambda *_: 60_000 if len(server.seen) == 1 else None
    assert read() == WANTED
    first, second = (seen.range for seen in server.seen)
    assert first == 'bytes=1000-150999'
    position = int(second.removeprefix('bytes=').split('-')[0])
    assert 1000 < position <= 61_000


def test_a_connection_that_is_cut_again_and_again_is_given_up(read, server):
    server.change = lambda *_: 10
    with pytest.raises(StoreReadError, match='connection was cut') as caught:
        read()
    assert caught.value.is_passing
    assert len(server.seen) == 4


def test_a_connection_that_is_cut_again_and_again_but_brings_some_is_used(read, server):
    server.change = lambda *_: 20_000
    assert read() == WANTED
    assert len(server.seen) >= 7


def test_a_server_that_is_out_of_order_is_not_called_cut(read, server):
    server.change = lambda _, answer: setattr(answer, 'status', 500)
    with pytest.raises(StoreReadError, match='answers with status 500') as caught:
        read()
    assert 'cut' not in str(caught.value)


def test_a_busy_server_is_asked_again(read, server):
    def busy(_, answer):
        if len(server.seen) < 3:
            answer.status = 503

    server.change = busy
    assert read() == WANTED


@pytest.mark.parametrize(
    ('status', 'problem'),
    [(403, 'refuses'), (404, 'no such file'), (418, 'status 418')],
)
def test_a_refusal_is_told_with_its_status(read, server, status, problem):
    server.change = lambda _, answer: setattr(answer, 'status', status)
    with pytest.raises(StoreReadError, match=problem) as caught:
        read()
    assert caught.value.status_code == status
    assert not caught.value.is_passing


def test_no_server_is_told(read):
    with run_range_server() as server:
        url = f'{server.url}/a.tar'
    with pytest.raises(StoreReadError, match='no connection to the server') as caught:
        read(url=url)
    assert not caught.value.is_passing


def test_a_connection_that_the_server_closed_meanwhile_is_opened_again(read, server):
    server.change = lambda _, answer: answer.headers.update({'X': 'y'})
    assert read() == WANTED
    # a server that restarts has closed all of them
    server.change = lambda *_: 200_000
    assert read() == WANTED
    assert read() == WANTED


def test_a_connection_is_not_shared_with_a_process_that_was_forked(server, monkeypatch):
    connections, url = Connections(), f'{server.url}/a.tar'
    connections.get(url, {}).read()
    (first,) = connections._open.values()
    connections.get(url, {}).read()
    assert [*connections._open.values()] == [first]
    monkeypatch.setattr(os, 'getpid', lambda: -1)
    connections.get(url, {}).read()
    (second,) = connections._open.values()
    assert second is not first
    # the other process goes on with it
    assert first.sock


def test_a_local_file_is_read(read, tmp_path):
    path = tmp_path / 'a &%41\udcff.tar'
    path.write_bytes(CONTENT)
    assert read(url=path.as_uri()) == WANTED


@pytest.mark.parametrize(
    ('size', 'total', 'problem'),
    [(100, 262_144, '100 bytes instead of'), (2000, 2000, 'ends before')],
)
def test_another_local_file_is_told(read, tmp_path, size, total, problem):
    (tmp_path / 'a.tar').write_bytes(CONTENT[:size])
    with pytest.raises(StoreReadError, match=problem):
        read(Part(1000, 150_000, total), (tmp_path / 'a.tar').as_uri())


def test_a_missing_local_file_is_told(read, tmp_path):
    with pytest.raises(StoreReadError, match='No such file') as caught:
        read(url=(tmp_path / 'a.tar').as_uri())
    assert caught.value.status_code == 404


def test_a_small_file_is_read_as_a_whole(server):
    client = StoreClient()
    server.files['/refs'] = b'text'
    assert client.read_file(f'{server.url}/refs', limit=4) == b'text'
    with pytest.raises(StoreReadError, match='more than 3 bytes'):
        client.read_file(f'{server.url}/refs', limit=3)


def test_a_proxy_is_asked_in_place_of_the_server(server, monkeypatch):
    server.files['http://store.test/a'] = b'by proxy'
    monkeypatch.setenv('http_proxy', server.url.replace('://', '://me:secret@'))
    monkeypatch.setenv('no_proxy', 'other.test')
    assert StoreClient().read_file('http://store.test/a', limit=99) == b'by proxy'
