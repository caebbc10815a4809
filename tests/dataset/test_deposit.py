"""A deposit is made once, repaired where it is damaged, and replaced on demand"""

from __future__ import annotations

import errno
import os
import shutil
import zipfile

import pytest

from datalad_icf.dataset.git import MAIN
from datalad_icf.errors import (
    BusyError,
    ConflictError,
    DamagedExportError,
    GitError,
    MetadataError,
    MissingInputError,
    PreconditionError,
)
from datalad_icf.store import VisitPaths, draft_file

OTHER_URL = 'https://other.example.org'


@pytest.fixture
def deposited(visit, deposit, paths) -> VisitPaths:
    deposit()
    return paths


@pytest.fixture
def content(paths):
    """What is in the store now"""
    return lambda: {p.name: p.read_bytes() for p in paths.study_dir.iterdir()}


def test_a_deposit_is_two_files(visit, deposit, paths, content):
    before = content()
    assert deposit().is_new
    assert content().keys() - before.keys() == {paths.refs.name, paths.repo_export.name}


def test_an_equal_deposit_is_left_as_it_is(deposited, deposit, content):
    before = content()
    stat = deposited.repo_export.stat()
    report = deposit()
    assert (report.is_new, report.restored) == (False, [])
    assert content() == before
    assert deposited.repo_export.stat().st_mtime_ns == stat.st_mtime_ns


def test_an_equal_deposit_is_not_replaced_either(deposited, deposit, content):
    before = content()
    assert not deposit(replace=True).is_new
    assert content() == before


@pytest.mark.parametrize('name', ['refs', 'repo_export'])
def test_a_file_that_was_lost_is_written_again(deposited, deposit, content, name):
    before = content()
    lost = getattr(deposited, name)
    lost.unlink()
    report = deposit()
    assert (report.is_new, report.restored) == (False, [lost.name])
    assert content() == before


def test_empty_refs_are_written_again(deposited, deposit, content):
    before = content()
    deposited.refs.write_bytes(b'')
    assert deposit().restored == [deposited.refs.name]
    assert content() == before


def test_other_refs_beside_an_equal_repository_are_corrected(
    deposited, deposit, content
):
    before = content()
    deposited.refs.write_text(f'{"0" * 40} {MAIN}\n@{MAIN} HEAD\n')
    assert deposit().restored == [deposited.refs.name]
    assert content() == before


def test_what_only_another_git_packs_otherwise_is_the_same(deposited, deposit, content):
    packed = deposited.repo_export.with_name('packed')
    with (
        zipfile.ZipFile(deposited.repo_export) as old,
        zipfile.ZipFile(packed, 'w', zipfile.ZIP_STORED) as new,
    ):
        for info in old.infolist():
            new.writestr(info.filename, old.read(info))
    packed.replace(deposited.repo_export)
    before = content()
    assert not deposit().is_new
    assert content() == before


@pytest.mark.parametrize('arguments', [{'store_url': OTHER_URL}, {}])
def test_another_deposit_is_not_replaced_unasked(
    deposited, deposit, describe, content, arguments
):
    if not arguments:
        describe('S1_V01/other.dcm')
    before = content()
    with pytest.raises(ConflictError, match='--existing replace') as caught:
        deposit(**arguments)
    assert deposited.repo_export.name in str(caught.value)
    assert content() == before


def test_refs_of_another_deposit_are_not_replaced_unasked(
    deposited, deposit, describe, content
):
    deposited.repo_export.unlink()
    describe('S1_V01/other.dcm')
    before = content()
    with pytest.raises(ConflictError):
        deposit()
    assert content() == before


def test_another_deposit_is_replaced_on_demand(deposited, deposit, unpack, call):
    report = deposit(store_url=OTHER_URL, replace=True)
    assert report.is_new
    head = call('git', 'rev-parse', 'HEAD', cwd=unpack()).decode().strip()
    assert head == report.commit
    assert head in deposited.refs.read_text()


