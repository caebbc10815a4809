"""The fast scan of a header finds what pydicom finds"""

from __future__ import annotations

import warnings
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pydicom.data
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    RLELossless,
)

from datalad_icf.dicom.elements import (
    IncompleteHeader,
    UnusualHeader,
    is_dicom,
    scan_elements,
)
from datalad_icf.dicom.header import HeaderError, NotDicomError, read_elements
from demo.phantom import build_instance, encode

STUDY_DATE = 0x00080020
STUDY_TIME = 0x00080030
SERIES_NUMBER = 0x00200011
TAGS = frozenset((STUDY_DATE, STUDY_TIME, 0x00080005, 0x0008103E, SERIES_NUMBER))
FILES = sorted(
    path
    for directory in ('test_files', 'charset_files')
    for path in (Path(pydicom.data.__file__).parent / directory).rglob('*')
    if path.is_file() and path.suffix in ('.dcm', '') and path.stat().st_size < 400_000
)


def from_pydicom(content):
    """The raw values of the tags, from a full read by pydicom"""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        dataset = dcmread(BytesIO(content), stop_before_pixels=True)
    found = {}
    for tag in TAGS:
        if (element := dataset.get_item(tag)) is not None:
            value = element.value or b''
            if isinstance(value, MultiValue):
                value = '\\'.join(value)
            if isinstance(value, str):
                # the character set, which pydicom has read already
                value = value.encode()
            found[tag] = value.rstrip()
    return found


def from_scan(content, tags=TAGS):
    return {k: v.value.rstrip() for k, v in scan_elements(content, tags).items()}


def from_read(content, head=4096, tags=TAGS):
    found = read_elements(content[:head], tags, lambda: BytesIO(content))
    return {k: v.value.rstrip() for k, v in found.items()}


def nested(depth, **attributes):
    """A sequence in a sequence in a sequence"""
    inner = Dataset()
    inner.CodeValue = 'abc'
    # must not be taken for that of the data set
    inner.StudyDate = '19990101'
    if depth:
        inner.ReferencedImageSequence = nested(depth - 1)
    for keyword, value in attributes.items():
        setattr(inner, keyword, value)
    return Sequence([inner, Dataset(), inner])


def with_sequences(syntax, *, undefined):
    dataset = build_instance(rows=2, columns=2, SeriesNumber=7)
    dataset.ProcedureCodeSequence = nested(3)
    dataset.ReferencedStudySequence = Sequence([])
    block = dataset.private_block(0x0009, 'PRIVATE', create=True)
    block.add_new(1, 'SQ', nested(1))
    block.add_new(2, 'OB', b'\xfe\xff\x0d\xe0' * 8)
    block.add_new(3, 'UN', b'x' * 70)

    def mark(items):
        items.is_undefined_length = undefined
        for item in items:
            item.is_undefined_length_sequence_item = undefined
            for element in item:
                if element.VR == 'SQ':
                    mark_element(element)

    def mark_element(element):
        element.is_undefined_length = undefined
        mark(element.value)

    for element in dataset:
        if element.VR == 'SQ':
            mark_element(element)
    dataset.file_meta.TransferSyntaxUID = syntax
    return encode(dataset)


ENCAPSULATED = [JPEG2000, JPEGBaseline8Bit, RLELossless]


