"""Who may do what, and sharing: on the server of the tests, which has the projects"""

from __future__ import annotations

import logging

import pytest
import requests
import xnat

from tests.xnat.server.uploads import as_zip, make_study

BASE = '/data/projects/P1/subjects/Sub1'


@pytest.fixture
def archived(fake):
    fake.upload(as_zip(make_study()), dest='/archive/projects/P1')
    return fake


@pytest.mark.parametrize('project', ['Closed', 'ReadOnly', 'NoSuch'])
def test_an_upload_without_rights_goes_astray_with_200(fake, project):
    answer = fake.upload(as_zip(make_study()), dest=f'/prearchive/projects/{project}')
    assert answer.status_code == 200
    assert answer.text.startswith('/data/prearchive/projects/Unassigned/')
    assert fake.server.state.rows[0].project == 'Unassigned'


@pytest.mark.parametrize(
    ('project', 'code'), [('NoSuch', 400), ('Closed', 403), ('ReadOnly', 403)]
)
def test_the_old_importer_says_so(fake, project, code):
    answer = fake.upload(
        as_zip(make_study()), project=project, **{'import-handler': 'SI'}
    )
    assert answer.status_code == code


@pytest.mark.parametrize(
    ('project', 'code'), [('Closed', 404), ('ReadOnly', 403), ('P1', 201)]
)
def test_making_a_subject_tells_what_is_allowed(fake, project, code):
    answer = fake.call('PUT', f'/data/projects/{project}/subjects/A')
    assert answer.status_code == code


@pytest.mark.parametrize(
    ('dest', 'code'),
    [('P2', 200), ('P1', 409), ('ReadOnly', 403), ('Closed', 404), ('NoSuch', 404)],
)
@pytest.mark.parametrize('what', ['', '/experiments/Sub1_V01'])
def test_sharing_needs_rights_there(archived, what, dest, code):
    answer = archived.call('PUT', f'{BASE}{what}/projects/{dest}')
    assert answer.status_code == code


def test_sharing_twice_is_a_conflict_until_it_is_taken_back(archived):
    path = f'{BASE}/projects/P2'
    codes = [archived.call('PUT', path).status_code for _ in range(2)]
    again = archived.call('PUT', path).text
    assert codes == [200, 409]
    assert '<h3>Already assigned to project:P2</h3>' in again
    assert archived.call('DELETE', path).status_code == 200
    assert archived.call('PUT', path).status_code == 200


def test_a_label_that_is_taken_is_a_conflict(archived):
    archived.call('PUT', '/data/projects/P2/subjects/Taken')
    answer = archived.call('PUT', f'{BASE}/projects/P2', params={'label': 'Taken'})
    assert answer.status_code == 409
    assert 'Label already in use' in answer.text


def test_xnatpy_shares_and_lists_under_the_other_label(archived):
    with xnat.connect(
        archived.url,
        archived.user,
        archived.password,
        logger=logging.getLogger('quiet-xnat'),
    ) as connection:
        project = connection.projects['P1']
        project.subjects['Sub1'].share('P2', 'Other')
        project.experiments['Sub1_V01'].share('P2')
        dest = connection.projects['P2']
        assert list(dest.subjects.key_map) == ['Other']
        assert list(dest.experiments.key_map) == ['Sub1_V01']


def test_others_see_no_rows_of_the_prearchive(fake):
    fake.upload(as_zip(make_study()))
    fake.server.add_user('other', 'x')
    fake.user, fake.password = 'other', 'x'
    assert fake.rows('/data/prearchive/projects') == []
    assert fake.call('GET', '/data/prearchive/projects/P1').status_code == 404
    assert fake.call('GET', f'/data{fake.server.state.rows[0].uri}').status_code == 403


def test_twenty_failures_lock_the_account(fake):
    auth = '/data/services/auth'
    form = {'username': fake.user, 'password': 'wrong'}
    for _ in range(20):
        assert requests.put(fake.url + auth, form, timeout=9).status_code == 401
    form['password'] = fake.password
    assert requests.put(fake.url + auth, form, timeout=9).status_code == 401


def test_a_login_that_works_starts_the_count_again(fake):
    accounts = fake.server.accounts
    for _ in range(19):
        assert accounts.log_in(fake.user, 'wrong') is None
    assert accounts.log_in(fake.user, fake.password)
    assert accounts.failed[fake.user] == 0


def test_basic_authentication_opens_a_session_each_time_without_the_cookie(fake):
    for _ in range(3):
        fake.call('GET', '/data/projects')
    assert fake.server.accounts.open_sessions == 3
    with requests.Session() as session:
        session.auth = (fake.user, fake.password)
        for _ in range(3):
            session.get(f'{fake.url}/data/JSESSION', timeout=9)
    assert fake.server.accounts.open_sessions == 4
