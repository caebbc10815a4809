"""A study of varied visits, made by the commands, as a researcher finds it"""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import datalad.api
import pytest

from datalad_icf.dicom import archive_visit, deposit_metadata
from datalad_icf.store import Visit, VisitPaths

STUDY = 'Study (1), 50%'
# as a name of a file may have them
ODD_NAMES = ["O'Brien 1", 'P 100% "a"', 'Zoë#4', 'a&b;c']
UNICODE = {'SpecificCharacterSet': 'ISO_IR 192'}
WORDS = ('Schädel', '頭部 T1', 'мозг', 'رأس', 'tête')
HOSTILE = (
    '<script>alert(1)</script>',
    'javascript:alert(1)',
    '<img src=x onerror=alert(1)>',
    '{{constructor.constructor("alert(1)")()}}',
    b'nul\0here',
    'bidi\u202egpj.exe\u2066',
    'W' * 3000,
    b'lone\xed\xa0\x80surrogate',
)
DATES = ('StudyDate', 'StudyTime', 'SeriesDate', 'AcquisitionDate', 'ContentDate')
CLIPBOARD = ['clipboard-read', 'clipboard-write']


def make_series(number, description, modality='MR', copies=2, **attributes):
    """Attributes of the images of a series"""
    common = {
        'SeriesNumber': number,
        'SeriesDescription': description,
        'ProtocolName': f'protocol {number}',
        'Modality': modality,
        **UNICODE,
        **attributes,
    }
    return [{**common, 'InstanceNumber': n + 1} for n in range(copies)]


def make_study():
    """Attributes of the images of twelve visits"""
    no_number = make_series(1, 'without a number', without=['SeriesNumber'])
    return {
        'P1': make_series(1, 'localizer', copies=3) + make_series(10, 'T1w'),
        'P2': [i for n in range(1, 21) for i in make_series(n, f'run {n}', copies=1)],
        'P10': make_series(2, 'head', 'CT') + make_series(3, 'PET', 'PT', copies=5),
        'words': [
            i for n, word in enumerate(WORDS, 1) for i in make_series(n, word, 'US')
        ],
        'hostile': [
            i
            for n, text in enumerate(HOSTILE, 1)
            for i in make_series(n, text, 'OT', ProtocolName=text)
        ],
        'undated': make_series(4, 'no date', 'XA', without=DATES),
        'unnumbered': no_number + make_series(5, 'numbered'),
        # three series for DICOM, that nobody can tell apart
        'same': make_series(7, 'twice') + make_series(7, 'twice', copies=1),
        **{name: make_series(1, f'series of {name}') for name in ODD_NAMES[:3]},
        'notes only': [],
    }


@pytest.fixture(scope='module')
def study(store, server, image, deposit_visit, tmp_path_factory):
    """Makes the catalog of twelve visits, one of them without a dataset"""
    visits = make_study()
    assert len(visits) == 12
    for name, images in visits.items():
        export = tmp_path_factory.mktemp('export')
        (export / 'notes.txt').write_text(f'notes of {name}')
        for number, attributes in enumerate(images):
            (export / f'{number:04d}.dcm').write_bytes(image(**attributes))
        if name == 'undated':
            paths = VisitPaths(store, Visit(STUDY, name))
            archive_visit(paths, export)
            deposit_metadata(paths)
        else:
            deposit_visit(STUDY, name, export)
    build_catalog(store, server, STUDY)
    return visits


def build_catalog(store, server, study_id):
    records = datalad.api.icf_catalog(
        id=(study_id, '*'),
        store_dir=store,
        store_url=server.url,
        result_renderer='disabled',
    )
    assert {record['status'] for record in records} == {'ok'}


class Researcher:
    """Somebody with a browser and the password, and what went wrong unseen"""

    def __init__(self, browser, server, login, study_id):
        self.url = f'{server.url}/{study_id}/catalog/'.replace(' ', '%20')
        self.url = self.url.replace('#', '%23')
        self.context = browser.new_context(
            http_credentials=dict(zip(('username', 'password'), login)),
            viewport={'width': 1360, 'height': 900},
            permissions=CLIPBOARD,
        )
        self.page = self.context.new_page()
        self.errors, self.hosts = [], set()
        self.page.on('console', self._note)
        self.page.on('pageerror', lambda error: self.errors.append(str(error)))
        self.page.on('dialog', self._refuse)
        self.context.on(
            'request', lambda request: self.hosts.add(urlsplit(request.url).hostname)
        )

    def _note(self, message):
        if message.type in ('error', 'warning'):
            self.errors.append(message.text)

    def _refuse(self, dialog):
        self.errors.append(dialog.message)
        dialog.dismiss()

    def open(self, address='overview.html'):
        self.page.goto(urljoin(self.url, address))
        shown = '#rows > tr' if address == 'overview.html' else '#mainbody .card'
        self.page.wait_for_selector(shown)
        return self.page

    def picture(self, name):
        directory = os.environ.get('ICF_SCREENSHOTS')
        if directory:
            Path(directory).mkdir(parents=True, exist_ok=True)
            path = Path(directory) / f'study-{name}.png'
            self.page.screenshot(path=path, full_page=True)


