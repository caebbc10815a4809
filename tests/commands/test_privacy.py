"""Nothing that names a patient leaves the DICOM files"""

from __future__ import annotations

import logging

import pytest

SECRETS = ('Zebedee', 'ZBD-0815', '19660606', 'Waldweg')


@pytest.fixture
def patients(export, image):
    """Files of two patients, with a fault of each kind"""
    private = {
        'PatientName': 'Zebedee^Zoe',
        'PatientID': 'ZBD-0815',
        'PatientBirthDate': '19660606',
        'PatientAddress': 'Waldweg 3',
    }
    files = {
        'sound': image(**private),
        'other': image(**{**private, 'PatientID': 'ZBD-0815-2'}),
        'date': image(StudyDate='20201350', **private),
        'time': image(without=['StudyTime'], **private),
        'number': image(SeriesNumber=b'abc', **private),
        'charset': image(SeriesDescription='Übung', **private).replace(
            b'ISO_IR 100', b'ISO_IR 192'
        ),
        'long': image(**{**private, 'PatientName': b'Zebedee^' * 30}),
        'birth': image(**{**private, 'PatientBirthDate': b'19660606-19660606'}),
        'cut': image(**private)[:700],
        'big': image('1.2.840.10008.1.2.2', **private),
        'deflated': image('1.2.840.10008.1.2.1.99', **private),
    }
    for name, content in files.items():
        (export / name).write_bytes(content)


@pytest.mark.parametrize('level', ['debug', 'info'])
def test_no_output_of_a_command_names_a_patient(run_datalad, patients, paths, level):
    for argv in (
        ['icf-archive', '--id', 'S1', 'V01', '-o', 'store', 'export'],
        ['icf-deposit-metadata', '--id', 'S1', 'V01', '-o', 'store'],
        ['icf-deposit-metadata', '--id', 'S1', 'V01', '-o', 'store'],
    ):
        done = run_datalad(*argv, env={'DATALAD_LOG_LEVEL': level})
        assert done.code == 0
        for secret in SECRETS:
            assert secret not in done.stdout
            assert secret not in done.stderr
    for path in paths.study_dir.glob('*.json'):
        for secret in SECRETS:
            assert secret not in path.read_text()


def test_no_record_and_no_log_names_a_patient(
    archive, describe, patients, export, caplog
):
    with caplog.at_level(logging.DEBUG):
        records = [*archive(export), *describe()]
    assert [r['status'] for r in records] == ['ok', 'ok']
    assert all(r['warnings'] for r in records)
    for secret in SECRETS:
        assert secret not in repr(records)
        assert secret not in caplog.text


def test_no_failure_names_a_patient(archive, patients, export, caplog):
    archive(export)
    (export / 'sound').unlink()
    with caplog.at_level(logging.DEBUG):
        (record,) = archive(export)
    assert record['status'] == 'impossible'
    for secret in SECRETS:
        assert secret not in repr(record) + caplog.text
