"""The archive is byte for byte the one of the layout rules"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from datetime import timezone
from hashlib import md5
from shutil import which
from zoneinfo import ZoneInfo

import pytest

from datalad_icf.dicom import archive_visit, list_files, scan_sources, write_tarball
from demo.phantom import LOCALIZER, write_phantom


def pack(root, prefix='S1_V01', zone=timezone.utc, **kwargs):
    sources = scan_sources(root, list_files(root, **kwargs), zone=zone, **kwargs)
    buffer = io.BytesIO()
    summary = write_tarball(sources, prefix, buffer.write)
    content = buffer.getvalue()
    assert summary.size == len(content)
    assert summary.md5 == md5(content, usedforsecurity=False).hexdigest()
    return content


def members(content):
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        return {m.name: m for m in tar}


ODD_NAMES = [
    b'a/b.dcm',
    b'a-b.dcm',
    b'a.dcm',
    b'A.dcm',
    b'.hidden',
    b'line\nbreak',
    b'"quoted\' name"',
    b' blank ',
    b'back\\slash',
    b'-option',
    'Übung/é.dcm'.encode(),
    b'x' * 100,
    b'x' * 101,
    b'x' * 255,
    'ü'.encode() * 127,
    b'/'.join([b'd' * 200] * 6 + [b'file']),
]
if sys.platform == 'linux':
    ODD_NAMES += [b'latin-1 \xfc', b'latin-1 \xfd/file', b'\xc3/' + b'\xff' * 200]


@pytest.fixture
def odd_names(export, image):
    root = os.fsencode(export)
    for number, name in enumerate(ODD_NAMES):
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb') as f:
            f.write(b'text' if number % 3 == 0 else image(InstanceNumber=number))
    return export


@pytest.mark.parametrize('zone', ['UTC', 'Europe/Berlin', 'America/New_York'])
def test_the_archive_of_a_visit_is_that_of_tarfile(
    visit_files, reference_archive, zone
):
    expected = reference_archive(visit_files, 'S1_V01', ZoneInfo(zone))
    assert pack(visit_files, zone=ZoneInfo(zone)) == expected


def test_names_of_any_kind_are_written_as_tarfile_does(odd_names, reference_archive):
    assert pack(odd_names) == reference_archive(odd_names, 'S1_V01')


def test_names_of_any_kind_come_back(odd_names):
    found = [os.fsencode(name) for name in members(pack(odd_names))]
    assert sorted(found) == sorted(b'S1_V01/' + name for name in ODD_NAMES)


def test_members_are_in_the_order_of_the_components_of_their_path(export):
    for name in ('a/b', 'a-b', 'a/a/a', 'b', 'a.b', 'A'):
        (export / name).parent.mkdir(parents=True, exist_ok=True)
        (export / name).touch()
    names = [name.removeprefix('S1_V01/') for name in members(pack(export))]
    assert names == ['A', 'a/a/a', 'a/b', 'a-b', 'a.b', 'b']


# Times of the edge cases of facts: value of the file to seconds since 1970.
TIMES = {
    'HH': ('20130717', '14', 1374069600.0),
    'HHMM': ('20130717', '1415', 1374070500.0),
    'fraction of 1 digit': ('20130717', '141500.5', 1374070500.5),
    'fraction of 2 digits': ('20180918', '121229.94', 1537272749.94),
    'fraction of 6 digits': ('20130717', '141500.123456', 1374070500.123456),
    'second 60': ('20130717', '141460', 1374070499.0),
    'date of ACR-NEMA': ('2020.01.02', '000000', 1577923200.0),
    'before 1970': ('19691231', '235959.5', -0.5),
    'after 2038': ('20991231', '235959', 4102444799.0),
    'year 1': ('00010101', '00', -62135596800.0),
    'DST gap of Berlin': ('20240331', '023000', 1711852200.0),
    'DST fold of Berlin': ('20241027', '023000', 1729996200.0),
}


@pytest.fixture(params=TIMES.values(), ids=TIMES)
def timed(request, export, image):
    """A visit with a file of its own time, and a text file"""
    date, time, expected = request.param
    (export / 'image').write_bytes(image(StudyDate=date, StudyTime=time))
    (export / 'text').write_text('text')
    return export, expected


@pytest.mark.filterwarnings("ignore:'datetime.time' doesn't allow:UserWarning")
def test_a_time_of_any_kind_is_written_as_tarfile_does(timed, reference_archive):
    root, _ = timed
    assert pack(root) == reference_archive(root, 'S1_V01')


def test_a_time_of_any_kind_is_that_of_utc(timed):
    root, expected = timed
    assert {m.mtime for m in members(pack(root)).values()} == {expected}


@pytest.mark.filterwarnings("ignore:'datetime.time' doesn't allow:UserWarning")
@pytest.mark.parametrize('zone', ['Europe/Berlin', 'America/New_York'])
def test_a_zone_gives_what_a_machine_in_that_zone_made(
    timed, reference_archive, machine_zone, zone
):
    root, expected = timed
    if expected < -2e9:
        pytest.skip('local time before 1900 differs between libraries')
    made = pack(root, zone=ZoneInfo(zone))
    machine_zone(zone)
    assert made == reference_archive(root, 'S1_V01', None)


def test_a_zone_gives_what_a_machine_in_that_zone_made_without_any_dicom(
    export, reference_archive, machine_zone
):
    """Epoch 0 was local, too"""
    (export / 'text').write_text('text')
    made = pack(export, zone=ZoneInfo('Europe/Berlin'))
    assert made == reference_archive(export, 'S1_V01', start=-3600.0)


@pytest.mark.parametrize('zone', ['UTC', 'Asia/Tokyo', 'America/New_York', 'XYZ+3:30'])
def test_the_zone_of_the_machine_does_not_matter(visit_files, machine_zone, zone):
    expected = pack(visit_files)
    machine_zone(zone)
    assert pack(visit_files) == expected


def test_a_file_without_own_time_has_the_latest_of_the_visit(export, image):
    (export / '1').write_bytes(image(StudyTime='100000'))
    (export / '2').write_bytes(image(StudyTime='110000'))
    (export / 'z').write_text('text')
    found = members(pack(export))
    assert found['S1_V01/z'].mtime == found['S1_V01/2'].mtime == 1709204400.0
    assert found['S1_V01/1'].mtime == 1709200800.0


def test_a_visit_before_1970_gives_its_time_to_other_files(export, image):
    (export / 'image').write_bytes(image(StudyDate='19600101', StudyTime='00'))
    (export / 'text').write_text('text')
    assert {m.mtime for m in members(pack(export)).values()} == {-315619200.0}


def test_members_belong_to_root_and_are_not_executable(visit_files):
    for member in members(pack(visit_files)).values():
        assert member.isreg()
        assert (member.mode, member.uid, member.gid) == (0o644, 0, 0)
        assert (member.uname, member.gname) == ('root', 'root')


def test_there_are_no_members_for_directories(export):
    (export / 'empty').mkdir()
    (export / 'full').mkdir()
    (export / 'full' / 'file').touch()
    assert list(members(pack(export))) == ['S1_V01/full/file']


def test_what_the_file_system_says_of_a_file_does_not_matter(tmp_path):
    made = []
    for name, umask, time in (('one', 0o022, 1), ('other', 0o077, 2_000_000_000)):
        old = os.umask(umask)
        try:
            files = write_phantom(
                tmp_path / name, series=[LOCALIZER], rows=4, columns=4
            )
        finally:
            os.umask(old)
        for path in files:
            os.utime(path, (time, time))
        made.append(pack(tmp_path / name))
    assert made[0] == made[1]


def test_the_order_in_which_files_were_made_does_not_matter(tmp_path):
    names = [f'{i % 7}/{i}' for i in range(50)]
    made = []
    for root, order in ((tmp_path / 'a', names), (tmp_path / 'b', names[::-1])):
        for name in order:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(name)
        made.append(pack(root))
    assert made[0] == made[1]


@pytest.mark.parametrize(
    'size',
    [0, 1, 511, 512, 513, 8704, (1 << 20) - 1536, 1 << 20, (1 << 20) + 1, 5 << 20],
)
def test_content_of_any_size_is_verbatim(export, reference_archive, size):
    (export / 'a').write_bytes(os.urandom(size))
    (export / 'b').write_bytes(b'after')
    assert pack(export) == reference_archive(export, 'S1_V01')


def test_the_archive_of_the_phantom_is_pinned(tmp_path):
    """Independent of `tarfile`, which may change with the version of Python"""
    root = tmp_path / 'visit'
    write_phantom(root, series=[LOCALIZER], rows=4, columns=4)
    (root / 'Übung').mkdir()
    (root / 'Übung' / ('x' * 101)).write_bytes(b'text')
    digest = md5(pack(root), usedforsecurity=False).hexdigest()
    assert digest == '849598583679a7d2b0fe2afbdfd5bf30'
    berlin = pack(root, zone=ZoneInfo('Europe/Berlin'))
    digest = md5(berlin, usedforsecurity=False).hexdigest()
    assert digest == '6025f3f5a365987da8cd4cc4842d72e7'


@pytest.mark.skipif('ICF_EXAMPLE_VISIT' not in os.environ, reason='no example visit')
@pytest.mark.parametrize(
    ('zone', 'expected'),
    [
        ('UTC', 'ac171c0c4ac8fb6e1bc6a3e8a2a35161'),
        ('Europe/Berlin', 'b90f3f5ee2b247bb318ef8228514a2c7'),
        ('America/New_York', '49a88466a2c4860b231193a28187f8d3'),
    ],
)
def test_the_archive_of_the_example_visit_is_pinned(tmp_path, zone, expected):
    """``ICF_EXAMPLE_VISIT`` is the directory ``dicoms`` of example-dicom-structural"""
    from datalad_icf.store import Visit, VisitPaths

    made = archive_visit(
        VisitPaths(tmp_path, Visit('study1', 'visitA')),
        tmp_path / os.environ['ICF_EXAMPLE_VISIT'],
        zone=ZoneInfo(zone),
    )
    assert made.md5 == expected


@pytest.mark.skipif(not which('tar'), reason='there is no tar')
def test_tar_lists_the_archive(archived):
    listed = subprocess.run(
        ['tar', '--utc', '--full-time', '-tvf', archived.tarball],
        check=True,
        capture_output=True,
        text=True,
    )
    assert listed.stderr == ''
    lines = listed.stdout.splitlines()
    assert len(lines) == 6
    assert lines[0].split() == [
        '-rw-r--r--',
        'root/root',
        '1406',
        '2024-02-29',
        '10:15:00',
        'S1_V01/001_localizer/0001.dcm',
    ]


@pytest.mark.skipif(not which('tar'), reason='there is no tar')
def test_tar_unpacks_the_archive_to_what_was_packed(archived, visit_files, tmp_path):
    unpacked = tmp_path / 'unpacked'
    unpacked.mkdir()
    subprocess.run(['tar', '-xf', archived.tarball, '-C', unpacked], check=True)
    compared = subprocess.run(
        ['diff', '-r', visit_files, unpacked / 'S1_V01'],
        check=False,
        capture_output=True,
    )
    assert (compared.returncode, compared.stdout) == (0, b'')


@pytest.mark.skipif(not which('md5sum'), reason='there is no md5sum')
def test_md5sum_finds_the_archive_as_it_was_written(archived):
    subprocess.run(
        ['md5sum', '--check', '--strict', archived.md5sum.name],
        cwd=archived.study_dir,
        check=True,
    )
