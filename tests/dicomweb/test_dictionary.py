"""Dictionaries and character sets are those of pydicom, which is not imported"""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydicom.charset import convert_encodings
from pydicom.datadict import (
    DicomDictionary,
    RepeatersDictionary,
    dictionary_VR,
    private_dictionaries,
    private_dictionary_VR,
)

from datalad_icf.dicomweb.charset import find_encodings
from datalad_icf.dicomweb.dictionary import find_private, find_repeated, public_vrs

_CONVERT = """
import sys
from pathlib import Path
from datalad_icf.dicomweb import BytesSource, Converter, Origin
data = Path(sys.argv[1]).read_bytes()
converter = Converter(private_bulk_size=64, public_bulk_size=131_074)
origin = Origin('image.dcm', 0, len(data), '0' * 32)
assert converter.convert(BytesSource(data), origin).json.document
print('pydicom' in sys.modules, 'numpy' in sys.modules)
"""


def test_public_attributes_have_their_vr():
    expected = {tag: entry[0] for tag, entry in DicomDictionary.items()}
    found = public_vrs()
    assert found == {tag: vr for tag, vr in expected.items() if tag < 0xFFFE0000}


@pytest.mark.parametrize('mask', sorted(RepeatersDictionary))
def test_repeated_attributes_have_their_vr(mask):
    for digits in ('0', '2', 'E'):
        tag = int(mask.replace('x', digits), 16)
        if tag not in DicomDictionary:
            assert find_repeated(tag) == dictionary_VR(tag)


def test_unknown_attributes_have_no_vr():
    assert find_repeated(0x00109999) is None
    assert find_private(0x00191015, 'nobody') is None


def test_private_elements_have_their_vr():
    for creator, entries in private_dictionaries.items():
        for key in entries:
            tag = int(key.replace('x', '1'), 16)
            try:
                expected = private_dictionary_VR(tag, creator)
            except KeyError:
                # a key of another form, which it does not look for either
                expected = None
            assert find_private(tag, creator) == expected


@pytest.mark.parametrize(
    'name', ['', 'ISO_IR 6', 'ISO_IR 100', 'ISO_IR 101', 'ISO_IR 192', 'GB18030']
)
def test_usual_character_sets_are_those_of_pydicom(name):
    assert find_encodings(name.encode()) == (tuple(convert_encodings([name])), True)


@pytest.mark.parametrize('name', ['MR_small.dcm', 'MR_small_implicit.dcm'])
def test_pydicom_is_not_imported_to_convert_an_image(name):
    from pydicom.data import get_testdata_file

    path = get_testdata_file(name)
    command = [sys.executable, '-c', _CONVERT, str(path)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert output.split() == ['False', 'False']
