"""Subjects in more than one project, and the tables that say so"""

from __future__ import annotations

import pytest

from datalad_icf.errors import (
    MissingInputError,
    PreconditionError,
    SourceError,
    XnatAccessError,
    XnatConflictError,
)
from datalad_icf.xnat import Share, Target, plan_shares, share_subject
from datalad_icf.xnat.share_table import read_shares
from tests.xnat.server.uploads import as_zip, make_study

ADA = Target('P1', 'Ada', '')
SHARES = [Share('Ada', 'P1', 'P2'), Share('Bob', 'P1', 'P3')]


@pytest.fixture
def sessions(fake):
    """Ada has two sessions in P1"""
    for session in ('S1', 'S2'):
        content = as_zip(make_study(1, visit=session))
        fake.upload(
            content, subject='Ada', session=session, dest='/archive/projects/P1'
        )
    return fake.server.state


def shared(state):
    items = [*state.subjects.values(), *state.experiments.values()]
    return sorted(one.label for one in items if 'P2' in one.shared)


def test_a_subject_is_shared_with_all_its_sessions(client, sessions):
    report = share_subject(client, ADA, 'P2')
    assert shared(sessions) == ['Ada', 'S1', 'S2']
    assert (len(report.shared), report.before) == (3, [])


def test_what_is_shared_already_stays_so(client, sessions):
    share_subject(client, ADA, 'P2')
    report = share_subject(client, ADA, 'P2')
    assert (report.shared, len(report.before)) == ([], 3)
    assert shared(sessions) == ['Ada', 'S1', 'S2']


@pytest.mark.parametrize('before', [['Ada'], ['S2'], ['Ada', 'S1']])
def test_what_is_not_shared_yet_is_added(client, sessions, before):
    for one in [*sessions.subjects.values(), *sessions.experiments.values()]:
        if one.label in before:
            one.shared['P2'] = one.label
    report = share_subject(client, ADA, 'P2')
    assert (len(report.shared), len(report.before)) == (3 - len(before), len(before))
    assert shared(sessions) == ['Ada', 'S1', 'S2']


def test_a_project_shares_nothing_with_itself(client, sessions):
    assert share_subject(client, ADA, 'P1').shared == []


@pytest.mark.parametrize('project', ['NoSuch', 'Closed', 'ReadOnly'])
def test_a_project_without_rights_is_refused(client, sessions, project):
    with pytest.raises(XnatAccessError, match=f"shared into project '{project}'"):
        share_subject(client, ADA, project)


def test_a_label_that_something_else_has_there_is_a_conflict(client, sessions):
    sessions.new_subject('P2', 'Ada')
    with pytest.raises(XnatConflictError, match='Label already in use'):
        share_subject(client, ADA, 'P2')


def test_one_conflict_does_not_keep_the_rest_back(client, fake, sessions):
    content = as_zip(make_study(1, visit='other'))
    fake.upload(
        content, project='P2', subject='X', session='S1', dest='/archive/projects/P2'
    )
    with pytest.raises(XnatConflictError, match='Label already in use'):
        share_subject(client, ADA, 'P2')
    assert shared(sessions) == ['Ada', 'S2']


def test_a_subject_must_be_there(client, fake):
    with pytest.raises(XnatAccessError, match="no subject 'Ada'"):
        share_subject(client, ADA, 'P2')
    assert fake.server.count(method='PUT') == 0


@pytest.mark.parametrize(
    'text',
    [
        'subject,source,destination\nAda,P1,P2\nBob,P1,P3\n',
        '\ufeffsubject,source,destination\r\nAda,P1,P2\r\nBob,P1,P3',
        'subject;source;destination\nAda;P1;P2\nBob;P1;P3\n',
        'subject\tsource\tdestination\nAda\tP1\tP2\nBob\tP1\tP3\n',
        'Destination,Age,SUBJECT,Source\nP2,"4,2",Ada,P1\nP3,,Bob,P1\n',
        'Subject ID,source_project,destination_project\nAda , P1,"P2"\nBob,P1,P3,x\n',
        'subject,source,destination\n\n,,\nAda,P1,P2\nAda,P1,P2\nBob,P1,P3\n',
    ],
    ids=['comma', 'excel', 'semicolon', 'tab', 'order', 'names', 'twice'],
)
def test_tables_are_read_as_people_write_them(tmp_path, text):
    path = tmp_path / 'share.csv'
    path.write_bytes(text.encode())
    assert read_shares(path) == SHARES


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'', 'does not name one column .subject'),
        (b'subject,source\nAda,P1\n', 'does not name one column .destination'),
        (b'Ada,P1,P2\n', 'does not name one column .subject'),
        (b'subject,source,source,destination\n', 'does not name one column .source'),
        (b'subject,source,destination\n', 'has no subjects'),
        (b'subject,source,destination\nAda,P1,P2\nBob,,P2\n', 'line 3 of .* no source'),
        (b'subject,source,destination\nAda,P1\n', 'line 2 of .* has no destination'),
        (b'subject,source,destination\nJ\xfcrgen,P1,P2\n', 'is no text in UTF-8'),
    ],
)
def test_a_table_that_lacks_something_is_refused(tmp_path, content, message):
    path = tmp_path / 'share.csv'
    path.write_bytes(content)
    with pytest.raises(SourceError, match=message):
        read_shares(path)


def test_a_table_must_be_there(tmp_path):
    with pytest.raises(MissingInputError, match='cannot read'):
        read_shares(tmp_path / 'no-such.csv')


def test_options_say_it_without_a_table():
    assert plan_shares(None, 'P1', 'P2', ('Ada', 'Bob')) == [
        Share('Ada', 'P1', 'P2'),
        Share('Bob', 'P1', 'P2'),
    ]


@pytest.mark.parametrize(
    ('table', 'project', 'to', 'subjects'),
    [
        (None, None, None, ()),
        (None, 'P1', 'P2', ()),
        (None, 'P1', None, ('Ada',)),
        (None, None, 'P2', ('Ada',)),
        ('share.csv', 'P1', 'P2', ('Ada',)),
        ('share.csv', None, None, ('Ada',)),
    ],
)
def test_it_is_said_in_one_way(tmp_path, table, project, to, subjects):
    path = tmp_path / table if table else None
    with pytest.raises(PreconditionError, match='either --table says'):
        plan_shares(path, project, to, subjects)
