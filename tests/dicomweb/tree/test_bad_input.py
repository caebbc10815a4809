"""Whatever is in a visit: converted or reported file by file, and never lost"""

from __future__ import annotations

import json
import logging
import random
from io import BytesIO

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from datalad_icf.dicomweb import rebuild_p10
from datalad_icf.dicomweb.frame_list import FrameList
from tests.dicomweb.dicom_bytes import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    JPEG,
    bundled_files,
    element,
    part10,
)
from tests.dicomweb.tree.conftest import SERIES, STUDY, make, make_frames
from tests.dicomweb.tree.tree_reader import parse_multipart, value

NAME = 'Zwetschgenmus^Ottilie'
INSTANCE = f'series/{SERIES}/instances'
GOOD = make(100)
TRUNCATED = make(1)[:-10]


def problems(report, name=None):
    return [
        (p['tag'], p['text'], p['failed'])
        for p in report.state.problems
        if name is None or p['path'] == f'S1_V01/{name}'
    ]


def bundled(name):
    with open(get_testdata_file(name), 'rb') as f:
        return f.read()


def test_a_file_that_is_cut_in_its_pixels_is_there_without_them(study):
    study.put(TRUNCATED, GOOD)
    report = study.convert()
    assert report.state.instances == 2
    tags = {tag for tag, _, _ in problems(report, '0000.dcm')}
    assert tags == {'7FE00010'}
    assert not study.path(f'{INSTANCE}/{SERIES}.1/frames').exists()
    (metadata,) = study.read(f'{INSTANCE}/{SERIES}.1/metadata')
    assert metadata['00100010']
    assert study.path(f'{INSTANCE}/{SERIES}.100/frames/1').exists()
    study.assert_consistent()


def test_a_file_that_is_cut_before_its_pixels_is_there_and_is_no_success(study):
    whole = make(1)
    study.put(whole[: whole.index(b'\x28\0\x10\0') + 9], GOOD)
    report = study.convert()
    ((tag, text, failed),) = problems(report)
    assert (tag, failed) == ('00280010', True)
    assert 'the file is cut' in text
    (metadata,) = study.read(f'{INSTANCE}/{SERIES}.1/metadata')
    assert metadata['00100010']
    assert '00280010' not in metadata
    assert report.state.instances == 2
    study.assert_consistent()


@pytest.mark.parametrize('length', [133, 300, 400, 500, 700])
def test_a_file_that_is_cut_before_its_uids_is_reported(study, length):
    study.put(make(1)[:length], GOOD)
    report = study.convert()
    ((_, text, failed),) = problems(report, '0000.dcm')
    assert failed
    assert text
    assert report.failed == report.state.problems
    assert report.state.instances == 1
    study.assert_consistent()


def test_files_of_any_length_are_converted_or_reported(study):
    whole = make(1)
    study.put(*(whole[:n] for n in range(0, len(whole), 7)), GOOD)
    report = study.convert()
    state = report.state
    told = {p['path'] for p in state.problems}
    assert len(told) + state.other_files >= len(range(0, len(whole), 7))
    assert value(study.read('index.json')[0]['00201208']) == state.instances
    study.assert_consistent()


def test_damaged_bytes_are_converted_or_reported(study):
    """Not one of many random damages loses the visit"""
    chance = random.Random(1)
    files = [p.read_bytes() for p in bundled_files() if p.stat().st_size < 20_000]
    damaged = []
    for n in range(400):
        content = bytearray(chance.choice(files))
        for _ in range(chance.randint(1, 8)):
            content[chance.randrange(132, len(content))] = chance.randrange(256)
        damaged.append((f'{n}.dcm', bytes(content)))
    study.put(*damaged, GOOD)
    report = study.convert()
    lost = [p for p in report.failed if ' are lost: ' in p['text']]
    failed = len(report.failed) - len(lost)
    same = sum('is the same file' in p['text'] for p in report.state.problems)
    found = report.state.instances + report.state.other_files + failed + same
    assert found == len(damaged) + 1
    study.assert_consistent()


def test_a_file_that_ends_while_it_is_written_is_reported(study, monkeypatch):
    """As on a disk that fails, or when somebody cuts the tarball"""
    read = FrameList.iter_frame

    def iter_frame(frames, index):
        if frames.rows == 5:
            raise EOFError
        return read(frames, index)

    monkeypatch.setattr(FrameList, 'iter_frame', iter_frame)
    odd = {'Rows': 5, 'PixelData': bytes(40)}
    study.put(make(1), make(2, **odd), make(1, series='1.2.1.2', **odd))
    report = study.convert()
    assert [p['text'] for p in report.failed] == ['is cut', 'is cut']
    assert (report.state.instances, report.state.series) == (1, 1)
    study.assert_consistent()


