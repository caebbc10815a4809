"""The pages of DataLad in a browser: the study, its visits, and what they offer"""

from __future__ import annotations

import os
import re
import shlex
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urljoin, urlsplit

import pytest

from demo.server import serve_store

USER, PASSWORD = 'reader', 'pass word: 1%'
VISIT_NAME = re.compile(r'^\s*[VX]0\d\s*$')
# a long text without a place to break it, and all that could be code
HOSTILE = '<img src=x onerror=alert(1)>{{ 1 + 1 }}\u202e' + 'W' * 3000


class Handler(SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        """Be quiet"""


@pytest.fixture
def serve(tmp_path):
    """Serves the temporary directory, the store being one below it"""
    handler = partial(Handler, directory=tmp_path)
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f'http://127.0.0.1:{server.server_address[1]}/store/S1/catalog/'
        server.shutdown()
        thread.join()


class Visitor:
    """A page in a browser, and what it did that nobody sees"""

    def __init__(self, page, base):
        self.page = page
        self.base = base
        self.errors = []
        self.requests = []
        page.set_default_timeout(20_000)
        page.on('console', self._note)
        page.on('pageerror', lambda e: self.errors.append(str(e)))
        page.on('dialog', lambda d: (self.errors.append(d.message), d.dismiss()))
        page.on('request', lambda request: self.requests.append(request.url))

    def _note(self, message):
        if message.type in ('error', 'warning'):
            self.errors.append(f'{message.text} {message.location.get("url", "")}')

    @property
    def foreign(self):
        hosts = {urlsplit(u).hostname for u in self.requests if u[:5] != 'data:'}
        return hosts - {'127.0.0.1'}

    def open(self, address='index.html'):
        self.page.goto(urljoin(self.base, address))
        self.page.wait_for_selector('#mainbody .card', state='visible')
        self.page.wait_for_load_state('networkidle')
        return self.page

    def picture(self, name):
        directory = os.environ.get('ICF_SCREENSHOTS')
        if directory:
            Path(directory).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=Path(directory) / f'pages-{name}.png')


@pytest.fixture
def visitor(browser, serve):
    """Somebody who looks at the catalog; nothing unseen may go wrong"""
    context = browser.new_context(viewport={'width': 1280, 'height': 900})
    visitor = Visitor(context.new_page(), serve)
    yield visitor
    context.close()
    assert not visitor.errors
    assert not visitor.foreign


@pytest.fixture
def study(deposit, catalog):
    """Five visits, of which the last has another modality, and one has a dataset"""
    for number in range(1, 5):
        deposit(f'V0{number}')
    other = {'SeriesNumber': 1, 'SeriesDescription': 'head', 'Modality': 'CT'}
    deposit('X05', (other,))
    paths = catalog.visit_paths('V01')
    paths.refs.touch()
    paths.repo_export.touch()
    paths.tarball.write_bytes(b'tar')
    paths.md5sum.write_text('digest')
    catalog.update('V01', 'V02', 'V03', 'V04', 'X05')
    return catalog


def page_of(catalog, visit_id):
    (line,) = (v for v in catalog.overview['visits'] if v['id'] == visit_id)
    return line['page']


@pytest.fixture
def study_page(study, visitor):
    """The page of the study, when its visits are there"""
    page = visitor.open()
    visits_on(page).nth(4).wait_for()
    return page


def visits_on(page):
    """Headings of the visits that are shown"""
    cards = page.locator('.tab-pane.active').get_by_text(VISIT_NAME)
    return cards.locator('visible=true')


def test_the_study_page_lists_all_visits(study_page, visitor):
    names = visits_on(study_page).all_inner_texts()
    assert names == ['V01', 'V02', 'V03', 'V04', 'X05']
    visitor.picture('study')


@pytest.mark.parametrize(
    ('text', 'names'),
    [('X0', ['X05']), ('v0', ['V01', 'V02', 'V03', 'V04']), ('facility', ['all'])],
)
def test_the_study_page_filters_by_name(study_page, text, names):
    study_page.get_by_placeholder('Filter by dataset').fill(text)
    study_page.wait_for_timeout(500)
    shown = visits_on(study_page).all_inner_texts()
    assert shown == names if names != ['all'] else len(shown) == 5


def test_the_study_page_filters_by_keyword(study_page, visitor):
    study_page.locator('.tab-pane.active input[placeholder*=keyword]').fill('CT')
    study_page.locator('.tab-pane.active button:visible', has_text='CT').first.click()
    study_page.wait_for_timeout(500)
    assert visits_on(study_page).all_inner_texts() == ['X05']
    visitor.picture('filtered')


def test_the_filter_has_room_on_a_telephone(study_page):
    study_page.set_viewport_size({'width': 375, 'height': 800})
    field = study_page.get_by_placeholder('Filter by dataset')
    assert field.bounding_box()['width'] > 200
    assert study_page.evaluate('document.documentElement.scrollWidth') <= 375


def test_the_study_page_leads_to_the_table_of_series(study, visitor):
    page = visitor.open()
    page.get_by_role('tab', name='overview').click()
    link = page.get_by_role('link', name='Table of all series')
    link.wait_for()
    assert urljoin(page.url, link.get_attribute('href')).endswith(
        '/S1/catalog/overview.html'
    )


