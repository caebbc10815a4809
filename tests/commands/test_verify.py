"""``icf-verify`` from the shell and from Python"""

from __future__ import annotations

import json

import datalad.api as dl
import pytest

from datalad_icf.dicom import archive_visit, deposit_metadata
from datalad_icf.store import Visit, VisitPaths, draft_file


@pytest.fixture
def study(paths, visit_files):
    """Three visits, with metadata"""
    for visit_id in ('V01', 'V02', 'V03'):
        one = VisitPaths(paths.store_dir, Visit('S1', visit_id))
        archive_visit(one, visit_files)
        deposit_metadata(one)
    return paths.study_dir


def verify(study, visit_id='*', **kwargs):
    return dl.icf_verify(
        id=('S1', visit_id),
        store_dir=study.parent,
        result_renderer='disabled',
        on_failure='ignore',
        **kwargs,
    )


def test_there_is_one_record_for_each_whole_visit(study):
    records = verify(study)
    assert [r['visit_id'] for r in records] == ['V01', 'V02', 'V03']
    assert {r['status'] for r in records} == {'ok'}
    assert records[0]['parts']['metadata']
    assert json.dumps(records[0]['size'])


def test_a_finding_is_a_record_with_code_and_the_others_are_looked_at(study):
    (study / 'V02_dicom.tar').unlink()
    records = verify(study)
    assert [(r['visit_id'], r['status'], r.get('code')) for r in records] == [
        ('V01', 'ok', None),
        ('V02', 'error', 'tarball-missing'),
        ('V03', 'ok', None),
    ]
    assert records[1]['path'] == str(study / 'V02_dicom.tar')


def test_the_exit_code_tells_damage(study, run_datalad):
    options = ('icf-verify', '--id', 'S1', '*', '-o', study.parent)
    assert run_datalad(*options).code == 0
    (study / 'V02_dicom.tar.md5sum').write_text('rubbish')
    done = run_datalad(*options)
    assert done.code == 1
    assert [r.get('code') for r in done.records] == [None, 'md5sum-damaged', None]


def test_a_visit_of_which_nothing_is_there_is_impossible(study):
    (record,) = verify(study, 'V09')
    assert record['status'] == 'impossible'
    assert 'V09' in record['message']


def test_a_fast_look_says_so(study):
    (record,) = verify(study, 'V01', fast=True)
    assert (record['status'], record['fast']) == ('ok', True)
    assert 'without reading' in record['message']


def test_an_export_is_compared(study, visit_files):
    (visit_files / 'late.txt').write_text('late')
    (record,) = verify(study, 'V01', images_from=visit_files)
    assert record['code'] == 'image-not-archived'


def test_a_store_that_cannot_be_written_to_is_verified(study):
    for path in (study, study.parent):
        path.chmod(0o555)
    try:
        assert {r['status'] for r in verify(study)} == {'ok'}
    finally:
        for path in (study.parent, study):
            path.chmod(0o755)


def test_an_export_is_not_compared_with_many_visits(study, visit_files):
    (record,) = verify(study, 'V*', images_from=visit_files)
    assert (record['status'], record.get('code')) == ('impossible', None)
    assert "'V*' is a pattern" in record['message']


def test_a_visit_that_is_being_deposited_is_impossible_and_no_error(study):
    tarball = study / 'V02_dicom.tar'
    tarball.unlink()
    with draft_file(tarball):
        records = verify(study)
    assert [(r['status'], r.get('code')) for r in records] == [
        ('ok', None),
        ('impossible', 'visit-busy'),
        ('ok', None),
    ]


def test_people_see_at_the_end_which_visits_are_not_whole(study, run, run_datalad):
    options = ('icf-verify', '--id', 'S1', '*', '-o', study.parent)
    (study / 'V02_dicom.tar.md5sum').write_text('rubbish')
    lines = run('datalad', *options).stdout.splitlines()
    assert lines[-2:] == [
        '3 visits: 2 ok, 1 with findings',
        '  S1/V02: md5sum-damaged',
    ]
    assert '3 visits' not in run_datalad(*options).stdout
