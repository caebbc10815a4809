"""One store, served by icf-serve, nginx and Apache: clients see no difference"""

from __future__ import annotations

import gzip
import http.client
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
import requests
from dicomweb_client import DICOMwebClient
from pydicom import dcmwrite

from datalad_icf.dicomweb.tree import BOUNDARY
from demo.phantom import LOCALIZER, build_instance
from tests.integration.web_servers import PASSWORD, RUNNERS, USER

# which has to be encoded in a URL, and then not a second time
STUDY = 'Stüdy A+1%20&x'
# stored plain, and stored as NAME.gz
PLAIN, PACKED = '1.2.826.1', '1.2.826.2'
SERIES = '1.2.826.9.1'
NATIVE, COMPRESSED = '1.2.826.9.1.1', '1.2.826.9.1.2'
BULK = b'\0\1\r\n--' + BOUNDARY.encode() + b'\r\n' + bytes(range(256))
DIGEST = '0a1b2c3d4e5f'
FRAMES = {
    NATIVE: [bytes(range(256)) * 40, b'\r\n--x\r\n' * 1000],
    COMPRESSED: [b'\xff\xd8\xff\xf7' + os.urandom(5000)],
}
TYPES = {
    NATIVE: 'application/octet-stream;transfer-syntax=1.2.840.10008.1.2.1',
    COMPRESSED: 'image/jls;transfer-syntax=1.2.840.10008.1.2.4.80',
}
TARBALL = os.urandom(300_000)


def record(**uids: str) -> dict:
    keywords = {'study': '0020000D', 'series': '0020000E', 'instance': '00080018'}
    return {keywords[k]: {'vr': 'UI', 'Value': [v]} for k, v in uids.items()}


def wrap(content: bytes, kind: str) -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Type: {kind}\r\n\r\n'
    return head.encode() + content + f'\r\n--{BOUNDARY}--\r\n'.encode()


