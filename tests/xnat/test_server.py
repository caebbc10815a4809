"""What XNAT answers to the real xnat package; also run against a real XNAT"""

from __future__ import annotations

import logging

import pytest
import xnat

from tests.xnat.server.uploads import as_tar, as_zip, make_study, sop_uids


@pytest.fixture
def connect(xnat_server):
    """Connects with xnatpy, quietly, and closes what it opened"""
    opened = []

    def connect(**kwargs):
        kwargs = {'user': xnat_server.user, 'password': xnat_server.password, **kwargs}
        logger = logging.getLogger('quiet-xnat')
        connection = xnat.connect(xnat_server.url, logger=logger, **kwargs)
        opened.append(connection)
        return connection

    yield connect
    for connection in opened:
        connection.disconnect()


@pytest.fixture(scope='module')
def study():
    return make_study()


def put_in_archive(access, files, **params):
    answer = access.upload(
        as_zip(files), dest=f'/archive/projects/{access.project}', **params
    )
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize('no_parse_model', [True, False])
def test_xnatpy_connects_with_and_without_the_data_types(connect, no_parse_model):
    connection = connect(no_parse_model=no_parse_model)
    assert connection.get_json('/data/projects')['ResultSet']['Result']
    assert connection.xnat_version.startswith('1.')


def test_a_wrong_password_is_refused(connect):
    with pytest.raises(xnat.exceptions.XNATLoginFailedError):
        connect(password='wrong', no_parse_model=True)


def test_projects_subjects_and_experiments_are_listed(connect, xnat_server, study):
    put_in_archive(xnat_server, study)
    project = connect().projects[xnat_server.project]
    assert xnat_server.subject in project.subjects.key_map
    experiment = project.experiments[xnat_server.session]
    assert experiment.label == xnat_server.session
    assert experiment.__xsi_type__ == 'xnat:mrSessionData'
    scans = experiment.scans
    assert len(scans) == 2
    resource = scans[0].resources['DICOM']
    assert resource.file_count == 2
    assert {len(file.digest) for file in resource.files.values()} == {32}


def test_an_unknown_project_is_not_found(xnat_server):
    assert xnat_server.call('GET', '/data/projects/NoSuch').status_code == 404


@pytest.mark.parametrize(
    ('pack', 'content_type'),
    [
        (as_zip, 'application/zip'),
        (lambda files: as_zip(files, deflate=True), 'application/zip'),
        (lambda files: as_zip(files, deflate=True, piped=True), 'application/zip'),
        (as_tar, 'application/x-tar'),
        (lambda files: as_tar(files, compress=True), 'application/x-gtar'),
    ],
    ids=['stored', 'deflated', 'piped', 'tar', 'tar.gz'],
)
def test_archives_with_sizes_in_front_or_deflated_are_taken(
    connect, xnat_server, study, pack, content_type
):
    # with the data types: xnatpy cannot list scans of the prearchive without
    row = connect().services.import_(
        data=pack(study),
        content_type=content_type,
        import_handler='DICOM-zip',
        destination=f'/prearchive/projects/{xnat_server.project}',
        subject=xnat_server.subject,
        experiment=xnat_server.session,
    )
    assert (row.status, row.label) == ('READY', xnat_server.session)
    assert row.subject == xnat_server.subject
    assert sum(one.resources['DICOM'].file_count for one in row.scans.values()) == 4


def test_a_stored_zip_from_a_pipe_is_refused(xnat_server, study):
    answer = xnat_server.upload(as_zip(study, piped=True))
    assert answer.status_code == 400
    assert 'unable to read data from file' in answer.text


def test_chunks_are_taken_as_zip_only(xnat_server, study):
    bad = xnat_server.upload(iter([as_tar(study)]), 'application/x-tar')
    assert bad.status_code == 400
    assert xnat_server.prearchive() == []
    good = xnat_server.upload(iter([as_zip(study)]))
    assert good.status_code == 200


def test_without_a_destination_nothing_is_committed(xnat_server, study):
    answer = xnat_server.upload(as_zip(study))
    assert answer.headers['Content-Type'].startswith('text/uri-list')
    assert answer.text.endswith('\r\n')
    (row,) = xnat_server.prearchive()
    assert answer.text.strip() == f'/data{row["url"]}'
    assert row['status'] == 'RECEIVING'


