"""Faults on demand, and what only the server of the tests can show"""

from __future__ import annotations

import socket
import time
from urllib.parse import urlsplit

import pytest
import requests

from tests.xnat.server.members import BadArchiveError, iter_members
from tests.xnat.server.uploads import as_tar, as_zip, make_study

TO_PREARCHIVE = '/prearchive/projects/P1'
TO_ARCHIVE = '/archive/projects/P1'


@pytest.fixture(scope='module')
def study():
    return make_study()


@pytest.fixture
def row_uri(fake, study):
    """A session that waits in the prearchive"""
    return fake.upload(as_zip(study), dest=TO_PREARCHIVE).text.strip()


def archive(fake, uri, **params):
    params = {'src': uri, **params}
    return fake.call('POST', '/data/services/archive', params=params)


@pytest.mark.parametrize('chunked', [True, False])
def test_a_cut_upload_leaves_a_part_that_receives_on(fake, study, chunked):
    content = as_zip(study)
    fake.server.faults.cut_upload(after=len(content) // 2)
    with pytest.raises(requests.ConnectionError):
        fake.upload(iter([content]) if chunked else content, dest=TO_PREARCHIVE)
    assert fake.server.uploaded == len(content) // 2
    (row,) = fake.server.state.rows
    assert (row.status, len(row.sop_uids)) == ('RECEIVING', 2)
    fake.upload(content, dest=TO_PREARCHIVE)
    assert fake.server.state.rows == [row]
    assert (row.status, len(row.sop_uids)) == ('READY', 4)


@pytest.mark.parametrize(('prevent', 'archived'), [('', 1), ('true', 0)])
def test_a_part_is_archived_when_idle_unless_prevented(fake, study, prevent, archived):
    fake.server.state.projects['P1'].prearchive_code = 4
    content = as_zip(study)
    fake.server.faults.cut_upload(after=len(content) // 2)
    with pytest.raises(requests.ConnectionError):
        fake.upload(content, prevent_auto_commit=prevent)
    fake.server.idle()
    assert len(fake.server.state.experiments) == archived
    assert len(fake.server.state.rows) == 1 - archived


def test_a_cut_answer_means_that_the_work_is_done(fake, study):
    fake.server.faults.cut_answer()
    with pytest.raises(requests.ConnectionError):
        fake.upload(as_zip(study), dest=TO_PREARCHIVE)
    assert fake.server.state.rows[0].status == 'READY'


@pytest.mark.parametrize('status', [502, 503, 504, 429])
def test_a_proxy_answers_as_often_as_it_was_told(fake, study, status):
    faults = fake.server.faults
    faults.answer(status, path='import', times=2, Retry_After='1')
    answers = [fake.upload(as_zip(study)) for _ in range(3)]
    assert [one.status_code for one in answers] == [status, status, 200]
    assert answers[0].headers['Retry-After'] == '1'
    assert faults.pending == 0


def test_a_proxy_may_answer_before_the_upload(fake, study):
    fake.server.faults.answer(503, path='import', before_body=True)
    # small enough for the buffers of the connection
    assert fake.upload(as_zip(study)).status_code == 503
    assert fake.server.uploaded == 0


@pytest.mark.parametrize('after', [0, 2])
def test_sessions_expire_in_mid_run(fake, after):
    with requests.Session() as session:
        form = {'username': fake.user, 'password': fake.password}
        session.put(f'{fake.url}/data/services/auth', form, timeout=9)
        fake.server.faults.expire_sessions(after=after)
        codes = [
            session.get(f'{fake.url}/data/projects', timeout=9).status_code
            for _ in range(3)
        ]
    assert codes == [200] * after + [401] * (3 - after)


def test_slow_answers_are_late(fake):
    fake.server.faults.slow(0.3, path='/data/projects')
    start = time.monotonic()
    assert fake.call('GET', '/data/projects').ok
    assert time.monotonic() - start >= 0.3


def test_a_long_archive_fails_and_goes_on(fake, row_uri):
    site = fake.server.site
    site.archive_seconds, site.archive_wait = 0.5, 0.1
    answer = archive(fake, row_uri)
    assert answer.status_code == 500
    assert '<h3>FAILED: Unable to archive' in answer.text
    assert fake.prearchive()[0]['status'] == 'ARCHIVING'
    assert archive(fake, row_uri).status_code == 403
    until = time.monotonic() + 20
    while fake.prearchive() and time.monotonic() < until:
        time.sleep(0.05)
    assert len(fake.sop_uids()) == 4


def test_a_conflict_on_demand_has_its_reason_in_the_log(fake, row_uri):
    fake.server.faults.refuse_archive('no such scanner')
    assert archive(fake, row_uri).status_code == 500
    assert fake.prearchive()[0]['status'] == 'CONFLICT'
    assert fake.call('GET', f'{row_uri}/logs/last').text == 'no such scanner'
    assert archive(fake, row_uri).status_code == 200


def test_instances_are_lost_without_a_word(fake, row_uri):
    lost = next(iter(fake.server.state.rows[0].sop_uids))
    fake.server.faults.lose_instances(lost)
    assert archive(fake, row_uri).status_code == 200
    assert len(fake.sop_uids()) == 3
    assert lost not in fake.sop_uids()


@pytest.mark.parametrize('anonymisation', [True, False])
def test_anonymisation_changes_digests_not_uids(fake, row_uri, anonymisation):
    fake.server.site.anonymisation = anonymisation
    before = fake.server.state.rows[0]
    sent = {
        i.sop_uid: i.digest for s in before.scans.values() for i in s.files('DICOM')
    }
    archive(fake, row_uri)
    (experiment,) = fake.server.state.experiments.values()
    there = {
        i.sop_uid: i.digest for s in experiment.scans.values() for i in s.files('DICOM')
    }
    assert set(there) == set(sent)
    assert set(there.values()).isdisjoint(sent.values()) is anonymisation


def test_a_session_that_receives_is_not_archived_and_has_no_scans(fake, study):
    uri = fake.upload(as_zip(study)).text.strip()
    assert archive(fake, uri).status_code == 500
    assert fake.call('GET', f'{uri}/scans').status_code == 404


@pytest.mark.parametrize('overwrite', ['append', 'delete'])
def test_archiving_replaces_files_with_append_too(fake, row_uri, study, overwrite):
    archive(fake, row_uri)
    again = fake.upload(as_zip(study), dest=TO_PREARCHIVE).text.strip()
    assert archive(fake, again).status_code == 500
    assert archive(fake, again, overwrite=overwrite).status_code == 200


@pytest.mark.parametrize('overwrite', ['append', 'delete'])
def test_archiving_with_overwrite_takes_another_study(fake, row_uri, overwrite):
    archive(fake, row_uri)
    other = fake.upload(as_zip(make_study(visit='V02')), dest=TO_PREARCHIVE)
    uri = other.text.strip()
    assert archive(fake, uri, overwrite=overwrite).status_code == 200
    (experiment,) = fake.server.state.experiments.values()
    assert len(experiment.sop_uids) == 8
    assert sorted(experiment.scans) == ['1', '1-MR1', '2', '2-MR1']


def test_another_modality_or_subject_is_a_conflict_always(fake, row_uri):
    archive(fake, row_uri)
    ct = fake.upload(as_zip(make_study(Modality='CT')), dest=TO_PREARCHIVE)
    assert archive(fake, ct.text.strip(), overwrite='delete').status_code == 500
    other = fake.upload(
        as_zip(make_study(1, visit='V03')), dest=TO_PREARCHIVE, subject='Sub2'
    )
    assert archive(fake, other.text.strip(), overwrite='delete').status_code == 500
    reason = fake.call('GET', f'{other.text.strip()}/logs/last').text
    assert 'Already Exists for another Subject' in reason


def test_archiving_gives_new_labels(fake, row_uri):
    answer = archive(fake, row_uri, subject='S 2', session='S2.V9', project='P2')
    path = '/data/archive/projects/P2/subjects/S_2/experiments/S2_V9'
    assert answer.text == f'{path}\r\n'


def test_two_studies_sent_to_the_archive_are_archived_in_part(fake, study):
    other = {f'b/{k}': v for k, v in make_study(visit='V02').items()}
    answer = fake.upload(as_zip({**study, **other}), dest=TO_ARCHIVE)
    assert answer.status_code == 400
    assert len(fake.server.state.experiments) == 1
    assert [one['status'] for one in fake.prearchive()] == ['CONFLICT']


def test_a_direct_archive_is_done_when_idle_or_asked(fake, study):
    answer = fake.upload(as_zip(study), **{'Direct-Archive': 'true'})
    uri = answer.text.strip()
    assert uri.startswith('/xapi/direct-archive/P1/')
    assert fake.prearchive() == []
    assert fake.call('POST', uri).status_code == 200
    assert len(fake.sop_uids()) == 4
    again = fake.upload(as_zip(study), **{'Direct-Archive': 'true'})
    assert again.text.startswith('/data/prearchive/')


def test_single_images_join_one_session(fake, study):
    for content in study.values():
        answer = fake.upload(
            content, 'application/dicom', **{'import-handler': 'gradual-DICOM'}
        )
        assert answer.status_code == 200
    (row,) = fake.server.state.rows
    assert (row.status, len(row.sop_uids)) == ('RECEIVING', 4)


def test_a_form_is_taken_by_the_name_of_its_file(fake, study):
    content = as_tar(study, compress=True)
    answer = fake.call(
        'POST',
        '/data/services/import',
        data={'project': 'P1', 'session': 'Form', 'dest': TO_PREARCHIVE},
        files={'file': ('visit.tar.gz', content)},
    )
    assert answer.status_code == 200
    assert [len(row.sop_uids) for row in fake.server.state.rows] == [4]
    assert fake.server.state.rows[0].name == 'Form'


def test_labels_come_from_the_headers_where_no_parameter_says_them(fake):
    files = make_study(1, PatientComments='Project:P2 Subject:A Session:B')
    fake.upload(as_zip(files), project='', subject='', session='')
    (row,) = fake.server.state.rows
    assert (row.project, row.subject, row.name) == ('P2', 'A', 'B')


@pytest.mark.parametrize('deflate', [True, False])
@pytest.mark.parametrize('cut', [10, 700, -200])
def test_a_zip_that_ends_early_gives_what_is_whole(study, cut, deflate):
    content = as_zip(study, deflate=deflate)
    end = content.index(b'PK\1\2')
    stream = FakeStream(content[: cut if cut > 0 else end + cut])
    found = []
    with pytest.raises(BadArchiveError):
        found.extend(iter_members(stream, 'zip'))
    assert found == [] or found[0][1] == next(iter(study.values()))


def test_what_is_stored_must_have_its_size_in_front(study):
    with pytest.raises(BadArchiveError, match='only DEFLATED entries'):
        list(iter_members(FakeStream(as_zip(study, piped=True)), 'zip'))


def test_archives_in_archives_are_read(study):
    outer = as_zip({'a.dcm': b'x', 'inner.tar.gz': as_tar(study, compress=True)})
    names = [name for name, _ in iter_members(FakeStream(outer), 'zip')]
    assert names == ['a.dcm', *study]


def test_a_damaged_entry_is_noticed(study):
    content = bytearray(as_zip(study))
    content[500] ^= 1
    with pytest.raises(BadArchiveError, match='CRC'):
        list(iter_members(FakeStream(bytes(content)), 'zip'))


class FakeStream:
    """A body that arrives in small pieces"""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def read(self, size: int = -1, /) -> bytes:
        size = min(size, 1000) if size >= 0 else 1000
        data, self._content = self._content[:size], self._content[size:]
        return data


def test_a_client_that_asks_first_is_told_to_go_on(fake, study):
    content = as_zip(study)
    with socket.create_connection(('127.0.0.1', urlsplit(fake.url).port), 9) as sock:
        sock.sendall(
            b'PUT /data/services/auth HTTP/1.1\r\nHost: x\r\n'
            b'Expect: 100-continue\r\nContent-Length: %d\r\n\r\n' % len(content)
        )
        assert sock.recv(100).startswith(b'HTTP/1.1 100 ')


def test_requests_and_bytes_are_counted(fake, study):
    fake.upload(as_zip(study))
    assert fake.server.uploaded == len(as_zip(study))
    assert fake.server.count('/services/import', 'POST') == 1
    fake.server.forget()
    assert (fake.server.uploaded, fake.server.count()) == (0, 0)


@pytest.mark.parametrize('action', ['delete', 'rebuild', 'move'])
def test_what_is_queued_is_done_later(fake, row_uri, action):
    params = {'src': row_uri, 'newProject': 'P2'}
    answer = fake.call('POST', f'/data/services/prearchive/{action}', params=params)
    assert answer.status_code == 200
    assert 'QUEUED_' in answer.text
    until = time.monotonic() + 20
    while True:
        rows = fake.rows('/data/prearchive/projects')
        if not any(one['status'].startswith('QUEUED') for one in rows):
            break
        assert time.monotonic() < until
        time.sleep(0.05)
    left = {'delete': [], 'rebuild': ['P1'], 'move': ['P2']}[action]
    assert [one['project'] for one in rows] == left
