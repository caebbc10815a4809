"""Value representations (VR) of DICOM data elements (PS3.5, 6.2)"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from struct import unpack_from

from datalad_icf.dicomweb.dictionary import find_private, find_repeated, public_vrs
from datalad_icf.dicomweb.model import PIXEL_DATA, UNDEFINED_LENGTH, Element

# explicit VRs (PS3.5, 7.1.2): those with a 2-byte, and with a 4-byte length
_SHORT = b'AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US'.split()
_LONG = b'OB OD OF OL OV OW SQ SV UC UN UR UT UV'.split()

SHORT_VRS = frozenset(vr.decode() for vr in _SHORT)
LONG_VRS = frozenset(vr.decode() for vr in _LONG)

# the bytes in the file: the VR, and whether its length has 4 bytes
STORED_VRS: Mapping[bytes, tuple[str, bool]] = {
    vr: (vr.decode(), vr in _LONG) for vr in _SHORT + _LONG
}

# VRs of the data dictionary that depend on something else in the data set
AMBIGUOUS_VRS = frozenset(('US or SS', 'US or OW', 'OB or OW', 'US or SS or OW'))

_PIXEL_REPRESENTATION = 0x00280103
_LUT_DESCRIPTOR = 0x00283002
_LUT_DATA = 0x00283006


@lru_cache(maxsize=1 << 14)
def find_vr(tag: int, creator: str = '') -> str:
    """Look up the VR of an element whose VR is not stored

    Parameters
    ----------
    tag
        Tag of the element.
    creator
        *Private Creator* of the block of a private element (PS3.5, 7.8.1).

    Returns
    -------
    str
        Two letters, or one of `AMBIGUOUS_VRS`; ``UN`` if nobody knows it.

    Examples
    --------
    >>> find_vr(0x00100010), find_vr(0x60023000), find_vr(0x00280106)
    ('PN', 'OB or OW', 'US or SS')
    >>> find_vr(0x00191015, 'SIEMENS MR HEADER')
    'FD'
    """
    number = tag & 0xFFFF
    vr: str | None = 'UN'
    if not number:
        vr = 'UL'
    elif not tag >> 16 & 1:
        vr = public_vrs().get(tag) or find_repeated(tag)
    elif 0x10 <= number <= 0xFF:
        vr = 'LO'
    elif creator and number > 0xFF:
        vr = find_private(tag, creator)
    if vr is None:
        return 'UN'
    return vr if vr in AMBIGUOUS_VRS or vr.encode() in STORED_VRS else 'UN'


def is_guess(tag: int, stored_vr: str) -> bool:
    """Whether a VR is one that the file does not tell, and may not have

    That of a private element without a VR is what others wrote of the same
    manufacturer, and UN is what a system wrote that knew no better.
    """
    return stored_vr == 'UN' or (not stored_vr and tag >> 16 & 1 == 1)


def decide_vr(
    element: Element,
    siblings: Mapping[int, Element],
    pixel_representation: int,
    *,
    little_endian: bool,
) -> str:
    """Decide between the VRs that the data dictionary allows

    The rules are those of pydicom's ``correct_ambiguous_vr_element``, after
    PS3.5, 8.1.2 and A.1, and PS3.3, C.11.1.1.1.

    Parameters
    ----------
    element
        A data element without a stored VR, whose VR is in `AMBIGUOUS_VRS`.
    siblings
        The data elements of the same data set or item.
    pixel_representation
        *Pixel Representation* (0028,0103) of this, or of the nearest enclosing
        data set that has it.
    little_endian
        Byte order of the values.
    """
    if element.vr == 'US or SS':
        return 'SS' if pixel_representation else 'US'
    if element.tag == PIXEL_DATA and element.length == UNDEFINED_LENGTH:
        return 'OB'
    if element.tag == _LUT_DATA:
        descriptor = siblings.get(_LUT_DESCRIPTOR)
        if descriptor is not None and read_number(descriptor, little_endian) == 1:
            return 'US'
    return 'OW'


def find_pixel_representation(
    siblings: Mapping[int, Element], *, little_endian: bool
) -> int | None:
    """Find *Pixel Representation* (0028,0103): 0 for unsigned, 1 for signed"""
    element = siblings.get(_PIXEL_REPRESENTATION)
    return element and read_number(element, little_endian)


def read_number(element: Element, little_endian: bool) -> int | None:
    """Read the first 16-bit number of a data element, if it has one"""
    if element.value is None or len(element.value) < 2:
        return None
    number: int = unpack_from('<H' if little_endian else '>H', element.value)[0]
    return number


def resolve_vr(
    element: Element,
    siblings: Mapping[int, Element],
    signed: int,
    little_endian: bool,
) -> Element:
    """Decide on the ambiguous VR of an element, or of all within a sequence

    Parameters
    ----------
    element
        A data element whose VR is in `AMBIGUOUS_VRS`, or a sequence.
    siblings
        The data elements of the same data set or item.
    signed
        *Pixel Representation* of this, or of the nearest enclosing data set.
    little_endian
        Byte order of the values.
    """
    if element.items is None:
        vr = decide_vr(element, siblings, signed, little_endian=little_endian)
        return element._replace(vr=vr)
    items = []
    for item in element.items:
        inner = {child.tag: child for child in item.elements}
        own = find_pixel_representation(inner, little_endian=little_endian)
        nearest = signed if own is None else own
        items.append(
            item._replace(
                elements=tuple(
                    resolve_vr(child, inner, nearest, little_endian)
                    if child.items is not None or child.vr in AMBIGUOUS_VRS
                    else child
                    for child in item.elements
                )
            )
        )
    return element._replace(items=tuple(items))