@pytest.mark.parametrize(
    'content',
    [b'', b'a text', bytes(1000), b'%PDF-1.7 and so on', bundled('DICOMDIR')],
    ids=['empty', 'text', 'zeros', 'pdf', 'DICOMDIR'],
)
def test_what_is_no_instance_is_counted(study, content):
    study.put(content, GOOD)
    report = study.convert()
    assert (report.state.other_files, report.state.instances) == (1, 1)
    assert report.state.problems == []


def test_a_visit_without_any_image_is_nothing_to_be_done_again(study):
    study.put(b'a text')
    assert study.convert().state.instances == 0
    assert study.listed == []
    assert not study.convert().is_new


@pytest.mark.filterwarnings('ignore:.* for VR UI')
@pytest.mark.parametrize(
    ('keyword', 'tag'),
    [
        ('StudyInstanceUID', '0020000D'),
        ('SeriesInstanceUID', '0020000E'),
        ('SOPInstanceUID', '00080018'),
    ],
)
@pytest.mark.parametrize(
    'uid',
    [
        *(None, b'', b'../..', b'..', b'abc ', b'1.2/3.4 ', b'1..2', b'.1', b'1.'),
        *(b'/etc', b'1.2\\3.4', b'1' * 66, b'-1', b'1\n', b'1.2\0\0.3'),
    ],
)
def test_uids_that_are_none_are_reported_and_lead_nowhere(
    study, image, keyword, tag, uid
):
    study.put(
        image(without=[keyword]) if uid is None else image(**{keyword: uid}), GOOD
    )
    report = study.convert()
    ((found, text, failed),) = problems(report)
    assert (found, failed) == (tag, True)
    assert keyword in text
    assert report.state.instances == 1
    assert study.listed == [STUDY]
    assert {p.name for p in study.directory.iterdir()} == {
        'V01_dicom.tar',
        'V01_dicom.tar.md5sum',
        'dicomweb',
        '.dicomweb.lock',
    }
    study.assert_consistent()


def test_a_uid_of_64_characters_is_one(study):
    uid = f'1.{"2" * 62}'
    study.put(make(1, uid=uid))
    assert study.convert().state.instances == 1
    assert study.path(f'{INSTANCE}/{uid}/metadata').exists()


def test_the_same_file_twice_is_there_once(study):
    study.put(GOOD, make(1), GOOD)
    report = study.convert()
    ((tag, text, failed),) = problems(report, '0002.dcm')
    assert (tag, failed) == ('00080018', False)
    assert "'S1_V01/0000.dcm'" in text
    assert report.state.instances == 2
    study.assert_consistent()


def test_another_image_with_the_same_uid_is_reported_and_the_first_is_kept(study):
    study.put(make(1), make(1, PixelData=bytes(32)), make(2))
    report = study.convert()
    ((tag, text, failed),) = problems(report)
    assert (tag, failed) == ('00080018', True)
    assert "'S1_V01/0000.dcm'" in text
    frame = study.path(f'{INSTANCE}/{SERIES}.1/frames/1').read_bytes()
    assert parse_multipart(frame)[2] == make_frames(1, 1)
    study.assert_consistent()


def test_the_same_uid_in_another_series_is_there_and_reported(study):
    study.put(make(1, uid='1.9'), make(1, uid='1.9', series='1.2.1.2'))
    report = study.convert()
    ((tag, text, failed),) = problems(report, '0001.dcm')
    assert (tag, failed) == ('00080018', False)
    assert 'another series' in text
    assert report.state.instances == 2
    study.assert_consistent()


def test_one_bad_element_loses_nothing_but_itself(study, image):
    uids = {'StudyInstanceUID': STUDY, 'SeriesInstanceUID': SERIES}
    study.put(image(SOPInstanceUID='1.9', DiffusionBValue=b'abcdef', **uids))
    report = study.convert()
    ((tag, _, failed),) = problems(report)
    assert (tag, failed) == ('00189087', False)
    (metadata,) = study.read(f'{INSTANCE}/1.9/metadata')
    assert metadata['00189087'] == {'vr': 'UN', 'InlineBinary': 'YWJjZGVm'}
    assert study.path(f'{INSTANCE}/1.9/frames/1').exists()
    study.assert_consistent()


