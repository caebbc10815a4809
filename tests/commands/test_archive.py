from __future__ import annotations

import logging
import os
import tarfile
from hashlib import md5

import pytest
from datalad_next.constraints.exceptions import CommandParametrizationError

from datalad_icf.store import Visit

TIME = 1709201700


def test_the_record_of_a_new_archive_has_all_fields(archive, paths, visit_files):
    (record,) = archive(visit_files)
    content = paths.tarball.read_bytes()
    assert record.pop('message')
    assert record == {
        'action': 'icf_archive',
        'status': 'ok',
        'path': str(paths.tarball),
        'type': 'file',
        'study_id': 'S1',
        'visit_id': 'V01',
        'size': len(content),
        'md5': md5(content, usedforsecurity=False).hexdigest(),
        'files': 6,
        'instances': 5,
        'warnings': [],
    }


def test_an_equal_archive_is_not_needed(archive, visit_files):
    (first,) = archive(visit_files)
    (second,) = archive(visit_files)
    assert second['status'] == 'notneeded'
    assert second['message'] == f'there already: {first["message"]}'
    assert {**second, 'status': 'ok', 'message': first['message']} == first


def test_a_lost_digest_is_restored(archive, paths, visit_files):
    archive(visit_files)
    paths.md5sum.unlink()
    (record,) = archive(visit_files)
    assert record['restored'] == ['V01_dicom.tar.md5sum']
    assert 'V01_dicom.tar.md5sum' in record['message']
    assert paths.md5sum.exists()


def test_a_different_archive_is_impossible(archive, visit_files):
    archive(visit_files)
    (visit_files / 'late').write_bytes(b'late')
    (record,) = archive(visit_files)
    assert record['status'] == 'impossible'
    assert 'never overwritten' in record['message']
    assert record['exception'].name == 'ConflictError'


def test_an_odd_file_is_a_warning_in_record_and_log(
    archive, visit_files, image, caplog
):
    (visit_files / 'odd').write_bytes(image(StudyDate='20201350'))
    with caplog.at_level(logging.WARNING, 'datalad.icf'):
        (record,) = archive(visit_files)
    (warning,) = record['warnings']
    assert "StudyDate is '20201350'" in warning
    assert [r.getMessage() for r in caplog.records] == [f'S1/V01: {warning}']


def test_a_symlink_is_impossible(archive, paths, visit_files):
    (visit_files / 'link').symlink_to('scan-notes.txt')
    (record,) = archive(visit_files)
    assert record['status'] == 'impossible'
    assert str(visit_files / 'link') in record['message']
    assert not paths.store_dir.exists()


def test_a_symlink_is_followed_on_request(archive, visit_files):
    (visit_files / 'link').symlink_to('scan-notes.txt')
    (record,) = archive(visit_files, follow_symlinks=True)
    assert (record['status'], record['files']) == ('ok', 7)


def test_a_directory_that_is_missing_is_impossible(archive, tmp_path):
    (record,) = archive(tmp_path / 'nowhere')
    assert record['status'] == 'impossible'


def test_a_failing_disk_is_an_error(archive, visit_files, monkeypatch):
    def fsync(fd):
        raise OSError(5, 'Input/output error')

    monkeypatch.setattr(os, 'fsync', fsync)
    (record,) = archive(visit_files)
    assert record['status'] == 'error'
    assert 'Input/output error' in record['message']


@pytest.mark.parametrize(
    'identifier',
    [
        ('..', 'V01'),
        ('../../x', 'V01'),
        ('/abs', 'V01'),
        ('.', 'V01'),
        ('', 'V01'),
        ('S1', 'x/y'),
        ('S1', '..'),
        ('S1', ''),
        ('S1', '-x'),
        ('S1', 'a\nb'),
        ('S1', '{0}/'),
        ('S1', '*'),
        ('S1',),
        ('S1', 'V01', 'x'),
        'S1',
        ('S1', 1),
    ],
    ids=repr,
)
def test_a_bad_identifier_is_refused_before_anything_is_done(
    archive, paths, visit_files, identifier
):
    with pytest.raises(CommandParametrizationError) as caught:
        archive(visit_files, id=identifier)
    assert 'identifier' in str(caught.value)
    assert not paths.store_dir.exists()


def test_a_visit_may_be_given_as_such(archive, visit_files):
    (record,) = archive(visit_files, id=Visit('S2', 'V9'))
    assert (record['study_id'], record['visit_id']) == ('S2', 'V9')


