from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import subprocess
import tarfile
import zipfile
from hashlib import md5
from shutil import which

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datalad_icf.dicom import TarballReader
from datalad_icf.errors import MissingInputError, TarballError

BLOCK = 512


def digest(content):
    return md5(content, usedforsecurity=False).hexdigest()


@pytest.fixture
def read(tmp_path):
    """Reads a tarball of some bytes, with all checks of what must hold for it"""

    def read_members(content):
        path = tmp_path / 'tarball'
        path.write_bytes(content)
        with TarballReader(path) as reader:
            found = []
            for member in reader.members():
                part = content[member.offset : member.offset + member.size]
                assert member.md5 == digest(part)
                assert part.startswith(member.head)
                assert len(member.head) >= min(len(part), BLOCK)
                with reader.open_member(member) as opened:
                    assert opened.read() == part
                found.append((member.name, part))
            assert reader.size == len(content)
            assert reader.finish() == digest(content)
        return found

    return read_members


CONTENTS = [
    ('S1_V01/a', b'a'),
    ('S1_V01/empty', b''),
    ('S1_V01/block', b'b' * 512),
    ('S1_V01/long', os.urandom(2_500_000)),
    ('S1_V01/' + 'd' * 80 + '/' + 'x' * 60, b'long name'),
    ('S1_V01/z', b'z'),
]


@pytest.mark.parametrize(
    'format', [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT]
)
def test_what_tarfile_writes_is_read(read, tar, format):
    assert read(tar(*CONTENTS, format=format)) == CONTENTS


