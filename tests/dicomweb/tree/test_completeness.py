"""Whatever is lost or empty in the tree is found, and made again by the next run"""

from __future__ import annotations

import json
import shutil

import pytest

from datalad_icf.dicomweb import TreeState, find_foreign, find_missing
from datalad_icf.errors import TreeError
from tests.dicomweb.dicom_bytes import bundled_files, element, fragments, part10
from tests.dicomweb.tree.conftest import SERIES, STUDY, make

BULK = {'RedPaletteColorLookupTableData': bytes(200_000)}
IMAGE = f'series/{SERIES}/instances/{SERIES}.1'
# of two encapsulated frames, the second has nothing in it
EMPTY_FRAME = part10(
    element(0x00080018, 'UI', f'{SERIES}.1\0'.encode())
    + element(0x0020000D, 'UI', f'{STUDY}\0'.encode())
    + element(0x0020000E, 'UI', f'{SERIES}\0'.encode())
    + element(0x00280008, 'IS', b'2 ')
    + fragments(b'', b'abcd', b''),
    '1.2.840.10008.1.2.4.50',
)


def missing(study, visit_id='V01'):
    state = TreeState(study.tree).read(visit_id)
    return list(find_missing(study.tree, visit_id, state))


def foreign(study, visit_id='V01', digests=None):
    state = TreeState(study.tree).read(visit_id)
    return list(find_foreign(study.tree, visit_id, state, digests or {}))


EVERYWHERE = (
    *('index.json', 'series/index.json', 'instances/index.json'),
    *(f'series/{SERIES}/metadata', f'series/{SERIES}/instances/index.json'),
    *(f'{IMAGE}/info', f'{IMAGE}/frames/2', 'bulkdata/*'),
)
STOCK = (
    *('index.html', 'series/index.html', 'instances/index.html'),
    *(f'series/{SERIES}/instances/index.html', f'{IMAGE}/metadata'),
)
CASES = [
    *(({}, name) for name in (*EVERYWHERE, f'{IMAGE}/metadata', f'{IMAGE}/frames')),
    *(({'gzip': True}, name) for name in (*EVERYWHERE, f'{IMAGE}/metadata')),
    *(({'stock': True}, name) for name in (*EVERYWHERE, *STOCK)),
    ({'deduplicate': True}, f'series/{SERIES}/deduplicated'),
    ({'deduplicate': True, 'instances': True}, f'{IMAGE}/metadata'),
    ({'part10': True}, f'{IMAGE}/index.mht'),
    ({'study_metadata': True}, 'metadata'),
]


def find(study, name):
    """A file in whatever form it is there"""
    places = [*study.path().glob(name), *study.path().glob(f'{name}.gz')]
    return places[0]


@pytest.mark.parametrize('damage', ['lost', 'empty'])
@pytest.mark.parametrize(('options', 'name'), CASES)
def test_a_lost_or_empty_file_is_found_and_healed_without_force(
    study, options, name, damage
):
    study.put(make(1, frames=2, **BULK), make(2))
    study.convert(**options)
    assert missing(study) == foreign(study) == []
    before = study.files()
    path = find(study, name)
    for each in path.iterdir() if path.is_dir() else [path]:
        if damage == 'lost':
            each.unlink()
        else:
            each.write_bytes(b'')
    assert missing(study)
    assert study.convert(**options).is_new
    assert study.files() == before
    assert not study.convert(**options).is_new


