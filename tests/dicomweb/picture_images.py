"""Images with known values, and what is to be seen of them"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from pydicom import Dataset
from pydicom.dataelem import DataElement
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)

# JPEG changes flat areas by little
NEAR = 4


def make_image(
    pixels: np.ndarray, syntax=ExplicitVRLittleEndian, **attributes
) -> bytes:
    """Make a DICOM file of an array: (rows, columns), with attributes"""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = '1.2.3'
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = 'MONOCHROME2'
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    bits = 8 * pixels.dtype.itemsize
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    order = '>' if syntax == ExplicitVRBigEndian else '<'
    data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    if pixels.dtype.kind == 'f':
        keyword = {32: 'FloatPixelData', 64: 'DoubleFloatPixelData'}[bits]
        setattr(dataset, keyword, data)
    else:
        dataset.PixelRepresentation = int(pixels.dtype.kind == 'i')
        dataset.PixelData = data + b'\0' * (len(data) % 2)
        dataset['PixelData'].VR = 'OW' if bits > 8 else 'OB'
    for keyword, value in attributes.items():
        if isinstance(value, DataElement):
            dataset[keyword] = value
        else:
            setattr(dataset, keyword, value)
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def stripes(*values: float, dtype: str = 'u2', height: int = 64) -> np.ndarray:
    """Vertical stripes of 16 columns, each of one value"""
    return np.repeat(np.array([values], dtype), 16, axis=1).repeat(height, axis=0)


def shown(jpeg: bytes | None) -> np.ndarray:
    assert jpeg is not None
    image = Image.open(io.BytesIO(jpeg))
    assert image.format == 'JPEG'
    return np.asarray(image).astype(int)


def seen(jpeg: bytes | None) -> list[int]:
    """Gray in the middle of each stripe of 16 columns"""
    return shown(jpeg)[8, 8::16].tolist()
