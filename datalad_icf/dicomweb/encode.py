"""Put data elements together again (PS3.5, 7)"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from struct import pack
from typing import TypeAlias

from datalad_icf.dicomweb.model import UNDEFINED_LENGTH, Element, Item, Span
from datalad_icf.dicomweb.vr import SHORT_VRS

# what is copied from somewhere is a span
Part: TypeAlias = bytes | Span

_ITEM = 0xFFFEE000
_ITEM_END = 0xFFFEE00D
_SEQUENCE_END = 0xFFFEE0DD

_headers: dict[tuple[int, str, int, bool], bytes] = {}
_MAX_HEADERS = 1 << 16


def encode_header(tag: int, stored_vr: str, length: int, little_endian: bool) -> bytes:
    """Encode what stands before a value (PS3.5, 7.1)

    Parameters
    ----------
    tag
        Of the data element, or of an item or a delimiter.
    stored_vr
        Two letters, or ``''`` for implicit VR. Any that DICOM does not know has a
        4-byte length, as all that it will ever add.
    length
        Length field. Without effect on VRs that cannot hold it: they are encoded
        with as much of it as there is room for.

    Examples
    --------
    >>> encode_header(0x00100020, 'LO', 4, True)
    b'\\x10\\x00 \\x00LO\\x04\\x00'
    >>> encode_header(0x00100020, '', 4, True)
    b'\\x10\\x00 \\x00\\x04\\x00\\x00\\x00'
    """
    key = (tag, stored_vr, length, little_endian)
    header = _headers.get(key)
    if header is None:
        order = '<' if little_endian else '>'
        group, number = tag >> 16, tag & 0xFFFF
        if not stored_vr:
            header = pack(f'{order}HHL', group, number, length)
        elif stored_vr in SHORT_VRS:
            letters = stored_vr.encode()
            header = pack(f'{order}HH2sH', group, number, letters, length & 0xFFFF)
        else:
            letters = stored_vr.encode('latin-1')
            header = pack(f'{order}HH2sHL', group, number, letters, 0, length)
        if len(_headers) >= _MAX_HEADERS:
            _headers.clear()
        _headers[key] = header
    return header


def encode_elements(
    parts: list[Part],
    elements: Iterable[Element],
    *,
    explicit: bool,
    little_endian: bool,
) -> None:
    """Append the encoded data elements, with the lengths that they state

    Parameters
    ----------
    parts
        Gets bytes, and the spans of what is not in memory.
    elements
        Data elements of a data set or an item.
    explicit, little_endian
        How they are encoded. Whether an element has a VR is up to the element.
    """
    append = parts.append
    known = _headers.get
    for element in elements:
        tag, _vr, stored_vr, length, value, _span, _items, _fragments = element
        append(
            known((tag, stored_vr, length, little_endian))
            or encode_header(tag, stored_vr, length, little_endian)
        )
        if value is not None:
            append(value)
        else:
            encode_content(
                parts, element, explicit=explicit, little_endian=little_endian
            )
        if length == UNDEFINED_LENGTH:
            append(encode_header(_SEQUENCE_END, '', 0, little_endian))


def encode_content(
    parts: list[Part], element: Element, *, explicit: bool, little_endian: bool
) -> None:
    """Append what is between the header of an element and its end

    Parameters
    ----------
    parts
        Gets bytes and spans, without the delimiter of an undefined length.
    element
        A data element.
    explicit, little_endian
        How it is encoded.
    """
    if element.value is not None:
        parts.append(element.value)
    elif element.span is not None:
        parts.append(element.span)
    elif element.items is not None:
        inner = item_encoding(element.stored_vr, element.items, explicit, little_endian)
        for item in element.items:
            _encode_item(parts, item, *inner)
    for fragment in element.fragments or ():
        parts.append(encode_header(_ITEM, '', fragment.length, little_endian))
        parts.append(fragment)


def _encode_item(
    parts: list[Part], item: Item, explicit: bool, little_endian: bool
) -> None:
    parts.append(encode_header(_ITEM, '', item.length, little_endian))
    encode_elements(
        parts, item.elements, explicit=explicit, little_endian=little_endian
    )
    if item.length == UNDEFINED_LENGTH:
        parts.append(encode_header(_ITEM_END, '', 0, little_endian))


def item_encoding(
    stored_vr: str, items: Iterable[Item], explicit: bool, little_endian: bool
) -> tuple[bool, bool]:
    """How the items of a sequence are encoded: explicit VR, little endian

    A sequence that is stored as UN has implicit VR and little endian inside
    (PS3.5, 6.2.2). Some writers leave it big endian and explicit.
    """
    if stored_vr != 'UN':
        return explicit, little_endian
    if little_endian:
        return False, True
    is_explicit = any(e.stored_vr for item in items for e in item.elements)
    return (True, False) if is_explicit else (False, True)


def encoded_size(parts: Iterable[Part]) -> int:
    """Number of bytes that parts have together

    Examples
    --------
    >>> encoded_size([b'abc', Span(100, 20)])
    23
    """
    return sum(part.length if isinstance(part, Span) else len(part) for part in parts)


def with_right_lengths(
    elements: Iterable[Element], *, explicit: bool, little_endian: bool
) -> tuple[Element, ...]:
    """Set the length fields to what they have to be

    Those that are undefined stay so. *Group Length* (gggg,0000) is set, too.

    Parameters
    ----------
    elements
        Data elements of a data set, as a transformation left them.
    explicit, little_endian
        How they are encoded.
    """
    changed = _with_right_lengths(elements, explicit, little_endian)
    for index, element in enumerate(changed):
        if element.tag & 0xFFFF or element.value is None:
            continue
        size = group_length(
            changed[index + 1 :],
            element.tag >> 16,
            explicit=explicit,
            little_endian=little_endian,
        )
        value = pack('<L' if little_endian else '>L', size)
        changed[index] = element._replace(value=value, length=4)
    return tuple(changed)


def _with_right_lengths(
    elements: Iterable[Element], explicit: bool, little_endian: bool
) -> list[Element]:
    changed = []
    for element in elements:
        length = element.length
        items = element.items
        if items is not None:
            inner = item_encoding(element.stored_vr, items, explicit, little_endian)
            items = tuple(_item_with_right_length(item, *inner) for item in items)
            element = element._replace(items=items)
            if length != UNDEFINED_LENGTH:
                parts: list[Part] = []
                for item in items:
                    _encode_item(parts, item, *inner)
                length = encoded_size(parts)
        elif length != UNDEFINED_LENGTH:
            length = (
                element.span.length
                if element.span is not None
                else len(element.value or b'')
            )
        changed.append(element._replace(length=length))
    return changed


def _item_with_right_length(item: Item, explicit: bool, little_endian: bool) -> Item:
    elements = _with_right_lengths(item.elements, explicit, little_endian)
    length = item.length
    if length != UNDEFINED_LENGTH:
        parts: list[Part] = []
        encode_elements(parts, elements, explicit=explicit, little_endian=little_endian)
        length = encoded_size(parts)
    return Item(tuple(elements), length)


def group_length(
    elements: Sequence[Element], group: int, *, explicit: bool, little_endian: bool
) -> int:
    """Number of bytes of the elements of a group (PS3.5, 7.2)

    Parameters
    ----------
    elements
        What follows the *Group Length*; up to the first of another group counts.
    group
        Such as ``0x0008``.
    explicit, little_endian
        How they are encoded.
    """
    end = next(
        (i for i, e in enumerate(elements) if e.tag >> 16 != group), len(elements)
    )
    parts: list[Part] = []
    encode_elements(
        parts, elements[:end], explicit=explicit, little_endian=little_endian
    )
    return encoded_size(parts) & 0xFFFFFFFF
