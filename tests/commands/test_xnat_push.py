"""icf-xnat-push: records, options, and several visits"""

from __future__ import annotations

import threading

import pytest
from datalad.support.exceptions import IncompleteResultsError

from demo.phantom import LOCALIZER
from tests.xnat.server.faults import ARCHIVE, IMPORT
from tests.xnat.server.importer import import_archive
from tests.xnat.server.uploads import as_zip, make_study, write_files


@pytest.fixture
def three(put_visit):
    """Visits V01 to V03, each another study"""
    return [put_visit(visit) for visit in ('V01', 'V02', 'V03')]


def statuses(records):
    return sorted(one['status'] for one in records)


def test_a_visit_is_pushed_with_a_record_that_says_all(push, fake, put_visit):
    paths = put_visit()
    (record,) = push()
    assert record['status'] == 'ok'
    known = {
        'action': 'icf_xnat_push',
        'path': str(paths.tarball),
        'type': 'file',
        'study_id': 'S1',
        'visit_id': 'V01',
        'project': 'P1',
        'subject': 'V01',
        'session': 'S1_V01',
        'url': f'{fake.url}/data/projects/P1/experiments/S1_V01',
        'instances': 4,
        'present': 0,
        'sent': 4,
        'extra': 0,
        'excluded': 0,
        'ignored': 0,
        'size': paths.tarball.stat().st_size,
        'dry_run': False,
        'warnings': [],
        'message': '4 images in P1/V01/S1_V01',
    }
    assert {k: record[k] for k in known} == known
    assert record['study_instance_uid'].startswith('2.25.')
    assert fake.call('GET', record['url'].removeprefix(fake.url)).ok


def test_a_visit_that_is_there_is_not_needed(push, put_visit):
    put_visit()
    push()
    (record,) = push()
    assert (record['status'], record['sent'], record['present']) == ('notneeded', 0, 4)
    assert record['message'] == 'there already: 4 images in P1/V01/S1_V01'


def test_what_was_added_is_told(push, put_visit):
    put_visit()
    push(exclude=[LOCALIZER.description])
    (record,) = push()
    assert (record['present'], record['sent']) == (2, 2)
    assert record['message'].endswith('of which 2 were sent now')


def test_the_project_is_the_study_unless_it_is_given(push, put_visit, fake):
    put_visit()
    fake.server.add_project('S1', tester='owner')
    (record,) = push(project=None)
    assert (record['status'], record['project']) == ('ok', 'S1')


@pytest.mark.parametrize(
    ('labels', 'subject', 'session'),
    [
        ({}, 'V01', 'S1_V01'),
        ({'subject': 'A b', 'session': 'c.d'}, 'A_b', 'c_d'),
        ({'session': 'toolkit'}, 'V01', 'V01_20240229T101500_MR'),
        ({'subject': '{PatientID}'}, 'PHANTOM-V01', 'S1_V01'),
        (
            {'subject': '{study}-{visit}', 'session': '{subject}_x'},
            'S1-V01',
            'S1-V01_x',
        ),
    ],
)
def test_labels_are_templates(push, put_visit, labels, subject, session):
    put_visit()
    (record,) = push(**labels)
    assert (record['status'], record['subject']) == ('ok', subject)
    assert record['session'] == session


def test_all_visits_of_a_pattern_are_pushed(push, three, fake):
    records = push('*')
    assert statuses(records) == ['ok'] * 3
    assert {one['visit_id'] for one in records} == {'V01', 'V02', 'V03'}
    assert len(fake.server.state.experiments) == 3
    assert statuses(push('V0[12]')) == ['notneeded'] * 2


def test_one_visit_that_fails_does_not_stop_the_others(push, three, fake):
    tarball = three[1].tarball
    tarball.write_bytes(tarball.read_bytes()[:3000])
    records = {one['visit_id']: one for one in push('*')}
    assert {k: v['status'] for k, v in records.items()} == {
        'V01': 'ok',
        'V02': 'impossible',
        'V03': 'ok',
    }
    assert 'V02_dicom.tar' in records['V02']['message']
    assert len(fake.server.state.experiments) == 2