@pytest.mark.skipif(not which('tar'), reason='there is no tar')
@pytest.mark.parametrize('format', ['v7', 'ustar', 'oldgnu', 'gnu', 'pax'])
def test_what_gnu_tar_writes_is_read(read, tmp_path, format):
    names = ['a', 'd/b', 'd/' + 'e' * 90 if format == 'v7' else 'd/' + 'e' * 150 + '/f']
    if format not in ('v7', 'ustar', 'oldgnu'):
        names += ['ü', 'x' * 200]
    if format == 'ustar':
        names[2] = 'e' * 90 + '/' + 'f' * 90
    for number, name in enumerate(names):
        path = tmp_path / 'S1_V01' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes([number]) * (number * 700))
    made = subprocess.run(
        ['tar', f'--format={format}', '-cf', '-', 'S1_V01'],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    if b'unrecognized' in made.stderr or b'unknown' in made.stderr.lower():
        pytest.skip('this tar has not the format')
    assert made.returncode == 0
    found = dict(read(made.stdout))
    assert sorted(found) == sorted(f'S1_V01/{name}' for name in names)
    for number, name in enumerate(names):
        assert found[f'S1_V01/{name}'] == bytes([number]) * (number * 700)


def test_a_name_that_is_no_utf8_keeps_its_bytes(read, tar):
    info = tarfile.TarInfo('S1_V01/\udcff')
    ((name, _),) = read(tar((info, b'x')))
    assert os.fsencode(name) == b'S1_V01/\xff'


@pytest.mark.parametrize('mtime', [0, -86400.0, 1537272749.94, 4102444800])
def test_the_time_of_a_member_is_read(tmp_path, tar, mtime):
    info = tarfile.TarInfo('a')
    info.mtime = mtime
    path = tmp_path / 'tarball'
    path.write_bytes(tar((info, b'x')))
    with TarballReader(path) as reader:
        assert [m.mtime for m in reader.members()] == [mtime]


def test_directories_are_passed_over(read, tar):
    directory = tarfile.TarInfo('S1_V01/d')
    directory.type = tarfile.DIRTYPE
    assert read(tar((directory, b''), ('S1_V01/d/a', b'a'))) == [('S1_V01/d/a', b'a')]


def test_a_global_header_is_passed_over(read):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w', pax_headers={'comment': 'x'}) as file:
        file.addfile(tarfile.TarInfo('a'))
    assert read(buffer.getvalue()) == [('a', b'')]


def test_a_tarball_without_members_is_read(read, tar):
    assert read(tar()) == []


def test_names_of_members_may_be_odd(read, tar):
    names = ['a\nb', '"q\'', ' ', '-x', '.hidden', '...', 'a\\b']
    assert [name for name, _ in read(tar(*((n, b'') for n in names)))] == names


def test_a_tarball_that_is_not_there_is_missing(tmp_path):
    with pytest.raises(MissingInputError, match='run icf-archive first'):
        TarballReader(tmp_path / 'nothing').__enter__()


def test_a_directory_is_no_tarball(tmp_path):
    with pytest.raises(MissingInputError, match='cannot read'):
        TarballReader(tmp_path).__enter__()


def test_progress_counts_all_bytes(tmp_path, tar):
    content = tar(*CONTENTS)
    path = tmp_path / 'tarball'
    path.write_bytes(content)
    counts = []
    with TarballReader(path, progress=counts.append) as reader:
        list(reader.members())
    assert sum(counts) == len(content)


@pytest.fixture
def refuses(read):
    """Checks that a tarball is refused, in one line, and returns that"""

    def check(content, match):
        with pytest.raises(TarballError, match=match) as caught:
            read(content)
        assert len(str(caught.value).splitlines()) == 1
        return str(caught.value)

    return check


def test_a_tarball_that_is_cut_anywhere_is_refused(read, tar):
    content = tar(('S1_V01/a', b'a' * 700), ('S1_V01/' + 'b' * 120, b'b'))
    for size in [*range(0, len(content), BLOCK), 1, 511, 513, 1023, len(content) - 1]:
        with pytest.raises(TarballError):
            read(content[:size])


def test_a_cut_in_a_member_names_it(refuses, tar):
    content = tar(('S1_V01/a', bytes(2000)))
    refuses(content[: BLOCK + 1000], "cut within 'S1_V01/a'")


def test_a_cut_at_a_member_boundary_is_refused(refuses, tar):
    content = tar(('a', bytes(512)), ('b', bytes(512)))
    refuses(content[: 4 * BLOCK], 'end a tarball are missing')


def test_one_block_of_zeros_is_no_end(refuses, tar):
    content = tar(('a', bytes(512)))
    refuses(content[: 2 * BLOCK] + bytes(BLOCK) + b'x' * BLOCK, 'only one of the two')


def test_an_end_that_is_not_padded_is_a_cut(refuses, tar):
    content = tar(('a', bytes(512)))
    refuses(content[: 4 * BLOCK], 'no multiple of 10240')


@pytest.mark.parametrize('garbage', [b'x', b'x' * 10240, bytes(10239) + b'x'])
def test_something_behind_the_end_is_refused(refuses, tar, garbage):
    refuses(tar(('a', b'x')) + garbage, 'behind its end|no multiple')


def test_two_tarballs_in_one_file_are_refused(refuses, tar):
    refuses(tar(('a', b'x')) + tar(('b', b'x')), 'behind its end')


def zipped(content):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as file:
        file.writestr('tarball', content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ('kind', 'compress'),
    [
        ('gzip', gzip.compress),
        ('bzip2', bz2.compress),
        ('xz', lzma.compress),
        ('zip', zipped),
        ('zstd', b'\x28\xb5\x2f\xfd'.__add__),
    ],
)
@pytest.mark.parametrize('size', [1, 20_000])
def test_a_compressed_tarball_is_refused(refuses, tar, kind, compress, size):
    refuses(compress(tar(('a', os.urandom(size)))), f'compressed with {kind}')


@pytest.mark.parametrize('content', [b'', b'x', b'text ' * 5000, os.urandom(10240)])
def test_what_is_no_tarball_is_refused(refuses, content):
    refuses(content, 'is cut|is damaged')


def test_a_flipped_bit_in_a_header_is_refused(refuses, tar):
    content = bytearray(tar(('S1_V01/a', b'x')))
    content[7] ^= 1
    refuses(bytes(content), 'damaged before byte 512: .*wrong checksum')


@pytest.mark.parametrize(
    'name', ['../x', 'a/../../x', 'a/..', '..', '/abs', '//x', '/', '']
)
def test_an_unsafe_name_is_refused(refuses, tar, name):
    # the name of the record, since `tarfile` changes that of the header
    info = tarfile.TarInfo('x')
    info.pax_headers = {'path': name}
    refuses(tar((info, b'x')), 'unsafe name')


@pytest.mark.parametrize('name', ['a\0b', '.', './', 'a/', '\0'])
def test_a_name_that_no_file_can_have_is_refused(refuses, tar, name):
    info = tarfile.TarInfo('x')
    info.pax_headers = {'path': name}
    refuses(tar((info, b'x')), 'unsafe name')


@pytest.mark.parametrize('other', ['S1_V01/a', './S1_V01/a', 'S1_V01//a', 'S1_V01/./a'])
def test_a_name_that_is_there_twice_is_refused(refuses, tar, other):
    refuses(tar(('S1_V01/a', b'1'), (other, b'2')), 'twice')


@pytest.mark.parametrize('names', [('d', 'd/a'), ('d/a', 'd')])
def test_a_file_that_is_a_directory_too_is_refused(refuses, tar, names):
    refuses(tar(*((name, b'x') for name in names)), "'d'")


@pytest.mark.parametrize(
    ('kind', 'shown'),
    [
        (tarfile.SYMTYPE, 'a symbolic link'),
        (tarfile.LNKTYPE, 'a hard link'),
        (tarfile.CHRTYPE, 'a device'),
        (tarfile.BLKTYPE, 'a device'),
        (tarfile.FIFOTYPE, 'a FIFO'),
        (tarfile.GNUTYPE_SPARSE, 'a sparse file'),
        (b'V', 'of the unknown type'),
    ],
)
def test_what_is_no_regular_file_is_refused(refuses, tar, kind, shown):
    info = tarfile.TarInfo('S1_V01/odd')
    info.type = kind
    info.linkname = 'a'
    assert shown in refuses(tar(('S1_V01/a', b'x'), (info, b'')), 'S1_V01/odd')


def test_a_sparse_file_of_the_pax_format_is_refused(refuses, tar):
    info = tarfile.TarInfo('S1_V01/odd')
    info.pax_headers = {'GNU.sparse.major': '1', 'GNU.sparse.minor': '0'}
    refuses(tar((info, b'x')), 'sparse')


@pytest.mark.skipif(not which('tar'), reason='there is no tar')
@pytest.mark.parametrize('format', ['gnu', 'pax'])
def test_a_sparse_file_of_gnu_tar_is_refused(refuses, tmp_path, format):
    with (tmp_path / 'sparse').open('wb') as f:
        f.truncate(10_000_000)
        f.seek(5_000_000)
        f.write(b'x')
    made = subprocess.run(
        ['tar', f'--format={format}', '--sparse', '-cf', '-', 'sparse'],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip('this tar has no sparse files')
    refuses(made.stdout, 'sparse')


@pytest.mark.parametrize(
    'record', [('size', '-1'), ('size', 'x'), ('size', '1e3'), ('mtime', 'soon')]
)
def test_a_record_that_is_no_number_is_refused(refuses, tar, record):
    info = tarfile.TarInfo('a')
    info.pax_headers = dict([record])
    refuses(tar((info, b'x')), 'is damaged|is cut')


@pytest.mark.parametrize('value', ['nan', 'inf', '-inf', '1e999'])
def test_a_time_that_json_does_not_have_is_refused(refuses, tar, value):
    info = tarfile.TarInfo('a')
    info.pax_headers = {'mtime': value}
    refuses(tar((info, b'x')), 'is damaged')


def test_an_extended_header_of_any_length_does_not_fill_the_memory(refuses):
    info = tarfile.TarInfo('x')
    info.type = tarfile.XHDTYPE
    info.size = 1 << 33
    refuses(info.tobuf(tarfile.GNU_FORMAT) + bytes(10240 - 512), 'too long')


def test_a_member_can_be_read_in_parts(tmp_path, tar):
    path = tmp_path / 'tarball'
    path.write_bytes(tar(('a', b'before'), ('b', bytes(range(200))), ('c', b'after')))
    with TarballReader(path) as reader:
        member = list(reader.members())[1]
        with reader.open_member(member) as file:
            assert file.seek(-5, os.SEEK_END) == 195
            assert file.read() == bytes(range(195, 200))
            assert file.seek(0) == 0
            assert file.read(3) == b'\0\1\2'
            assert file.seek(2, os.SEEK_CUR) == 5
            assert file.read(1) == b'\5'
            file.seek(500)
            assert file.read() == b''


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.data())
def test_a_mutated_tarball_is_read_or_refused(tmp_path, tar, data):
    content = bytearray(
        tar(
            ('S1_V01/' + 'ü' * 60, b'x' * 600),
            ('S1_V01/b', b'y'),
            format=tarfile.GNU_FORMAT,
        )
        if data.draw(st.booleans())
        else tar(('S1_V01/' + 'ü' * 60, b'x' * 600), ('S1_V01/b', b'y'))
    )
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, 3500))
        content[position] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        # reach what is behind the checksum
        for start in range(0, 3072, BLOCK):
            block = content[start : start + BLOCK]
            if block[257:262] == b'ustar':
                total = sum(block) - sum(block[148:156]) + 256
                content[start + 148 : start + 156] = b'%06o\0 ' % total
    path = tmp_path / 'tarball'
    path.write_bytes(content)
    try:
        with TarballReader(path) as reader:
            for member in reader.members():
                assert 0 <= member.offset <= member.offset + member.size <= reader.size
                assert '..' not in member.name.split('/')
    except TarballError:
        pass
