"""Odd input of the metadata, a section for each row of the table of requirements"""

from __future__ import annotations

import gzip
import json
import os
import tarfile
from contextlib import contextmanager
from resource import RLIMIT_FSIZE, getrlimit, setrlimit

import pytest

from datalad_icf.dicom import archive_visit, deposit_metadata
from datalad_icf.dicom.header import find_attribute
from datalad_icf.errors import (
    BusyError,
    ConflictError,
    MetadataError,
    MissingInputError,
    StoreAccessError,
    StoreWriteError,
    TarballError,
)
from datalad_icf.store import (
    Visit,
    VisitPaths,
    draft_file,
    read_instances,
    read_tarball_metadata,
)

DEFAULT = [
    'SeriesDescription',
    'SeriesNumber',
    'Modality',
    'MRAcquisitionType',
    'ProtocolName',
    'PulseSequenceName',
]


def no_constant(name):
    raise AssertionError(name)


def load(path):
    """Read JSON as strictly as other languages do"""
    return json.loads(path.read_bytes(), parse_constant=no_constant)


@pytest.fixture
def described(put_tarball, tar, image):
    """Describes a tarball with one image, and returns the report and its metadata"""

    def describe(**attributes):
        paths = put_tarball(tar(('S1_V01/a', image(**attributes))))
        report = deposit_metadata(paths)
        (record,) = load(paths.dicoms_metadata)
        return report, record

    return describe


@pytest.fixture
def refuses(paths, files_in):
    """Checks that metadata are refused, with nothing changed in the store"""

    def check(error, match, **kwargs):
        before = [(n, (paths.store_dir / n).stat()) for n in files_in(paths.store_dir)]
        before = {
            n: (s.st_size, s.st_mtime_ns, s.st_ino) for n, s in before if '.' in n
        }
        with pytest.raises(error, match=match) as caught:
            deposit_metadata(paths, **kwargs)
        assert len(str(caught.value).splitlines()) == 1
        after = [(n, (paths.store_dir / n).stat()) for n in files_in(paths.store_dir)]
        after = {n: (s.st_size, s.st_mtime_ns, s.st_ino) for n, s in after if '.' in n}
        assert after == before

    return check


# MultiValue (`\` in SeriesDescription, SeriesNumber `1\2`)


@pytest.mark.parametrize(
    ('keyword', 'raw', 'expected'),
    [
        ('SeriesDescription', 'a\\b', ['a', 'b']),
        ('SeriesNumber', '1\\2', [1, 2]),
        ('ProtocolName', 'a\\', ['a', '']),
    ],
)
def test_several_values_are_a_list(described, keyword, raw, expected):
    assert described(**{keyword: raw})[1][keyword] == expected


# dicoms.json exists, tarball.json not (and the other way round)


@pytest.mark.parametrize('name', ['dicoms_metadata', 'tarball_metadata'])
def test_one_lost_metadata_file_is_written_again(archived, name):
    first = deposit_metadata(archived)
    lost = getattr(archived, name)
    content = lost.read_bytes()
    lost.unlink()
    made = deposit_metadata(archived)
    assert not made.is_new
    assert made.restored == [lost.name]
    assert lost.read_bytes() == content
    assert made.tarball == first.tarball


@pytest.mark.parametrize('name', ['dicoms_metadata', 'tarball_metadata'])
def test_one_metadata_file_of_another_tarball_is_refused(
    archived, refuses, image, put_tarball, tar, name
):
    deposit_metadata(archived)
    getattr(archived, name).unlink()
    put_tarball(tar(('S1_V01/a', image(SeriesNumber=99))))
    refuses(ConflictError, '--existing replace')


def test_a_damaged_file_of_metadata_is_refused(archived, refuses):
    archived.dicoms_metadata.write_text('[{"path": "trunc')
    refuses(MetadataError, 'damaged.*--existing replace')


# IS abc / NaN / 1.5 / empty; absent tag


