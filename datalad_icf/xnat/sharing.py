"""Subjects and their sessions in more than one project"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import quote

from datalad_icf.errors import XnatAccessError, XnatConflictError, XnatError
from datalad_icf.xnat.client import XnatClient, read_reason
from datalad_icf.xnat.remote import Target


@dataclass
class ShareReport:
    """What was shared now, and what was already: paths of subject and sessions"""

    shared: list[str] = field(default_factory=list)
    before: list[str] = field(default_factory=list)


def share_subject(client: XnatClient, target: Target, destination: str) -> ShareReport:
    """Share a subject, and all its sessions, into another project

    Each is tried, whatever became of the others, and a second run adds what is new.

    Parameters
    ----------
    client
        The connection.
    target
        The subject, in the project that it is of; the session does not matter.
    destination
        The other project.

    Raises
    ------
    XnatAccessError
        If there is no such subject, or the user may not do this.
    XnatConflictError
        If something else has its label there.
    """
    if client.item(target.subject_path) is None:
        msg = (
            f'there is no subject {target.subject!r} in project {target.project!r} of '
            f'{client.url}'
        )
        raise XnatAccessError(msg, 404)
    report = ShareReport()
    problems: list[XnatError] = []
    sessions = [row['ID'] for row in client.rows(f'{target.subject_path}/experiments')]
    paths = [
        target.subject_path,
        *(
            f'{target.project_path}/experiments/{quote(one, safe="")}'
            for one in sessions
        ),
    ]
    for path in paths:
        with _collect(problems):
            is_new = share(client, path, destination)
            (report.shared if is_new else report.before).append(path)
    if problems:
        raise problems[0]
    return report


@contextmanager
def _collect(problems: list[XnatError]) -> Iterator[None]:
    try:
        yield
    except XnatError as e:
        problems.append(e)


def share(client: XnatClient, path: str, destination: str) -> bool:
    """Share a subject or a session; whether it was not shared before

    Parameters
    ----------
    client
        The connection.
    path
        Path of the subject or session in the project that it is of.
    destination
        The other project.
    """
    where = f'{path}/projects/{quote(destination, safe="")}'
    answer = client.call('PUT', where, allow=[403, 404, 409])
    if answer.ok:
        return True
    reason = read_reason(answer)
    if answer.status_code == 409 and 'already assigned' in reason.lower():
        return False
    msg = f'{path} cannot be shared into project {destination!r}: {reason}'
    if answer.status_code == 409:
        raise XnatConflictError(msg, 409)
    raise XnatAccessError(msg, answer.status_code)
