"""What cannot be looked at hides nothing else, and is not called damaged"""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from datalad_icf.dicom import archive_visit
from datalad_icf.errors import GitError
from datalad_icf.store import Visit, VisitPaths, draft_file
from datalad_icf.verify import NO_DAMAGE, StudyViews, dataset, verify_visit
from datalad_icf.verify.blame import guard
from tests.verify.conftest import flip

ALL = (
    'tarball',
    'md5sum',
    'tarball_metadata',
    'dicoms_metadata',
    'refs',
    'repo_export',
)


def replace(path, make):
    path.unlink()
    make(path)


@pytest.mark.parametrize('name', ALL)
@pytest.mark.parametrize('make', [Path.mkdir, os.mkfifo], ids=['directory', 'fifo'])
def test_what_is_no_file_is_found_and_the_rest_too(paths, find, name, make):
    other = paths.repo_export if name != 'repo_export' else paths.tarball
    flip(other, other.stat().st_size // 2)
    path = getattr(paths, name)
    replace(path, make)
    found = find()
    assert path in {finding.path for finding in found}
    assert other in {finding.path for finding in found}
    assert not NO_DAMAGE & {finding.code for finding in found}


@pytest.mark.parametrize('name', ['refs', 'repo_export'])
def test_a_directory_in_place_of_the_dataset_is_to_be_removed(paths, find, name):
    path = getattr(paths, name)
    replace(path, Path.mkdir)
    (finding,) = find()
    assert (finding.code, finding.path) == ('dataset-damaged', path)
    assert 'remove it' in finding.message
    assert '--existing replace' not in finding.message


def test_an_export_without_files_hides_no_finding(paths, tmp_path):
    paths.refs.write_text('')
    (tmp_path / 'empty').mkdir()
    report = verify_visit(paths, StudyViews(paths), export=tmp_path / 'empty')
    assert [finding.code for finding in report.findings] == [
        'dataset-differs',
        'not-verified',
    ]
    assert report.findings[1].path == tmp_path / 'empty'
    assert 'archive' not in report.findings[1].message


@pytest.mark.parametrize('code', [errno.ENOSPC, errno.EACCES])
def test_a_dataset_that_cannot_be_unpacked_is_not_called_damaged(
    find, monkeypatch, code
):
    def extract(*_args):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr('zipfile.ZipFile.extractall', extract)
    (finding,) = find()
    assert finding.code == 'not-verified'
    assert os.strerror(code) in finding.message
    assert 'replace' not in finding.message


def test_a_machine_without_room_for_temporary_files_is_told(find, monkeypatch):
    def refuse(**_kwargs):
        raise FileNotFoundError(errno.ENOENT, 'No usable temporary directory found')

    monkeypatch.setattr(dataset.tempfile, 'TemporaryDirectory', refuse)
    (finding,) = find()
    assert finding.code == 'not-verified'
    assert 'No usable temporary directory' in finding.message


def test_a_machine_without_git_is_told(find, monkeypatch, tmp_path):
    monkeypatch.setenv('PATH', str(tmp_path))
    (finding,) = find()
    assert finding.code == 'not-verified'
    assert 'git is not installed' in finding.message


def test_a_git_that_has_no_room_is_not_called_damage(find, monkeypatch, tmp_path):
    git = tmp_path / 'bin' / 'git'
    git.parent.mkdir()
    git.write_text(
        f'#!/bin/sh\necho "fatal: write: {os.strerror(errno.ENOSPC)}" >&2\nexit 128\n'
    )
    git.chmod(0o755)
    monkeypatch.setenv('PATH', str(git.parent), prepend=os.pathsep)
    (finding,) = find()
    assert finding.code == 'not-verified'


def test_findings_before_a_fault_stay(tmp_path):
    def checks():
        yield 'one'
        raise GitError('no mood')

    first, second = guard(checks(), tmp_path)
    assert first == 'one'
    assert second.code == 'not-verified'


@pytest.fixture
def begun(tmp_path, phantom_files):
    """A visit of which there is the digest file, and not yet the tarball"""
    paths = VisitPaths(tmp_path / 'begun', Visit('S1', 'V01'))
    archive_visit(paths, phantom_files)
    paths.tarball.unlink()
    return paths


def look(paths):
    (finding,) = verify_visit(paths, StudyViews(paths)).findings
    return finding


def test_a_tarball_that_is_being_deposited_is_not_missing(begun):
    with draft_file(begun.tarball):
        assert look(begun).code == 'visit-busy'
    assert look(begun).code == 'tarball-missing'
    assert 'backup' in look(begun).message


def test_a_deposit_that_was_interrupted_is_to_be_made_again(begun):
    begun.tarball.with_name(f'.{begun.tarball.name}.part').touch()
    finding = look(begun)
    assert finding.code == 'tarball-missing'
    assert 'interrupted; deposit the visit again' in finding.message


@pytest.mark.parametrize(
    ('name', 'lock'),
    [
        ('refs', 'repo_export'),
        ('tarball_metadata', 'dicoms_metadata'),
        ('md5sum', 'tarball'),
    ],
)
def test_what_is_about_to_appear_is_not_missing(paths, find, name, lock):
    getattr(paths, name).unlink()
    with draft_file(getattr(paths, lock)):
        (finding,) = find()
    assert (finding.code, finding.path) == ('visit-busy', getattr(paths, name))