def test_a_commit_builds_the_session_and_archives_it_on_request(xnat_server, study):
    uri = xnat_server.upload(as_zip(study)).text.strip()
    built = xnat_server.call('POST', uri, params={'action': 'commit'})
    assert built.status_code == 200
    assert [one['status'] for one in xnat_server.prearchive()] == ['READY']
    done = xnat_server.call(
        'POST',
        uri,
        params={'action': 'commit', 'AA': 'true'},
        allow_redirects=False,
    )
    assert done.status_code == 301
    assert done.text.strip().endswith(f'/experiments/{xnat_server.session}')
    assert xnat_server.sop_uids() == sop_uids(study)


def test_a_session_is_archived_from_the_prearchive(connect, xnat_server, study):
    dest = f'/prearchive/projects/{xnat_server.project}'
    xnat_server.upload(as_zip(study), dest=dest)
    connection = connect()
    (row,) = connection.prearchive.find(
        project=xnat_server.project, session=xnat_server.session
    )
    experiment = row.archive()
    assert experiment.label == xnat_server.session
    assert xnat_server.prearchive() == []
    assert xnat_server.sop_uids() == sop_uids(study)


def test_sending_again_what_broke_off_joins_the_same_row(xnat_server, study):
    first, *rest = study.items()
    xnat_server.upload(as_zip(dict([first])))
    xnat_server.upload(as_zip(dict(rest)))
    xnat_server.upload(
        as_zip(study), dest=f'/prearchive/projects/{xnat_server.project}'
    )
    (row,) = xnat_server.prearchive()
    assert row['status'] == 'READY'


def test_a_text_file_stops_the_import_unless_it_is_ignored(xnat_server, study):
    files = {**study, 'notes.txt': b'nothing of DICOM'}
    assert xnat_server.upload(as_zip(files)).status_code == 400
    (row,) = xnat_server.prearchive()
    assert row['status'] in ('RECEIVING', 'ERROR')
    dest = f'/archive/projects/{xnat_server.project}'
    answer = xnat_server.upload(
        as_zip(files), dest=dest, **{'Ignore-Unparsable': 'true'}
    )
    assert answer.status_code == 200
    assert xnat_server.sop_uids() == sop_uids(study)


@pytest.mark.parametrize(
    ('params', 'code'),
    [
        ({}, 400),
        ({'overwrite': 'none'}, 400),
        ({'overwrite': 'append'}, 400),
        ({'overwrite': 'append', 'overwrite_files': 'true'}, 200),
        ({'overwrite': 'delete'}, 200),
    ],
    ids=lambda value: '-'.join(value) if isinstance(value, dict) else '',
)
def test_the_same_files_again_need_leave_to_replace(xnat_server, study, params, code):
    put_in_archive(xnat_server, study)
    dest = f'/archive/projects/{xnat_server.project}'
    answer = xnat_server.upload(as_zip(study), dest=dest, **params)
    assert answer.status_code == code
    assert len(xnat_server.prearchive()) == (code != 200)
    assert xnat_server.sop_uids() == sop_uids(study)


@pytest.mark.parametrize(
    ('params', 'code'),
    [({}, 400), ({'overwrite': 'none'}, 200), ({'overwrite': 'append'}, 200)],
)
def test_further_files_need_leave_to_merge(xnat_server, params, code):
    whole, part = make_study(3), make_study(2)
    put_in_archive(xnat_server, part)
    more = {name: whole[name] for name in whole if name not in part}
    dest = f'/archive/projects/{xnat_server.project}'
    answer = xnat_server.upload(as_zip(more), dest=dest, **params)
    assert answer.status_code == code
    assert xnat_server.sop_uids() == sop_uids(whole if code == 200 else part)


def test_a_conflict_tells_its_reason_in_the_log_alone(xnat_server, study):
    put_in_archive(xnat_server, study)
    dest = f'/archive/projects/{xnat_server.project}'
    answer = xnat_server.upload(as_zip(study), dest=dest)
    assert 'unable to archive for the Prearchive session' in answer.text
    (row,) = xnat_server.prearchive()
    assert row['status'] == 'CONFLICT'
    log = xnat_server.call('GET', f'/data{row["url"]}/logs/last')
    assert 'already exists' in log.text


