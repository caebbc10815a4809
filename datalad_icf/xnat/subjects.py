"""Subjects of a project, and what their images say of them"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import quote

from datalad_icf.errors import XnatAccessError
from datalad_icf.xnat.client import XnatClient
from datalad_icf.xnat.demographics import Demographics, build_demographics
from datalad_icf.xnat.dump import read_attributes
from datalad_icf.xnat.remote import Target, check_project

_KEYWORDS = ('PatientSex', 'PatientBirthDate', 'PatientAge')


def find_subjects(
    client: XnatClient, project: str, subjects: Collection[str] = ()
) -> list[Target]:
    """Find subjects of a project; those that are shared into it are not of it

    Parameters
    ----------
    client, project
        Where to look.
    subjects
        Labels; all of the project if there are none.

    Raises
    ------
    XnatAccessError
        If there is no such project, or no such subject in it.
    """
    check_project(client, project)
    path = Target(project, '', '').project_path
    rows = client.rows(f'{path}/subjects', columns='ID,label,project')
    labels = [
        row.get('label') or row['ID'] for row in rows if row.get('project') == project
    ]
    missing = sorted(set(subjects) - set(labels))
    if missing:
        msg = f'project {project!r} of {client.url} has no subject {missing[0]!r}'
        raise XnatAccessError(msg, 404)
    return [
        Target(project, label, '')
        for label in sorted(labels)
        if not subjects or label in subjects
    ]


def read_demographics(
    client: XnatClient, target: Target, *, anonymous: bool, every: bool = False
) -> Demographics:
    """Read what the images of a subject say, each attribute where it is first found

    Parameters
    ----------
    client, target
        The subject; the session does not matter.
    anonymous
        Whether to take the year of birth in place of its date.
    every
        Whether to keep the age beside the birth.
    """
    found: dict[str, str] = {}
    for session in client.rows(f'{target.subject_path}/experiments'):
        place = f'{target.project_path}/experiments/{quote(session["ID"], safe="")}'
        source = place.replace('/data/', '/archive/', 1)
        missing = [keyword for keyword in _KEYWORDS if keyword not in found]
        # all scans of a session say the same
        for scan in client.rows(f'{place}/scans')[:1]:
            path = f'{source}/scans/{quote(scan["ID"], safe="")}'
            found.update(read_attributes(client, path, missing))
        if {'PatientSex', 'PatientBirthDate'} <= found.keys():
            break
    return build_demographics(
        found.get('PatientSex', ''),
        found.get('PatientBirthDate', ''),
        found.get('PatientAge', ''),
        anonymous=anonymous,
        every=every,
    )
