"""OHIF, as it is shipped, shows the right picture of what servers have in files

Needs a build of OHIF, such as ``npm pack @ohif/app`` makes: ``ICF_OHIF`` is its path.
The browser is the Chromium of the system, and each request of it is watched.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import numpy as np
import pytest
from pydicom import dcmread

from datalad_icf.dicomweb.viewer import viewer_link
from demo.phantom import BOLD, T1W, build_instance, encode, make_uid
from tests.integration.viewer_pages import (
    SERIES,
    SLICES,
    STUDY,
    VISIT,
    Viewer,
    build_image,
    build_pixels,
    expect,
    find_build,
    open_browser,
    run_datalad,
    write_images,
)
from tests.integration.web_servers import RUNNERS

OTHER = 'secret-study'


def build_volume(index: int) -> np.ndarray:
    """Pixels of a slice of two volumes, one after the other"""
    return build_pixels(len(SERIES) + index // BOLD.slices, index % BOLD.slices)


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
def store(build, place, tmp_path_factory) -> Path:
    """A store with two studies and the viewer"""
    store = place / 'a store'
    store.mkdir()
    export = tmp_path_factory.mktemp('export')
    write_images(export)
    for index in range(2 * BOLD.slices):
        image = build_image('volumes', 9, index, build_volume(index), BOLD)
        (export / f'volumes {index}.dcm').write_bytes(encode(image))
    for study in (STUDY, OTHER):
        options = ('--id', study, VISIT, '-o', store)
        run_datalad('icf-archive', *options, export)
        run_datalad('icf-deposit-metadata', *options)
        run_datalad('icf-dicomweb', *options, '--viewer', build)
        (store / study / 'catalog').mkdir(exist_ok=True)
    return store


@pytest.fixture(scope='module')
def study_uid() -> str:
    """Study Instance UID of the visit"""
    return str(build_instance(T1W, rows=2, columns=2).StudyInstanceUID)


@pytest.fixture(scope='module')
def serve(store, place) -> Iterator[Callable[[str], str]]:
    """Starts a server for the store, once; returns the URL of the store"""
    running: dict[str, str] = {}
    with ExitStack() as stack:

        def start(name: str) -> str:
            if name not in running:
                work = place / name
                work.mkdir()
                server = RUNNERS[name](store, work, password=False)
                url = stack.enter_context(server)
                parts = urlsplit(url)
                path = quote(unquote(parts.path))
                running[name] = f'{parts.scheme}://{parts.netloc}{path}'
            return running[name]

        yield start


@pytest.fixture
def open_viewer(browser, serve) -> Iterator[Callable[[str], Viewer]]:
    """Opens an empty page; whatever it asks has to be of the viewer or the study"""
    opened = []
    with ExitStack() as stack:

        def open_page(server: str) -> Viewer:
            profile = browser.new_context(viewport={'width': 1300, 'height': 800})
            stack.callback(profile.close)
            viewer = Viewer(profile.new_page(), serve(server))
            viewer.watch(profile)
            opened.append(viewer)
            return viewer

        yield open_page
        for viewer in opened:
            allowed = (
                f'{viewer.root}viewer/',
                f'{viewer.root}{quote(STUDY)}/dicomweb/',
                'data:',
                'blob:',
            )
            assert not [u for u in viewer.requests if not u.startswith(allowed)]
            assert OTHER not in viewer.page.content()


@pytest.mark.parametrize(
    ('server', 'name'),
    [
        *(('icf-serve', name) for name in SERIES),
        ('nginx-path', 'native'),
        ('apache-path', 'JPEG-LS'),
    ],
)
def test_a_link_shows_the_image(open_viewer, study_uid, server, name):
    viewer = open_viewer(server)
    number = list(SERIES).index(name)
    series, index = make_uid(f'viewer/{name}'), 3
    image = make_uid(f'viewer/{name}/{index}')
    viewer.open(viewer_link(STUDY, study_uid, series, image))
    expected = expect(build_pixels(number, index))
    seen = viewer.show(expected, least=0.99)
    viewer.save_screenshot(f'{server}-{name}')
    # no other image of the visit would do
    differences = {
        (n, i): np.abs(seen - expect(build_pixels(n, i))).mean()
        for n in range(len(SERIES))
        for i in range(SLICES)
    }
    assert min(differences, key=differences.__getitem__) == (number, index)
    assert differences[number, index] < 4
    frames = [u for u in viewer.requests if '/frames/' in u]
    assert f'{series}/instances/{image}/frames/1' in ' '.join(frames)
    assert not viewer.errors


def test_images_of_the_same_position_are_shown(open_viewer, study_uid):
    """As in functional series, which OHIF takes for volumes that need WebGL"""
    viewer = open_viewer('icf-serve')
    index = BOLD.slices + 7
    image = make_uid(f'viewer/volumes/{index}')
    viewer.open(viewer_link(STUDY, study_uid, make_uid('viewer/volumes'), image))
    seen = viewer.show(expect(build_volume(index)), least=0.99)
    viewer.save_screenshot('volumes')
    differences = [
        np.abs(seen - expect(build_volume(i))).mean() for i in range(2 * BOLD.slices)
    ]
    assert np.argmin(differences) == index
    assert not viewer.errors


def test_a_page_of_the_viewer_can_be_loaded_again(open_viewer, study_uid):
    viewer = open_viewer('icf-serve')
    image = make_uid('viewer/native/2')
    viewer.open(viewer_link(STUDY, study_uid, make_uid('viewer/native'), image))
    expected = expect(build_pixels(0, 2))
    viewer.show(expected, least=0.99)
    viewer.page.reload()
    viewer.show(expected, least=0.99)


@pytest.mark.parametrize(
    'query',
    [
        '',
        'icf=',
        'icf=..',
        'icf=.hidden',
        'icf=-x',
        f'icf=../{OTHER}',
        f'icf=x%2F..%2F{OTHER}',
        'icf=a%5Cb',
        'icf=a%00b',
        'icf=https://elsewhere.invalid/dicomweb',
        'icf=//elsewhere.invalid',
        f'icf={quote(STUDY)}&icf={OTHER}',
    ],
)
def test_a_link_that_names_no_study_leads_nowhere(open_viewer, query):
    viewer = open_viewer('icf-serve')
    viewer.open(f'../../viewer/viewer/?{query}&StudyInstanceUIDs=1.2.3')
    viewer.page.wait_for_url(f'{viewer.root}viewer/')
    assert 'opened from the overview' in viewer.page.inner_text('body')
    assert not [u for u in viewer.requests if 'dicomweb' in urlsplit(u).path]


@pytest.mark.parametrize(
    'uids',
    [
        'StudyInstanceUIDs=..%2F..%2F..%2F..%2Fetc',
        'studyinstanceuids=..%2F..%2Fsecret',
        'StudyInstanceUIDs=1.2.3&SeriesInstanceUIDs=%2F%2Felsewhere.invalid',
    ],
)
def test_a_link_whose_uids_are_none_leads_nowhere(open_viewer, uids):
    viewer = open_viewer('icf-serve')
    viewer.open(f'../../viewer/viewer/?icf={quote(STUDY)}&{uids}')
    viewer.page.wait_for_url(f'{viewer.root}viewer/')
    paths = [urlsplit(u).path for u in viewer.requests]
    assert not [path for path in paths if 'etc' in path or 'dicomweb' in path]


def test_a_series_of_a_real_visit_is_shown(store, open_viewer):
    export = os.environ.get('ICF_EXAMPLE_VISIT')
    if not export:
        pytest.skip('ICF_EXAMPLE_VISIT does not name a directory with a real visit')
    options = ('--id', STUDY, 'example', '-o', store)
    run_datalad('icf-archive', *options, export)
    run_datalad('icf-deposit-metadata', *options)
    run_datalad('icf-dicomweb', *options)
    files = [p for p in Path(export).rglob('*') if p.is_file()]
    images = [dcmread(p, force=True, specific_tags=['InstanceNumber']) for p in files]
    order = sorted(range(len(files)), key=lambda i: int(images[i].InstanceNumber))
    middle = dcmread(files[order[len(order) // 2]])
    viewer = open_viewer('icf-serve')
    viewer.open(
        viewer_link(
            STUDY,
            middle.StudyInstanceUID,
            middle.SeriesInstanceUID,
            middle.SOPInstanceUID,
        )
    )
    size = middle.Rows, middle.Columns
    stored = np.frombuffer(middle.PixelData, '<i2').reshape(size).astype(float)
    down, across = map(float, middle.PixelSpacing)
    viewer.show(stored, least=0.98, aspect=down / across, may_move=True)
    viewer.save_screenshot('example')
