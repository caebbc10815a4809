"""What there is on a server; also run against a real XNAT"""

from __future__ import annotations

import pytest

from datalad_icf.errors import XnatAccessError
from datalad_icf.xnat import XnatClient, iter_prearchive, iter_project, iter_projects
from tests.xnat.server.uploads import as_zip, make_study


@pytest.fixture
def open_client(xnat_server):
    with XnatClient(xnat_server.url, xnat_server.user, xnat_server.password) as client:
        yield client


@pytest.fixture
def put(xnat_server):
    """Sends a session to the archive or the prearchive"""

    def put(place, **params):
        dest = f'/{place}/projects/{xnat_server.project}'
        answer = xnat_server.upload(as_zip(make_study(1)), dest=dest, **params)
        assert answer.ok, answer.text

    return put


def test_projects_are_listed_with_their_names(open_client, xnat_server):
    found = {one.project: one for one in iter_projects(open_client)}
    mine = found[xnat_server.project]
    assert (mine.kind, bool(mine.name)) == ('project', True)
    assert mine.path == f'/data/projects/{xnat_server.project}'


def test_projects_of_others_are_not_listed(client):
    assert {one.project for one in iter_projects(client)} == {'P1', 'P2', 'ReadOnly'}


def test_sessions_of_a_project_come_after_their_subject(open_client, xnat_server, put):
    put('archive')
    found = list(iter_project(open_client, xnat_server.project))
    places = [(one.kind, one.subject) for one in found]
    place = places.index(('subject', xnat_server.subject))
    session = found[place + 1]
    assert (session.kind, session.session) == ('session', xnat_server.session)
    assert session.date == '2024-02-29'
    assert session.study_instance_uid.startswith('2.25.')
    assert open_client.item(session.path)


def test_a_subject_without_sessions_is_listed(client, fake):
    fake.server.state.new_subject('P1', 'Ada')
    (found,) = iter_project(client, 'P1')
    assert found.items() == {'project': 'P1', 'subject': 'Ada'}


def test_what_is_shared_into_a_project_is_listed_there(client, fake, put):
    put('archive')
    for one in [*fake.server.state.subjects.values()]:
        one.shared['P2'] = 'Other'
    for one in [*fake.server.state.experiments.values()]:
        one.shared['P2'] = 'Other_1'
    assert [(one.subject, one.session) for one in iter_project(client, 'P2')] == [
        ('Other', ''),
        ('Other', 'Other_1'),
    ]


@pytest.mark.parametrize('list_them', [iter_project, iter_prearchive])
@pytest.mark.parametrize('project', ['NoSuch', 'Closed'])
def test_a_project_that_cannot_be_read_is_an_error(client, list_them, project):
    with pytest.raises(XnatAccessError, match=f'has no project .{project}'):
        list(list_them(client, project))


def test_the_prearchive_is_listed_with_states(open_client, xnat_server, put):
    put('prearchive')
    (found,) = [
        one
        for one in iter_prearchive(open_client, xnat_server.project)
        if one.session == xnat_server.session
    ]
    assert (found.subject, found.state) == (xnat_server.subject, 'READY')
    assert found.path.startswith(f'/data/prearchive/projects/{xnat_server.project}/')
    everywhere = [one.path for one in iter_prearchive(open_client, None)]
    assert found.path in everywhere


def test_the_prearchive_of_one_project_has_no_others(client, put, fake):
    put('prearchive')
    assert list(iter_prearchive(client, 'P2')) == []
    assert len(list(iter_prearchive(client, None))) == 1


@pytest.mark.parametrize('label', ['a b', 'ä', 'x%2F', '50%'])
def test_labels_stand_in_paths_as_they_have_to(client, fake, label):
    fake.server.state.new_subject('P1', label)
    (found,) = iter_project(client, 'P1')
    assert found.subject == label
    assert client.item(found.path)['data_fields']['label'] == label
