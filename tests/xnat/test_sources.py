"""Tarballs, directories and zips give the same images"""

from __future__ import annotations

import os
import zipfile

import pytest

from datalad_icf.errors import IcfError, MissingInputError, SourceError, TarballError
from datalad_icf.store import Visit, VisitPaths
from datalad_icf.xnat import TarballSource, ZipSource, find_sources
from demo.phantom import build_instance, encode
from tests.xnat.server.uploads import as_tar, as_zip, make_study, sop_uids, write_files

UIDS = ['SOPClassUID', 'SOPInstanceUID', 'StudyInstanceUID', 'SeriesInstanceUID']
PATIENT = {'PatientName': 'Zebedee^Zoe', 'PatientID': 'ZBD-0815'}


@pytest.fixture(params=['tarball', 'directory', 'zip', 'deflated'])
def source(request, tmp_path, put_visit, directory):
    """Makes a source of a kind"""

    def make(files):
        if request.param == 'tarball':
            return TarballSource(put_visit(files=files))
        if request.param == 'directory':
            return directory(files)
        path = tmp_path / '007.zip'
        path.write_bytes(as_zip(files, deflate=request.param == 'deflated'))
        return ZipSource(path)

    return make


def test_all_images_are_found_with_what_they_say(source, study):
    with source(study).open() as contents:
        assert {one.sop_instance_uid for one in contents.instances} == sop_uids(study)
        assert {one.series.modality for one in contents.instances} == {'MR'}
        assert {one.series.study_time for one in contents.instances} == {'101500'}
        assert {one.name for one in contents.instances} == set(study)


def test_images_are_read_as_often_as_wanted(source, study):
    with source(study).open() as contents:
        for one in contents.instances:
            for _ in range(2):
                assert b''.join(one.blocks()) == study[one.name]
            assert one.size == len(study[one.name])


def test_images_of_a_series_share_what_it_says(source, study):
    with source(study).open() as contents:
        assert len({id(one.series) for one in contents.instances}) == 2


def test_other_files_are_ignored_and_counted(source, study):
    with source({**study, 'notes.txt': b'no image', 'empty': b''}).open() as contents:
        assert len(contents.instances) == 4
        assert (contents.ignored, contents.unusable) == (2, {})


@pytest.mark.parametrize('without', [[], UIDS])
def test_a_directory_of_media_is_no_image(source, study, without):
    dicomdir = build_instance(SOPClassUID='1.2.840.10008.1.3.10')
    for keyword in without:
        del dicomdir[keyword]
    with source({**study, 'DICOMDIR': encode(dicomdir)}).open() as contents:
        assert (len(contents.instances), contents.ignored) == (4, 1)


@pytest.mark.parametrize(
    ('keyword', 'tag'),
    [
        ('SOPInstanceUID', '0008,0018'),
        ('StudyInstanceUID', '0020,000D'),
        ('SeriesInstanceUID', '0020,000E'),
    ],
)
def test_an_image_that_xnat_would_not_take_is_told(source, study, image, keyword, tag):
    with source({**study, 'odd': image(**{keyword: ''})}).open() as contents:
        assert contents.unusable == {'odd': f'it has no ({tag})'}
        assert len(contents.instances) == 4


@pytest.mark.parametrize(
    ('size', 'told'),
    [
        (132, 'its header is damaged'),
        (300, 'it has no (0008,0016)'),
        (400, 'its header is damaged'),
        (700, 'it has no (0020,000D)'),
    ],
)
def test_an_image_that_was_cut_in_its_header_is_told(source, study, image, size, told):
    with source({**study, 'cut': image(**PATIENT)[:size]}).open() as contents:
        assert list(contents.unusable) == ['cut']
        assert told in contents.unusable['cut']
        assert 'Zebedee' not in repr(contents)


def test_a_header_may_be_longer_than_what_is_read_first(source, image):
    long = image(AdditionalPatientHistory=b'x' * 20000)
    with source({'long': long}).open() as contents:
        assert len(contents.instances) == 1