def test_several_visits_are_sent_at_once(push, three, monkeypatch):
    meet = threading.Barrier(2, timeout=20)

    def both(*args):
        meet.wait()
        return import_archive(*args)

    monkeypatch.setattr('tests.xnat.server.rest_import.import_archive', both)
    assert statuses(push('V0[12]', jobs=2)) == ['ok'] * 2
    assert not meet.broken


@pytest.mark.parametrize('jobs', [1, 2, 8])
def test_any_number_of_jobs_comes_to_the_same(push, three, fake, jobs):
    assert statuses(push('*', jobs=jobs)) == ['ok'] * 3
    assert len(fake.server.state.experiments) == len(fake.server.state.subjects) == 3
    assert fake.server.state.rows == []
    assert fake.server.accounts.open_sessions == 0


@pytest.mark.parametrize('jobs', [1, 2])
def test_two_visits_do_not_get_into_one_session(push, three, fake, jobs):
    records = push('V0[12]', session='same', subject='same', jobs=jobs)
    assert statuses(records) == ['error', 'ok']
    (bad,) = [one for one in records if one['status'] == 'error']
    assert 'make labels differ' in bad['message']
    (experiment,) = fake.server.state.experiments.values()
    assert len(experiment.sop_uids) == 4
    assert fake.server.state.rows == []


def test_a_label_of_another_study_is_an_error(push, three, fake):
    push('V01', session='same', subject='same')
    (record,) = push('V02', session='same', subject='same')
    assert record['status'] == 'error'
    assert 'is another DICOM study' in record['message']


def test_a_dry_run_tells_and_sends_nothing(push, three, fake):
    push('V01')
    fake.server.forget()
    records = {one['visit_id']: one for one in push('*', dry_run=True)}
    assert {k: v['status'] for k, v in records.items()} == {
        'V01': 'notneeded',
        'V02': 'ok',
        'V03': 'ok',
    }
    assert records['V02']['message'].startswith('would send 4 of 4 images to P1/V02/')
    assert records['V02']['dry_run'] is True
    assert {one.method for one in fake.server.seen()} <= {'GET', 'DELETE'}
    assert {one.path for one in fake.server.seen(method='DELETE')} == {'/data/JSESSION'}
    assert fake.server.uploaded == 0


@pytest.mark.parametrize('to', ['archive', 'prearchive'])
def test_the_prearchive_may_be_the_end(push, put_visit, fake, to):
    put_visit()
    (record,) = push(to=to)
    assert record['status'] == 'ok'
    assert f'/data/{to}' in record['url'] or to == 'archive'
    assert (len(fake.server.state.rows), len(fake.server.state.experiments)) == (
        (0, 1) if to == 'archive' else (1, 0)
    )
    assert fake.call('GET', record['url'].removeprefix(fake.url)).ok
    (again,) = push(to=to)
    assert again['status'] == 'notneeded'


@pytest.mark.parametrize(
    ('existing', 'status'), [('skip', 'error'), ('append', 'ok'), ('replace', 'ok')]
)
def test_a_session_that_is_there_in_part_is_met_as_wanted(
    push, put_visit, fake, existing, status
):
    put_visit()
    push(exclude=[LOCALIZER.description])
    (record,) = push(existing=existing)
    assert (record['status'], record.get('sent', 0)) == (
        status,
        {'skip': 0, 'append': 2, 'replace': 4}[existing],
    )
    assert len(fake.sop_uids('S1_V01')) == (2 if existing == 'skip' else 4)


def test_replace_always_sends_all(push, put_visit):
    put_visit()
    push()
    (record,) = push(existing='replace')
    assert (record['status'], record['sent'], record['present']) == ('ok', 4, 4)