def write_json(path: Path, *content: dict, packed: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = json.dumps(content).encode()
    if packed:
        path = path.with_name(f'{path.name}.gz')
        data = gzip.compress(data, mtime=0)
    path.write_bytes(data)


def write_study(tree: Path, study: str, *, packed: bool, p10: bytes) -> None:
    """Write a DICOM study as it stands in the tree"""
    root = tree / 'studies' / study
    series = root / 'series' / SERIES
    uids = {'study': study, 'series': SERIES}
    instances = [record(**uids, instance=i) for i in FRAMES]
    write_json(root / 'index.json', record(study=study), packed=packed)
    write_json(root / 'series' / 'index.json', record(**uids), packed=packed)
    write_json(root / 'instances' / 'index.json', *instances, packed=packed)
    write_json(series / 'instances' / 'index.json', *instances, packed=packed)
    write_json(series / 'metadata', *instances, packed=packed)
    (series / 'thumbnail').write_bytes(b'\xff\xd8\xff\xe0')
    (root / 'bulkdata').mkdir()
    (root / 'bulkdata' / DIGEST).write_bytes(BULK)
    for uid, frames in FRAMES.items():
        instance = series / 'instances' / uid
        write_json(instance / 'metadata', record(**uids, instance=uid), packed=packed)
        write_json(instance / 'info', {'version': 1}, packed=packed)
        (instance / 'frames').mkdir()
        for number, frame in enumerate(frames, start=1):
            body, name = wrap(frame, TYPES[uid]), str(number)
            if packed and uid == NATIVE:
                body, name = gzip.compress(body, mtime=0), f'{name}.gz'
            (instance / 'frames' / name).write_bytes(body)
    (series / 'instances' / NATIVE / 'index.mht').write_bytes(
        wrap(p10, 'application/dicom;transfer-syntax=1.2.840.10008.1.2.1')
    )


@pytest.fixture(scope='module')
def p10() -> bytes:
    buffer = BytesIO()
    dataset = build_instance(LOCALIZER, 0, rows=8, columns=8)
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


@pytest.fixture(scope='module')
def store(place, p10) -> Path:
    root = place / 'a store'
    study = root / STUDY
    tree = study / 'dicomweb'
    for uid in (PLAIN, PACKED):
        write_study(tree, uid, packed=uid == PACKED, p10=p10)
    index = tree / 'studies' / 'index.json'
    write_json(index, record(study=PLAIN), record(study=PACKED), packed=False)
    (tree / '.visits').mkdir()
    (tree / '.visits' / 'V01.json').write_text('{}')
    (study / 'V01_dicom.tar').write_bytes(TARBALL)
    (study / '.V02_dicom.tar.part').write_bytes(b'half')
    catalog = study / 'catalog'
    (catalog / 'metadata').mkdir(parents=True)
    (catalog / 'index.html').write_text('<!DOCTYPE html><title>Catalog</title>')
    (catalog / 'page.js').write_text('"use strict";')
    (catalog / 'metadata' / 'a.json').write_text(json.dumps(['x' * 5000]))
    viewer = root / 'viewer'
    (viewer / 'viewer').mkdir(parents=True)
    (viewer / 'index.html').write_text('<!DOCTYPE html><title>Start</title>')
    page = viewer / 'viewer' / 'index.html'
    page.write_text('<!DOCTYPE html><title>Viewer</title>')
    (viewer / 'app.js').write_text('1;')
    (viewer / 'codec.wasm').write_bytes(b'\0asm')
    # a second study whose own list is packed
    write_json(root / 'B' / 'dicomweb' / 'studies' / 'index.json', packed=True)
    return root


@pytest.fixture(scope='module')
def start(place, store) -> Iterator[Callable[..., str]]:
    """Starts a server, or finds it running; returns the URL of the store"""
    running: dict[tuple[str, bool], str] = {}
    with ExitStack() as stack:

        def start(name: str, *, password: bool = False) -> str:
            if (name, password) not in running:
                work = place / f'{name}-{password}'
                work.mkdir(exist_ok=True)
                server = RUNNERS[name](store, work, password=password)
                running[name, password] = stack.enter_context(server)
            return running[name, password]

        yield start


@pytest.fixture(scope='module', params=RUNNERS)
def url(request, start) -> str:
    """URL of the store, with each server"""
    return start(request.param)


@pytest.fixture(scope='module', params=[n for n in RUNNERS if n != 'apache-htaccess'])
def whole_url(request, start) -> str:
    """URL of the store, with each server that knows more than the DICOMweb tree"""
    return start(request.param)


@pytest.fixture(scope='module', params=[n for n in RUNNERS if 'apache' not in n])
def unpacking_url(request, start) -> str:
    """URL of the store, with each server that can unpack: Apache cannot"""
    return start(request.param)


@pytest.fixture
def client(url) -> DICOMwebClient:
    address = f'{quote(urlsplit(url).path)}{quote(STUDY)}/dicomweb'
    return DICOMwebClient(f'http://{urlsplit(url).netloc}{address}')


def get(url: str, path: str, **headers: str) -> requests.Response:
    """Ask without following anything, and without the proxies of the user"""
    with requests.Session() as session:
        session.trust_env = False
        return session.get(
            f'{url}{path}',
            headers={k.replace('_', '-'): v for k, v in headers.items()},
            allow_redirects=False,
            timeout=30,
        )


def in_tree(path: str) -> str:
    return f'{quote(STUDY)}/dicomweb/{path}'


both_kinds = pytest.mark.parametrize('study', [PLAIN, PACKED])


def test_all_studies_are_found(client):
    found = client.search_for_studies()
    assert found == [record(study=PLAIN), record(study=PACKED)]


@both_kinds
def test_series_and_instances_are_found(client, study):
    uids = {'study': study, 'series': SERIES}
    assert client.search_for_series(study) == [record(**uids)]
    instances = [record(**uids, instance=i) for i in FRAMES]
    assert client.search_for_instances(study) == instances
    assert client.search_for_instances(study, SERIES) == instances


@both_kinds
def test_a_client_that_asks_for_more_results_comes_to_an_end(client, study):
    assert len(client.search_for_studies(get_remaining=True)) == 2
    assert len(client.search_for_instances(study, SERIES, get_remaining=True)) == 2


@both_kinds
def test_metadata_are_found(client, study):
    uids = {'study': study, 'series': SERIES}
    instances = [record(**uids, instance=i) for i in FRAMES]
    assert client.retrieve_series_metadata(study, SERIES) == instances
    found = client.retrieve_instance_metadata(study, SERIES, NATIVE)
    assert found == instances[0]


@both_kinds
@pytest.mark.parametrize('instance', FRAMES)
def test_frames_are_byte_identical(client, study, instance):
    numbers = range(1, len(FRAMES[instance]) + 1)
    for number in numbers:
        found = client.retrieve_instance_frames(study, SERIES, instance, [number])
        assert found == [FRAMES[instance][number - 1]]


@both_kinds
def test_bulk_data_are_byte_identical(client, url, study):
    path = in_tree(f'studies/{study}/bulkdata/{DIGEST}')
    (found,) = client.retrieve_bulkdata(f'{url.replace(" ", "%20")}{path}')
    assert found == BULK


@both_kinds
def test_an_instance_is_found_as_a_file(client, study, p10):
    found = client.retrieve_instance(study, SERIES, NATIVE)
    buffer = BytesIO()
    dcmwrite(buffer, found, enforce_file_format=True)
    assert buffer.getvalue() == p10


@both_kinds
@pytest.mark.parametrize(
    ('path', 'kind'),
    [
        ('', 'application/dicom+json'),
        ('/', 'application/dicom+json'),
        ('?includefield=all&limit=2&offset=0', 'application/dicom+json'),
        ('/series', 'application/dicom+json'),
        ('/series/?0020000E=1.2', 'application/dicom+json'),
        ('/instances', 'application/dicom+json'),
        (f'/series/{SERIES}/metadata', 'application/dicom+json'),
        (f'/series/{SERIES}/thumbnail', 'image/jpeg'),
        (f'/series/{SERIES}/instances/{NATIVE}/info', 'application/json'),
        (
            f'/series/{SERIES}/instances/{NATIVE}/frames/2',
            f'multipart/related; type="application/octet-stream"; boundary={BOUNDARY}',
        ),
        (
            f'/series/{SERIES}/instances/{COMPRESSED}/frames/1',
            f'multipart/related; type="application/octet-stream"; boundary={BOUNDARY}',
        ),
        (
            f'/series/{SERIES}/instances/{NATIVE}',
            f'multipart/related; type="application/dicom"; boundary={BOUNDARY}',
        ),
        (f'/bulkdata/{DIGEST}', 'multipart/related; type="application/octet-stream"'),
    ],
)
def test_resources_come_at_once_and_with_their_type(url, study, path, kind):
    response = get(url, in_tree(f'studies/{study}{path}'))
    assert response.status_code == 200
    assert response.headers['Content-Type'] == kind
    assert response.headers['X-Content-Type-Options'] == 'nosniff'


def test_the_list_of_studies_can_be_packed(url):
    response = get(url, 'B/dicomweb/studies?limit=100')
    assert response.json() == []
    assert response.headers['Content-Encoding'] == 'gzip'


@pytest.mark.parametrize(
    'path',
    [f'series/{SERIES}/metadata', f'series/{SERIES}/instances/{NATIVE}/frames/1'],
)
def test_packed_files_are_unpacked_for_those_who_need_it(unpacking_url, path):
    url = unpacking_url
    path = in_tree(f'studies/{PACKED}/{path}')
    packed = get(url, path, Accept_Encoding='gzip, deflate')
    assert packed.headers['Content-Encoding'] == 'gzip'
    assert 'Accept-Encoding' in packed.headers['Vary']
    plain = get(url, path, Accept_Encoding='identity')
    assert 'Content-Encoding' not in plain.headers
    assert 'Accept-Encoding' in plain.headers['Vary']
    assert packed.content == plain.content


@both_kinds
def test_what_has_not_changed_is_not_sent_again(url, study):
    path = in_tree(f'studies/{study}/series')
    first = get(url, path)
    # metadata and frames of a visit can be replaced
    assert first.headers['Cache-Control'] == 'no-cache'
    second = get(url, path, If_None_Match=first.headers['ETag'])
    assert (second.status_code, second.content) == (304, b'')
    date = first.headers['Last-Modified']
    assert get(url, path, If_Modified_Since=date).status_code == 304
    assert get(url, path, If_None_Match='"other"').status_code == 200


@pytest.mark.parametrize(
    'path',
    [
        in_tree('.visits/V01.json'),
        in_tree('.htaccess'),
        in_tree(f'studies/{PLAIN}/none'),
        in_tree(f'studies/{PLAIN}/series/1.9'),
        in_tree(f'studies/{PLAIN}/series/1.9/metadata'),
        in_tree(f'studies/{PLAIN}/bulkdata/'),
    ],
)
def test_what_is_hidden_or_missing_is_not_found(url, path):
    assert get(url, path).status_code in (403, 404)


def test_drafts_are_not_found(whole_url):
    path = f'{quote(STUDY)}/.V02_dicom.tar.part'
    assert get(whole_url, path).status_code in (403, 404)


@pytest.mark.parametrize(
    ('span', 'expected'),
    [
        ('bytes=0-0', TARBALL[:1]),
        ('bytes=1000-200999', TARBALL[1000:201000]),
        ('bytes=299999-', TARBALL[-1:]),
        ('bytes=-512', TARBALL[-512:]),
    ],
    ids=['first', 'middle', 'last', 'end'],
)
def test_a_part_of_a_tarball_can_be_read(url, span, expected):
    path = f'{quote(STUDY)}/V01_dicom.tar'
    response = get(url, path, Range=span, Accept_Encoding='gzip')
    assert response.status_code == 206
    assert response.content == expected
    assert response.headers['Content-Range'].endswith('/300000')
    assert 'Content-Encoding' not in response.headers


def test_a_part_behind_the_end_of_a_tarball_is_refused(url):
    response = get(url, f'{quote(STUDY)}/V01_dicom.tar', Range='bytes=300000-')
    assert response.status_code == 416


def test_a_part_of_another_tarball_is_not_taken_for_the_rest(url):
    path = f'{quote(STUDY)}/V01_dicom.tar'
    tag = get(url, path).headers['ETag']
    same = get(url, path, Range='bytes=5-', If_Range=tag)
    assert (same.status_code, same.content) == (206, TARBALL[5:])
    other = get(url, path, Range='bytes=5-', If_Range='"other"')
    assert (other.status_code, other.content) == (200, TARBALL)


def test_a_tarball_tells_its_size_without_being_sent(url):
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    connection.request('HEAD', quote(f'{parts.path}{STUDY}/V01_dicom.tar'))
    response = connection.getresponse()
    assert response.status == 200
    assert response.headers['Content-Length'] == '300000'
    assert response.headers['Accept-Ranges'] == 'bytes'
    assert not response.read()
    connection.close()


@pytest.mark.parametrize(
    ('path', 'kind'),
    [
        ('index.html', 'text/html; charset=utf-8'),
        ('', 'text/html; charset=utf-8'),
        ('page.js', 'text/javascript; charset=utf-8'),
        ('metadata/a.json', 'application/json'),
    ],
)
def test_the_catalog_has_its_types_and_stays_fresh(whole_url, path, kind):
    response = get(whole_url, f'{quote(STUDY)}/catalog/{path}')
    assert response.status_code == 200
    assert response.headers['Content-Type'] == kind
    assert response.headers['Cache-Control'] == 'no-cache'


def test_large_documents_are_compressed_on_the_way(whole_url):
    path = f'{quote(STUDY)}/catalog/metadata/a.json'
    response = get(whole_url, path, Accept_Encoding='gzip')
    assert response.headers['Content-Encoding'] == 'gzip'
    assert 'Accept-Encoding' in response.headers['Vary']
    assert response.json() == ['x' * 5000]
    tag = response.headers['ETag']
    again = get(whole_url, path, Accept_Encoding='gzip', If_None_Match=tag)
    assert again.status_code == 304


def test_a_folder_of_pages_gets_its_slash(whole_url):
    response = get(whole_url, f'{quote(STUDY)}/catalog?a=1')
    assert response.status_code in (301, 307)
    location = response.headers['Location']
    assert location.endswith('catalog/?a=1')
    # a proxy may have another name; Apache always tells its own
    assert not location.startswith('http') or 'Apache' in response.headers['Server']


@pytest.mark.parametrize(
    'path', ['viewer/', 'viewer', 'viewer/icf', 'viewer/a/b/', 'segmentation']
)
def test_states_of_the_viewer_lead_to_its_page(whole_url, path):
    query = '?icf=S%201&StudyInstanceUIDs=1.2.3'
    with requests.Session() as session:
        response = session.get(f'{whole_url}viewer/{path}{query}', timeout=30)
    assert response.status_code == 200
    assert '<title>Viewer</title>' in response.text
    assert response.headers['Content-Type'] == 'text/html; charset=utf-8'
    # with its query, and where relative addresses of scripts are right
    assert response.url.endswith(f'/viewer/viewer/{query}')
    # the page has one that lets it start workers from blobs
    assert 'Content-Security-Policy' not in response.headers


def test_files_of_the_viewer_are_themselves_or_missing(whole_url):
    assert get(whole_url, 'viewer/app.js').text == '1;'
    wasm = get(whole_url, 'viewer/codec.wasm')
    assert wasm.headers['Content-Type'] == 'application/wasm'
    assert '<title>Start</title>' in get(whole_url, 'viewer/').text
    assert get(whole_url, 'viewer/none.js').status_code == 404


@pytest.fixture(scope='module', params=['icf-serve', 'nginx', 'nginx-path', 'apache'])
def closed_url(request, start) -> str:
    """URL of the store behind a password"""
    return start(request.param, password=True)


@pytest.mark.parametrize(
    'path',
    [
        '',
        'viewer/viewer?a=1',
        f'{quote(STUDY)}/V01_dicom.tar',
        in_tree('studies'),
        in_tree('studies?offset=1'),
        in_tree(f'studies/{PACKED}/series'),
        in_tree(f'studies/{PLAIN}/series/{SERIES}/instances/{NATIVE}/frames/1'),
    ],
)
def test_nothing_is_told_without_the_password(closed_url, path):
    for login in (None, (USER, 'wrong'), ('other', PASSWORD)):
        response = requests.get(f'{closed_url}{path}', auth=login, timeout=30)
        assert response.status_code == 401
        challenge = response.headers['WWW-Authenticate']
        assert challenge.startswith('Basic realm="icf-store"')


def test_the_password_opens_the_store(closed_url):
    for path in (in_tree('studies'), in_tree(f'studies/{PACKED}/series')):
        response = requests.get(
            f'{closed_url}{path}', auth=(USER, PASSWORD), timeout=30
        )
        assert response.status_code == 200
        assert response.json()
