"""``icf-clone`` over http with a password, and a dataset of a study for others"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from threading import Timer

import pytest

from datalad_icf.commands.clone import IcfClone
from datalad_icf.dataset import deposit_dataset


def icf_clone(person, server, *args, visit='V01', study='S1'):
    command = ('datalad', '-f', 'json', 'icf-clone', '--id', study, visit)
    return person.try_run(*command, '--store-url', server.url, *args)


def test_a_visit_is_cloned_by_its_identifiers(reader, server, phantom, digest):
    outcome = icf_clone(reader, server, 'by identifiers')
    (record,) = outcome.records
    assert (record['status'], record['commit']) == ('ok', phantom.dataset.commit)
    assert record['clone_url'] == phantom.dataset.clone_url
    seen = len(server.requests)
    image = phantom.instances[5]
    clone = reader.directory / 'by identifiers'
    reader.run('datalad', 'get', image.path, cwd=clone)
    assert digest(clone / image.path) == image.md5
    assert sum(r.sent for r in server.requests[seen:]) == image.size
    (record,) = icf_clone(reader, server, 'by identifiers').records
    assert record['status'] == 'notneeded'


def test_somebody_without_a_password_is_told_how_to_get_in(
    stranger, server, phantom, make_person
):
    outcome = icf_clone(stranger, server, 'mine')
    assert outcome.code != 0
    (record,) = outcome.records
    assert record['status'] == 'impossible'
    assert f'"realm={server.url}/icf-store"' in record['message']
    assert 'datalad credentials set' in record['message']
    assert not (stranger.directory / 'mine').exists()


def test_a_named_credential_is_kept_for_the_realm(server, phantom, make_person):
    person = make_person('named')
    person.run(
        *('datalad', 'credentials', 'set', 'mine', 'type=user_password', 'user=reader'),
        DATALAD_CREDENTIAL_MINE_SECRET='pass word: 1%',
    )
    outcome = icf_clone(person, server, 'clone', '--credential', 'mine')
    assert outcome.records[0]['status'] == 'ok', outcome.text
    # also for DataLad itself
    person.run('datalad', 'get', 'icf', cwd=person.directory / 'clone')


def test_an_updated_clone_of_a_visit_that_was_deposited_anew_gets_its_images(
    reader, server, deposit_visit, image, tar
):
    """Those too that the tarball before had, at other places in it"""
    members = [(f'S6_V01/{n}.dcm', image(SeriesNumber=n)) for n in range(4)]
    before = deposit_visit('S6', 'V01', tar(*members[1:]))
    assert icf_clone(reader, server, 'anew', study='S6').records[0]['status'] == 'ok'
    for path in before.paths.study_dir.glob('V01*'):
        path.unlink()
    deposit_visit('S6', 'V01', tar(*members))
    assert icf_clone(reader, server, 'anew', study='S6').records[0]['status'] == 'ok'
    seen = len(server.requests)
    clone = reader.directory / 'anew'
    reader.run('datalad', 'get', 'S6_V01', cwd=clone)
    for path, content in members:
        assert (clone / path).read_bytes() == content
    moved = server.requests[seen:]
    assert sum(r.sent for r in moved) == sum(len(content) for _, content in members)
    # at most once it was looked for in the tarball that is gone
    assert len(moved) <= 1 + len(members) + 1


def test_a_password_is_asked_for_once_also_if_it_is_not_kept(
    phantom, make_person, server, password
):
    person = make_person('forgetful')
    terminal = [sys.executable, '-c', 'import pty, sys; pty.spawn(sys.argv[1:])']
    command = ('datalad', 'icf-clone', '--id', 'S1', 'V01', '--store-url', server.url)
    process = subprocess.Popen(
        [*terminal, *command],
        cwd=person.directory,
        env=person.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    answers = {
        b'user: ': 'reader',
        b'password: ': password,
        b'password (repeat): ': password,
        b'skip': 'skip',
    }
    text, rest = b'', b''
    # a question that is not expected would wait for ever
    timer = Timer(100, process.kill)
    timer.start()
    while more := process.stdout.read1():
        text += more
        rest += more
        for question in [q for q in answers if q in rest]:
            assert answers[question], text
            process.stdin.write(f'{answers.pop(question)}\n'.encode())
            process.stdin.flush()
            rest = rest.partition(question)[2]
    timer.cancel()
    process.stdin.close()
    assert process.wait() == 0, text
    assert not answers
    assert b'clone of S1/V01' in text
    files = [p for p in person.directory.rglob('*') if p.is_file()]
    assert not [p for p in files if password.encode() in p.read_bytes()]


def read_guide(name):
    """Commands of a page of the guide, in their order"""
    page = Path(__file__).parents[2] / 'docs' / 'user' / name
    return re.findall(r'^   \$ (.*)$', page.read_text(), re.MULTILINE)


def test_the_commands_of_the_guide_do_what_it_says(
    deposit_visit, image, tar, make_person, server, password
):
    for visit in ('P001', 'P000123'):
        deposit_visit(
            'my-study', visit, tar((f'my-study_{visit}/scan-003/0001.dcm', image()))
        )
    address = next(c for c in read_guide('clone.rst') if 'datalad-annex::' in c)
    example = IcfClone._examples_[0]['code_cmd'].split('\n% ')
    for number, commands in enumerate(
        [
            read_guide('single.rst')[:2],
            example,
            # and what sets such a clone up
            [address, *read_guide('single.rst')[:2]],
        ]
    ):
        person = make_person(f'guide {number}')
        person.set_password(server, password)
        for command in commands:
            for store in ('https://data.inm-icf.de', 'https://store.example.org'):
                command = command.replace(store, server.url)
            person.run(*shlex.split(command), DATALAD_ICF_STORE__URL=server.url)
        (visit,) = person.directory.glob('P*')
        scan = visit / f'my-study_{visit.name}' / 'scan-003'
        assert (scan / '0001.dcm').exists()


def test_images_come_from_the_address_of_the_store_that_was_cloned(
    deposit_visit, image, tar, reader, server, digest
):
    deposited = deposit_visit(
        'S61', 'V01', tar(('S61_V01/a.dcm', image())), store_url='http://127.0.0.1:9'
    )
    icf_clone(reader, server, 'by a tunnel', study='S61')
    clone = reader.directory / 'by a tunnel'
    places = clone / '.git' / 'icf' / 'places'
    assert places.read_text() == f'{server.url}/S61/V01_dicom.tar\n'
    seen = len(server.requests)
    reader.run('datalad', 'get', 'S61_V01/a.dcm', cwd=clone)
    assert digest(clone / 'S61_V01' / 'a.dcm') == deposited.instances[0].md5
    assert sum(r.sent for r in server.requests[seen:]) == deposited.instances[0].size
    # the dataset says the same as the address, or another tarball is there
    deposit_dataset(deposited.paths, store_url=server.url, replace=True)
    icf_clone(reader, server, 'by a tunnel', study='S61')
    assert not places.exists()
    deposit_dataset(deposited.paths, store_url='http://127.0.0.1:9', replace=True)
    deposited.paths.tarball.write_bytes(b'other')
    outcome = icf_clone(reader, server, 'by a tunnel', study='S61')
    assert outcome.records[0]['status'] == 'ok'
    assert not places.exists()


@pytest.fixture(scope='module')
def study(deposit_visit, image, tar):
    for visit in ('V01', 'V02', 'W03'):
        content = image(PatientComments=visit)
        deposited = deposit_visit('S5', visit, tar((f'S5_{visit}/a.dcm', content)))
    return deposited


def test_several_processes_share_a_password_and_no_connection(
    study, store, reader, make_person, server, password
):
    steps = ('--id', 'S5', '*', '-o', str(store), '--store-url', server.url)
    reader.run('datalad', 'icf-catalog', *steps)
    person = make_person('several')
    person.set_password(server, password)
    outcome = icf_clone(person, server, 'visits', '--jobs', '2', study='S5', visit='*')
    assert [r['status'] for r in outcome.records] == ['ok'] * 3, outcome.text
    for visit in ('V01', 'V02', 'W03'):
        person.run(
            'datalad', 'get', f'S5_{visit}', cwd=person.directory / 'visits' / visit
        )


def test_a_study_is_a_dataset_that_others_clone_with_datalad(
    study, store, reader, make_person, server, password, phantom
):
    steps = ('--id', 'S5', '*', '-o', str(store), '--store-url', server.url)
    reader.run('datalad', 'icf-catalog', *steps)
    outcome = icf_clone(
        reader, server, '--superdataset', 'study', study='S5', visit='V0*'
    )
    assert [r['status'] for r in outcome.records] == ['ok'] * 3
    # and one more
    outcome = icf_clone(
        reader, server, '--superdataset', 'study', study='S5', visit='*'
    )
    statuses = {r['path'].rpartition('/')[2]: r['status'] for r in outcome.records}
    assert statuses == {
        'V01': 'notneeded',
        'V02': 'notneeded',
        'W03': 'ok',
        'study': 'ok',
    }
    directory = reader.directory / 'study'
    assert reader.run('git', 'status', '--porcelain', cwd=directory).stdout == ''
    other = make_person('other')
    other.set_password(server, password)
    clone = other.clone(str(directory), 'theirs')
    other.run('datalad', 'get', '-n', 'V02', cwd=clone)
    assert (clone / 'V02' / 'S5_V02' / 'a.dcm').is_symlink()
    other.run('datalad', 'get', 'V02/S5_V02/a.dcm', cwd=clone)
    assert (clone / 'V02' / 'S5_V02' / 'a.dcm').exists()
    # a newer deposit
    deposit_dataset(
        study.paths,
        store_url=server.url.replace('127.0.0.1', 'localhost'),
        replace=True,
    )
    outcome = icf_clone(
        reader, server, '--superdataset', 'study', study='S5', visit='W03'
    )
    assert [r['status'] for r in outcome.records] == ['ok', 'ok']
