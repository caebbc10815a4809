"""Odd input of an archive, a section for each row of the table of requirements"""

from __future__ import annotations

import io
import os
import socket
import tarfile
from resource import RLIMIT_FSIZE, getrlimit, setrlimit

import pytest

from datalad_icf.dicom import archive_visit
from datalad_icf.errors import (
    BusyError,
    ConflictError,
    IdentifierError,
    MetadataError,
    SourceError,
    StoreAccessError,
    StoreWriteError,
)
from datalad_icf.store import Visit, VisitPaths, draft_file

LATEST = 1709205300.0  # of `timely`: 20240229 111500
not_root = pytest.mark.skipif(os.geteuid() == 0, reason='root may read everything')


@pytest.fixture
def timely(export, image):
    """A visit with one proper image, of 11:15"""
    (export / 'proper').write_bytes(image(StudyTime='111500'))
    return export


@pytest.fixture
def refuses(paths, tmp_path, files_in):
    """Checks that a visit is refused, by one line, with nothing left in the store"""

    def check(root, error=SourceError, **kwargs):
        before = files_in(tmp_path)
        with pytest.raises(error) as caught:
            archive_visit(paths, root, **kwargs)
        assert files_in(tmp_path) == before
        message = str(caught.value)
        assert len(message.splitlines()) == 1
        return message

    return check


def read(paths):
    with tarfile.open(paths.tarball) as tar:
        return {
            m.name.removeprefix('S1_V01/'): (m.mtime, tar.extractfile(m).read())
            for m in tar
        }


def check_counts_as_without_time(paths, root, name):
    """Check that a file is archived with the time of the visit, return the warning"""
    made = archive_visit(paths, root)
    assert read(paths)[name] == (LATEST, (root / name).read_bytes())
    (warning,) = made.warnings
    assert name in warning
    assert "archived with the visit's latest time" in warning
    return warning


# StudyDate/StudyTime absent (also DICOMDIR, DICM magic + nothing, cut header)


@pytest.mark.parametrize('keyword', ['StudyDate', 'StudyTime'])
def test_a_file_without_study_date_or_time_is_archived(paths, timely, image, keyword):
    (timely / 'odd').write_bytes(image(without=[keyword]))
    warning = check_counts_as_without_time(paths, timely, 'odd')
    assert f'{keyword} is absent' in warning


def test_a_dicomdir_is_archived(paths, timely, bundled):
    content = bundled('dicomdirtests/DICOMDIR').read_bytes()
    (timely / 'DICOMDIR').write_bytes(content)
    assert 'is absent' in check_counts_as_without_time(paths, timely, 'DICOMDIR')


def test_dicm_magic_and_nothing_else_is_archived(paths, timely):
    (timely / 'odd').write_bytes(bytes(128) + b'DICM')
    assert 'cut or broken' in check_counts_as_without_time(paths, timely, 'odd')


def test_a_header_that_is_cut_anywhere_before_the_study_time_is_archived(
    paths, timely, image
):
    content = image()
    end = content.index(b'101500', content.index(b'\x08\x00\x30\x00TM')) + 6
    for cut in range(132, end):
        (timely / f'{cut:04d}').write_bytes(content[:cut])
    made = archive_visit(paths, timely)
    assert made.instances == end - 132 + 1
    assert made.warnings
    assert {mtime for mtime, _ in read(paths).values()} == {LATEST}


# present but empty / 20201350, 00000000, ABCDEFGH, 256199, 03:04:05


@pytest.mark.parametrize(
    ('keyword', 'value', 'shown'),
    [
        ('StudyDate', '', 'empty'),
        ('StudyTime', '', 'empty'),
        ('StudyDate', None, 'empty'),
        ('StudyDate', '        ', 'empty'),
        ('StudyDate', '20201350', "'20201350'"),
        ('StudyDate', '00000000', "'00000000'"),
        ('StudyDate', 'ABCDEFGH', "'ABCDEFGH'"),
        ('StudyDate', '20240229\\20240301', "'20240229\\\\20240"),
        ('StudyTime', '256199', "'256199'"),
        ('StudyTime', '03:04:05', "'03:04:05'"),
    ],
)
def test_a_bad_study_date_or_time_is_named_and_archived(
    paths, timely, image, keyword, value, shown
):
    (timely / 'odd').write_bytes(image(**{keyword: value}))
    warning = check_counts_as_without_time(paths, timely, 'odd')
    assert f'{keyword} is {shown}' in warning


