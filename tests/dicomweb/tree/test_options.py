"""What each option does to the files of a tree"""

from __future__ import annotations

import gzip
import json
import zlib
from base64 import b64encode
from io import BytesIO
from struct import pack
from urllib.request import urlopen

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from datalad_icf.dicomweb import PictureWorker, expand, rebuild_p10
from datalad_icf.errors import PictureError
from tests.catalog.conftest import serve
from tests.dicomweb.dicom_bytes import DEFLATED, bundled_files
from tests.dicomweb.tree.conftest import SERIES, STUDY, make, make_frames
from tests.dicomweb.tree.tree_reader import (
    find,
    parse_multipart,
    read_json,
    value,
)

INSTANCES = f'series/{SERIES}/instances'
FIRST = f'{INSTANCES}/{SERIES}.1'
SECRET = 'MARZIPAN'


def private(content, *, size=10, nested=False, undefined=False):
    """The file with private elements, and such in a sequence"""
    data_set = dcmread(BytesIO(content))
    targets = [data_set]
    if nested:
        item = Dataset()
        item.ReferencedSOPInstanceUID = '1.2'
        data_set.ReferencedImageSequence = [item]
        data_set['ReferencedImageSequence'].is_undefined_length = undefined
        targets.append(item)
    for target in targets:
        block = target.private_block(0x0029, f'{SECRET} HEADER', create=True)
        block.add_new(0x10, 'OB', (SECRET * 100)[:size].encode())
        block.add_new(0x11, 'LO', SECRET)
    if nested:
        inner = Dataset()
        inner.PatientComments = SECRET
        block.add_new(0x12, 'SQ', [inner])
    buffer = BytesIO()
    data_set.save_as(buffer)
    return buffer.getvalue()


def bundled(name):
    with open(get_testdata_file(name), 'rb') as f:
        return f.read()


def is_bulk(element):
    assert ('InlineBinary' in element) != ('BulkDataURI' in element)
    return 'BulkDataURI' in element


# --- sizes of bulk data


@pytest.mark.parametrize(
    ('options', 'size', 'expected'),
    [
        ({}, 64, False),
        ({}, 66, True),
        ({'private_bulk_size': 0}, 2, True),
        ({'private_bulk_size': 100}, 100, False),
        ({'private_bulk_size': 100}, 102, True),
        ({'public_bulk_size': 0}, 64, False),
    ],
)
def test_longer_private_values_are_bulk_data(study, options, size, expected):
    study.put(private(make(1), size=size))
    study.convert(**options)
    (metadata,) = study.read(f'{FIRST}/metadata')
    assert is_bulk(metadata['00291010']) == expected
    assert len(list(study.path('bulkdata').glob('*'))) == expected
    study.assert_consistent()


@pytest.mark.parametrize(
    ('options', 'size', 'expected'),
    [
        ({}, 131_074, False),
        ({}, 131_076, True),
        ({'public_bulk_size': 10}, 10, False),
        ({'public_bulk_size': 10}, 12, True),
        ({'private_bulk_size': 0}, 131_074, False),
    ],
)
def test_longer_public_values_are_bulk_data(study, options, size, expected):
    study.put(make(1, RedPaletteColorLookupTableData=bytes(size)))
    study.convert(**options)
    (metadata,) = study.read(f'{FIRST}/metadata')
    assert is_bulk(metadata['00281201']) == expected
    study.assert_consistent()


def test_equal_bulk_data_are_there_once(study):
    contents = [private(make(n), size=200) for n in range(3)]
    study.put(*contents, private(make(9), size=202))
    study.convert()
    assert len(list(study.path('bulkdata').iterdir())) == 2


# --- deduplicated metadata


