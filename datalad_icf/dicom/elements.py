"""Find a few data elements at the start of a DICOM file, fast

Reading a whole data set to get at some of its first elements is most of the
time that a visit of many small files takes. Here the elements are walked in
place (DICOM PS3.5, 7.1), and what is not wanted is not looked at. Whatever is
unusual is left to pydicom, see `datalad_icf.dicom.header`.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

_PREAMBLE = 128
_IMPLICIT_LITTLE_ENDIAN = b'1.2.840.10008.1.2'
_EXPLICIT_LITTLE_ENDIAN = b'1.2.840.10008.1.2.1'
# JPEG and its kin, and RLE: encapsulated, hence explicit VR (PS3.5, A.4)
_ENCAPSULATED = (b'1.2.840.10008.1.2.4.', b'1.2.840.10008.1.2.5')
_TRANSFER_SYNTAX_UID = 0x00020010
# explicit VRs (PS3.5, 7.1.2): those with a 2-byte, and with a 4-byte length
_SHORT_VRS = frozenset(
    b'AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US'.split()
)
_LONG_VRS = frozenset(b'OB OD OF OL OV OW SQ SV UC UN UR UT UV'.split())
_VRS = _SHORT_VRS | _LONG_VRS
# UN of undefined length is a sequence, too, but one with implicit VR inside
_SEQUENCE = frozenset((b'SQ', b''))
_UNDEFINED = 0xFFFFFFFF
_ITEM = 0xFFFEE000
_ITEM_END = 0xFFFEE00D
_SEQUENCE_END = 0xFFFEE0DD

_explicit = Struct('<HH2sH').unpack_from
_implicit = Struct('<HHL').unpack_from
_long = Struct('<L').unpack_from


class RawElement(NamedTuple):
    """A data element as it stands in the file

    Attributes
    ----------
    vr
        Value representation, empty for implicit VR.
    value
        The bytes of the value, padding included.
    little_endian
        Byte order of numbers.
    """

    vr: bytes
    value: bytes
    little_endian: bool = True


class IncompleteHeader(Exception):
    """More bytes of the file are needed"""


class UnusualHeader(Exception):
    """The header is none that can be walked safely"""


def is_dicom(head: bytes) -> bool:
    """Whether a file starts as a DICOM file does (PS3.10, 7.1)

    Parameters
    ----------
    head
        The first 132 bytes of the file, or more.
    """
    return head[_PREAMBLE : _PREAMBLE + 4] == b'DICM'


def scan_elements(head: bytes, tags: frozenset[int]) -> dict[int, RawElement]:
    """Find top-level data elements in the first bytes of a DICOM file

    Parameters
    ----------
    head
        The first bytes of the file, from its preamble on.
    tags
        The wanted tags, as numbers like ``0x00080020``, none of group 2.

    Returns
    -------
    dict
        The wanted elements that the data set has.

    Raises
    ------
    IncompleteHeader
        If ``head`` ends before the last wanted element.
    UnusualHeader
        If the transfer syntax is deflated, big endian or not known, if the
        elements are not in order, or the encoding is not as declared.
    """
    position, explicit = _skip_file_meta(head)
    found: dict[int, RawElement] = {}
    last = max(tags)
    previous = 0
    end = len(head)
    while position + 12 <= end:
        if explicit:
            group, number, vr, length = _explicit(head, position)
            value = position + 8
            if vr in _LONG_VRS:
                length = _long(head, value)[0]
                value += 4
            elif vr not in _SHORT_VRS:
                raise UnusualHeader
        else:
            group, number, length = _implicit(head, position)
            value = position + 8
            vr = b''
            if head[position + 4 : position + 6] in _VRS:
                # explicit after all: as a length it would be 16 kB and more
                raise UnusualHeader
        tag = group << 16 | number
        if tag > last:
            return found
        if tag <= previous:
            raise UnusualHeader
        previous = tag
        if length == _UNDEFINED:
            if vr not in _SEQUENCE:
                raise UnusualHeader
            position = _skip_sequence(head, value, explicit)
            continue
        position = value + length
        if tag in tags:
            if position > end:
                raise IncompleteHeader
            found[tag] = RawElement(vr, head[value:position])
            if tag == last:
                return found
    raise IncompleteHeader


def _skip_file_meta(head: bytes) -> tuple[int, bool]:
    """Return where the data set starts, and whether it has explicit VR"""
    position = _PREAMBLE + 4
    syntax = b''
    while True:
        if position + 12 > len(head):
            raise IncompleteHeader
        group, number, vr, length = _explicit(head, position)
        if group != 2:
            break
        value = position + 8
        if vr in _LONG_VRS:
            length = _long(head, value)[0]
            value += 4
        elif vr not in _SHORT_VRS:
            raise UnusualHeader
        position = value + length
        if group << 16 | number == _TRANSFER_SYNTAX_UID:
            syntax = head[value:position].rstrip(b'\0 ')
    if syntax == _IMPLICIT_LITTLE_ENDIAN:
        return position, False
    if syntax == _EXPLICIT_LITTLE_ENDIAN or syntax.startswith(_ENCAPSULATED):
        return position, True
    raise UnusualHeader


def _skip_sequence(head: bytes, position: int, explicit: bool) -> int:
    """Return where a value of undefined length ends (PS3.5, 7.5)"""
    # what is open, innermost last: the tag that ends it
    open_ends = [_SEQUENCE_END]
    while open_ends:
        if position + 12 > len(head):
            raise IncompleteHeader
        group, number, length = _implicit(head, position)
        tag = group << 16 | number
        position += 8
        if group == 0xFFFE:
            if tag == open_ends[-1]:
                open_ends.pop()
            elif tag != _ITEM or open_ends[-1] != _SEQUENCE_END:
                raise UnusualHeader
            elif length == _UNDEFINED:
                open_ends.append(_ITEM_END)
            else:
                position += length
            continue
        if open_ends[-1] != _ITEM_END:
            raise UnusualHeader
        if explicit:
            vr = head[position - 4 : position - 2]
            if vr in _LONG_VRS:
                length = _long(head, position)[0]
                position += 4
            elif vr in _SHORT_VRS:
                length >>= 16
            else:
                raise UnusualHeader
        if length == _UNDEFINED:
            if explicit and vr not in _SEQUENCE:
                raise UnusualHeader
            open_ends.append(_SEQUENCE_END)
        else:
            position += length
    return position
