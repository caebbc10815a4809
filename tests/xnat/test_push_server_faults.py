"""What goes wrong on the server, and who else is at work there

After each fault the same push, once more, ends with all images in the archive once,
and a third one has nothing to do: see the fixture `ends_well`.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from datalad_icf.errors import XnatConflictError, XnatError
from datalad_icf.xnat import XnatClient
from tests.xnat.server import importer
from tests.xnat.server.archiver import archive, archive_overwrite
from tests.xnat.server.faults import ARCHIVE, IMPORT
from tests.xnat.server.uploads import make_study, sop_uids

CATALOGUE = r'/resources/DICOM$'


def test_an_archive_that_takes_longer_than_its_request_is_waited_for(
    push_fake, fake, visit, ends_well
):
    fake.server.site.archive_seconds, fake.server.site.archive_wait = 0.3, 0.05
    assert push_fake.one(visit).changed
    assert fake.server.count(ARCHIVE) == 1
    assert len(fake.sop_uids()) == 4
    ends_well()


def test_an_archive_that_takes_hours_is_an_error(
    push_fake, fake, visit, monkeypatch, ends_well
):
    fake.server.site.archive_seconds, fake.server.site.archive_wait = 0.6, 0.05
    with monkeypatch.context() as patch:
        patch.setattr('datalad_icf.xnat.archiving.PATIENCE', 0.1)
        with pytest.raises(XnatError, match=r'is busy .*ARCHIVING.* for hours'):
            push_fake(visit)
    fake.server.site.archive_seconds = 0
    ends_well()


def test_a_slow_archive_that_ends_in_conflict_is_told(push_fake, fake, visit):
    fake.server.site.archive_seconds, fake.server.site.archive_wait = 0.3, 0.05
    fake.server.faults.refuse_archive('no such scanner')
    with pytest.raises(XnatConflictError, match='no such scanner'):
        push_fake(visit)


def test_a_conflict_is_told_with_the_reason_of_the_server(
    push_fake, fake, visit, ends_well
):
    fake.server.faults.refuse_archive('Invalid modification of session modality')
    with pytest.raises(XnatConflictError, match='modification of session modality'):
        push_fake(visit)
    assert fake.server.count(ARCHIVE) == 1
    assert [one.status for one in fake.server.state.rows] == ['CONFLICT']
    ends_well()


def test_a_refusal_to_archive_that_passes_is_no_error(
    push_fake, fake, visit, ends_well
):
    fake.server.faults.answer(500, path=ARCHIVE)
    assert push_fake.one(visit).changed
    assert fake.server.count(ARCHIVE) == 2
    ends_well()


def test_a_refusal_to_archive_that_stays_is_an_error(push_fake, fake, visit, ends_well):
    fake.server.faults.answer(500, path=ARCHIVE, times=3)
    with pytest.raises(XnatError, match='status 500'):
        push_fake(visit)
    assert [one.status for one in fake.server.state.rows] == ['READY']
    ends_well()


@pytest.mark.parametrize(
    ('path', 'message'),
    [
        (CATALOGUE, 'no catalogue'),
        ('/scans$', 'no listing'),
        ('/prearchive/projects/P1/.*/Sub1_V01$', 'no row'),
        ('/services/archive', 'did not arrive in the archive'),
    ],
)
def test_an_answer_that_makes_no_sense_is_an_error(
    push_fake, fake, visit, path, message, ends_well
):
    fake.server.faults.answer(200, path=path, times=2)
    with pytest.raises(XnatError, match=message):
        push_fake(visit)
    fake.server.faults.clear()
    ends_well()


@pytest.mark.parametrize('count', [1, 3, 4])
def test_images_that_the_server_loses_once_are_sent_again(
    push_fake, fake, visit, study, count, ends_well
):
    fake.server.faults.lose_instances(*sorted(sop_uids(study))[:count])
    report = push_fake.one(visit)
    assert fake.server.count(IMPORT) == 2
    assert (report.sent, report.total) == (4, 4)
    ends_well()


def test_only_the_images_that_were_lost_are_sent_again(push_fake, fake, visit, study):
    fake.server.faults.lose_instances(min(sop_uids(study)))
    push_fake(visit)
    first, second = fake.server.seen(IMPORT)
    assert second.received < first.received / 3


def test_images_that_the_server_always_loses_are_an_error(
    push_fake, fake, visit, study, monkeypatch, ends_well
):
    class Always(set):
        def discard(self, _):
            pass

    fake.server.faults.lost = Always([min(sop_uids(study))])
    for _ in range(2):
        with pytest.raises(XnatError, match=r'1 of 4 images did not arrive .*archive'):
            push_fake(visit)
    fake.server.faults.clear()
    ends_well()


def test_images_that_the_server_cannot_read_are_an_error(
    push_fake, fake, visit, study, monkeypatch, ends_well
):
    read, bad = importer.read_instance, min(sop_uids(study))

    def read_some(name, content):
        found = read(name, content)
        if found.sop_uid == bad:
            raise importer.NotDicomError(name)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(importer, 'read_instance', read_some)
        with pytest.raises(XnatError, match=r'1 of 4 images did not .*prearchive'):
            push_fake(visit)
    assert fake.server.state.experiments == {}
    ends_well()


def test_files_that_are_rewritten_on_the_server_are_the_same_images(
    push_fake, fake, visit, study, ends_well
):
    assert fake.server.site.anonymisation
    push_fake(visit)
    (experiment,) = fake.server.state.experiments.values()
    sizes = {i.size for s in experiment.scans.values() for i in s.instances.values()}
    assert sizes.isdisjoint(map(len, study.values()))
    ends_well()


def test_members_that_are_no_images_stay_here(push_fake, fake, put_visit, study):
    paths = put_visit('notes', {**study, 'notes.txt': b'no image', 'raw.tar': b'x'})
    push_fake(paths)
    assert fake.sop_uids() == sop_uids(study)
    assert not push_fake.one(paths).changed


def test_images_of_others_in_the_prearchive_are_not_archived(
    push_fake, fake, put_visit, visit, ends_well
):
    # same study and label, but more images
    push_fake(put_visit('more', make_study(3)), to='prearchive')
    with pytest.raises(XnatConflictError, match='with 2 images that are not to be'):
        push_fake(visit)
    assert fake.server.state.experiments == {}
    fake.server.state.rows.clear()
    ends_well()


def test_another_process_may_send_the_same_at_the_same_time(
    push_fake, fake, visit, ends_well
):
    for path in (IMPORT, ARCHIVE):
        fake.server.faults.slow(0.05, path=path, times=4)
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(push_fake.one, visit) for _ in range(4)]
    assert all(one.result().total == 4 for one in futures)
    fake.server.faults.clear()
    ends_well()


@pytest.mark.parametrize('ends', [True, False], ids=['ends', 'was killed'])
def test_another_process_may_send_into_the_row_that_was_sent(
    push_fake, fake, visit, monkeypatch, ends_well, ends
):
    call = XnatClient.call

    def late(self, method, path, **kwargs):
        answer = call(self, method, path, **kwargs)
        if path == IMPORT and fake.server.count(IMPORT) == 1:
            (row,) = fake.server.state.rows
            row.status = 'RECEIVING'
        return answer

    def wait(_seconds):
        for row in fake.server.state.rows:
            row.status = 'READY'

    with monkeypatch.context() as patch:
        patch.setattr(XnatClient, 'call', late)
        if ends:
            patch.setattr('datalad_icf.xnat.archiving.time.sleep', wait)
        else:
            patch.setattr('datalad_icf.xnat.archiving.RECEIVING_PATIENCE', 0.1)
        assert push_fake.one(visit).changed
    assert fake.server.count(IMPORT) == (1 if ends else 2)
    ends_well()


@pytest.mark.parametrize('moment', [IMPORT, ARCHIVE, '/logs/last', CATALOGUE])
def test_another_process_may_be_faster_at_any_moment(
    push_fake, fake, visit, monkeypatch, moment, ends_well
):
    """It archives the same images just before a request of ours"""
    if moment == '/logs/last':
        # read after a refusal only
        fake.server.faults.refuse_archive()
    done = threading.Event()
    call = XnatClient.call

    def late(self, method, path, **kwargs):
        if path.endswith(moment.strip('$').rpartition('/')[2]) and not done.is_set():
            done.set()
            push_fake(visit)
        return call(self, method, path, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(XnatClient, 'call', late)
        push_fake(visit)
    assert done.is_set()
    ends_well()


def test_a_session_that_the_server_archives_by_itself_is_found(
    push_fake, fake, visit, monkeypatch, ends_well
):
    push_fake(visit, to='prearchive')
    (row,) = fake.server.state.rows
    row.status = 'QUEUED_ARCHIVING'

    def finish():
        archive(fake.server.state, row, archive_overwrite(None), fake.server.faults)

    fake.server.later(0.2, finish)
    report = push_fake.one(visit)
    assert report.size == 0
    ends_well()


@pytest.mark.parametrize('still', [True, False], ids=['still', 'a moment ago'])
def test_another_process_may_send_into_the_row_that_is_to_be_archived(
    push_fake, fake, visit, monkeypatch, ends_well, still
):
    call, done = XnatClient.call, threading.Event()

    def late(self, method, path, **kwargs):
        if path != ARCHIVE or done.is_set():
            return call(self, method, path, **kwargs)
        done.set()
        (row,) = fake.server.state.rows
        row.status = 'RECEIVING'
        try:
            return call(self, method, path, **kwargs)
        finally:
            # before or after the client looks at what became of it
            if not still:
                row.status = 'READY'

    def wait(_seconds):
        for row in fake.server.state.rows:
            row.status = 'READY'

    with monkeypatch.context() as patch:
        patch.setattr(XnatClient, 'call', late)
        patch.setattr('datalad_icf.xnat.archiving.time.sleep', wait)
        assert push_fake.one(visit).changed
    assert fake.server.count(ARCHIVE) == 2
    ends_well()