@pytest.mark.parametrize(
    'syntax', [IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN, JPEG, '1.2.3', 'x', '']
)
def test_a_wrong_transfer_syntax_does_not_lose_the_visit(study, image, syntax):
    content = image()
    if syntax:
        content = part10(content[content.index(b'\x08\0\x05\0') :], syntax)
    study.put(content, GOOD)
    report = study.convert()
    assert report.state.instances + len(report.failed) == 2
    study.assert_consistent()


def test_deep_sequences_do_not_lose_the_visit(study):
    inner = b''
    for _ in range(3000):
        item = b'\xfe\xff\0\xe0' + len(inner).to_bytes(4, 'little') + inner
        inner = element(0x00081115, 'SQ', item)
    study.put(part10(inner), GOOD)
    report = study.convert()
    assert report.state.instances == 1
    assert len(report.failed) == 1


def test_no_name_of_a_person_is_in_problems_or_logs(study, caplog):
    caplog.set_level(logging.DEBUG)
    named = {'PatientName': NAME, 'InstitutionName': NAME, 'PatientComments': NAME}
    whole = make(1, **named)
    contents = [whole[:n] for n in range(200, len(whole), 11)]
    for n in range(140, len(whole), 13):
        damaged = bytearray(whole)
        damaged[n : n + 2] = b'\xfe\xff'
        contents.append(bytes(damaged))
    contents += [make(1, uid=f'1.5.{n}', **named) for n in range(2)]
    contents.append(make(1, uid='1.5.1', PixelData=bytes(32), **named))
    study.put(*contents)
    report = study.convert(thumbnails=True)
    assert len(report.state.problems) > 100
    text = json.dumps(report.state.problems) + caplog.text
    for part in NAME.split('^'):
        assert part not in text


def test_many_problems_are_kept_but_for_the_minor_ones(study, image, monkeypatch):
    monkeypatch.setattr('datalad_icf.dicomweb.visit._MAX_PROBLEMS', 3)
    study.put(*(make(1, uid=f'1.5.{n}', PixelData=b'') for n in range(5)), TRUNCATED)
    minor = [p for p in study.convert().state.problems if not p['failed']]
    assert len(minor) == 3
    study.put(*(make(1, uid=f'1.5.{n}')[:300] for n in range(5)))
    assert len(study.convert().failed) == 5


@pytest.fixture(scope='module')
def bundled_visits(tmp_path_factory):
    """All files of pydicom as visits; what is the second of its UID is in the next"""
    from tests.dicomweb.tree.conftest import Study

    left = {'/'.join(p.parts[-2:]): p.read_bytes() for p in bundled_files()}
    found = []
    while left:
        study = Study(tmp_path_factory.mktemp('bundled') / 'store')
        study.put(*left.items())
        report = study.convert(thumbnails=True)
        found.append((study, report, left))
        left = {
            name: left[name]
            for p in report.failed
            for name in (p['path'].removeprefix('S1_V01/'),)
            if 'another image' in p['text']
        }
    return found


def test_all_files_of_pydicom_are_converted_or_reported(bundled_visits):
    _, report, contents = bundled_visits[0]
    state = report.state
    failed = {p['path'].removeprefix('S1_V01/'): p['text'] for p in report.failed}
    same = [p for p in state.problems if 'is the same file' in p['text']]
    total = state.instances + state.other_files + len(failed) + len(same)
    assert total == len(contents)
    no_uid = {n for n, text in failed.items() if text == 'there is no StudyInstanceUID'}
    for name in no_uid:
        data_set = dcmread(BytesIO(contents[name]), force=True)
        assert not data_set.get('StudyInstanceUID')
    others = {text for name, text in failed.items() if name not in no_uid}
    assert all('another image' in text for text in others)
    # the directories of media, and one file that is none
    assert state.other_files == 9
    assert state.instances > 120


def test_trees_of_all_files_of_pydicom_are_consistent(bundled_visits):
    for study, _, _ in bundled_visits:
        study.assert_consistent()


def test_all_files_of_pydicom_can_be_rebuilt(bundled_visits):
    rebuilt = 0
    for study, _, contents in bundled_visits:
        for info in study.tree.rglob('info'):
            parts = info.parts
            target = BytesIO()
            rebuild_p10(study.tree, parts[-6], parts[-4], parts[-2], target)
            member = json.loads(info.read_bytes())['member']
            name = member['name'].removeprefix('S1_V01/')
            assert target.getvalue() == contents[name], name
            rebuilt += 1
    assert rebuilt > 160
