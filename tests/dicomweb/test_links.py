"""From the catalog of a study to the pictures of its tree, and into the viewer"""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qs, unquote, urljoin, urlsplit

import pytest

from datalad_icf.dicomweb import TreeOptions, convert_visit, find_images
from datalad_icf.store import (
    VIEWER_DIR,
    VIEWER_MARK,
    SeriesImages,
    read_instances,
)

# where the store is in the web, and the page that has the links
STORE = 'https://example.org/some%20where/'
PAGE = f'{STORE}S1/catalog/overview.html'
A, B = {'SeriesInstanceUID': '1.2.1'}, {'SeriesInstanceUID': '1.2.2'}


@pytest.fixture
def install_viewer(paths):
    """Puts as much of a viewer into the store as makes it one"""

    def install():
        mark = paths.store_dir / VIEWER_DIR / VIEWER_MARK
        mark.parent.mkdir(parents=True)
        mark.write_text('{}')

    return install


@pytest.fixture
def convert(paths, put_tarball, tar):
    """Puts files into a visit and makes its tree; returns what is found"""

    def call(*files, **options):
        members = [
            file if isinstance(file, tuple) else (f'S1_V01/{n}.dcm', file)
            for n, file in enumerate(files)
        ]
        put_tarball(tar(*members))
        convert_visit(paths, TreeOptions(**options))
        return find_images(paths)

    return call


@pytest.fixture
def follow(paths):
    """Finds the file of the store to which a link of the catalog leads"""

    def find(link: str) -> Path:
        assert not urlsplit(link).scheme
        assert not link.startswith('/')
        url = urljoin(PAGE, link)
        assert url.startswith(STORE)
        return paths.store_dir / unquote(urlsplit(url).path[len('/some%20where/') :])

    return find


def query(link):
    return parse_qs(urlsplit(link).query)


def test_each_series_has_a_picture(convert, image, follow):
    pytest.importorskip('PIL')
    found = convert(image(SOPInstanceUID='1.1', **A), image(SOPInstanceUID='1.2', **B))
    assert list(found.series) == ['S1_V01/0.dcm', 'S1_V01/1.dcm']
    pictures = [follow(s.thumbnail) for s in found.series.values()]
    assert [p.parent.name for p in pictures] == ['1.2.1', '1.2.2']
    assert all(p.read_bytes().startswith(b'\xff\xd8') for p in pictures)


def test_the_names_are_those_of_the_metadata(convert, image, paths):
    from datalad_icf.dicom import deposit_metadata

    names = ('S1_V01/Zoë \u202e 1.dcm', 'S1_V01/a\udcff.dcm')
    found = convert(
        (names[0], image(SOPInstanceUID='1.1', **A)),
        (names[1], image(SOPInstanceUID='1.2', **B)),
        thumbnails=False,
    )
    deposit_metadata(paths)
    listed = {instance.path for instance in read_instances(paths.dicoms_metadata)}
    assert set(found.series) == listed
    assert len(listed) == 2


def test_the_first_file_stands_for_its_series(convert, image):
    found = convert(
        ('S1_V01/b.dcm', image(SOPInstanceUID='1.1', **A)),
        ('S1_V01/a.dcm', image(SOPInstanceUID='1.2', **A)),
        thumbnails=False,
    )
    assert list(found.series) == ['S1_V01/a.dcm']


def test_without_pictures_and_viewer_there_are_no_links(convert, image):
    found = convert(image(), thumbnails=False)
    assert found.viewer is None
    assert list(found.series.values()) == [SeriesImages(None, None)]


def test_a_viewer_opens_the_series_at_its_middle(
    convert, image, follow, install_viewer
):
    install_viewer()
    images = [
        image(SOPInstanceUID=f'1.{n}', InstanceNumber=n, **A) for n in range(1, 6)
    ]
    found = convert(*images, image(SOPInstanceUID='1.9', **B), thumbnails=False)
    study = image_study(images[0])
    links = [series.viewer for series in found.series.values()]
    assert [query(link) for link in links] == [
        {
            'icf': ['S1'],
            'StudyInstanceUIDs': [study],
            'initialSeriesInstanceUID': [series],
            'initialSopInstanceUID': [middle],
        }
        for series, middle in (('1.2.1', '1.3'), ('1.2.2', '1.9'))
    ]
    assert {follow(link).parent.name for link in links} == {VIEWER_DIR}
    assert query(found.viewer) == query(links[0])
    assert follow(found.viewer).parent.name == VIEWER_DIR


