"""Pushing without DataLad around it"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from datalad_icf.store import VisitPaths
from datalad_icf.xnat import (
    DirectorySource,
    Exclusions,
    Naming,
    PushOptions,
    PushReport,
    Source,
    TarballSource,
    XnatClient,
    build_plan,
    push_session,
)
from tests.xnat.access import XnatAccess
from tests.xnat.server.uploads import Files, make_study, sop_uids, write_files


@dataclass
class Push:
    """Sends sources, each time over a connection of its own"""

    access: XnatAccess

    def __call__(
        self,
        source: Source | VisitPaths,
        *,
        subject: str = '',
        session: str = '',
        exclude: Exclusions | None = None,
        dry_run: bool = False,
        progress: Callable[[int], None] = lambda _count: None,
        **options: Any,
    ) -> list[PushReport]:
        """The reports of all sessions"""
        if isinstance(source, VisitPaths):
            source = TarballSource(source)
        naming = Naming(subject or self.access.subject, session or self.access.session)
        options = {'project': self.access.project, **options}
        with self.connect() as client, source.open() as contents:
            plan = build_plan(contents, source.fields, naming, exclude or Exclusions())
            return [
                push_session(
                    client,
                    one,
                    PushOptions(**options),
                    whole=contents.whole if plan.is_whole else None,
                    dry_run=dry_run,
                    progress=progress,
                )
                for one in plan.sessions
            ]

    def one(self, source: Source | VisitPaths, **options: Any) -> PushReport:
        """The report of the only session"""
        (report,) = self(source, **options)
        return report

    def connect(self) -> XnatClient:
        return XnatClient(self.access.url, self.access.user, self.access.password)


@pytest.fixture
def push(xnat_server) -> Push:
    """Sends to a real server, where there is one"""
    return Push(xnat_server)


@pytest.fixture
def push_fake(fake) -> Push:
    """Sends to the server of the tests"""
    return Push(fake)


@pytest.fixture
def client(fake) -> Iterator[XnatClient]:
    """A connection to the server of the tests"""
    with XnatClient(fake.url, fake.user, fake.password) as client:
        fake.server.forget()
        yield client


@pytest.fixture(scope='session')
def study() -> Files:
    """Two series with two images each"""
    return make_study()


@pytest.fixture
def directory(tmp_path) -> Callable[[Files], DirectorySource]:
    """Writes files into the directory of a session"""

    def write(files: Files, name: str = 'A/1') -> DirectorySource:
        path: Path = write_files(tmp_path / 'tree' / name, files)
        return DirectorySource(path, *name.split('/'))

    return write


@pytest.fixture
def visit(put_visit, study) -> VisitPaths:
    """A visit in the store, with the images of `study`"""
    return put_visit(files=study)


@pytest.fixture
def ends_well(push_fake, fake, visit, study) -> Callable[[], None]:
    """Checks what is there after a second and a third push"""

    def check() -> None:
        assert fake.server.faults.pending == 0
        push_fake(visit)
        (experiment,) = fake.server.state.experiments.values()
        images = [uid for scan in experiment.scans.values() for uid in scan.instances]
        assert sorted(images) == sorted(sop_uids(study))
        assert fake.server.state.rows == []
        assert len(fake.server.state.subjects) == 1
        fake.server.forget()
        third = push_fake.one(visit)
        assert (third.changed, third.size) == (False, 0)
        assert fake.server.count(method='PUT') == fake.server.count(method='POST') == 0

    return check
