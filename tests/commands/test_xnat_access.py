"""Who logs in, and where the password never is"""

from __future__ import annotations

import logging

import pytest
from datalad.ui import ui

from tests.xnat.access import PASSWORD, USER
from tests.xnat.server import XnatServer


@pytest.fixture
def calls(fake, credman):
    """Lists projects; nobody has stored a credential"""
    import datalad.api

    def call(**kwargs):
        defaults = {
            'url': fake.url,
            'result_renderer': 'disabled',
            'on_failure': 'ignore',
            'return_type': 'list',
        }
        return datalad.api.icf_xnat_list(**{**defaults, **kwargs})

    return call


@pytest.fixture
def store(credman, fake):
    """Stores a credential"""

    def store(name='xnat', **properties):
        defaults = {
            'type': 'user_password',
            'user': USER,
            'secret': PASSWORD,
            'realm': fake.url,
        }
        credman.set(name, **{**defaults, **properties})

    return store


@pytest.fixture
def netrc(tmp_path, monkeypatch):
    """Writes a .netrc into a home directory of its own"""
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.setenv('USERPROFILE', str(tmp_path))

    def write(text):
        path = tmp_path / '.netrc'
        path.write_text(text)
        path.chmod(0o600)

    return write


def is_ok(records):
    return [one['status'] for one in records] == ['ok'] * 3


@pytest.mark.parametrize('slash', ['', '/'])
def test_a_credential_is_found_by_its_realm(calls, store, fake, slash):
    store(realm=fake.url + slash)
    store('other', realm='https://xnat.example.org', secret='other')
    assert is_ok(calls())
    assert is_ok(calls(url=f'{fake.url}/'))


def test_a_credential_is_found_by_its_name(calls, store, fake):
    store(secret='wrong')
    store('mine', realm=None)
    assert is_ok(calls(credential='mine'))
    assert fake.server.accounts.failed[USER] == 0


def test_a_credential_that_is_named_keeps_its_realm(calls, store, credman, netrc):
    netrc('')
    store(realm='https://xnat.example.org')
    assert is_ok(calls(credential='xnat'))
    assert credman.get('xnat')['realm'] == 'https://xnat.example.org'


def test_a_credential_that_worked_is_remembered(calls, store, credman):
    store()
    calls()
    assert 'last-used' in credman.get('xnat')


def test_a_credential_that_did_not_work_is_not_changed(calls, store, credman, fake):
    store(secret='wrong')
    (record,) = calls()
    assert record['status'] == 'impossible'
    assert 'last-used' not in credman.get('xnat')
    assert fake.server.accounts.failed[USER] == 1


def test_a_credential_that_is_refused_is_not_followed_by_another(
    calls, store, netrc, fake
):
    netrc(f'machine 127.0.0.1 login {USER} password "{PASSWORD}"\n')
    store(secret='wrong')
    (record,) = calls()
    assert record['status'] == 'impossible'
    assert fake.server.accounts.failed[USER] == 1


def test_a_name_that_is_unknown_is_told(calls, store, netrc, fake):
    netrc(f'machine 127.0.0.1 login {USER} password "{PASSWORD}"\n')
    store()
    (record,) = calls(credential='no-such')
    assert record['status'] == 'impossible'
    assert "no credential 'no-such'" in record['message']
    assert fake.server.count() == 0


def test_netrc_is_read_where_there_is_no_credential(calls, netrc, credman, fake):
    netrc(f'machine 127.0.0.1 login {USER} password "{PASSWORD}"\n')
    assert is_ok(calls())
    assert credman.query(realm=fake.url) == []


@pytest.mark.parametrize(
    'text', ['', 'machine other.org login a password b\n', 'no netrc at all {\n']
)
def test_without_a_login_it_is_told_how_to_store_one(calls, netrc, fake, text):
    netrc(text)
    (record,) = calls()
    assert record['status'] == 'impossible'
    assert 'datalad credentials set NAME type=user_password' in record['message']
    assert f'realm={fake.url}' in record['message']
    assert fake.server.count() == 0


