"""An instance becomes metadata, frames and bulk data, and a sink takes them

The way of an instance: it is read, transformed, and converted; a `Sink` says what
becomes of the result. Neither knows the other, so that another organisation of
the output is another sink.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from datalad_icf.dicom.elements import is_dicom
from datalad_icf.dicomweb.bulk import BulkItem
from datalad_icf.dicomweb.frame_list import FrameList
from datalad_icf.dicomweb.frames import list_frames
from datalad_icf.dicomweb.info import Info, Origin, build_info
from datalad_icf.dicomweb.json_model import InstanceJson, JsonBuilder
from datalad_icf.dicomweb.model import Instance, Problem, format_tag
from datalad_icf.dicomweb.reader import read_instance
from datalad_icf.dicomweb.search import (
    SERIES_INSTANCE_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
)
from datalad_icf.dicomweb.source import ByteSource
from datalad_icf.dicomweb.transform import Transformation, transform
from datalad_icf.errors import DicomError, NotAnInstanceError

# PS3.5, 9.1; zeros that lead a component are common, and harmless
_UID = re.compile(rb'[0-9]+(\.[0-9]+)*')
_MAX_UID = 64
_MEDIA_STORAGE_SOP_CLASS_UID = 0x00020002
# a list of the files on a medium (PS3.10, 8)
_DIRECTORY = b'1.2.840.10008.1.3.10'


@dataclass(frozen=True)
class Converted:
    """An instance, converted

    Attributes
    ----------
    study_instance_uid, series_instance_uid, sop_instance_uid
        Where it belongs; each is safe as the name of a directory.
    origin
        Which file it was.
    instance
        The instance as it was transformed.
    json
        Metadata and bulk data.
    frames
        Its frames, not read yet.
    info
        Document with what JSON cannot hold.
    problems
        What was not converted as it stands.
    transformed
        Names of the transformations, if they changed anything.
    """

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    origin: Origin
    instance: Instance
    json: InstanceJson
    frames: FrameList
    info: Info
    problems: tuple[Problem, ...]
    transformed: tuple[str, ...] = ()


class Sink(Protocol):
    """What becomes of converted instances

    For each instance the methods are called in the order in which they stand here.
    """

    def put_bulkdata(
        self, converted: Converted, source: ByteSource, bulk: BulkItem
    ) -> None:
        """Take a value of the source that is not in the metadata"""

    def put_frame(self, converted: Converted, index: int) -> None:
        """Take a frame, the first has index 0"""

    def put_metadata(self, converted: Converted) -> None:
        """Take the metadata; there is no more of this instance"""


class Converter:
    """Converts instances of one kind of tree

    Parameters
    ----------
    private_bulk_size, public_bulk_size
        Longest value in bytes, of private and of other data elements, that stands
        in the metadata.
    transformations
        What is done to an instance before, in this order.
    """

    def __init__(
        self,
        *,
        private_bulk_size: int,
        public_bulk_size: int,
        transformations: Sequence[Transformation] = (),
    ) -> None:
        self._builder = JsonBuilder(private_bulk_size, public_bulk_size)
        self._transformations = tuple(transformations)
        self._names = tuple(
            getattr(t, '__name__', type(t).__name__) for t in self._transformations
        )

    def convert(self, source: ByteSource, origin: Origin) -> Converted:
        """Convert an instance

        Raises
        ------
        DicomError
            If it has not the three UIDs of an instance, or cannot be read.
        NotAnInstanceError
            If this is no DICOM file, or one that lists others.
        """
        try:
            return self._convert(source, origin)
        except EOFError as e:
            msg = 'is cut'
            raise DicomError(msg) from e

    def _convert(self, source: ByteSource, origin: Origin) -> Converted:
        try:
            read = read_instance(source)
        except DicomError as e:
            if is_dicom(source.read(0, 132)):
                raise
            raise NotAnInstanceError(str(e)) from e
        if _is_directory(read):
            msg = 'this is a DICOMDIR'
            raise NotAnInstanceError(msg)
        instance = transform(read, self._transformations)
        study, series, uid = (find_uid(instance, tag, name) for tag, name in _UIDS)
        frames = list_frames(instance)
        json = self._builder.build(instance, len(frames.frames))
        transformed = self._names if instance is not read else ()
        info = build_info(instance, json, frames, origin, transformed=transformed)
        return Converted(
            study_instance_uid=study,
            series_instance_uid=series,
            sop_instance_uid=uid,
            origin=origin,
            instance=instance,
            json=json,
            frames=frames,
            info=info,
            problems=(*instance.problems, *json.problems, *frames.problems),
            transformed=transformed,
        )


def put(converted: Converted, sinks: Sequence[Sink]) -> None:
    """Give an instance to sinks"""
    for sink in sinks:
        for _, bulk in converted.json.bulk:
            sink.put_bulkdata(converted, converted.instance.source, bulk)
        for source, bulk in converted.info.bulk:
            sink.put_bulkdata(converted, source, bulk)
        for index in range(len(converted.frames.frames)):
            sink.put_frame(converted, index)
        sink.put_metadata(converted)


def _is_directory(instance: Instance) -> bool:
    return any(
        e.tag == _MEDIA_STORAGE_SOP_CLASS_UID
        and (e.value or b'').rstrip(b'\0 ') == _DIRECTORY
        for e in instance.file_meta
    )


_UIDS = (
    (STUDY_INSTANCE_UID, 'StudyInstanceUID'),
    (SERIES_INSTANCE_UID, 'SeriesInstanceUID'),
    (SOP_INSTANCE_UID, 'SOPInstanceUID'),
)


def find_uid(instance: Instance, tag: int, name: str) -> str:
    """Find a UID that can be the name of a directory

    Raises
    ------
    DicomError
        If there is none, or if it is not valid (PS3.5, 9.1).
    """
    element = instance.find(tag)
    value = (element.value or b'').rstrip(b'\0 ') if element else b''
    if not value:
        msg = f'there is no {name}'
        raise DicomError(msg, format_tag(tag))
    if len(value) > _MAX_UID or not _UID.fullmatch(value):
        msg = f'{name} is no valid UID'
        raise DicomError(msg, format_tag(tag))
    return value.decode('ascii')