def test_what_replaces_a_deposit_has_later_times(
    deposited, deposit, branches, unpack, call
):
    deposit(store_url=OTHER_URL, replace=True)
    assert {
        word
        for _, content in branches()[1].values()
        for word in content.decode().split()
        if word.endswith('s') and word.rstrip('s').split('=')[-1].isdigit()
    } == {'1374070501s', 'timestamp=1374070501s'}


def test_times_grow_with_every_replacement(deposited, deposit, unpack, call):
    for url in (OTHER_URL, 'https://third.example.org', OTHER_URL):
        deposit(store_url=url, replace=True)
    time = call('git', 'log', '-1', '--format=%ct', 'git-annex', cwd=unpack())
    assert int(time) == 1374070503


def test_what_replaced_a_deposit_is_the_same_in_the_next_run(
    deposited, deposit, content
):
    deposit(store_url=OTHER_URL, replace=True)
    before = content()
    assert not deposit(store_url=OTHER_URL).is_new
    assert content() == before


@pytest.mark.parametrize('damage', [b'', b'PK', b'no zip file', None])
def test_a_damaged_repository_is_told_and_can_be_replaced(
    deposited, deposit, content, damage
):
    before = content()
    whole = deposited.repo_export.read_bytes()
    deposited.repo_export.write_bytes(
        whole[: len(whole) // 2] if damage is None else damage
    )
    with pytest.raises(ConflictError, match='--existing replace'):
        deposit()
    assert deposit(replace=True).is_new
    assert content().keys() == before.keys()
    assert not deposit().is_new


def test_a_repository_with_a_damaged_member_is_told(deposited, deposit, unpack):
    repository = unpack()
    (pack,) = repository.glob('objects/pack/*.pack')
    pack.write_bytes(pack.read_bytes()[:-30])
    with zipfile.ZipFile(deposited.repo_export, 'w') as archive:
        for path in sorted(repository.rglob('*')):
            archive.write(path, path.relative_to(repository))
    with pytest.raises(ConflictError):
        deposit()
    assert deposit(replace=True).is_new


def test_a_repository_that_would_leave_its_directory_writes_nothing_elsewhere(
    visit, deposit, paths, tmp_path
):
    with zipfile.ZipFile(paths.repo_export, 'w') as archive:
        archive.writestr('../../../../escaped', b'')
        archive.writestr('/escaped', b'')
    with pytest.raises(ConflictError):
        deposit()
    assert not [p for p in tmp_path.rglob('escaped') if 'store' not in p.parts]


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('core.fsmonitor', '{} fsmonitor'),
        ('core.sshCommand', '{} ssh'),
        ('core.hooksPath', '{}'),
        ('core.alternateRefsCommand', '{} alternates'),
    ],
)
def test_a_foreign_repository_runs_nothing(
    deposited, deposit, unpack, call, tmp_path, name, value
):
    program = tmp_path / 'program'
    program.write_text(f'#!/bin/sh\ntouch {tmp_path}/ran\n')
    program.chmod(0o755)
    repository = unpack()
    call('git', 'config', name, value.format(program), cwd=repository)
    with zipfile.ZipFile(deposited.repo_export, 'w') as archive:
        for path in sorted(repository.rglob('*')):
            archive.write(path, path.relative_to(repository))
    deposit(store_url=OTHER_URL, replace=True)
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize('name', ['tarball_metadata', 'dicoms_metadata'])
def test_missing_metadata_name_the_file_and_the_step_to_run(
    visit, deposit, paths, files_in, name
):
    path = getattr(paths, name)
    path.unlink()
    before = files_in(paths.store_dir)
    with pytest.raises(MissingInputError, match='run icf-deposit-metadata') as caught:
        deposit()
    assert str(path) in str(caught.value)
    assert files_in(paths.store_dir) == before


