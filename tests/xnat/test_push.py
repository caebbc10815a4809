"""A visit on its way into the archive; also run against a real XNAT"""

from __future__ import annotations

import pytest

from datalad_icf.errors import (
    PreconditionError,
    TarballError,
    XnatConflictError,
    XnatConnectionError,
    XnatError,
)
from datalad_icf.xnat import Exclusions, TarballSource, ZipSource
from demo.phantom import LOCALIZER
from tests.xnat.server.importer import read_instance
from tests.xnat.server.uploads import as_zip, make_study, sop_uids

SECONDARY_CAPTURE = '1.2.840.10008.5.1.4.1.1.7'


def uploads(fake):
    return fake.server.seen('/services/import')


def test_a_visit_is_archived_with_all_its_images(push, xnat_server, visit, study):
    report = push.one(visit)
    assert xnat_server.sop_uids() == sop_uids(study)
    assert xnat_server.prearchive() == []
    assert (report.total, report.before, report.sent, report.extra) == (4, 0, 4, 0)
    assert report.changed
    assert report.size > 0
    assert report.path.endswith(f'/experiments/{xnat_server.session}')


def test_a_visit_that_is_there_is_not_sent_again(push, xnat_server, visit, study):
    push(visit)
    report = push.one(visit)
    assert (report.changed, report.sent, report.size, report.before) == (False, 0, 0, 4)
    assert xnat_server.sop_uids() == sop_uids(study)


def test_only_what_is_missing_is_sent(push, xnat_server, put_visit, study):
    part = dict(list(study.items())[:3])
    push(put_visit('part', part))
    report = push.one(put_visit(files=study))
    assert (report.before, report.sent) == (3, 1)
    assert xnat_server.sop_uids() == sop_uids(study)
    assert xnat_server.prearchive() == []


def test_what_the_server_has_besides_is_counted(push, xnat_server, put_visit, study):
    push(put_visit(files=study))
    part = dict(list(study.items())[:3])
    report = push.one(put_visit('part', part))
    assert (report.extra, report.changed) == (1, False)
    assert xnat_server.sop_uids() == sop_uids(study)


def test_the_prearchive_can_be_the_end(push, xnat_server, visit, study):
    report = push.one(visit, to='prearchive')
    (row,) = xnat_server.prearchive()
    assert (row['status'], row['subject']) == ('READY', xnat_server.subject)
    assert report.path == f'/data{row["url"]}'
    assert xnat_server.sop_uids() == set()
    again = push.one(visit, to='prearchive')
    assert (again.changed, again.size) == (False, 0)
    assert len(xnat_server.prearchive()) == 1


def test_what_waits_in_the_prearchive_is_archived_without_a_byte(
    push, xnat_server, visit, study
):
    push(visit, to='prearchive')
    report = push.one(visit)
    assert (report.changed, report.size) == (True, 0)
    assert xnat_server.sop_uids() == sop_uids(study)
    assert xnat_server.prearchive() == []


def test_what_is_archived_does_not_go_to_the_prearchive(push, xnat_server, visit):
    push(visit)
    report = push.one(visit, to='prearchive')
    assert (report.changed, report.size) == (False, 0)
    assert xnat_server.prearchive() == []


def test_a_dry_run_changes_nothing(push, xnat_server, visit):
    report = push.one(visit, dry_run=True)
    assert (report.sent, report.changed, report.size) == (4, False, 0)
    assert xnat_server.sop_uids() == set()
    assert xnat_server.prearchive() == []
    path = f'/data/projects/{xnat_server.project}/subjects/{xnat_server.subject}'
    assert xnat_server.call('GET', path).status_code == 404


def test_a_dry_run_tells_what_is_missing(push, put_visit, study):
    push(put_visit('part', dict(list(study.items())[:3])))
    report = push.one(put_visit(files=study), dry_run=True)
    assert (report.before, report.sent) == (3, 1)


