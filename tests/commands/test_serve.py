from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import datalad.api
import pytest
import requests

LOGIN = ('reader', 'pass word: 1%')


@pytest.fixture
def store(tmp_path) -> Path:
    store = tmp_path / 'store'
    catalog = store / 'S 1' / 'catalog'
    catalog.mkdir(parents=True)
    (catalog / 'overview.html').write_text('<!DOCTYPE html>')
    (store / 'S 1' / 'V01_dicom.tar').write_bytes(b'content')
    return store


@pytest.fixture
def start(store) -> Iterator[Callable[..., subprocess.Popen]]:
    """Starts the command in a process of its own, which ends with the test"""
    # the address has to be on its way without the help of this one
    environment = {k: v for k, v in os.environ.items() if k != 'PYTHONUNBUFFERED'}
    with ExitStack() as stack:

        def start(*options: str, form: str = 'json', **env: str) -> subprocess.Popen:
            process = subprocess.Popen(
                [
                    *('datalad', '-f', form, 'icf-serve'),
                    *('-o', str(store), '--port', '0', *options),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**environment, **env},
            )
            stack.callback(process.communicate)
            stack.callback(process.kill)
            return process

        yield start


def interrupt(process: subprocess.Popen) -> tuple[str, str]:
    """Press Ctrl-C; returns what came after the lines that were read"""
    process.send_signal(signal.SIGINT)
    output = process.stdout.read(), process.stderr.read()
    assert process.wait(30) == 0
    return output


@pytest.fixture
def serve(store) -> Callable[..., list[dict[str, Any]]]:
    """The command of Python, for what does not start; returns records"""

    def serve(**arguments: Any) -> list[dict[str, Any]]:
        defaults = {
            'store_dir': store,
            'port': 0,
            'result_renderer': 'disabled',
            'on_failure': 'ignore',
            'return_type': 'list',
        }
        return datalad.api.icf_serve(**{**defaults, **arguments})

    return serve


def test_the_record_tells_the_address_while_the_server_runs(start, store):
    process = start()
    record = json.loads(process.stdout.readline())
    assert record['action'] == 'icf_serve'
    assert record['status'] == 'ok'
    assert record['type'] == 'directory'
    assert record['path'] == str(store)
    assert record['url'].startswith('http://127.0.0.1:')
    assert requests.get(f'{record["url"]}S 1/V01_dicom.tar').content == b'content'
    assert record['pages'] == [f'{record["url"]}S%201/catalog/overview.html']
    for page in record['pages']:
        assert requests.get(page).status_code == 200


def test_ctrl_c_ends_it_without_an_error_and_nothing_was_logged(start):
    process = start(form='tailored')
    first = process.stdout.readline()
    url = first.split()[-1]
    assert requests.get(f'{url}S 1/V01_dicom.tar?1.2.3').status_code == 200
    assert requests.get(f'{url}none').status_code == 404
    stdout, stderr = interrupt(process)
    assert stderr == ''
    assert f'{url}S%201/catalog/overview.html' in stdout
    assert 'Ctrl-C' in stdout
    assert 'V01' not in stdout
    assert 'Traceback' not in stdout


def test_a_download_does_not_keep_it_alive(start, store):
    with (store / 'S 1' / 'large.tar').open('wb') as file:
        file.truncate(1 << 30)
    process = start()
    url = json.loads(process.stdout.readline())['url']
    with requests.get(f'{url}S 1/large.tar', stream=True) as response:
        assert response.raw.read(10) == bytes(10)
        interrupt(process)


def test_a_password_from_a_file_is_asked_for(start, tmp_path):
    file = tmp_path / 'login'
    file.write_text(':'.join(LOGIN))
    file.chmod(0o600)
    process = start('--password-file', str(file))
    url = json.loads(process.stdout.readline())['url']
    assert requests.get(url).status_code == 401
    assert requests.get(url, auth=LOGIN).status_code == 200
    stdout, stderr = interrupt(process)
    assert LOGIN[1] not in stdout + stderr


