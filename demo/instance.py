"""One image of the phantom, as a DICOM file"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from hashlib import shake_128
from io import BytesIO
from typing import Any
from uuid import UUID, uuid5

from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage

from demo.series import T1W, Series
from demo.shapes import HEAD, Vector, render

STUDY_DATE = '20240229'
STUDY_SECONDS = 10 * 3600 + 15 * 60

_NAMESPACE = UUID('8b3f6d52-7a0e-4f0c-9c1b-5d2f4e6a7c90')


def make_uid(name: str) -> UID:
    """Make the UID that belongs to a name (DICOM PS3.5, B.2)

    Examples
    --------
    >>> make_uid('V01') == make_uid('V01')
    True
    >>> make_uid('V01').is_valid and make_uid('V01') != make_uid('V02')
    True
    """
    return UID(f'2.25.{uuid5(_NAMESPACE, name).int}')


def build_instance(
    series: Series = T1W,
    index: int = 0,
    *,
    visit: str = 'V01',
    rows: int | None = None,
    columns: int | None = None,
    without: Iterable[str] = (),
    **attributes: Any,
) -> Dataset:
    """Make one image of the phantom

    Parameters
    ----------
    series
        Where the image belongs.
    index
        Which image of the series, from 0; slices vary fastest, volumes slowest.
        One beyond the end of the series belongs to a further volume.
    visit
        What the UIDs are made from. The same visit gives the same UIDs.
    rows, columns
        Size of the image in pixels in place of that of the series.
    without
        Keywords of attributes to leave out.
    **attributes
        Values by keyword, in place of the phantom's or in addition. They are
        not validated: what pydicom can hold may be against the standard.
        ``None`` makes an attribute without a value.

    Returns
    -------
    Dataset
        With ``file_meta``, ready for `encode`. Change *Transfer Syntax UID*
        there for an encoding other than Explicit VR Little Endian.

    Examples
    --------
    >>> image = build_instance(T1W, 5, rows=4, columns=6, StudyDate='20201350')
    >>> int(image.InstanceNumber), image.StudyDate, len(image.PixelData)
    (6, '20201350', 48)
    """
    if rows or columns:
        series = replace(
            series, rows=rows or series.rows, columns=columns or series.columns
        )
    dataset = Dataset()
    _add_patient_and_study(dataset, visit)
    _add_series(dataset, series, visit)
    _add_image(dataset, series, index, visit)
    for keyword, value in {**series.attributes, **attributes}.items():
        _set(dataset, keyword, value)
    for keyword in without:
        del dataset[keyword]
    dataset.file_meta = _build_file_meta(dataset)
    return dataset


def encode(dataset: Dataset) -> bytes:
    """Encode a dataset as the content of a DICOM file (DICOM PS3.10, 7)

    Examples
    --------
    >>> content = encode(build_instance(rows=2, columns=2))
    >>> content[128:132]
    b'DICM'
    >>> content == encode(build_instance(rows=2, columns=2))
    True
    """
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _set(dataset: Dataset, keyword: str, value: Any) -> None:
    tag = tag_for_keyword(keyword)
    if tag is None:
        msg = f'{keyword} is not the keyword of a DICOM attribute'
        raise ValueError(msg)
    # no validation: tests need values that scanners write against the standard
    dataset[tag] = DataElement(tag, dictionary_VR(tag), value, validation_mode=IGNORE)


def _time(seconds: int) -> str:
    return f'{seconds // 3600:02d}{seconds // 60 % 60:02d}{seconds % 60:02d}'


def _add_patient_and_study(dataset: Dataset, visit: str) -> None:
    dataset.SpecificCharacterSet = 'ISO_IR 100'
    dataset.StudyDate = STUDY_DATE
    dataset.StudyTime = _time(STUDY_SECONDS)
    dataset.AccessionNumber = ''
    dataset.ReferringPhysicianName = ''
    dataset.StudyDescription = 'Phantom^Demo'
    dataset.PatientName = 'Phantom^Sphere'
    dataset.PatientID = f'PHANTOM-{visit}'
    dataset.PatientBirthDate = ''
    dataset.PatientSex = 'O'
    dataset.StudyInstanceUID = make_uid(visit)
    dataset.StudyID = '1'


def _add_series(dataset: Dataset, series: Series, visit: str) -> None:
    dataset.SeriesDate = STUDY_DATE
    dataset.SeriesTime = _time(STUDY_SECONDS + series.start)
    dataset.Modality = 'MR'
    dataset.Manufacturer = 'Synthetic'
    dataset.InstitutionName = 'Nowhere'
    dataset.ManufacturerModelName = 'Ellipsoids'
    dataset.SeriesDescription = series.description
    dataset.BodyPartExamined = 'HEAD'
    dataset.MRAcquisitionType = series.acquisition
    dataset.SequenceName = series.sequence
    dataset.SliceThickness = series.thickness
    dataset.MagneticFieldStrength = 3
    dataset.SpacingBetweenSlices = series.thickness
    dataset.EchoTrainLength = 1
    dataset.ProtocolName = series.protocol
    dataset.PatientPosition = 'HFS'
    dataset.PulseSequenceName = series.pulse_sequence
    dataset.SeriesInstanceUID = make_uid(f'{visit}/{series.number}')
    dataset.SeriesNumber = series.number
    dataset.FrameOfReferenceUID = make_uid(f'{visit}/frame')
    dataset.PositionReferenceIndicator = ''
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = 'MONOCHROME2'
    dataset.Rows = series.rows
    dataset.Columns = series.columns
    dataset.PixelSpacing = _decimals(_spacing(series))
    dataset.BitsAllocated = 16
    dataset.BitsStored = 12
    dataset.HighBit = 11
    dataset.PixelRepresentation = 0
    dataset.WindowCenter = 500
    dataset.WindowWidth = 1000


def _add_image(dataset: Dataset, series: Series, index: int, visit: str) -> None:
    rest, position = divmod(index, series.slices)
    volume, plane_index = divmod(rest, len(series.planes))
    plane = series.planes[plane_index]
    time = _time(STUDY_SECONDS + series.start + volume * series.repetition)
    location = (position - (series.slices - 1) / 2) * series.thickness
    down_mm, across_mm = _spacing(series)
    across = _scale(plane.across, across_mm)
    down = _scale(plane.down, down_mm)
    origin = _add(
        _scale(plane.normal, location),
        _scale(across, -(series.columns - 1) / 2),
        _scale(down, -(series.rows - 1) / 2),
    )
    uid = make_uid(f'{visit}/{series.number}/{index}')

    dataset.SOPClassUID = MRImageStorage
    dataset.SOPInstanceUID = uid
    dataset.AcquisitionDate = dataset.ContentDate = STUDY_DATE
    dataset.AcquisitionTime = dataset.ContentTime = time
    dataset.AcquisitionNumber = volume + 1
    dataset.InstanceNumber = index + 1
    dataset.ImagePositionPatient = _decimals(origin)
    dataset.ImageOrientationPatient = [*plane.across, *plane.down]
    dataset.SliceLocation = round(location, 6)
    if series.volumes > 1:
        dataset.TemporalPositionIdentifier = volume + 1

    contrast = dict(series.contrast)
    if volume % 2:
        # every other volume is one of activity
        contrast['active'] = contrast['active'] * 6 // 5
    pixels = render(
        HEAD,
        contrast,
        origin=origin,
        across=across,
        down=down,
        rows=series.rows,
        columns=series.columns,
    )
    # a hash for noise: unlike a random generator it is the same everywhere
    for i, byte in enumerate(shake_128(uid.encode()).digest(len(pixels))):
        pixels[i] += byte & 31
    if sys.byteorder == 'big':
        pixels.byteswap()
    dataset.add_new('PixelData', 'OW', pixels.tobytes())


def _build_file_meta(dataset: Dataset) -> FileMetaDataset:
    # complete, as pydicom would else add its own version to the file
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b'\x00\x01'
    meta.MediaStorageSOPClassUID = dataset.get('SOPClassUID') or MRImageStorage
    meta.MediaStorageSOPInstanceUID = dataset.get('SOPInstanceUID') or make_uid('none')
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = make_uid('implementation')
    meta.ImplementationVersionName = 'PHANTOM'
    return meta


def _spacing(series: Series) -> tuple[float, float]:
    """Distance of rows and of columns in mm, the same field of view in any matrix"""
    field_of_view = 64 * series.pixel
    return field_of_view / series.rows, field_of_view / series.columns


def _decimals(values: Iterable[float]) -> list[float]:
    # a Decimal String has 16 characters at most
    return [round(value, 6) for value in values]


def _scale(vector: Vector, factor: float) -> Vector:
    x, y, z = vector
    return x * factor, y * factor, z * factor


def _add(*vectors: Vector) -> Vector:
    x, y, z = (sum(components) for components in zip(*vectors))
    return x, y, z
