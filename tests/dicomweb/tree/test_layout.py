"""What is in a tree, read by addresses, and with the parsers of others"""

from __future__ import annotations

import os
import random

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from datalad_icf.dicomweb import convert_visit
from datalad_icf.dicomweb.model import PIXEL_DATA
from datalad_icf.dicomweb.visit import TreeOptions
from tests.dicomweb.dicom_bytes import bundled_files
from tests.dicomweb.tree.conftest import SERIES, STUDY, make, make_frames
from tests.dicomweb.tree.tree_reader import (
    files,
    iter_uris,
    names,
    parse_multipart,
    read,
    read_json,
    resolve,
    value,
)

OTHER = '1.2.1.2'
BULK = bytes(range(200)) * 700


@pytest.fixture
def two_series(study):
    """A series of two images, one of a multi-frame image and a report, and a text"""
    report = make(2, series=OTHER, SeriesNumber=9, Modality='SR', PixelData=None)
    study.put(
        make(10, SeriesNumber=10),
        make(9, SeriesNumber=10, RedPaletteColorLookupTableData=BULK),
        make(1, series=OTHER, SeriesNumber=9, frames=3, Modality='CT'),
        report,
        b'a text, and nothing else',
    )
    study.report = study.convert(study_metadata=True)
    return study


def test_all_resources_are_there(two_series):
    instance = f'series/{SERIES}/instances/{SERIES}.9'
    for name in (
        'index.json',
        'metadata',
        'series/index.json',
        'instances/index.json',
        f'series/{SERIES}/metadata',
        f'series/{SERIES}/instances/index.json',
        f'{instance}/metadata',
        f'{instance}/info',
    ):
        assert two_series.read(name), name
    assert (two_series.tree / 'studies' / 'index.json').is_file()
    assert (two_series.tree / '.htaccess').is_file()
    assert two_series.path(f'{instance}/frames/1').is_file()
    assert len(list(two_series.path('bulkdata').iterdir())) == 1
    two_series.assert_consistent()


def test_nothing_else_is_there(two_series):
    found = {path.name for path in two_series.directory.iterdir()}
    assert found == {
        'V01_dicom.tar',
        'V01_dicom.tar.md5sum',
        'dicomweb',
        '.dicomweb.lock',
    }
    shown = {name.split('/')[0] for name in two_series.files()}
    assert shown == {'studies'}


def test_the_state_tells_what_was_converted(two_series):
    state = two_series.report.state
    assert two_series.report.is_new
    assert (state.instances, state.series, state.frames) == (4, 2, 5)
    assert (state.studies, state.other_files) == ([STUDY], 1)
    assert state.problems == []


def test_searches_are_sorted_by_number(two_series):
    series = two_series.read('series/index.json')
    assert [value(s['00200011']) for s in series] == [9, 10]
    instances = two_series.read(f'series/{SERIES}/instances/index.json')
    assert [value(i['00200013']) for i in instances] == [9, 10]
    everywhere = two_series.read('instances/index.json')
    assert [value(i['00080018']) for i in everywhere] == [
        f'{OTHER}.1',
        f'{OTHER}.2',
        f'{SERIES}.9',
        f'{SERIES}.10',
    ]


def test_numbers_that_json_does_not_have_are_numbers_nevertheless(study, image):
    uids = {'StudyInstanceUID': STUDY, 'SeriesInstanceUID': SERIES}
    numbers = {'1.1': b'+2', '1.2': b'10', '1.3': b'003 ', '1.4': b'x ', '1.5': b'1 '}
    study.put(
        *(
            image(SOPInstanceUID=uid, InstanceNumber=number, **uids)
            for uid, number in numbers.items()
        )
    )
    study.convert()
    instances = study.read(f'series/{SERIES}/instances/index.json')
    uids = [value(i['00080018']) for i in instances]
    assert uids == ['1.5', '1.1', '1.3', '1.2', '1.4']


