"""``datalad get`` of one image and of all, over http with a password"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_urlsafe
from statistics import median
from urllib.parse import quote, urlsplit

from benchmarks.measure import BenchmarkError, Line, Usage, run_process, spread
from benchmarks.workspace import STUDY, Shape, Workspace, find_datalad
from demo.sandbox import Sandbox, remove_tree
from demo.server import Request, StoreServer, serve_store

SMALL = 384
OVERHEAD_LIMIT = 2048
ONE_LIMIT = 1.2
ALL_LIMIT = 1.5
# per image, from few to many: constant, but for noise
GROWTH_LIMIT = 1.2
USER, REALM = 'reader', 'icf-store'


@dataclass(frozen=True)
class Site:
    """A store that is served with a password, and somebody who knows it"""

    workspace: Workspace
    server: StoreServer
    root: Path
    environment: dict[str, str]
    password: str

    def run(self, *command: str, cwd: Path | None = None, **more: str) -> Usage:
        """Run a program as this person"""
        if command[0] == 'datalad':
            command = (find_datalad(), '-l', 'error', *command[1:])
        env = {**self.environment, **more}
        return run_process(command, cwd=cwd or self.root, environment=env)

    def moved(self, seen: int) -> list[Request]:
        """Requests since there were so many"""
        return self.server.requests[seen:]


def measure(workspace: Workspace, many: int) -> Iterator[Line]:
    """Get images of a visit as there are, and of a large one"""
    with _serve(workspace) as site:
        few = Shape('images', 'images', SMALL)
        what = str(few)
        if example := os.environ.get('ICF_EXAMPLE_VISIT'):
            workspace.use_source(few, Path(example))
            what = 'the example visit'
        clone = _clone(site, few)
        yield from _measure_one(site, few, clone, what)
        small = _measure_all(site, few, clone)
        yield _line_of_all(31.2, what, small)
        workspace.discard(few)
        large = Shape('images-many', 'images', many)
        result = _measure_all(site, large, _clone(site, large))
        yield _line_of_all(31.3, str(large), result)
        yield Line(
            31.4,
            f'get of all images: time per image of {many:,} / of {small.images:,}',
            result.per_image / small.per_image,
            '',
            GROWTH_LIMIT,
            f'{result.per_image * 1e3:.1f} ms / {small.per_image * 1e3:.1f} ms; from a '
            f'directory, and curl: {result.floor_per_image * 1e3:.1f} ms / '
            f'{small.floor_per_image * 1e3:.1f} ms',
        )
        workspace.discard(large)


@contextmanager
def _serve(workspace: Workspace) -> Iterator[Site]:
    password = token_urlsafe()
    root = workspace.root / 'person'
    root.mkdir()
    workspace.store.mkdir(exist_ok=True)
    environment = Sandbox(root).environment
    try:
        with serve_store(workspace.store, USER, password, realm=REALM) as server:
            site = Site(workspace, server, root, environment, password)
            site.run(
                *('datalad', 'credentials', 'set', 'icf', 'type=user_password'),
                *(f'user={USER}', f'realm={server.url}/{REALM}'),
                DATALAD_CREDENTIAL_ICF_SECRET=password,
            )
            # for git-annex's own downloads
            kept = root / 'git-credentials'
            login = f'{USER}:{quote(password)}@{urlsplit(server.url).netloc}'
            kept.write_text(f'http://{login}\n')
            helper = f'store --file={kept}'
            site.run('git', 'config', '--global', 'credential.helper', helper)
            near = ('annex.security.allowed-ip-addresses', '127.0.0.1')
            site.run('git', 'config', '--global', *near)
            yield site
    finally:
        remove_tree(root)


def _clone(site: Site, shape: Shape) -> Path:
    site.workspace.tarball(shape)
    site.workspace.describe(shape)
    url = ('--store-url', site.server.url)
    site.workspace.command('icf-deposit-dataset', shape.visit, *url)
    target = site.root / shape.visit
    site.run('datalad', 'icf-clone', '--id', STUDY, shape.visit, *url, str(target))
    return target


def _images(site: Site, shape: Shape) -> list[dict]:
    path = site.workspace.file(shape.visit, '_metadata_dicoms.json')
    return json.loads(path.read_bytes())


def _measure_one(site: Site, shape: Shape, clone: Path, what: str) -> Iterator[Line]:
    site.workspace.tell(f'images: one of {what}')
    images = _images(site, shape)
    image = images[len(images) // 2]
    web = _make_web_dataset(site, shape, image)

    def get(directory: Path, path: str) -> Usage:
        site.run('git', 'annex', 'drop', '--quiet', '--force', path, cwd=directory)
        return site.run('datalad', 'get', path, cwd=directory)

    get(clone, image['path'])
    seen = len(site.server.requests)
    get(clone, image['path'])
    moved = site.moved(seen)
    if [r.status for r in moved] != [401, 206]:
        raise BenchmarkError(f'one image was got by {moved}')
    yield Line(
        31,
        f'one image of {what}: bytes beside its own, with all headers',
        sum(r.sent + r.head for r in moved) - image['size'],
        'bytes',
        OVERHEAD_LIMIT,
        f'{image["size"]:,} bytes, of a tarball of '
        f'{site.workspace.tarball(shape).stat().st_size:,}; requests: 401, 206',
    )
    rounds = [
        (get(clone, image['path']), get(web, 'image.dcm'))
        for _ in range(3 * site.workspace.repeat)
    ]
    for order, unit, limit in ((31.1, 'wall', ONE_LIMIT), (31.15, 'cpu', None)):
        pairs = [(getattr(a, unit), getattr(b, unit)) for a, b in rounds]
        own, floor = (median(values) for values in zip(*pairs))
        ratios = [a / b for a, b in pairs]
        name = unit.replace('cpu', 'CPU')
        yield Line(
            order,
            f'one image of {what}: {name} of datalad get / of the file from the web',
            own / floor,
            '',
            limit,
            f'{own:.2f} s / {floor:.2f} s; each round {spread(ratios, 2)}',
        )


def _make_web_dataset(site: Site, shape: Shape, image: dict) -> Path:
    """A dataset with the same file, which git-annex gets from the web itself"""
    target = site.root / 'web'
    file = site.workspace.store / STUDY / 'image.dcm'
    with site.workspace.tarball(shape).open('rb') as tarball:
        tarball.seek(image['offset'])
        file.write_bytes(tarball.read(image['size']))
    site.run('datalad', 'create', str(target))
    url = f'{site.server.url}/{STUDY}/image.dcm'
    site.run('git', 'annex', 'addurl', '--file=image.dcm', url, cwd=target)
    site.run('git', 'commit', '--quiet', '-m', 'an image', cwd=target)
    return target


@dataclass(frozen=True)
class _All:
    images: int
    own: list[float]
    floor: list[float]
    start: float
    bytes_moved: int
    tarball: int

    @property
    def per_image(self) -> float:
        return (median(self.own) - self.start) / self.images

    @property
    def floor_per_image(self) -> float:
        # its start-up is about the same
        return (median(self.floor) - self.start) / self.images


def _measure_all(site: Site, shape: Shape, clone: Path) -> _All:
    site.workspace.tell(f'images: all of {shape.visit}')
    images = _images(site, shape)
    top = images[0]['path'].partition('/')[0]
    directory = _make_directory_dataset(site, shape)
    own, floor, moved = [], [], []
    tarball = f'{site.server.url}/{STUDY}/{shape.visit}_dicom.tar'
    login = f'{USER}:{site.password}'
    for _ in range(site.workspace.repeat):
        for place in (clone, directory):
            site.run('git', 'annex', 'drop', '-q', '--force', '.', cwd=place)
        seen = len(site.server.requests)
        own.append(site.run('datalad', 'get', top, cwd=clone).wall)
        moved.append(sum(r.sent for r in site.moved(seen)))
        curl = site.run('curl', '-sS', '-o', os.devnull, '-u', login, tarball)
        floor.append(site.run('datalad', 'get', '.', cwd=directory).wall + curl.wall)
    # what does not depend on the number of images
    site.run('git', 'annex', 'drop', '-q', '--force', images[0]['path'], cwd=clone)
    start = site.run('datalad', 'get', images[0]['path'], cwd=clone).wall
    for place in (clone, directory):
        remove_tree(place)
    shutil.rmtree(site.root / f'{shape.visit}-objects', ignore_errors=True)
    size = site.workspace.tarball(shape).stat().st_size
    return _All(len(images), own, floor, start, max(moved), size)


def _make_directory_dataset(site: Site, shape: Shape) -> Path:
    """A dataset with the same files, and a directory of git-annex that holds them"""
    target = site.root / f'{shape.visit}-directory'
    objects = site.root / f'{shape.visit}-objects'
    objects.mkdir()
    site.run('datalad', 'create', str(target))
    shutil.copytree(site.workspace.source(shape).resolve(), target / 'images')
    site.run('git', 'annex', 'add', '--quiet', '.', cwd=target)
    site.run('git', 'commit', '--quiet', '-m', 'images', cwd=target)
    remote = ('type=directory', f'directory={objects}', 'encryption=none')
    site.run('git', 'annex', 'initremote', 'objects', *remote, cwd=target)
    site.run('git', 'annex', 'copy', '-q', '--to=objects', '.', cwd=target)
    return target


def _line_of_all(order: float, what: str, result: _All) -> Line:
    ratios = [a / b for a, b in zip(result.own, result.floor)]
    own, floor = median(result.own), median(result.floor)
    return Line(
        order,
        f'get of all images of {what}: wall / from a directory, and curl',
        own / floor,
        '',
        ALL_LIMIT,
        f'{own:.1f} s / {floor:.1f} s; each round {spread(ratios, 2)}; '
        f'{result.bytes_moved:,} bytes of a tarball of {result.tarball:,}',
    )
