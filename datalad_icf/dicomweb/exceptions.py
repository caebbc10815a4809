"""How data elements are encoded, as exceptions from simple rules

The rules, by which nearly all data sets are encoded:

- Elements are in ascending order, each once, and none is a group length.
- VRs are those of the JSON document, and in implicit VR none is stored.
- Values are what `encode_value` makes of the JSON document.
- All sequences with items have a length, or none has one; the same for items.
  Sequences without items have the length 0.
- Lengths are right.

The form of the exceptions is described in the design part of the documentation.
"""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from operator import lt
from struct import pack
from typing import TypeAlias

from datalad_icf.dicomweb.encode import (
    Part,
    encode_content,
    encoded_size,
    group_length,
    item_encoding,
)
from datalad_icf.dicomweb.model import (
    DOUBLE_FLOAT_PIXEL_DATA,
    FLOAT_PIXEL_DATA,
    PIXEL_DATA,
    UNDEFINED_LENGTH,
    Element,
    Item,
    Span,
    format_tag,
)
from datalad_icf.dicomweb.source import ByteSource
from datalad_icf.dicomweb.vr import SHORT_VRS

JsonValue: TypeAlias = (
    'str | int | float | bool | list[JsonValue] | dict[str, JsonValue] | None'
)
# Puts bytes to the other bulk data of the study, returns the name of the file
Store: TypeAlias = Callable[[ByteSource, Sequence[Part]], str]

# tags whose values are frames
PIXELS = frozenset((PIXEL_DATA, FLOAT_PIXEL_DATA, DOUBLE_FLOAT_PIXEL_DATA))
# in a JSON document, more is an item of bulk data
MAX_INLINE = 4096


def pack_bytes(
    store: Store, source: ByteSource, parts: Sequence[Part]
) -> str | dict[str, JsonValue]:
    """Put bytes into a JSON document, or beside it if they are many

    Parameters
    ----------
    store
        Called with ``source`` and ``parts`` if they are too many.
    source
        What the spans in ``parts`` refer to.
    parts
        The bytes.

    Returns
    -------
    str or dict
        Base64, or ``{"bulkdata": NAME}``.
    """
    if encoded_size(parts) > MAX_INLINE:
        return {'bulkdata': store(source, parts)}
    data = b''.join(
        source.read(*part) if isinstance(part, Span) else part for part in parts
    )
    return b64encode(data).decode()


