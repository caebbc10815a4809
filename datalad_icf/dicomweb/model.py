"""A DICOM file, taken apart as far as DICOMweb needs it"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

from datalad_icf.dicomweb.source import ByteSource

UNDEFINED_LENGTH = 0xFFFFFFFF
PIXEL_DATA = 0x7FE00010
FLOAT_PIXEL_DATA = 0x7FE00008
DOUBLE_FLOAT_PIXEL_DATA = 0x7FE00009
# how the text of a problem starts when an image, or a part of it, is not there
PIXELS_LOST = 'pixels are lost: '
# the same where data elements are missing that the file has, or had
ELEMENTS_LOST = 'data elements are lost: '


class Span(NamedTuple):
    """A part of the bytes of a source

    Attributes
    ----------
    offset, length
        In bytes, within the source.
    """

    offset: int
    length: int


class Element(NamedTuple):
    """A data element (PS3.5, 7.1)

    Exactly one of `value`, `span`, `items` and `fragments` is not ``None``.

    Attributes
    ----------
    tag
        Group and element, as a number like ``0x00100020``.
    vr
        Value representation: the stored one, or, where none is stored, the one
        of the data dictionary, ``UN`` if it has none. ``SQ`` for whatever has
        items.
    stored_vr
        The two letters in the file, or ``''`` for implicit VR.
    length
        Length field as it stands in the file, ``UNDEFINED_LENGTH`` included.
    value
        The bytes of the value, with their padding, in the byte order of the file.
    span
        Where the value is, if it is too long to be held in memory.
    items
        The items of a sequence.
    fragments
        Where the fragments of encapsulated Pixel Data are, without their item
        headers; the first is the Basic Offset Table (PS3.5, A.4).
    """

    tag: int
    vr: str
    stored_vr: str
    length: int
    value: bytes | None = None
    span: Span | None = None
    items: tuple[Item, ...] | None = None
    fragments: tuple[Span, ...] | None = None


class Item(NamedTuple):
    """An item of a sequence (PS3.5, 7.5)

    Attributes
    ----------
    elements
        Its data elements, in the order of the file.
    length
        Length field as it stands in the file, ``UNDEFINED_LENGTH`` included.
    """

    elements: tuple[Element, ...]
    length: int


class Problem(NamedTuple):
    """Something in a DICOM file that was not converted as it stands

    Attributes
    ----------
    tag
        Tag of the data element like ``00100020``, or of one in a sequence like
        ``00081115/1/00081199`` with items counted from 1; empty for the file.
    text
        What is wrong. Never with a value in it, which may name a patient.
    """

    tag: str
    text: str


@dataclass(frozen=True)
class Instance:
    """A DICOM file, taken apart

    Attributes
    ----------
    source
        What all spans refer to: the file, or its inflated data set.
    preamble
        The 128 bytes before ``DICM``; empty if the file has neither.
    file_meta
        Data elements of group 2, always explicit VR little endian.
    transfer_syntax_uid
        As it stands in the file meta information.
    explicit, little_endian
        How the data set is really encoded, whatever the transfer syntax says.
    elements
        Data elements of the data set, in the order of the file.
    trailing
        Bytes after the last data element that could be read.
    problems
        What was wrong on reading. The elements before it are there.
    deflated
        Where the deflated data set is in the file, if it is deflated. Then
        `source` has the inflated data set alone, from offset 0.
    file
        The file as it was given; the same as `source`, unless deflated.
    """

    source: ByteSource
    file: ByteSource
    preamble: bytes
    file_meta: tuple[Element, ...]
    transfer_syntax_uid: str
    explicit: bool
    little_endian: bool
    elements: tuple[Element, ...]
    trailing: Span = field(default=Span(0, 0))
    problems: tuple[Problem, ...] = field(default=())
    deflated: Span | None = None

    def find(self, tag: int) -> Element | None:
        """Find a data element of the top level"""
        return next((e for e in self.elements if e.tag == tag), None)

    def with_elements(self, elements: tuple[Element, ...]) -> Instance:
        """The same with other data elements, as a transformation makes it"""
        return replace(self, elements=elements)


def format_tag(tag: int) -> str:
    """Tag as the DICOM JSON Model writes it (PS3.18, F.2.2)

    Examples
    --------
    >>> format_tag(0x7FE00010)
    '7FE00010'
    """
    return f'{tag:08X}'