def test_exclusions_come_from_options_and_from_a_file(push, put_visit, fake, tmp_path):
    put_visit()
    config = tmp_path / 'Exclusions.json'
    config.write_text('{"Exclude": ["LOCAL"]}')
    (record,) = push(exclude_config=config)
    assert (record['excluded'], record['instances']) == (2, 2)
    (record,) = push(exclude_config=config, exclude=['anat*'], session='other')
    assert (record['status'], record['excluded']) == ('notneeded', 4)
    assert record['message'] == 'all 4 images are excluded'
    assert len(fake.server.state.experiments) == 1


@pytest.mark.parametrize(
    ('level', 'known'),
    [
        ('none', {}),
        ('anonymous', {'gender': 'female', 'yob': '1966'}),
        ('full', {'gender': 'female', 'dob': '1966-06-06'}),
    ],
)
def test_demographics_are_set_as_wanted(push, put_visit, fake, level, known):
    put_visit(PatientSex='F', PatientBirthDate='19660606')
    (record,) = push(demographics=level)
    assert record['status'] == 'ok'
    (subject,) = fake.server.state.subjects.values()
    assert subject.demographics == known


def test_sessions_are_shared(push, put_visit, fake):
    put_visit()
    (record,) = push(share_to='P2')
    assert record['status'] == 'ok'
    (experiment,) = fake.server.state.experiments.values()
    assert list(experiment.shared) == ['P2']
    assert statuses(push(share_to=['P2'])) == ['notneeded']


def test_what_prearchive_leaves_out_is_done_after_it_was_archived(
    push, xnat, put_visit, fake
):
    put_visit()
    push(to='prearchive')
    xnat('archive', project='P1')
    (record,) = push(demographics='full', share_to=['P2'])
    assert (record['status'], record['sent']) == ('ok', 0)
    (subject,) = fake.server.state.subjects.values()
    assert subject.demographics
    assert list(subject.shared) == ['P2']


def test_a_project_to_share_into_that_is_not_there_stops_it_all(push, put_visit, fake):
    put_visit()
    (record,) = push(share_to=['P2', 'NoSuch'])
    assert record['status'] == 'impossible'
    assert "has no project 'NoSuch'" in record['message']
    assert fake.server.uploaded == 0


@pytest.mark.parametrize('project', ['NoSuch', 'Closed'])
def test_a_project_that_is_not_there_is_told_once(push, three, fake, project):
    (record,) = push('*', project=project)
    assert record['status'] == 'impossible'
    assert f'has no project {project!r}' in record['message']
    assert fake.server.uploaded == 0


def test_a_project_where_one_may_only_read_gets_nothing(push, put_visit, fake):
    put_visit()
    (record,) = push(project='ReadOnly')
    assert record['status'] == 'impossible'
    assert 'may not create sessions' in record['message']
    assert fake.server.uploaded == 0


def test_several_studies_have_a_record_each_and_one_warning(push, put_visit):
    other = make_study(visit='V02')
    put_visit(files={**make_study(), **{f'b/{k}': v for k, v in other.items()}})
    records = push()
    assert {one['session'] for one in records} == {'S1_V01', 'S1_V01_2'}
    (warning,) = [text for one in records for text in one['warnings']]
    assert 'it has 2 DICOM studies' in warning


def test_files_without_images_are_told(push, put_visit):
    put_visit(files={**make_study(), 'notes.txt': b'no image'})
    (record,) = push()
    assert (record['status'], record['ignored']) == ('ok', 1)
    assert record['warnings'] == []


def test_images_that_xnat_would_not_take_are_an_error_besides(push, put_visit, image):
    put_visit(files={**make_study(), 'odd': image(StudyInstanceUID='')})
    records = push()
    assert statuses(records) == ['impossible', 'ok']
    assert 'odd: it has no (0020,000D)' in records[-1]['message']


def test_what_the_server_has_besides_is_told(push, put_visit):
    put_visit()
    push()
    (record,) = push(exclude=[LOCALIZER.description])
    assert (record['status'], record['extra']) == ('notneeded', 2)
    assert record['warnings'] == ['session S1_V01 has 2 images more']