def test_deduplicated_metadata_stand_for_those_of_the_series(study):
    study.put(
        make(1),
        make(2, PatientComments='only here'),
        make(3, EchoTime=None),
        private(make(4), size=200),
    )
    report = study.convert(deduplicate=True)
    short = study.read(f'series/{SERIES}/deduplicated')
    assert expand(short) == study.read(f'series/{SERIES}/metadata')
    assert len(short['instances']) == report.state.instances == 4
    assert short['instances'][0] == {'changed': {}, 'absent': []}
    changed = short['instances'][1]['changed']
    assert '00104000' in changed
    assert '00100010' not in changed
    assert '00180081' in short['instances'][2]['absent']
    study.assert_consistent()


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        ({}, (True, False)),
        ({'instances': True}, (True, False)),
        ({'deduplicate': True}, (False, True)),
        ({'deduplicate': True, 'instances': True}, (True, True)),
    ],
)
def test_metadata_of_instances_are_there_unless_deduplicated(study, options, expected):
    study.put(make(1))
    study.convert(**options)
    found = (f'{FIRST}/metadata', f'series/{SERIES}/deduplicated')
    assert tuple(study.path(name).exists() for name in found) == expected
    assert study.path(f'{FIRST}/info').exists()
    rebuild_p10(study.tree, STUDY, SERIES, f'{SERIES}.1', BytesIO())


# --- gzip


@pytest.fixture
def mixed():
    """Files with frames that are compressed, and that are not"""
    return [
        make(1, frames=2),
        make(2),
        bundled('JPEG2000.dcm'),
        bundled('image_dfl.dcm'),
    ]


def test_compressed_documents_and_frames_are_the_same(study, tmp_path, mixed):
    other = type(study)(tmp_path / 'plain' / 'store')
    for each in (study, other):
        each.put(*mixed)
        each.convert(
            gzip=each is study, deduplicate=True, instances=True, study_metadata=True
        )
        each.assert_consistent()
    found = {
        name.removesuffix('.gz'): gzip.decompress(c) if name.endswith('.gz') else c
        for name, c in study.files().items()
    }
    assert found == other.files()


def test_what_is_compressed_already_is_not_again(study, mixed):
    study.put(*mixed)
    study.convert(gzip=True)
    plain = [n for n in study.files() if not n.endswith('.gz')]
    data_set = dcmread(BytesIO(mixed[2]))
    path = f'series/{data_set.SeriesInstanceUID}/instances/{data_set.SOPInstanceUID}'
    assert plain == [f'studies/{data_set.StudyInstanceUID}/{path}/frames/1']


def test_compressed_files_have_no_time_and_no_name(study, mixed):
    study.put(*mixed)
    study.convert(gzip=True)
    packed = [c for n, c in study.files().items() if n.endswith('.gz')]
    assert packed
    for content in packed:
        # RFC 1952: no optional field, no time
        assert content[:8] == b'\x1f\x8b\x08' + bytes(5)


def test_without_the_fast_library_the_content_is_the_same(study, mixed, monkeypatch):
    study.put(*mixed)
    study.convert(gzip=True)
    fast = {n: gzip.decompress(c) for n, c in study.files().items() if 'gz' in n}
    monkeypatch.setattr('datalad_icf.dicomweb.documents._deflate', zlib)
    study.convert(gzip=True, instances=True)
    slow = {n: gzip.decompress(c) for n, c in study.files().items() if 'gz' in n}
    assert fast == slow


# --- private elements


