"""Metadata to make datasets of, and git to read what was made"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from hashlib import md5
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from datalad_icf.dataset import DatasetReport, deposit_dataset
from datalad_icf.store import VisitPaths
from demo.sandbox import Sandbox

Files = dict[str, tuple[str, bytes]]


@pytest.fixture(scope='session')
def store_url() -> str:
    return 'https://store.example.org'


@pytest.fixture(scope='session')
def environment(tmp_path_factory) -> dict[str, str]:
    """Variables of a user without history, for programs that are no part of us"""
    return Sandbox(tmp_path_factory.mktemp('user').resolve()).environment


@pytest.fixture(scope='session')
def call(environment) -> Callable[..., bytes]:
    """Run a program that must succeed, and return what it wrote"""

    def call(*command: str, cwd: Path, stdin: bytes = b'', **variables: str) -> bytes:
        process = subprocess.run(
            command,
            cwd=cwd,
            env={**environment, **variables},
            input=stdin,
            capture_output=True,
            check=False,
            timeout=120,
        )
        assert process.returncode == 0, process.stderr.decode(errors='replace')
        return process.stdout

    return call


@pytest.fixture(scope='session')
def describe_image() -> Callable[..., dict[str, Any]]:
    """Make the metadata of an image; another path has another content

    A field that is ``...`` is left out.
    """

    def describe_image(path: str, /, **fields: Any) -> dict[str, Any]:
        digest = md5(path.encode('utf-8', 'surrogateescape')).hexdigest()
        record = {'path': path, 'md5': digest, 'size': 5, 'offset': 1536, **fields}
        return {k: v for k, v in record.items() if v is not ...}

    return describe_image


@pytest.fixture(scope='session')
def write_metadata(describe_image) -> Callable[..., None]:
    """Write the two metadata files of a visit, without its tarball

    An image is its path, or its metadata. A field that is ``...`` is left out.
    """

    def write_metadata(
        paths: VisitPaths, *images: str | dict[str, Any], **fields: Any
    ) -> None:
        records = [describe_image(i) if isinstance(i, str) else i for i in images]
        text = json.dumps(records)
        tarball = {
            'size': 10240,
            'md5': md5(b'tarball').hexdigest(),
            'dspath': paths.dataset_path,
            'storepath': paths.store_path,
            'mtime': 1374070500.5,
            'dicoms_md5': md5(text.encode()).hexdigest(),
            **fields,
        }
        present = {k: v for k, v in tarball.items() if v is not ...}
        paths.study_dir.mkdir(parents=True, exist_ok=True)
        paths.dicoms_metadata.write_text(text)
        paths.tarball_metadata.write_text(json.dumps(present))

    return write_metadata


@pytest.fixture(scope='session')
def unpack_deposit() -> Callable[[VisitPaths, Path], Path]:
    """Unpack the repository of a deposit with nothing but ``zipfile``"""

    def unpack_deposit(paths: VisitPaths, target: Path) -> Path:
        with ZipFile(paths.repo_export) as archive:
            archive.extractall(target)
        return target

    return unpack_deposit


@pytest.fixture(scope='session')
def read_branch(call) -> Callable[[Path, str], Files]:
    """Read a branch of a repository: path to mode and content"""

    def read_branch(repository: Path, name: str) -> Files:
        listed = call('git', 'ls-tree', '-rz', name, cwd=repository).split(b'\0')[:-1]
        entries = [line.partition(b'\t') for line in listed]
        modes, blobs = zip(*(entry.decode().split(' ')[::2] for entry, _, _ in entries))
        contents = call(
            'git',
            'cat-file',
            '--batch=%(objectsize)',
            cwd=repository,
            stdin='\n'.join(blobs).encode(),
        )
        found = {}
        for mode, (_, _, path) in zip(modes, entries):
            size, _, contents = contents.partition(b'\n')
            content, contents = contents[: int(size)], contents[int(size) + 1 :]
            found[path.decode('utf-8', 'surrogateescape')] = (mode, content)
        return found

    return read_branch


@pytest.fixture
def describe(paths, write_metadata) -> Callable[..., None]:
    """Write metadata of the visit: of these images, and with these fields"""
    return lambda *images, **fields: write_metadata(paths, *images, **fields)


@pytest.fixture
def visit(describe) -> None:
    """Metadata of a visit as there are many"""
    describe('S1_V01/0001.dcm', 'S1_V01/0002.dcm', 'S1_V01/a/0001.dcm')


@pytest.fixture
def deposit(paths, store_url) -> Callable[..., DatasetReport]:
    """Make the dataset of the visit"""

    def deposit(**arguments: Any) -> DatasetReport:
        return deposit_dataset(paths, **{'store_url': store_url, **arguments})

    return deposit


@pytest.fixture
def unpack(paths, tmp_path, unpack_deposit) -> Callable[[], Path]:
    """Unpack the deposit of the visit as a bare repository"""
    return lambda: unpack_deposit(paths, tmp_path / 'unpacked.git')


@pytest.fixture
def branches(unpack, read_branch) -> Callable[[], tuple[Files, Files]]:
    """Read the main and the git-annex branch of the deposit of the visit"""

    def branches() -> tuple[Files, Files]:
        repository = unpack()
        return read_branch(repository, 'main'), read_branch(repository, 'git-annex')

    return branches