def test_no_representation_has_what_names_a_patient(source):
    with source(make_study(**PATIENT, PatientBirthDate='19660606')).open() as contents:
        text = repr(contents) + repr(contents.instances)
    for secret in ('Zebedee', 'ZBD-0815', '19660606'):
        assert secret not in text


def test_descriptions_are_in_the_character_set_of_the_image(source, image):
    files = {'a': image(SeriesDescription='Übung')}
    with source(files).open() as contents:
        assert contents.instances[0].series.description == 'Übung'


def test_a_tarball_can_be_sent_as_it_is(put_visit, study):
    paths = put_visit(files=study)
    with TarballSource(paths).open() as contents:
        assert contents.whole.content_type == 'application/x-tar'
        assert b''.join(contents.whole.blocks()) == paths.tarball.read_bytes()
        assert contents.whole.size == paths.tarball.stat().st_size


def test_a_tarball_says_study_and_visit(put_visit):
    assert TarballSource(put_visit('V07')).fields == {'study': 'S1', 'visit': 'V07'}


def test_a_tarball_must_be_there(tmp_path):
    paths = VisitPaths(tmp_path, Visit('S1', 'V01'))
    with pytest.raises(MissingInputError), TarballSource(paths).open():
        pass


def test_a_damaged_tarball_is_refused(put_visit):
    paths = put_visit()
    paths.tarball.write_bytes(paths.tarball.read_bytes()[:5000])
    with pytest.raises(TarballError), TarballSource(paths).open():
        pass


def test_a_tarball_that_shrinks_while_it_is_read_is_an_error(put_visit):
    paths = put_visit()
    with TarballSource(paths).open() as contents:
        os.truncate(paths.tarball, 100)
        with pytest.raises(TarballError, match='was cut while it was sent'):
            list(contents.instances[-1].blocks())


def test_a_zip_can_be_sent_as_it_is(tmp_path, study):
    path = tmp_path / '007.zip'
    path.write_bytes(as_zip(study, deflate=True))
    with ZipSource(path).open() as contents:
        assert contents.whole.content_type == 'application/zip'
        assert b''.join(contents.whole.blocks()) == path.read_bytes()


@pytest.mark.parametrize('method', [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 'piped'])
def test_a_zip_that_xnat_cannot_read_is_made_anew(tmp_path, study, method):
    path = tmp_path / '007.zip'
    if method == 'piped':
        path.write_bytes(as_zip(study, piped=True))
    else:
        with zipfile.ZipFile(path, 'w', method) as archive:
            for name, content in study.items():
                archive.writestr(name, content)
    with ZipSource(path).open() as contents:
        assert contents.whole is None
        assert {one.sop_instance_uid for one in contents.instances} == sop_uids(study)


def test_a_zip_that_goes_away_is_an_error(tmp_path, study):
    path = tmp_path / '007.zip'
    path.write_bytes(as_zip(study))
    with ZipSource(path).open() as contents:
        path.unlink()
        with pytest.raises(SourceError, match=r'cannot read .*007\.zip'):
            list(contents.whole.blocks())