def test_relative_paths_are_those_of_the_current_directory(
    archive, visit_files, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (record,) = archive(visit_files.name, store_dir='here')
    assert record['path'] == str(tmp_path / 'here' / 'S1' / 'V01_dicom.tar')


def test_the_store_is_the_current_directory_by_default(
    archive, visit_files, tmp_path, monkeypatch
):
    current = tmp_path / 'current'
    current.mkdir()
    monkeypatch.chdir(current)
    (record,) = archive(visit_files, store_dir=None)
    assert record['path'] == str(current / 'S1' / 'V01_dicom.tar')


def test_the_store_is_the_configured_one(archive, visit_files, tmp_path, configure):
    configure('datalad.icf.store-dir', str(tmp_path / 'configured'))
    (record,) = archive(visit_files, store_dir=None)
    assert record['path'] == str(tmp_path / 'configured' / 'S1' / 'V01_dicom.tar')


def test_an_option_has_precedence_over_configuration(
    archive, visit_files, tmp_path, configure
):
    configure('datalad.icf.store-dir', str(tmp_path / 'configured'))
    (record,) = archive(visit_files, store_dir=tmp_path / 'given')
    assert record['path'] == str(tmp_path / 'given' / 'S1' / 'V01_dicom.tar')


def time_of(record):
    with tarfile.open(record['path']) as tar:
        return {m.mtime for m in tar}


def test_times_are_those_of_utc_by_default(archive, visit_files):
    assert time_of(archive(visit_files)[0]) == {TIME}


@pytest.mark.parametrize('zone', ['UTC', 'utc', 'Z', 'Etc/UTC'])
def test_utc_has_several_names(archive, visit_files, zone):
    assert time_of(archive(visit_files, timezone=zone)[0]) == {TIME}


def test_times_are_those_of_a_given_zone(archive, visit_files):
    assert time_of(archive(visit_files, timezone='Europe/Berlin')[0]) == {TIME - 3600}


def test_times_are_those_of_the_configured_zone(archive, visit_files, configure):
    configure('datalad.icf.timezone', 'Asia/Tokyo')
    assert time_of(archive(visit_files)[0]) == {TIME - 9 * 3600}


def test_a_given_zone_has_precedence_over_configuration(
    archive, visit_files, configure
):
    configure('datalad.icf.timezone', 'Asia/Tokyo')
    assert time_of(archive(visit_files, timezone='UTC')[0]) == {TIME}


@pytest.mark.parametrize(
    'zone',
    ['Europe/Nowhere', 'Europe', '../../etc/passwd', '/etc/passwd', '{x}', 'a\0b'],
)
def test_what_is_no_zone_is_refused(archive, visit_files, zone):
    with pytest.raises(CommandParametrizationError) as caught:
        archive(visit_files, timezone=zone)
    assert 'is no time zone' in str(caught.value)


def test_the_shell_command_archives(run_datalad, paths, visit_files):
    done = run_datalad(
        'icf-archive', '--id', 'S1', 'V01', '-o', paths.store_dir, visit_files
    )
    assert (done.code, done.stderr) == (0, '')
    record = done.record
    assert (record['status'], record['instances']) == ('ok', 5)
    assert paths.tarball.exists()


@pytest.mark.parametrize('zone', ['America/New_York', 'Asia/Tokyo'])
def test_the_zone_of_the_machine_does_not_matter(
    run_datalad, archive, visit_files, tmp_path, zone
):
    done = run_datalad(
        *('icf-archive', '--id', 'S1', 'V01', '-o', 'other', visit_files),
        env={'TZ': zone},
    )
    assert done.record['md5'] == archive(visit_files)[0]['md5']


def test_a_refusal_ends_the_shell_command_with_1(run_datalad, paths, tmp_path):
    done = run_datalad('icf-archive', '--id', 'S1', 'V01', '-o', 'store', 'nowhere')
    assert done.code == 1
    assert done.record['status'] == 'impossible'
    assert 'nowhere' in done.record['message']
    assert 'Traceback' not in done.stderr
    assert not paths.store_dir.exists()


@pytest.mark.parametrize(
    ('argv', 'shown'),
    [
        (['--id', '..', 'V01', 'x'], 'identifier'),
        (['--id', 'S1', 'x'], 'expected 2 arguments|required'),
        (['x'], '--id'),
        (['--id', 'S1', 'V01'], 'DIR'),
        (['--id', 'S1', 'V01', '--timezone', 'Nowhere', 'x'], 'no time zone'),
    ],
)
def test_a_wrong_command_line_is_told_without_a_traceback(run_datalad, argv, shown):
    done = run_datalad('icf-archive', *argv)
    assert done.code != 0
    assert any(part in done.stderr for part in shown.split('|'))
    assert 'Traceback' not in done.stderr


def test_people_get_one_line(run, datalad_argv, paths, visit_files):
    argv = [*datalad_argv[:-2], 'icf-archive', '--id', 'S1', 'V01', '-o', 'store']
    done = run(*argv, visit_files)
    (line,) = done.stdout.splitlines()
    assert line.startswith('icf_archive(ok)')
    assert '5 images in 6 files' in line