@pytest.fixture
def visit_study(browser, server, password):
    """Opens a browser for a study; nothing unseen may go wrong"""
    opened = []

    def visit(study_id=STUDY):
        researcher = Researcher(browser, server, ('reader', password), study_id)
        opened.append(researcher)
        return researcher

    yield visit
    for researcher in opened:
        researcher.context.close()
        assert not researcher.errors
        assert researcher.hosts <= {'127.0.0.1', None}


@pytest.fixture
def researcher(study, visit_study):
    return visit_study()


def count_rows(page, number):
    page.wait_for_function(
        'n => document.querySelectorAll("#rows > tr").length === n', arg=number
    )


def column(page, name):
    return [
        text.split('\n')[0].strip()
        for text in page.locator(f'#rows > tr > .{name}').all_inner_texts()
    ]


def show_all(page, number):
    # The page adds rows by itself where the button comes into sight, so between
    # a look at the button and a click with the mouse it may be gone.
    page.wait_for_function(
        """n => {
            const more = document.getElementById('more');
            if (!more.hidden) document.getElementById('more-button').click();
            return more.hidden && document.querySelectorAll('#rows > tr').length === n;
        }""",
        arg=number,
    )


def test_all_series_of_all_visits_are_in_the_table(researcher):
    page = researcher.open()
    show_all(page, 2 + 20 + 2 + 5 + 8 + 1 + 2 + 1 + 3 + 1)
    visits = dict.fromkeys(page.locator('#rows .visit a').all_inner_texts())
    assert set(visits) == set(make_study())
    assert [v for v in visits if v in ('P1', 'P2', 'P10')] == ['P1', 'P2', 'P10']
    shown = column(page, 'description')
    assert set(WORDS) < set(shown)
    assert 'no DICOM series' in shown
    researcher.picture('overview')


def test_hostile_values_stand_there_as_text(researcher):
    page = researcher.open()
    page.fill('#q', 'hostile')
    count_rows(page, len(HOSTILE))
    shown = column(page, 'description')
    assert shown[:4] == list(HOSTILE[:4])
    assert shown[4:6] == ['nul here', 'bidigpj.exe']
    assert shown[6].startswith('WWW')
    assert len(shown[6]) <= 80
    assert shown[7].startswith('lone')
    assert page.evaluate('document.documentElement.scrollWidth') <= 1360
    researcher.picture('hostile')


@pytest.mark.parametrize(
    ('field', 'value', 'visits'),
    [
        ('q', 'schadel', {'words'}),
        ('q', "o'brien", {"O'Brien 1"}),
        ('modality', 'PT', {'P10'}),
        ('modality', 'XA', {'undated'}),
        ('protocol', 'protocol 20', {'P2'}),
        ('from', '2024-03-01', set()),
        ('to', '2024-02-28', set()),
    ],
)
def test_every_control_filters(researcher, field, value, visits):
    page = researcher.open()
    if field in ('modality', 'protocol'):
        page.select_option(f'#{field}', value)
    else:
        page.fill(f'#{field}', value)
    count_rows(page, len(visits))
    assert set(column(page, 'visit')) == visits


def test_dates_of_the_scans_limit_the_visits(researcher):
    page = researcher.open()
    page.fill('#from', '2024-02-29')
    page.fill('#to', '2024-02-29')
    page.fill('#q', 'no date')
    count_rows(page, 0)
    page.fill('#q', 'localizer')
    count_rows(page, 1)
    assert column(page, 'date') == ['2024-02-29']


def test_sorting_takes_numbers_as_numbers(researcher):
    page = researcher.open()
    page.select_option('#modality', 'MR')
    page.click('[data-sort=number]')
    show_all(page, 2 + 20 + 2 + 1 + 3)
    numbers = column(page, 'number')
    known = [int(n) for n in numbers[:-1]]
    assert known == sorted(known)
    assert numbers[-1] == '\N{EN DASH}'
    page.click('[data-sort=images]')
    page.click('[data-sort=images]')
    assert column(page, 'images')[:2] == ['3', '3']