def image_study(content: bytes) -> str:
    from io import BytesIO

    from pydicom import dcmread

    return str(dcmread(BytesIO(content)).StudyInstanceUID)


def test_a_visit_of_several_studies_opens_with_all(convert, image, install_viewer):
    install_viewer()
    found = convert(
        image(SOPInstanceUID='1.1', StudyInstanceUID='1.5', **A),
        image(SOPInstanceUID='1.2', StudyInstanceUID='1.6', **B),
        thumbnails=False,
    )
    assert query(found.viewer)['StudyInstanceUIDs'] == ['1.5,1.6']
    opened = [query(series.viewer) for series in found.series.values()]
    assert [q['StudyInstanceUIDs'] for q in opened] == [['1.5'], ['1.6']]


def test_a_series_without_images_has_no_links(convert, image, install_viewer):
    install_viewer()
    report = {'SOPInstanceUID': '1.2', 'SOPClassUID': '1.2.840.10008.5.1.4.1.1.88.11'}
    without = ['PixelData', 'Rows', 'Columns']
    found = convert(
        image(SOPInstanceUID='1.1', **A), image(without=without, **report, **B)
    )
    assert found.series['S1_V01/0.dcm'].viewer
    assert found.series['S1_V01/1.dcm'] == SeriesImages(None, None)
    assert found.viewer


def test_a_visit_without_images_has_no_link(convert, image, install_viewer):
    install_viewer()
    found = convert(image(without=['PixelData', 'Rows', 'Columns']))
    assert found.viewer is None
    assert list(found.series.values()) == [SeriesImages(None, None)]


def test_a_visit_that_is_not_in_the_tree_has_nothing(convert, image, paths):
    assert find_images(paths) is None
    convert(image(), thumbnails=False)
    other = type(paths)(paths.store_dir, type(paths.visit)('S1', 'V02'))
    assert find_images(other) is None


@pytest.mark.parametrize(
    'place', ['.icf/visits/V01.json', 'studies/*/.icf/V01.json'], ids=['visit', 'study']
)
@pytest.mark.parametrize(
    'content', [b'', b'{', b'[]', b'{}', b'{"studies": 1}', b'\xff', None]
)
def test_a_damaged_state_is_as_good_as_none(convert, image, paths, place, content):
    convert(image(), thumbnails=False)
    (path,) = paths.dicomweb_dir.glob(place)
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    assert find_images(paths) is None


@pytest.mark.parametrize(
    ('place', 'change'),
    [
        ('.icf/visits/V01.json', {'studies': [1]}),
        ('.icf/visits/V01.json', {'studies': [None]}),
        ('studies/*/.icf/V01.json', {'series': {'1.2': {'first': 'a'}}}),
        ('studies/*/.icf/V01.json', {'series': ['1.2']}),
    ],
)
def test_a_state_of_other_types_is_as_good_as_none(
    convert, image, paths, place, change
):
    convert(image(), thumbnails=False)
    (path,) = paths.dicomweb_dir.glob(place)
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **change}))
    assert find_images(paths) is None


def test_a_state_that_goes_away_meanwhile_is_none(convert, image, paths, monkeypatch):
    convert(image(), thumbnails=False)

    def read_share(_study, _visit_id):
        raise FileNotFoundError

    monkeypatch.setattr('datalad_icf.dicomweb.links.read_share', read_share)
    assert find_images(paths) is None


def test_the_link_of_a_visit_shows_an_image_of_the_middle_first(
    convert, image, install_viewer
):
    pytest.importorskip('PIL')
    install_viewer()
    files = [image(SOPInstanceUID=f'1.{n}', InstanceNumber=n, **A) for n in range(1, 4)]
    found = convert(*files)
    assert query(found.viewer)['initialSopInstanceUID'] == ['1.2']
    assert query(found.viewer)['initialSeriesInstanceUID']
