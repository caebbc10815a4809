"""What is on the server: projects, subjects, sessions, and rows of the prearchive"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from urllib.parse import quote
from xml.etree import ElementTree

from datalad_icf.errors import XnatAccessError, XnatConflictError, XnatError
from datalad_icf.xnat.client import XnatClient, read_reason

UNASSIGNED = 'Unassigned'
# Something is under way, which ends by itself (PrearcUtils.PrearcStatus).
BUSY = frozenset(
    (
        'ARCHIVING',
        'BUILDING',
        'DELETING',
        'MOVING',
        'QUEUED_ARCHIVING',
        'QUEUED_BUILDING',
        'QUEUED_DELETING',
        'QUEUED_MOVING',
        'SEPARATING',
        'QUEUED_SEPARATING',
    )
)
# pictures of the server's own making
_NO_IMAGES = 'SNAPSHOTS'


@dataclass(frozen=True)
class Target:
    """Where a session is to be: labels in a project"""

    project: str
    subject: str
    session: str

    @property
    def project_path(self) -> str:
        """Path of the project"""
        return f'/data/projects/{quote(self.project, safe="")}'

    @property
    def subject_path(self) -> str:
        """Path of the subject"""
        return f'{self.project_path}/subjects/{quote(self.subject, safe="")}'

    @property
    def session_path(self) -> str:
        """Path of the session in the archive"""
        return f'{self.project_path}/experiments/{quote(self.session, safe="")}'


@dataclass(frozen=True)
class RemoteSession:
    """A session in the archive, with the id that the server gave its subject"""

    study_instance_uid: str
    subject_id: str
    has_scans: bool


@dataclass(frozen=True)
class PrearchiveRow:
    """A session in the prearchive

    ``path`` is its path on the server, ``status`` one of XNAT's, such as RECEIVING,
    READY, CONFLICT, ARCHIVING.
    """

    project: str
    subject: str
    session: str
    study_instance_uid: str
    status: str
    path: str

    @classmethod
    def parse(cls, row: dict[str, str]) -> PrearchiveRow:
        """Make it of a row of a listing"""
        return cls(
            row.get('project', ''),
            row.get('subject', ''),
            row.get('name', ''),
            row.get('tag', ''),
            row.get('status', ''),
            f'/data{row.get("url", "")}',
        )

    @property
    def source(self) -> str:
        """The row as services of XNAT want it"""
        return self.path.removeprefix('/data')


def find_session(client: XnatClient, target: Target) -> RemoteSession | None:
    """Look a session up in the archive"""
    found = client.item(target.session_path)
    if found is None:
        return None
    fields = found.get('data_fields', {})
    children = {child.get('field') for child in found.get('children', [])}
    return RemoteSession(
        str(fields.get('UID', '')),
        str(fields.get('subject_ID', '')),
        'scans/scan' in children,
    )


def check_project(client: XnatClient, project: str) -> None:
    """Make sure that there is a project, and that the user may read it

    Raises
    ------
    XnatAccessError
        If not; XNAT does not tell which.
    """
    path = Target(project, '', '').project_path
    if client.item(path) is None:
        msg = (
            f'{client.url} has no project {project!r}, or the user may not read it; '
            'icf-xnat-list shows those that there are'
        )
        raise XnatAccessError(msg, 404)


def make_subject(client: XnatClient, target: Target) -> str:
    """Make a subject, or find it; the server's id of it

    It is also how the right to send is tried before any image is: XNAT takes images
    for a project from anybody, and puts them elsewhere.

    Raises
    ------
    XnatAccessError
        If the user may not create anything in the project.
    XnatConflictError
        If there is a subject whose label differs in capitals only.
    """
    try:
        if client.item(target.subject_path) is None:
            _check_capitals(client, target)
        answer = client.call('PUT', target.subject_path)
    except XnatAccessError as e:
        msg = (
            f'the user may not create sessions in project {target.project!r} of '
            f'{client.url}. Nothing was sent; ask its owner to become a member'
        )
        raise XnatAccessError(msg, e.status_code) from e
    return answer.text.strip().rpartition('/')[2]


def _check_capitals(client: XnatClient, target: Target) -> None:
    """XNAT archives into the first subject that fits without regard to capitals

    (XnatSubjectdata.GetSubjectByProjectIdentifierCaseInsensitive, XNAT-2865)
    """
    for row in client.rows(f'{target.project_path}/subjects', columns='ID,label'):
        label = row.get('label', '')
        if label.lower() == target.subject.lower() and label != target.subject:
            msg = (
                f'project {target.project!r} has a subject {label!r}, which XNAT takes '
                f'for {target.subject!r}; nothing was sent. Give the right one with '
                '--subject'
            )
            raise XnatConflictError(msg)


def list_rows(client: XnatClient, project: str) -> list[PrearchiveRow]:
    """List the prearchive of a project"""
    path = f'/data/prearchive/projects/{quote(project, safe="")}'
    return [PrearchiveRow.parse(row) for row in client.rows(path)]


def find_row(
    client: XnatClient, target: Target, study_instance_uid: str
) -> PrearchiveRow | None:
    """Find what images of a study would be joined with in the prearchive

    XNAT knows a row by project, label and Study Instance UID
    (PrearcDatabase.eitherGetOrCreateSession).
    """
    for row in list_rows(client, target.project):
        if (row.session, row.study_instance_uid) == (
            target.session,
            study_instance_uid,
        ):
            return row
    return None


def reload_row(client: XnatClient, row: PrearchiveRow) -> PrearchiveRow | None:
    """Read a row again; None if it is gone"""
    answer = client.call('GET', row.path, query={'format': 'json'}, allow=[403, 404])
    if not answer.ok:
        return None
    try:
        (found,) = answer.json()['ResultSet']['Result']
    except (ValueError, KeyError, TypeError):
        msg = f'{client.url} has answered {row.path} with something that is no row'
        raise XnatError(msg) from None
    return PrearchiveRow.parse(found)


def read_log(client: XnatClient, row: PrearchiveRow) -> str:
    """Why a row is in conflict or error; no other place tells"""
    answer = client.call('GET', f'{row.path}/logs/last', allow=[404])
    return read_reason(answer) if answer.ok else ''


def read_sop_uids(client: XnatClient, path: str) -> frozenset[str]:
    """SOP Instance UIDs of all images of a session

    The catalogues of its resources are the one place that has them. Digests and sizes
    are of no use: XNAT writes files anew when it anonymises them.

    Parameters
    ----------
    client
        The connection.
    path
        Path of a session in the archive, or of a row that was built.
    """
    found: set[str] = set()
    for scan in client.rows(f'{path}/scans'):
        resources = f'{path}/scans/{quote(scan["ID"], safe="")}/resources'
        for resource in client.rows(resources):
            label = resource.get('label', '')
            if label and label != _NO_IMAGES:
                found.update(_read_catalogue(client, f'{resources}/{quote(label)}'))
    return frozenset(found)


def _read_catalogue(client: XnatClient, path: str) -> Iterator[str]:
    """UIDs in a catalogue (schema ``cat:dcmEntry``)"""
    answer = client.call('GET', path, query={'format': 'xml'})
    try:
        for _, element in ElementTree.iterparse(BytesIO(answer.content)):
            uid = element.get('UID')
            if uid and element.tag.rpartition('}')[2] == 'entry':
                yield uid
            element.clear()
    except ElementTree.ParseError:
        msg = f'{client.url} has answered {path} with something that is no catalogue'
        raise XnatError(msg) from None


def check_same(
    client: XnatClient, found: RemoteSession, target: Target, study: str
) -> None:
    """Make sure that a session of that name is the one to be sent

    Parameters
    ----------
    client
        The connection.
    found
        What is there.
    target
        Where it is.
    study
        Study Instance UID to be sent.

    Raises
    ------
    XnatConflictError
        If it is another study, or of another subject. That is never replaced.
    """
    name = f'session {target.session!r} of project {target.project!r}'
    if found.has_scans and found.study_instance_uid not in ('', study):
        msg = (
            f'{name} is another DICOM study, which is not touched. Give another label '
            'to this one'
        )
        raise XnatConflictError(msg)
    subject = client.item(target.subject_path) or {}
    if found.subject_id != subject.get('data_fields', {}).get('ID', ''):
        msg = (
            f'{name} is of another subject than {target.subject!r}, and is not '
            'touched. Give another label to this session, or the right subject'
        )
        raise XnatConflictError(msg)