def test_skip_refuses_a_session_that_is_there_in_part(
    push, xnat_server, put_visit, study
):
    part = dict(list(study.items())[:3])
    push(put_visit('part', part))
    with pytest.raises(XnatConflictError, match='3 of 4 images'):
        push(put_visit(files=study), existing='skip')
    assert xnat_server.sop_uids() == sop_uids(part)
    assert xnat_server.prearchive() == []


@pytest.mark.parametrize('existing', ['skip', 'append'])
def test_a_complete_session_needs_nothing(push, visit, existing):
    assert push.one(visit, existing=existing).changed
    assert not push.one(visit, existing=existing).changed


def test_replace_sends_all_images_again(push, xnat_server, visit, study):
    push(visit)
    report = push.one(visit, existing='replace')
    assert (report.before, report.sent, report.changed) == (4, 4, True)
    assert xnat_server.sop_uids() == sop_uids(study)
    assert xnat_server.prearchive() == []


def test_replace_brings_other_content_of_the_same_images(push_fake, fake, put_visit):
    fake.server.site.anonymisation = False
    push_fake(put_visit('old', make_study()))
    changed = make_study(OperatorsName='other')
    push_fake(put_visit('new', changed), existing='replace')
    (experiment,) = fake.server.state.experiments.values()
    found = {i.size for s in experiment.scans.values() for i in s.instances.values()}
    assert found == {len(content) for content in changed.values()}


@pytest.mark.parametrize('existing', ['skip', 'append', 'replace'])
def test_another_study_of_the_same_label_is_never_touched(
    push, xnat_server, put_visit, study, existing
):
    push(put_visit(files=study))
    with pytest.raises(XnatConflictError, match='is another DICOM study'):
        push(put_visit('V02'), existing=existing)
    assert xnat_server.sop_uids() == sop_uids(study)
    assert xnat_server.prearchive() == []


def test_a_session_of_another_subject_is_never_touched(push, xnat_server, visit, study):
    push(visit)
    with pytest.raises(XnatConflictError, match='is of another subject'):
        push(visit, subject=f'{xnat_server.subject}b')
    assert xnat_server.sop_uids() == sop_uids(study)


def test_a_session_without_images_takes_those_of_the_visit(
    push, xnat_server, visit, study
):
    base = f'/data/projects/{xnat_server.project}/subjects/{xnat_server.subject}'
    xnat_server.call('PUT', base)
    made = f'{base}/experiments/{xnat_server.session}'
    xnat_server.call('PUT', made, params={'xsiType': 'xnat:mrSessionData'})
    push(visit)
    assert xnat_server.sop_uids() == sop_uids(study)


def test_several_studies_become_several_sessions(push, xnat_server, put_visit, study):
    other = make_study(visit='V02', StudyTime='120000')
    files = {**study, **{f'b/{name}': content for name, content in other.items()}}
    second = f'{xnat_server.session}_2'
    xnat_server.sessions.append(second)
    reports = push(put_visit(files=files))
    assert [one.path.rpartition('/')[2] for one in reports] == [
        xnat_server.session,
        second,
    ]
    assert xnat_server.sop_uids() == sop_uids(study)
    assert xnat_server.sop_uids(second) == sop_uids(other)
    assert not any(one.changed for one in push(put_visit(files=files)))


def test_secondary_captures_count_among_the_images(push, xnat_server, put_visit, image):
    files = {
        **make_study(1),
        'capture': image(
            SOPClassUID=SECONDARY_CAPTURE, SOPInstanceUID='1.2.3', SeriesNumber=99
        ),
    }
    push(put_visit(files=files))
    assert '1.2.3' in xnat_server.sop_uids()
    assert not push.one(put_visit(files=files)).changed


def test_two_series_of_the_same_number_are_two_scans(push, xnat_server, put_visit):
    files = make_study(2, SeriesNumber=5)
    push(put_visit(files=files))
    assert xnat_server.sop_uids() == sop_uids(files)
    assert not push.one(put_visit(files=files)).changed