@pytest.mark.parametrize('undefined', [True, False])
@pytest.mark.parametrize('syntax', ['', DEFLATED])
def test_no_private_element_is_anywhere(study, syntax, undefined):
    content = private(make(1), nested=True, undefined=undefined)
    if syntax:
        data_set = dcmread(BytesIO(content))
        data_set.file_meta.TransferSyntaxUID = syntax
        buffer = BytesIO()
        data_set.save_as(buffer)
        content = buffer.getvalue()
    else:
        assert content.count(SECRET.encode()) == 7
    study.put(content)
    study.convert(strip_private=True, part10=True, deduplicate=True, instances=True)
    for name, found in study.files(hidden=True).items():
        assert SECRET.encode() not in found, name
        assert b'00290010' not in found
    (metadata,) = study.read(f'{FIRST}/metadata')
    assert value(metadata['00081140'])['00081155']['Value'] == ['1.2']
    assert not [tag for tag in metadata if int(tag, 16) & 0x10000]
    study.assert_consistent()
    # what is given as the file, and what is made of the tree, are DICOM files
    _, _, part10 = parse_multipart(study.path(f'{FIRST}/index.mht').read_bytes())
    target = BytesIO()
    report = rebuild_p10(study.tree, STUDY, SERIES, f'{SERIES}.1', target)
    assert report.transformed == ('strip_private',)
    for stripped in (part10, target.getvalue()):
        data_set = dcmread(BytesIO(stripped))
        expected = dcmread(BytesIO(content))
        expected.remove_private_tags()
        assert data_set == expected
        assert data_set.file_meta.TransferSyntaxUID == (syntax or '1.2.840.10008.1.2.1')


def test_what_could_not_be_read_is_left_out_with_private_elements(study):
    whole = make(1)
    cut = whole[: whole.index(b'\xe0\x7f\x10\x00')] + b'\x29\0\x20\x10LO\xff\x0f'
    study.put(cut + 20 * SECRET.encode())
    report = study.convert()
    assert report.state.problems
    encoded = b64encode(SECRET.encode() * 3)[4:16]
    assert encoded in study.path(f'{FIRST}/info').read_bytes()
    study.convert(strip_private=True, part10=True)
    for name, found in study.files(hidden=True).items():
        assert SECRET.encode() not in found, name
        assert encoded not in found, name


def test_files_without_private_elements_are_not_changed(study):
    content = make(1)
    study.put(content)
    study.convert(strip_private=True)
    target = BytesIO()
    report = rebuild_p10(study.tree, STUDY, SERIES, f'{SERIES}.1', target)
    assert report.transformed == ()
    assert target.getvalue() == content


def test_what_may_hold_private_elements_is_left_out_with_them(study):
    content = make(1)
    secret = SECRET.encode()[:6]
    inner = b'\x09\0\x10\0' + pack('<L', 6) + secret
    item = b'\xfe\xff\0\xe0' + pack('<L', len(inner)) + inner
    # sequences that are stored as UN; of the first the dictionary knows
    hidden = b''.join(
        tag + b'UN\0\0' + pack('<L', len(item)) + item
        for tag in (b'\x08\0\x40\x11', b'\x08\0\xb1\x1b')
    )
    start = content.index(b'\x10\0\x10\0PN')
    padding = b'\xfc\xff\xfc\xffOB\0\0' + pack('<L', 6) + secret
    study.put(content[:start] + hidden + content[start:] + padding)
    study.convert(strip_private=True, part10=True, instances=True)
    for name, found in study.files(hidden=True).items():
        assert secret not in found, name
        assert b64encode(secret)[:8] not in found, name


def test_private_information_and_preamble_are_left_out(study):
    data_set = dcmread(BytesIO(make(1)))
    data_set.file_meta.PrivateInformationCreatorUID = '1.2.3.4'
    data_set.file_meta.PrivateInformation = SECRET.encode() + b' ' * (len(SECRET) % 2)
    data_set.preamble = (SECRET.encode() * 20)[:128]
    buffer = BytesIO()
    data_set.save_as(buffer)
    study.put(buffer.getvalue())
    study.convert(strip_private=True, part10=True, instances=True)
    for name, found in study.files(hidden=True).items():
        assert SECRET.encode() not in found, name
        assert b64encode(SECRET.encode())[:8] not in found, name


# --- pictures


def test_each_series_has_a_picture_of_its_middle(study):
    study.put(*(make(n) for n in (1, 2, 3)), make(1, series='1.2.1.2'))
    study.convert(thumbnails=True)
    for series in (SERIES, '1.2.1.2'):
        picture = study.path(f'series/{series}/thumbnail').read_bytes()
        assert picture.startswith(b'\xff\xd8\xff')
    (state,) = (json.loads(p.read_bytes()) for p in study.path('.icf').iterdir())
    assert state['series'][SERIES]['middle'] == f'{SERIES}.2'
    assert state['series'][SERIES]['has_thumbnail']


