"""Images come by range requests, one each, whatever a server does"""

from __future__ import annotations

import json
import shutil
from hashlib import md5

import pytest

from datalad_icf.dataset import deposit_dataset
from tests.range_server import LOGIN, PASSWORD, REALM, USER, run_range_server

SETTING = ('remote.archivist.annex-externaltype', 'icf-archivist')
ODD = ['S3_V01/a&b.dcm', 'S3_V01/a#b.dcm', './S3_V01/dot.dcm']


@pytest.fixture
def clone(clone, reader):
    reader.run('git', 'config', *SETTING, cwd=clone)
    return clone


def is_here(clone, path):
    return (clone / path).exists()


def find_tarballs(clone):
    return [p for p in clone.glob('.git/annex/objects/**/*.tar') if p.is_file()]


def test_an_image_costs_one_request_and_its_own_bytes(
    clone, reader, phantom, server, digest
):
    image = phantom.instances[40]
    seen = len(server.requests)
    reader.run('datalad', 'get', image.path, cwd=clone)
    assert digest(clone / image.path) == image.md5
    requests = server.requests[seen:]
    assert [r.status for r in requests] == [401, 206]
    assert sum(r.sent for r in requests) == image.size
    assert not find_tarballs(clone)


def test_all_images_cost_a_request_each_also_side_by_side(
    clone, reader, phantom, server
):
    seen = len(server.requests)
    reader.run('git', 'annex', 'get', '-J2', 'S1_V01', cwd=clone)
    reader.run('git', 'annex', 'fsck', '--quiet', 'S1_V01', cwd=clone)
    requests = server.requests[seen:]
    assert sum(r.status == 206 for r in requests) == len(phantom.instances)
    assert len(requests) <= len(phantom.instances) + 2
    assert sum(r.sent for r in requests) < phantom.paths.tarball.stat().st_size
    assert not find_tarballs(clone)


def test_images_of_a_tarball_that_is_here_need_no_server(
    clone, reader, phantom, server
):
    reader.run('git', 'annex', 'get', phantom.paths.dataset_path, cwd=clone)
    seen = len(server.requests)
    reader.run('git', 'annex', 'get', 'S1_V01', cwd=clone)
    assert all(is_here(clone, i.path) for i in phantom.instances)
    assert len(server.requests) == seen


def test_presence_at_the_store_is_checked_by_a_byte(clone, reader, phantom, server):
    seen = len(server.requests)
    first = phantom.instances[0].path
    for path in ('S1_V01', phantom.paths.dataset_path):
        reader.run(
            *('git', 'annex', 'fsck', '--quiet', '--fast', '--from=archivist', path),
            cwd=clone,
        )
    sent = [r.sent for r in server.requests[seen:] if r.status == 206]
    assert sent == [1] * len(phantom.instances)
    reader.run('datalad', 'get', first, cwd=clone)
    reader.run('datalad', 'drop', first, cwd=clone)
    assert not is_here(clone, first)


@pytest.fixture(scope='module')
def strange(deposit_visit, make_person, tar, image, tmp_path_factory):
    """A visit at a server that can be told what to do, and a clone of it"""
    contents = {f'S3_V01/{n}.dcm': image(SeriesNumber=n) for n in range(5)}
    contents |= {name: image(PatientComments=name) for name in ODD}
    with run_range_server(needs_login=True) as server:
        visit = deposit_visit('S3', 'V01', tar(*contents.items()), store_url=server.url)
        for path in visit.paths.study_dir.iterdir():
            server.files[f'/S3/{path.name}'] = path.read_bytes()
        person = make_person('strange')
        person.run(
            *('datalad', 'credentials', 'set', 'strange', 'type=user_password'),
            *(f'user={USER}', f'realm={server.url}/{REALM}'),
            DATALAD_CREDENTIAL_STRANGE_SECRET=PASSWORD,
        )
        # DataLad's own requests have no way to send this password
        person.run(
            *('datalad', 'icf-clone', '--id', 'S3', 'V01', '-o'),
            str(visit.paths.store_dir),
            'clone',
        )
        pristine = person.directory / 'clone'
        # the tarball of the store in the file system is not to be used here
        (pristine / '.git' / 'icf' / 'places').unlink()
        yield server, visit, person, pristine, contents


