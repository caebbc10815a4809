"""From the overview of a study, by a click, to its images in OHIF

Everything is made by the commands and served by ``icf-serve`` with a password.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import numpy as np
import pytest
from PIL import Image

from demo.phantom import LOCALIZER, make_uid, write_phantom
from tests.integration.viewer_pages import (
    COLUMNS,
    PATIENCE,
    ROWS,
    SERIES,
    SLICES,
    STUDY,
    VISIT,
    Viewer,
    build_pixels,
    expect,
    find_build,
    open_browser,
    run_datalad,
    write_images,
)
from tests.integration.web_servers import PASSWORD, USER, run_icf_serve

# a visit that nobody has converted, and so without pictures
WITHOUT = 'V02'
MIDDLE = SLICES // 2
PICTURE = """
image => {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  canvas.getContext('2d').drawImage(image, 0, 0);
  return canvas.toDataURL();
}
"""


@pytest.fixture(scope='module')
def build() -> Path:
    """A build of OHIF"""
    return find_build()


@pytest.fixture(scope='module')
def browser(build) -> Iterator[Any]:
    """The Chromium of this machine, in which OHIF runs"""
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope='module')
def served(build, place, tmp_path_factory) -> Iterator[str]:
    """URL of a store with a catalog and the viewer"""
    store = place / 'a store'
    store.mkdir()
    exports = {v: tmp_path_factory.mktemp('export') for v in (VISIT, WITHOUT)}
    write_images(exports[VISIT])
    write_phantom(exports[WITHOUT], series=[LOCALIZER], visit=WITHOUT)
    for visit, export in exports.items():
        options = ('--id', STUDY, visit, '-o', store)
        run_datalad('icf-archive', *options, export)
        run_datalad('icf-deposit-metadata', *options)
        run_datalad('icf-deposit-dataset', *options)
    options = ('--id', STUDY, VISIT, '-o', store)
    run_datalad('icf-dicomweb', *options, '--viewer', build)
    run_datalad('icf-catalog', '--id', STUDY, '*', '-o', store)
    work = place / 'work'
    work.mkdir()
    with run_icf_serve(store, work, password=True) as url:
        yield url


@pytest.fixture
def visit_study(browser, served) -> Iterator[Callable[..., Viewer]]:
    """Opens the overview; nothing may go wrong, or be asked from elsewhere"""
    opened = []
    with ExitStack() as stack:

        def visit(**context: Any) -> Viewer:
            profile = browser.new_context(
                http_credentials={'username': USER, 'password': PASSWORD},
                **{'viewport': {'width': 1360, 'height': 900}, **context},
            )
            stack.callback(profile.close)
            viewer = Viewer(profile.new_page(), served)
            viewer.watch(profile)
            opened.append(viewer)
            viewer.open('overview.html')
            viewer.page.wait_for_selector('#rows > tr')
            return viewer

        yield visit
        for viewer in opened:
            own = (viewer.root, 'data:', 'blob:')
            assert not [u for u in viewer.requests if not u.startswith(own)]
            assert not viewer.errors


def row_of(viewer: Viewer, name: str) -> Any:
    """The row of a series"""
    cell = viewer.page.locator('td.description').get_by_text(name, exact=True)
    return viewer.page.locator('#rows > tr').filter(has=cell)


def wait_for_picture(image: Any) -> None:
    image.scroll_into_view_if_needed()
    image.evaluate('image => image.decode()')


def read_picture(image: Any) -> np.ndarray:
    """Grays of a picture, in the size that the image has"""
    wait_for_picture(image)
    content = base64.b64decode(image.evaluate(PICTURE).partition(',')[2])
    picture = Image.open(io.BytesIO(content)).convert('L')
    return np.asarray(picture.resize((COLUMNS, ROWS))).astype(float)


def show_middle(viewer: Viewer, name: str) -> None:
    """See that the middle image of a series is shown, and no other one"""
    number = list(SERIES).index(name)
    seen = viewer.show(expect(build_pixels(number, MIDDLE)), least=0.99)
    differences = {
        (n, i): np.abs(seen - expect(build_pixels(n, i))).mean()
        for n in range(len(SERIES))
        for i in range(SLICES)
    }
    assert min(differences, key=differences.__getitem__) == (number, MIDDLE)


def test_each_series_has_its_picture(visit_study):
    viewer = visit_study()
    for number, name in enumerate(SERIES):
        row = row_of(viewer, name)
        seen = read_picture(row.locator('td.thumbnail img'))
        others = [
            np.abs(seen - expect(build_pixels(n, MIDDLE))).mean()
            for n in range(len(SERIES))
        ]
        assert others.index(min(others)) == number
        assert min(others) < 6
        assert row.get_by_role('link', name='View series').count() == 1


def test_a_visit_that_is_not_converted_has_neither_picture_nor_link(visit_study):
    viewer = visit_study()
    row = row_of(viewer, LOCALIZER.description)
    assert row.locator('td.thumbnail > *').count() == 0
    assert row.get_by_role('link', name='View').count() == 0
    assert row.get_by_role('link', name='Tarball').count() == 1


@pytest.mark.parametrize('name', ['native', 'JPEG-LS', 'JPEG 2000'])
@pytest.mark.parametrize('target', ['picture', 'View'])
def test_a_click_shows_the_series(visit_study, name, target):
    viewer = visit_study()
    row = row_of(viewer, name)
    if target == 'picture':
        row.locator('td.thumbnail img').click()
    else:
        row.get_by_role('link', name='View series').click()
    show_middle(viewer, name)
    query = parse_qs(urlsplit(viewer.page.url).query)
    assert query['initialSeriesInstanceUID'] == [make_uid(f'viewer/{name}')]
    viewer.save_screenshot(f'from-{target}-{name}')


def test_the_way_back_leads_to_the_table(visit_study):
    viewer = visit_study()
    row_of(viewer, 'native').locator('td.thumbnail img').click()
    show_middle(viewer, 'native')
    viewer.page.go_back(timeout=PATIENCE)
    viewer.page.wait_for_selector('#rows > tr')
    assert viewer.page.url == f'{viewer.root}{quote(STUDY)}/catalog/overview.html'


def test_a_click_shows_the_visit(visit_study):
    viewer = visit_study()
    links = viewer.page.get_by_role('link', name='View visit')
    assert links.count() == 1
    links.click()
    assert_visit_is_shown(viewer)


def assert_visit_is_shown(viewer: Viewer) -> None:
    """See that OHIF lists all series, and shows the middle of the first one"""
    viewer.show(expect(build_pixels(0, MIDDLE)), least=0.99)
    for name in SERIES:
        viewer.page.get_by_text(name, exact=True).first.wait_for(timeout=PATIENCE)


def test_the_page_of_the_visit_leads_to_its_images(visit_study):
    viewer = visit_study()
    page = viewer.page
    page.get_by_role('link', name=VISIT, exact=True).first.click()
    page.get_by_role('tab', name='access').click()
    link = page.get_by_role('link', name='Open in the viewer')
    link.wait_for()
    viewer.save_screenshot('access', full_page=True)
    link.click()
    viewer = follow_tab(viewer)
    assert_visit_is_shown(viewer)


def follow_tab(viewer: Viewer) -> Viewer:
    """Go on in the tab that a link has opened, if it has"""
    viewer.page.wait_for_timeout(500)
    viewer.page = viewer.page.context.pages[-1]
    return viewer


def test_a_picture_that_is_none_goes_away(visit_study):
    viewer = visit_study()
    address = f'**/{make_uid("viewer/RLE")}/thumbnail'
    viewer.page.context.route(
        address, lambda route: route.fulfill(content_type='image/jpeg', body='none')
    )
    viewer.page.reload()
    viewer.page.wait_for_selector('#rows > tr')
    cell = row_of(viewer, 'RLE').locator('td.thumbnail')
    cell.scroll_into_view_if_needed()
    viewer.page.wait_for_function(
        'cell => !cell.hasChildNodes()', arg=cell.element_handle()
    )
    wait_for_picture(row_of(viewer, 'native').locator('td.thumbnail img'))


@pytest.mark.parametrize('scheme', ['light', 'dark'])
@pytest.mark.parametrize(('width', 'height'), [(1360, 900), (1700, 900), (390, 844)])
def test_links_fit_into_every_window(visit_study, width, height, scheme):
    viewer = visit_study(
        viewport={'width': width, 'height': height}, color_scheme=scheme
    )
    for image in viewer.page.locator('td.thumbnail img').all():
        wait_for_picture(image)
    viewer.page.evaluate('scrollTo(0, 0)')
    viewer.save_screenshot(f'overview-{width}-{scheme}', full_page=True)
    assert viewer.page.evaluate('document.documentElement.scrollWidth') <= width
    # no text is cut off or over another
    boxes = [
        box
        for link in viewer.page.locator(
            'td.access a, td.access button, td.thumbnail img'
        ).all()
        if (box := link.bounding_box())
    ]
    for number, a in enumerate(boxes):
        for b in boxes[:number]:
            is_apart = (
                a['x'] + a['width'] <= b['x'] + 1
                or b['x'] + b['width'] <= a['x'] + 1
                or a['y'] + a['height'] <= b['y'] + 1
                or b['y'] + b['height'] <= a['y'] + 1
            )
            assert is_apart
