"""Parts of a tarball from the servers that stores have, with a password"""

from __future__ import annotations

from base64 import b64encode

import pytest

from datalad_icf.dataset.answers import Part
from datalad_icf.dataset.clone_source import find_deposits
from datalad_icf.dataset.ranges import StoreClient
from datalad_icf.errors import ReplacedTarballError
from datalad_icf.store import Visit
from tests.integration.web_servers import PASSWORD, RUNNERS, USER

# no part of it is there twice
CONTENT = b''.join(n.to_bytes(4, 'big') for n in range(1 << 16))


class Login:
    def find(self, url, challenge):
        login = b64encode(f'{USER}:{PASSWORD}'.encode()).decode()
        return f'Basic {login}' if challenge.startswith('Basic') else None

    def accept(self):
        pass

    def explain(self):
        return ''


@pytest.fixture(scope='module', params=['icf-serve', 'nginx', 'apache'])
def store_url(request, place):
    root, work = place / 'store', place / f'work-{request.param}'
    (root / 'S1').mkdir(parents=True, exist_ok=True)
    work.mkdir()
    (root / 'S1' / 'V01_dicom.tar').write_bytes(CONTENT)
    (root / 'S1' / 'V02_XDLRA--refs').write_text('')
    with RUNNERS[request.param](root, work, password=True) as url:
        yield url.rstrip('/')


def test_a_part_of_a_tarball_is_sent_as_a_part(store_url):
    client = StoreClient(Login())
    for start, size in ((1000, 150_000), (262_140, 4)):
        part = Part(start, size, len(CONTENT))
        found = b''.join(client.iter_part(f'{store_url}/S1/V01_dicom.tar', part))
        assert found == CONTENT[start : start + size]


@pytest.mark.parametrize('start', [1000, 300_000])
def test_another_size_of_the_tarball_is_seen(store_url, start):
    part = Part(start, 10, 1 << 20)
    url = f'{store_url}/S1/V01_dicom.tar'
    with pytest.raises(ReplacedTarballError):
        b''.join(StoreClient(Login()).iter_part(url, part))


def test_visits_are_found_on_the_page_of_a_study(request, store_url):
    if 'icf-serve' not in request.node.name:
        pytest.skip('it lists nothing, as it is configured')
    found = find_deposits(store_url, Visit('S1', '*'), StoreClient(Login()))
    assert [visit.visit_id for visit in found] == ['V01', 'V02']
