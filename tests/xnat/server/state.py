"""What the server knows: projects, subjects, experiments, and the prearchive"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import count

UNASSIGNED = 'Unassigned'
# what a user may do in a project. XNAT: owners and members create and edit,
# collaborators read
CREATORS = ('owner', 'member')


@dataclass(frozen=True)
class Instance:
    """An image on the server, without its pixels"""

    sop_uid: str
    sop_class: str
    study_uid: str
    series_uid: str
    series_number: str
    number: str
    modality: str
    description: str
    study_date: str
    study_time: str
    digest: str
    size: int
    # attributes by keyword: where XNAT looks for project, subject and session, see
    # `importer.identify`, and what `rest_dump` tells
    texts: dict[str, str] = field(default_factory=dict, compare=False)

    @property
    def name(self) -> str:
        """File name on the server, never that of the upload (SOPHashDicomFileNamer)"""
        code = sum(map(ord, self.sop_uid)) % 0xFFFF
        tail = self.sop_uid.replace('.', '')[-8:]
        return f'{self.study_uid}-{self.series_number}-{self.number}-{tail}{code}.dcm'

    @property
    def resource(self) -> str:
        """Secondary captures are kept apart from the images (CatalogUtils)"""
        secondary = self.sop_class.startswith('1.2.840.10008.5.1.4.1.1.7')
        return 'secondary' if secondary else 'DICOM'


@dataclass
class Scan:
    """A series; its instances by SOP Instance UID"""

    id: str
    series_uid: str
    modality: str
    description: str
    instances: dict[str, Instance] = field(default_factory=dict)

    @property
    def xsi_type(self) -> str:
        return xsi_type(self.modality, 'Scan')

    @property
    def resources(self) -> list[str]:
        return sorted({one.resource for one in self.instances.values()})

    def files(self, resource: str) -> list[Instance]:
        return [one for one in self.instances.values() if one.resource == resource]


def xsi_type(modality: str, kind: str) -> str:
    """XNAT's data type of a modality (SessionBuilder)

    >>> xsi_type('MR', 'Scan'), xsi_type('OT', 'Session')
    ('xnat:mrScanData', 'xnat:otherDicomSessionData')
    """
    known = {'MR': 'mr', 'CT': 'ct', 'PT': 'pet'}
    return f'xnat:{known.get(modality, "otherDicom")}{kind}Data'


def session_modality(scans: dict[str, Scan]) -> str:
    """PET leads, then MR, then CT, then whatever is there (SessionBuilder)"""
    found = [scan.modality for scan in scans.values()]
    for modality in ('PT', 'MR', 'CT'):
        if modality in found:
            return modality
    return found[0] if found else ''


@dataclass
class Project:
    """A project, private; ``access`` is user name -> owner, member, collaborator"""

    id: str
    name: str
    access: dict[str, str] = field(default_factory=dict)
    # PrearchiveCode: 0 stays in the prearchive, 4 archives when the session was
    # idle, 5 archives and overwrites
    prearchive_code: int = 0


@dataclass
class Subject:
    id: str
    project: str
    label: str
    demographics: dict[str, str] = field(default_factory=dict)
    fields: dict[str, str] = field(default_factory=dict)
    # project -> label there
    shared: dict[str, str] = field(default_factory=dict)


@dataclass
class Experiment:
    id: str
    project: str
    label: str
    subject_id: str
    xsi_type: str = 'xnat:mrSessionData'
    study_uid: str = ''
    date: str = ''
    time: str = ''
    scans: dict[str, Scan] = field(default_factory=dict)
    shared: dict[str, str] = field(default_factory=dict)

    @property
    def sop_uids(self) -> set[str]:
        return {uid for scan in self.scans.values() for uid in scan.instances}


@dataclass
class PrearchiveRow:
    """A session in the prearchive (SessionData)

    ``status`` is one of RECEIVING, BUILDING, READY, ARCHIVING, CONFLICT, ERROR,
    QUEUED_DELETING, QUEUED_MOVING, QUEUED_BUILDING (PrearcUtils.PrearcStatus).
    """

    project: str
    timestamp: str
    name: str
    subject: str
    study_uid: str
    status: str = 'RECEIVING'
    # XNAT writes session.xml at the first build; before, there are no scans
    built: bool = False
    prevent_auto_commit: bool = False
    prevent_anon: bool = False
    auto_archive: bool = False
    scans: dict[str, Scan] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)

    @property
    def uri(self) -> str:
        return f'/prearchive/projects/{self.project}/{self.timestamp}/{self.name}'

    @property
    def sop_uids(self) -> set[str]:
        return {uid for scan in self.scans.values() for uid in scan.instances}


@dataclass
class Site:
    """Settings of the site, with XNAT's defaults (SiteConfigPreferences)

    Times are in seconds. ``archive_seconds`` is what archiving takes, nothing
    here; it goes on after ``archive_wait``, when the server answers 500.
    """

    version: str = '1.8.11'
    anonymisation: bool = True
    max_failed_logins: int = 20
    session_timeout: float = 900
    archive_seconds: float = 0
    archive_wait: float = 600
    queue_seconds: float = 0.05
    # 1.8.11 leaves a session that broke off as RECEIVING; newer releases mark it
    # ERROR (DicomZipImporter.markFailed)
    failed_upload: str = 'RECEIVING'


class State:
    """All of it, behind one lock"""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.site = Site()
        self.projects: dict[str, Project] = {}
        self.subjects: dict[str, Subject] = {}
        self.experiments: dict[str, Experiment] = {}
        self.rows: list[PrearchiveRow] = []
        # sessions on their direct way into the archive, not in the prearchive
        self.direct: list[PrearchiveRow] = []
        self._numbers = count(1)

    def new_id(self, kind: str) -> str:
        """``XNAT_S00001`` for a subject, ``XNAT_E00002`` for an experiment"""
        return f'XNAT_{kind}{next(self._numbers):05d}'

    def new_timestamp(self) -> str:
        """As in the URI of a row: day, time, milliseconds, here always another"""
        now = datetime.now(timezone.utc).strftime('%Y%m%d_%H%M%S')
        return f'{now}{next(self._numbers) % 1000:03d}'

    def role(self, user: str, project: str) -> str:
        found = self.projects.get(project)
        return found.access.get(user, '') if found else ''

    def can_create(self, user: str, project: str) -> bool:
        return self.role(user, project) in CREATORS

    def readable(self, user: str) -> list[str]:
        return [one for one in self.projects if self.role(user, one)]

    def find_project(self, name: str) -> Project | None:
        """By ID; importers also take the alias, which is left out here"""
        return self.projects.get(name)

    def find_subject(
        self, name: str, project: str | None = None, *, ignore_case: bool = False
    ) -> Subject | None:
        """By ID, or by the label that the subject has in this project

        Archiving looks the label up without regard to case
        (XnatSubjectdata.GetSubjectByProjectIdentifierCaseInsensitive, XNAT-2865).
        """
        if name in self.subjects:
            subject = self.subjects[name]
            return subject if project is None or label_in(subject, project) else None
        for subject in self.subjects.values():
            label = label_in(subject, project)
            if label == name or (ignore_case and label.lower() == name.lower()):
                return subject
        return None

    def find_experiment(
        self, name: str, project: str | None = None
    ) -> Experiment | None:
        if name in self.experiments:
            found = self.experiments[name]
            return found if project is None or label_in(found, project) else None
        if project is None:
            # without a project, experiments are found by ID only
            return None
        for experiment in self.experiments.values():
            if label_in(experiment, project) == name:
                return experiment
        return None

    def new_subject(self, project: str, label: str) -> Subject:
        subject = Subject(self.new_id('S'), project, label)
        self.subjects[subject.id] = subject
        return subject

    def find_row(self, project: str, timestamp: str, name: str) -> PrearchiveRow | None:
        for row in self.rows:
            if (row.project, row.timestamp, row.name) == (project, timestamp, name):
                return row
        return None

    def visible_rows(self, user: str) -> Iterator[PrearchiveRow]:
        """Unassigned sessions belong to administrators (PrearcUtils.canModify)"""
        for row in self.rows:
            if self.can_create(user, row.project):
                yield row


def label_in(item: Subject | Experiment, project: str | None) -> str:
    """The label in a project, its own or one that it is shared into, or nothing"""
    if project in (None, item.project):
        return item.label
    return item.shared.get(str(project), '')


def clean_label(value: str) -> str:
    """What XNAT makes of a label (XnatImagesessiondata.cleanValue)

    >>> clean_label('a b^c.d')
    'a_b_c_d'
    """
    return re.sub(r'[^A-Za-z0-9_-]', '_', value.strip())
