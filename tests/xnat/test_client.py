"""Login, retries, and what becomes of answers"""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from shutil import which

import pytest
import requests

from datalad_icf.errors import XnatAccessError, XnatConnectionError, XnatError
from datalad_icf.xnat import XnatClient
from datalad_icf.xnat.client import DELAYS, read_reason
from tests.xnat.access import PASSWORD, USER
from tests.xnat.server import XnatServer

PROJECTS = '/data/projects'


@pytest.fixture
def naps(monkeypatch) -> list[float]:
    """Seconds that the package wanted to wait, and does not"""
    found: list[float] = []
    monkeypatch.setattr('datalad_icf.xnat.client.time.sleep', found.append)
    return found


@pytest.fixture
def other() -> XnatServer:
    """A server that nobody should speak to"""
    with XnatServer() as server:
        yield server


def logins(server: XnatServer) -> list[str]:
    """Paths that were asked for with user and password"""
    return [one.path for one in server.seen() if 'authorization' in one.headers]


def test_a_connection_is_one_session_that_is_closed_again(fake):
    with XnatClient(fake.url, fake.user, fake.password) as client:
        assert client.rows(PROJECTS)
        assert fake.server.accounts.open_sessions == 1
    assert fake.server.accounts.open_sessions == 0


def test_an_error_closes_the_session_too(fake):
    with (
        pytest.raises(XnatAccessError),
        XnatClient(fake.url, fake.user, fake.password) as client,
    ):
        client.call('GET', '/data/projects/NoSuch')
    assert fake.server.accounts.open_sessions == 0


def test_a_wrong_password_counts_as_one_failed_login(fake):
    with (
        pytest.raises(XnatAccessError, match='refuses the user name or the password'),
        XnatClient(fake.url, fake.user, 'wrong'),
    ):
        pass
    assert fake.server.accounts.failed[fake.user] == 1
    assert [one.path for one in fake.server.seen() if one.status == 401] == [
        '/data/JSESSION'
    ]


@pytest.mark.parametrize('password', ['a:b', 'ä€ö', '%41&x=1 ', 'p"\'\\'])
def test_any_password_is_sent_as_it_is(fake, password):
    fake.server.add_user('Jürgen', password)
    with XnatClient(fake.url, 'Jürgen', password) as client:
        assert 'Jürgen' in client.call('GET', '/data/auth').text


def test_only_the_login_has_the_password(fake):
    with XnatClient(f'{fake.url}/', fake.user, fake.password) as client:
        client.rows(PROJECTS)
    assert logins(fake.server) == ['/data/JSESSION']
    assert all(PASSWORD not in repr(one.query) for one in fake.server.seen())


def test_netrc_is_nothing_that_a_connection_reads(fake, tmp_path, monkeypatch):
    netrc = tmp_path / 'netrc'
    netrc.write_text('machine 127.0.0.1 login nobody password geheim\n')
    monkeypatch.setenv('NETRC', str(netrc))
    with XnatClient(fake.url, fake.user, fake.password):
        pass
    assert fake.server.count() > 1
    assert logins(fake.server) == ['/data/JSESSION']


def test_what_is_no_xnat_is_told(fake):
    with (
        pytest.raises(XnatConnectionError, match='does not answer as XNAT does'),
        XnatClient(f'{fake.url}/elsewhere', fake.user, fake.password),
    ):
        pass


def test_a_server_that_is_not_there_is_told_with_its_address():
    with socket.socket() as unused:
        unused.bind(('127.0.0.1', 0))
        url = f'http://127.0.0.1:{unused.getsockname()[1]}'
        with (
            pytest.raises(XnatConnectionError, match=f'{url}: it cannot be reached'),
            XnatClient(url, USER, PASSWORD),
        ):
            pass


@pytest.mark.parametrize('status', [429, 502, 503, 504])
def test_a_proxy_is_asked_again(fake, client, status):
    fake.server.faults.answer(status, path=PROJECTS, times=len(DELAYS))
    assert client.rows(PROJECTS)
    assert fake.server.count(PROJECTS) == 1 + len(DELAYS)


@pytest.mark.parametrize('status', [429, 503])
def test_a_proxy_is_not_asked_for_ever(fake, client, status):
    fake.server.faults.answer(status, path=PROJECTS, times=99)
    with pytest.raises(XnatConnectionError, match=f'not available .status {status}'):
        client.rows(PROJECTS)
    assert fake.server.count(PROJECTS) == 1 + len(DELAYS)