@pytest.mark.parametrize(
    ('options', 'name'),
    [
        *(({}, name) for name in EVERYWHERE if name.endswith(('.json', 'metadata'))),
        *(({'gzip': True}, name) for name in EVERYWHERE if name.endswith('.json')),
    ],
)
def test_half_a_list_is_found_and_healed_without_force(study, options, name):
    study.put(make(1), make(2))
    study.convert(**options)
    before = study.files()
    path = find(study, name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert missing(study)
    assert study.convert(**options).is_new
    assert study.files() == before


def test_a_lost_picture_is_found(study):
    pytest.importorskip('PIL')
    study.put(make(1))
    study.convert(thumbnails=True)
    study.path(f'series/{SERIES}/thumbnail').unlink()
    assert missing(study) == [f'series {SERIES} has no thumbnail']
    study.convert(thumbnails=True)
    assert missing(study) == []


def test_a_series_without_pictures_and_frames_is_whole(study):
    study.put(make(1, PixelData=None), b'no image', make(3)[:300])
    study.convert()
    assert missing(study) == foreign(study) == []
    assert not study.convert().is_new


def test_what_another_visit_shares_is_not_missed(study):
    study.put(make(1, **BULK))
    study.put(make(1, series='1.2.1.2', **BULK), visit_id='V02')
    study.convert('V01', stock=True, study_metadata=True)
    study.convert('V02', gzip=True)
    for visit_id in ('V01', 'V02'):
        assert missing(study, visit_id) == foreign(study, visit_id) == []
    assert not study.convert('V01', stock=True, study_metadata=True).is_new
    (study.path('series/1.2.1.2/instances/1.2.1.2.1') / 'info.gz').unlink()
    assert missing(study, 'V01') == []
    assert missing(study, 'V02')


@pytest.mark.parametrize(
    'options', [{}, {'stock': True}, {'gzip': True, 'deduplicate': True}]
)
def test_odd_files_are_not_taken_for_damaged_ones(study, options):
    """Or they would be converted by each run"""
    study.put(*(path.read_bytes() for path in bundled_files()), EMPTY_FRAME)
    state = study.convert(**options).state
    assert state.instances > 100
    assert missing(study) == foreign(study) == []
    assert not study.convert(**options).is_new


def test_an_empty_frame_that_had_something_in_it_is_found(study):
    study.put(EMPTY_FRAME)
    study.convert(stock=True)
    first, second = (study.path(f'{IMAGE}/frames/{n}') for n in (1, 2))
    assert (first.read_bytes(), second.read_bytes()) == (b'abcd', b'')
    first.write_bytes(b'')
    assert missing(study) == ['there are 1 of 2 frames']


# --- documents about something else


@pytest.fixture
def two(study):
    study.put(make(1), make(2))
    study.put(
        make(1, study='1.2.2', series='1.2.2.1'),
        make(2, study='1.2.2', series='1.2.2.1'),
        visit_id='V02',
    )
    for visit_id in ('V01', 'V02'):
        study.convert(visit_id)
    return study


def exchange(first, second):
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


@pytest.mark.parametrize(
    'name', ['metadata', 'instances/index.json', '../index.json', '../../index.json']
)
def test_documents_of_two_series_that_were_exchanged_are_found_and_healed(two, name):
    before = two.files()
    first = two.path(f'series/{SERIES}/{name}')
    exchange(first, two.path(f'series/1.2.2.1/{name}', '1.2.2'))
    for visit_id in ('V01', 'V02'):
        assert missing(two, visit_id)
        two.convert(visit_id)
    assert two.files() == before


@pytest.mark.parametrize('name', ['info', 'metadata'])
def test_documents_of_two_images_that_were_exchanged_are_found(two, name):
    infos = [json.loads(path.read_bytes()) for path in two.path().rglob('info')]
    digests = {info['member']['name']: info['member']['md5'] for info in infos}
    assert foreign(two, digests=digests) == []
    other = two.path('series/1.2.2.1/instances/1.2.2.1.1', '1.2.2')
    exchange(two.path(IMAGE) / name, other / name)
    assert missing(two) == []
    assert foreign(two, digests=digests) == [
        f'series {SERIES} has {name} of 1 image that is damaged, or of another'
    ]


@pytest.mark.parametrize('options', [{}, {'gzip': True}])
@pytest.mark.parametrize('name', ['metadata', f'instances/{SERIES}.1/info'])
def test_documents_that_were_cut_are_found(study, options, name):
    study.put(make(1), make(2))
    study.convert(**options)
    path = find(study, f'series/{SERIES}/{name}')
    path.write_bytes(path.read_bytes()[:-9])
    assert [*missing(study), *foreign(study)]


# --- what is said to be whose


@pytest.fixture
def shared(study):
    study.put(make(1, **BULK))
    study.put(make(1, series='1.2.1.2', **BULK), visit_id='V02')
    for visit_id in ('V01', 'V02'):
        study.convert(visit_id)
    return study


@pytest.mark.parametrize('content', ['', '{', '{}', '[]', '{"series": 1}'])
def test_what_a_visit_is_said_to_have_is_made_again_by_a_run_for_it(shared, content):
    before = shared.files(hidden=True)
    (shared.path('.icf') / 'V01.json').write_text(content)
    assert missing(shared, 'V02') == []
    assert not shared.convert('V02').is_new
    assert any('V01.json is damaged' in problem for problem in missing(shared))
    with pytest.raises(TreeError, match=r'V01.json is damaged; .* visit V01\.'):
        shared.convert('V02', force=True)
    assert shared.convert('V01').is_new
    assert shared.files(hidden=True) == before


def test_what_is_damaged_of_two_visits_can_be_removed(shared):
    before = shared.files(hidden=True)
    for visit_id in ('V01', 'V02'):
        (shared.path('.icf') / f'{visit_id}.json').write_text('')
    for visit_id in ('V01', 'V02'):
        with pytest.raises(TreeError, match=f'remove {shared.path()}, and'):
            shared.convert(visit_id)
    shutil.rmtree(shared.path())
    for visit_id in ('V01', 'V02'):
        shared.convert(visit_id)
    assert shared.files(hidden=True) == before


@pytest.mark.parametrize('name', ['instances/index.json', 'metadata'])
def test_a_lost_list_of_another_visit_is_told_with_its_name(shared, name):
    shared.convert('V02', study_metadata=True)
    before = shared.files(hidden=True)
    shared.path(f'series/{SERIES}/{name}').unlink()
    with pytest.raises(TreeError, match='run icf-dicomweb for visit V01'):
        shared.convert('V02', study_metadata=True, force=True)
    shared.convert('V01')
    assert shared.files(hidden=True) == before
