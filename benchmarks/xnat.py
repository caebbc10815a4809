"""``icf-xnat-push``: against only sending the same bytes, memory, and jobs"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.archive import peak_line
from benchmarks.measure import BenchmarkError, Line, Usage, run_process, spread
from benchmarks.workspace import ONE, STUDY, Shape, Workspace

SMALL = 384
WALL_LIMIT = 1.5
AS_IT_IS_LIMIT = 1.5
ZIP_LIMIT = 3.0
MEMORY_LIMIT = 60
# with a server that waits, two at a time take half of the time, but for the rest
JOBS_LIMIT = 0.75
_SLOW = 0.05
_VISITS = 4
_PROJECT = 'P1'
_STEPS = Path(__file__).with_name('xnat_steps.py')
# a file that is larger cannot be written, so there is none with images in it
_LIMITED = ('sh', '-c', 'ulimit -f 128 && exec "$@"', 'sh')


class _Server:
    """The server of the tests, in a process of its own, and who logs in there"""

    def __init__(self, workspace: Workspace, url: str) -> None:
        self.workspace = workspace
        self.url = url
        # nobody else's settings, and no key ring
        home = workspace.root / 'home'
        self.environment = {'HOME': str(home), 'XDG_CONFIG_HOME': str(home / '.config')}
        # a new name each time, so that there is nothing on the server before
        self._labels = (f'S{number}' for number in count())

    def step(self, name: str, *args: object) -> dict[str, Any]:
        """Run a step that measures itself"""
        command = [sys.executable, str(_STEPS), name, *map(str, args)]
        found = run_process(command, environment=self.environment).output
        return dict(json.loads(found.splitlines()[-1]))

    def push(self, visit: str) -> dict[str, Any]:
        """Push a visit, and measure it without the start-up"""
        where = (self.url, self.workspace.store, STUDY)
        return self.step('push', *where, visit, ONE.visit, next(self._labels))

    def command(self, visit: str, *args: str, limited: bool = False) -> Usage:
        """Push one visit or more with the command, as a whole"""
        label = next(self._labels)
        datalad = self.workspace.datalad_command(
            'icf-xnat-push',
            *('--id', STUDY, visit, '-o', str(self.workspace.store)),
            *('--url', self.url, '--project', _PROJECT, *args),
            *('--subject', f'{label}{{visit}}', '--session', f'{label}{{visit}}'),
        )
        command = [*_LIMITED, *datalad] if limited else datalad
        return run_process(command, environment=self.environment)

    def upload(self, tarball: Path) -> dict[str, Any]:
        """Send a tarball with requests to be imported, and do nothing else"""
        return self.step('upload', self._import_url(next(self._labels)), tarball)

    def put(self, tarball: Path) -> dict[str, Any]:
        """Send a tarball with curl to the place of a file, where it is only read"""
        path = f'/data/projects/{_PROJECT}/resources/R/files/N'
        return self._curl('--upload-file', str(tarball), self.url + path)

    def post(self, tarball: Path) -> dict[str, Any]:
        """Send a tarball with curl to be imported, as a push does"""
        return self._curl(
            *('--header', 'Content-Type: application/x-tar'),
            *('--request', 'POST', '--upload-file', str(tarball)),
            self._import_url(next(self._labels)),
        )

    def _curl(self, *args: str) -> dict[str, Any]:
        command = ['curl', '--netrc', '--fail', '--silent', '--show-error', *args]
        return {'wall': run_process(command, environment=self.environment).wall}

    def _import_url(self, label: str) -> str:
        return (
            f'{self.url}/data/services/import?import-handler=DICOM-zip&inbody=true'
            f'&dest=/prearchive/projects/{_PROJECT}&project={_PROJECT}'
            f'&subject={label}&session={label}&Ignore-Unparsable=true'
        )


@contextmanager
def _serve(workspace: Workspace, *args: str) -> Iterator[_Server]:
    home = workspace.root / 'home'
    home.mkdir(exist_ok=True)
    netrc = home / '.netrc'
    netrc.write_text('machine 127.0.0.1 login tester password secret\n')
    netrc.chmod(0o600)
    process = subprocess.Popen(
        [sys.executable, '-m', 'tests.xnat.server', '--project', _PROJECT, *args],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout
            url = process.stdout.readline().strip()
            if not url:
                raise BenchmarkError('the XNAT server of the tests does not start')
            yield _Server(workspace, url)
        finally:
            process.terminate()


def measure(workspace: Workspace, big: Shape) -> Iterator[Line]:
    """Push visits to the server of the tests"""
    if not shutil.which('curl'):
        raise BenchmarkError('there is no curl, which the pushes are compared with')
    shape = Shape('pushed', 'images', SMALL)
    what = str(shape)
    if example := os.environ.get('ICF_EXAMPLE_VISIT'):
        workspace.use_source(shape, Path(example))
        what = 'the example visit'
    with _serve(workspace) as server:
        yield from _measure_speed(server, shape, what)
        yield from _measure_memory(server, shape, big)
    with _serve(workspace, '--slow', str(_SLOW)) as server:
        yield from _measure_jobs(server)


def _measure_speed(server: _Server, shape: Shape, what: str) -> Iterator[Line]:
    workspace = server.workspace
    workspace.tell(f'xnat: {what}')
    tarball = workspace.tarball(shape)
    workspace.tarball(ONE)
    mixed = _mix(workspace, shape)
    rounds = [
        (
            server.push(shape.visit),
            server.push(mixed),
            server.put(tarball),
            server.post(tarball),
            server.upload(tarball),
        )
        for _ in range(workspace.repeat)
    ]
    whole, zipped, put, post, floor = zip(*rounds, strict=True)
    if whole[0]['size'] != tarball.stat().st_size or zipped[0]['size'] in (
        whole[0]['size'],
        0,
    ):
        raise BenchmarkError('what was to be sent as it is was not, or the other way')
    imported = median(one['wall'] for one in post)
    for order, name, own, other, note in (
        (
            30,
            'wall / curl PUT',
            whole,
            put,
            f'curl needs {imported:.2f} s where it is imported',
        ),
        (30.1, 'wall / curl POST, which is imported', whole, post, ''),
        (30.2, 'wall of a zip made on the way / curl POST', zipped, post, ''),
    ):
        yield _ratio_line(order, f'xnat, {what}: {name}', 'wall', own, other, note)
    for order, name, own, limit in (
        (30.3, 'sent as it is', whole, AS_IT_IS_LIMIT),
        (30.4, 'zip made on the way', zipped, ZIP_LIMIT),
    ):
        name = f'xnat, {what}: CPU / requests, {name}'
        yield _ratio_line(order, name, 'cpu', own, floor, limit=limit)
    yield Line(
        30.5,
        '  xnat, one image in an imported command, which the ratios are without',
        median(one['start_wall'] for one in whole),
        's',
        None,
        f'CPU {median(one["start_cpu"] for one in whole):.2f} s',
    )


def _ratio_line(
    order: float,
    name: str,
    unit: str,
    work: Sequence[dict[str, Any]],
    floor: Sequence[dict[str, Any]],
    note: str = '',
    limit: float = WALL_LIMIT,
) -> Line:
    ratios = [own[unit] / least[unit] for own, least in zip(work, floor, strict=True)]
    own, least = (median(one[unit] for one in usages) for usages in (work, floor))
    each = f'each round {spread(ratios, 2)}'
    parts = [f'{own:.2f} s / {least:.2f} s', each, note]
    return Line(order, name, own / least, '', limit, '; '.join(filter(None, parts)))


def _mix(workspace: Workspace, shape: Shape) -> str:
    """Make a visit with a file that is no image, because of which a zip is made"""
    source = workspace.root / 'mixed'
    source.mkdir()
    (source / 'images').symlink_to(workspace.source(shape).resolve())
    (source / 'notes.txt').write_text('The subject was late.\n')
    workspace.command('icf-archive', 'mixed', str(source), '--follow-symlinks')
    return 'mixed'


def _measure_memory(server: _Server, shape: Shape, big: Shape) -> Iterator[Line]:
    workspace = server.workspace
    usage = server.command(shape.visit)
    yield peak_line(workspace, 'xnat', shape, usage.peak, limit=MEMORY_LIMIT)
    # fails, if anything as large as an image or two is written
    for args in ((), ('--compress',)):
        server.command(shape.visit, *args, limited=True)
    workspace.tell('xnat: no file of more than 128 kB was written')
    workspace.discard(shape)
    workspace.discard(Shape('mixed', 'images', SMALL))
    workspace.tell(f'xnat: {big}')
    workspace.tarball(big)
    peak = max(server.command(big.visit, *a).peak for a in ((), ('--compress',)))
    yield peak_line(workspace, 'xnat', big, peak, limit=MEMORY_LIMIT)


def _measure_jobs(server: _Server) -> Iterator[Line]:
    workspace = server.workspace
    shape = Shape('job', 'images', 12)
    source = workspace.source(shape)
    workspace.tell(f'xnat: {_VISITS} visits, server slow')
    for number in range(_VISITS):
        workspace.command('icf-archive', f'job{number}', str(source))
    rounds = [
        (server.command('job?'), server.command('job?', '--jobs', '2'))
        for _ in range(workspace.repeat)
    ]
    one, two = zip(*rounds, strict=True)
    ratios = [b.wall / a.wall for a, b in rounds]
    walls = median(u.wall for u in one), median(u.wall for u in two)
    yield Line(
        30.6,
        f'xnat, {_VISITS} visits, {_SLOW} s a request: wall with --jobs 2 / one by one',
        walls[1] / walls[0],
        '',
        JOBS_LIMIT,
        f'{walls[1]:.2f} s / {walls[0]:.2f} s; each round {spread(ratios, 2)}',
    )
    for number in range(_VISITS):
        workspace.remove(f'job{number}', '_*')
    workspace.discard(shape)