@pytest.mark.parametrize('right', [True, False])
def test_somebody_is_asked_and_what_worked_is_stored(
    calls, credman, netrc, monkeypatch, fake, right
):
    netrc('')
    answers = [USER, PASSWORD if right else 'wrong', 'my-xnat']
    asked = []

    def question(text='', *_, **kwargs):
        asked.append(kwargs.get('title', text))
        return answers.pop(0)

    monkeypatch.setattr(type(ui.ui), 'is_interactive', True, raising=False)
    monkeypatch.setattr(type(ui.ui), 'question', staticmethod(question), raising=False)
    records = calls()
    assert is_ok(records) is right
    stored = [name for name, _ in credman.query(realm=fake.url)]
    assert stored == (['my-xnat'] if right else [])
    assert fake.server.accounts.failed[USER] == (not right)


def test_a_key_ring_that_fails_does_not_stop_the_work(
    calls, store, monkeypatch, caplog
):
    from datalad_next.credman import CredentialManager

    store()

    def fail(*_, **__):
        raise RuntimeError(PASSWORD)

    monkeypatch.setattr(CredentialManager, 'set', fail)
    assert is_ok(calls())
    assert 'The credential was not saved (RuntimeError)' in caplog.text
    assert PASSWORD not in caplog.text


def test_no_record_and_no_log_has_the_password(calls, store, caplog, fake):
    store()
    with caplog.at_level(logging.DEBUG):
        records = [*calls(), *calls(project='NoSuch')]
        fake.server.add_user(USER, 'changed')
        records += calls()
    assert [one['status'] for one in records[3:]] == ['impossible'] * 2
    assert PASSWORD not in repr(records) + caplog.text
    assert not any(PASSWORD in repr(one.query) for one in fake.server.seen())


@pytest.mark.parametrize(
    'url', ['https://me:geheim@xnat.example.org', 'ftp://x', 'xnat', 'https://x/?a=1']
)
def test_an_address_with_more_than_a_place_is_refused(calls, url):
    with pytest.raises(Exception, match='no address like https') as caught:
        calls(url=url)
    assert 'geheim' not in str(caught.value)


def test_a_host_that_leads_elsewhere_gets_no_credentials(calls, store, fake):
    store()
    with XnatServer() as other:
        away = other.url.replace('127.0.0.1', 'localhost')
        fake.server.faults.answer(302, path='^/$', Location=away, times=9)
        (record,) = calls()
        assert record['status'] == 'error'
        assert 'leads to' in record['message']
        assert other.count() == 0
    assert {one.path for one in fake.server.seen()} == {'/'}


@pytest.mark.parametrize(
    ('url', 'warns'),
    [
        ('http://xnat.invalid', True),
        ('https://xnat.invalid', False),
        ('http://localhost:1', False),
        ('http://127.0.0.1:1', False),
    ],
)
def test_a_way_that_others_can_read_is_warned_of(calls, store, caplog, url, warns):
    store(realm=url)
    with caplog.at_level(logging.WARNING):
        (record,) = calls(url=url)
    assert record['status'] == 'error'
    assert ('others can read the password' in caplog.text) is warns


def test_the_address_may_be_configured(calls, store, fake, configure):
    store()
    configure('datalad.icf.xnat-url', fake.url)
    assert is_ok(calls(url=None))


def test_no_other_host_is_ever_spoken_to(calls, store, fake, monkeypatch):
    import socket

    store()
    spoken = set()
    connect = socket.socket.connect

    def watch(self, address):
        spoken.add(address)
        return connect(self, address)

    monkeypatch.setattr(socket.socket, 'connect', watch)
    assert is_ok(calls())
    port = int(fake.url.rpartition(':')[2])
    assert spoken == {('127.0.0.1', port)}
