"""Sessions that somebody has left in the prearchive of a project"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from string import Formatter
from urllib.parse import quote

from datalad_icf.errors import PreconditionError, XnatAccessError, XnatError
from datalad_icf.xnat.archiving import archive_row, wait_for_row
from datalad_icf.xnat.client import XnatClient
from datalad_icf.xnat.dump import FIELDS, read_attributes
from datalad_icf.xnat.labels import build_label
from datalad_icf.xnat.remote import (
    PrearchiveRow,
    Target,
    check_project,
    check_same,
    find_session,
    list_rows,
    read_sop_uids,
)

# What a label can be made of here.
LABEL_FIELDS = ('subject', 'session', 'StudyDate', 'StudyTime', 'Modality')


class NotReadyError(XnatError, PreconditionError):
    """A session in the prearchive cannot be archived yet"""


@dataclass(frozen=True)
class ArchivedReport:
    """Where a session is now, its path there, and how many images it had"""

    target: Target
    path: str
    instances: int


def find_waiting(
    client: XnatClient, project: str, subjects: Collection[str] = ()
) -> list[PrearchiveRow]:
    """Find the sessions in the prearchive of a project, and of no other

    Parameters
    ----------
    client, project
        Where to look.
    subjects
        Labels of subjects; all if there are none.

    Raises
    ------
    XnatAccessError
        If there is no such project, or the user may not read it; or if a subject is
        neither in it nor in its prearchive.
    """
    check_project(client, project)
    found = [
        row
        for row in list_rows(client, project)
        # whatever the server lists
        if row.project == project and (not subjects or row.subject in subjects)
    ]
    for label in sorted(set(subjects) - {row.subject for row in found}):
        # one that was archived before is no mistake
        if client.item(Target(project, label, '').subject_path) is None:
            msg = (
                f'neither project {project!r} of {client.url} nor its prearchive has '
                f'a subject {label!r}; nothing was archived'
            )
            raise XnatAccessError(msg, 404)
    return found


def archive_waiting(
    client: XnatClient,
    row: PrearchiveRow,
    template: str,
    *,
    existing: str = 'append',
    dry_run: bool = False,
) -> ArchivedReport:
    """Archive one of them, and verify that its images are there

    Parameters
    ----------
    client, row
        The session.
    template
        Of its label, as `datalad_icf.xnat.labels.check_template` gives it.
    existing
        ``append``, or ``replace`` for files that are in the archive.
    dry_run
        Only find out what it would be called.

    Raises
    ------
    NotReadyError
        If XNAT still receives it.
    LabelError
        If the label needs what its images do not say.
    XnatConflictError
        If XNAT has a reason not to, which the message has; or if another study is to
        be replaced.
    XnatError
        If it is not there any more, or images are missing in the archive.
    """
    if not dry_run:
        row = _wait(client, row)
    if row.status == 'RECEIVING':
        msg = (
            f'session {row.session!r} is still being received, or is what is left of '
            'an upload that broke off: try again in five minutes, or send it once more'
        )
        raise NotReadyError(msg)
    fields = {'subject': row.subject, 'session': row.session}
    wanted = {name for _, name, _, _ in Formatter().parse(template) if name}
    if not wanted <= fields.keys():
        fields.update(_read_fields(client, row, wanted & set(FIELDS.values())))
    target = Target(row.project, row.subject, build_label(template, fields))
    if dry_run:
        return ArchivedReport(target, target.session_path, 0)
    if existing == 'replace':
        # XNAT would put it into another study, too
        found = find_session(client, target)
        if found:
            check_same(client, found, target, row.study_instance_uid)
    staged = read_sop_uids(client, row.path)
    overwrite = 'delete' if existing == 'replace' else ''
    path = archive_row(client, row, target, overwrite=overwrite)
    missing = staged - read_sop_uids(client, target.session_path)
    if missing:
        msg = (
            f'{len(missing)} of {len(staged)} images of session {target.session!r} are '
            f'neither in the prearchive of {client.url} any more nor in its archive; '
            'look at the log of the server'
        )
        raise XnatError(msg)
    return ArchivedReport(target, path, len(staged))


def _wait(client: XnatClient, row: PrearchiveRow) -> PrearchiveRow:
    found = wait_for_row(client, row)
    if found is None:
        msg = (
            f'session {row.session!r} is not in the prearchive of {client.url} any '
            'more: somebody else has archived, moved or deleted it'
        )
        raise XnatError(msg)
    return found


def _read_fields(
    client: XnatClient, row: PrearchiveRow, keywords: Collection[str]
) -> dict[str, str]:
    """What the images of the first scan say"""
    for scan in client.rows(f'{row.path}/scans'):
        place = f'{row.source}/scans/{quote(scan["ID"], safe="")}'
        found = read_attributes(client, place, keywords)
        if found:
            return found
    return {}
