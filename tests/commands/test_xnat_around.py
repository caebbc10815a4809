"""icf-xnat-list, -archive, -demographics and -share: records and options"""

from __future__ import annotations

import pytest

from tests.xnat.server.faults import ARCHIVE
from tests.xnat.server.uploads import as_zip, make_study, sop_uids


@pytest.fixture
def put(fake):
    """Sends a session of subject Ada to a place of the server"""

    def put(
        session='S1', place='archive', *, subject='Ada', project='P1', **attributes
    ):
        files = make_study(1, visit=session, **attributes)
        answer = fake.upload(
            as_zip(files),
            subject=subject,
            session=session,
            project=project,
            dest=f'/{place}/projects/{project}' if place else '',
        )
        assert answer.ok, answer.text
        fake.server.forget()

    return put


def test_projects_are_listed(xnat, fake):
    records = xnat('list')
    assert [(one['type'], one['project'], one['name']) for one in records] == [
        ('project', 'P1', 'Project P1'),
        ('project', 'P2', 'Project P2'),
        ('project', 'ReadOnly', 'Project ReadOnly'),
    ]
    assert {one['status'] for one in records} == {'ok'}
    assert records[0]['url'] == records[0]['path'] == f'{fake.url}/data/projects/P1'


def test_subjects_and_sessions_of_a_project_are_listed(xnat, put):
    put()
    subject, session = xnat('list', project='P1')
    assert (subject['type'], subject['subject']) == ('subject', 'Ada')
    assert 'session' not in subject
    assert (session['type'], session['subject'], session['session']) == (
        'session',
        'Ada',
        'S1',
    )
    assert session['date'] == '2024-02-29'


@pytest.mark.parametrize('project', [None, 'P1'])
def test_the_prearchive_is_listed(xnat, put, project):
    put(place='prearchive')
    put('S2', place='')
    records = xnat('list', prearchive=True, project=project)
    assert [(one['session'], one['state']) for one in records] == [
        ('S1', 'READY'),
        ('S2', 'RECEIVING'),
    ]


def test_an_empty_project_has_no_records(xnat):
    assert xnat('list', project='P1') == []


@pytest.mark.parametrize(
    ('command', 'kwargs'),
    [
        ('list', {}),
        ('list', {'prearchive': True}),
        ('archive', {}),
        ('demographics', {}),
    ],
)
@pytest.mark.parametrize('project', ['NoSuch', 'Closed'])
def test_a_project_that_is_not_there_is_impossible(xnat, command, kwargs, project):
    (record,) = xnat(command, project=project, **kwargs)
    assert record['status'] == 'impossible'
    assert f'has no project {project!r}' in record['message']


@pytest.mark.parametrize(
    ('command', 'kwargs'),
    [
        ('list', {}),
        ('archive', {'project': 'P1'}),
        ('demographics', {'project': 'P1'}),
        ('share', {'project': 'P1', 'to': 'P2', 'subject': 'Ada'}),
        ('push', {'source': '.', 'project': 'P1'}),
    ],
)
@pytest.mark.parametrize('fault', ['password', 'proxy'])
def test_no_command_works_without_a_login(
    xnat, fake, tmp_path, monkeypatch, command, kwargs, fault
):
    (tmp_path / 'A/1').mkdir(parents=True)
    (tmp_path / 'A/1/image').write_bytes(b'')
    monkeypatch.chdir(tmp_path)
    if fault == 'password':
        fake.server.add_user(fake.user, 'another')
    else:
        fake.server.faults.answer(503, times=99)
    (record,) = xnat(command, **kwargs)
    assert record['status'] == ('impossible' if fault == 'password' else 'error')
    assert fake.server.accounts.failed[fake.user] == (fault == 'password')
    assert fake.password not in repr(record)


def test_sessions_of_a_project_are_archived(xnat, put, fake):
    put('S1', 'prearchive')
    put('S2', 'prearchive', subject='Eve')
    put('S3', 'prearchive', project='P2')
    records = xnat('archive', project='P1')
    assert [(one['status'], one['session'], one['subject']) for one in records] == [
        ('ok', 'S1', 'Ada'),
        ('ok', 'S2', 'Eve'),
    ]
    assert records[0]['url'].startswith(f'{fake.url}/data/archive/projects/P1/')
    assert records[0]['instances'] == 2
    assert fake.sop_uids('S1') == sop_uids(make_study(1, visit='S1'))
    assert [one.project for one in fake.server.state.rows] == ['P2']
    (again,) = xnat('archive', project='P1')
    assert again['status'] == 'notneeded'
    assert again['message'] == 'nothing waits in the prearchive of P1'


def test_a_conflict_is_an_error_with_its_reason_and_others_go_on(xnat, put, fake):
    put('S1', 'prearchive')
    put('S2', 'prearchive')
    fake.server.faults.refuse_archive('no such scanner')
    bad, good = xnat('archive', project='P1')
    assert (bad['status'], good['status']) == ('error', 'ok')
    assert 'no such scanner' in bad['message']


def test_what_is_being_received_is_impossible_and_left_alone(xnat, put, fake):
    put(place='')
    (record,) = xnat('archive', project='P1')
    assert record['status'] == 'impossible'
    assert fake.server.count(ARCHIVE) == 0
    assert fake.server.state.rows[0].status == 'RECEIVING'


@pytest.mark.parametrize(
    ('kwargs', 'sessions'),
    [
        ({'label': 'toolkit'}, ['Ada_20240229T101500_MR']),
        ({'label': 'x-{session}'}, ['x-S1']),
        ({'subject': 'Ada'}, ['S1']),
    ],
)
def test_labels_and_subjects_are_chosen(xnat, put, fake, kwargs, sessions):
    put('S1', 'prearchive')
    records = xnat('archive', project='P1', **kwargs)
    assert [one['session'] for one in records] == sessions
    found = [one.label for one in fake.server.state.experiments.values()]
    assert found == sessions


