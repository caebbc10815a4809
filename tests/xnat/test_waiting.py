"""Sessions that others have left in the prearchive"""

from __future__ import annotations

import pytest

from datalad_icf.errors import (
    PreconditionError,
    XnatAccessError,
    XnatConflictError,
    XnatError,
)
from datalad_icf.xnat import archive_waiting, find_waiting
from datalad_icf.xnat.labels import TOOLKIT_TEMPLATE, LabelError
from datalad_icf.xnat.remote import list_rows
from datalad_icf.xnat.waiting import NotReadyError
from tests.xnat.server.faults import ARCHIVE
from tests.xnat.server.uploads import as_zip, make_study, sop_uids

SAME = '{session}'


@pytest.fixture
def wait(fake):
    """Puts a session into the prearchive; its row"""

    def put(session='S1', *, files=None, state='', **params):
        project = params.setdefault('project', 'P1')
        files = files or make_study(visit=session)
        params.setdefault('dest', f'/prearchive/projects/{project}')
        assert fake.upload(as_zip(files), session=session, **params).ok
        row = fake.server.state.rows[-1]
        row.status = state or row.status
        return row

    return put


def test_a_session_that_waits_is_archived_under_its_label(client, fake, wait):
    wait(subject='Ada')
    (row,) = find_waiting(client, 'P1')
    report = archive_waiting(client, row, SAME)
    assert (report.target.subject, report.target.session) == ('Ada', 'S1')
    assert report.instances == 4
    assert fake.sop_uids('S1') == sop_uids(make_study(visit='S1'))
    assert find_waiting(client, 'P1') == []


def test_sessions_of_other_projects_are_not_found(client, wait):
    wait('S1')
    wait('S2', project='P2')
    assert [one.session for one in find_waiting(client, 'P1')] == ['S1']
    assert [one.session for one in find_waiting(client, 'P2')] == ['S2']


def test_sessions_that_the_server_lists_too_many_are_left_out(
    client, wait, monkeypatch
):
    wait('S1')
    wait('S2', project='P2')
    monkeypatch.setattr(
        'datalad_icf.xnat.waiting.list_rows',
        lambda client, _: [*list_rows(client, 'P2'), *list_rows(client, 'P1')],
    )
    assert [one.session for one in find_waiting(client, 'P1')] == ['S1']


def test_sessions_are_found_by_subject(client, wait):
    for name in ('Ada', 'Abe', 'Eve'):
        wait(f'S{name}', subject=name)
    found = find_waiting(client, 'P1', ['Ada', 'Eve'])
    assert [one.subject for one in found] == ['Ada', 'Eve']
    with pytest.raises(XnatAccessError, match="'Nobody'"):
        find_waiting(client, 'P1', ['Ada', 'Nobody'])


@pytest.mark.parametrize('project', ['NoSuch', 'Closed'])
def test_a_project_that_cannot_be_read_is_an_error(client, project):
    with pytest.raises(XnatAccessError, match='has no project'):
        find_waiting(client, project)


def test_labels_of_the_toolkit_come_from_the_images(client, wait, fake):
    files = make_study(StudyDate='20240102', StudyTime='030405.678')
    wait(subject='007', files=files)
    (row,) = find_waiting(client, 'P1')
    report = archive_waiting(client, row, TOOLKIT_TEMPLATE)
    assert report.target.session == '007_20240102T030405_MR'
    assert fake.sop_uids('007_20240102T030405_MR') == sop_uids(files)


def test_a_label_that_the_images_cannot_fill_archives_nothing(client, wait, fake):
    wait(files=make_study(StudyTime=''))
    (row,) = find_waiting(client, 'P1')
    with pytest.raises(LabelError, match='StudyTime is needed'):
        archive_waiting(client, row, TOOLKIT_TEMPLATE)
    assert fake.server.state.experiments == {}


def test_a_session_that_is_being_received_is_left_alone(client, wait, fake):
    row = wait(dest='')
    (found,) = find_waiting(client, 'P1')
    with pytest.raises(NotReadyError, match='still being received') as caught:
        archive_waiting(client, found, SAME)
    assert isinstance(caught.value, PreconditionError)
    assert fake.server.count(ARCHIVE) == 0
    assert (row.status, fake.server.state.experiments) == ('RECEIVING', {})


