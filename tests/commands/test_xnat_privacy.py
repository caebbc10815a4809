"""Nothing that names a patient, and no password, leaves the images and the login"""

from __future__ import annotations

import logging

import pytest

from tests.xnat.access import PASSWORD
from tests.xnat.server.uploads import as_zip, make_study

PRIVATE = {
    'PatientName': 'Zebedee^Zoe',
    'PatientID': 'ZBD-0815',
    'PatientBirthDate': '19660606',
    'PatientAddress': 'Waldweg 3',
    'PatientSex': 'F',
    'PatientAge': '042Y',
}
SECRETS = ('Zebedee', 'ZBD-0815', '19660606', '1966-06-06', 'Waldweg', '042Y', PASSWORD)


@pytest.fixture
def files(image):
    """Images of a patient, with a fault of each kind"""
    return {
        **make_study(**PRIVATE),
        'odd': image(**{**PRIVATE, 'StudyInstanceUID': '', 'SOPInstanceUID': '1.2'}),
        'cut': image(**PRIVATE)[:700],
        'charset': image(**PRIVATE, SOPInstanceUID='1.3', SeriesNumber=9).replace(
            b'ISO_IR 100', b'ISO_IR 192'
        ),
        'birth': image(
            **{**PRIVATE, 'PatientBirthDate': b'19660606-19660606'},
            SOPInstanceUID='1.4',
            SeriesNumber=9,
        ),
    }


@pytest.fixture
def told(caplog):
    """All that loggers of DataLad were told, after the records were made"""

    def told(records):
        lines = [one for one in caplog.records if one.name.startswith('datalad')]
        assert lines
        texts = [repr(records)]
        texts += [f'{one.getMessage()} {one.args!r} {one.exc_text}' for one in lines]
        return '\n'.join(texts)

    with caplog.at_level(logging.DEBUG):
        yield told


def no_secret_in(text):
    return [secret for secret in SECRETS if secret in text] == []


def test_no_record_and_no_log_of_a_push_names_a_patient(
    push, put_visit, fake, files, told
):
    put_visit(files=files)
    records = push(demographics='full')
    records += push(demographics='anonymous', existing='replace')
    fake.server.state.subjects['XNAT_S00001'].demographics['dob'] = '1977-07-07'
    records += push(demographics='full')
    records += push(session='other', subject='Other', dry_run=True)
    assert {one['status'] for one in records} >= {'ok', 'error', 'impossible'}
    assert no_secret_in(told(records))


@pytest.mark.parametrize('template', ['{PatientID}', 'toolkit'])
def test_no_failure_of_a_label_names_a_patient(push, put_visit, told, template):
    put_visit(files=make_study(**{**PRIVATE, 'StudyTime': '', 'PatientID': ''}))
    records = push(session=template)
    assert records[0]['status'] == 'impossible'
    assert no_secret_in(told(records))


def test_no_failure_of_the_server_names_a_patient(push, put_visit, fake, files, told):
    put_visit(files=files)
    fake.server.faults.refuse_archive('no such scanner')
    records = push()
    for fault in (503, 400, 500):
        fake.server.faults.answer(fault, path='/services/', times=9)
        records += push(session='other')
        fake.server.faults.clear()
    assert {one['status'] for one in records} <= {'error', 'impossible'}
    assert no_secret_in(told(records))


def test_no_record_and_no_log_about_demographics_has_values(xnat, fake, told):
    fake.upload(as_zip(make_study(**PRIVATE)), dest='/archive/projects/P1')
    records = xnat('demographics', project='P1', dry_run=True)
    records += xnat('demographics', project='P1')
    records += xnat('demographics', project='P1')
    (subject,) = fake.server.state.subjects.values()
    subject.demographics['gender'] = 'male'
    records += xnat('demographics', project='P1')
    assert [one['status'] for one in records] == ['ok', 'ok', 'notneeded', 'error']
    assert no_secret_in(told(records))


def test_no_output_of_a_command_names_a_patient(
    run_datalad, put_visit, fake, files, xnat_env, tmp_path
):
    put_visit(files=files)
    for argv in (
        [
            'icf-xnat-push',
            '--id',
            'S1',
            'V01',
            '-o',
            'store',
            '--project',
            'P1',
            '--demographics',
            'full',
        ],
        ['icf-xnat-demographics', '--project', 'P1', '--anonymous', '--force'],
    ):
        done = run_datalad('-l', 'debug', *argv, env=xnat_env)
        assert done.records[0]['status'] == 'ok'
        # the log is there
        assert 'DEBUG' in done.stderr
        assert no_secret_in(done.stdout + done.stderr)