@pytest.mark.parametrize('undefined', [False, True])
@pytest.mark.parametrize('syntax', [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_elements_behind_sequences_are_found(syntax, undefined):
    content = with_sequences(syntax, undefined=undefined)
    found = from_scan(content)
    assert found == from_pydicom(content)
    assert found[STUDY_DATE] == b'20240229'
    assert found[SERIES_NUMBER] == b'7'


@pytest.mark.parametrize('syntax', ENCAPSULATED)
def test_encapsulated_files_are_scanned(syntax):
    dataset = build_instance(rows=2, columns=2, SeriesNumber=7)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = b'\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0'
    dataset['PixelData'].is_undefined_length = True
    content = encode(dataset)
    assert from_scan(content) == from_pydicom(content)


@pytest.mark.parametrize(
    'syntax', [ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, '1.2.3']
)
def test_other_encodings_are_left_to_pydicom(syntax):
    content = encode(build_instance(rows=2, columns=2))
    old = ExplicitVRLittleEndian.encode()
    content = content.replace(
        b'UI' + bytes([20, 0]) + old + b'\0',
        b'UI' + bytes([20, 0]) + syntax.encode().ljust(20, b'\0')[:20],
    )
    with pytest.raises(UnusualHeader):
        scan_elements(content, TAGS)


@pytest.mark.parametrize('charset', ['ISO_IR 100', '\\ISO 2022 IR 87', None])
@pytest.mark.parametrize(
    'syntax', [ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_other_encodings_are_read(image, syntax, charset):
    content = image(syntax, SeriesNumber=7, SpecificCharacterSet=charset)
    found = from_read(content)
    assert found == from_pydicom(content)
    assert found[SERIES_NUMBER] == b'7'
    assert found[0x00080005] == (charset or '').encode()


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.name)
def test_what_pydicom_finds_in_its_own_files_is_found(path):
    content = path.read_bytes()
    if not is_dicom(content):
        with pytest.raises(NotDicomError):
            from_read(content)
        return
    assert from_read(content) == from_pydicom(content)


def test_what_the_scan_finds_is_what_pydicom_finds():
    scanned = 0
    for path in FILES:
        content = path.read_bytes()
        with suppress(UnusualHeader, IncompleteHeader):
            found = from_scan(content)
            assert found == from_pydicom(content), path
            scanned += 1
    # else, the scan would be of no use
    assert scanned > len(FILES) / 2


def test_a_head_that_is_too_short_is_continued(image):
    content = image(StudyDescription='x' * 60, ImageComments='y' * 9000)
    for head in (132, 200, 400, 1000):
        assert from_read(content, head) == from_pydicom(content)


def test_an_element_behind_64_kilobytes_is_found():
    dataset = build_instance(rows=2, columns=2, SeriesNumber=7)
    block = dataset.private_block(0x0009, 'PRIVATE', create=True)
    block.add_new(1, 'OB', bytes(100_000))
    assert from_read(encode(dataset))[SERIES_NUMBER] == b'7'


def test_an_element_that_is_absent_is_not_found(image):
    content = image(without=['StudyDate', 'SeriesNumber'])
    assert set(from_read(content)) == TAGS - {STUDY_DATE, SERIES_NUMBER}


def test_the_file_is_only_opened_if_the_head_is_not_enough(image):
    def open_file():
        raise AssertionError

    content = image()
    assert read_elements(content[:1400], TAGS, open_file)


def test_elements_out_of_order_are_left_to_pydicom(image):
    content = image()
    start = content.index(b'\x08\x00\x20\x00DA')
    element = content[start : start + 16]
    swapped = content.replace(element, b'').replace(
        b'\x08\x00\x30\x00TM', b'\x08\x00\x30\x00TM', 1
    )
    position = swapped.index(b'\x08\x00\x50\x00SH')
    swapped = swapped[:position] + element + swapped[position:]
    with pytest.raises(UnusualHeader):
        scan_elements(swapped, TAGS)
    assert from_read(swapped)[STUDY_DATE] == b'20240229'


def test_implicit_vr_that_is_declared_explicit_is_read(image):
    """Some software changes the encoding, but not what is said about it"""
    content = image(ImplicitVRLittleEndian, SeriesNumber=7)
    # both in 20 bytes, since the lengths of the file meta must not change
    wrong = image(SeriesNumber=7)
    meta = wrong[: wrong.index(b'\x08\x00\x05\x00')]
    body = content[content.index(b'\x08\x00\x05\x00') :]
    assert from_read(meta + body)[SERIES_NUMBER] == b'7'


def test_explicit_vr_that_is_declared_implicit_is_read(image):
    content = image(SeriesNumber=7)
    other = image(ImplicitVRLittleEndian)
    meta = other[: other.index(b'\x08\x00\x05\x00')]
    body = content[content.index(b'\x08\x00\x05\x00') :]
    assert from_read(meta + body)[SERIES_NUMBER] == b'7'


def test_a_file_without_the_prefix_is_no_dicom(image):
    with pytest.raises(NotDicomError):
        from_read(image()[132:])


@pytest.mark.parametrize('content', [b'', b'DICM', bytes(132), bytes(128) + b'dicm'])
def test_what_does_not_start_as_dicom_is_no_dicom(content):
    with pytest.raises(NotDicomError):
        from_read(content)


def test_the_prefix_and_nothing_else_is_a_broken_header():
    with pytest.raises(HeaderError):
        from_read(bytes(128) + b'DICM')


def test_a_value_that_is_cut_is_never_returned(image):
    content = image(SeriesNumber=123456)
    whole = from_read(content)
    for cut in range(132, len(content)):
        try:
            found = from_read(content[:cut])
        except HeaderError:
            continue
        assert found.items() <= whole.items()


def mutated(content, changes, cut):
    mutant = bytearray(content)
    for position, value in changes:
        mutant[132 + position % (len(mutant) - 132)] = value
    return bytes(mutant[: 132 + cut])


BASES = [
    encode(build_instance(rows=2, columns=2)),
    with_sequences(ExplicitVRLittleEndian, undefined=True),
    with_sequences(ImplicitVRLittleEndian, undefined=True),
    with_sequences(ExplicitVRLittleEndian, undefined=False),
]
for other in (ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian):
    changed = build_instance(rows=2, columns=2)
    changed.file_meta.TransferSyntaxUID = other
    BASES.append(encode(changed))


@given(
    st.sampled_from(BASES),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=12),
    st.integers(0, 3000),
)
@example(BASES[0], [], 0)
def test_a_mutated_header_is_read_or_broken(base, changes, cut):
    content = mutated(base, changes, cut)
    with suppress(HeaderError):
        assert from_read(content).keys() <= TAGS


@given(st.binary(max_size=400))
def test_noise_behind_the_prefix_is_read_or_broken(noise):
    content = bytes(128) + b'DICM' + noise
    with suppress(HeaderError):
        assert from_read(content).keys() <= TAGS
