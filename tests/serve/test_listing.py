from __future__ import annotations

import os
from html.parser import HTMLParser
from urllib.parse import urljoin

import pytest

NAME = '<script>alert(1)</script>&"\'#?%41:\u202e.tar'.replace('/', '')


class Links(HTMLParser):
    """Collects the links of a page, and the tags that it has"""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: dict[str, str] = {}
        self.tags: list[str] = []
        self._href = ''
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == 'a':
            self._href = dict(attrs)['href']
            self.links[self._href] = ''

    def handle_data(self, data):
        if self._href:
            self.links[self._href] += data

    def handle_endtag(self, tag):
        if tag == 'a':
            self._href = ''


def test_studies_are_listed_with_their_pages(get, root):
    catalog = root / 'S1' / 'catalog'
    catalog.mkdir()
    (catalog / 'overview.html').write_text('<!DOCTYPE html>')
    (catalog / 'index.html').write_text('<!DOCTYPE html>')
    (root / 'S2').mkdir()
    (root / 'file').write_text('')
    page = Links(get('/').text)
    assert page.links == {
        'S1/': 'S1',
        'S1/catalog/overview.html': 'Overview',
        'S1/catalog/': 'Catalog',
        'S2/': 'S2',
    }
    for link in page.links:
        assert get(f'/{link}').status == 200


def test_the_viewer_is_no_study(get, root):
    (root / 'viewer').mkdir()
    assert 'viewer/' in Links(get('/').text).links
    (root / 'viewer' / 'index.html').write_text('<!DOCTYPE html>')
    assert 'viewer/' not in Links(get('/').text).links


def test_files_of_a_study_are_listed(get, root):
    os.utime(root / 'S1' / 'V01_dicom.tar', (86400, 86400))
    text = get('/S1/').text
    assert Links(text).links == {
        '../': 'All studies',
        'V01_dicom.tar': 'V01_dicom.tar',
    }
    assert '2.0 kB' in text
    assert '1970-01-02 00:00' in text


def test_whatever_a_name_has_in_it_is_text_and_leads_to_the_file(get, root):
    (root / 'S1' / NAME).write_text('content')
    page = Links(get('/S1/').text)
    assert 'script' not in page.tags
    (link,) = [href for href, text in page.links.items() if text == NAME]
    assert get(urljoin('/S1/', link)).text == 'content'


def test_whatever_a_study_has_in_its_name_is_text(get, root):
    (root / NAME).mkdir()
    page = Links(get('/').text)
    (link,) = [href for href, text in page.links.items() if text == NAME]
    title = get(urljoin('/', link)).text
    assert 'script' not in Links(title).tags


def test_a_name_that_is_no_text_does_not_hide_the_others(get, root):
    try:
        (root / 'S1' / os.fsdecode(b'\xff')).write_text('')
    except OSError:
        pytest.skip('this file system refuses such a name')
    assert 'V01_dicom.tar' in get('/S1/').text


@pytest.mark.parametrize('path', ['/', '/S1/'])
def test_an_empty_store_says_so(get, root, path):
    (root / 'S1' / 'V01_dicom.tar').unlink()
    if path == '/':
        (root / 'S1').rmdir()
    answer = get(path)
    assert answer.status == 200
    assert 'yet' in answer.text


def test_nothing_runs_on_a_page(get):
    policy = get('/').headers['Content-Security-Policy']
    assert "default-src 'none'" in policy
    assert 'script' not in policy
