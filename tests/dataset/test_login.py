"""Credentials of DataLad, by the realm of the server that asks for one"""

from __future__ import annotations

import os
import subprocess
import sys
from base64 import b64decode

import keyring
import pytest

from datalad_icf.dataset.challenge import find_realms
from datalad_icf.dataset.login import DataladLogin, find_quickly

URL = 'http://store.test:81/S1/V01_dicom.tar'
CHALLENGE = 'Basic realm="icf store", charset="UTF-8"'
REALM = 'http://store.test:81/icf store'


@pytest.fixture
def manager(credman, tmp_path, monkeypatch):
    # where git would look for the configuration of a clone
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(('DATALAD_CREDENTIAL', 'DATALAD_CONFIG')):
            monkeypatch.delenv(name)
    return credman


@pytest.fixture
def keep(manager):
    """Keep a credential"""

    def keep(name, secret, **fields):
        fields = {'type': 'user_password', 'user': 'jane', 'realm': REALM, **fields}
        manager.set(name, secret=secret, **{k: v for k, v in fields.items() if v})

    return keep


def decode(header):
    scheme, _, value = header.partition(' ')
    assert scheme == 'Basic'
    return b64decode(value).decode()


@pytest.mark.parametrize('secret', ['secret', 'pass: wörd\u2028%', '日本'])
def test_a_credential_is_found_by_its_realm(keep, secret):
    keep('other', 'wrong', realm='http://other.test/icf store')
    keep('mine', secret)
    assert decode(DataladLogin().find(URL, CHALLENGE)) == f'jane:{secret}'


def test_of_several_credentials_it_is_the_one_that_was_used_last(keep, manager):
    keep('first', 'one', **{'last-used': '2026-01-01T00:00:00'})
    keep('second', 'two', **{'last-used': '2026-01-02T00:00:00'})
    keep('third', 'three')
    assert find_quickly(REALM, 'user_password')['secret'] == 'two'
    known = manager.query(_sortby='last-used', realm=REALM)
    assert known[0][1]['secret'] == 'two'


def test_the_environment_is_left_to_datalad(keep, monkeypatch):
    keep('mine', 'stored')
    monkeypatch.setenv('DATALAD_CREDENTIAL_MINE_SECRET', 'from environment')
    assert find_quickly(REALM, 'user_password') is None
    import datalad

    datalad.cfg.reload(force=True)
    assert decode(DataladLogin().find(URL, CHALLENGE)) == 'jane:from environment'


# of a new process, as git-annex starts one for each get
FIND = f"""
import sys
started = set()
def audit(event, args):
    if event in ('subprocess.Popen', 'os.posix_spawn', 'os.exec', 'os.system'):
        started.add(str(args[0]))
sys.addaudithook(audit)
from datalad_icf.dataset.login import find_quickly
find_quickly({REALM!r}, 'user_password')
assert 'keyring.core' in sys.modules
print(*started)
"""


