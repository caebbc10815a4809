"""icf-serve, nginx and Apache as processes, each in front of the same store

Not tests, but how to start what they test. A server is a program of this machine
with a configuration that was just made, on a free port of the loopback interface.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import sha1
from json import loads
from pathlib import Path

import pytest

from datalad_icf.dicomweb.servers import (
    build_apache_config,
    build_htaccess,
    build_nginx_config,
)

USER, PASSWORD = 'reader', 'pass word: 1%'
# with what means something in regular expressions
PREFIX = '/some where/v1.0+(x)/'
APACHE_MODULES = (
    'mpm_event',
    'authn_core',
    'authn_file',
    'authz_core',
    'authz_user',
    'auth_basic',
    'alias',
    'deflate',
    'dir',
    'filter',
    'headers',
    'mime',
    'rewrite',
)
NGINX = """
daemon off;
worker_processes 1;
pid {work}/pid;
error_log stderr;
{user}
events {{ }}
http {{
    access_log off;
    client_body_temp_path {work}/body;
    fastcgi_temp_path {work}/fastcgi;
    proxy_temp_path {work}/proxy;
    scgi_temp_path {work}/scgi;
    uwsgi_temp_path {work}/uwsgi;
    server {{
        listen 127.0.0.1:{port};
        {config}
    }}
}}
"""
APACHE = """
ServerRoot "{work}"
ServerName 127.0.0.1
PidFile "{work}/pid"
Mutex "file:{work}"
ErrorLog /dev/stderr
Listen 127.0.0.1:{port}
{modules}
{user}
TypesConfig "{work}/mime.types"
<Directory />
    Require all denied
</Directory>
<VirtualHost *>
{config}
</VirtualHost>
"""
# what somebody has who only unpacked a store below the root of their documents
APACHE_DOCUMENTS = """
DocumentRoot "{root}"
<Directory "{root}">
    Require all granted
    Options FollowSymLinks Indexes
    AllowOverride FileInfo Indexes
