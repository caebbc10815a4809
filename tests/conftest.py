"""Fixtures that all tests share

DICOM files come from the phantom of the demo, tarballs that this package would
never write from `tarfile`. Nothing here or in the tests needs a network, and
nothing of the user's configuration is read or written.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path
from struct import pack
from typing import Any

import pytest
from datalad.conftest import setup_package  # noqa: F401
from hypothesis import HealthCheck, settings
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.tag import Tag

from datalad_icf.dicom import archive_visit
from datalad_icf.store import Visit, VisitPaths, format_md5sum
from demo.phantom import LOCALIZER, Series, build_instance, encode, write_phantom
from tests.chromium import start_chromium

# a busy machine is no fault of the code, and a test that failed must fail again
settings.register_profile(
    'icf',
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile('icf')

pytest_plugins = ('datalad_next.tests.fixtures', 'tests.xnat.access')

CHROMIUM_ARGS = [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    # names that stand for this machine: browsers trust 127.0.0.1 like https, but
    # not a host in the intranet
    '--host-resolver-rules=MAP *.test 127.0.0.1',
]


@pytest.fixture(scope='session', autouse=True)
def programs_of_this_environment() -> Iterator[None]:
    """Find git-annex and its helpers also where no environment is activated"""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            'PATH',
            os.pathsep.join((os.path.dirname(sys.executable), os.environ['PATH'])),
        )
        for name in list(os.environ):
            if name.startswith('DATALAD_ICF'):
                patch.delenv(name)
        yield


@pytest.fixture
def paths(tmp_path) -> VisitPaths:
    """Visit V01 of study S1, in a store that does not exist yet"""
    return VisitPaths(tmp_path / 'store', Visit('S1', 'V01'))


@pytest.fixture
def export(tmp_path) -> Path:
    """An empty directory for the files of a visit"""
    directory = tmp_path / 'export'
    directory.mkdir()
    return directory


@pytest.fixture
def visit_files(export) -> Path:
    """A directory with two small series and a text file"""
    second = Series(
        number=7,
        description='t2',
        protocol='t2_tse',
        sequence='*tse2d1',
        pulse_sequence='tse',
        acquisition='2D',
        slices=2,
    )
    write_phantom(export, series=(LOCALIZER, second), rows=4, columns=4)
    return export


@pytest.fixture(scope='session')
def image() -> Callable[..., bytes]:
    """Makes the content of a small DICOM file, with some attributes changed

    A value of bytes is written as it is, also where pydicom would refuse it.
    """

    def make(syntax: str = '', **attributes: Any) -> bytes:
        raw = {k: v for k, v in attributes.items() if isinstance(v, bytes)}
        dataset = build_instance(
            rows=2, columns=2, **{k: v for k, v in attributes.items() if k not in raw}
        )
        for keyword, value in raw.items():
            # a text, as which pydicom writes anything
            text = value.decode('latin-1')
            dataset[keyword] = DataElement(keyword, 'LO', text, validation_mode=IGNORE)
        if syntax:
            dataset.file_meta.TransferSyntaxUID = syntax
        content = encode(dataset)
        for keyword in raw:
            tag = Tag(keyword)
            start = pack('<HH', tag.group, tag.element)
            vr = dictionary_VR(tag).encode()
            content = content.replace(start + b'LO', start + vr)
        return content

    return make


@pytest.fixture
def archived(paths, visit_files) -> VisitPaths:
    """The visit with its tarball and digest"""
    archive_visit(paths, visit_files)
    return paths


@pytest.fixture
def put_tarball(paths) -> Callable[..., VisitPaths]:
    """Puts a tarball into the store, with a digest that fits"""

    def put(content: bytes) -> VisitPaths:
        paths.study_dir.mkdir(parents=True, exist_ok=True)
        paths.tarball.write_bytes(content)
        digest = md5(content, usedforsecurity=False).hexdigest()
        paths.md5sum.write_text(format_md5sum(digest, paths.tarball.name))
        return paths

    return put


@pytest.fixture(scope='session')
def tar() -> Callable[..., bytes]:
    """Makes a tarball of names and contents, or of finished `TarInfo` objects"""

    def make(
        *members: tuple[str | tarfile.TarInfo, bytes],
        format: int = tarfile.PAX_FORMAT,
    ) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode='w', format=format) as file:
            for member, content in members:
                info = tarfile.TarInfo(member) if isinstance(member, str) else member
                if info.isreg():
                    info.size = len(content)
                file.addfile(info, io.BytesIO(content))
        return buffer.getvalue()

    return make


@pytest.fixture(scope='session')
def files_in() -> Callable[[Path], list[str]]:
    """Lists what is below a directory, hidden files too"""

    def listing(directory: Path) -> list[str]:
        return sorted(p.relative_to(directory).as_posix() for p in directory.rglob('*'))

    return listing


@dataclass(frozen=True)
class Outcome:
    """How a process ended"""

    code: int
    stdout: str
    stderr: str

    @property
    def records(self) -> list[dict[str, Any]]:
        """The result records, with the option ``-f json``"""
        return [json.loads(line) for line in self.stdout.splitlines()]

    @property
    def record(self) -> dict[str, Any]:
        """The only result record"""
        (record,) = self.records
        return record


@pytest.fixture(scope='session')
def datalad_argv() -> list[str]:
    """The command line of DataLad, up to the name of a command"""
    return ['datalad', '-f', 'json']


@pytest.fixture
def run(tmp_path) -> Callable[..., Outcome]:
    """Runs a program to its end, by default in the temporary directory"""

    def call(
        *argv: object, env: dict[str, str] | None = None, **kwargs: Any
    ) -> Outcome:
        done = subprocess.run(
            [os.fspath(a) if isinstance(a, Path) else str(a) for a in argv],
            check=False,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            errors='surrogateescape',
            timeout=120,
            env={**os.environ, **(env or {})},
            **{'cwd': tmp_path, **kwargs},
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture
def run_datalad(run, datalad_argv) -> Callable[..., Outcome]:
    """Runs a command of DataLad, with JSON records as its output"""

    def call(*argv: object, **kwargs: Any) -> Outcome:
        return run(*datalad_argv, *argv, **kwargs)

    return call


def give_up(reason: str) -> None:
    """Skip, or fail where a browser must be"""
    if os.environ.get('ICF_REQUIRE_BROWSER'):
        pytest.fail(f'ICF_REQUIRE_BROWSER is set, but {reason}')
    pytest.skip(reason)


# not for the session: playwright keeps an event loop running in this thread
@pytest.fixture(scope='module')
def browser() -> Iterator[Any]:
    """The Chromium of this machine"""
    with start_chromium(CHROMIUM_ARGS, give_up) as browser:
        yield browser