def test_search_results_have_the_attributes_of_the_standard(two_series):
    (record,) = two_series.read('index.json')
    assert two_series.listed == [STUDY]
    assert record['00080061'] == {'vr': 'CS', 'Value': ['CT', 'MR']}
    assert record['00201206'] == {'vr': 'IS', 'Value': [2]}
    assert record['00201208'] == {'vr': 'IS', 'Value': [4]}
    for tag in ('00080020', '00080030', '00100010', '00100020', '0020000D'):
        assert 'Value' in record[tag]
    for each in two_series.read('series/index.json'):
        assert value(each['00201209']) == 2
        assert value(each['0020000D']) == STUDY
        assert {'00080060', '0008103E', '0020000E', '00200011'} <= each.keys()
    for each in two_series.read('instances/index.json'):
        assert value(each['0020000D']) == STUDY
        assert {'00080016', '00080018', '0020000E', '00200013'} <= each.keys()
    for each in (record, *two_series.read('instances/index.json')):
        assert list(each) == sorted(each)


def test_addresses_lead_from_each_document_to_the_bytes(two_series):
    tree = two_series.tree
    series = two_series.path(f'series/{SERIES}')
    for document in (
        two_series.path('metadata'),
        series / 'metadata',
        series / 'instances' / f'{SERIES}.9' / 'metadata',
    ):
        (found,) = (
            each
            for each in read_json(document)
            if value(each['00080018']) == f'{SERIES}.9'
        )
        table = resolve(tree, document, found['00281201']['BulkDataURI'])
        assert table.read_bytes() == BULK
        frame = resolve(tree, document, found['7FE00010']['BulkDataURI'])
        assert parse_multipart(frame.read_bytes())[2] == make_frames(9, 1)


def test_the_address_of_several_frames_is_their_folder(two_series):
    tree = two_series.tree
    documents = [
        two_series.path('metadata'),
        two_series.path(f'series/{OTHER}/metadata'),
        two_series.path(f'series/{OTHER}/instances/{OTHER}.1/metadata'),
    ]
    for document in documents:
        uris = [u for u in iter_uris(read_json(document)) if f'{OTHER}.1' in u]
        uris = uris or list(iter_uris(read_json(document)))
        (folder,) = (resolve(tree, document, uri) for uri in uris)
        frames = [parse_multipart(read(folder / str(n)))[2] for n in (1, 2, 3)]
        assert b''.join(frames) == make_frames(1, 3)
        assert not (folder / '4').exists()


def test_what_has_no_pixels_has_no_frames(two_series):
    report = two_series.path(f'series/{OTHER}/instances/{OTHER}.2')
    assert not (report / 'frames').exists()
    (metadata,) = read_json(report / 'metadata')
    assert '7FE00010' not in metadata


@pytest.mark.parametrize(
    ('name', 'kind', 'syntax'),
    [
        ('MR_small.dcm', 'application/octet-stream', '1.2.840.10008.1.2.1'),
        ('MR_small_implicit.dcm', 'application/octet-stream', '1.2.840.10008.1.2.1'),
        ('MR_small_bigendian.dcm', 'application/octet-stream', '1.2.840.10008.1.2.1'),
        ('image_dfl.dcm', 'application/octet-stream', '1.2.840.10008.1.2.1'),
        ('MR_small_RLE.dcm', 'image/dicom-rle', '1.2.840.10008.1.2.5'),
        ('JPEG2000.dcm', 'image/jp2', '1.2.840.10008.1.2.4.91'),
        ('MR_small_jpeg_ls_lossless.dcm', 'image/jls', '1.2.840.10008.1.2.4.80'),
        ('JPEG-lossy.dcm', 'image/jpeg', '1.2.840.10008.1.2.4.51'),
    ],
)
def test_frames_are_those_of_the_file_and_say_what_they_are(study, name, kind, syntax):
    path = get_testdata_file(name)
    with open(path, 'rb') as f:
        content = f.read()
    study.put(content)
    study.convert()
    data_set = dcmread(path)
    frame = study.path(
        f'series/{data_set.SeriesInstanceUID}/instances/{data_set.SOPInstanceUID}'
        '/frames/1',
        data_set.StudyInstanceUID,
    )
    found_kind, found_syntax, data = parse_multipart(frame.read_bytes())
    assert (found_kind, found_syntax) == (kind, syntax)
    if kind != 'application/octet-stream':
        assert data in content
    else:
        with open(get_testdata_file('MR_small.dcm'), 'rb') as f:
            little = dcmread(f if name.startswith('MR') else path)
        size = little.Rows * little.Columns * little.BitsAllocated // 8
        assert data == little[PIXEL_DATA].value[:size]