def test_a_store_without_the_visit_stays_as_it_is(deposit, paths):
    with pytest.raises(MissingInputError, match='icf-deposit-metadata'):
        deposit()
    assert not paths.store_dir.exists()


@pytest.mark.parametrize('name', ['tarball_metadata', 'dicoms_metadata'])
@pytest.mark.parametrize('rest', [0, 1, 20])
def test_truncated_metadata_name_the_file_and_the_step_to_run(
    visit, deposit, paths, files_in, name, rest
):
    path = getattr(paths, name)
    path.write_text(path.read_text()[:rest])
    before = files_in(paths.store_dir)
    with pytest.raises(MetadataError, match='run icf-deposit-metadata') as caught:
        deposit()
    assert str(path) in str(caught.value)
    assert files_in(paths.store_dir) == before


def test_images_of_another_run_name_the_step_to_run(visit, deposit, paths):
    paths.dicoms_metadata.write_text('[]')
    with pytest.raises(MetadataError, match='run icf-deposit-metadata'):
        deposit()


@pytest.mark.parametrize(
    'fields', [{'storepath': 'S1/V02_dicom.tar'}, {'dspath': 'icf/V02_dicom.tar'}]
)
def test_metadata_of_another_visit_are_refused(describe, deposit, fields):
    describe('a.dcm', **fields)
    with pytest.raises(MetadataError, match='another visit'):
        deposit()


@pytest.mark.parametrize(
    'fields',
    [
        {'md5': ...},
        {'md5': 'x'},
        {'size': '1'},
        {'size': -1},
        {'storepath': '../V01_dicom.tar'},
        {'mtime': 'now'},
        {'mtime': float('inf')},
        {'mtime': 1e30},
    ],
    ids=repr,
)
def test_metadata_of_a_tarball_that_cannot_be_are_refused(describe, deposit, fields):
    describe('a.dcm', **fields)
    with pytest.raises(MetadataError, match='icf-deposit-metadata'):
        deposit()


@pytest.mark.parametrize(
    'fields',
    [
        {'md5': 'A' * 32},
        {'size': '5'},
        {'size': -5},
        {'offset': 'x'},
        {'offset': -1},
        {'md5': ...},
    ],
    ids=repr,
)
def test_metadata_of_an_image_that_cannot_be_are_refused(
    describe, describe_image, deposit, fields
):
    describe(describe_image('a.dcm', **fields))
    with pytest.raises(MetadataError, match='icf-deposit-metadata'):
        deposit()


@pytest.mark.parametrize('url', ['https://me:s3cret@example.org', 'example.org'])
def test_a_store_url_that_cannot_be_leaves_nothing(visit, deposit, content, url):
    before = content()
    with pytest.raises(PreconditionError, match='store URL'):
        deposit(store_url=url)
    assert content() == before


@pytest.mark.parametrize('name', ['refs', 'repo_export'])
def test_two_runs_at_once_are_one_too_many(visit, deposit, paths, content, name):
    before = content()
    with draft_file(getattr(paths, name)), pytest.raises(BusyError):
        deposit()
    assert content() == before


def test_a_machine_without_git_leaves_nothing(
    visit, deposit, content, monkeypatch, tmp_path
):
    before = content()
    monkeypatch.setenv('PATH', str(tmp_path))
    with pytest.raises(GitError, match='git is not installed'):
        deposit()
    assert content() == before


def test_a_git_that_fails_is_quoted_and_leaves_nothing(
    visit, deposit, content, monkeypatch, tmp_path
):
    git = tmp_path / 'bin' / 'git'
    git.parent.mkdir()
    git.write_text('#!/bin/sh\necho "no mood" >&2\nexit 3\n')
    git.chmod(0o755)
    before = content()
    monkeypatch.setenv('PATH', str(git.parent), prepend=os.pathsep)
    with pytest.raises(GitError, match='exit code 3: no mood'):
        deposit()
    assert content() == before


