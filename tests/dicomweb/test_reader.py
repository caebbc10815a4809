from __future__ import annotations

from struct import pack

import pytest
from pydicom.dataelem import RawDataElement

from datalad_icf.dicomweb.model import Problem
from datalad_icf.errors import DicomError
from tests.dicomweb.dicom_bytes import (
    BIG_ENDIAN,
    EXPLICIT,
    IMPLICIT,
    JPEG,
    element,
    header,
    item,
    part10,
    read,
    sequence,
)

NAME = element(0x00100010, 'PN', b'Doe^Jane')
IMPLICIT_NAME = element(0x00100010, '', b'Doe^Jane')
# one byte too many at the start, and line ends changed
NO_DICOM = ('no_meta.dcm',)
# their last sequence is cut; pydicom takes what it can get
CUT = {'rtplan_truncated.dcm': 0x300A00B0, 'DICOMDIR-nooffset': 0x00041220}


def tags(instance):
    return [e.tag for e in instance.elements]


def value(instance, tag):
    return instance.find(tag).value


def differences(elements, data_set, path=''):
    """Compare with what pydicom reads: tags, VRs, bytes, items"""
    ours = {e.tag: e for e in elements}
    for tag in ours.keys() ^ data_set.keys():
        yield f'{path}{tag:08X} is in one of them'
    for tag in sorted(ours.keys() & data_set.keys()):
        mine = ours[tag]
        raw = data_set.get_item(tag)
        theirs = data_set[tag]
        if mine.vr != theirs.VR:
            yield f'{path}{tag:08X} has VR {mine.vr}, not {theirs.VR}'
        elif theirs.VR == 'SQ':
            if len(mine.items) != len(theirs.value):
                yield f'{path}{tag:08X} has {len(mine.items)} items'
            for number, (a, b) in enumerate(zip(mine.items, theirs.value)):
                yield from differences(a.elements, b, f'{path}{tag:08X}/{number}/')
        elif isinstance(raw, RawDataElement) and mine.fragments is None:
            size = len(mine.value) if mine.span is None else mine.span.length
            if size != len(raw.value or b''):
                yield f'{path}{tag:08X} has {size} bytes'
            elif mine.value is not None and mine.value != (raw.value or b''):
                yield f'{path}{tag:08X} has other bytes'


def test_reads_all_files_as_pydicom_does(bundled_file, read_with_pydicom):
    if bundled_file.name in NO_DICOM:
        with pytest.raises(DicomError):
            read(bundled_file.read_bytes())
        return
    instance = read(bundled_file.read_bytes())
    data_set = read_with_pydicom(bundled_file)
    if bundled_file.name in CUT:
        assert instance.problems
        del data_set[CUT[bundled_file.name]]
        kept = tuple(e for e in instance.elements if e.tag != CUT[bundled_file.name])
        instance = instance.with_elements(kept)
    assert [*differences(instance.file_meta, data_set.file_meta)] == []
    assert [*differences(instance.elements, data_set)] == []


def test_all_files_but_damaged_ones_have_no_problem(bundled_file):
    if bundled_file.name in {*NO_DICOM, *CUT}:
        return
    instance = read(bundled_file.read_bytes())
    is_cut = bundled_file.name == 'MR_truncated.dcm'
    expected = (
        (Problem('7FE00010', 'pixels are lost: the file is cut'),) if is_cut else ()
    )
    assert instance.problems == expected
    assert instance.trailing.length == 0


@pytest.mark.parametrize(
    'data',
    [
        b'',
        b'DICM',
        bytes(1000),
        b'hello, this is a text',
        bytes(128) + b'DICM',
        bytes(128) + b'DICM\x02',
        b'\x08\0\x05\0\xff\xff\xff\xff' * 3,
        b'\xff' * 500,
    ],
)
def test_refuses_what_is_no_dicom_file(data):
    with pytest.raises(DicomError):
        read(data)


# --- encodings


@pytest.mark.parametrize(
    ('syntax', 'vr', 'little'),
    [
        (IMPLICIT, '', True),
        (EXPLICIT, 'US', True),
        (BIG_ENDIAN, 'US', False),
        (JPEG, 'US', True),
    ],
)
def test_reads_the_encoding_that_is_stated(syntax, vr, little):
    rows = element(0x00280010, vr, b'\1\2', little=little)
    instance = read(part10(rows, syntax))
    assert (instance.explicit, instance.little_endian) == (bool(vr), little)
    assert instance.transfer_syntax_uid == syntax
    assert instance.elements == ((0x00280010, 'US', vr, 2, b'\1\2', None, None, None),)


@pytest.mark.parametrize('stated', [IMPLICIT, EXPLICIT, BIG_ENDIAN, JPEG])
@pytest.mark.parametrize(
    ('vr', 'little'), [('', True), ('CS', True), ('CS', False)], ids=str
)
def test_finds_out_an_encoding_that_is_not_the_stated_one(stated, vr, little):
    modality = element(0x00080060, vr, b'MR', little=little)
    instance = read(part10(modality, stated))
    assert (instance.explicit, instance.little_endian) == (bool(vr), little)
    assert tags(instance) == [0x00080060]


@pytest.mark.parametrize(
    ('vr', 'little'), [('', True), ('CS', True), ('CS', False)], ids=str
)
@pytest.mark.parametrize('preamble', [b'', bytes(128) + b'DICM'], ids=['bare', 'dicm'])
def test_guesses_an_encoding_that_is_not_stated(preamble, vr, little):
    modality = element(0x00080060, vr, b'MR', little=little)
    instance = read(preamble + modality * 2)
    assert (instance.explicit, instance.little_endian) == (bool(vr), little)
    assert tags(instance) == [0x00080060] * 2
    assert instance.preamble == preamble[:128]
    assert not instance.problems