def test_a_visit_page_has_its_series_in_order(study, visitor):
    page = visitor.open(page_of(study, 'V01'))
    rows = page.locator('.tab-pane.active table tbody tr')
    rows.first.wait_for()
    assert [' '.join(text.split()) for text in rows.all_inner_texts()] == [
        '1 localizer 2 images, 2.0 kB, MR, protocol localizer_fast',
        '10 T1w 2 images, 2.0 kB, MR, protocol t1_mprage',
    ]
    visitor.picture('visit')


def test_a_visit_page_has_links_to_tarball_and_digest(study, visitor):
    page = visitor.open(page_of(study, 'V01'))
    page.get_by_role('tab', name='access').click()
    for name, content in (('V01_dicom.tar', 'tar'), ('V01_dicom.tar.md5sum', 'digest')):
        link = page.get_by_role('link', name=name, exact=True)
        link.wait_for()
        answer = page.request.get(urljoin(page.url, link.get_attribute('href')))
        assert (answer.status, answer.text()) == (200, content)
    visitor.picture('access')


def test_a_visit_page_shows_the_command_as_it_is_to_be_pasted(study, visitor):
    page = visitor.open(page_of(study, 'V01'))
    page.get_by_role('tab', name='access').click()
    cell = page.locator('.tab-pane.active tr').filter(has_text='datalad clone')
    cell.first.wait_for()
    assert study.overview['visits'][0]['clone'] in cell.first.inner_text()


def test_the_download_button_shows_a_quoted_command(study, visitor):
    page = visitor.open(page_of(study, 'V01'))
    page.get_by_role('button', name='Download with DataLad').click()
    command = page.locator('.modal-body #clone_code')
    command.wait_for()
    # as it is pasted, the same as the one that people copy from the table
    shown = shlex.split(command.inner_text())
    assert shown == shlex.split(study.tab('access')['clone'])
    assert shown[-1] == 'V01'


def test_no_page_offers_to_send_an_address_elsewhere(study, visitor):
    page = visitor.open(page_of(study, 'V01'))
    assert page.get_by_text('Binder').count() == 0


@pytest.mark.parametrize('visit_id', [None, 'V01'], ids=['study', 'visit'])
def test_hostile_values_are_text(deposit, catalog, visitor, visit_id):
    series = {
        'SeriesNumber': HOSTILE,
        'SeriesDescription': HOSTILE,
        'ProtocolName': HOSTILE,
        'Modality': HOSTILE,
    }
    for number in range(1, 5):
        deposit(f'V0{number}', (series, {'SeriesDescription': '@context'}))
    catalog.update('V01', 'V02', 'V03', 'V04')
    page = visitor.open('index.html' if visit_id is None else page_of(catalog, 'V01'))
    page.get_by_text('<img src=x onerror=alert(1)>{{ 1 + 1 }}WWW').first.wait_for()
    assert page.locator('img[src="x"]').count() == 0
    assert not visitor.errors
    # a long value does not push the page apart
    assert page.evaluate('document.documentElement.scrollWidth') <= 1400
    visitor.picture(f'hostile-{visit_id}')


def test_a_long_value_leaves_the_names_of_attributes_whole(deposit, catalog, visitor):
    deposit('V01', ({'SeriesNumber': 1, 'SeriesDescription': 'W' * 3000},))
    catalog.update('V01')
    page = visitor.open(page_of(catalog, 'V01'))
    page.get_by_role('tab', name='DICOM').click()
    rows = page.locator('.tab-pane.active tr')
    heights = [
        rows.filter(has_text=name).locator('strong').bounding_box()['height']
        for name in ('SeriesDescription', 'SeriesNumber')
    ]
    # in one line each
    assert heights[0] == heights[1]


def test_a_series_that_is_named_like_a_keyword_of_the_page_is_shown(
    deposit, catalog, visitor
):
    deposit('V01', ({'SeriesDescription': '@context'}, {'SeriesDescription': 'b'}))
    catalog.update('V01')
    page = visitor.open(page_of(catalog, 'V01'))
    page.locator('.tab-pane.active').get_by_text('@context').first.wait_for()


def test_the_pages_work_behind_a_password(study, browser, tmp_path):
    with serve_store(tmp_path / 'store', USER, PASSWORD) as server:
        context = browser.new_context(
            http_credentials={'username': USER, 'password': PASSWORD}
        )
        visitor = Visitor(context.new_page(), f'{server.url}/S1/catalog/')
        page = visitor.open(page_of(study, 'V01'))
        page.get_by_text('10 T1w').wait_for()
        context.close()
    assert not [e for e in visitor.errors if '401' not in e]
    assert not visitor.foreign


def test_an_updated_visit_is_shown_with_its_new_values(study, deposit, visitor):
    deposit('V02', ({'SeriesNumber': 3, 'SeriesDescription': 'added later'},))
    study.update('V02')
    page = visitor.open(page_of(study, 'V02'))
    page.get_by_text('3 added later').wait_for()