@pytest.mark.parametrize(
    ('raw', 'expected'),
    [(b'abc', 'abc'), (b'NaN', 'NaN'), (b'1.5', 1.5), (b'', None), ('7', 7)],
)
def test_a_series_number_of_any_kind_is_recorded(described, raw, expected):
    assert described(SeriesNumber=raw)[1]['SeriesNumber'] == expected


def test_an_absent_attribute_is_an_empty_text(described):
    record = described(without=DEFAULT)[1]
    assert [record[keyword] for keyword in DEFAULT] == [''] * 6


def test_there_is_never_a_number_that_json_does_not_have(put_tarball, tar, image):
    info = tarfile.TarInfo('S1_V01/a')
    info.pax_headers = {'mtime': 'nan'}
    paths = put_tarball(tar((info, image())))
    with pytest.raises(TarballError, match='is damaged'):
        deposit_metadata(paths)
    assert not paths.tarball_metadata.exists()


# wrong charset, non-ASCII


def test_text_in_the_wrong_character_set_is_told_with_the_file(put_tarball, tar, image):
    content = image(SeriesDescription='Übung').replace(b'ISO_IR 100', b'ISO_IR 192')
    paths = put_tarball(tar(('S1_V01/a', content), ('S1_V01/b', content)))
    (warning,) = deposit_metadata(paths).warnings
    assert "'S1_V01/a' and 1 more files" in warning
    assert load(paths.dicoms_metadata)[0]['SeriesDescription'] == '\ufffdbung'


def test_text_that_is_not_ascii_is_escaped(described, paths):
    report, record = described(SeriesDescription='Übung')
    assert report.warnings == []
    assert record['SeriesDescription'] == 'Übung'
    assert paths.dicoms_metadata.read_bytes().isascii()


# .md5sum disagrees with the tar


def test_a_digest_of_another_tarball_is_refused(archived, refuses):
    archived.md5sum.write_text(f'{"0" * 32}  {archived.tarball.name}\n')
    refuses(MetadataError, 'is not what .*md5sum says')


def test_a_tarball_with_a_flipped_bit_is_refused(archived, refuses):
    content = bytearray(archived.tarball.read_bytes())
    content[-12000] ^= 1
    archived.tarball.write_bytes(content)
    refuses((MetadataError, TarballError), 'nothing was deposited')


def test_a_digest_file_that_is_none_is_refused(archived, refuses):
    archived.md5sum.write_text('no digest')
    refuses(MetadataError, 'not a line as md5sum writes it')


def test_a_tarball_without_a_digest_is_described_with_a_warning(archived):
    archived.md5sum.unlink()
    (warning,) = deposit_metadata(archived).warnings
    assert archived.md5sum.name in warning


# tar cut in a member / at a member boundary


def cut_in_a_member(tar, image):
    return tar(('S1_V01/a', image()), ('S1_V01/b', bytes(9000)))[: 8 * 512]


def cut_at_a_member_boundary(tar, image):
    return tar(('S1_V01/a', bytes(512)), ('S1_V01/b', image()))[: 2 * 512]


def cut_in_the_end(tar, image):
    return tar(('S1_V01/a', bytes(512)))[: 4 * 512]


# `../x`, `/abs`, duplicate names, devices, links, gzip named .tar


def unsafe(tar, image):
    return tar(('S1_V01/a', image()), ('../x', image()))


def absolute(tar, image):
    info = tarfile.TarInfo('x')
    info.pax_headers = {'path': '/abs'}
    return tar(('S1_V01/a', image()), (info, image()))


def duplicate(tar, image):
    return tar(('S1_V01/a', image()), ('S1_V01/a', image()))


def special(kind):
    def make(tar, image):
        info = tarfile.TarInfo('S1_V01/odd')
        info.type, info.linkname = kind, 'a'
        return tar(('S1_V01/a', image()), (info, b''))

    return make


def compressed(tar, image):
    return gzip.compress(tar(('S1_V01/a', os.urandom(9000))))


