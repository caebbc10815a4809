from __future__ import annotations

import tarfile
from contextlib import suppress
from hashlib import md5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datalad_icf.dicom.tar_format import (
    build_member_header,
    parse_member_header,
    parse_records,
)
from datalad_icf.errors import TarballError


def tarfile_header(name: str, size: int, mtime: float) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    info.mtime = mtime
    info.mode = 0o644
    info.uname = info.gname = 'root'
    return info.tobuf(tarfile.PAX_FORMAT, 'utf-8', 'surrogateescape')


NAMES = {
    'short': 'S1_V01/a.dcm',
    '100 characters': 'x' * 100,
    '101 characters': 'x' * 101,
    '100 characters and a directory': 'd/' + 'x' * 98,
    'longer than the prefix of ustar': 'd/' * 200 + 'x',
    'path of 1,100 characters': '/'.join(['x' * 54] * 20),
    'non-ASCII': 'S1_V01/Übung.dcm',
    'non-ASCII over 100 characters': 'ü' * 101,
    'bytes that are no UTF-8': 'S1_V01/\udcfc.dcm',
    'bytes that are no UTF-8 over 100': 'ü\udcff' * 60,
    'newline': 'S1_V01/a\nb',
    'quotes': 'S1_V01/"a\'',
    'equals sign': 'a=b',
}
TIMES = {
    'fraction': 1537272749.94,
    'whole': 1374070500.0,
    'half rounds to even': 1374070500.5,
    'half rounds to even again': 1374070501.5,
    'before 1970': -86400.0,
    'just before 1970': -0.25,
    'after 2038': 4102444800.0,
    'more than 11 octal digits': 8589934592.0,
    'rounds to more than 11 octal digits': 8589934591.75,
    'year 1': -62135596800.0,
}


@pytest.mark.parametrize('name', NAMES.values(), ids=NAMES)
def test_a_name_is_written_as_tarfile_does(name):
    assert build_member_header(name, 5, 1.5) == tarfile_header(name, 5, 1.5)


@pytest.mark.parametrize('mtime', TIMES.values(), ids=TIMES)
def test_a_time_is_written_as_tarfile_does(mtime):
    assert build_member_header('a', 5, mtime) == tarfile_header('a', 5, mtime)


@pytest.mark.parametrize('size', [0, 1, 8**11 - 1, 8**11, 1 << 40])
def test_a_size_is_written_as_tarfile_does(size):
    assert build_member_header('a', size, 0.0) == tarfile_header('a', size, 0.0)


@given(
    st.binary(min_size=1, max_size=300).map(
        lambda name: name.replace(b'\0', b'/').decode('utf-8', 'surrogateescape')
    ),
    st.integers(0, 1 << 42),
    st.floats(-62135596800, 253402300799),
)
def test_any_header_is_written_as_tarfile_does(name, size, mtime):
    name = f'S1_V01/{name.strip("/")}'
    assert build_member_header(name, size, mtime) == tarfile_header(name, size, mtime)


def test_the_bytes_of_a_header_are_pinned():
    """Independent of `tarfile`, which may change with the version of Python"""
    header = build_member_header('S1_V01/Übung \udcff.dcm', 1406, 1709201700.5)
    assert len(header) == 1536
    digest = md5(header, usedforsecurity=False).hexdigest()
    assert digest == 'd50b5b73ed5bb95d897a70f7fc79199c'


def test_records_come_back_as_they_were_written():
    header = build_member_header('\udcff' * 90, 8**11, -1.5)
    size = parse_member_header(header[:512]).size
    assert parse_records(header[512 : 512 + size]) == {
        b'hdrcharset': b'BINARY',
        b'path': b'\xff' * 90,
        b'size': b'8589934592',
        b'mtime': b'-1.5',
    }


@pytest.mark.parametrize(
    ('size', 'mtime'),
    [(8**11, 0), (1 << 62, 0), (0, -1), (0, -(1 << 40)), (0, 8**11), (5, 1374070500)],
)
def test_numbers_of_gnu_tar_are_read(size, mtime):
    info = tarfile.TarInfo('a')
    info.size, info.mtime = size, mtime
    header = parse_member_header(info.tobuf(tarfile.GNU_FORMAT))
    assert (header.size, header.mtime) == (size, mtime)


def test_the_prefix_of_ustar_is_read():
    info = tarfile.TarInfo('d' * 60 + '/' + 'x' * 60)
    header = parse_member_header(info.tobuf(tarfile.USTAR_FORMAT))
    assert header.name.decode() == info.name


def test_a_wrong_checksum_is_refused():
    block = bytearray(tarfile.TarInfo('a').tobuf(tarfile.USTAR_FORMAT))
    block[0] ^= 1
    with pytest.raises(TarballError, match='wrong checksum'):
        parse_member_header(bytes(block))


@given(st.binary(min_size=512, max_size=512))
def test_a_block_of_noise_is_refused(block):
    with pytest.raises(TarballError):
        parse_member_header(block)


@pytest.mark.parametrize(
    'data',
    [
        b'x',
        b'5 a=b\n',
        b'99 a=b\n',
        b'6 a=bc',
        b'6 abc\n',
        b' a=b\n',
        b'-6 a=b\n',
        b'0 a=b\n',
        b'6 a=b\n\0\0',
    ],
)
def test_broken_records_are_refused(data):
    with pytest.raises(TarballError, match='extended header is broken'):
        parse_records(data)


@given(st.binary(max_size=60))
def test_records_of_noise_are_read_or_refused(data):
    with suppress(TarballError):
        assert isinstance(parse_records(data), dict)