def test_the_links_of_all_visits_lead_somewhere(researcher, study):
    page = researcher.open()
    show_all(page, 45)
    links = page.locator('#rows a').evaluate_all('links => links.map(a => a.href)')
    # a page, a tarball and a digest each
    assert len(links) == 3 * len(study)
    for link in links:
        assert page.request.head(link).status == 200, link


@pytest.mark.parametrize('name', ["O'Brien 1", 'hostile', 'Zoë#4', 'notes only'])
def test_the_page_of_a_visit_is_found_from_the_table(researcher, name):
    page = researcher.open()
    page.get_by_role('link', name=name, exact=True).first.click()
    page.wait_for_selector('#mainbody .card')
    page.get_by_text(f'Visit {name} of study {STUDY}').first.wait_for()
    page.wait_for_load_state('networkidle')
    page.locator('#mainbody img').first.wait_for()
    researcher.picture(f'visit-{name.split()[0].strip("#").replace("#", "")}')
    page.get_by_role('tab', name='access').click()
    for suffix in ('_dicom.tar', '_dicom.tar.md5sum'):
        link = page.get_by_role('link', name=f'{name}{suffix}', exact=True)
        link.wait_for()
        address = urljoin(page.url, link.get_attribute('href'))
        assert page.request.head(address).status == 200


def test_the_page_of_the_study_lists_all_visits(researcher, study):
    page = researcher.open('index.html')
    for name in study:
        page.locator('.tab-pane.active').get_by_text(name, exact=True).first.wait_for()
    page.wait_for_load_state('networkidle')
    researcher.picture('home')


def test_a_visit_without_a_dataset_has_no_command(researcher):
    page = researcher.open()
    page.fill('#q', 'undated')
    count_rows(page, 1)
    assert page.locator('#rows .copy').count() == 0
    assert page.get_by_role('link', name='Tarball').count() == 1


@pytest.mark.parametrize('name', ["O'Brien 1", 'P 100% "a"', 'Zoë#4'])
def test_the_command_that_is_copied_clones_when_pasted(
    researcher, reader, tmp_path, name
):
    page = researcher.open()
    page.fill('#q', f'series of {name}')
    count_rows(page, 1)
    page.locator('#rows .copy').click()
    page.wait_for_selector('#toast:not(:empty)')
    command = page.evaluate('navigator.clipboard.readText()')
    reader.run('bash', '-c', command, cwd=tmp_path)
    (clone,) = tmp_path.iterdir()
    assert clone.name == name
    if '#' in name:
        # which the remote of datalad-next cannot find in a tarball
        setting = ('remote.archivist.annex-externaltype', 'icf-archivist')
        reader.run('git', 'config', *setting, cwd=clone)
    image = next(p for p in sorted(clone.rglob('*.dcm')))
    reader.run('datalad', 'get', str(image), cwd=clone)
    assert image.read_bytes()[128:132] == b'DICM'


@pytest.mark.parametrize('name', ["O'Brien 1", 'P 100% "a"', 'Zoë#4'])
def test_the_command_on_the_page_of_a_visit_is_the_same(researcher, name):
    page = researcher.open()
    page.fill('#q', f'series of {name}')
    count_rows(page, 1)
    page.locator('#rows .copy').click()
    page.wait_for_selector('#toast:not(:empty)')
    copied = page.evaluate('navigator.clipboard.readText()')
    page.get_by_role('link', name=name, exact=True).click()
    page.get_by_text(f'Visit {name} of study {STUDY}').first.wait_for()
    page.get_by_role('button', name='Download with DataLad').click()
    shown = page.locator('.modal-body #clone_code').inner_text()
    # a shell sees no difference between two ways to quote
    assert shlex.split(shown) == shlex.split(copied)


@pytest.mark.skipif('ICF_EXAMPLE_VISIT' not in os.environ, reason='no example visit')
def test_the_example_visit_is_shown_as_it_is(deposit_visit, store, server, visit_study):
    deposit_visit('example', 'V01', Path(os.environ['ICF_EXAMPLE_VISIT']).resolve())
    build_catalog(store, server, 'example')
    researcher = visit_study('example')
    page = researcher.open()
    assert page.inner_text('#total-images') == '384'
    assert page.inner_text('#total-visits') == '1'
    researcher.picture('example')
    page.get_by_role('link', name='V01', exact=True).click()
    page.get_by_text('384 images in').first.wait_for()
    page.wait_for_load_state('networkidle')
    researcher.picture('example-visit')
