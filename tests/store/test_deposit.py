from __future__ import annotations

import ctypes
import errno
import os
import shutil
import subprocess
import sys
from resource import RLIM_INFINITY, RLIMIT_FSIZE, getrlimit, setrlimit

import pytest

from datalad_icf.errors import (
    BusyError,
    ConflictError,
    MetadataError,
    StoreAccessError,
    StoreWriteError,
)
from datalad_icf.store import (
    deposit,
    draft_file,
    format_md5sum,
    is_draft_in_use,
    read_md5sum,
)

EMPTY_MD5 = 'd41d8cd98f00b204e9800998ecf8427e'


@pytest.fixture
def target(tmp_path):
    return tmp_path / 'V01_dicom.tar'


@pytest.fixture
def part(target):
    return target.with_name('.V01_dicom.tar.part')


def place(target, content=b'new', **kwargs):
    with draft_file(target) as draft:
        draft.write(content)
        draft.place(**kwargs)


def test_a_placed_draft_is_the_only_file(target):
    place(target)
    assert os.listdir(target.parent) == [target.name]
    assert target.read_bytes() == b'new'


def test_the_target_appears_when_it_is_placed_and_not_earlier(target, part):
    with draft_file(target) as draft:
        draft.write(b'new')
        assert part.exists()
        assert not target.exists()
        draft.place()
        assert target.exists()


def test_a_draft_that_was_not_placed_is_removed(target):
    with draft_file(target) as draft:
        draft.write(b'new')
    assert os.listdir(target.parent) == []


def test_a_draft_is_removed_when_the_work_on_it_fails(target):
    with pytest.raises(KeyboardInterrupt), draft_file(target):
        raise KeyboardInterrupt
    assert os.listdir(target.parent) == []


def test_a_file_in_place_is_never_overwritten(target):
    target.write_bytes(b'old')
    with pytest.raises(ConflictError, match='exists already'):
        place(target)
    assert target.read_bytes() == b'old'
    assert os.listdir(target.parent) == [target.name]


def test_a_file_in_place_is_replaced_on_request(target):
    target.write_bytes(b'old')
    place(target, replace=True)
    assert target.read_bytes() == b'new'


def test_readers_of_a_replaced_file_keep_the_old_one(target):
    target.write_bytes(b'old')
    with target.open('rb') as reader:
        place(target, replace=True)
        assert reader.read() == b'old'