@pytest.mark.parametrize('status', [400, 403, 404, 409, 500])
def test_a_refusal_is_not_repeated(fake, client, status):
    fake.server.faults.answer(status, path=PROJECTS, times=9)
    with pytest.raises(XnatError) as caught:
        client.rows(PROJECTS)
    assert caught.value.status_code == status
    assert fake.server.count(PROJECTS) == 1


@pytest.mark.parametrize('fault', ['proxy', 'cut'])
def test_what_must_not_be_repeated_is_not(fake, client, fault):
    if fault == 'proxy':
        fake.server.faults.answer(503, path=PROJECTS)
    else:
        fake.server.faults.cut_answer(PROJECTS)
    with pytest.raises(XnatConnectionError):
        client.call('GET', PROJECTS, retry=False)
    assert fake.server.count(PROJECTS) == 1


@pytest.mark.parametrize(
    ('told', 'waited'),
    [('2', 2), ('86400', 60), ('0', 0.01), ('Fri, 31 Dec 1999 23:59:59 GMT', 0.01)],
)
def test_a_server_says_how_long_to_wait_within_reason(fake, client, naps, told, waited):
    fake.server.faults.answer(429, path=PROJECTS, Retry_After=told)
    assert client.rows(PROJECTS)
    assert naps == [waited]


@pytest.mark.parametrize('after', [0, 1, 30])
def test_a_cut_answer_is_asked_for_again(fake, client, after):
    fake.server.faults.cut_answer(PROJECTS, after=after)
    assert len(client.rows(PROJECTS)) == 3
    assert fake.server.count(PROJECTS) == 2


def test_an_answer_that_is_late_is_asked_for_again(fake, client, monkeypatch):
    monkeypatch.setattr('datalad_icf.xnat.client.READ_SECONDS', 0.2)
    fake.server.faults.slow(0.5, path=PROJECTS)
    assert client.rows(PROJECTS)
    assert fake.server.count(PROJECTS) == 2


def test_a_server_that_is_always_late_is_given_up(fake, client, monkeypatch):
    monkeypatch.setattr('datalad_icf.xnat.client.READ_SECONDS', 0.05)
    fake.server.faults.slow(0.3, path=PROJECTS, times=99)
    with pytest.raises(XnatConnectionError, match='does not answer in time'):
        client.rows(PROJECTS)


def test_a_session_that_expired_is_opened_again(fake, client):
    fake.server.faults.expire_sessions()
    assert client.rows(PROJECTS)
    assert logins(fake.server) == ['/data/JSESSION']
    assert fake.server.accounts.failed[fake.user] == 0


def test_who_is_refused_after_a_new_login_does_not_log_in_again(fake, client):
    fake.server.faults.answer(401, path=PROJECTS, times=99)
    with pytest.raises(XnatAccessError) as caught:
        client.rows(PROJECTS)
    assert caught.value.status_code == 401
    assert logins(fake.server) == ['/data/JSESSION']


def test_a_password_that_was_changed_meanwhile_is_tried_once(fake, client):
    fake.server.add_user(fake.user, 'new')
    fake.server.faults.expire_sessions()
    # and not for each request that comes after
    for _ in range(3):
        with pytest.raises(XnatAccessError, match='refuses the user name'):
            client.rows(PROJECTS)
    assert fake.server.accounts.failed[fake.user] == 1


def test_a_connection_that_could_not_log_in_again_does_so_later(fake, client):
    fake.server.faults.expire_sessions()
    fake.server.faults.cut_answer('JSESSION', method='GET')
    with pytest.raises(XnatConnectionError):
        client.rows(PROJECTS)
    assert client.rows(PROJECTS)


def test_a_host_that_sends_to_another_one_is_refused_without_asking_that(fake, other):
    away = other.url.replace('127.0.0.1', 'localhost')
    fake.server.faults.answer(302, path='^/$', Location=f'{away}/')
    with (
        pytest.raises(XnatConnectionError, match=r'leads to .*localhost.*Nothing was'),
        XnatClient(fake.url, fake.user, fake.password),
    ):
        pass
    assert other.count() == 0
    assert fake.server.count('JSESSION') == 0


def test_the_same_host_at_another_port_is_followed(fake, other):
    fake.server.faults.answer(301, path='^/$', Location=f'{other.url}/')
    other.add_user(USER, PASSWORD)
    with XnatClient(fake.url, USER, PASSWORD) as client:
        assert client.url == other.url
    assert fake.server.count('JSESSION') == 0


def test_a_way_from_https_to_http_is_refused(monkeypatch):
    asked = []

    def answer(self, method, url, **kwargs):
        asked.append(url)
        found = requests.Response()
        found.status_code = 302
        found.headers['Location'] = 'http://xnat.example.org/'
        return found

    monkeypatch.setattr(requests.Session, 'request', answer)
    with (
        pytest.raises(XnatConnectionError, match='leads to http:'),
        XnatClient('https://xnat.example.org', USER, PASSWORD),
    ):
        pass
    assert asked == ['https://xnat.example.org/']


