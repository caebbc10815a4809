"""The overview page of a study, as people see and use it in a browser"""

from __future__ import annotations

import base64
from typing import Any

import pytest


def make_series(number: Any = 401, **changes: Any) -> dict[str, Any]:
    """A series as it stands in ``overview.json``"""
    series = {
        'number': number,
        'description': 'T1w MPRAGE',
        'protocol': 't1',
        'modality': 'MR',
        'images': 192,
        'size': 40_000_000,
        'thumbnail': None,
        'viewer': None,
    }
    return series | changes


def make_visit(name: str, *series: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A visit as it stands in ``overview.json``"""
    quoted = f"datalad-annex::?type=external&url=http://127.0.0.1/S/{name}'"
    visit = {
        'id': name,
        'page': f'index.html#/dataset/{name}/1',
        'date': '2024-03-01',
        'images': sum(s['images'] or 0 for s in series),
        'size': sum(s['size'] or 0 for s in series) + 10_240,
        'md5': '0123456789abcdef' * 2,
        'tarball': f'../{name}_dicom.tar',
        'md5sum': f'../{name}_dicom.tar.md5sum',
        'clone': f"datalad clone '{quoted} {name}",
        'viewer': None,
        'series': list(series),
    }
    return visit | changes


def make_study(*visits: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The content of ``overview.json``"""
    facility = {
        'name': 'Imaging Core Facility',
        'logo': None,
        'contact': 'mailto:icf@example.org',
        'color': None,
    }
    study = {
        'format': 1,
        'study': 'S1',
        'facility': facility,
        'catalog': 'index.html',
        'visits': list(visits),
    }
    return study | changes


# what stands where a value is missing
UNKNOWN = '\N{EN DASH}'
ONE_PIXEL = base64.b64decode(
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGA'
    'hKmMIQAAAABJRU5ErkJggg=='
)
BOLD = {
    'description': 'BOLD',
    'protocol': 'bold',
    'images': 300,
    'size': 1_500_000_000,
}
LOCALIZER = {
    'description': 'localizer',
    'protocol': 'aa',
    'images': 3,
    'size': 999,
}
PET = {
    'description': 'Schädel PET',
    'protocol': 'pet',
    'modality': 'PT',
    'images': 1200,
    'size': 250_500,
}


@pytest.fixture
def study() -> dict[str, Any]:
    """Four visits with seven series, in no order"""
    return make_study(
        make_visit('V10', make_series(2), make_series(11, **BOLD), date='2024-05-02'),
        make_visit('V2', make_series(1, **LOCALIZER), date='2023-12-24'),
        make_visit('V1', make_series(10), make_series(9, **BOLD), date='2024-01-31'),
        make_visit('V3', make_series('x1', **PET), make_series(None), date=None),
    )


@pytest.fixture
def many() -> dict[str, Any]:
    """1,000 visits with 15 series each"""
    kinds = ({}, BOLD, LOCALIZER, PET)
    return make_study(
        *(
            make_visit(
                f'sub-{v:04}',
                *(make_series(s, **kinds[s % len(kinds)]) for s in range(1, 16)),
                date=f'20{v % 20:02}-{v % 12 + 1:02}-{v % 28 + 1:02}',
            )
            for v in range(1000)
        )
    )


def column(page: Any, name: str) -> list[str]:
    """What is visible in a column of the table, from top to bottom"""
    return page.locator(f'#rows > tr > .{name}').all_inner_texts()


def series(page: Any) -> list[str]:
    """Visit and number of the series in the table"""
    return [
        f'{visit.strip()} {number.strip()}'
        for visit, number in zip(column(page, 'visit'), column(page, 'number'))
    ]


def totals(page: Any) -> list[str]:
    """Visits, series, images and bytes, as they are shown"""
    return page.locator('.totals dd').all_inner_texts()


def sort_by(page: Any, name: str) -> None:
    page.click(f'[data-sort={name}]')


def wait_for_rows(page: Any, number: int) -> None:
    page.wait_for_function(
        'n => document.querySelectorAll("#rows > tr").length === n', arg=number
    )


def filter_by(page: Any, rows: int, **values: str) -> None:
    """Fill in the form, and wait for so many rows"""
    for name, value in values.items():
        field = page.locator(f'#{name}')
        if name in ('modality', 'protocol'):
            field.select_option(value)
        else:
            field.fill(value)
    wait_for_rows(page, rows)


def test_shows_the_series_of_all_visits(open_overview, study, screenshot):
    page = open_overview(study).page
    assert page.title() == f'Study S1 {UNKNOWN} Imaging Core Facility'
    assert page.inner_text('h1') == 'Study S1'
    assert page.inner_text('#facility') == 'Imaging Core Facility'
    assert series(page) == [
        'V1 9',
        'V1 10',
        'V2 1',
        'V3 x1',
        f'V3 {UNKNOWN}\nunknown',
        'V10 2',
        'V10 11',
    ]
    first = page.locator('#rows > tr').first
    assert first.locator('td').all_inner_texts()[:7] == [
        '2024-01-31',
        '9',
        '',
        'BOLD',
        'bold',
        'MR',
        '300',
    ]
    assert column(page, 'size') == [
        '1.50 GB',
        '40.0 MB',
        '999 B',
        '251 kB',
        '40.0 MB',
        '40.0 MB',
        '1.50 GB',
    ]
    assert first.locator('.size').get_attribute('title') == '1,500,000,000 bytes'
    screenshot(page, 'light', full_page=True)


def test_tells_totals(open_overview, study):
    page = open_overview(study).page
    assert totals(page) == ['4', '7', '2,379', '3.12 GB']
    assert page.get_attribute('#total-size', 'title') == '3,120,251,499 bytes'
    filter_by(page, 2, q='bold')
    assert totals(page) == ['2 of 4', '2 of 7', '600 of 2,379', '3.00 GB of 3.12 GB']
    # said to those who do not see it, too
    page.wait_for_function(
        '() => document.getElementById("status").textContent === "2 of 7 series shown"'
    )


def test_names_a_visit_once_above_its_series(open_overview, study):
    page = open_overview(study).page
    assert page.locator('#rows .visit a').all_inner_texts() == ['V1', 'V2', 'V3', 'V10']
    assert page.locator('#rows .copy').count() == 4
    sort_by(page, 'size')
    assert page.locator('#rows .visit a').count() == 7
    assert page.locator('#rows .copy').count() == 7


@pytest.mark.parametrize(
    ('name', 'ascending', 'descending'),
    [
        # V10 after V2; the series of a visit keep their order
        ('visit', 'V1 V1 V2 V3 V3 V10 V10', 'V10 V10 V3 V3 V2 V1 V1'),
        # what is unknown comes last, whatever the direction
        ('date', 'V2 V1 V1 V10 V10 V3 V3', 'V10 V10 V1 V1 V2 V3 V3'),
        ('number', f'1 2 9 10 11 x1 {UNKNOWN}', f'x1 11 10 9 2 1 {UNKNOWN}'),
        ('images', '3 192 192 192 300 300 1,200', '1,200 300 300 192 192 192 3'),
        (
            'size',
            '999 B|251 kB|40.0 MB|40.0 MB|40.0 MB|1.50 GB|1.50 GB',
            '1.50 GB|1.50 GB|40.0 MB|40.0 MB|40.0 MB|251 kB|999 B',
        ),
        ('modality', 'MR MR MR MR MR MR PT', 'PT MR MR MR MR MR MR'),
        (
            'description',
            'BOLD|BOLD|localizer|Schädel PET|T1w MPRAGE|T1w MPRAGE|T1w MPRAGE',
            'T1w MPRAGE|T1w MPRAGE|T1w MPRAGE|Schädel PET|localizer|BOLD|BOLD',
        ),
        ('protocol', 'aa bold bold pet t1 t1 t1', 't1 t1 t1 pet bold bold aa'),
    ],
)
def test_sorts_by_every_column(open_overview, study, name, ascending, descending):
    page = open_overview(study).page
    shown = 'visit' if name == 'date' else name
    separator = '|' if '|' in ascending else ' '
    # the table is sorted by the visit to begin with
    if name != 'visit':
        sort_by(page, name)
    for direction, expected in (('ascending', ascending), ('descending', descending)):
        values = [v.split('\n')[0].strip() for v in column(page, shown)]
        assert values == expected.split(separator)
        sorted_heads = page.locator('th[aria-sort]')
        assert sorted_heads.count() == 1
        assert sorted_heads.get_attribute('aria-sort') == direction
        assert sorted_heads.locator('button').get_attribute('data-sort') == name
        sort_by(page, name)


@pytest.mark.parametrize(
    ('values', 'expected'),
    [
        ({'q': 'V10'}, ['V10 2', 'V10 11']),
        # all words, in any case and place
        ({'q': '  mprage v1'}, ['V1 10', 'V10 2']),
        ({'q': 'bold'}, ['V1 9', 'V10 11']),
        ({'q': 'x1'}, ['V3 x1']),
        ({'q': 'schadel'}, ['V3 x1']),
        ({'q': 'SCHÄDEL'}, ['V3 x1']),
        ({'q': '.*'}, []),
        ({'modality': 'PT'}, ['V3 x1']),
        ({'protocol': 'aa'}, ['V2 1']),
        ({'from': '2024-01-31'}, ['V1 9', 'V1 10', 'V10 2', 'V10 11']),
        ({'to': '2024-01-31'}, ['V1 9', 'V1 10', 'V2 1']),
        ({'from': '2024-01-01', 'to': '2024-12-31', 'q': 't1w'}, ['V1 10', 'V10 2']),
        ({'modality': 'MR', 'protocol': 'pet'}, []),
    ],
)
def test_filters(open_overview, study, values, expected):
    page = open_overview(study).page
    filter_by(page, len(expected), **values)
    assert series(page) == expected
    assert page.is_visible('#nothing') == (not expected)
    assert page.is_visible('#table') == bool(expected)


def test_resets_the_filter(open_overview, study, screenshot):
    page = open_overview(study).page
    assert page.is_disabled('#reset')
    filter_by(page, 0, q='nothing like that', modality='MR', to='2024-06-01')
    assert page.inner_text('#nothing p') == 'No series matches the filter.'
    screenshot(page, 'nothing')
    page.click('#nothing button')
    wait_for_rows(page, 7)
    assert page.input_value('#q') == page.input_value('#to') == ''
    filter_by(page, 1, modality='PT')
    page.click('#reset')
    wait_for_rows(page, 7)
    assert page.evaluate('location.hash') == ''
    assert page.evaluate('document.activeElement.id') == 'q'


def test_choices_come_from_the_data(open_overview, study):
    page = open_overview(study).page
    assert page.locator('#modality option').all_inner_texts() == ['all', 'MR', 'PT']
    assert page.locator('#protocol option').all_inner_texts() == [
        'all',
        'aa',
        'bold',
        'pet',
        't1',
    ]


def test_a_view_can_be_bookmarked(open_overview, study):
    page = open_overview(study).page
    values = {'q': 'V1 ä&=#', 'from': '2024-01-01', 'to': '2024-02-01'}
    filter_by(page, 0, modality='MR', protocol='t1', **values)
    filter_by(page, 1, q='v1')
    page.evaluate('document.querySelector("[data-sort=size]").click()')
    page.click('[data-sort=size]')
    assert page.evaluate('location.hash') == (
        '#q=v1&modality=MR&protocol=t1&from=2024-01-01&to=2024-02-01&sort=-size'
    )
    page.reload()
    wait_for_rows(page, 1)
    assert series(page) == ['V1 10']
    assert page.input_value('#q') == 'v1'
    assert page.get_attribute('th.size', 'aria-sort') == 'descending'
    # somebody follows another bookmark while the page is open
    page.evaluate('location.hash = "#q=pet"')
    wait_for_rows(page, 1)
    assert series(page) == ['V3 x1']
    assert page.get_attribute('th.visit', 'aria-sort') == 'ascending'


@pytest.mark.parametrize(
    'fragment',
    ['#sort=__proto__&modality=CT', '#sort=-&from=yesterday', '#%', '#/dataset/1'],
)
def test_ignores_an_address_that_makes_no_sense(open_overview, study, fragment):
    assert len(series(open_overview(study, fragment).page)) == 7


def test_links_lead_to_the_files_of_the_visit(open_overview, study, catalog_dir):
    for name in ('V1_dicom.tar', 'V1_dicom.tar.md5sum'):
        (catalog_dir.parent / name).write_bytes(b'content of ' + name.encode())
    study['visits'][2]['viewer'] = '../../viewer/?visit=V1'
    study['visits'][2]['series'][0]['viewer'] = '../../viewer/?series=10'
    page = open_overview(study).page
    access = page.locator('#rows > tr').first.locator('.access')
    names = [' '.join(n.split()) for n in access.locator('a').all_inner_texts()]
    assert names == [
        'View visit V1',
        'Tarball, 1.54 GB of visit V1',
        'MD5 of visit V1',
    ]
    links = access.locator('a').evaluate_all('links => links.map(a => a.href)')
    base = page.url.rsplit('/', 3)[0]
    assert links == [
        f'{base}/viewer/?visit=V1',
        f'{base}/S1/V1_dicom.tar',
        f'{base}/S1/V1_dicom.tar.md5sum',
    ]
    assert access.locator('a').nth(1).get_attribute('title') == '1,540,010,240 bytes'
    with page.expect_download() as download:
        access.get_by_role('link', name='Tarball').click()
    assert download.value.path().read_bytes() == b'content of V1_dicom.tar'
    second = page.locator('#rows > tr').nth(1).locator('.access a')
    assert second.get_attribute('href') == '../../viewer/?series=10'
    page.click('text="V1"')
    assert page.url == f'{base}/S1/catalog/index.html#/dataset/V1/1'
    page.go_back()
    page.click('text="DataLad catalog"')
    assert page.url == f'{base}/S1/catalog/index.html'


def test_leaves_out_what_is_not_there(open_overview, study):
    visit = study['visits'][1]
    visit.update(viewer=None, clone=None, tarball=None, md5sum=None, page=None)
    study['facility'] = {'name': None, 'logo': None, 'contact': None, 'color': None}
    page = open_overview(study, '#q=v2').page
    assert page.locator('#rows a, #rows button').count() == 0
    assert series(page) == ['V2 1']
    assert not page.is_visible('.thumbnail >> nth=0')
    assert not page.is_visible('#contact')
    assert not page.is_visible('#facility')
    assert not page.is_visible('#logo')


def test_a_visit_without_series_has_its_tarball(open_overview, study):
    study['visits'].append(make_visit('V0'))
    page = open_overview(study).page
    assert totals(page)[:2] == ['5', '7']
    first = page.locator('#rows > tr').first
    assert first.locator('.description').inner_text() == 'no DICOM series'
    assert first.get_by_role('link', name='Tarball').count() == 1
    filter_by(page, 6, modality='MR')


def test_shows_previews_and_the_branding(open_overview, study, catalog_dir, screenshot):
    (catalog_dir / 'artwork').mkdir()
    (catalog_dir / 'artwork' / 'logo.png').write_bytes(ONE_PIXEL)
    (catalog_dir / 'preview.png').write_bytes(ONE_PIXEL)
    study['facility'].update(logo='artwork/logo.png', color='#aa0044')
    rows = [s for v in study['visits'] for s in v['series']]
    rows[0].update(thumbnail='preview.png', viewer='viewer/?s=2')
    rows[1].update(thumbnail='gone.png')
    page = open_overview(study, expected=('404',)).page
    assert page.is_visible('th.thumbnail')
    image = page.locator('#rows img[src="preview.png"]')
    assert image.get_attribute('alt') == 'Preview of series 2'
    page.wait_for_selector('#logo', state='visible')
    page.wait_for_selector('#rows img[src="gone.png"]', state='detached')
    header = page.locator('.masthead')
    color = header.evaluate('e => getComputedStyle(e).borderTopColor')
    assert color == 'rgb(170, 0, 68)'
    screenshot(page, 'previews')


@pytest.mark.parametrize('color', ['red', '#fff', 'url(//example.org)', '#aabbcc;', 7])
def test_takes_no_other_color_than_a_plain_one(open_overview, study, color):
    study['facility']['color'] = color
    page = open_overview(study).page
    assert page.evaluate('document.documentElement.style.length') == 0


HOSTILE = [
    '<script>alert(1)</script>',
    '<img src=x onerror=alert(1)>',
    'javascript:alert(1)',
    '{{constructor.constructor("alert(1)")()}}',
    '"><a href="https://example.org/">x</a>',
    '__proto__',
]


@pytest.mark.parametrize('value', HOSTILE)
def test_hostile_values_are_text(open_overview, value):
    row = make_series(value, description=value, protocol=value, modality=value)
    visit = make_visit(value, row, md5=value)
    page = open_overview(make_study(visit, study=value)).page
    assert page.inner_text('h1') == f'Study {value}'
    for name in ('visit', 'number', 'description', 'protocol', 'modality'):
        assert column(page, name) == [value]
    filter_by(page, 1, modality=value, protocol=value, q=value)
    page.wait_for_function('() => location.hash.includes("&protocol=")')
    page.reload()
    wait_for_rows(page, 1)
    assert page.input_value('#protocol') == value
    assert page.locator('script:not([src^="overview"])').count() == 0
    assert page.locator('main img').count() == 0


def test_control_and_bidi_characters_are_gone(open_overview):
    value = 'a\x00b\u202ec\u2066d\x1b[31me\ud800f'
    row = make_series(description=value, protocol=value, modality=value)
    page = open_overview(make_study(make_visit('V1', row))).page
    for name in ('description', 'protocol', 'modality'):
        assert column(page, name) == ['a b c d [31me\ufffdf']
    filter_by(page, 1, modality='a b c d [31me\ufffdf')


@pytest.mark.parametrize(
    'target',
    [
        'javascript:alert(1)',
        ' javascript:alert(1)',
        'java\nscript:alert(1)',
        'JAVASCRIPT:alert(1)',
        'data:text/html,<script>alert(1)</script>',
        'vbscript:x',
        'blob:x',
        'file:///etc/passwd',
        'http://[',
        {'href': 'x'},
        7,
    ],
)
def test_links_are_only_relative_or_http(open_overview, target):
    row = make_series(thumbnail=target, viewer=target)
    keys = ('page', 'tarball', 'md5sum', 'viewer')
    visit = make_visit('V1', row, **dict.fromkeys(keys, target))
    facility = {'name': 'F', 'logo': target, 'contact': target, 'color': target}
    page = open_overview(make_study(visit, facility=facility, catalog=target)).page
    assert page.locator('a[href]:not(.skip)').count() == 0
    assert page.locator('img[src]').count() == 0
    assert series(page) == ['V1 401']


def test_pictures_of_other_servers_are_not_asked_for(open_overview):
    foreign = 'http://127.0.0.1:9/x.png'
    facility = {'name': 'F', 'logo': foreign}
    study = make_study(make_visit('V1', make_series(thumbnail=foreign)))
    watched = open_overview(study | {'facility': facility})
    assert not any(':9/' in url for url in watched.requests)


def test_long_values_are_clamped(open_overview, screenshot):
    long = 'x' * 3000
    row = make_series(long, description=long, protocol=long, modality=long)
    study = make_study(make_visit(f'V{long}', row, clone=long), study=long)
    page = open_overview(study).page
    width = 'document.documentElement.scrollWidth - innerWidth'
    assert page.evaluate(width) <= 0
    assert page.locator('.description .clamp').bounding_box()['height'] < 100
    page.set_viewport_size({'width': 320, 'height': 640})
    assert page.evaluate(width) <= 0
    screenshot(page, 'long')


def test_copies_the_clone_command(open_overview, study, screenshot):
    page = open_overview(study, permissions=['clipboard-read', 'clipboard-write']).page
    page.get_by_role('button', name='Copy clone command of visit V2').click()
    page.wait_for_selector('#toast:not(:empty)')
    assert page.get_attribute('#toast', 'role') == 'status'
    assert page.inner_text('#toast') == (
        'Copied the clone command of visit V2. Paste it into a terminal.'
    )
    copied = page.evaluate('navigator.clipboard.readText()')
    assert copied == study['visits'][1]['clone']
    screenshot(page, 'copied')


def test_shows_the_command_where_there_is_no_clipboard(
    open_overview, study, screenshot
):
    page = open_overview(study, host='icf.test').page
    assert page.evaluate('isSecureContext') is False
    button = page.get_by_role('button', name='Copy clone command of visit V2')
    button.click()
    field = page.get_by_role('textbox', name='Clone command of visit V2')
    assert field.is_visible()
    assert page.evaluate('getSelection().toString()') == study['visits'][1]['clone']
    screenshot(page, 'command')
    page.keyboard.press('Escape')
    assert not field.is_visible()
    assert button.evaluate('e => e === document.activeElement')


def test_shows_the_command_where_the_clipboard_is_refused(open_overview, study):
    refuse = (
        'navigator.clipboard.writeText = () => Promise.reject(new DOMException("no"))'
    )
    page = open_overview(study, init_script=refuse).page
    page.locator('.copy').first.click()
    page.wait_for_selector('#command:not([hidden])')
    assert page.input_value('#command-text') == study['visits'][2]['clone']
    page.click('#command-close')
    assert not page.is_visible('#command')


def test_offers_no_command_that_runs_when_it_is_pasted(open_overview):
    visit = make_visit('V1', make_series(), clone='rm -r /\ndatalad clone')
    page = open_overview(make_study(visit)).page
    assert page.locator('.copy').count() == 0


def test_works_behind_a_password(open_overview, study):
    credentials = {'username': 'reader', 'password': 'pass word: 1%'}
    watched = open_overview(
        study, login='reader:pass word: 1%', http_credentials=credentials
    )
    assert len(series(watched.page)) == 7


def test_works_with_the_password_in_the_address(open_overview, study):
    page = open_overview(study, host='reader:secret@127.0.0.1', login='reader:secret')
    assert len(series(page.page)) == 7


def test_asks_for_its_own_files_only(open_overview, study):
    watched = open_overview(study)
    names = [url.rsplit('/', 1)[1] for url in watched.requests]
    assert sorted(names) == [
        'overview-model.js',
        'overview-rows.js',
        'overview.css',
        'overview.html',
        'overview.js',
        'overview.json',
        'overview.svg',
    ]


@pytest.mark.parametrize(
    ('content', 'told'),
    [
        (None, 'overview.json is missing next to this page (HTTP 404).'),
        ('', 'overview.json is damaged: it is no complete JSON file.'),
        (
            '{"format": 1, "vis',
            'overview.json is damaged: it is no complete JSON file.',
        ),
        ('[]', 'overview.json is of another format than this page can read (1).'),
        ('null', 'overview.json is of another format than this page can read (1).'),
        (
            '{"format": 1, "study": "S", "visits": [{"series": []}]}',
            'overview.json is damaged: it has no proper list of visits.',
        ),
    ],
)
def test_tells_what_is_wrong_with_the_data(open_overview, content, told, screenshot):
    page = open_overview(content, expected=('404',)).page
    assert page.get_attribute('#notice', 'role') == 'alert'
    assert page.locator('#notice p').all_inner_texts() == [
        told,
        'An administrator can write it anew with the command datalad icf-catalog.',
    ]
    assert not page.is_visible('#content')
    assert not page.is_visible('#loading')
    screenshot(page, 'error')


@pytest.mark.parametrize(
    ('answer', 'told'),
    [
        (
            lambda route: route.fulfill(status=403),
            'overview.json was refused by the server (HTTP 403).',
        ),
        (
            lambda route: route.abort(),
            'overview.json could not be fetched: the server did not answer.',
        ),
    ],
)
def test_tells_what_keeps_it_from_the_data(open_overview, study, answer, told):
    page = open_overview(study, expected=('Failed to load resource',)).page
    page.route('**/overview.json', answer)
    page.reload()
    page.wait_for_selector('#notice > p')
    assert told in page.inner_text('#notice')
    # who would make the catalog anew in vain
    assert 'administrator' not in page.inner_text('#notice')


def test_tells_that_there_are_no_visits(open_overview, screenshot):
    page = open_overview(make_study()).page
    assert page.inner_text('#notice') == 'No visit is in this catalog yet.'
    assert page.is_visible('#catalog')
    screenshot(page, 'empty')


def test_tells_that_scripts_are_needed(open_overview, browser, study):
    url = open_overview(study).page.url
    profile = browser.new_context(java_script_enabled=False)
    page = profile.new_page()
    page.goto(url)
    assert 'This page needs JavaScript' in page.inner_text('main')
    profile.close()


def test_can_be_used_with_the_keyboard(open_overview, study):
    page = open_overview(study).page
    focused = 'document.activeElement.id || document.activeElement.textContent'
    reached = []
    for _ in range(20):
        page.keyboard.press('Tab')
        name = page.evaluate(focused).strip()
        # a date has fields for its parts
        if name not in reached[-1:]:
            reached.append(name)
    assert reached[:11] == [
        'skip',
        'catalog',
        'contact',
        'q',
        'modality',
        'protocol',
        'from',
        'to',
        'Visit',
        'Date',
        'No.',
    ]
    outline = 'getComputedStyle(document.activeElement).outlineStyle'
    assert page.evaluate(outline) == 'solid'
    page.focus('[data-sort=number]')
    page.keyboard.press('Enter')
    assert page.get_attribute('th.number', 'aria-sort') == 'ascending'
    page.keyboard.press('Space')
    assert page.get_attribute('th.number', 'aria-sort') == 'descending'
    # the focus stays, to sort again
    assert page.evaluate(focused) == 'No.'
    page.focus('#q')
    page.keyboard.type('bold')
    page.keyboard.press('Enter')
    wait_for_rows(page, 2)


def test_the_skip_link_keeps_the_filter(open_overview, study):
    page = open_overview(study, '#q=bold').page
    page.keyboard.press('Tab')
    assert page.locator('#skip').bounding_box()['y'] >= 0
    page.keyboard.press('Enter')
    assert page.evaluate('document.activeElement.id') == 'main'
    assert page.evaluate('location.hash') == '#q=bold'


def test_has_names_and_landmarks(open_overview, study):
    page = open_overview(study).page
    for role in ('banner', 'navigation', 'main', 'search', 'table'):
        assert page.get_by_role(role).count() == 1
    assert page.get_by_role('table', name='Series by visit').count() == 1
    assert page.get_by_role('row').count() == 8
    assert page.get_by_role('columnheader').count() == 9
    assert page.get_by_role('rowheader').count() == 7
    for label in ('Text', 'Modality', 'Protocol', 'Scanned from', 'Scanned until'):
        assert page.get_by_label(label, exact=True).count() == 1


@pytest.mark.parametrize('width', [320, 390, 820, 1130, 1800])
def test_fits_into_a_small_window(open_overview, study, screenshot, width):
    page = open_overview(study, viewport={'width': width, 'height': 844}).page
    assert page.evaluate('document.documentElement.scrollWidth') <= width
    assert page.get_by_role('row').count() == 8
    for name in ('visit', 'description', 'size', 'access'):
        assert page.locator(f'#rows .{name}').first.is_visible()
    sort_by(page, 'size')
    assert page.evaluate('document.documentElement.scrollWidth') <= width
    screenshot(page, f'{width}-by-size', full_page=True)
    sort_by(page, 'visit')
    screenshot(page, f'{width}', full_page=True)


def test_has_a_dark_and_a_light_form(open_overview, study, screenshot):
    page = open_overview(study, color_scheme='light').page
    background = 'getComputedStyle(document.body).backgroundColor'
    light = page.evaluate(background)
    page.emulate_media(color_scheme='dark')
    dark = page.evaluate(background)
    assert sum(map(int, light[4:-1].split(','))) > 600
    assert sum(map(int, dark[4:-1].split(','))) < 150
    screenshot(page, 'dark')


def test_can_be_printed(open_overview, many, screenshot):
    many['visits'] = many['visits'][:12]
    page = open_overview(many, '#q=s').page
    page.emulate_media(media='print')
    assert not page.is_visible('#filter')
    assert page.is_visible('#table')
    page.evaluate('dispatchEvent(new Event("beforeprint"))')
    wait_for_rows(page, 180)
    screenshot(page, 'print')


def test_copes_with_15000_series(open_overview, many, screenshot):
    page = open_overview(many).page
    assert totals(page)[:2] == ['1,000', '15,000']
    first = page.locator('#rows > tr').count()
    assert first < 1000
    screenshot(page, 'many')
    # by scrolling
    page.locator('#more').scroll_into_view_if_needed()
    page.wait_for_function(
        'n => document.querySelectorAll("#rows > tr").length > n', arg=first
    )
    # by the keyboard
    before = page.locator('#rows > tr').count()
    page.evaluate('document.getElementById("more-button").click()')
    focused = (
        '[...document.querySelectorAll("#rows > tr")].indexOf(document.activeElement)'
    )
    assert page.evaluate(focused) >= before
    sort_by(page, 'size')
    page.wait_for_function(
        '() => document.querySelector("#rows .size").innerText === "999 B"'
    )
    page.fill('#q', 'sub-0999')
    wait_for_rows(page, 15)
    assert not page.is_visible('#more')
    assert totals(page)[:2] == ['1 of 1,000', '15 of 15,000']
    page.fill('#q', 'pet')
    page.wait_for_function(
        '() => document.getElementById("total-series").innerText === "4,000 of 15,000"'
    )


def test_uses_nothing_that_runs_text(catalog_dir):
    scripts = list(catalog_dir.glob('*.js'))
    assert len(scripts) == 3
    overview_source = ''.join(script.read_text() for script in scripts)
    for word in ('innerHTML', 'outerHTML', 'insertAdjacent', 'document.write', 'eval('):
        assert word not in overview_source


def test_survives_values_of_other_types(open_overview):
    odd: list[Any] = [None, True, -1, 1.5, [], {}, 'text']
    rows = [dict.fromkeys(make_series(), value) for value in odd]
    visits = [
        make_visit('V1', make_series()),
        {'id': 'V2', 'series': [*rows, None, 'x', 3]},
        {'id': 7, 'series': [{}], 'date': '17.7.2013', 'size': 'x', 'clone': 3},
    ]
    page = open_overview(
        make_study(*visits, facility=None, catalog=3), expected=('404',)
    ).page
    assert page.locator('#rows > tr').count() == 1 + len(odd) + 1
    for name in ('size', 'number', 'date'):
        sort_by(page, name)