def test_excluded_series_stay_here(push, xnat_server, visit):
    report = push.one(visit, exclude=Exclusions(series=(LOCALIZER.description,)))
    assert report.total == 2
    assert len(xnat_server.sop_uids()) == 2


def test_excluded_series_are_sent_when_they_are_excluded_no_more(
    push, xnat_server, visit, study
):
    push(visit, exclude=Exclusions(series=(LOCALIZER.description,)))
    assert push.one(visit).sent == 2
    assert xnat_server.sop_uids() == sop_uids(study)


def test_a_tarball_goes_as_it_is_in_one_request(push_fake, fake, visit):
    report = push_fake.one(visit)
    (one,) = uploads(fake)
    assert (one.content_type, one.chunked) == ('application/x-tar', False)
    assert one.received == report.size == visit.tarball.stat().st_size


@pytest.mark.parametrize('reason', ['old server', 'excluded', 'other file', 'compress'])
def test_else_a_zip_is_made_on_the_way(push_fake, fake, put_visit, study, reason):
    if reason == 'old server':
        fake.server.site.version = '1.8.2.2'
    files = {**study, 'notes.txt': b'x' * 9} if reason == 'other file' else study
    exclude = Exclusions(series=(LOCALIZER.description,) * (reason == 'excluded'))
    report = push_fake.one(
        put_visit(files=files), exclude=exclude, deflate=reason == 'compress'
    )
    (one,) = uploads(fake)
    assert (one.content_type, one.chunked) == ('application/zip', True)
    assert report.size == one.received
    assert len(fake.sop_uids()) == report.total


def test_compression_saves_bytes(push_fake, fake, put_visit, image):
    paths = put_visit(files={'a': image(ImageComments='x' * 5000)})
    report = push_fake.one(paths, deflate=True)
    assert report.size < paths.tarball.stat().st_size // 2


@pytest.mark.parametrize('deflate', [False, True])
def test_a_zip_goes_as_it_is_if_xnat_can_read_it(
    push_fake, fake, tmp_path, study, deflate
):
    path = tmp_path / '007.zip'
    path.write_bytes(as_zip(study, deflate=deflate))
    push_fake(ZipSource(path))
    (one,) = uploads(fake)
    assert one.received == path.stat().st_size
    assert fake.sop_uids() == sop_uids(study)


def test_a_zip_that_xnat_cannot_read_arrives_all_the_same(
    push_fake, fake, tmp_path, study
):
    path = tmp_path / '007.zip'
    path.write_bytes(as_zip(study, piped=True))
    push_fake(ZipSource(path))
    assert fake.sop_uids() == sop_uids(study)


def test_a_directory_arrives(push, xnat_server, directory, study):
    push(directory(study))
    assert xnat_server.sop_uids() == sop_uids(study)


def test_no_name_of_a_file_is_sent_in_a_zip(push_fake, directory, monkeypatch):
    seen = []

    def read(name, content):
        seen.append(name)
        return read_instance(name, content)

    monkeypatch.setattr('tests.xnat.server.importer.read_instance', read)
    push_fake(directory({f'Zoe/{k}': v for k, v in make_study(1).items()}))
    assert seen == ['0000001.dcm', '0000002.dcm']


def test_nothing_is_archived_by_itself(push_fake, fake, visit):
    push_fake(visit)
    (one,) = uploads(fake)
    assert one.query['prevent_auto_commit'] == 'true'
    assert one.query['dest'] == '/prearchive/projects/P1'


def test_progress_comes_to_the_size_that_was_sent(push_fake, visit):
    seen = []
    report = push_fake.one(visit, progress=seen.append)
    assert sum(seen) == report.size > 0


