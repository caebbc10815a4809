"""What a store has to be cloned, and what is told where it has nothing"""

from __future__ import annotations

import json

import pytest

from datalad_icf.dataset.clone_source import find_deposit, find_deposits
from datalad_icf.dataset.ranges import StoreClient
from datalad_icf.errors import IcfError, MissingInputError, PreconditionError
from datalad_icf.store import Visit
from tests.range_server import run_range_server

VISIT = Visit('S 1', 'V01')
MAIN, ANNEX = 'a' * 40, 'b' * 40
REFS = f'{ANNEX} refs/heads/git-annex\n{MAIN} refs/heads/main\n@refs/heads/main HEAD\n'
PAGE = """<html><a href="../">up</a><a href="V01_dicom.tar">V01</a><a href='#x'>
<a href="V%2002_XDLRA--refs"><a href="/S%201/V03_dicom.tar">
<a href="http://other.test/S%201/V04_dicom.tar"><a href="/S2/V05_dicom.tar">
<a href="V06_dicom.tar.md5sum"><a href="sub/V07_dicom.tar"><a>"""


@pytest.fixture
def server():
    with run_range_server(files={'/S 1/V01_XDLRA--refs': REFS.encode()}) as server:
        yield server


@pytest.fixture
def find(server):
    client = StoreClient(pause=0.001)
    return lambda visit=VISIT, **k: find_deposit(server.url, visit, client, **k)


@pytest.fixture
def find_all(server):
    client = StoreClient(pause=0.001)

    def find_all(pattern, **arguments):
        visit = Visit('S 1', pattern)
        found = find_deposits(server.url, visit, client, **arguments)
        return [visit.visit_id for visit in found]

    return find_all


def test_a_deposit_has_an_address_and_refs(find, server):
    deposit = find()
    assert f'url={server.url}/S%25201/V01_{{{{annex_key}}}}' in deposit.clone_url
    assert deposit.refs == {'refs/heads/main': MAIN, 'refs/heads/git-annex': ANNEX}
    assert deposit.tarball_url == f'{server.url}/S%201/V01_dicom.tar'
    assert len(server.seen) == 1


def test_a_visit_that_is_not_there_is_told_with_a_way_out(find):
    with pytest.raises(MissingInputError, match='look for a mistake in the ident'):
        find(Visit('S 1', 'V02'))


@pytest.mark.parametrize(
    ('status', 'text'),
    [(401, 'no password is known'), (403, 'ask the facility for the right')],
)
def test_a_refusal_is_told_with_a_way_out(find, server, status, text):
    server.change = lambda _, answer: setattr(answer, 'status', status)
    with pytest.raises(PreconditionError, match=text):
        find()


@pytest.mark.parametrize('content', [b'<html>Log in', b'', b'\xff', b'x' * 99999])
def test_what_is_no_dataset_is_told(find, server, content):
    server.files['/S 1/V01_XDLRA--refs'] = content
    with pytest.raises(IcfError):
        find()


def test_a_store_in_the_file_system_may_have_the_tarball(tmp_path):
    (tmp_path / 'S 1').mkdir()
    (tmp_path / 'S 1' / 'V01_XDLRA--refs').write_text(REFS)
    client = StoreClient()
    arguments = (tmp_path.as_uri(), VISIT, client)
    for store_dir in (None, tmp_path):
        assert find_deposit(*arguments, store_dir=store_dir).tarball_url == ''
    tarball = tmp_path / 'S 1' / 'V01_dicom.tar'
    tarball.write_text('')
    for store_dir in (None, tmp_path):
        deposit = find_deposit(*arguments, store_dir=store_dir)
        assert deposit.tarball_url == tarball.as_uri()
        pattern = (tmp_path.as_uri(), Visit('S 1', 'V*'), client)
        assert find_deposits(*pattern, store_dir=store_dir) == [VISIT]


def test_an_identifier_is_not_looked_up(find_all, server):
    assert find_all('V09') == ['V09']
    assert not server.seen


def test_visits_are_those_of_the_catalog(find_all, server):
    visits = [{'id': name} for name in ('V03', 'V01', 'W01', '.hidden')]
    overview = json.dumps({'format': 1, 'visits': visits})
    server.files['/S 1/catalog/overview.json'] = overview.encode()
    assert find_all('V*') == ['V01', 'V03']
    assert find_all('*') == ['V01', 'V03', 'W01']


def test_visits_are_those_of_a_page_where_there_is_no_catalog(find_all, server):
    server.files['/S 1/'] = PAGE.encode()
    assert find_all('*') == ['V 02', 'V01', 'V03']


@pytest.mark.parametrize(
    ('path', 'content'),
    [
        ('/S 1/', PAGE.encode()),
        ('/none', b''),
        ('/S 1/catalog/overview.json', b'{"visits": []}'),
        ('/S 1/catalog/overview.json', b'<html>'),
        ('/S 1/catalog/overview.json', b'{"visits": [1]}'),
    ],
)
def test_a_pattern_without_visits_is_told(find_all, server, path, content):
    server.files[path] = content
    with pytest.raises(PreconditionError):
        find_all('X*')
