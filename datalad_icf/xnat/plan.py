"""What is to be sent where: without a server, and without effect"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from datalad_icf.errors import MissingInputError, SourceError
from datalad_icf.xnat.labels import FIELDS, build_label, check_template
from datalad_icf.xnat.source import Contents, LocalInstance, Series


@dataclass(frozen=True)
class Exclusions:
    """Which images are not to be sent

    Parameters
    ----------
    folders
        Words. An image is excluded if a directory that it is in has one of them in
        its name, in capitals or not.
    series
        Shell patterns for *Series Description*, or *Series Instance UID*; capitals
        do not count.
    """

    folders: tuple[str, ...] = ()
    series: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.folders or self.series)

    def has(self, series: Series) -> bool:
        """Whether the images of a series, in a folder, are excluded

        Examples
        --------
        >>> from types import SimpleNamespace
        >>> series = SimpleNamespace(
        ...     folder='dicoms/AAHEAD_SCOUT_0002', description='Scout',
        ...     series_instance_uid='1.2')
        >>> Exclusions(folders=('aahead',)).has(series)
        True
        >>> Exclusions(series=('localizer*',)).has(series)
        False
        """
        parts = [part.lower() for part in PurePosixPath(series.folder).parts]
        names = (series.description.lower(), series.series_instance_uid)
        return any(word.lower() in part for word in self.folders for part in parts) or (
            any(fnmatchcase(name, p.lower()) for p in self.series for name in names)
        )


def read_exclusions(path: Path) -> tuple[str, ...]:
    """Read the words of a configuration file of dicomUpload.py

    Raises
    ------
    MissingInputError
        If there is no such file.
    SourceError
        If it is not JSON like ``{"Exclude": ["Localizers", "MoCoSeries"]}``.
    """
    try:
        found = json.loads(path.read_text(encoding='utf-8'))
    except OSError as e:
        msg = f'cannot read {path}: {e.strerror}'
        raise MissingInputError(msg) from e
    except ValueError as e:
        found = None
        cause: Exception | None = e
    else:
        cause = None
    words = found.get('Exclude') if isinstance(found, dict) else None
    # an empty word is in every name
    if not isinstance(words, list) or not all(isinstance(w, str) and w for w in words):
        msg = f'{path} is no JSON file like {{"Exclude": ["Localizers", "MoCoSeries"]}}'
        raise SourceError(msg) from cause
    return tuple(words)


@dataclass(frozen=True)
class Naming:
    """Templates of labels, as `datalad_icf.xnat.labels.check_template` gives them"""

    subject: str
    session: str

    @classmethod
    def make(cls, subject: str | None, session: str | None, *, tree: bool) -> Naming:
        """Check the templates of a user, or take the usual ones

        Parameters
        ----------
        subject, session
            Templates, or None.
        tree
            Whether the source names subjects and sessions, and not study and visit.
        """
        gone = {'study', 'visit'} if tree else {'session'}
        known = [name for name in FIELDS if name not in gone]
        return cls(
            check_template(
                subject or ('{subject}' if tree else '{visit}'),
                # without a tree, it is what is to be named
                known if tree else [name for name in known if name != 'subject'],
            ),
            check_template(
                session or ('{subject}_{session}' if tree else '{study}_{visit}'),
                known,
            ),
        )


@dataclass(frozen=True)
class LocalSession:
    """The images of one DICOM study, to become a session in XNAT

    Attributes
    ----------
    study_instance_uid
        Of all images.
    subject, label
        Labels in XNAT.
    instances
        By their SOP Instance UID.
    series
        Any of the series, for what all say about the patient.
    """

    study_instance_uid: str
    subject: str
    label: str
    instances: Mapping[str, LocalInstance]
    series: Series

    @property
    def total_size(self) -> int:
        """Size of all images in bytes"""
        return sum(one.size for one in self.instances.values())


@dataclass
class Plan:
    """What is to be sent of a source

    Attributes
    ----------
    sessions
        One for each DICOM study.
    excluded
        Number of images that are not to be sent.
    is_whole
        Whether it is one session, and all that is in the source.
    warnings
        Sentences.
    """

    sessions: list[LocalSession] = field(default_factory=list)
    excluded: int = 0
    is_whole: bool = True
    warnings: list[str] = field(default_factory=list)


def build_plan(
    contents: Contents, fields: Mapping[str, str], naming: Naming, exclude: Exclusions
) -> Plan:
    """Group images into sessions, and give these their names

    Parameters
    ----------
    contents
        What is in the source.
    fields
        What the source has for labels.
    naming
        Templates of labels.
    exclude
        What is not to be sent.

    Raises
    ------
    LabelError
        If a label needs what is not in the DICOM files.
    SourceError
        If there is no image, or one UID stands for two images.
    """
    plan = Plan()
    studies: dict[str, dict[str, LocalInstance]] = {}
    for instance in contents.instances:
        if exclude.has(instance.series):
            plan.excluded += 1
            continue
        images = studies.setdefault(instance.series.study_instance_uid, {})
        known = images.setdefault(instance.sop_instance_uid, instance)
        if known is not instance:
            plan.warnings.append(_compare(known, instance))
    if not contents.instances:
        msg = 'it has no DICOM images that XNAT would take'
        raise SourceError(msg)
    ordered = sorted(studies.items(), key=lambda item: _order(item[1].values()))
    labels: set[str] = set()
    for uid, images in ordered:
        series = next(iter(images.values())).series
        found = {
            'PatientID': series.patient_id,
            'StudyDate': series.study_date,
            'StudyTime': series.study_time,
            'Modality': series.modality,
            **fields,
        }
        found['subject'] = build_label(naming.subject, found)
        label = free = build_label(naming.session, found)
        number = 1
        while free in labels:
            number += 1
            free = f'{label}_{number}'
        labels.add(free)
        plan.sessions.append(LocalSession(uid, found['subject'], free, images, series))
    if len(studies) > 1:
        plan.warnings.append(
            f'it has {len(studies)} DICOM studies, which become as many sessions: '
            + ', '.join(one.label for one in plan.sessions)
        )
    plan.is_whole = len(studies) == 1 and not (
        # XNAT might take something of them, or for another session
        plan.excluded or contents.ignored or contents.unusable
    )
    return plan


def _order(instances: Iterable[LocalInstance]) -> tuple[str, str, str]:
    """Studies by their time: one that comes later does not rename the others"""
    return min(
        (one.series.study_date, one.series.study_time, one.series.study_instance_uid)
        for one in instances
    )


def _compare(first: LocalInstance, second: LocalInstance) -> str:
    """Say that an image is there twice, or refuse two with the same UID"""
    same = first.size == second.size and all(
        # all sources read in blocks of the same size
        one == other
        for one, other in zip(first.blocks(), second.blocks())
    )
    if not same:
        msg = (
            f'{first.name} and {second.name} are different images with the same SOP '
            'Instance UID, of which XNAT would keep one; exclude one of them'
        )
        raise SourceError(msg)
    return f'{second.name} is the same image as {first.name}'
