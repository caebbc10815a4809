"""Fixtures: an XNAT to test against, that of `tests.xnat.server` or a real one

With ICF_TEST_XNAT_URL in the environment, and ICF_TEST_XNAT_USER,
ICF_TEST_XNAT_PASSWORD and ICF_TEST_XNAT_PROJECT, what uses `xnat_server` talks to
that server, in that project, and removes what it made. Tests that need faults, or
a look into the server, use `fake_xnat`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
import requests

from datalad_icf.dicom import archive_visit
from datalad_icf.store import Visit, VisitPaths
from tests.xnat.server import XnatServer
from tests.xnat.server.uploads import Files, make_study, write_files

USER, PASSWORD, PROJECT, OTHER = 'tester', 'pass word: 1%', 'P1', 'P2'


@dataclass
class XnatAccess:
    """How to reach a server, and names on it that nobody else uses"""

    url: str
    user: str
    password: str
    project: str
    subject: str
    session: str
    # None where the server is a real one
    server: XnatServer | None = None
    # of which to make sure that they are removed
    sessions: list[str] = field(default_factory=list)

    def call(self, method: str, path: str, **kwargs) -> requests.Response:
        """One plain request, with basic authentication"""
        return requests.request(
            method,
            self.url + path,
            auth=(self.user, self.password),
            timeout=60,
            **kwargs,
        )

    def rows(self, path: str, **params: str) -> list[dict[str, str]]:
        """A listing"""
        answer = self.call('GET', path, params={'format': 'json', **params})
        answer.raise_for_status()
        return answer.json()['ResultSet']['Result']

    def upload(
        self, content: bytes, content_type: str = 'application/zip', **params: str
    ) -> requests.Response:
        """Send to services/import; handler and target as they should be"""
        query = {
            'import-handler': 'DICOM-zip',
            'project': self.project,
            'subject': self.subject,
            'session': self.session,
            'inbody': 'true',
            **params,
        }
        return self.call(
            'POST',
            '/data/services/import',
            params={k: v for k, v in query.items() if v},
            data=content,
            headers={'Content-Type': content_type} if content_type else {},
        )

    def prearchive(self, session: str = '') -> list[dict[str, str]]:
        """Rows of a session, this one if there is no other name"""
        rows = self.rows(f'/data/prearchive/projects/{self.project}')
        return [one for one in rows if one['name'] == (session or self.session)]

    def sop_uids(self, session: str = '') -> set[str]:
        """What the catalogues of the archive say; nothing without the session"""
        base = f'/data/projects/{self.project}/experiments/{session or self.session}'
        if self.call('GET', base, params={'format': 'json'}).status_code == 404:
            return set()
        found: set[str] = set()
        for scan in self.rows(f'{base}/scans', columns='ID'):
            where = f'{base}/scans/{scan["ID"]}/resources'
            for resource in self.rows(where):
                xml = self.call('GET', f'{where}/{resource["label"]}').text
                found.update(re.findall(r'<cat:entry [^>]*\bUID="([^"]+)"', xml))
        return found

    def clean_up(self) -> None:
        for session in [self.session, *self.sessions]:
            for row in self.prearchive(session):
                self.call('DELETE', f'/data{row["url"]}')
        subject = f'/data/projects/{self.project}/subjects/{self.subject}'
        self.call('DELETE', subject, params={'removeFiles': 'true'})


@pytest.fixture
def quick(monkeypatch) -> None:
    """Wait where the package waits, but not as long"""
    monkeypatch.setattr('datalad_icf.xnat.client.DELAYS', (0.01, 0.01, 0.01))
    monkeypatch.setattr('datalad_icf.xnat.archiving.POLL_SECONDS', 0.01)


@pytest.fixture
def fake_xnat(quick) -> Iterator[XnatServer]:
    """A server with a user, who owns P1 and P2

    Nobody has rights in ``Closed``; the user only reads in ``ReadOnly``.
    """
    with XnatServer() as server:
        server.add_user(USER, PASSWORD)
        server.add_project(PROJECT, **{USER: 'owner'})
        server.add_project(OTHER, **{USER: 'member'})
        server.add_project('ReadOnly', **{USER: 'collaborator'})
        server.add_project('Closed')
        yield server


@pytest.fixture
def fake(fake_xnat) -> XnatAccess:
    """Access to `fake_xnat`, never to a real server"""
    return XnatAccess(
        fake_xnat.url, USER, PASSWORD, PROJECT, 'Sub1', 'Sub1_V01', fake_xnat
    )


@pytest.fixture
def xnat_server(request) -> Iterator[XnatAccess]:
    """Access to a real server where there is one, else to `fake_xnat`"""
    url = os.environ.get('ICF_TEST_XNAT_URL')
    if not url:
        yield request.getfixturevalue('fake')
        return
    subject = f'icf{uuid4().hex[:8]}'
    access = XnatAccess(
        url.rstrip('/'),
        os.environ['ICF_TEST_XNAT_USER'],
        os.environ['ICF_TEST_XNAT_PASSWORD'],
        os.environ['ICF_TEST_XNAT_PROJECT'],
        subject,
        f'{subject}_V01',
    )
    yield access
    access.clean_up()


@pytest.fixture
def put_visit(tmp_path) -> Callable[..., VisitPaths]:
    """Puts a visit of study S1 into a store, with the images of a small study"""

    def put(
        visit_id: str = 'V01', files: Files | None = None, **attributes: Any
    ) -> VisitPaths:
        files = files or make_study(visit=visit_id, **attributes)
        paths = VisitPaths(tmp_path / 'store', Visit('S1', visit_id))
        directory = write_files(tmp_path / f'export-{visit_id}', files)
        archive_visit(paths, directory)
        return paths

    return put