@pytest.fixture
def world(strange, tmp_path):
    server, visit, person, pristine, contents = strange
    files = dict(server.files)
    clone = shutil.copytree(pristine, tmp_path.resolve() / 'clone', symlinks=True)
    server.seen.clear()
    yield server, visit, person, clone, contents
    server.change, server.needs_login = None, True
    server.files = files


def check(clone, contents, name):
    content = (clone / name).read_bytes()
    assert md5(content).hexdigest() == md5(contents[name]).hexdigest()


def sent_of_tarball(server):
    return sum(seen.sent for seen in server.seen if seen.path.endswith('.tar'))


def test_odd_names_come_by_their_offset_with_any_password(world):
    server, _, person, clone, contents = world
    person.run('git', 'annex', 'get', '.', '--exclude=icf/*', cwd=clone)
    for name in contents:
        check(clone, contents, name)
    assert [seen.status for seen in server.seen] == [401] + [206] * len(contents)
    image = len(contents['S3_V01/0.dcm'])
    assert server.seen[1].traffic <= image + 2048


def test_a_server_without_ranges_sends_the_tarball_once(world):
    server, _, person, clone, contents = world
    content = server.files['/S3/V01_dicom.tar']

    def whole(seen, answer):
        if answer.status == 206:
            answer.status, answer.body = 200, content
            answer.headers = {'Content-Length': str(len(content))}

    server.change = whole
    # the whole tarball comes by DataLad's own requests, see above
    server.needs_login = False
    person.run('git', 'annex', 'get', '-J2', 'S3_V01', cwd=clone)
    for name in contents:
        check(clone, contents, name)
    wholes = [s for s in server.seen if s.path.endswith('.tar') and not s.range]
    assert len(wholes) == 1
    assert len(find_tarballs(clone)) == 1


def test_a_connection_that_is_cut_is_continued(world):
    server, _, person, clone, contents = world
    server.change = lambda seen, _: (
        100 if seen.login and len(server.answered(206)) < 2 else None
    )
    person.run('git', 'annex', 'get', 'S3_V01/0.dcm', cwd=clone)
    check(clone, contents, 'S3_V01/0.dcm')
    assert not find_tarballs(clone)


def test_wrong_bytes_are_told_and_do_not_get_into_the_clone(world):
    server, _, person, clone, _ = world
    content = server.files['/S3/V01_dicom.tar']
    # another tarball of the same size
    server.files['/S3/V01_dicom.tar'] = content[::-1]
    outcome = person.try_run('datalad', 'get', 'S3_V01/1.dcm', cwd=clone)
    assert outcome.code != 0
    assert 'not the tarball any more' in ' '.join(outcome.text.split())
    assert not is_here(clone, 'S3_V01/1.dcm')
    assert sent_of_tarball(server) < len(content)


def test_another_tarball_in_its_place_is_told_without_a_download(world):
    server, _, person, clone, _ = world
    server.files['/S3/V01_dicom.tar'] += bytes(10240)
    outcome = person.try_run('git', 'annex', 'get', 'S3_V01/1.dcm', cwd=clone)
    assert outcome.code != 0
    assert 'it is not the tarball any more' in outcome.text
    assert not is_here(clone, 'S3_V01/1.dcm')
    assert sent_of_tarball(server) < 10240


