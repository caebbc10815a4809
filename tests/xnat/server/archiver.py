"""From a row of the prearchive to an experiment (PrearcSessionArchiver)"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import md5

from tests.xnat.server.faults import Faults
from tests.xnat.server.importer import build, free_scan_id
from tests.xnat.server.state import (
    Experiment,
    Instance,
    PrearchiveRow,
    Scan,
    State,
    clean_label,
    session_modality,
    xsi_type,
)

PRE_EXISTS = 'Session already exists, retry with overwrite enabled'
SAME_FILES = 'Session already exists with matching files.'
MODALITY = (
    'Invalid modification of session modality via archive process.  '
    'Data may require a manual merge.'
)
SUBJECT = 'Invalid modification of session subject via archive process.'
STUDY = 'Invalid modification of session UID via archive process.'


class ConflictError(Exception):
    """The archive has something else there; the row is in CONFLICT now"""


@dataclass(frozen=True)
class Overwrite:
    """What may happen to an experiment that exists

    ``merge``: it may get more files; ``override``: also those of another study;
    ``files``: files that it has may be replaced.
    """

    merge: bool
    override: bool = False
    files: bool = False


def import_overwrite(value: str | None, overwrite_files: bool) -> Overwrite:
    """At the import service (TestImport of xnat-rest-tests)

    Without the parameter an existing session is a conflict. ``none`` merges!
    """
    if value is None:
        return Overwrite(merge=False)
    if value == 'delete':
        return Overwrite(merge=True, override=True, files=True)
    return Overwrite(merge=True, files=value == 'append' and overwrite_files)


def archive_overwrite(value: str | None) -> Overwrite:
    """At services/archive: it always merges; append replaces as delete does"""
    override = value in ('append', 'delete')
    return Overwrite(merge=True, override=override, files=override)


def archive(
    state: State,
    row: PrearchiveRow,
    overwrite: Overwrite,
    faults: Faults,
    *,
    project: str = '',
    subject: str = '',
    label: str = '',
) -> Experiment:
    """Move a row into the archive

    The row is gone afterwards. Its instances are in the experiment, rewritten by
    the anonymisation of the site, which is on unless an administrator stops it.

    Raises
    ------
    ConflictError
        The row stays, in CONFLICT, with the reason in its log and nowhere else.
    """
    with state.lock:
        row.built = True
        row.status = 'ARCHIVING'
        project = project or row.project
        label = clean_label(label or row.name)
        existing = state.find_experiment(label, project)
        name = clean_label(subject or row.subject)
        found = state.find_subject(name, project, ignore_case=True)
        try:
            if faults.conflicts:
                raise ConflictError(faults.conflicts.pop(0))
            if existing is not None:
                check_conflicts(row, existing, found.id if found else '', overwrite)
        except ConflictError as e:
            row.status = 'CONFLICT'
            row.log.append(str(e))
            raise
        # the subject of a session is made as needed
        found = found or state.new_subject(project, name)
        if existing is None:
            modality = session_modality(row.scans)
            existing = Experiment(
                state.new_id('E'),
                project,
                label,
                found.id,
                xsi_type(modality, 'Session'),
                row.study_uid,
            )
            state.experiments[existing.id] = existing
        existing.study_uid = row.study_uid
        merge(existing, row, anonymise=state.site.anonymisation, lost=faults.lost)
        for rows in (state.rows, state.direct):
            if row in rows:
                rows.remove(row)
        return existing


def check_conflicts(
    row: PrearchiveRow, existing: Experiment, subject_id: str, overwrite: Overwrite
) -> None:
    """PrearcSessionArchiver.checkForConflicts, in its order"""
    if not overwrite.merge:
        raise ConflictError(PRE_EXISTS)
    if existing.scans:
        # an experiment that was made empty takes the study of what comes first
        if existing.xsi_type != xsi_type(session_modality(row.scans), 'Session'):
            raise ConflictError(MODALITY)
        if existing.study_uid != row.study_uid and not overwrite.override:
            raise ConflictError(STUDY)
    if existing.subject_id != subject_id:
        raise ConflictError(
            f'{SUBJECT}: {existing.label} Already Exists for another Subject'
        )
    if existing.sop_uids & row.sop_uids and not overwrite.files:
        raise ConflictError(SAME_FILES)


def merge(
    experiment: Experiment, row: PrearchiveRow, *, anonymise: bool, lost: set[str]
) -> None:
    by_series = {scan.series_uid: scan for scan in experiment.scans.values()}
    for scan in row.scans.values():
        target = by_series.get(scan.series_uid)
        if target is None:
            number = free_scan_id(experiment.scans, scan.id, scan.modality)
            target = Scan(number, scan.series_uid, scan.modality, scan.description)
            experiment.scans[number] = target
        for uid, instance in scan.instances.items():
            experiment.date = experiment.date or iso_date(instance.study_date)
            experiment.time = experiment.time or iso_time(instance.study_time)
            if uid in lost:
                lost.discard(uid)
            elif anonymise and not row.prevent_anon:
                target.instances[uid] = anonymised(instance)
            else:
                target.instances[uid] = instance


def anonymised(instance: Instance) -> Instance:
    """Another file with the same UID

    The script of the site sets Patient's Name and Patient ID to the labels of
    subject and session, and File Meta Information is written anew. Here, only
    that digest and size differ.
    """
    digest = md5(instance.digest.encode(), usedforsecurity=False).hexdigest()
    return replace(instance, digest=digest, size=instance.size + 2)


def iso_date(value: str) -> str:
    return f'{value[:4]}-{value[4:6]}-{value[6:8]}' if len(value) >= 8 else ''


def iso_time(value: str) -> str:
    return f'{value[:2]}:{value[2:4]}:{value[4:6]}' if len(value) >= 6 else ''


def commit_idle(state: State, faults: Faults) -> None:
    """What happens five minutes after the last instance (SessionXMLRebuilder)

    A RECEIVING row is built, complete or not, and archived where the project
    archives by itself; not if it came with prevent_auto_commit.
    """
    for row in list(state.direct):
        if not try_archive(state, row, Overwrite(merge=False), faults):
            state.direct.remove(row)
            state.rows.append(row)
    for row in list(state.rows):
        if row.status != 'RECEIVING' or row.prevent_auto_commit:
            continue
        build(row)
        project = state.find_project(row.project)
        if project and project.prearchive_code:
            replaces = project.prearchive_code == 5
            overwrite = Overwrite(merge=True, override=replaces, files=replaces)
            try_archive(state, row, overwrite, faults)


def try_archive(
    state: State, row: PrearchiveRow, overwrite: Overwrite, faults: Faults
) -> bool:
    try:
        archive(state, row, overwrite, faults)
    except ConflictError:
        return False
    return True
