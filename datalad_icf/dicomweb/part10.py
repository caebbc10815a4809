"""A transformed instance as a DICOM file (PS3.10, 7)"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

from datalad_icf.dicomweb.encode import Part, encode_elements, with_right_lengths
from datalad_icf.dicomweb.info import MAGIC
from datalad_icf.dicomweb.model import Element, Instance, Span
from datalad_icf.dicomweb.source import ByteSource

_BLOCK = 1 << 20


def iter_part10(instance: Instance) -> Iterator[bytes]:
    """Encode an instance as a DICOM file, in its own transfer syntax

    Parameters
    ----------
    instance
        As a transformation made it. All lengths are set to what they have to be.

    Yields
    ------
    bytes
        Parts of about 1 MB at most, but for values that are in memory anyway.

    Raises
    ------
    EOFError
        If the source ends before what the instance says.
    """
    head: list[Part] = [instance.preamble, MAGIC] if instance.preamble else []
    _encode(head, instance.file_meta, explicit=True, little_endian=True)
    yield from _iter_bytes(head, instance.file)
    parts: list[Part] = []
    _encode(
        parts,
        instance.elements,
        explicit=instance.explicit,
        little_endian=instance.little_endian,
    )
    data = _iter_bytes(parts, instance.source)
    if instance.deflated is None:
        yield from data
        return
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    for each in data:
        yield compressor.compress(each)
    yield compressor.flush()


def _encode(
    parts: list[Part],
    elements: Iterable[Element],
    *,
    explicit: bool,
    little_endian: bool,
) -> None:
    fitting = with_right_lengths(
        elements, explicit=explicit, little_endian=little_endian
    )
    encode_elements(parts, fitting, explicit=explicit, little_endian=little_endian)


def _iter_bytes(parts: Iterable[Part], source: ByteSource) -> Iterator[bytes]:
    for part in parts:
        if not isinstance(part, Span):
            yield part
            continue
        end = part.offset + part.length
        for start in range(part.offset, end, _BLOCK):
            data = source.read(start, min(_BLOCK, end - start))
            if len(data) < min(_BLOCK, end - start):
                raise EOFError
            yield data