def test_a_fault_of_many_files_is_one_warning(paths, timely, image):
    for number in range(30):
        (timely / f'{number:02d}').write_bytes(image(StudyDate='20201350'))
    (warning,) = archive_visit(paths, timely).warnings
    assert warning.startswith("'00' and 29 more files: StudyDate is '20201350'")


def test_many_faults_are_not_all_listed(paths, timely, image):
    for number in range(30):
        (timely / f'{number:02d}').write_bytes(image(StudyDate=f'x{number:07d}'))
    warnings = archive_visit(paths, timely).warnings
    assert len(warnings) == 11
    assert warnings[-1] == '20 more reasons are not listed'


def test_a_visit_without_any_time_is_archived(paths, export, image):
    (export / 'odd').write_bytes(image(StudyDate=''))
    assert archive_visit(paths, export).warnings
    assert read(paths)['odd'][0] == 0.0


# HH, HHMM, fraction 1-6 digits, second 60 (-> 59), 2020.01.02
# before 1970 / after 2038 / DST gap and fold (pax): same bytes under UTC
# names: newline, quotes, latin-1 bytes, > 100, 255, path > 1024
#     see test_tarball.py


# no preamble; zero byte; text


@pytest.mark.parametrize('kind', ['no preamble', 'zero byte', 'text', 'short'])
def test_what_is_no_dicom_has_the_latest_time(paths, timely, image, kind):
    content = {
        'no preamble': image()[132:],
        'zero byte': b'',
        'text': b'text',
        'short': bytes(128) + b'DIC',
    }[kind]
    (timely / 'odd').write_bytes(content)
    made = archive_visit(paths, timely)
    assert (made.files, made.instances, made.warnings) == (2, 1, [])
    assert read(paths)['odd'] == (LATEST, content)


# two patients/studies in one visit


def test_two_patients_in_one_visit_are_warned_about(paths, timely, image):
    (timely / 'other').write_bytes(image(PatientID='ZZ-SECRET'))
    (warning,) = archive_visit(paths, timely).warnings
    assert '2 different patients' in warning
    assert 'SECRET' not in warning


def test_two_studies_in_one_visit_are_warned_about(paths, timely, image):
    (timely / 'other').write_bytes(image(StudyInstanceUID='1.2.3'))
    (warning,) = archive_visit(paths, timely).warnings
    assert '2 different studies' in warning


def test_the_padding_of_an_identifier_makes_no_second_patient(paths, export, image):
    (export / '1').write_bytes(image(PatientID='P1'))
    (export / '2').write_bytes(image(PatientID='P1  '))
    assert archive_visit(paths, export).warnings == []


# unreadable DIRECTORY


@not_root
def test_an_unreadable_directory_is_refused(timely, refuses):
    closed = timely / 'closed'
    closed.mkdir(mode=0)
    try:
        message = refuses(timely)
    finally:
        closed.chmod(0o755)
    assert str(closed) in message


