from __future__ import annotations

from base64 import b64encode

import pytest

from datalad_icf.errors import PreconditionError
from datalad_icf.serve import Login, read_login
from tests.serve.conftest import LOGIN


def basic(text: str) -> str:
    return f'Basic {b64encode(text.encode()).decode()}'


RIGHT = basic(f'{LOGIN.user}:{LOGIN.password}')


@pytest.mark.parametrize(
    'header',
    [
        '',
        'Basic',
        'Basic %%%',
        basic(''),
        basic(LOGIN.user),
        basic(f'{LOGIN.user}:'),
        basic(f'{LOGIN.user}:{LOGIN.password} '),
        basic(f':{LOGIN.password}'),
        RIGHT.replace('Basic', 'Bearer'),
        RIGHT.replace('Basic ', ''),
    ],
)
def test_who_does_not_know_the_password_learns_nothing(serve, ask, header):
    server = serve(login=LOGIN)
    for path in ('/', '/S1/V01_dicom.tar', '/none', '/S1'):
        answer = ask(server, path, Authorization=header)
        assert answer.status == 401
        challenge = answer.headers['WWW-Authenticate']
        assert challenge.startswith('Basic realm="icf-store"')
        assert answer.body == b'A password is needed'
        assert answer.headers['X-Content-Type-Options'] == 'nosniff'


def test_who_knows_the_password_is_let_in(serve, ask):
    server = serve(login=LOGIN)
    assert ask(server, '/S1/V01_dicom.tar', Authorization=RIGHT).status == 200
    # with a password, names of the server are a matter of proxies
    named = ask(server, '/', Authorization=RIGHT, Host='icf.example.org')
    assert named.status == 200


@pytest.mark.parametrize('host', ['example.org', '127.0.0.1.example.org', ''])
def test_a_page_of_elsewhere_cannot_read_the_store_under_its_own_name(serve, ask, host):
    answer = ask(serve(), '/', Host=host)
    assert answer.status == 400
    assert b'S1' not in answer.body


@pytest.mark.parametrize(
    'host', ['localhost', 'localhost:9000', '127.0.0.1:80', 'icf.localhost']
)
def test_this_machine_has_several_names(serve, ask, host):
    assert ask(serve(), '/', Host=host).status == 200


def test_a_login_is_read_from_a_file_of_its_owner(tmp_path):
    file = tmp_path / 'login'
    file.write_text('reader:pass: word \n')
    file.chmod(0o600)
    login = read_login(file)
    assert (login.user, login.password) == ('reader', 'pass: word ')
    assert 'word' not in repr(login)


@pytest.mark.parametrize(
    ('content', 'problem'),
    [
        (b'', 'one line'),
        (b'reader', 'one line'),
        (b'reader:', 'empty'),
        (b':secret', 'empty'),
        (b'reader:secret\nother:secret\n', 'one line'),
        (b'reader:\0secret', 'control'),
        (b'reader:\xff', 'no text'),
    ],
)
def test_a_file_without_a_login_is_refused(tmp_path, content, problem):
    file = tmp_path / 'login'
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(PreconditionError, match=problem) as caught:
        read_login(file)
    assert 'secret' not in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_file_that_others_may_read_is_refused(tmp_path):
    file = tmp_path / 'login'
    file.write_text('reader:secret')
    file.chmod(0o640)
    with pytest.raises(PreconditionError, match='chmod 600'):
        read_login(file)
    with pytest.raises(PreconditionError, match='No such file'):
        read_login(tmp_path / 'none')


def test_a_user_cannot_have_a_colon():
    with pytest.raises(PreconditionError, match='colon'):
        Login('a:b', 'secret')
