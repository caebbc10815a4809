"""What there is on a server, for people and programs"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import quote

from datalad_icf.xnat.client import XnatClient
from datalad_icf.xnat.remote import PrearchiveRow, Target, check_project


class Listed(NamedTuple):
    """Something on the server

    Attributes
    ----------
    kind
        ``project``, ``subject`` or ``session``.
    path
        Its path on the server.
    project, subject, session
        Labels, empty where they do not apply.
    name
        Name of a project.
    date
        ISO date of a session in the archive.
    study_instance_uid
        DICOM study of a session.
    state
        State of a session in the prearchive, such as READY.
    """

    kind: str
    path: str
    project: str = ''
    subject: str = ''
    session: str = ''
    name: str = ''
    date: str = ''
    study_instance_uid: str = ''
    state: str = ''

    def items(self) -> dict[str, str]:
        """What applies to it, by name"""
        found = self._asdict()
        del found['kind'], found['path']
        return {name: value for name, value in found.items() if value}


def iter_projects(client: XnatClient) -> Iterator[Listed]:
    """List the projects that the user may read"""
    for row in client.rows('/data/projects'):
        path = Target(row['ID'], '', '').project_path
        yield Listed('project', path, row['ID'], name=row.get('name', ''))


def iter_project(client: XnatClient, project: str) -> Iterator[Listed]:
    """List subjects of a project, each followed by its sessions

    Raises
    ------
    XnatAccessError
        If there is no such project, or the user may not read it.
    """
    check_project(client, project)
    base = Target(project, '', '').project_path
    sessions: dict[str, list[dict[str, str]]] = {}
    columns = 'ID,label,date,UID,subject_ID,xnat:imageSessionData/UID'
    for row in client.rows(f'{base}/experiments', columns=columns):
        sessions.setdefault(row.get('subject_ID', ''), []).append(row)
    for subject in client.rows(f'{base}/subjects', columns='ID,label'):
        label = subject.get('label') or subject['ID']
        target = Target(project, label, '')
        yield Listed('subject', target.subject_path, project, label)
        for row in sessions.get(subject['ID'], []):
            name = row.get('label') or row['ID']
            yield Listed(
                'session',
                f'{target.subject_path}/experiments/{quote(name, safe="")}',
                project,
                label,
                name,
                date=row.get('date', ''),
                study_instance_uid=row.get('UID', '')
                or row.get('xnat:imagesessiondata/uid', ''),
            )


def iter_prearchive(client: XnatClient, project: str | None) -> Iterator[Listed]:
    """List the sessions in the prearchive, of one project or of all"""
    path = '/data/prearchive/projects'
    if project:
        check_project(client, project)
        path += f'/{quote(project, safe="")}'
    for found in client.rows(path):
        row = PrearchiveRow.parse(found)
        yield Listed(
            'session',
            row.path,
            row.project,
            row.subject,
            row.session,
            study_instance_uid=row.study_instance_uid,
            state=row.status,
        )
