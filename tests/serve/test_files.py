from __future__ import annotations

import gzip
import os

import pytest


@pytest.mark.parametrize(
    'path',
    [
        '/../secret.txt',
        '/../../secret.txt',
        '/%2e%2e/%2e%2e/secret.txt',
        '/S1/..%2f..%2f..%2fsecret.txt',
        '/..%2fstore-of-others/file',
        '/S1/%2e%2e/../store-of-others/file',
        '/S1/..\\..\\secret.txt',
        '//etc/passwd',
        '/%2fetc/passwd',
        '/S1/%00',
        '/S1/' + 'a' * 300,
        '/S1/V01_dicom.tar/',
        '/S1/V01_dicom.tar/more',
        '/S1/none',
        '/none/',
    ],
)
def test_nothing_outside_of_the_store_is_found(get, path):
    answer = get(path)
    # a slash behind a file is a different address of the same
    expected = 200 if path == '/S1/V01_dicom.tar/' else 404
    assert answer.status == expected
    assert b'secret' not in answer.body
    assert b'root:' not in answer.body


@pytest.mark.parametrize(
    'target', ['../../../secret.txt', '.hidden', '../none', 'loop']
)
def test_symbolic_links_do_not_lead_out_or_to_what_is_hidden(get, root, target):
    (root / 'S1' / '.hidden').write_text('secret')
    (root / 'S1' / 'loop').symlink_to(target)
    assert get('/S1/loop').status == 404
    listing = get('/S1/')
    assert listing.status == 200
    assert 'loop' not in listing.text


def test_hidden_symbolic_links_are_not_followed(get, root):
    (root / 'S1' / '.link').symlink_to('V01_dicom.tar')
    assert get('/S1/.link').status == 404


def test_symbolic_links_within_the_store_are_followed(get, root):
    (root / 'S1' / 'link.tar').symlink_to('V01_dicom.tar')
    assert len(get('/S1/link.tar').body) == 2048
    assert 'link.tar' in get('/S1/').text


def test_a_store_behind_a_symbolic_link_is_served(root, tmp_path, ask, serve):
    moved = root.with_name('moved')
    root.rename(moved)
    root.symlink_to(moved)
    assert ask(serve(), '/S1/V01_dicom.tar').status == 200


@pytest.mark.parametrize(
    'path', ['/.lock', '/S1/.V02_dicom.tar.part', '/S1/.part/file', '/.part/']
)
def test_hidden_files_are_neither_found_nor_listed(get, root, path):
    file = root / path.strip('/')
    file.parent.mkdir(exist_ok=True)
    file.mkdir() if path.endswith('/') else file.write_text('secret')
    assert get(path).status == 404
    for page in ('/', '/S1/'):
        assert 'part' not in get(page).text


@pytest.mark.skipif(not os.geteuid(), reason='root may read everything')
def test_what_cannot_be_read_is_forbidden(get, root):
    (root / 'S1' / 'V01_dicom.tar').chmod(0)
    assert get('/S1/V01_dicom.tar').status == 403


@pytest.mark.parametrize('method', ['POST', 'PUT', 'DELETE', 'OPTIONS'])
def test_nothing_can_be_changed(get, method):
    answer = get('/S1/V01_dicom.tar', method)
    assert answer.status == 405
    assert answer.headers['Allow'] == 'GET, HEAD'


@pytest.mark.parametrize('path', ['/', '/S1/', '/S1/V01_dicom.tar', '/none'])
def test_a_browser_is_told_to_be_careful(get, path):
    headers = get(path).headers
    assert headers['Cache-Control'] == 'no-cache'
    assert headers['Referrer-Policy'] == 'same-origin'
    assert headers['X-Content-Type-Options'] == 'nosniff'
    assert headers['X-Frame-Options'] == 'SAMEORIGIN'
    assert 'Server' not in headers


def test_the_head_of_a_packed_file_has_no_body(get, root):
    series = root / 'S1' / 'dicomweb' / 'studies' / '1.2' / 'series'
    series.mkdir(parents=True)
    (series / 'index.json.gz').write_bytes(gzip.compress(b'[]'))
    path = '/S1/dicomweb/studies/1.2/series'
    for encoding in ('gzip', 'identity'):
        answer = get(path, 'HEAD', Accept_Encoding=encoding)
        assert (answer.status, answer.body) == (200, b'')
        assert answer.headers['Content-Type'] == 'application/dicom+json'
        assert answer.headers['ETag']


def test_both_forms_of_a_packed_file_stay_fresh(get, root):
    tree = root / 'S1' / 'dicomweb'
    tree.mkdir()
    (tree / 'metadata.gz').write_bytes(gzip.compress(b'[]'))
    path = '/S1/dicomweb/metadata'
    packed = get(path, Accept_Encoding='gzip').headers['ETag']
    plain = get(path).headers['ETag']
    # other bytes have another tag
    assert plain != packed
    assert get(path, If_None_Match=plain).status == 304
    assert get(path, If_None_Match=packed, Accept_Encoding='gzip').status == 304


def test_bulk_data_are_kept_by_the_browser(get, root):
    bulkdata = root / 'S1' / 'dicomweb' / 'studies' / '1.2' / 'bulkdata'
    bulkdata.mkdir(parents=True)
    (bulkdata / '0a1b').write_bytes(b'data')
    control = get('/S1/dicomweb/studies/1.2/bulkdata/0a1b').headers['Cache-Control']
    assert 'private' in control
    assert 'immutable' in control


def test_tarballs_and_images_are_not_compressed_on_the_way(get, root):
    instance = root / 'S1' / 'dicomweb' / 'studies' / '1.2' / 'frames'
    instance.mkdir(parents=True)
    (instance / '1').write_bytes(bytes(5000))
    (root / 'S1' / 'V01_metadata_dicoms.json').write_text(' ' * 5000)
    for path, encoding in (
        ('/S1/V01_dicom.tar', None),
        ('/S1/dicomweb/studies/1.2/frames/1', None),
        ('/S1/V01_metadata_dicoms.json', 'gzip'),
    ):
        answer = get(path, Accept_Encoding='gzip')
        assert answer.headers['Content-Encoding'] == encoding


def test_a_folder_of_the_tree_without_an_index_is_not_listed(get, root):
    (root / 'S1' / 'dicomweb' / 'studies' / '1.2').mkdir(parents=True)
    for path in ('', '/studies', '/studies/', '/studies/1.2'):
        assert get(f'/S1/dicomweb{path}').status == 404


def test_redirections_are_relative_for_the_sake_of_proxies(get):
    answer = get('/S1?a=1')
    assert answer.status == 307
    assert answer.headers['Location'] == 'S1/?a=1'


def test_a_redirection_does_not_lead_to_another_host(get, root):
    for path in ('//example.org', '/%2fexample.org', '/\\example.org', '/S1//'):
        assert '//' not in get(path).headers.get('Location', '')
