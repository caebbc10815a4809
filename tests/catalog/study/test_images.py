"""Pictures of the series and links into the viewer, where there are any"""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from datalad_icf.catalog import overview
from datalad_icf.store import SeriesImages, VisitImages

T1W = {'SeriesNumber': 10, 'SeriesDescription': 'T1w', 'Modality': 'MR'}
LOCALIZER = {'SeriesNumber': 1, 'SeriesDescription': 'localizer'}
MD5 = '0123456789abcdef' * 2
PICTURE = '../dicomweb/studies/1.2/series/1.3/thumbnail'
VIEWER = '../../viewer/viewer/?icf=S1&StudyInstanceUIDs=1.2'
SERIES_VIEWER = f'{VIEWER}&initialSeriesInstanceUID=1.3'
# of the second series, which is T1w
FILE = 'S1_V01/files/1-0000.dcm'
BOTH = SeriesImages(PICTURE, SERIES_VIEWER)


def find(series=None, *, viewer=VIEWER, tarball_md5=MD5):
    """Makes what finds images of visits"""
    found = VisitImages(tarball_md5, viewer, {FILE: BOTH} if series is None else series)
    return lambda _paths: found


def find_nothing(_paths):
    return None


@pytest.fixture
def listed(deposit, catalog):
    """Makes the catalog; returns visit and series by description as listed"""

    def make(find_images, *attributes):
        deposit('V01', attributes or (LOCALIZER, T1W))
        catalog.update('V01', find_images=find_images)
        (visit,) = catalog.overview['visits']
        columns = catalog.overview['columns']
        return visit, {values[1]: values for values in visit['series']}, columns

    return make


def test_the_table_has_picture_and_link_of_a_series(listed):
    visit, series, columns = listed(find())
    assert visit['viewer'] == VIEWER
    assert columns[-2:] == ['thumbnail', 'viewer']
    shown = dict(zip(columns, series['T1w'], strict=True))
    assert (shown['thumbnail'], shown['viewer']) == (PICTURE, SERIES_VIEWER)
    assert (shown['number'], shown['images']) == (10, 2)


def test_what_a_series_has_not_is_not_in_the_file(listed):
    visit, series, columns = listed(find_nothing)
    assert 'viewer' not in visit
    assert columns[-2:] == ['thumbnail', 'viewer']
    assert {len(values) for values in series.values()} == {len(columns) - 2}


@pytest.mark.parametrize(
    ('images', 'end'),
    [
        (SeriesImages(PICTURE, None), [PICTURE]),
        (SeriesImages(None, SERIES_VIEWER), [None, SERIES_VIEWER]),
        (SeriesImages(None, None), []),
    ],
)
def test_a_series_has_a_picture_or_a_link_alone(listed, images, end):
    _, series, _ = listed(find({FILE: images}, viewer=None))
    assert series['T1w'][6:] == end
    assert series['localizer'][6:] == []


def test_any_file_of_a_series_stands_for_it(listed):
    _, series, _ = listed(find({'S1_V01/files/1-0001.dcm': BOTH}))
    assert series['T1w'][6:] == [PICTURE, SERIES_VIEWER]


def test_images_of_files_that_nobody_knows_are_left_out(listed):
    _, series, _ = listed(find({'S1_V01/other.dcm': BOTH}))
    assert {len(values) for values in series.values()} == {6}


@pytest.mark.parametrize('first', [BOTH, SeriesImages(None, SERIES_VIEWER + '9')])
def test_of_series_that_look_alike_the_first_with_a_picture_counts(listed, first):
    second = SeriesImages(PICTURE if first is not BOTH else PICTURE + '2', None)
    files = {'S1_V01/files/0-0000.dcm': first, FILE: second}
    visit, series, _ = listed(find(files), T1W, T1W)
    assert len(visit['series']) == 1
    expected = first if first is BOTH else second
    assert series['T1w'][6:] == [v for v in vars(expected).values() if v]


def test_images_of_another_tarball_are_not_shown(listed):
    visit, series, _ = listed(find(tarball_md5='f' * 32))
    assert 'viewer' not in visit
    assert {len(values) for values in series.values()} == {6}


def test_the_page_of_a_visit_has_a_link_to_the_viewer(listed, catalog):
    listed(find())
    access = catalog.tab('access')
    assert access['viewer']['url'] == VIEWER
    assert list(access) == ['@context', 'viewer', 'tarball', 'MD5']


def test_the_page_of_a_visit_has_no_link_to_no_viewer(listed, catalog):
    listed(find(viewer=None))
    assert 'viewer' not in catalog.tab('access')


def test_all_links_are_relative(listed):
    visit, series, _ = listed(find())
    links = [visit['viewer'], visit['page'], visit['tarball'], *series['T1w'][6:]]
    assert len(links) == 5
    for link in links:
        assert not urlsplit(link).scheme
        assert not urlsplit(link).netloc
        assert not link.startswith('/')


CHANGES = {
    'picture': find({FILE: SeriesImages(PICTURE, None)}, viewer=None),
    'viewer': find(),
}


@pytest.mark.parametrize('later', CHANGES.values(), ids=CHANGES)
def test_what_comes_later_is_added_and_what_goes_is_removed(deposit, catalog, later):
    deposit('V01')
    catalog.update('V01')
    plain = catalog.files()
    assert [r.is_new for r in catalog.update('V01', find_images=later)] == [True]
    with_images = catalog.files()
    assert with_images['overview.json'] != plain['overview.json']
    assert [r.is_new for r in catalog.update('V01', find_images=later)] == [False]
    assert catalog.files() == with_images
    catalog.assert_consistent()
    assert [r.is_new for r in catalog.update('V01')] == [True]
    assert catalog.files() == plain


def test_a_viewer_that_comes_after_the_pictures_is_added(deposit, catalog):
    deposit('V01')
    for find_images in CHANGES.values():
        (report,) = catalog.update('V01', find_images=find_images)
        assert report.is_new
    assert overview.read_lines(catalog.location / overview.FILE_NAME).keys() == {'V01'}


def test_other_visits_keep_their_images(deposit, catalog):
    for visit_id in ('V01', 'V02'):
        deposit(visit_id)
    catalog.update('V01', find_images=find())
    catalog.update('V02')
    assert ['viewer' in visit for visit in catalog.overview['visits']] == [True, False]


def test_the_command_finds_the_images_of_the_tree(
    put_tarball, tar, image, run_datalad, paths
):
    pytest.importorskip('PIL')
    put_tarball(tar(('S1_V01/a.dcm', image())))
    visit = ('--id', 'S1', 'V01', '-o', paths.store_dir)

    def update():
        record = run_datalad('icf-catalog', *visit).record
        line = overview.read_lines(paths.catalog_dir / overview.FILE_NAME)['V01']
        return record['status'], '/thumbnail"' in line

    run_datalad('icf-deposit-metadata', *visit)
    assert update() == ('ok', False)
    run_datalad('icf-dicomweb', *visit)
    assert update() == ('ok', True)
    assert update() == ('notneeded', True)
    paths.dicomweb_dir.rename(paths.dicomweb_dir.with_name('gone'))
    assert update() == ('ok', False)