def test_a_subject_is_archived_once_and_one_with_a_typo_is_told(xnat, put, fake):
    put('S1', 'prearchive')
    (typo,) = xnat('archive', project='P1', subject=['Ada', 'Adda'])
    assert (typo['status'], "'Adda'" in typo['message']) == ('impossible', True)
    assert fake.server.state.experiments == {}
    (record,) = xnat('archive', project='P1', subject=['Ada'])
    assert (record['status'], record['subject']) == ('ok', 'Ada')
    (again,) = xnat('archive', project='P1', subject=['Ada'])
    assert again['status'] == 'notneeded'
    assert again['message'] == 'nothing waits in the prearchive of P1 for Ada'


@pytest.mark.parametrize('label', ['{Subject}', '{', '{visit}', '{PatientID}'])
def test_a_label_that_cannot_be_is_impossible(xnat, put, fake, label):
    put('S1', 'prearchive')
    (record,) = xnat('archive', project='P1', label=label)
    assert record['status'] == 'impossible'
    assert 'label' in record['message']
    # a mistake in the template, and not in the DICOM files
    assert 'DICOM' not in record['message']
    assert fake.server.state.experiments == {}


def test_a_dry_run_of_archiving_archives_nothing(xnat, put, fake):
    put('S1', 'prearchive')
    (record,) = xnat('archive', project='P1', dry_run=True)
    assert record['message'] == 'would be archived as P1/Ada/S1'
    assert fake.server.count(ARCHIVE) == 0


@pytest.mark.parametrize(
    ('kwargs', 'demographics', 'fields'),
    [
        ({}, {'gender': 'female', 'dob': '1966-06-06'}, {}),
        ({'anonymous': True}, {'gender': 'female', 'yob': '1966'}, {}),
        (
            {'custom_fields': True},
            {},
            # all that is known, as XNAT_CLI_Toolkit writes it
            {
                'subject_gender': 'female',
                'subject_dob': '19660606',
                'subject_age': '42',
            },
        ),
        ({'dry_run': True}, {}, {}),
    ],
)
def test_demographics_are_set_once(xnat, put, fake, kwargs, demographics, fields):
    put(PatientSex='F', PatientBirthDate='19660606', PatientAge='042Y')
    (record,) = xnat('demographics', project='P1', **kwargs)
    assert (record['status'], record['subject']) == ('ok', 'Ada')
    assert len(record['changed']) == (len(fields) or 2)
    (subject,) = fake.server.state.subjects.values()
    assert (subject.demographics, subject.fields) == (demographics, fields)
    (again,) = xnat('demographics', project='P1', **kwargs)
    assert again['status'] == ('ok' if 'dry_run' in kwargs else 'notneeded')


def test_demographics_that_differ_need_force(xnat, put, fake):
    put(PatientSex='F')
    (subject,) = fake.server.state.subjects.values()
    subject.demographics['gender'] = 'male'
    (record,) = xnat('demographics', project='P1', subject='Ada')
    assert record['status'] == 'error'
    assert 'has another gender than its DICOM files' in record['message']
    (record,) = xnat('demographics', project='P1', subject=['Ada'], force=True)
    assert (record['status'], subject.demographics) == ('ok', {'gender': 'female'})


def test_images_without_demographics_need_nothing(xnat, put):
    put(PatientSex='', PatientBirthDate='')
    (record,) = xnat('demographics', project='P1')
    assert record['status'] == 'notneeded'
    assert record['message'] == 'nothing in the images of Ada'


def test_a_subject_that_is_not_there_is_impossible(xnat, put):
    put()
    (record,) = xnat('demographics', project='P1', subject=['Ada', 'Bob'])
    assert (record['status'], "'Bob'" in record['message']) == ('impossible', True)


def test_subjects_are_shared_once(xnat, put):
    put('S1')
    put('S2')
    kwargs = {'project': 'P1', 'to': 'P2', 'subject': 'Ada'}
    (record,) = xnat('share', **kwargs)
    assert (record['status'], record['sessions'], record['shared']) == ('ok', 2, 3)
    assert record['message'] == 'subject Ada of P1 with 2 sessions in P2'
    (record,) = xnat('share', **kwargs)
    assert (record['status'], record['shared']) == ('notneeded', 0)
    put('S3')
    (record,) = xnat('share', **kwargs)
    assert (record['status'], record['sessions'], record['shared']) == ('ok', 3, 1)


def test_a_table_says_what_to_share_and_one_error_does_not_stop_it(xnat, put, tmp_path):
    put()
    table = tmp_path / 'share.csv'
    table.write_bytes(
        '\ufeffSubject;Source;Destination\r\nBob;P1;P2\r\nAda;P1;P2\r\n'.encode()
    )
    bad, good = xnat('share', table=table)
    assert (bad['status'], bad['subject']) == ('impossible', 'Bob')
    assert (good['status'], good['subject'], good['destination']) == ('ok', 'Ada', 'P2')


def test_a_table_with_a_fault_shares_nothing(xnat, put, fake, tmp_path):
    put()
    table = tmp_path / 'share.csv'
    table.write_text('subject,source,destination\nAda,P1,P2\nBob,P1,\n')
    (record,) = xnat('share', table=table)
    assert record['status'] == 'impossible'
    assert 'line 3' in record['message']
    assert fake.server.count() == 0
