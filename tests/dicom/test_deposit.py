"""One pass over the files of a visit makes what two steps make"""

from __future__ import annotations

import os
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from datalad_icf.dicom import (
    DEFAULT_ATTRIBUTES,
    archive_visit,
    deposit_metadata,
    deposit_visit,
)
from datalad_icf.dicom.header import find_attribute
from datalad_icf.errors import (
    ConflictError,
    IcfError,
    PreconditionError,
    SourceError,
    StoreWriteError,
)
from datalad_icf.store import Visit, VisitPaths
from demo.phantom import write_phantom

DEFLATED = '1.2.840.10008.1.2.1.99'


def contents(paths):
    return {path.name: path.read_bytes() for path in paths.study_dir.iterdir()}


def make_phantom(directory, image):
    write_phantom(directory, rows=4, columns=4)


def make_others(directory, image):
    (directory / 'notes.txt').write_text('no image')
    (directory / 'empty').touch()
    (directory / 'a' / 'b').mkdir(parents=True)
    (directory / 'a' / 'b' / 'image').write_bytes(image())
    (directory / 'a-b').write_bytes(image(SeriesNumber=3))


def make_only_others(directory, image):
    (directory / 'notes.txt').write_text('no image')


def make_broken(directory, image):
    content = image()
    (directory / 'cut').write_bytes(content[:200])
    (directory / 'magic').write_bytes(bytes(128) + b'DICM')
    (directory / 'wrong').write_bytes(
        image(SeriesDescription='Übung').replace(b'ISO_IR 100', b'ISO_IR 192')
    )
    (directory / 'whole').write_bytes(content)


def make_odd_names(directory, image):
    for name in (b'\xff', 'Übung'.encode(), b'new\nline', b'x' * 200):
        Path(os.fsdecode(os.fsencode(directory) + b'/' + name)).write_bytes(image())


def make_encodings(directory, image):
    for number, syntax in enumerate((DEFLATED, '1.2.840.10008.1.2')):
        (directory / str(number)).write_bytes(image(syntax=syntax, SeriesNumber=number))


def make_long_header(directory, image):
    """What the first 8 kB of a file do not have"""
    long = image(ImageComments='x' * 9000, SeriesNumber=5)
    (directory / 'long').write_bytes(long)
    content = image()
    start = content.index(b'\x08\x00\x05\x00CS')
    # of the group before all that is looked for
    odd = b'\x07\x00\x10\x10OB\0\0' + (9000).to_bytes(4, 'little') + bytes(9000)
    (directory / 'far').write_bytes(content[:start] + odd + content[start:])


def make_many_blocks(directory, image):
    """Members that begin and end anywhere in the blocks that are written"""
    for number in range(5):
        content = image(SeriesNumber=number)
        (directory / str(number)).write_bytes(content + bytes(100_003 * number))


VISITS = (
    make_phantom,
    make_others,
    make_only_others,
    make_broken,
    make_odd_names,
    make_encodings,
    make_long_header,
    make_many_blocks,
)


@pytest.fixture
def twice(tmp_path, paths):
    """Does it in one pass and in two steps, and returns both stores and reports"""

    def deposit(source, attributes=DEFAULT_ATTRIBUTES, **kwargs):
        other = VisitPaths(tmp_path / 'other', paths.visit)
        archived = archive_visit(other, source, **kwargs)
        described = deposit_metadata(other, attributes=attributes)
        reports = deposit_visit(paths, source, attributes=attributes, **kwargs)
        assert reports == (archived, described)
        assert contents(paths) == contents(other)
        assert len(contents(paths)) == 4
        return reports

    return deposit


@pytest.mark.parametrize('make', VISITS, ids=lambda make: make.__name__[5:])
def test_one_pass_makes_what_two_steps_make(twice, export, image, make):
    make(export, image)
    twice(export)


def test_it_does_so_in_a_time_zone(twice, export, image):
    make_others(export, image)
    twice(export, zone=ZoneInfo('America/New_York'))


def test_it_does_so_without_any_time_in_a_time_zone(twice, export, image):
    make_only_others(export, image)
    twice(export, zone=ZoneInfo('Europe/Berlin'))


def test_it_does_so_with_more_attributes(twice, visit_files, paths):
    twice(visit_files, attributes=(*DEFAULT_ATTRIBUTES, find_attribute('EchoTime')))
    assert b'EchoTime' in paths.dicoms_metadata.read_bytes()


def test_it_does_so_where_links_are_followed(twice, visit_files, tmp_path, image):
    (tmp_path / 'elsewhere').mkdir()
    (tmp_path / 'elsewhere' / 'image').write_bytes(image())
    (visit_files / 'link').symlink_to(tmp_path / 'elsewhere')
    (visit_files / 'image').symlink_to(tmp_path / 'elsewhere' / 'image')
    archived, _ = twice(visit_files, follow_symlinks=True)
    assert archived.instances == 7


def test_a_link_is_refused_as_by_the_step(paths, visit_files):
    (visit_files / 'link').symlink_to('nowhere')
    with pytest.raises(SourceError, match='symbolic link'):
        deposit_visit(paths, visit_files)
    assert not paths.store_dir.exists()


def test_broken_headers_are_told(twice, export, image):
    make_broken(export, image)
    archived, described = twice(export)
    assert any('cut or broken' in warning for warning in archived.warnings)
    assert any('cut or broken' in warning for warning in described.warnings)
    assert any('character set' in warning for warning in described.warnings)


