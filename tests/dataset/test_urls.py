"""URLs stand for the files of a store, whatever its identifiers are"""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from datalad_next.gitremotes.datalad_annex import get_initremote_params_from_url

from datalad_icf.errors import PreconditionError
from datalad_icf.store import build_clone_url, build_tarball_url, check_store_url

IDENTIFIERS = ['S1', 'S 1', 'Säß', 'a&b', '100%', '%41', '{0}', 'a+b', 'a#b?c', "a'b"]


@pytest.mark.parametrize('identifier', IDENTIFIERS)
@pytest.mark.parametrize('base', ['https://example.org', 'https://example.org/a%20b/'])
def test_the_url_of_a_tarball_stands_for_its_path(identifier, base):
    url = build_tarball_url(base, f'{identifier}/V_dicom.tar')
    assert re.fullmatch(r'[!-~]+', url)
    assert not re.search('[#?]', url)
    assert unquote(url.removeprefix(base.rstrip('/'))) == f'/{identifier}/V_dicom.tar'


@pytest.mark.parametrize('identifier', IDENTIFIERS)
def test_the_remote_helper_reads_the_url_of_the_deposit_from_a_clone_url(identifier):
    url = build_clone_url('https://example.org', f'{identifier}/{identifier}_')
    params = dict(param.split('=', 1) for param in get_initremote_params_from_url(url))
    assert params.pop('url') == (
        build_tarball_url('https://example.org', f'{identifier}/{identifier}_')
        + '{annex_key}'
    )
    assert params == {
        'type': 'external',
        'externaltype': 'uncurl',
        'encryption': 'none',
    }


@pytest.mark.parametrize(
    'url', ['http://example.org', 'https://[::1]:8080/a/b/', 'file:///store']
)
def test_accepts_the_url_of_a_store(url):
    assert check_store_url(url) == url


@pytest.mark.parametrize(
    'url',
    ['', 'store', '/store', 'ftp://a', 'ssh://a/b', 'https://a?b', 'https://a/#b'],
)
def test_refuses_what_is_no_url_of_a_store(url):
    with pytest.raises(PreconditionError, match='store URL'):
        check_store_url(url)


@pytest.mark.parametrize(
    'url', ['https://me:s3cret@example.org', 'https://s3cret@a', 'http://:s3cret@a/b']
)
def test_refuses_a_url_with_a_login_without_repeating_it(url):
    with pytest.raises(PreconditionError, match='user or password') as caught:
        check_store_url(url)
    assert 's3cret' not in str(caught.value)


@pytest.mark.parametrize('url', ['https://', 'http://exa mple.org', 'https://a\nb'])
def test_refuses_a_url_that_cannot_be_fetched(url):
    with pytest.raises(PreconditionError):
        check_store_url(url)