def test_a_tree_of_subjects_and_sessions_is_pushed(push, fake, tmp_path):
    for visit in ('A/1', 'A/2', 'B/1'):
        write_files(tmp_path / 'tree' / visit, make_study(visit=visit))
    records = push(source=tmp_path / 'tree')
    assert statuses(records) == ['ok'] * 3
    places = {(one['subject'], one['session']) for one in records}
    assert places == {('A', 'A_1'), ('A', 'A_2'), ('B', 'B_1')}
    assert {one['type'] for one in records} == {'directory'}
    assert 'visit_id' not in records[0]
    assert statuses(push(source=tmp_path / 'tree')) == ['notneeded'] * 3


def test_zips_are_pushed_as_the_toolkit_does(push, fake, tmp_path):
    for name in ('007', '008'):
        content = as_zip(make_study(visit=name), deflate=True)
        write_files(tmp_path / 'zips', {f'{name}.zip': content})
    records = push(source=tmp_path / 'zips', session='toolkit')
    assert statuses(records) == ['ok'] * 2
    places = {(one['subject'], one['session']) for one in records}
    assert places == {(n, f'{n}_20240229T101500_MR') for n in ('007', '008')}


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        ({'id': None}, 'either --id or --source'),
        ({'source': '.', 'id': ('S1', 'V01')}, 'either --id or --source'),
        ({'source': '.', 'project': None}, '--project has to be given'),
        ({'session': '{PatientName}'}, 'nothing that a label can have'),
        # what only the other kind of source has, once and not for each visit
        ({'session': '{session}'}, '{session} is nothing that a label can have'),
        ({'subject': '{subject}'}, '{subject} is nothing that a label can have'),
        (
            {'source': '.', 'id': None, 'project': 'P1', 'session': '{visit}'},
            '{visit} is nothing that a label can have',
        ),
        ({'to': 'prearchive', 'demographics': 'full'}, 'not for --to prearchive'),
        ({'to': 'prearchive', 'share_to': ['P2']}, 'not for --to prearchive'),
        ({'exclude_config': 'no-such.json'}, 'cannot read'),
        ({'id': ('S1', 'V77')}, 'V77_dicom.tar'),
        ({'id': ('S1', 'X*')}, 'X*'),
    ],
)
def test_what_cannot_be_done_is_refused_before_anybody_is_asked(
    push, put_visit, fake, kwargs, message, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    put_visit()
    (record,) = push(**kwargs)
    assert record['status'] == 'impossible'
    assert message in record['message']
    assert fake.server.uploaded == 0


def test_a_failure_is_an_exception_in_python(push, put_visit):
    put_visit()
    with pytest.raises(IncompleteResultsError):
        push(project='NoSuch', on_failure='stop')


def test_a_password_that_changes_in_mid_run_is_tried_once(push, three, fake):
    def change(*args):
        fake.server.add_user(fake.user, 'another')
        fake.server.accounts.expire_all()
        return import_archive(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('tests.xnat.server.rest_import.import_archive', change)
        records = push('*')
    assert statuses(records) == ['error'] + ['impossible'] * 2
    assert fake.server.accounts.failed[fake.user] == 1
    fake.server.add_user(fake.user, fake.password)
    assert statuses(push('*')) == ['ok'] * 3
    assert statuses(push('*')) == ['notneeded'] * 3


def test_a_failed_run_is_simply_run_again(push, three, fake):
    fake.server.faults.answer(503, path=IMPORT, times=4)
    fake.server.faults.refuse_archive('no such scanner')
    assert statuses(push('*')) == ['error', 'error', 'ok']
    assert statuses(push('*')) == ['notneeded', 'ok', 'ok']
    fake.server.forget()
    assert statuses(push('*')) == ['notneeded'] * 3
    assert fake.server.count(IMPORT) == fake.server.count(ARCHIVE) == 0