@pytest.mark.skipif(sys.platform == 'darwin', reason='the library is there')
def test_looking_for_a_password_starts_nothing_but_git(tmp_path):
    """And no compiler, with which keyring looks for a library of macOS"""
    kept = ('PATH', 'PYTHONPATH', 'LC_ALL', 'TMPDIR')
    env = {k: v for k, v in os.environ.items() if k in kept}
    env['HOME'] = str(tmp_path)
    (tmp_path / '.gitconfig').write_text(
        f'[datalad "credential.x"]\ntype = user_password\nrealm = {REALM}\n'
    )
    done = subprocess.run(
        [sys.executable, '-c', FIND],
        check=True,
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ['git']


@pytest.fixture
def note(tmp_path):
    return tmp_path / 'icf' / 'key-ring'


def test_the_key_ring_that_had_a_password_is_asked_first(keep, note, monkeypatch):
    keep('mine', 'secret')
    assert find_quickly(REALM, 'user_password', note=note)['secret'] == 'secret'
    ring = keyring.get_keyring()
    name = f'{type(ring).__module__}.{type(ring).__qualname__}'
    assert note.read_text() == name
    # without looking for the one that is in use
    monkeypatch.setattr(keyring.core, 'load_keyring', {name: ring}.__getitem__)
    monkeypatch.setattr(keyring, 'get_keyring', None)
    monkeypatch.setattr(keyring, 'get_password', None)
    assert find_quickly(REALM, 'user_password', note=note)['secret'] == 'secret'
    assert os.listdir(note.parent) == [note.name]


@pytest.mark.parametrize(
    'text', ['', 'os.path', 'no.Such', 'keyring.backends.null.Keyring']
)
def test_a_note_of_a_key_ring_that_has_nothing_is_no_hindrance(keep, note, text):
    keep('mine', 'secret')
    note.parent.mkdir()
    note.write_text(text)
    assert find_quickly(REALM, 'user_password', note=note)['secret'] == 'secret'
    assert note.read_text() not in ('', text)


def test_datalad_is_asked_if_what_was_found_quickly_is_refused(keep, monkeypatch):
    """As where a key ring of former days has the former password"""
    keep('mine', 'new')
    monkeypatch.setattr('datalad_icf.dataset.login._read_key_ring', lambda *_: 'former')
    login = DataladLogin()
    answers = [decode(login.find(URL, CHALLENGE)) for _ in range(2)]
    assert answers == ['jane:former', 'jane:new']


def test_a_token_answers_bearer(keep):
    keep('token', 'abc', type='token', user=None, realm='http://store.test:81/')
    assert DataladLogin().find(URL, 'Bearer') == 'Bearer abc'


@pytest.mark.parametrize(
    'challenge',
    ['', 'Negotiate', 'Digest realm="icf store"', 'Basic realm="another"', '"=,'],
)
def test_what_has_no_credential_has_no_answer(keep, challenge):
    keep('mine', 'secret')
    login = DataladLogin(suggestion='icf-S1')
    assert login.find(URL, challenge) is None
    assert login.explain()


def test_a_server_does_not_get_the_password_of_another(keep):
    keep('mine', 'secret')
    challenge = f'Basic realm="{REALM}"'
    assert DataladLogin().find('http://evil.test/', challenge) is None


def test_a_named_credential_is_used_and_becomes_that_of_the_realm(keep, manager):
    keep('old', 'old')
    keep('mine', 'secret', realm=None)
    login = DataladLogin(name='mine')
    assert decode(login.find(URL, CHALLENGE)) == 'jane:secret'
    login.accept()
    assert manager.get('mine')['realm'] == REALM
    # what DataLad's own requests use from now on
    assert manager.query(_sortby='last-used', realm=REALM)[0][0] == 'mine'


def test_a_named_credential_of_another_realm_is_not_sent(keep):
    keep('mine', 'secret', realm='http://other.test/')
    assert DataladLogin(name='mine').find(URL, CHALLENGE) is None


@pytest.mark.parametrize(
    ('server', 'is_sent'),
    [
        ('http://store.test:81/', True),
        ('http://STORE.test:81/x', True),
        ('http://other.test', False),
        ('https://store.test:81', False),
    ],
)
def test_a_named_credential_without_a_realm_is_for_the_store(keep, server, is_sent):
    """And not for where a redirect of it leads"""
    keep('mine', 'secret', realm=None)
    login = DataladLogin(name='mine', server=server)
    assert bool(login.find(URL, CHALLENGE)) == is_sent


def test_nobody_is_asked_for_a_named_credential_of_another_server(manager, monkeypatch):
    asked = []
    monkeypatch.setattr(DataladLogin, '_ask', lambda *args: asked.append(args))
    DataladLogin(name='new', server='http://other.test/').find(URL, CHALLENGE)
    assert not asked
    DataladLogin(name='new', server='http://store.test:81/').find(URL, CHALLENGE)
    assert asked


def test_that_a_credential_is_for_another_realm_is_told(keep):
    keep('mine', 'secret', realm='http://other.test/')
    login = DataladLogin(name='mine')
    login.find(URL, CHALLENGE)
    assert 'is for http://other.test/, and is not used for' in login.explain()
    assert REALM in login.explain()


def test_a_named_credential_that_is_not_there_is_told_with_a_way_out(manager):
    login = DataladLogin(name='mine')
    assert login.find(URL, CHALLENGE) is None
    command = f'set mine type=user_password user=USER "realm={REALM}"'
    assert command in login.explain()


def test_a_way_out_names_the_realm(manager):
    login = DataladLogin(suggestion='icf-S1')
    assert login.find(URL, CHALLENGE) is None
    command = f'set icf-S1 type=user_password user=USER "realm={REALM}"'
    assert command in login.explain()


def test_what_somebody_enters_is_kept_after_it_has_worked(
    manager, datalad_interactive_ui
):
    datalad_interactive_ui.staged_responses.extend(['jane', 'secret', 'chosen'])
    login = DataladLogin()
    assert decode(login.find(URL, CHALLENGE)) == 'jane:secret'
    assert not manager.query(realm=REALM)
    login.accept()
    assert manager.get('chosen')['realm'] == REALM


@pytest.mark.parametrize(
    ('challenge', 'realms'),
    [
        ('Basic', {'basic': ''}),
        ('Basic realm="a\\"b, c=d"', {'basic': 'a"b, c=d'}),
        ('basic charset=utf-8 , realm = x', {'basic': 'x'}),
        (
            'Negotiate dGVzdA==, Basic realm=x, Bearer scope="a b", realm="y"',
            {'negotiate': '', 'basic': 'x', 'bearer': 'y'},
        ),
        (',,', {}),
    ],
)
def test_challenges_are_read_as_they_stand_in_the_standard(challenge, realms):
    expected = {k: f'http://store.test:81/{v}' for k, v in realms.items()}
    assert find_realms(URL, challenge) == expected