BAD_TARBALLS = {
    'cut in a member': cut_in_a_member,
    'cut at a member boundary': cut_at_a_member_boundary,
    'cut in the end': cut_in_the_end,
    '../x': unsafe,
    '/abs': absolute,
    'duplicate names': duplicate,
    'device': special(tarfile.CHRTYPE),
    'symbolic link': special(tarfile.SYMTYPE),
    'hard link': special(tarfile.LNKTYPE),
    'FIFO': special(tarfile.FIFOTYPE),
    'gzip named .tar': compressed,
}


@pytest.mark.parametrize('make', BAD_TARBALLS.values(), ids=BAD_TARBALLS)
def test_a_bad_tarball_is_refused_and_nothing_is_left(
    put_tarball, tar, image, refuses, make
):
    put_tarball(make(tar, image))
    refuses(TarballError, 'nothing was deposited')


@pytest.mark.parametrize('make', BAD_TARBALLS.values(), ids=BAD_TARBALLS)
def test_a_bad_tarball_replaces_nothing(
    archived, put_tarball, tar, image, refuses, make
):
    deposit_metadata(archived)
    put_tarball(make(tar, image))
    refuses(TarballError, 'nothing was deposited', replace=True)


# non-UTF-8 member name


def test_a_name_that_is_no_utf8_comes_back(put_tarball, tar, image):
    paths = put_tarball(tar(('S1_V01/\udcff', image())))
    deposit_metadata(paths)
    (instance,) = read_instances(paths.dicoms_metadata)
    assert os.fsencode(instance.path) == b'S1_V01/\xff'


# what is written


def test_the_fields_of_the_tools_before_this_one_are_there(archived):
    deposit_metadata(archived)
    tarball = load(archived.tarball_metadata)
    assert list(tarball)[:4] == ['size', 'md5', 'dspath', 'storepath']
    assert tarball['dspath'] == 'icf/V01_dicom.tar'
    assert tarball['storepath'] == 'S1/V01_dicom.tar'
    for record in load(archived.dicoms_metadata):
        assert list(record) == ['path', 'md5', 'size', *DEFAULT, 'offset']


def test_metadata_are_those_of_the_image(described, tar, image):
    report, record = described()
    assert {k: record[k] for k in DEFAULT} == {
        'SeriesDescription': 'anat-T1w',
        'SeriesNumber': 2,
        'Modality': 'MR',
        'MRAcquisitionType': '3D',
        'ProtocolName': 't1_mprage_sag',
        'PulseSequenceName': 'tfl',
    }
    content = tar(('S1_V01/a', image()))
    assert content[record['offset'] :][: record['size']] == image()
    assert report.tarball.instances == 1


def test_files_that_are_no_dicom_have_no_metadata(archived):
    report = deposit_metadata(archived)
    assert (report.tarball.instances, report.other_files) == (5, 1)
    names = [record['path'] for record in load(archived.dicoms_metadata)]
    assert 'S1_V01/scan-notes.txt' not in names


def test_a_broken_header_has_no_attributes_and_is_told(put_tarball, tar):
    paths = put_tarball(tar(('S1_V01/a', bytes(128) + b'DICM')))
    report = deposit_metadata(paths)
    (warning,) = report.warnings
    assert "'S1_V01/a': its header is cut or broken" in warning
    assert load(paths.dicoms_metadata)[0]['Modality'] == ''


@pytest.mark.parametrize(
    'syntax', ['1.2.840.10008.1.2', '1.2.840.10008.1.2.2', '1.2.840.10008.1.2.1.99']
)
def test_metadata_do_not_depend_on_the_encoding(described, syntax):
    report, record = described(syntax=syntax)
    assert report.warnings == []
    assert (record['SeriesNumber'], record['PulseSequenceName']) == (2, 'tfl')


def test_the_time_of_the_tarball_is_the_latest_of_its_members(put_tarball, tar, image):
    members = []
    for number, mtime in enumerate((-5.0, -1.5, -3.0)):
        info = tarfile.TarInfo(f'S1_V01/{number}')
        info.mtime = mtime
        members.append((info, image()))
    paths = put_tarball(tar(*members))
    assert deposit_metadata(paths).tarball.mtime == -1.5