def test_a_git_that_dies_while_it_is_told_of_files_is_an_error_of_git(
    describe, deposit, content, monkeypatch, tmp_path
):
    # more than fits into a pipe
    describe(*(f'S1_V01/{n}.dcm' for n in range(2000)))
    git = tmp_path / 'bin' / 'git'
    git.parent.mkdir()
    git.write_text(
        '#!/bin/sh\n'
        'case " $* " in *" fast-import "*) echo "no space" >&2; exit 9;; esac\n'
        f'exec {shutil.which("git")} "$@"\n'
    )
    git.chmod(0o755)
    before = content()
    monkeypatch.setenv('PATH', str(git.parent), prepend=os.pathsep)
    with pytest.raises(GitError, match='exit code 9: no space'):
        deposit()
    assert content() == before


def test_source_date_epoch_is_the_time_of_the_commits(
    visit, deposit, unpack, call, monkeypatch
):
    monkeypatch.setenv('SOURCE_DATE_EPOCH', '1600000000')
    deposit()
    written = call('git', 'log', '--format=%at %ct %ai', 'main', cwd=unpack())
    assert written.decode().strip() == (
        '1600000000 1600000000 2020-09-13 12:26:40 +0000'
    )


def test_a_source_date_epoch_that_is_no_time_is_told(visit, deposit, monkeypatch):
    monkeypatch.setenv('SOURCE_DATE_EPOCH', 'tomorrow')
    with pytest.raises(PreconditionError, match='SOURCE_DATE_EPOCH'):
        deposit()


def test_the_newest_time_of_the_tarball_is_the_time_of_the_commits(
    visit, deposit, unpack, call
):
    deposit()
    time = call('git', 'log', '-1', '--format=%ct', cwd=unpack())
    assert int(time) == 1374070500


@pytest.mark.parametrize('mtime', [..., -86400.0, 0])
def test_a_visit_without_a_time_that_git_has_is_of_1970(
    describe, deposit, unpack, call, mtime
):
    describe('a.dcm', mtime=mtime)
    deposit()
    assert int(call('git', 'log', '-1', '--format=%ct', cwd=unpack())) == 0


def test_progress_is_told_of_all_images(visit, deposit):
    told = []

    class Recorder:
        def __init__(self, label, total, unit):
            told.append((total, unit))

        def __enter__(self):
            return told.append

        def __exit__(self, *_):
            told.append('end')

    deposit(progress=Recorder)
    assert told == [(3, ' images'), 3, 'end']


@pytest.mark.parametrize('name', ['refs', 'repo_export'])
def test_a_directory_in_place_of_a_file_is_to_be_removed(deposited, deposit, name):
    path = getattr(deposited, name)
    path.unlink()
    path.mkdir()
    for replace in (False, True):
        with pytest.raises(ConflictError, match=r'is a directory.* remove it'):
            deposit(replace=replace)


def test_a_fifo_in_place_of_the_repository_is_told_and_can_be_replaced(
    deposited, deposit, content
):
    before = content()
    deposited.repo_export.unlink()
    os.mkfifo(deposited.repo_export)
    with pytest.raises(ConflictError, match='no regular file'):
        deposit()
    assert deposit(replace=True).is_new
    assert content().keys() == before.keys()


def test_a_fifo_in_place_of_the_refs_is_corrected(deposited, deposit, content):
    before = content()
    deposited.refs.unlink()
    os.mkfifo(deposited.refs)
    assert deposit().restored == [deposited.refs.name]
    assert content() == before


@pytest.mark.parametrize('code', [errno.ENOSPC, errno.EACCES])
def test_a_whole_deposit_that_cannot_be_unpacked_is_not_called_damaged(
    deposited, deposit, monkeypatch, code
):
    def extract(*_args):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(zipfile.ZipFile, 'extractall', extract)
    for replace in (False, True):
        with pytest.raises(GitError, match='is there room') as caught:
            deposit(replace=replace)
        assert not isinstance(caught.value, DamagedExportError)