def test_reads_a_file_without_preamble_that_has_file_meta_information():
    instance = read(part10(IMPLICIT_NAME, IMPLICIT)[132:])
    assert instance.preamble == b''
    assert len(instance.file_meta) == 1
    assert value(instance, 0x00100010) == b'Doe^Jane'


def test_reads_elements_with_implicit_vr_among_explicit_ones():
    instance = read(part10(element(0x00080060, 'CS', b'MR') + IMPLICIT_NAME))
    assert [(e.vr, e.stored_vr) for e in instance.elements] == [
        ('CS', 'CS'),
        ('PN', ''),
    ]


@pytest.mark.parametrize(
    'data',
    [header(0x00080007, 'ZZ', 4) + b'abcd', b'\x08\0\x07\0ZZ\0\0\4\0\0\0abcd'],
    ids=['2 bytes', '4 bytes'],
)
def test_an_unknown_vr_is_un_whatever_its_length_has(data):
    instance = read(part10(data + NAME))
    first, second = instance.elements
    assert (first.vr, first.stored_vr, first.value) == ('UN', 'ZZ', b'abcd')
    assert second.value == b'Doe^Jane'


# --- VRs


@pytest.mark.parametrize(
    ('tag', 'vr'),
    [
        (0x00100010, 'PN'),
        (0x60023000, 'OW'),
        (0x60020010, 'US'),
        (0x00090010, 'LO'),
        (0x00091001, 'UN'),
        (0x00080000, 'UL'),
        (0x00080007, 'UN'),
    ],
)
def test_implicit_vrs_are_those_of_the_dictionary(tag, vr):
    found = read(part10(element(tag, '', b'ab'), IMPLICIT)).elements[0]
    assert (found.vr, found.stored_vr) == (vr, '')


@pytest.mark.parametrize(('stored', 'syntax'), [('', IMPLICIT), ('UN', EXPLICIT)])
def test_the_vr_of_a_private_element_is_that_of_its_creator(stored, syntax):
    creator = element(0x00190011, stored, b'SIEMENS MR HEADER ')
    data = creator + element(0x00191115, stored, bytes(24))
    assert [e.vr for e in read(part10(data, syntax)).elements] == ['LO', 'FD']
    # another block, and another data set
    data = creator + element(0x00191015, stored, bytes(24))
    assert [e.vr for e in read(part10(data, syntax)).elements] == ['LO', 'UN']
    inner = item(element(0x00191115, stored, bytes(24)))
    data = creator + sequence(0x00400275, stored and 'SQ', inner)
    (found,) = read(part10(data, syntax)).elements[1].items[0].elements
    assert found.vr == 'UN'


@pytest.mark.parametrize(('signed', 'vr'), [(0, 'US'), (1, 'SS')])
def test_pixel_representation_decides_between_us_and_ss(signed, vr):
    # the first of them comes before Pixel Representation
    data = (
        element(0x00189810, '', b'\xff\xff')
        + element(0x00280103, '', pack('<H', signed))
        + element(0x00280106, '', b'\xff\xff')
    )
    found = read(part10(data, IMPLICIT)).elements
    assert [e.vr for e in found] == [vr, 'US', vr]


def test_the_nearest_pixel_representation_counts():
    pixel_value = element(0x00280120, '', b'\xff\xff')
    signed, unsigned = (element(0x00280103, '', pack('<H', n)) for n in (1, 0))
    inner = sequence(0x00400275, '', item(pixel_value), item(unsigned, pixel_value))
    data = sequence(0x00081115, '', item(inner)) + signed
    found = read(part10(data, IMPLICIT)).elements[0].items[0].elements[0]
    assert [i.elements[-1].vr for i in found.items] == ['SS', 'US']


def test_without_pixel_representation_numbers_are_unsigned():
    data = sequence(0x00081115, '', item(element(0x00280106, '', b'\1\0')))
    found = read(part10(data, IMPLICIT)).elements[0].items[0].elements[0]
    assert found.vr == 'US'


@pytest.mark.parametrize(('entries', 'vr'), [(1, 'US'), (2, 'OW')])
def test_lut_data_are_numbers_only_if_there_is_one(entries, vr):
    data = element(0x00283002, '', pack('<3H', entries, 0, 8))
    data += element(0x00283006, '', bytes(2 * entries))
    assert read(part10(data, IMPLICIT)).elements[1].vr == vr


def test_a_known_element_of_vr_un_gets_its_vr_unless_it_is_long():
    data = element(0x00080060, 'UN', b'MR') + element(0x00081030, 'UN', b'a' * 70_000)
    found = read(part10(data)).elements
    assert [(e.vr, e.stored_vr) for e in found] == [('CS', 'UN'), ('UN', 'UN')]


@pytest.mark.parametrize(
    ('vr', 'make'),
    [
        ('CS', lambda data: part10(data, EXPLICIT)),
        ('', lambda data: part10(data, IMPLICIT)),
        ('', bytes),
    ],
    ids=['explicit', 'implicit', 'bare'],
)
def test_a_command_set_is_read(vr, make):
    command = element(0x00000000, '', b'\x0a\0\0\0') + element(0x00000100, '', b'\1\0')
    instance = read(make(command + element(0x00080060, vr, b'MR')))
    assert tags(instance) == [0x00000000, 0x00000100, 0x00080060]
    assert instance.elements[2].stored_vr == vr


def test_an_unknown_vr_without_a_value_does_not_swallow_what_follows():
    instance = read(part10(header(0x00080007, 'ZZ', 0) + NAME))
    assert [e.value for e in instance.elements] == [b'', b'Doe^Jane']