def test_a_tarball_without_images_has_empty_metadata(put_tarball, tar):
    paths = put_tarball(tar(('S1_V01/a', b'text')))
    report = deposit_metadata(paths)
    assert report.is_new
    assert load(paths.dicoms_metadata) == []


def test_nothing_that_names_a_patient_is_recorded(described, paths):
    described(
        PatientName='SECRET^NAME', PatientID='SECRET', PatientBirthDate='19660606'
    )
    for path in paths.study_dir.glob('*.json'):
        text = path.read_text()
        assert 'SECRET' not in text
        assert '19660606' not in text


def test_more_attributes_are_recorded_on_request(archived):
    attributes = tuple(find_attribute(k) for k in (*DEFAULT, 'EchoTime'))
    deposit_metadata(archived, attributes=attributes)
    assert load(archived.dicoms_metadata)[0]['EchoTime'] == 4.0


# running it again


def test_a_tarball_that_is_not_there_is_missing(paths):
    with pytest.raises(MissingInputError, match=r'run icf-archive first|not there'):
        deposit_metadata(paths)
    assert not paths.store_dir.exists()


def test_equal_metadata_are_left_as_they_are(archived):
    deposit_metadata(archived)
    before = [p.stat() for p in sorted(archived.study_dir.iterdir())]
    made = deposit_metadata(archived)
    assert not made.is_new
    assert [p.stat() for p in sorted(archived.study_dir.iterdir())] == before


def test_a_tarball_that_did_not_change_is_not_read_again(archived):
    deposit_metadata(archived)

    @contextmanager
    def progress(*_):
        raise AssertionError
        yield

    assert not deposit_metadata(archived, progress=progress).is_new


