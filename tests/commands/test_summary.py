"""What is said of many visits at the end"""

from __future__ import annotations

from typing import Any

import datalad.api as dl
import pytest

from datalad_icf.commands.summary import summarise
from datalad_icf.store import Visit, VisitPaths


def record(visit_id: str, status: str = 'ok', **fields: Any) -> dict[str, Any]:
    return {'study_id': 'S1', 'visit_id': visit_id, 'status': status, **fields}


def test_one_visit_needs_no_summary():
    assert not list(summarise([record('V01'), record('V01', 'error', message='x')]))


def test_records_without_a_visit_have_no_summary():
    assert not list(summarise([{'status': 'ok', 'path': '/a'}] * 3))


def test_a_visit_counts_once_and_as_what_is_worst():
    records = [
        record('V01'),
        record('V02', 'error', code='md5sum-missing', message='long'),
        record('V02', 'error', code='dataset-damaged', message='long'),
        record('V02', 'impossible', code='not-verified', message='long'),
        record('V03', 'impossible', code='visit-busy', message='long'),
        record('V04', 'notneeded'),
        record('V05', 'error', message='no room\nand more of git'),
    ]
    assert list(summarise(records)) == [
        '5 visits: 1 ok, 1 notneeded, 1 not verified, 1 failed, 1 with findings',
        '  S1/V02: md5sum-missing, dataset-damaged, not-verified',
        '  S1/V03: visit-busy',
        '  S1/V05: no room',
    ]


def test_what_is_wrong_with_the_study_is_listed_and_is_no_visit():
    records = [
        record('*', 'error', code='catalog-damaged', message='long'),
        record('V01'),
        record('V02'),
    ]
    assert list(summarise(records)) == ['2 visits: 2 ok', '  S1: catalog-damaged']


def test_not_more_than_some_are_listed():
    records = [record(f'V{i}', 'error', message='x') for i in range(25)]
    lines = list(summarise(records))
    assert len(lines) == 22
    assert lines[-1] == '  and 5 more'


def test_visits_are_not_counted_where_records_were_filtered():
    records = [record(f'V{i}', 'error', message='x') for i in range(2)]
    assert list(summarise(records, is_whole=False)) == ['  S1/V0: x', '  S1/V1: x']


@pytest.fixture
def study(paths, visit_files):
    """Two visits, and a third whose tarball is damaged"""
    for visit_id in ('V01', 'V02', 'V03'):
        dl.icf_archive(
            visit_files,
            id=('S1', visit_id),
            store_dir=paths.store_dir,
            result_renderer='disabled',
        )
    VisitPaths(paths.store_dir, Visit('S1', 'V03')).tarball.write_bytes(b'no tarball')
    return paths.store_dir


def test_a_command_for_many_visits_says_which_failed(study, run):
    options = ('icf-deposit-metadata', '--id', 'S1', '*', '-o', study)
    lines = run('datalad', *options).stdout.splitlines()
    assert lines[-2] == '3 visits: 2 ok, 1 failed'
    assert lines[-1].startswith('  S1/V03: ')
    assert 'V03_dicom.tar is cut' in lines[-1]