</Directory>
"""


def give_up(reason: str) -> None:
    """Skip, or fail where the servers must be"""
    if os.environ.get('ICF_REQUIRE_SERVERS'):
        pytest.fail(f'ICF_REQUIRE_SERVERS is set, but {reason}')
    pytest.skip(reason)


def find_program(name: str) -> str:
    """Path of a server, also where the PATH has no place for administrators"""
    path = os.pathsep.join((os.environ['PATH'], '/usr/sbin', '/usr/local/sbin'))
    program = shutil.which(name, path=path)
    if not program:
        give_up(f'there is no {name} on this machine (apt-get install {name})')
    return program


@contextmanager
def run_process(argv: list[str], port: int, work: Path) -> Iterator[None]:
    """Run a server until the context ends; entered once it answers"""
    log = work / 'log'
    with log.open('wb') as output:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if process.poll() is not None:
                pytest.fail(f'{argv[0]} ended: {log.read_text()}')
            with closing(socket.socket()) as probe:
                if not probe.connect_ex(('127.0.0.1', port)):
                    break
            time.sleep(0.05)
        else:
            pytest.fail(f'{argv[0]} does not answer: {log.read_text()}')
        yield
    finally:
        process.terminate()
        process.wait(30)


def find_free_port() -> int:
    """A port that nobody has at the moment"""
    with closing(socket.socket()) as probe:
        probe.bind(('127.0.0.1', 0))
        return int(probe.getsockname()[1])


def ask_for_password(config: str, line_ends: tuple[str, ...]) -> str:
    """Follow the hints in a configuration, whose lines end so"""
    lines = config.splitlines()
    for i, line in enumerate(lines):
        if line.strip().startswith('# ') and line.endswith(line_ends):
            lines[i] = line.replace('# ', '', 1)
    return '\n'.join(lines)


@contextmanager
def run_icf_serve(root: Path, work: Path, *, password: bool) -> Iterator[str]:
    """The command of this package; yields the URL of the store"""
    options = []
    if password:
        (work / 'login').write_text(f'{USER}:{PASSWORD}\n')
        (work / 'login').chmod(0o600)
        options = ['--password-file', str(work / 'login')]
    process = subprocess.Popen(
        [
            *('datalad', '-f', 'json', 'icf-serve'),
            *('-o', str(root), '--port', '0', *options),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield loads(process.stdout.readline())['url']
    finally:
        process.terminate()
        process.communicate(timeout=30)


@contextmanager
def run_nginx(root: Path, work: Path, prefix: str, *, password: bool) -> Iterator[str]:
    """The nginx of this machine; yields the URL of the store"""
    program, port = find_program('nginx'), find_free_port()
    config = build_nginx_config(root, prefix)
    if password:
        file = '/etc/nginx/icf-store.htpasswd'
        config = ask_for_password(config, (';',)).replace(file, write_htpasswd(work))
    user = '' if os.geteuid() else 'user root;'
    text = NGINX.format(work=work, port=port, config=config, user=user)
    (work / 'nginx.conf').write_text(text)
    argv = [program, '-c', str(work / 'nginx.conf'), '-p', str(work), '-e', 'stderr']
    with run_process(argv, port, work):
        yield f'http://127.0.0.1:{port}{prefix}'


@contextmanager
def run_apache(
    root: Path, work: Path, prefix: str, *, password: bool, htaccess: bool = False
) -> Iterator[str]:
    """The Apache of this machine; yields the URL of the store"""
    program, port = find_program('apache2'), find_free_port()
    directories = (Path('/usr/lib/apache2/modules'), Path('/usr/lib64/httpd/modules'))
    modules = next((d for d in directories if d.is_dir()), None)
    if not modules:
        give_up('the modules of Apache are not where they are looked for')
    if htaccess:
        for tree in root.glob('*/dicomweb'):
            (tree / '.htaccess').write_text(build_htaccess())
        config = APACHE_DOCUMENTS.format(root=root)
    else:
        config = build_apache_config(root, prefix)
    if password:
        file = '/etc/apache2/icf-store.htpasswd'
        config = ask_for_password(
            config, ('Basic', '"icf-store"', 'htpasswd"', 'valid-user')
        )
        config = config.replace(file, write_htpasswd(work))
        config = config.replace('Require all granted', 'Require valid-user')
    names = [n for n in APACHE_MODULES if (modules / f'mod_{n}.so').exists()]
    # Debian has it as a part of the program
    if (modules / 'mod_unixd.so').exists():
        names.append('unixd')
    loaded = '\n'.join(
        f'LoadModule {name}_module "{modules}/mod_{name}.so"' for name in names
    )
    # as root it does not serve
    user = '' if os.geteuid() else 'User nobody\nGroup nogroup'
    # as in systems: archives have types
    (work / 'mime.types').write_text('application/gzip gz\ntext/html html\n')
    text = APACHE.format(work=work, port=port, config=config, user=user, modules=loaded)
    (work / 'apache.conf').write_text(text)
    argv = [program, '-f', str(work / 'apache.conf'), '-DFOREGROUND']
    with run_process(argv, port, work):
        yield f'http://127.0.0.1:{port}{prefix}'


def write_htpasswd(work: Path) -> str:
    """Write the file of a password that both servers read; returns its path"""
    digest = b64encode(sha1(PASSWORD.encode(), usedforsecurity=False).digest())
    file = work / 'htpasswd'
    file.write_text(f'{USER}:{{SHA}}{digest.decode()}\n')
    return str(file)


RUNNERS = {
    'icf-serve': run_icf_serve,
    'nginx': lambda *a, **k: run_nginx(*a, '/', **k),
    'nginx-path': lambda *a, **k: run_nginx(*a, PREFIX, **k),
    'apache': lambda *a, **k: run_apache(*a, '/', **k),
    'apache-path': lambda *a, **k: run_apache(*a, PREFIX, **k),
    'apache-htaccess': lambda *a, **k: run_apache(*a, '/', htaccess=True, **k),
}