class EncodingScan:
    """Finds how the data elements of one data set are encoded

    Parameters
    ----------
    source
        What the spans refer to.
    inexact
        Paths, like ``00081115/1/00081199``, of elements that the JSON document
        does not have, or not so that their bytes could be made from it.
    vrs
        Paths of elements whose stored VR is not what the JSON document has.
    store
        For what is too long to be in a JSON document.
    pixels
        The element whose value is in frames.
    """

    def __init__(
        self,
        source: ByteSource,
        *,
        inexact: Collection[str] = (),
        vrs: Collection[str] = (),
        store: Store,
        pixels: Element | None = None,
    ) -> None:
        self._source = source
        self._inexact = inexact
        self._vrs = vrs
        self._noted = frozenset((*inexact, *vrs))
        self._store = store
        self._pixels = pixels
        self._right_groups: frozenset[str] = frozenset()
        self._elements: dict[str, dict[str, JsonValue]] = {}
        self._order: dict[str, JsonValue] = {}
        # paths of what has a length, and of what has none
        self._sequences: tuple[list[str], list[str]] = ([], [])
        self._items: tuple[list[str], list[str]] = ([], [])

    def describe(
        self, elements: Sequence[Element], *, explicit: bool, little_endian: bool
    ) -> dict[str, JsonValue]:
        """Describe a data set; empty if all is as the rules say"""
        described: dict[str, JsonValue] = {}
        groups = [i for i, e in enumerate(elements) if not e[0] & 0xFFFF]
        if groups:
            right = [
                format_tag(elements[i].tag)
                for i in groups
                if _is_right_group_length(elements, i, explicit, little_endian)
            ]
            self._right_groups = frozenset(right)
            if right:
                described['groupLengths'] = [tag[:4] for tag in right]
        if not self._noted and _is_ordered(elements):
            # the size of all is not wanted, so the usual ones can be left out
            elements = [
                e
                for e in elements
                if e[4] is None
                or len(e[4]) != e[3]
                or e[0] >= FLOAT_PIXEL_DATA
                or not e[0] & 0xFFFF
            ]
        self._scan(elements, '', explicit, little_endian)
        for name, (defined, undefined) in (
            ('Sequences', self._sequences),
            ('Items', self._items),
        ):
            mostly_undefined = len(undefined) > len(defined)
            if mostly_undefined:
                described[f'undefined{name}'] = True
            for path in defined if mostly_undefined else undefined:
                self._note(path, 'undefined', not mostly_undefined)
        if self._order:
            described['order'] = self._order
        if self._elements:
            described['elements'] = {**self._elements}
        return described

    def _note(self, path: str, name: str, value: JsonValue) -> None:
        self._elements.setdefault(path, {})[name] = value

    def _scan(
        self,
        elements: Sequence[Element],
        prefix: str,
        explicit: bool,
        little_endian: bool,
    ) -> int:
        """Note all exceptions, return the size in bytes"""
        total = 0
        noted = self._noted
        is_ordered = _is_ordered(elements)
        names = () if is_ordered else self._note_order(elements, prefix)
        for index, element in enumerate(elements):
            tag, _, stored_vr, length, value, span, _, _ = element
            if value is not None:
                size = len(value)
            else:
                size = -1 if span is None else span.length
            if not (
                size == length
                and tag & 0xFFFF
                and is_ordered
                and (not noted or prefix + format_tag(tag) not in noted)
                and (prefix or tag not in PIXELS)
            ):
                name = names[index] if names else format_tag(tag)
                size = self._scan_odd(element, prefix + name, explicit, little_endian)
            total += size + (8 if not stored_vr or stored_vr in SHORT_VRS else 12)
        return total

    def _scan_odd(
        self, element: Element, path: str, explicit: bool, little_endian: bool
    ) -> int:
        """Note the exceptions of an element, return the size of its value"""
        tag, _, stored_vr, length, _, _, items, _ = element
        if path in self._right_groups:
            return 4
        # the document does not have it at all
        is_absent = '#' in path.rpartition('/')[2] or not tag & 0xFFFF
        is_raw = element is not self._pixels and (
            is_absent
            or path in self._inexact
            # there is one element whose value is in frames
            or (tag in PIXELS and '/' not in path)
        )
        if items is None or is_raw:
            parts: list[Part] = []
            encode_content(
                parts, element, explicit=explicit, little_endian=little_endian
            )
            size = encoded_size(parts)
            if is_raw:
                raw = pack_bytes(self._store, self._source, parts)
                self._note(path, 'raw', raw)
        else:
            inner = item_encoding(stored_vr, items, explicit, little_endian)
            size = self._scan_items(items, path, *inner)
        if is_absent or path in self._vrs:
            self._note(path, 'vr', stored_vr)
        if items and not is_raw:
            self._sequences[length == UNDEFINED_LENGTH].append(path)
        elif length == UNDEFINED_LENGTH and element is not self._pixels:
            self._note(path, 'undefined', True)
        if length == UNDEFINED_LENGTH:
            return size + 8
        if length != size:
            self._note(path, 'length', length)
        return size

    def _scan_items(
        self, items: Sequence[Item], path: str, explicit: bool, little_endian: bool
    ) -> int:
        total = 0
        for number, (elements, length) in enumerate(items, 1):
            place = f'{path}/{number}'
            size = self._scan(elements, f'{place}/', explicit, little_endian)
            undefined = length == UNDEFINED_LENGTH
            self._items[undefined].append(place)
            if undefined:
                size += 8
            elif length != size:
                self._note(place, 'length', length)
            total += 8 + size
        return total

    def _note_order(self, elements: Sequence[Element], prefix: str) -> Sequence[str]:
        """Note the order, return names: all but the last of equal tags get a number"""
        tags = [element.tag for element in elements]
        todo = Counter(tags)
        names = []
        for tag in tags:
            name = format_tag(tag)
            todo[tag] -= 1
            names.append(f'{name}#{todo[tag]}' if todo[tag] else name)
        self._order[prefix] = [*names]
        return names


def _is_ordered(elements: Sequence[Element]) -> bool:
    """Whether tags are in ascending order, and none is there twice"""
    tags = [element[0] for element in elements]
    return all(map(lt, tags, tags[1:]))


def _is_right_group_length(
    elements: Sequence[Element], index: int, explicit: bool, little_endian: bool
) -> bool:
    """Whether a *Group Length* (gggg,0000) is as the rules would make it"""
    element = elements[index]
    group = element.tag >> 16
    if element.stored_vr != ('UL' if explicit else '') or element.length != 4:
        return False
    size = group_length(
        elements[index + 1 :], group, explicit=explicit, little_endian=little_endian
    )
    is_first = all(e.tag >> 16 != group for e in elements[:index])
    return is_first and element.value == pack('<L' if little_endian else '>L', size)
