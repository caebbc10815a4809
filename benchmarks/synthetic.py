"""Visits for benchmarks: many small images, a large one, or metadata alone

Usage: ``python -m benchmarks.synthetic images|visits|large|metadata|flat|study COUNT
PATH``. It is run as a process of its own, so that the benchmarks need not import
pydicom.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from hashlib import md5
from io import BytesIO
from pathlib import Path
from random import Random
from struct import pack

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage

STUDY = 'benchmark'
_SERIES = 12
# of a study with many visits, and how many images each has
_STUDY_SERIES, _STUDY_IMAGES = 15, 30
# 32 kB to 194 kB for an image of 16 bits
_SMALLEST, _LARGEST = 124, 308
_PIXELS = Random(0).randbytes(1 << 20)
# as long as the values that replace them
_UID = b'2.25.' + b'9' * 35
_NUMBER = b'000000'


def write_images(count: int, directory: Path) -> None:
    """Write a visit of ``count`` images of 30-200 kB, a directory per series"""
    per_series = -(-count // _SERIES)
    for index in range(count):
        series, number = divmod(index, per_series)
        if number == 0:
            rows = _SMALLEST + series * (_LARGEST - _SMALLEST) // (_SERIES - 1)
            size = 2 * rows * rows
            header = _encode_header(series + 1, rows, frames=1, pixel_bytes=size)
            folder = directory / f'{series + 1:03d}_{_describe(series + 1)}'
            folder.mkdir(parents=True)
        uid = b'2.25.%d' % (10**34 + index)
        start = index * 7919 % (len(_PIXELS) - size)
        content = header.replace(_UID, uid).replace(_NUMBER, b'%06d' % (number + 1))
        with open(folder / f'{uid.decode()}.dcm', 'wb') as f:
            f.write(content)
            f.write(_PIXELS[start : start + size])


def write_visits(count: int, directory: Path) -> None:
    """Write ``count`` visits with three images of each series, a directory for each"""
    for index in range(count):
        write_images(3 * _SERIES, directory / f'V{index + 1:05d}')


def write_large_image(megabytes: int, directory: Path) -> None:
    """Write a visit of one image with many frames, of about so many 10**6 bytes"""
    frame_bytes = 2 * 512 * 512
    frames = max(1, megabytes * 1_000_000 // frame_bytes)
    directory.mkdir(parents=True)
    with open(directory / 'enhanced.dcm', 'wb') as f:
        f.write(_encode_header(1, 512, frames, frames * frame_bytes))
        for frame in range(frames):
            start = frame * 7919 % (len(_PIXELS) - frame_bytes)
            f.write(_PIXELS[start : start + frame_bytes])


def write_metadata(
    count: int, prefix: Path, *, series: int = _SERIES, mtime: float = 1374070500.0
) -> None:
    """Write the metadata files of a visit that does not exist

    Parameters
    ----------
    count
        Number of images.
    prefix
        ``STORE/STUDY/VISIT``, to which the rest of the file names is added.
    series
        Number of series that the images are of.
    mtime
        Time of the scan, in seconds since 1970.
    """
    prefix.parent.mkdir(parents=True, exist_ok=True)
    records = _iter_records(count, prefix, series)
    lines = ',\n'.join(json.dumps(record) for record in records)
    text = f'[\n{lines}\n]\n'.encode()
    tarball = {
        'size': 10240 * 20 * count,
        'md5': md5(prefix.name.encode()).hexdigest(),
        'dspath': f'icf/{prefix.name}_dicom.tar',
        'storepath': f'{prefix.parent.name}/{prefix.name}_dicom.tar',
        'mtime': mtime,
        'instances': count,
        'dicoms_md5': md5(text).hexdigest(),
    }
    Path(f'{prefix}_metadata_dicoms.json').write_bytes(text)
    Path(f'{prefix}_metadata_tarball.json').write_text(json.dumps(tarball))


def write_flat_metadata(count: int, prefix: Path) -> None:
    """Write the metadata files of a visit with all files in one directory"""
    write_metadata(count, prefix, series=1)


def write_study(count: int, directory: Path) -> None:
    """Write the metadata files of a study with ``count`` visits, one each day"""
    for index in range(count):
        prefix = directory / f'V{index + 1:05d}'
        mtime = 1374070500.0 + 86400 * index
        write_metadata(_STUDY_IMAGES, prefix, series=_STUDY_SERIES, mtime=mtime)
        # there is a clone command where there is a dataset
        for name in ('refs', 'repo-export'):
            Path(f'{prefix}_XDLRA--{name}').touch()


def _iter_records(
    count: int, prefix: Path, n_series: int
) -> Iterator[dict[str, object]]:
    root = f'{prefix.parent.name}_{prefix.name}'
    offset = 1536
    for index in range(count):
        series = index % n_series + 1
        size = 33_000 + index * 7919 % 160_000
        uid = f'2.25.{10**34 + index}'
        yield {
            'path': f'{root}/{series:03d}_{_describe(series)}/{uid}.dcm',
            'md5': md5(uid.encode()).hexdigest(),
            'size': size,
            'SeriesDescription': _describe(series),
            'SeriesNumber': series,
            'Modality': 'MR',
            'MRAcquisitionType': '2D',
            'ProtocolName': 'Functional resting state (long)',
            'PulseSequenceName': '',
            'offset': offset,
        }
        offset += -(-size // 512) * 512 + 1536


def _describe(series: int) -> str:
    return f'func_task-rest_run-{series}'


def _encode_header(series: int, rows: int, frames: int, pixel_bytes: int) -> bytes:
    """Encode what stands before the pixels, as scanners write it"""
    dataset = _build_dataset(series, rows)
    if frames > 1:
        dataset.NumberOfFrames = frames
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = MRImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = UID(_UID.decode())
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue() + pack('<HH2sHL', 0x7FE0, 0x0010, b'OW', 0, pixel_bytes)


def _build_dataset(series: int, rows: int) -> Dataset:
    dataset = Dataset()
    study = '2.25.' + '1' * 35
    values = {
        'SpecificCharacterSet': 'ISO_IR 100',
        'ImageType': ['ORIGINAL', 'PRIMARY', 'M', 'ND', 'MOSAIC'],
        'InstanceCreationDate': '20130717',
        'InstanceCreationTime': '142035.140000',
        'SOPClassUID': MRImageStorage,
        'SOPInstanceUID': _UID.decode(),
        'StudyDate': '20130717',
        'SeriesDate': '20130717',
        'AcquisitionDate': '20130717',
        'ContentDate': '20130717',
        'StudyTime': '141500.000000',
        'SeriesTime': '142035.125000',
        'AcquisitionTime': '142015.117500',
        'ContentTime': '142035.140000',
        'AccessionNumber': '',
        'Modality': 'MR',
        'Manufacturer': 'Phantom Works',
        'InstitutionName': 'Imaging Core Facility',
        'ReferringPhysicianName': '',
        'StationName': 'MRC35391',
        'StudyDescription': 'Benchmark^Functional',
        'SeriesDescription': _describe(series),
        'InstitutionalDepartmentName': 'Department',
        'ManufacturerModelName': 'Phantom 3T',
        'PatientName': 'Phantom^Benchmark',
        'PatientID': 'P000001',
        'PatientBirthDate': '19700101',
        'PatientSex': 'O',
        'PatientAge': '043Y',
        'PatientSize': '1.75',
        'PatientWeight': '70',
        'BodyPartExamined': 'BRAIN',
        'ScanningSequence': 'EP',
        'SequenceVariant': 'SK',
        'ScanOptions': 'FS',
        'MRAcquisitionType': '2D',
        'SequenceName': '*epfid2d1_64',
        'AngioFlag': 'N',
        'SliceThickness': '3',
        'RepetitionTime': '2000',
        'EchoTime': '30',
        'NumberOfAverages': '1',
        'ImagingFrequency': '123.253',
        'ImagedNucleus': '1H',
        'EchoNumbers': '1',
        'MagneticFieldStrength': '3',
        'NumberOfPhaseEncodingSteps': '63',
        'EchoTrainLength': '1',
        'PercentSampling': '100',
        'PercentPhaseFieldOfView': '100',
        'PixelBandwidth': '2298',
        'DeviceSerialNumber': '35391',
        'SoftwareVersions': 'release 1.2',
        'ProtocolName': 'Functional resting state (long)',
        'TransmitCoilName': 'Body',
        'InPlanePhaseEncodingDirection': 'COL',
        'FlipAngle': '90',
        'VariableFlipAngleFlag': 'N',
        'SAR': '0.05',
        'dBdt': '0',
        'PatientPosition': 'HFS',
        'StudyInstanceUID': study,
        'SeriesInstanceUID': f'2.25.{"2" * 33}{series:02d}',
        'StudyID': '1',
        'SeriesNumber': str(series),
        'AcquisitionNumber': '1',
        'InstanceNumber': _NUMBER.decode(),
        'ImagePositionPatient': ['-958.12', '-987.53', '63.71'],
        'ImageOrientationPatient': ['1', '0', '0', '0', '0.98', '-0.17'],
        'FrameOfReferenceUID': f'2.25.{"3" * 35}',
        'PositionReferenceIndicator': '',
        'SliceLocation': '54.2',
        'SamplesPerPixel': 1,
        'PhotometricInterpretation': 'MONOCHROME2',
        'Rows': rows,
        'Columns': rows,
        'PixelSpacing': ['3', '3'],
        'BitsAllocated': 16,
        'BitsStored': 12,
        'HighBit': 11,
        'PixelRepresentation': 0,
        'WindowCenter': '539',
        'WindowWidth': '1237',
    }
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.ReferencedStudySequence = [
        _build_reference('1.2.840.10008.3.1.2.3.1', study)
    ]
    dataset.ReferencedImageSequence = [
        _build_reference(MRImageStorage, f'2.25.{10**34 - n}') for n in range(1, 4)
    ]
    # of undefined length, as many write it
    dataset['ReferencedImageSequence'].is_undefined_length = True
    timing = dataset.private_block(0x0019, 'PHANTOM MR HEADER', create=True)
    for element, vr, value in (
        (0x08, 'CS', 'IMAGE NUM 4'),
        (0x0A, 'US', 36),
        (0x0F, 'SH', 'Fast'),
        (0x29, 'FD', [n * 55.0 for n in range(36)]),
    ):
        timing.add_new(element, vr, value)
    protocol = dataset.private_block(0x0029, 'PHANTOM CSA HEADER', create=True)
    protocol.add_new(0x10, 'OB', _PIXELS[:9_000])
    return dataset


def _build_reference(sop_class: str, uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class
    item.ReferencedSOPInstanceUID = uid
    return item


if __name__ == '__main__':
    _WRITERS = {
        'images': write_images,
        'visits': write_visits,
        'large': write_large_image,
        'metadata': write_metadata,
        'flat': write_flat_metadata,
        'study': write_study,
    }
    _WRITERS[sys.argv[1]](int(sys.argv[2]), Path(sys.argv[3]))
