"""A store behind a password, users with and without it, and what they clone"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest

from datalad_icf.dataset import DatasetReport, deposit_dataset
from datalad_icf.dicom import archive_visit, deposit_metadata
from datalad_icf.store import InstanceMetadata, Visit, VisitPaths, read_instances
from demo.phantom import write_phantom
from demo.sandbox import Sandbox
from demo.server import StoreServer, serve_store
from tests.integration.web_servers import give_up

USER, PASSWORD, REALM = 'reader', 'pass word: 1%', 'icf-store'


@dataclass(frozen=True)
class Outcome:
    """How a program ended"""

    code: int
    stdout: str
    stderr: str

    @property
    def text(self) -> str:
        """All that the program told"""
        return self.stdout + self.stderr

    @property
    def records(self) -> list[dict[str, Any]]:
        """Objects in lines of JSON"""
        lines = self.stdout.splitlines()
        return [json.loads(line) for line in lines if line.startswith('{')]


class Person:
    """Somebody with a home, a key ring and a directory to work in"""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.directory = root.resolve()
        self.environment = Sandbox(self.directory).environment
        for name in os.environ:
            if name.startswith('COVERAGE'):
                self.environment[name] = os.environ[name]

    def try_run(
        self, *command: str, cwd: Path | None = None, **variables: str
    ) -> Outcome:
        """Run a program that nobody answers, and see how it ends"""
        process = subprocess.Popen(
            command,
            cwd=cwd or self.directory,
            env={**self.environment, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors='surrogateescape',
            # without a terminal: git and DataLad would ask there
            start_new_session=True,
        )
        try:
            stdout, stderr = process.communicate(timeout=120)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise
        return Outcome(process.returncode, stdout, stderr)

    def run(self, *command: str, cwd: Path | None = None, **variables: str) -> Outcome:
        """Run a program that must succeed"""
        outcome = self.try_run(*command, cwd=cwd, **variables)
        assert outcome.code == 0, outcome.text
        return outcome

    def set_password(self, server: StoreServer, password: str) -> None:
        """Let DataLad know the password for a store"""
        self.run(
            'datalad',
            'credentials',
            'set',
            'icf',
            'type=user_password',
            f'user={USER}',
            f'realm={server.url}/{REALM}',
            # where DataLad looks before it asks
            DATALAD_CREDENTIAL_ICF_SECRET=password,
        )

    def clone(self, url: str, name: str, **variables: str) -> Path:
        """Clone a dataset with DataLad"""
        self.run('datalad', 'clone', url, name, **variables)
        return self.directory / name


@pytest.fixture(scope='session')
def store(tmp_path_factory) -> Path:
    """The root of the store that is served"""
    return tmp_path_factory.mktemp('store').resolve()


@pytest.fixture(scope='session')
def server(store) -> Iterator[StoreServer]:
    with serve_store(store, USER, PASSWORD, realm=REALM) as server:
        yield server


@pytest.fixture(scope='session')
def password() -> str:
    """The password of the store"""
    return PASSWORD


@pytest.fixture(scope='session')
def make_person(tmp_path_factory) -> Callable[[str], Person]:
    """Make somebody, who knows nothing yet"""
    return lambda name: Person(tmp_path_factory.mktemp(name))


@pytest.fixture(scope='session')
def reader(server, make_person, password) -> Person:
    """Somebody who may read the store"""
    reader = make_person('reader')
    reader.set_password(server, password)
    return reader


@pytest.fixture(scope='session')
def stranger(make_person) -> Person:
    """Somebody who has no password"""
    return make_person('stranger')


@dataclass(frozen=True)
class Deposited:
    """A visit in the store, with its dataset"""

    paths: VisitPaths
    dataset: DatasetReport

    @property
    def instances(self) -> list[InstanceMetadata]:
        """Metadata of its images"""
        return read_instances(self.paths.dicoms_metadata)


@pytest.fixture(scope='session')
def deposit_visit(store, server) -> Callable[..., Deposited]:
    """Deposit the files of a directory, or a tarball, as a visit of the store"""

    def deposit_visit(
        study_id: str, visit_id: str, source: Path | bytes, **arguments: Any
    ) -> Deposited:
        paths = VisitPaths(store, Visit(study_id, visit_id))
        if isinstance(source, bytes):
            paths.study_dir.mkdir(exist_ok=True)
            paths.tarball.write_bytes(source)
        else:
            archive_visit(paths, source)
        deposit_metadata(paths)
        arguments = {'store_url': server.url, **arguments}
        return Deposited(paths, deposit_dataset(paths, **arguments))

    return deposit_visit


@pytest.fixture(scope='session')
def phantom(deposit_visit, tmp_path_factory) -> Deposited:
    """The visit of the phantom"""
    export = tmp_path_factory.mktemp('export')
    write_phantom(export, rows=8, columns=8)
    return deposit_visit('S1', 'V01', export)


@pytest.fixture(scope='session')
def pristine_clone(reader, phantom) -> Path:
    """A clone of the phantom, as ``datalad clone`` left it; not to be changed"""
    return reader.clone(phantom.dataset.clone_url, 'pristine')


@pytest.fixture
def clone(pristine_clone, tmp_path) -> Path:
    """A clone of the phantom, without content"""
    return shutil.copytree(pristine_clone, tmp_path.resolve() / 'clone', symlinks=True)


@pytest.fixture(scope='session')
def digest() -> Callable[[Path], str]:
    """MD5 of a file that is there"""
    return lambda path: md5(path.read_bytes(), usedforsecurity=False).hexdigest()


@pytest.fixture(scope='module')
def place() -> Iterator[Path]:
    """A directory that a server finds which gives up the rights of root"""
    for parent in (tempfile.gettempdir(), '/tmp', '/var/tmp'):
        above = (Path(parent).resolve(), *Path(parent).resolve().parents)
        if os.geteuid() and os.access(parent, os.W_OK):
            break
        if all(p.is_dir() and p.stat().st_mode & 0o001 for p in above):
            break
    else:
        give_up('there is no directory for temporary files that others may enter')
    place = Path(tempfile.mkdtemp(prefix='icf-servers-', dir=parent)).resolve()
    place.chmod(0o755)
    yield place
    shutil.rmtree(place)
