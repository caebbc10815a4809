"""What goes wrong with requests, and how it ends

After each fault the same push, once more, ends with all images in the archive once,
and a third one has nothing to do: see the fixture `ends_well`.
"""

from __future__ import annotations

import pytest

from datalad_icf.errors import (
    PreconditionError,
    XnatAccessError,
    XnatConnectionError,
    XnatError,
)
from datalad_icf.xnat import TarballSource, XnatClient
from datalad_icf.xnat.client import DELAYS
from datalad_icf.xnat.zip_stream import ZipEntry, iter_zip
from tests.xnat.server.faults import ARCHIVE, IMPORT
from tests.xnat.server.uploads import make_study

CATALOGUE = r'/resources/DICOM$'


def imports(fake):
    return fake.server.count(IMPORT)


def zip_size(paths):
    with TarballSource(paths).open() as contents:
        entries = [
            ZipEntry('0000000.dcm', i.size, i.blocks) for i in contents.instances
        ]
        return len(b''.join(iter_zip(entries, deflate=True)))


def test_a_wrong_password_is_tried_once_and_nothing_is_sent(
    push_fake, fake, visit, ends_well
):
    right, fake.password = fake.password, 'wrong'
    with pytest.raises(XnatAccessError, match='refuses the user name or the password'):
        push_fake(visit)
    assert fake.server.accounts.failed[fake.user] == 1
    assert fake.server.uploaded == 0
    fake.password = right
    ends_well()


@pytest.mark.parametrize(
    ('project', 'message'),
    [
        ('ReadOnly', 'may not create sessions'),
        ('Closed', 'may not create sessions'),
        ('NoSuch', 'may not create sessions'),
    ],
)
def test_without_rights_no_byte_is_sent(push_fake, fake, visit, project, message):
    with pytest.raises(XnatAccessError, match=message) as caught:
        push_fake(visit, project=project)
    assert caught.value.status_code in (403, 404)
    assert (fake.server.uploaded, imports(fake)) == (0, 0)
    assert fake.server.state.subjects == {}


def test_images_that_land_in_no_project_are_an_error(
    push_fake, fake, visit, monkeypatch, ends_well
):
    # XNAT answers 200: the right was taken away after the subject was made
    with monkeypatch.context() as patch:
        patch.setattr(
            'tests.xnat.server.importer.choose_project', lambda *_: 'Unassigned'
        )
        with pytest.raises(XnatError, match='as a session that is not assigned') as e:
            push_fake(visit)
    assert not isinstance(e.value, PreconditionError)
    assert [one.project for one in fake.server.state.rows] == ['Unassigned']
    assert fake.server.state.experiments == {}
    # as an administrator has to
    fake.server.state.rows.clear()
    ends_well()


def test_images_that_land_in_another_project_are_an_error(
    push_fake, fake, visit, monkeypatch
):
    monkeypatch.setattr('tests.xnat.server.importer.choose_project', lambda *_: 'P2')
    with pytest.raises(XnatError, match=r"not for project 'P1'.*session of 'P2'"):
        push_fake(visit)
    assert fake.server.state.experiments == {}


@pytest.mark.parametrize('deflate', [False, True], ids=['tar', 'zip'])
@pytest.mark.parametrize('part', [0, 0.001, 0.1, 0.2, 0.4, 0.6, 0.8, 0.95, 0.999])
def test_an_upload_that_is_cut_is_sent_again(
    push_fake, fake, visit, part, deflate, ends_well
):
    size = zip_size(visit) if deflate else visit.tarball.stat().st_size
    fake.server.faults.cut_upload(int(part * size))
    report = push_fake.one(visit, deflate=deflate)
    assert imports(fake) == 2
    assert (report.sent, report.total) == (4, 4)
    ends_well()


@pytest.mark.parametrize('after', [0, 700, 5000])
def test_an_upload_that_is_cut_always_is_given_up(
    push_fake, fake, visit, after, ends_well
):
    fake.server.faults.cut_upload(after, times=1 + len(DELAYS))
    with pytest.raises(XnatConnectionError, match='has cut the connection'):
        push_fake(visit)
    assert fake.server.state.experiments == {}
    # five minutes later
    fake.server.state.projects['P1'].prearchive_code = 4
    fake.server.idle()
    assert fake.server.state.experiments == {}
    ends_well()


@pytest.mark.parametrize('state', ['RECEIVING', 'ERROR'])
def test_what_is_left_of_an_upload_is_joined(push_fake, fake, visit, state, ends_well):
    # newer releases mark it
    fake.server.faults.cut_upload(5000, times=1 + len(DELAYS))
    with pytest.raises(XnatConnectionError):
        push_fake(visit)
    (row,) = fake.server.state.rows
    assert 0 < len(row.sop_uids) < 4
    row.status = state
    ends_well()