def test_a_directory_that_cannot_be_listed_is_refused(timely, refuses):
    """Also for root: a path of more than 4,096 bytes cannot be opened"""
    fd = os.open(timely, os.O_RDONLY)
    for _ in range(18):
        os.mkdir('d' * 250, dir_fd=fd)
        inner = os.open('d' * 250, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    from datalad_icf.dicom import list_files

    with pytest.raises(SourceError, match='File name too long'):
        list_files(timely)


# symlink to a directory / file


@pytest.fixture(params=['file', 'directory'])
def linked(request, timely, tmp_path, image):
    """A visit with a link to a file or a directory elsewhere"""
    target = tmp_path / 'elsewhere'
    if request.param == 'directory':
        target.mkdir()
        (target / 'inside').write_bytes(image())
    else:
        target.write_bytes(image())
    (timely / 'link').symlink_to(target)
    return timely


def test_a_symlink_is_refused(linked, refuses):
    message = refuses(linked)
    assert f'{str(linked / "link")!r} is a symbolic link' in message
    assert '--follow-symlinks' in message


def test_a_symlink_is_packed_as_what_it_points_to_on_request(paths, linked, image):
    archive_visit(paths, linked, follow_symlinks=True)
    found = read(paths)
    name = 'link/inside' if (linked / 'link').is_dir() else 'link'
    assert found[name][1] == image()
    assert len(found) == 2


# dangling link, loop, unreadable file, socket / FIFO


def make_dangling(path):
    path.symlink_to('nowhere')


def make_loop(path):
    path.symlink_to(path.name)


def make_way_up(path):
    path.symlink_to('..')


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as sock:
        old = os.getcwd()
        # the path of a socket must be short
        os.chdir(path.parent)
        try:
            sock.bind(path.name)
        finally:
            os.chdir(old)


@pytest.mark.parametrize('follow_symlinks', [False, True])
@pytest.mark.parametrize(
    'make', [make_dangling, make_loop, make_way_up, make_socket, os.mkfifo]
)
def test_what_has_no_content_is_refused(timely, refuses, make, follow_symlinks):
    make(timely / 'odd')
    assert str(timely / 'odd') in refuses(timely, follow_symlinks=follow_symlinks)


def test_a_visit_directory_that_is_a_loop_is_refused(tmp_path, refuses):
    make_loop(tmp_path / 'loop')
    assert 'loop' in refuses(tmp_path / 'loop')


@not_root
def test_an_unreadable_file_is_refused(timely, refuses):
    (timely / 'closed').touch(mode=0)
    assert str(timely / 'closed') in refuses(timely)


# hard link


def test_hard_links_are_two_full_members(paths, timely):
    os.link(timely / 'proper', timely / 'second')
    archive_visit(paths, timely)
    found = read(paths)
    assert found['proper'] == found['second']
    with tarfile.open(paths.tarball) as tar:
        assert all(m.isreg() for m in tar)


# empty visit / visit directory missing


def test_an_empty_visit_is_refused(export, refuses):
    (export / 'empty').mkdir()
    assert 'nothing to archive' in refuses(export)


def test_a_visit_directory_that_is_missing_is_refused(tmp_path, refuses):
    assert 'does not exist' in refuses(tmp_path / 'nowhere')


def test_a_visit_directory_that_is_a_file_is_refused(timely, refuses):
    assert 'Not a directory' in refuses(timely / 'proper')


# file grows/shrinks after scan / vanishes or shrinks while copied


def grow(path):
    with path.open('ab') as f:
        f.write(b'more')


def shrink(path):
    os.truncate(path, 100)


def rewrite(path):
    path.write_bytes(b'x' * path.stat().st_size)


def replace(path):
    content, time = path.read_bytes(), path.stat().st_mtime_ns
    path.unlink()
    path.write_bytes(content)
    os.utime(path, ns=(time, time))


def become_fifo(path):
    path.unlink()
    os.mkfifo(path)


def become_symlink(path):
    path.rename(path.parent.parent / 'moved')
    path.symlink_to('../moved')


def vanish(path):
    path.unlink()


def at(label, action):
    """Make a progress that does something when a step starts"""
    from contextlib import contextmanager

    @contextmanager
    def progress(name, total, unit):
        if name == label:
            action()
        yield lambda count: None

    return progress


CHANGES = [grow, shrink, rewrite, replace, become_fifo, become_symlink, vanish]


@pytest.mark.parametrize('change', CHANGES)
def test_a_file_that_changes_after_the_scan_is_refused(
    paths, timely, tmp_path, files_in, change
):
    path = timely / 'proper'
    with pytest.raises(SourceError, match='proper'):
        archive_visit(paths, timely, progress=at('Pack', lambda: change(path)))
    assert not paths.store_dir.exists()


@pytest.mark.parametrize('change', [become_fifo, become_symlink, vanish])
def test_a_file_that_changes_after_it_was_listed_is_refused(paths, timely, change):
    path = timely / 'proper'
    with pytest.raises(SourceError, match='proper'):
        archive_visit(paths, timely, progress=at('Scan', lambda: change(path)))
    assert not paths.store_dir.exists()


@pytest.mark.parametrize('change', [grow, shrink, rewrite])
def test_a_file_that_changes_while_it_is_copied_is_refused(paths, export, change):
    from contextlib import contextmanager

    path = export / 'large'
    path.write_bytes(bytes(3 << 20))
    blocks = []

    @contextmanager
    def progress(name, total, unit):
        def advance(count):
            if name == 'Pack':
                blocks.append(count)
                if len(blocks) == 1:
                    change(path)

        yield advance

    with pytest.raises(SourceError, match='large'):
        archive_visit(paths, export, progress=progress)
    assert blocks
    assert not paths.store_dir.exists()


def test_a_directory_that_vanishes_is_refused(paths, timely):
    (timely / 'd').mkdir()
    (timely / 'd' / 'file').touch()

    def remove():
        (timely / 'd' / 'file').unlink()
        (timely / 'd').rmdir()

    with pytest.raises(SourceError, match='file'):
        archive_visit(paths, timely, progress=at('Scan', remove))


# study id `..`, `../../x`, absolute, `.`, `` ; visit id `x/y`, `..`, ``
#     see ../store/test_layout.py


def test_a_pattern_is_no_visit_to_archive(tmp_path, timely):
    with pytest.raises(IdentifierError, match=r'\*'):
        archive_visit(VisitPaths(tmp_path, Visit('S1', '*')), timely)


# study `a_b` visit `c` = study `a` visit `b_c`


def test_two_visits_may_have_the_same_member_prefix(tmp_path, timely):
    made = [
        archive_visit(VisitPaths(tmp_path / 'store', visit), timely)
        for visit in (Visit('a_b', 'c'), Visit('a', 'b_c'))
    ]
    assert made[0] == made[1]


# archive exists


def test_an_equal_archive_is_left_as_it_is(archived, visit_files):
    before = archived.tarball.stat()
    made = archive_visit(archived, visit_files)
    assert not made.is_new
    assert made.restored == []
    assert archived.tarball.stat() == before


def test_a_lost_digest_of_an_equal_archive_is_written_again(archived, visit_files):
    text = archived.md5sum.read_text()
    archived.md5sum.unlink()
    made = archive_visit(archived, visit_files)
    assert made.restored == [archived.md5sum.name]
    assert archived.md5sum.read_text() == text


@pytest.mark.parametrize('change', [grow, shrink, rewrite, vanish])
def test_a_different_archive_is_never_overwritten(
    archived, visit_files, files_in, change
):
    before = archived.tarball.read_bytes()
    change(visit_files / 'scan-notes.txt')
    archived.md5sum.unlink()
    with pytest.raises(ConflictError, match='never overwritten'):
        archive_visit(archived, visit_files)
    assert archived.tarball.read_bytes() == before
    assert files_in(archived.study_dir) == [archived.tarball.name]


def test_an_archive_with_something_behind_it_is_different(archived, visit_files):
    with archived.tarball.open('ab') as f:
        f.write(bytes(10240))
    with pytest.raises(ConflictError):
        archive_visit(archived, visit_files)


def test_an_equal_archive_with_a_digest_of_another_is_refused(archived, visit_files):
    archived.md5sum.write_text(f'{"0" * 32}  {archived.tarball.name}\n')
    with pytest.raises(MetadataError, match='not the digest'):
        archive_visit(archived, visit_files)


def test_the_study_directory_is_no_visit(paths, archived, files_in):
    before = files_in(paths.store_dir)
    for root in (paths.study_dir, paths.store_dir):
        with pytest.raises(SourceError, match='own tarball'):
            archive_visit(VisitPaths(paths.store_dir, Visit('S1', 'V02')), root)
    assert files_in(paths.store_dir) == before


# disk full, file-size limit (kill -9: see ../commands/test_faults.py)


@pytest.fixture
def small_disk():
    """A limit of the size of files, which is an error as a full disk is"""
    old = getrlimit(RLIMIT_FSIZE)
    setrlimit(RLIMIT_FSIZE, (100_000, old[1]))

    def enlarge():
        setrlimit(RLIMIT_FSIZE, old)

    yield enlarge
    enlarge()


def test_a_full_disk_leaves_nothing_and_the_next_run_works(paths, export, small_disk):
    (export / 'large').write_bytes(bytes(90_000))
    (export / 'larger').write_bytes(bytes(90_000))
    with pytest.raises(StoreWriteError, match='File too large'):
        archive_visit(paths, export)
    assert not paths.store_dir.exists()
    small_disk()
    assert archive_visit(paths, export).is_new


# two runs at once


def test_of_two_runs_at_once_the_later_is_refused(paths, visit_files, files_in):
    with draft_file(paths.tarball, make_directory=True):
        with pytest.raises(BusyError, match='another process'):
            archive_visit(paths, visit_files)
        assert files_in(paths.study_dir) == ['.V01_dicom.tar.part']
    assert archive_visit(paths, visit_files).is_new


def test_what_another_run_placed_meanwhile_is_never_overwritten(paths, visit_files):
    def place():
        paths.tarball.write_bytes(b'of another tool')

    with pytest.raises(ConflictError):
        archive_visit(paths, visit_files, progress=at('Pack', place))
    assert paths.tarball.read_bytes() == b'of another tool'


# tar there, md5sum not yet / read-only store


def test_the_digest_is_there_before_the_tarball(paths, visit_files, monkeypatch):
    seen = []
    link = os.link

    def watched(source, target):
        seen.append((os.fspath(target), paths.md5sum.exists()))
        link(source, target)

    monkeypatch.setattr(os, 'link', watched)
    archive_visit(paths, visit_files)
    assert seen == [(os.fspath(paths.tarball), True)]


def test_the_tarball_is_on_disk_before_the_digest_is_there(
    paths, visit_files, monkeypatch
):
    """Between the two, it looks as if the tarball were lost"""
    draft = paths.tarball.with_name(f'.{paths.tarball.name}.part')
    seen = []
    fsync = os.fsync

    def watched(fd):
        if draft.exists() and os.path.samestat(os.fstat(fd), draft.stat()):
            seen.append(paths.md5sum.exists())
        fsync(fd)

    monkeypatch.setattr(os, 'fsync', watched)
    archive_visit(paths, visit_files)
    assert seen[0] is False


def test_a_fifo_in_place_of_the_digest_holds_nothing_up(paths, visit_files):
    paths.study_dir.mkdir(parents=True)
    os.mkfifo(paths.md5sum)
    report = archive_visit(paths, visit_files)
    assert paths.md5sum.read_text().startswith(report.md5)


def test_a_fifo_in_place_of_the_tarball_is_refused(paths, visit_files):
    paths.study_dir.mkdir(parents=True)
    os.mkfifo(paths.tarball)
    with pytest.raises(ConflictError, match='no regular file'):
        archive_visit(paths, visit_files)


def test_a_store_that_cannot_be_written_to_is_refused_before_reading(tmp_path, export):
    (tmp_path / 'file').touch()
    os.mkfifo(export / 'would be refused on reading')
    paths = VisitPaths(tmp_path / 'file' / 'store', Visit('S1', 'V01'))
    with pytest.raises(StoreAccessError):
        archive_visit(paths, export)


@not_root
def test_a_read_only_store_is_refused_before_reading(paths, export):
    os.mkfifo(export / 'would be refused on reading')
    paths.store_dir.mkdir(mode=0o555)
    with pytest.raises(StoreAccessError):
        archive_visit(paths, export)


def test_read_only_files_do(paths, visit_files):
    for path in visit_files.rglob('*'):
        if path.is_file():
            path.chmod(0o444)
    assert archive_visit(paths, visit_files).is_new


def test_the_tarball_is_as_old_as_the_visit(archived):
    assert archived.tarball.stat().st_mtime == 1709201700.0


def test_progress_counts_files_and_bytes(paths, visit_files):
    from contextlib import contextmanager

    steps = []

    @contextmanager
    def progress(name, total, unit):
        counts = []
        yield counts.append
        steps.append((name, total, unit, sum(counts)))

    made = archive_visit(paths, visit_files, progress=progress)
    scan, pack = steps
    assert scan == ('Scan', 6, ' files', 6)
    assert (pack[0], pack[2], pack[3]) == ('Pack', ' bytes', made.size)


def test_a_long_value_fits_the_buffer(paths, export):
    """The sink is given views that are only valid during the call"""
    (export / 'a').write_bytes(os.urandom(3_000_000))
    archive_visit(paths, export)
    with tarfile.open(fileobj=io.BytesIO(paths.tarball.read_bytes())) as tar:
        assert tar.extractfile('S1_V01/a').read() == (export / 'a').read_bytes()


def test_a_study_is_not_mixed_with_the_viewer_of_the_store(tmp_path, visit_files):
    paths = VisitPaths(tmp_path / 'store', Visit('viewer', 'V01'))
    paths.study_dir.mkdir(parents=True)
    (paths.study_dir / 'icf-viewer.json').write_text('{}')
    with pytest.raises(ConflictError, match='has the viewer of the store'):
        archive_visit(paths, visit_files)
    assert [p.name for p in paths.study_dir.iterdir()] == ['icf-viewer.json']
