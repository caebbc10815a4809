"""Fixtures of the tests of DICOMweb"""

from __future__ import annotations

import logging
import warnings

import pydicom
import pytest

from tests.dicomweb.dicom_bytes import bundled_files


@pytest.fixture(
    params=bundled_files(), ids=lambda path: '/'.join(path.parts[-2:]), scope='session'
)
def bundled_file(request):
    """Path of each DICOM file in pydicom's package"""
    return request.param


@pytest.fixture
def read_with_pydicom():
    """Reads a file as pydicom does, which warns of much that is meant to be there"""

    def read(path):
        return pydicom.dcmread(path, force=True)

    logging.disable(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        yield read
    logging.disable(logging.NOTSET)