@pytest.mark.parametrize('after', [0, 5, 40])
@pytest.mark.parametrize('path', [IMPORT, ARCHIVE])
def test_an_answer_that_is_cut_does_no_harm(
    push_fake, fake, visit, path, after, ends_well
):
    fake.server.faults.cut_answer(path, after=after)
    report = push_fake.one(visit)
    assert report.changed
    assert len(fake.sop_uids()) == 4
    assert fake.server.state.rows == []
    ends_well()


@pytest.mark.parametrize(
    'path',
    [
        '/data/projects/P1',
        '/subjects/Sub1$',
        '/prearchive/projects/P1$',
        'Sub1_V01$',
        CATALOGUE,
        '/scans$',
        '/scans/1/resources$',
        'buildInfo',
    ],
)
@pytest.mark.parametrize('fault', ['cut', '503'])
def test_any_request_may_fail_once(push_fake, fake, visit, path, fault, ends_well):
    if fault == 'cut':
        fake.server.faults.cut_answer(path)
    else:
        fake.server.faults.answer(503, path=path)
    assert push_fake.one(visit).changed
    ends_well()


@pytest.mark.parametrize('before_body', [False, True])
@pytest.mark.parametrize('status', [429, 502, 503, 504])
@pytest.mark.parametrize('path', [IMPORT, ARCHIVE])
def test_a_proxy_that_is_not_ready_is_asked_again(
    push_fake, fake, visit, path, status, before_body, ends_well
):
    fake.server.faults.answer(
        status, path=path, times=2, before_body=before_body, Retry_After='0'
    )
    assert push_fake.one(visit).changed
    assert fake.server.count(path) == 3
    ends_well()


@pytest.mark.parametrize('status', [429, 502, 503, 504])
@pytest.mark.parametrize('path', [IMPORT, ARCHIVE])
def test_a_proxy_that_is_never_ready_is_an_error(
    push_fake, fake, visit, path, status, ends_well
):
    fake.server.faults.answer(status, path=path, times=99)
    with pytest.raises(XnatConnectionError, match=f'status {status}'):
        push_fake(visit)
    assert fake.server.count(path) <= 1 + len(DELAYS)
    assert fake.server.state.experiments == {}
    fake.server.faults.clear()
    ends_well()


def test_a_server_says_when_to_send_again(
    push_fake, fake, visit, monkeypatch, ends_well
):
    naps: list[float] = []
    monkeypatch.setattr('datalad_icf.xnat.client.time.sleep', naps.append)
    fake.server.faults.answer(429, path=IMPORT, Retry_After='7')
    push_fake(visit)
    assert naps == [7]
    ends_well()


def test_a_large_upload_that_is_answered_before_its_end_is_sent_again(
    push_fake, fake, put_visit, image
):
    # much larger than the buffers of a connection
    files = {'a': image(SOPInstanceUID='1.2.3') + bytes(30 << 20), **make_study(1)}
    paths = put_visit(files=files)
    fake.server.faults.answer(503, path=IMPORT, before_body=True)
    assert push_fake.one(paths).changed
    assert len(fake.sop_uids()) == 3


@pytest.mark.parametrize('after', range(0, 24, 2))
def test_a_session_may_expire_at_any_time(
    fake, visit, put_visit, push_fake, after, ends_well
):
    with XnatClient(fake.url, fake.user, fake.password) as client:
        push_fake.connect = lambda: _Open(client)
        fake.server.faults.expire_sessions(after=after)
        report = push_fake.one(visit)
        assert report.changed
        del push_fake.connect
    assert fake.server.accounts.failed[fake.user] == 0
    assert len(fake.sop_uids()) == 4
    ends_well()


class _Open:
    """A connection that stays open"""

    def __init__(self, client):
        self.client = client

    def __enter__(self):
        return self.client

    def __exit__(self, *_):
        pass


def test_a_server_that_is_slow_is_waited_for(push_fake, fake, visit, ends_well):
    for path in ('/subjects/', IMPORT, ARCHIVE, CATALOGUE):
        fake.server.faults.slow(0.1, path=path)
    assert push_fake.one(visit).changed
    assert imports(fake) == fake.server.count(ARCHIVE) == 1
    ends_well()


@pytest.mark.parametrize('path', [IMPORT, ARCHIVE])
def test_a_server_that_is_too_slow_gets_it_again(
    push_fake, fake, visit, monkeypatch, path, ends_well
):
    with monkeypatch.context() as patch:
        patch.setattr('datalad_icf.xnat.client.READ_SECONDS', 0.3)
        fake.server.faults.slow(0.6, path=path)
        assert push_fake.one(visit).changed
    assert len(fake.sop_uids()) == 4
    ends_well()
