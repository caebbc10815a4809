"""Members are found by their headers, which are read once, and few of them"""

from __future__ import annotations

import io
import tarfile
from tarfile import GNU_FORMAT, PAX_FORMAT, USTAR_FORMAT, TarInfo

import pytest

from datalad_icf.dataset.tar_walk import MemberIndex, iter_members
from datalad_icf.errors import TarballError

CONTENTS = {f'S1_V01/{n:03}.dcm': bytes([n]) * (5000 + n) for n in range(20)}
ODD = {
    'S1_V01/' + 'long/' * 60 + 'a.dcm': b'long',
    'S1_V01/a&b#c.dcm': b'a&b',
    'S1_V01/new\nline.dcm': b'newline',
    './S1_V01/dot.dcm': b'dot',
    'S1_V01/not-utf8-\udcff.dcm': b'latin',
}


class Source:
    """A tarball that counts what is read of it"""

    def __init__(self, content):
        self.content = content
        self.read = []

    def __call__(self, position, size):
        part = self.content[position : position + size]
        assert len(part) == size, 'nobody reads behind the end'
        self.read.append(size)
        return part


@pytest.fixture
def source(tar):
    return Source(tar(*CONTENTS.items()))


@pytest.fixture
def make_index(tmp_path, source):
    return lambda: MemberIndex(tmp_path / 'icf' / 'index', len(source.content))


def read(source, place):
    return source.content[place.offset : place.offset + place.size]


@pytest.mark.parametrize('format', [PAX_FORMAT, GNU_FORMAT, USTAR_FORMAT])
def test_members_are_those_that_tarfile_finds(tar, format):
    names = {**CONTENTS, **(ODD if format != USTAR_FORMAT else {})}
    directory = TarInfo('S1_V01')
    directory.type = tarfile.DIRTYPE
    content = tar((directory, b''), *names.items(), format=format)
    with tarfile.open(fileobj=io.BytesIO(content)) as file:
        expected = {m.name: (m.offset_data, m.size) for m in file if m.isreg()}
    found = {n: tuple(p) for n, p in iter_members(Source(content), len(content))}
    assert found == expected


def test_a_member_costs_a_request_and_its_header(source):
    members = list(iter_members(source, len(source.content)))
    assert len(members) == len(CONTENTS)
    assert len(source.read) <= len(CONTENTS) + 2
    assert sum(source.read) <= 1536 * (len(CONTENTS) + 2)


@pytest.mark.parametrize('name', ['S1_V01/000.dcm', 'S1_V01/019.dcm'])
def test_a_member_is_found(make_index, source, name):
    place = make_index().find(name, len(CONTENTS[name]), source)
    assert read(source, place) == CONTENTS[name]


@pytest.mark.parametrize('name', ODD, ids=ascii)
def test_an_odd_name_is_found(tar, tmp_path, name):
    source = Source(tar(*ODD.items()))
    index = MemberIndex(tmp_path / 'index', len(source.content))
    assert read(source, index.find(name, len(ODD[name]), source)) == ODD[name]


def test_the_walk_ends_where_a_member_is_found_and_goes_on_from_there(
    make_index, source
):
    index = make_index()
    index.find('S1_V01/004.dcm', 5004, source)
    assert len(source.read) == 5
    index.find('S1_V01/002.dcm', 5002, source)
    assert len(source.read) == 5
    index.find('S1_V01/006.dcm', 5006, source)
    assert len(source.read) <= 8


def test_another_process_knows_what_was_found(make_index, source):
    first, second = make_index(), make_index()
    first.find('S1_V01/009.dcm', 5009, source)
    before = len(source.read)
    for n in range(10):
        assert second.find(f'S1_V01/{n:03}.dcm', 5000 + n, source)
    assert len(source.read) == before
    second.find('S1_V01/011.dcm', 5011, source)
    again = len(source.read)
    assert first.find('S1_V01/011.dcm', 5011, source)
    assert make_index().find('S1_V01/011.dcm', 5011, source)
    assert len(source.read) == again


def test_a_name_that_is_not_there_is_looked_for_once(make_index, source):
    index = make_index()
    assert index.find('S1_V01/none.dcm', 5, source) is None
    before = len(source.read)
    assert index.find('S1_V01/other.dcm', 5, source) is None
    assert make_index().find('S1_V01/none.dcm', 5, source) is None
    assert len(source.read) == before


def test_a_member_of_another_size_is_not_the_one(make_index, source):
    assert make_index().find('S1_V01/003.dcm', 1, source) is None


@pytest.mark.parametrize(
    'end',
    [b'["S1_V01/half', b'\xff\xfe\n', b'[1, 2]\n', b'{}\n', b'[]\n' + b'x\n' * 999],
)
def test_a_damaged_end_of_the_file_is_walked_anew(make_index, source, tmp_path, end):
    make_index().find('S1_V01/004.dcm', 5004, source)
    path = tmp_path / 'icf' / 'index'
    path.write_bytes(path.read_bytes() + end)
    place = make_index().find('S1_V01/008.dcm', 5008, source)
    assert read(source, place) == CONTENTS['S1_V01/008.dcm']
    assert read(source, make_index().find('S1_V01/008.dcm', 5008, source))
    assert len(path.read_bytes().splitlines()) == 9


def test_what_was_found_before_the_connection_was_lost_is_kept(make_index, source):
    def fail(position, size):
        if len(source.read) == 5:
            raise ConnectionError
        return source(position, size)

    with pytest.raises(ConnectionError):
        make_index().find('S1_V01/019.dcm', 5019, fail)
    make_index().find('S1_V01/004.dcm', 5004, fail)


@pytest.mark.parametrize('position', [0, 5632])
def test_a_damaged_header_is_told(source, position):
    damaged = bytearray(source.content)
    damaged[position + 10 : position + 20] = b'x' * 10
    with pytest.raises(TarballError):
        list(iter_members(Source(bytes(damaged)), len(damaged)))


@pytest.mark.parametrize('size', [512, 5000, 6656])
def test_a_cut_tarball_is_told(source, size):
    cut = Source(source.content[:size])
    with pytest.raises(TarballError):
        list(iter_members(cut, size))