def test_no_password_follows_a_redirect(world):
    server, _, person, clone, contents = world
    with run_range_server(files=server.files) as other:

        def redirect(_, answer):
            if answer.status == 206:
                answer.status, answer.body = 302, b''
                place = f'{other.url}/S3/V01_dicom.tar'
                answer.headers = {'Location': place, 'Content-Length': '0'}

        server.change = redirect
        person.run('git', 'annex', 'get', 'S3_V01/2.dcm', cwd=clone)
        check(clone, contents, 'S3_V01/2.dcm')
        assert [seen.login for seen in other.seen] == [None]
    assert [seen.login for seen in server.seen] == [None, LOGIN]


def test_a_wrong_password_is_told_and_not_tried_for_each_image(world, make_person):
    server, _, _, clone, contents = world
    impostor = make_person('impostor of images')
    impostor.run(
        *('datalad', 'credentials', 'set', 'strange', 'type=user_password'),
        *(f'user={USER}', f'realm={server.url}/{REALM}'),
        DATALAD_CREDENTIAL_STRANGE_SECRET='guessed',
    )
    server.seen.clear()
    outcome = impostor.try_run('git', 'annex', 'get', 'S3_V01', cwd=clone)
    assert outcome.code != 0
    assert 'asks for a password' in outcome.text
    assert not any(is_here(clone, name) for name in contents)
    # once by this remote, and once by that of the whole tarball
    assert len([seen for seen in server.seen if seen.login]) <= 2


@pytest.fixture
def old_world(world):
    """A clone of what older tools deposited: locators of any name, without offset"""
    _, visit, person, clone, _ = world
    for instance in visit.instances:
        listed = person.run(
            *('git', 'annex', 'find', '--anything', '--format=${key}\\n'),
            *(f'--metadata=md5={instance.md5}',),
            cwd=clone,
        )
        key = listed.stdout.strip()
        tar_key = visit_tar_key(visit)
        log = person.run(
            *('git', 'grep', '-h', f'dl+archive:.*&size={instance.size}&'),
            *('git-annex', '--', f'*{key}.log.web'),
            cwd=clone,
        ).stdout
        old = log.split(' :', 1)[1].strip()
        new = f'dl+archive:{tar_key}#path={instance.path}&size={instance.size}'
        for step, url in (('unregisterurl', old), ('registerurl', new)):
            person.run('git', 'annex', step, key, url, cwd=clone)
    return world


def visit_tar_key(visit):
    tarball = json.loads(visit.paths.tarball_metadata.read_bytes())
    return f'MD5E-s{tarball["size"]}--{tarball["md5"]}.tar'


def test_images_of_older_deposits_are_found_by_headers_that_are_read_once(old_world):
    server, _, person, clone, contents = old_world
    server.seen.clear()
    person.run('git', 'annex', 'get', 'S3_V01/a&b.dcm', cwd=clone)
    check(clone, contents, 'S3_V01/a&b.dcm')
    walked = len(server.answered(206))
    assert walked <= 8
    server.seen.clear()
    person.run('git', 'annex', 'get', 'S3_V01/3.dcm', cwd=clone)
    assert [seen.status for seen in server.seen] == [401, 206]
    person.run('git', 'annex', 'get', '-J2', 'S3_V01', cwd=clone)
    for path in contents:
        check(clone, contents, path)
    assert not find_tarballs(clone)


def test_a_store_in_the_file_system_is_read_in_parts(
    deposit_visit, reader, tar, image, store, tmp_path
):
    content = image(SeriesNumber=7)
    visit = deposit_visit(
        'S4', 'V01', tar(('S4_V01/a.dcm', content)), store_url=store.as_uri()
    )
    deposit_dataset(visit.paths, store_url=store.as_uri())
    clone = reader.clone(visit.dataset.clone_url, 'by file')
    reader.run('git', 'config', *SETTING, cwd=clone)
    reader.run('datalad', 'get', 'S4_V01/a.dcm', cwd=clone)
    assert (clone / 'S4_V01/a.dcm').read_bytes() == content
    assert not find_tarballs(clone)
