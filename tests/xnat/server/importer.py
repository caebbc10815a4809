"""From an upload to a row of the prearchive

`receive` is GradualDicomImporter: one instance into one row. `import_archive` is
DicomZipImporter, all that there is in an archive. `import_session` is the older
SessionImporter (SI), which wants one session and is strict.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import md5
from io import BytesIO

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from tests.xnat.server.members import BadArchiveError
from tests.xnat.server.state import (
    UNASSIGNED,
    Instance,
    PrearchiveRow,
    Scan,
    State,
    clean_label,
)

KEYWORDS = (
    'SOPClassUID',
    'SOPInstanceUID',
    'StudyDate',
    'StudyTime',
    'AccessionNumber',
    'Modality',
    'StudyDescription',
    'SeriesDescription',
    'PatientName',
    'PatientID',
    'PatientBirthDate',
    'PatientSex',
    'PatientAge',
    'AdditionalPatientHistory',
    'PatientComments',
    'StudyInstanceUID',
    'SeriesInstanceUID',
    'SeriesNumber',
    'InstanceNumber',
    'StudyComments',
)
# rows that take more data; a session in another state gets a second row
INTERRUPTIBLE = ('READY', 'ERROR', 'CONFLICT', 'RECEIVING')


class NotDicomError(Exception):
    """An entry that the importer cannot read"""


@dataclass(frozen=True)
class Target:
    """Where the client wants the data: parameters of the import"""

    user: str
    project: str = ''
    subject: str = ''
    session: str = ''
    # of the parameter dest, if that has them
    timestamp: str = ''
    prevent_auto_commit: bool = False
    prevent_anon: bool = False
    ignore_unparsable: bool = False
    direct_archive: bool = False


def read_instance(name: str, content: bytes) -> Instance:
    """Read the header of a file

    Raises
    ------
    NotDicomError
        If it is no DICOM file, or has no SOP Class or Instance UID. XNAT also
        takes files without the preamble, this server does not.
    """
    try:
        dataset = dcmread(
            BytesIO(content), stop_before_pixels=True, specific_tags=list(KEYWORDS)
        )
    except (InvalidDicomError, EOFError, ValueError) as e:
        raise NotDicomError(f'unable to read DICOM object {name}') from e
    text = {keyword: _text(dataset, keyword) for keyword in KEYWORDS}
    for keyword, words in (('SOPClassUID', 'Class'), ('SOPInstanceUID', 'Instance')):
        if not text[keyword]:
            raise NotDicomError(f'object {name} contains no SOP {words} UID')
    return Instance(
        sop_uid=text['SOPInstanceUID'],
        sop_class=text['SOPClassUID'],
        study_uid=text['StudyInstanceUID'],
        series_uid=text['SeriesInstanceUID'],
        series_number=text['SeriesNumber'] or '0',
        number=text['InstanceNumber'] or '1',
        modality=text['Modality'],
        description=text['SeriesDescription'],
        study_date=text['StudyDate'],
        study_time=text['StudyTime'],
        digest=md5(content, usedforsecurity=False).hexdigest(),
        size=len(content),
        texts=text,
    )


def _text(dataset: Dataset, keyword: str) -> str:
    # raw, because pydicom warns about values that XNAT does not look at
    try:
        value = dataset.get_item(keyword).value
    except (KeyError, AttributeError):
        return ''
    if isinstance(value, bytes):
        return value.decode('latin-1').strip(' \0')
    return '' if value is None else str(value)


def identify(instance: Instance) -> dict[str, str]:
    """What the headers say (ClassicDicomObjectIdentifier)

    ``Project:x Subject:y Session:z`` in one of three attributes, else Study
    Description or Accession Number, Patient's Name, Patient ID.
    """
    text = instance.texts
    found = {
        'project': text['StudyDescription'] or text['AccessionNumber'],
        'subject': text['PatientName'],
        'session': text['PatientID'],
    }
    for keyword in ('AdditionalPatientHistory', 'StudyComments', 'PatientComments'):
        for key, value in re.findall(
            r'(Project|Subject|Session):\s*(\S+)', text[keyword], re.IGNORECASE
        ):
            found[key.lower()] = value
    return found


def choose_project(state: State, instance: Instance, target: Target) -> str:
    """Never an error: what cannot go where it should is Unassigned

    GradualDicomImporter.getProject: the parameter if the user may create there,
    else what the headers say under the same condition.
    """
    for name in (target.project, identify(instance)['project']):
        project = state.find_project(name)
        if project and state.can_create(target.user, project.id):
            return project.id
    return UNASSIGNED


def receive(state: State, instance: Instance, target: Target) -> PrearchiveRow:
    """One instance into its row (GradualDicomImporter.call)"""
    found = identify(instance)
    with state.lock:
        project = choose_project(state, instance, target)
        name = target.session or clean_label(found['session']) or 'dicom_upload'
        direct = (
            target.direct_archive
            and project != UNASSIGNED
            # falls back to the prearchive if the session exists
            and state.find_experiment(name, project) is None
        )
        rows = state.direct if direct else state.rows
        row = _find_receiving(rows, project, name, instance.study_uid)
        if row is None:
            row = PrearchiveRow(
                project,
                target.timestamp or state.new_timestamp(),
                name,
                target.subject or clean_label(found['subject']),
                instance.study_uid,
                prevent_auto_commit=target.prevent_auto_commit,
                prevent_anon=target.prevent_anon,
            )
            rows.append(row)
        row.status = 'RECEIVING'
        add_instance(row.scans, instance)
        return row


def _find_receiving(
    rows: list[PrearchiveRow], project: str, name: str, study_uid: str
) -> PrearchiveRow | None:
    """PrearcDatabase.eitherGetOrCreateSession: project, study UID and label"""
    for row in rows:
        if (row.project, row.name, row.study_uid) == (project, name, study_uid) and (
            row.status in INTERRUPTIBLE
        ):
            return row
    return None


def add_instance(scans: dict[str, Scan], instance: Instance) -> None:
    """Into the scan of its series; another series with that number is renamed"""
    for scan in scans.values():
        if scan.series_uid == instance.series_uid:
            scan.instances[instance.sop_uid] = instance
            return
    number = free_scan_id(scans, instance.series_number, instance.modality)
    scans[number] = Scan(
        number,
        instance.series_uid,
        instance.modality,
        instance.description,
        {instance.sop_uid: instance},
    )


def free_scan_id(scans: dict[str, Scan], number: str, modality: str) -> str:
    """``4``, or ``4-MR1`` where another series has it (ScanIdValidator)"""
    candidate, n = number, 0
    while candidate in scans:
        n += 1
        candidate = f'{number}-{modality}{n}'
    return candidate


def import_archive(
    state: State, members: Iterable[tuple[str, bytes]], target: Target
) -> list[PrearchiveRow]:
    """All instances of an archive, while it arrives (DicomZipImporter)

    Raises
    ------
    NotDicomError
        At the first entry that is no DICOM, unless Ignore-Unparsable is true;
        then only if there is no DICOM at all. What came before stays, in rows
        that go on RECEIVING.
    BadArchiveError
        The same, for damage.
    """
    rows: list[PrearchiveRow] = []
    unparsable: NotDicomError | None = None
    try:
        for name, content in members:
            try:
                instance = read_instance(name, content)
            except NotDicomError as e:
                if not target.ignore_unparsable:
                    raise
                unparsable = e
                continue
            row = receive(state, instance, target)
            if row not in rows:
                rows.append(row)
    except (NotDicomError, BadArchiveError):
        for row in rows:
            row.status = state.site.failed_upload
        raise
    if not rows and unparsable:
        raise unparsable
    return rows


def import_session(
    state: State, members: Iterable[tuple[str, bytes]], target: Target
) -> list[PrearchiveRow]:
    """One session (SessionImporter, handler SI): read to the end, then looked at

    Not DICOM is passed over, and nothing is joined with what is there.
    """
    rows: list[PrearchiveRow] = []
    for name, content in members:
        try:
            instance = read_instance(name, content)
        except NotDicomError:
            continue
        for row in rows:
            if row.study_uid == instance.study_uid:
                break
        else:
            found = identify(instance)
            row = PrearchiveRow(
                target.project or UNASSIGNED,
                target.timestamp or state.new_timestamp(),
                target.session or clean_label(found['session']) or 'dicom_upload',
                target.subject or clean_label(found['subject']),
                instance.study_uid,
            )
            rows.append(row)
        add_instance(row.scans, instance)
    with state.lock:
        state.rows.extend(rows)
    return rows


def build(row: PrearchiveRow) -> None:
    """Write session.xml: from now on the row has scans (PrearchiveRebuildHandler)"""
    row.built = True
    row.status = 'READY'