def test_there_are_no_pictures_if_nobody_wants_them(study):
    study.put(make(1))
    study.convert(thumbnails=False)
    assert not study.path(f'series/{SERIES}/thumbnail').exists()


def test_a_picture_that_cannot_be_made_is_a_problem_and_no_failure(study, monkeypatch):
    def refuse(*_args):
        raise PictureError('no decoder')

    monkeypatch.setattr(PictureWorker, 'make', refuse)
    study.put(make(1))
    report = study.convert(thumbnails=True)
    (problem,) = report.state.problems
    assert 'no decoder' in problem['text']
    assert not report.failed
    assert not study.path(f'series/{SERIES}/thumbnail').exists()


# --- other servers, other clients


def test_the_server_of_python_answers_searches(study):
    study.put(make(1, frames=2), make(2))
    study.convert(stock=True)
    with serve(study.tree) as port:
        for name in ('', 'series/', 'instances/', f'{INSTANCES}/'):
            url = f'http://127.0.0.1:{port}/studies/{STUDY}/{name}?limit=10'
            with urlopen(url) as response:
                assert json.load(response) == study.read(f'{name}index.json')
        with urlopen(f'http://127.0.0.1:{port}/studies') as response:
            assert value(json.load(response)[0]['0020000D']) == STUDY
        url = f'http://127.0.0.1:{port}/studies/{STUDY}/{FIRST}/frames/2'
        with urlopen(url) as response:
            assert response.read() == make_frames(1, 2)[32:]


def test_a_compressed_tree_for_that_server_has_plain_lists_too(study):
    study.put(make(1))
    study.convert(stock=True, gzip=True)
    page = study.path('series/index.html').read_bytes()
    assert page == gzip.decompress(study.path('series/index.json.gz').read_bytes())
    frame = study.path(f'{FIRST}/frames/1.gz').read_bytes()
    assert gzip.decompress(frame) == make_frames(1, 1)


def test_dicom_files_are_there_as_they_were(study):
    contents = {f'{i}': p.read_bytes() for i, p in enumerate(bundled_files())}
    study.put(*contents.items())
    report = study.convert(part10=True)
    found = list(study.tree.rglob('index.mht'))
    assert len(found) == report.state.instances
    for path in found:
        kind, syntax, data = parse_multipart(path.read_bytes())
        member = read_json(path.with_name('info'))['member']
        assert data == contents[member['name'].removeprefix('S1_V01/')]
        assert kind == 'application/dicom'
        meta = read_json(path.with_name('info'))
        assert syntax == meta['transferSyntaxUID']


def test_metadata_of_a_whole_study_are_those_of_its_series(study):
    study.put(
        private(make(2), size=100),
        private(make(1, series='1.2.1.2', SeriesNumber=9, frames=2), size=100),
    )
    for packed in (False, True):
        study.convert(study_metadata=True, gzip=packed)
        whole = study.read('metadata')
        assert [value(m['0020000E']) for m in whole] == [SERIES, '1.2.1.2']
        for each in whole:
            series = value(each['0020000E'])
            base = f'series/{series}/instances/{value(each["00080018"])}/frames'
            assert each['7FE00010']['BulkDataURI'].startswith(base)
            bulk = each['00291010']['BulkDataURI']
            assert find(study.path(bulk)).exists()
            (alone,) = study.read(f'series/{series}/metadata')
            assert {t: e for t, e in alone.items() if 'BulkDataURI' not in e} == {
                t: e for t, e in each.items() if 'BulkDataURI' not in e
            }
    study.convert()
    assert not study.path('metadata').exists()
    assert not study.path('metadata.gz').exists()