def test_a_login_that_is_sent_elsewhere_fails(fake, other):
    fake.server.faults.answer(302, path='JSESSION', Location=f'{other.url}/data')
    with (
        pytest.raises(XnatConnectionError, match='does not answer as XNAT does'),
        XnatClient(fake.url, fake.user, fake.password),
    ):
        pass
    assert other.count() == 0


@pytest.mark.parametrize('status', [301, 302, 307, 308])
def test_no_later_request_follows_to_another_address(fake, client, other, status):
    fake.server.faults.answer(status, path='import', Location=f'{other.url}/steal')
    with pytest.raises(XnatConnectionError, match=r'sends POST .* to another address'):
        client.call('POST', '/data/services/import', body=lambda: iter([b'image']))
    assert other.count() == 0


@pytest.mark.parametrize('read', ['rows', 'item'])
def test_an_answer_that_is_no_json_is_an_error(fake, client, read):
    fake.server.faults.answer(200, path=PROJECTS)
    with pytest.raises(XnatError, match='with something that is no'):
        getattr(client, read)(PROJECTS)


@pytest.mark.parametrize('status', [429, 502, 503, 504])
def test_a_proxy_at_the_login_is_asked_again(fake, status):
    fake.server.faults.answer(status, path='JSESSION', times=len(DELAYS))
    with XnatClient(fake.url, fake.user, fake.password) as client:
        assert client.rows(PROJECTS)
    assert fake.server.accounts.failed[fake.user] == 0


def test_a_proxy_at_the_login_is_not_asked_for_ever(fake):
    fake.server.faults.answer(503, path='JSESSION', times=99)
    with (
        pytest.raises(XnatConnectionError, match=r'not available .status 503'),
        XnatClient(fake.url, fake.user, fake.password),
    ):
        pass
    assert len(logins(fake.server)) == 1 + len(DELAYS)


@pytest.mark.parametrize('path', ['JSESSION', '^/$', '/data/auth'])
def test_a_login_that_breaks_off_is_told(fake, path):
    fake.server.faults.cut_answer(path, times=99)
    with (
        pytest.raises(XnatConnectionError, match=f'no connection to {fake.url}'),
        XnatClient(fake.url, fake.user, fake.password),
    ):
        pass
    assert fake.server.accounts.failed[fake.user] == 0


def test_what_is_not_there_is_none(client):
    assert client.item('/data/projects/NoSuch') is None
    assert client.item('/data/projects/P1')['data_fields']['ID'] == 'P1'


@pytest.mark.parametrize(
    ('version', 'parsed'),
    [('1.8.11', (1, 8, 11)), ('1.8.3-SNAPSHOT-2', (1, 8, 3)), ('', ())],
)
def test_the_version_is_numbers(fake, client, version, parsed):
    fake.server.site.version = version
    assert client.version == parsed


def test_a_server_without_a_version_has_none(fake, client):
    fake.server.faults.answer(404, path='buildInfo')
    assert client.version == ()


@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        (b'<html><h3>Not\n <b>here</b> &amp; now</h3><p>x</p>', 'Not here & now'),
        (b'<html><body>a stack trace</body></html>', ''),
        (b'  short text \r\n', 'short text'),
        (b'', ''),
        (b'x' * 999, 'x' * 300),
    ],
)
def test_the_reason_is_the_heading_of_a_page(content, reason):
    answer = requests.Response()
    answer._content = content
    assert read_reason(answer) == reason


@pytest.mark.skipif(not which('openssl'), reason='openssl makes the certificate')
def test_a_certificate_that_nobody_knows_is_refused(tmp_path):
    pem = tmp_path / 'server.pem'
    subprocess.run(
        [
            'openssl',
            'req',
            '-x509',
            '-newkey',
            'rsa:2048',
            '-nodes',
            '-days',
            '2',
            '-subj',
            '/CN=localhost',
            '-addext',
            'subjectAltName=DNS:localhost',
            '-keyout',
            pem,
            '-out',
            tmp_path / 'cert.pem',
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / 'cert.pem', pem)
    with HTTPServer(('127.0.0.1', 0), BaseHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            with (
                pytest.raises(XnatConnectionError, match='certificate is not valid'),
                XnatClient(f'https://localhost:{server.server_port}', USER, PASSWORD),
            ):
                pass
        finally:
            server.shutdown()
            thread.join()