@pytest.mark.parametrize('damage', ['cut', 'text', 'header'])
def test_a_damaged_zip_is_refused(tmp_path, study, damage):
    content = as_zip(study)
    path = tmp_path / '007.zip'
    path.write_bytes(
        {
            'cut': content[: len(content) // 2],
            'text': b'no zip',
            'header': b'XX' + content[2:],
        }[damage]
    )
    with pytest.raises(SourceError, match=r'007\.zip.*damaged'), ZipSource(path).open():
        pass


def test_a_damaged_image_in_a_zip_is_an_error_when_it_is_sent(tmp_path, image):
    packed = bytearray(as_zip({'a': image() + bytes(100_000)}))
    packed[90_000] ^= 1
    path = tmp_path / '007.zip'
    path.write_bytes(packed)
    with ZipSource(path).open() as contents:
        (one,) = contents.instances
        with pytest.raises(SourceError, match='damaged'):
            list(one.blocks())


def test_an_encrypted_zip_is_refused(tmp_path, study):
    content = bytearray(as_zip(study))
    for mark, place in ((b'PK\3\4', 6), (b'PK\1\2', 8)):
        content[content.index(mark) + place] |= 1
    path = tmp_path / '007.zip'
    path.write_bytes(content)
    with pytest.raises(SourceError, match='is encrypted'), ZipSource(path).open():
        pass


def test_archives_in_a_zip_are_no_images(tmp_path, study):
    # XNAT would look into them, so the zip is not sent as it is
    path = tmp_path / '007.zip'
    path.write_bytes(as_zip({**study, 'more.tar': as_tar(make_study(visit='V02'))}))
    with ZipSource(path).open() as contents:
        assert (len(contents.instances), contents.ignored) == (4, 1)


def test_a_tree_has_a_source_for_each_session(tmp_path, study):
    for name in ('B/2', 'A/1', 'A/2'):
        write_files(tmp_path / 'tree' / name, study)
    found = find_sources(tmp_path / 'tree')
    assert [one.fields for one in found] == [
        {'subject': 'A', 'session': '1'},
        {'subject': 'A', 'session': '2'},
        {'subject': 'B', 'session': '2'},
    ]
    assert {len(list_images(one)) for one in found} == {4}


def list_images(source):
    with source.open() as contents:
        return contents.instances


def test_zips_are_sources_by_their_names_in_any_depth(tmp_path, study):
    content = as_zip(study)
    write_files(tmp_path, {'007.zip': content, 'more/008.ZIP': content})
    assert [one.fields['subject'] for one in find_sources(tmp_path)] == ['007', '008']


def test_what_file_managers_leave_is_no_file_of_a_session(tmp_path, study):
    write_files(tmp_path / 'tree/A/1', study)
    litter = {'.DS_Store': b'x', 'A/.DS_Store': b'x'}
    write_files(tmp_path / 'tree', litter)
    write_files(tmp_path / 'zips', {'a.zip': as_zip(study), '.DS_Store': b'x'})
    assert len(find_sources(tmp_path / 'tree')) == 1
    assert len(find_sources(tmp_path / 'zips')) == 1


@pytest.mark.parametrize(
    ('files', 'message'),
    [
        ({'A/image': b'x', 'A/1/image': b'x'}, 'is not in the directory of a session'),
        ({'a.zip': b'x', 'A/1/image': b'x'}, 'has zip files, and others'),
        ({}, 'there is nothing'),
        ({'.DS_Store': b'x'}, 'there is nothing'),
    ],
)
def test_a_tree_that_would_lose_files_is_refused(tmp_path, files, message):
    (tmp_path / 'tree').mkdir()
    write_files(tmp_path / 'tree', files)
    with pytest.raises(SourceError, match=message):
        find_sources(tmp_path / 'tree')


@pytest.mark.parametrize('change', ['longer', 'shorter', 'gone'])
def test_a_file_that_changes_while_it_is_sent_is_an_error(directory, study, change):
    source = directory(study)
    with source.open() as contents:
        one = contents.instances[0]
        path = source.path / one.name
        if change == 'gone':
            path.unlink()
        else:
            os.truncate(path, one.size + (10 if change == 'longer' else -10))
        with pytest.raises(SourceError):
            list(one.blocks())


@pytest.mark.skipif(os.geteuid() == 0, reason='root may read anything')
def test_a_file_that_cannot_be_read_is_an_error(directory, study):
    source = directory(study)
    (source.path / next(iter(study))).chmod(0)
    with pytest.raises(IcfError), source.open():
        pass


def test_links_are_followed_to_the_images(tmp_path, study):
    write_files(tmp_path / 'data', study)
    (tmp_path / 'tree/A').mkdir(parents=True)
    (tmp_path / 'tree/A/1').symlink_to(tmp_path / 'data')
    (found,) = find_sources(tmp_path / 'tree')
    assert len(list_images(found)) == 4


@pytest.mark.skipif(not os.path.isdir('/proc/self/fd'), reason='Linux has this list')
def test_an_open_tarball_is_closed_again(put_visit):
    source = TarballSource(put_visit())
    before = os.listdir('/proc/self/fd')
    with source.open():
        assert len(os.listdir('/proc/self/fd')) == len(before) + 1
    assert os.listdir('/proc/self/fd') == before