def test_the_same_files_make_the_same_tree(study, tmp_path):
    found = bundled_files()[:80]
    contents = [(f'{i}.dcm', path.read_bytes()) for i, path in enumerate(found)]
    study.put(*contents)
    other = type(study)(tmp_path / 'elsewhere' / 'store')
    other.put(*contents)
    for each in (study, other):
        each.convert(deduplicate=True, gzip=True, study_metadata=True)
    assert study.files(hidden=True) == other.files(hidden=True)


def test_the_order_in_the_tarball_matters_to_nothing_but_offsets(study, tmp_path):
    contents = [
        (
            f'{n}.dcm',
            make(
                n % 7, uid=f'1.9.{n}', series=f'1.2.1.{n % 3}', StudyDescription=f'{n}'
            ),
        )
        for n in range(20)
    ]
    study.put(*contents)
    random.Random(0).shuffle(contents)
    other = type(study)(tmp_path / 'other' / 'store')
    other.put(*contents)
    trees = []
    for each in (study, other):
        each.convert(study_metadata=True)
        found = each.files()
        trees.append({n: c for n, c in found.items() if not n.endswith('/info')})
    assert trees[0] == trees[1]


def test_files_of_two_studies_are_apart(study):
    study.put(make(1), make(1, study='1.2.2', series='1.2.2.1'))
    study.convert()
    assert study.listed == [STUDY, '1.2.2']
    assert names(study.tree / 'studies') == {STUDY, '1.2.2'}
    study.assert_consistent()


def test_a_sink_of_somebody_else_gets_all(study):
    study.put(make(1, RedPaletteColorLookupTableData=BULK), make(2, frames=2))
    calls = []

    class Sink:
        def put_bulkdata(self, converted, source, bulk):
            calls.append(('bulkdata', len(bulk.value or b'') or bulk.span.length))

        def put_frame(self, converted, index):
            calls.append(('frame', b''.join(converted.frames.iter_frame(index))))

        def put_metadata(self, converted):
            calls.append(('metadata', converted.sop_instance_uid))

    convert_visit(study.paths(), TreeOptions(thumbnails=False), sinks=[Sink()])
    assert calls == [
        ('bulkdata', len(BULK)),
        ('frame', make_frames(1, 1)),
        ('metadata', f'{SERIES}.1'),
        ('frame', make_frames(2, 2)[:32]),
        ('frame', make_frames(2, 2)[32:]),
        ('metadata', f'{SERIES}.2'),
    ]


@pytest.mark.skipif(
    'ICF_EXAMPLE_VISIT' not in os.environ, reason='ICF_EXAMPLE_VISIT is not set'
)
def test_a_visit_of_a_scanner_is_all_there(study):
    from pathlib import Path

    source = Path(os.environ['ICF_EXAMPLE_VISIT'])
    study.put(
        *(
            (p.relative_to(source).as_posix(), p.read_bytes())
            for p in sorted(source.rglob('*'))
            if p.is_file()
        )
    )
    report = study.convert()
    assert report.state.instances == report.state.frames > 0
    assert report.state.problems == []
    study.assert_consistent()
    assert files(study.tree)
