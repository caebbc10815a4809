"""The resource ``info``: what of a DICOM file its JSON metadata cannot hold

Metadata, bulk data, frames and ``info`` of an instance together are the file: see
`datalad_icf.dicomweb.rebuild`. Its form is described in the design part of the
documentation.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from datalad_icf.dicomweb.bulk import BulkItem, make_bulk
from datalad_icf.dicomweb.charset import DEFAULT_ENCODINGS
from datalad_icf.dicomweb.encode import (
    Part,
    encode_elements,
    with_right_lengths,
)
from datalad_icf.dicomweb.exceptions import EncodingScan, JsonValue, pack_bytes
from datalad_icf.dicomweb.frame_list import BitRange, FrameList
from datalad_icf.dicomweb.json_model import InstanceJson
from datalad_icf.dicomweb.json_values import UnfitValue, encode_value, write_value
from datalad_icf.dicomweb.model import Element, Instance, Span, format_tag
from datalad_icf.dicomweb.patches import Patch, find_patches
from datalad_icf.dicomweb.source import ByteSource

INFO_VERSION = 1
MAGIC = b'DICM'
EMPTY_PREAMBLE = bytes(128)
_LITTLE_EXPLICIT = {'explicit': True, 'little_endian': True}
# the default of zlib first, then what else is in use
_LEVELS = (6, 9, 1, 5, 4, 3, 2, 7, 8, 0)
_BLOCK = 1 << 20
# names of files that are no UTF-8 are lone surrogates, hence ASCII only
_to_json = json.JSONEncoder(separators=(',', ':')).encode


class Origin(NamedTuple):
    """Where a file is in the tarball

    Attributes
    ----------
    name
        Path as it stands in the tarball.
    offset, size
        Position and number of its bytes.
    md5
        Of its bytes, 32 hexadecimal digits.
    """

    name: str
    offset: int
    size: int
    md5: str


class Info(NamedTuple):
    """The content of ``info``, and what has to be stored with it

    Attributes
    ----------
    document
        A JSON object.
    bulk
        Values that are too long for the document, to be written as the other bulk
        data of the study, each with the source that it is in. Usually empty.
    """

    document: dict[str, JsonValue]
    bulk: tuple[tuple[ByteSource, BulkItem], ...] = ()

    def encode(self) -> bytes:
        """Content of the file"""
        return _to_json(self.document).encode() + b'\n'


def build_info(
    instance: Instance,
    json_parts: InstanceJson,
    frames: FrameList,
    origin: Origin,
    *,
    transformed: Sequence[str] = (),
) -> Info:
    """Describe how an instance is encoded

    Parameters
    ----------
    instance
        The instance, as the transformations left it.
    json_parts
        Its metadata.
    frames
        Its frames.
    origin
        Where the file is from.
    transformed
        What was done with the instance, if anything. The file cannot be rebuilt
        then, but one with right lengths can. Nothing but the elements that are
        left is in the document, so not the bytes that could not be read either.

    Returns
    -------
    Info
        Derived from nothing but the arguments.

    Raises
    ------
    EOFError
        If a source ends before what the instance says.
    """
    return _Builder(instance, frames).build(origin, json_parts, transformed)


class _Builder:
    def __init__(self, instance: Instance, frames: FrameList) -> None:
        self._instance = instance
        self._frames = frames
        self._bulk: list[tuple[ByteSource, BulkItem]] = []

    def build(
        self, origin: Origin, json_parts: InstanceJson, transformed: Sequence[str]
    ) -> Info:
        instance = self._instance
        how = {
            'explicit': instance.explicit,
            'little_endian': instance.little_endian,
        }
        document: dict[str, JsonValue] = {
            'version': INFO_VERSION,
            'member': {
                'name': origin.name,
                'offset': origin.offset,
                'size': origin.size,
                'md5': origin.md5,
            },
        }
        file_meta, elements = instance.file_meta, instance.elements
        if transformed:
            document['transformed'] = [*transformed]
            file_meta = with_right_lengths(file_meta, **_LITTLE_EXPLICIT)
            elements = with_right_lengths(elements, **how)
            if not instance.preamble:
                document['preamble'] = None
        elif instance.preamble != EMPTY_PREAMBLE:
            document['preamble'] = (
                self._pack(instance.preamble) if instance.preamble else None
            )
        document['fileMeta'], encoding = self._describe_file_meta(file_meta)
        if encoding:
            document['fileMetaEncoding'] = encoding
        document['transferSyntaxUID'] = instance.transfer_syntax_uid
        document['explicitVR'] = instance.explicit
        document['littleEndian'] = instance.little_endian
        pixels = None
        if self._frames.tag:
            # the last, as in `list_frames`
            pixels = next(e for e in elements[::-1] if e.tag == self._frames.tag)
            document['pixelData'] = self._describe_pixels(pixels)
        scan = EncodingScan(
            instance.source,
            inexact=json_parts.inexact,
            vrs=json_parts.vrs,
            store=self._store,
            pixels=pixels,
        )
        encoding = scan.describe(elements, **how)
        if encoding:
            document['encoding'] = encoding
        if json_parts.bulk:
            document['bulkdata'] = [
                {'path': path, 'length': _bulk_length(item), 'name': item.name}
                for path, item in json_parts.bulk
            ]
        if instance.deflated is not None:
            deflated = self._describe_deflated(instance.deflated, bool(transformed))
            document['deflated'] = deflated
        if not transformed:
            self._describe_rest(document, elements)
        return Info(document, tuple(self._bulk))

    def _store(self, source: ByteSource, parts: Sequence[Part]) -> str:
        if len(parts) == 1 and isinstance(parts[0], Span):
            item = make_bulk(source, None, parts[0], 1)
        else:
            data = b''.join(
                source.read(*part) if isinstance(part, Span) else part for part in parts
            )
            item = make_bulk(source, data, None, 1)
        self._bulk.append((source, item))
        return item.name

    def _pack(self, *parts: Part, source: ByteSource | None = None) -> JsonValue:
        return pack_bytes(self._store, source or self._instance.source, parts)

    def _describe_file_meta(
        self, file_meta: Sequence[Element]
    ) -> tuple[dict[str, JsonValue], dict[str, JsonValue]]:
        document: dict[str, JsonValue] = {}
        inexact = set()
        vrs = set()
        for element in file_meta:
            if not element.tag & 0xFFFF:
                # made by the rules if it is right, and else an exception
                continue
            name = format_tag(element.tag)
            value = element.value
            entry, is_exact = (
                (None, False) if value is None else _write_entry(element.vr, value)
            )
            if entry is not None:
                document[name] = entry
            if not is_exact:
                inexact.add(name)
            if entry is None or element.vr != element.stored_vr:
                vrs.add(name)
        scan = EncodingScan(
            self._instance.file, inexact=inexact, vrs=vrs, store=self._store
        )
        return document, scan.describe(file_meta, **_LITTLE_EXPLICIT)

    def _describe_pixels(self, pixels: Element) -> dict[str, JsonValue]:
        frames = self._frames
        described: dict[str, JsonValue] = {
            'tag': format_tag(frames.tag),
            'mediaType': frames.media_type,
            'transferSyntaxUID': frames.transfer_syntax_uid,
            'numberOfFrames': len(frames.frames),
            'rows': frames.rows,
            'columns': frames.columns,
            'bitsAllocated': frames.bits,
        }
        if pixels.fragments is not None:
            lengths = [
                [span.length for span in frame]
                for frame in frames.frames
                if not isinstance(frame, BitRange)
            ]
            described['offsetTable'] = self._describe_table(pixels.fragments)
            described['fragments'] = [
                length[0] if len(length) == 1 else [*length] for length in lengths
            ]
            return described
        if frames.frames:
            first = frames.frames[0]
            described['frameBits'] = (
                first.length
                if isinstance(first, BitRange)
                else 8 * sum(span.length for span in first)
            )
            if isinstance(first, BitRange):
                described['word'] = frames.word
        if frames.rest.length:
            described['rest'] = self._pack(frames.rest, source=frames.source)
        return described

    def _describe_table(self, fragments: Sequence[Span]) -> JsonValue:
        """Describe the Basic Offset Table: ``None`` if there is not even a place"""
        if not fragments:
            return None
        table = self._instance.source.read(*fragments[0])
        if not table:
            return 'empty'
        counts = (len(frame) for frame in self._frames.frames)
        if table == basic_offset_table(fragments[1:], counts):
            return 'complete'
        return {'raw': self._pack(table)}

    def _describe_deflated(
        self, deflated: Span, is_transformed: bool
    ) -> dict[str, JsonValue]:
        """Find out what makes the same deflated bytes again"""
        instance = self._instance
        if is_transformed:
            return {'level': _LEVELS[0]}
        for level in _LEVELS:
            length = _deflates_to(instance.source, level, instance.file, deflated)
            if length is None:
                continue
            described: dict[str, JsonValue] = {'level': level}
            if length < deflated.length:
                rest = Span(deflated.offset + length, deflated.length - length)
                described['rest'] = self._pack(rest, source=instance.file)
            return described
        return {'raw': self._pack(deflated, source=instance.file)}

    def _describe_rest(
        self, document: dict[str, JsonValue], elements: Sequence[Element]
    ) -> None:
        """Describe what the rules and their exceptions would not make"""
        instance = self._instance
        head: list[Part] = []
        if instance.preamble:
            head += [instance.preamble, MAGIC]
        encode_elements(head, instance.file_meta, **_LITTLE_EXPLICIT)
        parts: list[Part] = []
        encode_elements(
            parts,
            elements,
            explicit=instance.explicit,
            little_endian=instance.little_endian,
        )
        if instance.deflated is None:
            parts = head + parts
        else:
            stop = instance.deflated.offset
            patches = find_patches(head, instance.file, 0, stop)
            if patches:
                document['headPatches'] = self._describe_patches(patches)
        if instance.trailing.length:
            document['trailing'] = self._pack(instance.trailing)
        patches = find_patches(parts, instance.source, 0, instance.trailing.offset)
        if patches:
            document['patches'] = self._describe_patches(patches)

    def _describe_patches(self, patches: Iterable[Patch]) -> list[JsonValue]:
        return [[p.offset, p.removed, self._pack(p.added)] for p in patches]


def basic_offset_table(fragments: Sequence[Span], counts: Iterable[int]) -> bytes:
    """Make a Basic Offset Table (PS3.5, A.4)

    Parameters
    ----------
    fragments
        All but the table itself; their offsets do not matter.
    counts
        How many of them each frame has.

    Returns
    -------
    bytes
        Empty if a frame starts after more than 4 GB.

    Examples
    --------
    >>> basic_offset_table([Span(0, 8), Span(0, 2), Span(0, 4)], [2, 1]).hex(' ', 4)
    '00000000 1a000000'
    """
    table = bytearray()
    position = 0
    start = 0
    for count in counts:
        if position >= 1 << 32:
            return b''
        table += position.to_bytes(4, 'little')
        position += sum(8 + span.length for span in fragments[start : start + count])
        start += count
    return bytes(table)


@lru_cache(maxsize=4096)
def _write_entry(vr: str, value: bytes) -> tuple[dict[str, JsonValue] | None, bool]:
    """Return the JSON of an element of the file meta information, and if it is exact"""
    how = {'encodings': DEFAULT_ENCODINGS, 'little_endian': True}
    try:
        written, _ = write_value(vr, value, **how)  # type: ignore[arg-type]
        entry = json.loads(b'{"vr":"%b"%b}' % (vr.encode(), written))
        return entry, encode_value(vr, entry, **how) == value  # type: ignore[arg-type]
    except (UnfitValue, ValueError):
        return None, False


def _bulk_length(item: BulkItem) -> int:
    return len(item.value or b'') if item.span is None else item.span.length


def _deflates_to(
    source: ByteSource, level: int, file: ByteSource, deflated: Span
) -> int | None:
    """Return how many bytes of a file are what deflating gives, if it fits"""
    compressor = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    done = 0
    position = 0
    while True:
        data = source.read(position, _BLOCK)
        position += len(data)
        made = compressor.compress(data) if data else compressor.flush()
        if done + len(made) > deflated.length:
            return None
        if made != file.read(deflated.offset + done, len(made)):
            return None
        done += len(made)
        if not data:
            return done