@pytest.mark.parametrize(
    ('level', 'known'),
    [
        ('none', {}),
        ('anonymous', {'gender': 'female', 'yob': '1966'}),
        ('full', {'gender': 'female', 'dob': '1966-06-06'}),
    ],
)
def test_demographics_are_set_as_far_as_wanted(
    push_fake, fake, put_visit, level, known
):
    paths = put_visit(PatientSex='F', PatientBirthDate='19660606', PatientAge='042Y')
    report = push_fake.one(paths, demographics=level)
    (subject,) = fake.server.state.subjects.values()
    assert subject.demographics == known
    assert report.changed
    assert not push_fake.one(paths, demographics=level).changed


def test_demographics_are_added_to_a_session_that_is_there(push_fake, fake, put_visit):
    paths = put_visit(PatientSex='M')
    push_fake(paths)
    report = push_fake.one(paths, demographics='full')
    assert (report.changed, report.size) == (True, 0)


def test_demographics_that_differ_are_not_replaced(push_fake, fake, put_visit):
    push_fake(put_visit('old', make_study(PatientSex='M')), demographics='full')
    with pytest.raises(XnatConflictError, match='has another gender'):
        push_fake(put_visit('new', make_study(PatientSex='F')), demographics='full')
    (subject,) = fake.server.state.subjects.values()
    assert subject.demographics == {'gender': 'male'}


def test_subject_and_session_are_shared(push_fake, fake, visit):
    assert push_fake.one(visit, share_to=('P2',)).changed
    (subject,) = fake.server.state.subjects.values()
    (experiment,) = fake.server.state.experiments.values()
    assert set(subject.shared) == set(experiment.shared) == {'P2'}
    assert not push_fake.one(visit, share_to=('P2',)).changed


def test_a_session_that_is_there_is_shared_later(push_fake, visit):
    push_fake(visit)
    report = push_fake.one(visit, share_to=('P2',))
    assert (report.changed, report.size) == (True, 0)


@pytest.mark.parametrize('project', ['NoSuch', 'Closed', 'ReadOnly'])
def test_sharing_into_a_project_of_others_is_refused(push_fake, fake, visit, project):
    with pytest.raises(XnatError, match='cannot be shared into') as caught:
        push_fake(visit, share_to=(project,))
    # that would say that nothing was changed
    assert not isinstance(caught.value, PreconditionError)
    assert len(fake.sop_uids()) == 4


def test_a_subject_that_differs_in_capitals_is_not_mixed_up(push_fake, fake, visit):
    # XNAT archives into the first that fits without regard to these (XNAT-2865)
    fake.call('PUT', '/data/projects/P1/subjects/SUB1')
    with pytest.raises(XnatConflictError, match="'SUB1'"):
        push_fake(visit, subject='sub1')
    assert uploads(fake) == []
    push_fake(visit, subject='SUB1')
    assert [one.label for one in fake.server.state.subjects.values()] == ['SUB1']


def test_a_subject_that_is_known_by_its_label_gets_its_session(push_fake, fake, visit):
    fake.call('PUT', '/data/projects/P1/subjects/Sub1')
    push_fake(visit)
    assert len(fake.server.state.subjects) == 1


def test_an_image_that_the_source_cannot_give_is_an_error(push_fake, fake, visit):
    class Shrinks(TarballSource):
        def _blocks(self, fd, offset, size):
            raise TarballError('was cut while it was sent')
            yield

    with pytest.raises(TarballError):
        push_fake(Shrinks(visit))
    assert fake.server.state.experiments == {}
    push_fake(visit)
    assert len(fake.sop_uids()) == 4
    assert fake.prearchive() == []


def test_an_answer_that_makes_no_sense_is_an_error(push_fake, fake, visit):
    fake.server.faults.answer(200, path='/services/import')
    with pytest.raises(XnatError, match=r'has made .* sessions'):
        push_fake(visit)


def test_without_a_server_there_is_no_push(push_fake, fake, visit):
    fake.url = fake.url.rpartition(':')[0] + ':9'
    with pytest.raises(XnatConnectionError):
        push_fake(visit)
