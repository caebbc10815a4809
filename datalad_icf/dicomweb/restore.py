"""Data elements from JSON metadata, and from how they are encoded"""

from __future__ import annotations

from collections.abc import Mapping
from struct import pack
from typing import Any

from datalad_icf.dicomweb.blobs import BlobStore
from datalad_icf.dicomweb.charset import (
    DEFAULT_ENCODINGS,
    SPECIFIC_CHARACTER_SET,
    Encodings,
    find_encodings,
)
from datalad_icf.dicomweb.encode import (
    Part,
    encode_content,
    encode_elements,
    encoded_size,
    group_length,
)
from datalad_icf.dicomweb.json_values import WORD_SIZES, encode_value
from datalad_icf.dicomweb.model import (
    UNDEFINED_LENGTH,
    Element,
    Item,
    Span,
    format_tag,
)

_CHARACTER_SET = format_tag(SPECIFIC_CHARACTER_SET)


class Restorer:
    """Makes the data elements of a data set

    Parameters
    ----------
    encoding
        What `EncodingScan.describe` gave.
    blobs
        Gets what is not in the metadata.
    explicit, little_endian
        How the data set is encoded.
    pixels
        Tag of the element whose value is in frames, and its value or fragments.
    """

    def __init__(
        self,
        encoding: Mapping[str, Any],
        blobs: BlobStore,
        *,
        explicit: bool,
        little_endian: bool,
        pixels: Mapping[str, Span | tuple[Span, ...]],
    ) -> None:
        self._blobs = blobs
        self._explicit = explicit
        self._little_endian = little_endian
        self._pixels = pixels
        self._order: Mapping[str, list[str]] = encoding.get('order', {})
        self._exceptions: Mapping[str, dict[str, Any]] = encoding.get('elements', {})
        self._groups = [f'{group}0000' for group in encoding.get('groupLengths', ())]
        self._undefined_sequences = encoding.get('undefinedSequences', False)
        self._undefined_items = encoding.get('undefinedItems', False)
        # tags of what has an exception but no member in the JSON document
        self._extra: dict[str, list[str]] = {}
        for path, exception in self._exceptions.items():
            if 'raw' in exception:
                prefix, _, name = path.rpartition('/')
                prefix = f'{prefix}/' if prefix else ''
                self._extra.setdefault(prefix, []).append(name)

    def restore(self, document: Mapping[str, Any]) -> tuple[Element, ...]:
        """Make the data elements

        Parameters
        ----------
        document
            The DICOM JSON Model of the data set, from `read_document`.

        Raises
        ------
        ValueError, KeyError, TypeError
            If it is none, or if the encoding is another one's.
        RebuildError
            If bulk data are missing.
        """
        elements = self._restore(document, '', self._explicit, DEFAULT_ENCODINGS)
        for index, element in enumerate(elements):
            if format_tag(element.tag) in self._groups:
                size = group_length(
                    elements[index + 1 :],
                    element.tag >> 16,
                    explicit=self._explicit,
                    little_endian=self._little_endian,
                )
                value = pack('<L' if self._little_endian else '>L', size)
                elements[index] = element._replace(value=value)
        return tuple(elements)

    def _restore(
        self,
        document: Mapping[str, Any],
        prefix: str,
        explicit: bool,
        encodings: Encodings,
    ) -> list[Element]:
        names = self._order.get(prefix)
        if names is None:
            added = self._extra.get(prefix, ())
            names = sorted({*document, *added, *(() if prefix else self._groups)})
        if _CHARACTER_SET in names:
            encodings, _ = find_encodings(
                self._exact_value(document, prefix, _CHARACTER_SET, encodings)
            )
        return [
            self._restore_element(document, prefix, name, explicit, encodings)
            for name in names
        ]

    def _exact_value(
        self,
        document: Mapping[str, Any],
        prefix: str,
        name: str,
        encodings: Encodings,
    ) -> bytes:
        exception = self._exceptions.get(prefix + name, {})
        if 'raw' in exception:
            return self._blobs.unpack_bytes(exception['raw'])
        entry = document[name]
        return encode_value(
            entry['vr'], entry, encodings=encodings, little_endian=self._little_endian
        )

    def _restore_element(
        self,
        document: Mapping[str, Any],
        prefix: str,
        name: str,
        explicit: bool,
        encodings: Encodings,
    ) -> Element:
        path = prefix + name
        exception = self._exceptions.get(path, {})
        entry = document.get(name, {})
        # without an entry, it is a group length if nothing else is said
        vr = entry.get('vr', 'UL')
        stored_vr = exception.get('vr', vr if explicit else '')
        value: bytes | None = None
        span: Span | None = None
        items: tuple[Item, ...] | None = None
        fragments: tuple[Span, ...] | None = None
        is_undefined = False
        if 'raw' in exception:
            raw = self._blobs.unpack(exception['raw'])
            value, span = (None, raw) if isinstance(raw, Span) else (raw, None)
        elif path in self._pixels:
            pixels = self._pixels[path]
            if isinstance(pixels, Span):
                span = pixels
            else:
                fragments = pixels
                is_undefined = True
        elif 'BulkDataURI' in entry:
            span = self._blobs.add_bulkdata(
                entry['BulkDataURI'].rpartition('/')[2],
                1 if self._little_endian else WORD_SIZES.get(vr, 1),
            )
        elif vr == 'SQ':
            items = tuple(
                self._restore_item(
                    item, f'{path}/{number}', explicit and stored_vr != 'UN', encodings
                )
                for number, item in enumerate(entry.get('Value', ()), 1)
            )
            is_undefined = bool(items) and self._undefined_sequences
        elif name in self._groups and not prefix:
            value = bytes(4)
        else:
            value = self._exact_value(document, prefix, name, encodings)
        tag = int(name.partition('#')[0], 16)
        element = Element(tag, vr, stored_vr, 0, value, span, items, fragments)
        if exception.get('undefined', is_undefined):
            return element._replace(length=UNDEFINED_LENGTH)
        length = exception.get('length')
        if length is None:
            parts: list[Part] = []
            encode_content(
                parts,
                element,
                explicit=explicit,
                little_endian=self._little_endian,
            )
            length = encoded_size(parts)
        return element._replace(length=length)

    def _restore_item(
        self,
        document: Mapping[str, Any],
        path: str,
        explicit: bool,
        encodings: Encodings,
    ) -> Item:
        elements = self._restore(document, f'{path}/', explicit, encodings)
        exception = self._exceptions.get(path, {})
        if exception.get('undefined', self._undefined_items):
            return Item(tuple(elements), UNDEFINED_LENGTH)
        length = exception.get('length')
        if length is None:
            parts: list[Part] = []
            encode_elements(
                parts, elements, explicit=explicit, little_endian=self._little_endian
            )
            length = encoded_size(parts)
        return Item(tuple(elements), length)