def test_a_session_that_the_server_is_busy_with_is_waited_for(client, wait, fake):
    row = wait(state='QUEUED_BUILDING')
    (found,) = find_waiting(client, 'P1')

    def finish():
        row.status = 'READY'

    fake.server.later(0.1, finish)
    assert archive_waiting(client, found, SAME).instances == 4


def test_a_session_that_somebody_else_archives_meanwhile_is_told(client, wait, fake):
    wait()
    (found,) = find_waiting(client, 'P1')
    fake.server.state.rows.clear()
    with pytest.raises(XnatError, match=r'is not in the prearchive .* any more'):
        archive_waiting(client, found, SAME)


@pytest.mark.parametrize('existing', ['append', 'replace'])
def test_a_conflict_is_told_with_its_reason(client, wait, fake, existing):
    row = wait()
    fake.server.faults.refuse_archive('no such scanner')
    (found,) = find_waiting(client, 'P1')
    with pytest.raises(XnatConflictError, match='no such scanner'):
        archive_waiting(client, found, SAME, existing=existing)
    assert row.status == 'CONFLICT'
    # the next time it may work
    archive_waiting(client, find_waiting(client, 'P1')[0], SAME)


@pytest.mark.parametrize(
    ('existing', 'is_archived'), [('append', False), ('replace', True)]
)
def test_the_same_images_again_need_leave_to_replace(
    client, wait, fake, existing, is_archived
):
    wait()
    archive_waiting(client, find_waiting(client, 'P1')[0], SAME)
    wait()
    (found,) = find_waiting(client, 'P1')
    if is_archived:
        archive_waiting(client, found, SAME, existing=existing)
    else:
        with pytest.raises(XnatConflictError, match='already exists'):
            archive_waiting(client, found, SAME, existing=existing)
    assert len(fake.server.state.rows) == (not is_archived)
    assert len(fake.sop_uids('S1')) == 4


def test_further_images_are_added(client, wait, fake):
    whole = make_study(3)
    part = dict(list(whole.items())[:2])
    rest = dict(list(whole.items())[2:])
    for files in (part, rest):
        wait(files=files)
        archive_waiting(client, find_waiting(client, 'P1')[0], SAME)
    assert fake.sop_uids('S1') == sop_uids(whole)


@pytest.mark.parametrize('existing', ['append', 'replace'])
def test_another_study_of_that_label_is_never_touched(client, wait, fake, existing):
    wait(files=make_study(visit='a'))
    archive_waiting(client, find_waiting(client, 'P1')[0], SAME)
    wait(files=make_study(visit='b'))
    (found,) = find_waiting(client, 'P1')
    with pytest.raises(XnatConflictError):
        archive_waiting(client, found, SAME, existing=existing)
    assert fake.sop_uids('S1') == sop_uids(make_study(visit='a'))


def test_images_that_are_lost_on_the_way_are_an_error(client, wait, fake):
    fake.server.faults.lose_instances(min(wait().sop_uids))
    (found,) = find_waiting(client, 'P1')
    with pytest.raises(XnatError, match='1 of 4 images of session'):
        archive_waiting(client, found, SAME)


def test_an_archive_that_takes_longer_than_its_request_is_waited_for(
    client, wait, fake
):
    wait()
    fake.server.site.archive_seconds, fake.server.site.archive_wait = 0.3, 0.05
    report = archive_waiting(client, find_waiting(client, 'P1')[0], SAME)
    assert report.instances == 4
    assert fake.server.count(ARCHIVE) == 1


def test_a_dry_run_archives_nothing(client, wait, fake):
    wait()
    (found,) = find_waiting(client, 'P1')
    report = archive_waiting(client, found, 'x_{session}', dry_run=True)
    assert report.target.session == 'x_S1'
    assert fake.server.state.experiments == {}
    assert fake.server.count(method='POST') <= 1
