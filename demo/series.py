"""The series of the synthetic visit: what was measured, where and when"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from demo.shapes import T1_CONTRAST, T2S_CONTRAST, Vector


@dataclass(frozen=True)
class Plane:
    """Orientation of an image: the direction of its rows, columns and slices"""

    across: Vector
    down: Vector
    normal: Vector


AXIAL = Plane((1, 0, 0), (0, 1, 0), (0, 0, 1))
CORONAL = Plane((1, 0, 0), (0, 0, -1), (0, 1, 0))
SAGITTAL = Plane((0, 1, 0), (0, 0, -1), (-1, 0, 0))


@dataclass(frozen=True)
class Series:
    """A series of images of equal size and contrast

    Parameters
    ----------
    number, description, protocol, sequence, pulse_sequence
        *Series Number*, *Series Description*, *Protocol Name*, *Sequence Name*
        and *Pulse Sequence Name*.
    acquisition
        *MR Acquisition Type*, ``2D`` or ``3D``.
    slices, planes, volumes
        There are ``slices`` parallel images of each plane in each volume.
    rows, columns, pixel, thickness
        Size of an image in pixels, of a pixel and of a slice in mm.
    start, repetition
        Seconds from the start of the study to the first volume, and from one
        volume to the next.
    contrast
        Signal of each tissue.
    attributes
        Further attributes by their keyword.
    """

    number: int
    description: str
    protocol: str
    sequence: str
    pulse_sequence: str
    acquisition: str
    slices: int
    planes: tuple[Plane, ...] = (AXIAL,)
    volumes: int = 1
    rows: int = 64
    columns: int = 64
    pixel: float = 3.75
    thickness: float = 5.0
    start: int = 0
    repetition: int = 0
    contrast: Mapping[str, int] = field(default_factory=lambda: T1_CONTRAST)
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.volumes * len(self.planes) * self.slices

    @property
    def directory(self) -> str:
        """Name of the directory into which an export puts the series"""
        return f'{self.number:03d}_{self.description}'


LOCALIZER = Series(
    number=1,
    description='localizer',
    protocol='localizer',
    sequence='*fl2d1',
    pulse_sequence='gre',
    acquisition='2D',
    slices=1,
    planes=(SAGITTAL, CORONAL, AXIAL),
    thickness=8.0,
    start=30,
    attributes=MappingProxyType(
        {
            'ImageType': ['ORIGINAL', 'PRIMARY', 'M', 'NORM'],
            'ScanningSequence': 'GR',
            'SequenceVariant': ['SP', 'OSP'],
            'RepetitionTime': 8.6,
            'EchoTime': 4.0,
            'FlipAngle': 20,
        }
    ),
)
T1W = Series(
    number=2,
    description='anat-T1w',
    protocol='t1_mprage_sag',
    sequence='*tfl3d1_16ns',
    pulse_sequence='tfl',
    acquisition='3D',
    slices=32,
    planes=(SAGITTAL,),
    thickness=5.5,
    start=120,
    attributes=MappingProxyType(
        {
            'ImageType': ['ORIGINAL', 'PRIMARY', 'M', 'ND', 'NORM'],
            'ScanningSequence': ['GR', 'IR'],
            'SequenceVariant': ['SK', 'SP', 'MP'],
            'RepetitionTime': 2300,
            'EchoTime': 2.98,
            'InversionTime': 900,
            'FlipAngle': 9,
        }
    ),
)
BOLD = Series(
    number=3,
    description='func-bold_task-blocks',
    protocol='ep2d_bold_blocks',
    sequence='*epfid2d1_64',
    pulse_sequence='epfid2d',
    acquisition='2D',
    slices=12,
    volumes=4,
    pixel=3.5,
    thickness=6.0,
    start=480,
    repetition=2,
    contrast=MappingProxyType(T2S_CONTRAST),
    attributes=MappingProxyType(
        {
            'ImageType': ['ORIGINAL', 'PRIMARY', 'M', 'ND'],
            'ScanningSequence': 'EP',
            'SequenceVariant': ['SK', 'SS'],
            'RepetitionTime': 2000,
            'EchoTime': 30,
            'FlipAngle': 78,
            'NumberOfTemporalPositions': 4,
        }
    ),
)
DEFAULT_SERIES = (LOCALIZER, T1W, BOLD)