def test_the_files_are_read_once_and_the_tarball_is_not(paths, export, monkeypatch):
    for number in range(3):
        (export / str(number)).write_bytes(bytes([number]) * 300_000)
    read = Counter()
    readv, pread = os.readv, os.pread

    def count_readv(fd, buffers):
        count = readv(fd, buffers)
        read['content'] += count
        return count

    def count_pread(fd, *args):
        data = pread(fd, *args)
        read['heads'] += len(data)
        return data

    def refuse(*_args, **_kwargs):
        raise AssertionError

    monkeypatch.setattr(os, 'readv', count_readv)
    monkeypatch.setattr(os, 'pread', count_pread)
    monkeypatch.setattr('datalad_icf.dicom.deposit.deposit_metadata', refuse)
    deposit_visit(paths, export)
    assert read['content'] == 900_000
    assert read['heads'] <= 3 * 12_288


def test_a_second_run_changes_nothing(paths, visit_files):
    deposit_visit(paths, visit_files)
    before = [path.stat() for path in sorted(paths.study_dir.iterdir())]
    archived, described = deposit_visit(paths, visit_files)
    assert not archived.is_new
    assert not described.is_new
    assert [path.stat() for path in sorted(paths.study_dir.iterdir())] == before


def test_a_tarball_that_is_there_is_described(archived, visit_files):
    made, described = deposit_visit(archived, visit_files)
    assert not made.is_new
    assert described.is_new
    assert described.tarball.instances == 5


@pytest.mark.parametrize('name', ['md5sum', 'dicoms_metadata', 'tarball_metadata'])
def test_one_lost_file_is_written_again(paths, visit_files, name):
    deposit_visit(paths, visit_files)
    before = contents(paths)
    lost = getattr(paths, name)
    lost.unlink()
    archived, described = deposit_visit(paths, visit_files)
    assert contents(paths) == before
    assert [*archived.restored, *described.restored] == [lost.name]


def test_metadata_of_another_tarball_are_left_and_told(paths, visit_files):
    """The tarball was moved away, which is how a visit is archived anew"""
    deposit_visit(paths, visit_files)
    paths.tarball.unlink()
    paths.md5sum.unlink()
    before = contents(paths)
    (visit_files / 'late').write_text('late')
    with pytest.raises(IcfError, match='archived, but icf-deposit-metadata') as caught:
        deposit_visit(paths, visit_files)
    # the tarball was made, so that it is not that nothing was touched
    assert not isinstance(caught.value, PreconditionError)
    assert contents(paths).items() > before.items()


def test_another_tarball_is_refused_with_nothing_touched(archived, visit_files):
    before = contents(archived)
    (visit_files / 'late').write_text('late')
    with pytest.raises(ConflictError):
        deposit_visit(archived, visit_files)
    assert contents(archived) == before


def test_a_file_that_changes_meanwhile_leaves_nothing(paths, visit_files):
    last = max(visit_files.rglob('*.dcm'))

    @contextmanager
    def progress(label, total, unit):
        if label == 'Pack':
            last.write_bytes(last.read_bytes() + b'more')
        yield lambda count: None

    with pytest.raises(SourceError, match='changed while it was read'):
        deposit_visit(paths, visit_files, progress=progress)
    assert not paths.store_dir.exists()


def test_a_file_that_changes_while_its_header_is_read_leaves_nothing(
    paths, export, image, monkeypatch
):
    """Its content is in the tarball by then, and the metadata would be of another"""
    from datalad_icf.dicom import deposit

    make_long_header(export, image)
    real = deposit.open_part

    def change(fd, offset, size):
        (export / 'far').write_bytes(bytes(size))
        return real(fd, offset, size)

    monkeypatch.setattr(deposit, 'open_part', change)
    with pytest.raises(SourceError, match='changed while it was read'):
        deposit_visit(paths, export)
    assert not paths.store_dir.exists()


def test_a_file_that_cannot_be_read_is_named_and_no_fault_of_the_store(
    paths, export, image, monkeypatch
):
    from datalad_icf.dicom import deposit

    make_long_header(export, image)

    def fail(fd, offset, size):
        raise OSError(5, 'Input/output error')

    monkeypatch.setattr(deposit, 'open_part', fail)
    with pytest.raises(SourceError, match=r'far.*Input/output error'):
        deposit_visit(paths, export)
    assert not paths.store_dir.exists()


def test_a_failure_between_tarball_and_metadata_is_completed_by_the_next_run(
    paths, visit_files, tmp_path, monkeypatch
):
    from datalad_icf.dicom import deposit

    def fail(*_):
        raise StoreWriteError('disk full')

    with monkeypatch.context() as patch:
        patch.setattr(deposit, '_write_metadata', fail)
        with pytest.raises(IcfError, match=r'archived, but .*disk full'):
            deposit_visit(paths, visit_files)
    assert set(contents(paths)) == {paths.tarball.name, paths.md5sum.name}
    archived, described = deposit_visit(paths, visit_files)
    assert (archived.is_new, described.is_new) == (False, True)
    other = VisitPaths(tmp_path / 'other', Visit('S1', 'V01'))
    deposit_visit(other, visit_files)
    assert contents(paths) == contents(other)