def test_a_tarball_that_was_touched_is_read_again(archived):
    deposit_metadata(archived)
    content = bytearray(archived.tarball.read_bytes())
    times = archived.tarball.stat()
    content[-12000] ^= 1
    archived.tarball.write_bytes(content)
    os.utime(archived.tarball, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises((MetadataError, TarballError)):
        deposit_metadata(archived)


def test_metadata_of_other_keywords_are_refused(archived, refuses):
    deposit_metadata(archived)
    refuses(
        ConflictError, '--existing replace', attributes=(find_attribute('EchoTime'),)
    )


def test_metadata_of_another_tarball_are_refused(
    archived, refuses, put_tarball, tar, image
):
    deposit_metadata(archived)
    put_tarball(tar(('S1_V01/a', image())))
    refuses(ConflictError, '--existing replace')


def test_metadata_of_another_tarball_are_replaced_on_request(
    archived, put_tarball, tar, image
):
    deposit_metadata(archived)
    put_tarball(tar(('S1_V01/a', image())))
    made = deposit_metadata(archived, replace=True)
    assert made.is_new
    assert len(load(archived.dicoms_metadata)) == 1
    assert not deposit_metadata(archived).is_new


def test_equal_metadata_are_not_replaced(archived):
    deposit_metadata(archived)
    before = [p.stat() for p in sorted(archived.study_dir.iterdir())]
    made = deposit_metadata(archived, replace=True)
    assert not made.is_new
    assert [p.stat() for p in sorted(archived.study_dir.iterdir())] == before


def test_metadata_that_are_damaged_are_replaced_on_request(archived):
    archived.dicoms_metadata.write_text('[')
    assert deposit_metadata(archived, replace=True).is_new
    assert len(load(archived.dicoms_metadata)) == 5


@pytest.fixture
def of_older_tools(archived):
    """Metadata without the fields that only this package writes"""
    deposit_metadata(archived)
    tarball = load(archived.tarball_metadata)
    instances = load(archived.dicoms_metadata)
    old = {k: tarball[k] for k in ('size', 'md5', 'dspath', 'storepath')}
    for instance in instances:
        del instance['offset']
    archived.tarball_metadata.write_text(json.dumps(old, indent=4))
    archived.dicoms_metadata.write_text(json.dumps(instances))
    return archived


def test_metadata_of_older_tools_are_equal(of_older_tools):
    before = [p.read_bytes() for p in sorted(of_older_tools.study_dir.iterdir())]
    made = deposit_metadata(of_older_tools)
    assert not made.is_new
    assert made.restored == []
    assert [
        p.read_bytes() for p in sorted(of_older_tools.study_dir.iterdir())
    ] == before


def test_metadata_of_older_tools_are_read(of_older_tools):
    assert read_tarball_metadata(of_older_tools.tarball_metadata).instances is None
    instances = read_instances(of_older_tools.dicoms_metadata)
    assert [i.offset for i in instances] == [None] * 5


def test_one_lost_file_of_older_tools_is_written_again(of_older_tools):
    of_older_tools.tarball_metadata.unlink()
    made = deposit_metadata(of_older_tools)
    assert made.restored == [of_older_tools.tarball_metadata.name]
    # the two fit, though one of them is of another tool
    metadata = read_tarball_metadata(of_older_tools.tarball_metadata)
    assert len(read_instances(of_older_tools.dicoms_metadata, metadata.dicoms_md5)) == 5


def test_metadata_of_older_tools_are_replaced_on_request(of_older_tools):
    assert deposit_metadata(of_older_tools, replace=True).is_new
    assert load(of_older_tools.dicoms_metadata)[0]['offset'] == 1536


# faults


def test_a_full_disk_leaves_nothing_and_the_next_run_works(
    put_tarball, tar, image, refuses
):
    content = image()
    paths = put_tarball(tar(*((f'S1_V01/{i:04d}', content) for i in range(300))))
    old = getrlimit(RLIMIT_FSIZE)
    setrlimit(RLIMIT_FSIZE, (20_000, old[1]))
    try:
        refuses(StoreWriteError, 'File too large')
    finally:
        setrlimit(RLIMIT_FSIZE, old)
    assert deposit_metadata(paths).is_new


def test_a_second_run_at_once_is_refused(archived):
    with (
        draft_file(archived.dicoms_metadata),
        pytest.raises(BusyError, match='another process'),
    ):
        deposit_metadata(archived)
    assert deposit_metadata(archived).is_new


def test_a_draft_that_cannot_be_made_is_an_error_of_the_store(archived, refuses):
    """A directory in place of the draft: what root cannot write to, either"""
    (archived.study_dir / f'.{archived.dicoms_metadata.name}.part').mkdir()
    refuses(StoreAccessError, 'cannot write to')


@pytest.mark.skipif(os.geteuid() == 0, reason='root may write anywhere')
def test_a_read_only_store_is_refused(archived):
    archived.study_dir.chmod(0o555)
    try:
        with pytest.raises(StoreAccessError):
            deposit_metadata(archived)
    finally:
        archived.study_dir.chmod(0o755)


def test_a_tarball_that_shrinks_meanwhile_is_refused(put_tarball, tar, refuses):
    paths = put_tarball(tar(('S1_V01/a', bytes(4 << 20)), ('S1_V01/b', b'')))

    @contextmanager
    def progress(*_):
        def advance(_):
            if paths.tarball.stat().st_size > 2 << 20:
                os.truncate(paths.tarball, 2 << 20)

        yield advance

    with pytest.raises(TarballError, match='cut'):
        deposit_metadata(paths, progress=progress)
    assert not list(paths.study_dir.glob('*.json'))


def test_a_tarball_of_another_visit_is_warned_about(tmp_path, visit_files):
    """With its digest file: it is whole, and at the wrong place"""
    paths, other = (
        VisitPaths(tmp_path / 'other', Visit('S1', visit_id))
        for visit_id in ('V01', 'V02')
    )
    archive_visit(other, visit_files)
    other.tarball.rename(paths.tarball)
    (warning,) = [w for w in deposit_metadata(paths).warnings if 'S1_V01/' in w]
    assert "'S1_V02/" in warning
    assert 'another visit' in warning