def test_a_password_from_the_environment_is_asked_for(start):
    user, password = LOGIN
    process = start(
        *('--credential', 'icf'),
        DATALAD_CREDENTIAL_ICF_USER=user,
        DATALAD_CREDENTIAL_ICF_SECRET=password,
    )
    url = json.loads(process.stdout.readline())['url']
    assert requests.get(url, auth=(user, 'wrong')).status_code == 401
    assert requests.get(url, auth=LOGIN).status_code == 200


def test_a_credential_that_datalad_does_not_have_is_told(serve):
    (record,) = serve(credential='icf-unknown')
    assert record['status'] == 'impossible'
    assert 'datalad credentials set icf-unknown' in record['message']


def test_two_passwords_are_one_too_many(serve, tmp_path):
    (record,) = serve(credential='icf', password_file=tmp_path / 'login')
    assert record['status'] == 'impossible'


def test_other_machines_need_a_password(serve):
    (record,) = serve(bind='0.0.0.0')
    assert record['status'] == 'impossible'
    assert 'without a password' in record['message']
    assert '--credential' in record['message']


def test_it_can_be_told_to_let_anyone_in_and_warns(start):
    process = start('--bind', '0.0.0.0', '--without-password')
    record = json.loads(process.stdout.readline())
    port = record['url'].rstrip('/').rpartition(':')[2]
    assert requests.get(f'http://127.0.0.1:{port}/').status_code == 200
    _, stderr = interrupt(process)
    assert 'not encrypted' in stderr


def test_a_port_that_is_taken_is_told(serve):
    with socket.create_server(('127.0.0.1', 0)) as taken:
        port = taken.getsockname()[1]
        (record,) = serve(port=port)
    assert record['status'] == 'impossible'
    assert '--port' in record['message']


def test_a_store_must_be_there(serve, tmp_path):
    (record,) = serve(store_dir=tmp_path / 'none')
    assert record['status'] == 'impossible'


@pytest.mark.parametrize('option', ['--port=65536', '--port=-1', '--bind='])
def test_odd_values_are_refused(run_datalad, store, option):
    done = run_datalad('icf-serve', '-o', store, option)
    assert done.code == 1
    assert done.stdout == ''


@pytest.mark.parametrize(
    ('server', 'expected'),
    [
        ('nginx', 'location ^~ "/data/x/" {'),
        ('apache', '    RewriteEngine On'),
        ('htaccess', 'RewriteEngine On'),
    ],
)
def test_a_configuration_is_printed_as_it_is(run, store, server, expected):
    done = run(
        *('datalad', 'icf-serve', '-o', store, '--print-config', server),
        *('--store-url', 'https://data.example.org/data/x'),
    )
    assert done.code == 0
    assert done.stdout.startswith('# ')
    assert expected in done.stdout.splitlines()
    if server != 'htaccess':
        assert f'"{store}' in done.stdout
        assert '"/data/x/' in done.stdout


@pytest.mark.parametrize('name', ['a$b', 'a"b', 'a\nb', 'a\\b'])
@pytest.mark.parametrize('server', ['nginx', 'apache'])
def test_a_path_that_no_configuration_can_have_is_refused(
    serve, tmp_path, server, name
):
    (record,) = serve(store_dir=tmp_path / name, print_config=server)
    assert record['status'] == 'impossible'
    assert 'config' not in record


def test_many_studies_are_not_all_listed(start, store):
    for i in range(20):
        catalog = store / f'T{i:02}' / 'catalog'
        catalog.mkdir(parents=True)
        (catalog / 'index.html').write_text('<!DOCTYPE html>')
    process = start(form='tailored')
    process.stdout.readline()
    stdout, _ = interrupt(process)
    assert stdout.count('http://') == 10
    assert 'and 11 more' in stdout