@pytest.mark.parametrize('error', [errno.EPERM, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_without_hard_links_will_do(target, monkeypatch, error):
    def link(*_):
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, 'link', link)
    place(target)
    assert target.read_bytes() == b'new'
    with pytest.raises(ConflictError):
        place(target, b'other')
    assert target.read_bytes() == b'new'


def test_a_failing_link_is_an_error_of_the_store(target, monkeypatch):
    def link(*_):
        raise OSError(errno.EIO, 'Input/output error')

    monkeypatch.setattr(os, 'link', link)
    with pytest.raises(StoreWriteError, match='Input/output error'):
        place(target)
    assert os.listdir(target.parent) == []


def test_a_locked_draft_is_busy(target, part):
    with draft_file(target) as draft:
        draft.write(b'mine')
        with pytest.raises(BusyError, match='another process'), draft_file(target):
            pass
        assert part.read_bytes() == b'mine'
        draft.place()
    assert target.read_bytes() == b'mine'


def test_a_draft_of_another_file_is_free(target):
    with draft_file(target), draft_file(target.with_suffix('.md5sum')):
        pass


def test_a_draft_that_a_killed_process_left_is_used_again(target, part):
    part.write_bytes(b'half a tarball that is longer than the new one')
    place(target)
    assert target.read_bytes() == b'new'
    assert not part.exists()


def test_a_draft_that_became_the_target_is_never_truncated(target, part):
    """The state after a kill between the link to the target and the unlink"""
    target.write_bytes(b'finished')
    os.link(target, part)
    with pytest.raises(ConflictError):
        place(target)
    assert target.read_bytes() == b'finished'
    assert os.listdir(target.parent) == [target.name]


def test_an_empty_draft_that_became_the_target_is_never_written_to(target, part):
    target.touch()
    os.link(target, part)
    with pytest.raises(ConflictError):
        place(target)
    assert target.read_bytes() == b''


def test_a_symlink_in_place_of_the_draft_is_not_followed(target, part, tmp_path):
    victim = tmp_path / 'victim'
    victim.write_bytes(b'precious')
    part.symlink_to(victim)
    with pytest.raises(StoreAccessError):
        place(target)
    assert victim.read_bytes() == b'precious'


def test_the_draft_of_another_process_is_not_removed(target, part):
    """Somebody removed the draft by hand, and another process made its own"""
    with draft_file(target):
        part.unlink()
        part.write_bytes(b'of the other')
    assert part.read_bytes() == b'of the other'


def test_directories_are_made_on_request(target):
    nested = target.parent / 'a' / 'b' / target.name
    with draft_file(nested, make_directory=True) as draft:
        draft.place()
    assert nested.exists()


def test_directories_without_a_deposit_are_removed_again(target, tmp_path):
    with draft_file(tmp_path / 'a' / 'b' / target.name, make_directory=True):
        pass
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize('times', [1, 3])
def test_another_process_may_take_the_directory_away(monkeypatch, tmp_path, times):
    """It has made it, too, and failed before it had anything in it"""
    nested = tmp_path / 'a' / 'b' / 'V01_dicom.tar'
    lock, tries = deposit._lock_draft, []

    def lock_late(path):
        tries.append(path)
        if len(tries) <= times:
            nested.parent.rmdir()
            (tmp_path / 'a').rmdir()
        return lock(path)

    monkeypatch.setattr(deposit, '_lock_draft', lock_late)
    with draft_file(nested, make_directory=True) as draft:
        draft.place()
    assert nested.exists()


def test_a_directory_that_goes_away_again_and_again_is_given_up(monkeypatch, tmp_path):
    def lock_too_late(path):
        path.parent.rmdir()
        return lock(path)

    lock = deposit._lock_draft
    monkeypatch.setattr(deposit, '_lock_draft', lock_too_late)
    with (
        pytest.raises(StoreAccessError, match='No such file or directory'),
        draft_file(tmp_path / 'a' / 'V01_dicom.tar', make_directory=True),
    ):
        pass


def test_a_directory_that_is_not_there_cannot_be_written_to(tmp_path):
    with pytest.raises(StoreAccessError), draft_file(tmp_path / 'a' / 'b'):
        pass


def test_a_store_below_a_regular_file_cannot_be_written_to(tmp_path):
    (tmp_path / 'file').touch()
    with (
        pytest.raises(StoreAccessError, match='cannot write to'),
        draft_file(tmp_path / 'file' / 'S1' / 'V01', make_directory=True),
    ):
        pass
    assert os.listdir(tmp_path) == ['file']


@pytest.mark.skipif(os.geteuid() == 0, reason='root may write anywhere')
def test_a_read_only_store_cannot_be_written_to(target):
    target.parent.chmod(0o555)
    try:
        with pytest.raises(StoreAccessError, match='Permission denied'):
            place(target)
    finally:
        target.parent.chmod(0o755)


def test_a_full_disk_leaves_nothing(target):
    old = getrlimit(RLIMIT_FSIZE)
    setrlimit(RLIMIT_FSIZE, (100_000, old[1]))
    try:
        with pytest.raises(StoreWriteError, match='File too large'):
            place(target, bytes(200_000))
    finally:
        setrlimit(RLIMIT_FSIZE, (RLIM_INFINITY if old[0] == -1 else old[0], old[1]))
    assert os.listdir(target.parent) == []


@pytest.mark.parametrize(
    ('umask', 'mode'), [(0o022, 0o644), (0o077, 0o600), (2, 0o664)]
)
def test_the_mode_of_a_file_is_left_to_the_umask(target, umask, mode):
    old = os.umask(umask)
    try:
        place(target)
    finally:
        os.umask(old)
    assert target.stat().st_mode & 0o777 == mode


@pytest.mark.skipif(not shutil.which('md5sum'), reason='there is no md5sum')
@pytest.mark.parametrize('name', ['V01_dicom.tar', 'a b_dicom.tar', 'ü_dicom.tar'])
def test_md5sum_checks_what_is_written(tmp_path, name):
    (tmp_path / name).touch()
    (tmp_path / 'digest').write_text(format_md5sum(EMPTY_MD5, name))
    subprocess.run(
        ['md5sum', '--check', '--strict', 'digest'], cwd=tmp_path, check=True
    )


@pytest.mark.parametrize(
    'line',
    [
        f'{EMPTY_MD5}  V01_dicom.tar\n',
        f'{EMPTY_MD5} *V01_dicom.tar\n',
        f'{EMPTY_MD5.upper()}  V01_dicom.tar',
    ],
)
def test_reads_what_md5sum_writes(tmp_path, line):
    path = tmp_path / 'digest'
    path.write_text(line)
    assert read_md5sum(path) == EMPTY_MD5


def test_a_digest_file_that_is_not_there_has_no_digest(tmp_path):
    assert read_md5sum(tmp_path / 'digest') is None


@pytest.mark.parametrize(
    'text', ['', 'abc', EMPTY_MD5, f'{EMPTY_MD5}  a\n' * 2, '\udcff']
)
def test_a_digest_file_of_something_else_is_refused(tmp_path, text):
    path = tmp_path / 'digest'
    path.write_text(text, errors='surrogateescape')
    with pytest.raises(MetadataError, match='not a line as md5sum writes it'):
        read_md5sum(path)


def test_a_digest_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(MetadataError, match='cannot read'):
        read_md5sum(tmp_path)


def test_a_fifo_with_the_name_of_a_digest_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / 'digest')
    with pytest.raises(MetadataError, match='no regular file'):
        read_md5sum(tmp_path / 'digest')


def test_a_draft_is_in_use_as_long_as_its_process_has_it(target, part):
    assert is_draft_in_use(target) is None
    with draft_file(target):
        assert is_draft_in_use(target) is True
    assert is_draft_in_use(target) is None
    part.touch()
    assert is_draft_in_use(target) is False
    assert part.exists()


def test_what_is_reserved_is_written_as_without(target):
    with draft_file(target) as draft:
        draft.reserve(1000)
        draft.write(bytes(1024))
        draft.place()
    assert target.read_bytes() == bytes(1024)


@pytest.mark.skipif(sys.platform != 'linux', reason='only Linux tells it beforehand')
def test_a_disk_that_is_too_small_is_told_before_anything_is_written(target):
    with (
        pytest.raises(StoreWriteError, match='cannot write'),
        draft_file(target) as draft,
    ):
        draft.reserve(1 << 62)
    assert os.listdir(target.parent) == []


def test_where_room_cannot_be_reserved_it_is_just_written(target, monkeypatch):
    def refuse(*_args):
        ctypes.set_errno(errno.EOPNOTSUPP)
        return -1

    monkeypatch.setattr(deposit, '_find_fallocate', lambda: refuse)
    with draft_file(target) as draft:
        draft.reserve(1 << 62)
        draft.write(b'new')
        draft.place()
    assert target.read_bytes() == b'new'