def test_archiving_over_another_study_is_a_server_error(xnat_server, study):
    put_in_archive(xnat_server, study)
    dest = f'/prearchive/projects/{xnat_server.project}'
    uri = xnat_server.upload(as_zip(make_study(visit='V02')), dest=dest).text.strip()
    answer = xnat_server.call('POST', '/data/services/archive', params={'src': uri})
    assert answer.status_code == 500
    assert [one['status'] for one in xnat_server.prearchive()] == ['CONFLICT']
    assert xnat_server.sop_uids() == sop_uids(study)


def test_two_studies_in_one_archive_make_two_rows_of_one_label(xnat_server, study):
    other = {f'b/{k}': v for k, v in make_study(visit='V02').items()}
    answer = xnat_server.upload(as_zip({**study, **other}))
    assert len(answer.text.split()) == 2
    assert len({one['tag'] for one in xnat_server.prearchive()}) == 2


def test_the_old_importer_refuses_two_studies(xnat_server, study):
    other = {f'b/{k}': v for k, v in make_study(visit='V02').items()}
    dest = f'/archive/projects/{xnat_server.project}'
    answer = xnat_server.upload(
        as_zip({**study, **other}), dest=dest, **{'import-handler': 'SI'}
    )
    assert answer.status_code == 400
    assert 'multiple imaging sessions' in answer.text


def test_demographics_are_written_and_read(connect, xnat_server):
    path = f'/data/projects/{xnat_server.project}/subjects/{xnat_server.subject}'
    values = {'gender': 'female', 'dob': '1980-02-03', 'age': '42'}
    assert xnat_server.call('PUT', path, params=values).status_code == 201
    subject = connect().projects[xnat_server.project].subjects[xnat_server.subject]
    demographics = subject.demographics
    assert (demographics.gender, demographics.age) == ('female', 42)
    assert demographics.dob.isoformat() == '1980-02-03'
    subject.demographics.yob = 1981
    subject.fields['subject_age'] = '042Y'
    again = xnat_server.call('PUT', path, params={'gender': 'F'})
    assert again.status_code == 200
    subject.clearcache()
    assert subject.demographics.yob == 1981
    assert subject.fields['subject_age'] == '042Y'


def test_a_date_of_birth_as_in_dicom_is_refused(xnat_server):
    path = f'/data/projects/{xnat_server.project}/subjects/{xnat_server.subject}'
    answer = xnat_server.call('PUT', path, params={'dob': '03.02.1980'})
    assert answer.status_code == 400


def test_a_move_in_the_prearchive_is_only_queued(connect, xnat_server, study):
    dest = f'/prearchive/projects/{xnat_server.project}'
    xnat_server.upload(as_zip(study), dest=dest)
    (row,) = connect(no_parse_model=True).prearchive.find(
        project=xnat_server.project, session=xnat_server.session
    )
    assert row.delete().status_code == 200
    assert [one['status'] for one in xnat_server.prearchive()] in (
        ['QUEUED_DELETING'],
        [],
    )


@pytest.mark.parametrize('place', ['archive', 'prearchive'])
def test_attributes_of_a_scan_are_told_by_keyword(connect, xnat_server, place):
    files = make_study(1, PatientSex='F', PatientBirthDate='', StudyDate='20240102')
    dest = f'/{place}/projects/{xnat_server.project}'
    where = xnat_server.upload(as_zip(files), dest=dest).text.strip()
    source = where.removeprefix('/data').replace(f'/subjects/{xnat_server.subject}', '')
    rows = connect(no_parse_model=True).services.dicom_dump(
        f'{source}/scans/1', fields=['PatientSex', 'PatientBirthDate', 'StudyDate']
    )
    assert {row['tag1']: row['value'] for row in rows if row['value']} == {
        '(0010,0040)': 'F',
        '(0008,0020)': '20240102',
    }
    assert {row['tag2'] for row in rows} == {''}
