"""Zips are read by Python's zipfile, and from the front as XNAT does"""

from __future__ import annotations

import io
import random
import struct
import sys
import tracemalloc
import zipfile

import pytest

from datalad_icf.xnat import zip_stream
from datalad_icf.xnat.zip_stream import ZipEntry, iter_zip
from tests.xnat.server.members import iter_members

FILES = {
    'empty': b'',
    'one': b'\x07',
    'zeros': bytes(100_000),
    'noise': random.Random(1).randbytes(100_000),
    # larger than what is kept in memory
    'large': random.Random(2).randbytes(3000) * 3000,
}


def entry(name: str, content: bytes, block: int = 1 << 20) -> ZipEntry:
    def blocks():
        for start in range(0, len(content), block):
            yield content[start : start + block]

    return ZipEntry(name, len(content), blocks)


def pack(files, **kwargs) -> bytes:
    return b''.join(iter_zip([entry(k, v) for k, v in files.items()], **kwargs))


@pytest.fixture(params=[False, True], ids=['stored', 'deflated'])
def packed(request) -> bytes:
    return pack(FILES, deflate=request.param)


def test_zipfile_finds_all_files_sound(packed):
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert archive.testzip() is None
        assert {one: archive.read(one) for one in archive.namelist()} == FILES


def test_a_reader_from_the_front_finds_all_files(packed):
    assert dict(iter_members(io.BytesIO(packed), 'zip')) == FILES


def test_sizes_stand_in_front_of_each_file(packed):
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        for info in archive.infolist():
            head = struct.unpack_from('<HHHHHIII', packed, info.header_offset + 4)
            assert not head[1] & 0x08
            assert head[-3:] == (info.CRC, info.compress_size, info.file_size)


def test_local_header_and_directory_say_the_same_of_a_file(packed):
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        for info in archive.infolist():
            method = struct.unpack_from('<H', packed, info.header_offset + 8)
            assert method == (info.compress_type,)
            # as `unzip -l` shows it; nothing of the files
            assert info.date_time == (1980, 1, 1, 0, 0, 0)


def test_no_file_gets_larger_by_compression():
    with zipfile.ZipFile(io.BytesIO(pack(FILES, deflate=True))) as archive:
        kinds = {one.filename: one.compress_type for one in archive.infolist()}
    assert kinds == {
        'empty': zipfile.ZIP_STORED,
        'one': zipfile.ZIP_STORED,
        'zeros': zipfile.ZIP_DEFLATED,
        'noise': zipfile.ZIP_STORED,
        'large': zipfile.ZIP_STORED,
    }


def test_zeros_get_smaller():
    assert len(pack({'a': bytes(100_000)}, deflate=True)) < 5000


def test_without_isal_the_zlib_of_python_compresses(monkeypatch):
    monkeypatch.setitem(sys.modules, 'isal.isal_zlib', None)
    content = pack({'a': bytes(100_000)}, deflate=True)
    assert len(content) < 5000
    assert dict(iter_members(io.BytesIO(content), 'zip')) == {'a': bytes(100_000)}


def test_a_zip_of_nothing_is_a_zip():
    assert zipfile.ZipFile(io.BytesIO(pack({}))).namelist() == []


def test_the_same_files_make_the_same_zip():
    assert pack(FILES) == pack(FILES)


def test_small_files_go_together():
    small = [entry(f'{i}', bytes(1000)) for i in range(600)]
    assert 2 <= len(list(iter_zip(small))) <= 4


@pytest.mark.parametrize('count', [2, 3, 4])
def test_there_may_be_more_files_than_two_bytes_can_count(monkeypatch, count):
    monkeypatch.setattr(zip_stream, '_MANY', 3)
    files = {f'{i}': b'' for i in range(count)}
    content = pack(files)
    assert dict(iter_members(io.BytesIO(content), 'zip')) == files
    assert zipfile.ZipFile(io.BytesIO(content)).namelist() == list(files)
    assert (b'PK\6\6' in content) is (count >= 3)
    assert (content[-12:-10] == b'\xff\xff') is (count >= 3)


@pytest.mark.parametrize('limit', [20, 100, 150, 100_000, 100_001, 100_200])
def test_fields_of_zip64_are_used_from_a_limit_on(monkeypatch, limit):
    # it is 4 GB, and 2 GB for the library
    monkeypatch.setattr(zip_stream, '_LARGE', limit)
    monkeypatch.setattr(zipfile, 'ZIP64_LIMIT', limit // 2)
    files = {k: v for k, v in FILES.items() if len(v) <= 100_000}
    content = pack(files)
    assert b'PK\6\6' in content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert {one: archive.read(one) for one in archive.namelist()} == files
        versions = {one.filename: one.extract_version for one in archive.infolist()}
    assert dict(iter_members(io.BytesIO(content), 'zip')) == files
    assert (versions['zeros'] == 45) is (limit <= 100_000)


def test_a_large_file_is_never_in_memory():
    large = ZipEntry('large', 64 << 20, lambda: (bytes(1 << 20) for _ in range(64)))
    tracemalloc.start()
    try:
        assert sum(map(len, iter_zip([large], deflate=True))) > 64 << 20
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20
