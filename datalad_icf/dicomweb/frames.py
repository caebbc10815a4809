"""Pixel Data, cut into frames as they are served (PS3.18, 10.4)"""

from __future__ import annotations

import re
from collections.abc import Mapping

from datalad_icf.dicomweb.fragments import group_fragments
from datalad_icf.dicomweb.frame_list import BitRange, FrameList
from datalad_icf.dicomweb.media_types import (
    EXPLICIT_LITTLE_ENDIAN,
    OCTET_STREAM,
    is_native,
    is_referenced,
    is_video,
    media_type,
)
from datalad_icf.dicomweb.model import (
    DOUBLE_FLOAT_PIXEL_DATA,
    FLOAT_PIXEL_DATA,
    PIXEL_DATA,
    PIXELS_LOST,
    Element,
    Instance,
    Problem,
    Span,
    format_tag,
)
from datalad_icf.dicomweb.source import ByteSource, BytesSource

_SAMPLES_PER_PIXEL = 0x00280002
_PHOTOMETRIC_INTERPRETATION = 0x00280004
_NUMBER_OF_FRAMES = 0x00280008
_ROWS = 0x00280010
_COLUMNS = 0x00280011
_BITS_ALLOCATED = 0x00280100
_EXTENDED_OFFSET_TABLE = 0x7FE00001
_ENCAPSULATED_UNCOMPRESSED = '1.2.840.10008.1.2.1.98'
_PIXELS = (PIXEL_DATA, FLOAT_PIXEL_DATA, DOUBLE_FLOAT_PIXEL_DATA)
_BITS = {FLOAT_PIXEL_DATA: 32, DOUBLE_FLOAT_PIXEL_DATA: 64}
# two pixels share their colour: four numbers instead of six (PS3.3, C.7.6.3.1.2)
_SUBSAMPLED = (b'YBR_FULL_422', b'YBR_PARTIAL_422')
# sizes of numbers, in bytes, that have a byte order
_WORDS = (2, 4, 8)


def list_frames(instance: Instance) -> FrameList:
    """Find out where the frames of an instance are, without reading them

    Parameters
    ----------
    instance
        An image, or something that has no pixels.

    Returns
    -------
    FrameList
        Native frames are little endian, and each starts on a byte. Encapsulated
        ones are the stored codestreams; a video is one frame. Whatever is wrong
        is a problem of the list: it has the frames that are whole.
    """
    elements = {e.tag: e for e in instance.elements}
    pixels = next((elements[tag] for tag in _PIXELS if tag in elements), None)
    syntax = instance.transfer_syntax_uid
    if pixels is None:
        absent = FrameList(0, OCTET_STREAM, EXPLICIT_LITTLE_ENDIAN, instance.source)
        if is_referenced(syntax):
            text = 'the pixels are not in the file, but at a JPIP server'
            absent = absent._replace(problems=(Problem('', text),))
        return absent
    image = _Image(instance, elements, pixels.tag)
    if pixels.fragments is not None:
        return _list_encapsulated(instance, elements, pixels, image)
    return _list_native(instance, pixels, image)


class _Image:
    """The attributes that tell what a frame is; ``None`` is not known"""

    def __init__(
        self, instance: Instance, elements: Mapping[int, Element], tag: int
    ) -> None:
        self._little_endian = instance.little_endian
        self._elements = elements
        self.rows = self._number(_ROWS)
        self.columns = self._number(_COLUMNS)
        self.samples = self._number(_SAMPLES_PER_PIXEL)
        self.bits = _BITS.get(tag) or self._number(_BITS_ALLOCATED)
        photometric = self._text(_PHOTOMETRIC_INTERPRETATION)
        self.is_subsampled = photometric in _SUBSAMPLED
        text = self._text(_NUMBER_OF_FRAMES)
        self.states_frames = _NUMBER_OF_FRAMES in elements
        self.n_frames = int(text) if re.fullmatch(rb'\+?\d{1,10}', text) else None
        if self.n_frames == 0:
            self.n_frames = None

    def _text(self, tag: int) -> bytes:
        element = self._elements.get(tag)
        return (element.value or b'').strip(b' \0') if element else b''

    def _number(self, tag: int) -> int | None:
        element = self._elements.get(tag)
        if element is None or not element.value or len(element.value) < 2:
            return None
        return int.from_bytes(
            element.value[:2], 'little' if self._little_endian else 'big'
        )


def _list_encapsulated(
    instance: Instance,
    elements: Mapping[int, Element],
    pixels: Element,
    image: _Image,
) -> FrameList:
    table, *fragments = pixels.fragments or (Span(0, 0),)
    source = instance.source
    syntax = instance.transfer_syntax_uid
    tag = format_tag(pixels.tag)
    problems = []
    n_frames = image.n_frames
    if n_frames is None:
        if image.states_frames:
            problems.append(Problem('00280008', 'Number of Frames is no number'))
        else:
            n_frames = 1
    if is_video(syntax):
        n_frames = 1
    extended = elements.get(_EXTENDED_OFFSET_TABLE)
    if is_video(syntax) and fragments:
        counts: tuple[int, ...] = (len(fragments),)
    else:
        counts, wrong = group_fragments(
            source,
            fragments,
            n_frames=n_frames,
            transfer_syntax_uid=syntax,
            basic_table=source.read(*table),
            extended_table=_value(source, extended) if extended else b'',
        )
        problems += [Problem(tag, text) for text in wrong]
    kind = media_type(syntax)
    if is_native(syntax) and syntax != _ENCAPSULATED_UNCOMPRESSED:
        problems.append(Problem(tag, 'fragments do not fit the transfer syntax'))
    frames = []
    start = 0
    for count in counts:
        frames.append(tuple(fragments[start : start + count]))
        start += count
    return FrameList(
        pixels.tag,
        kind,
        EXPLICIT_LITTLE_ENDIAN if is_native(syntax) else syntax,
        source,
        tuple(frames),
        image.rows or 0,
        image.columns or 0,
        image.bits or 0,
        problems=tuple(problems),
    )


def _list_native(instance: Instance, pixels: Element, image: _Image) -> FrameList:
    tag = format_tag(pixels.tag)
    if pixels.span is not None:
        source, value = instance.source, pixels.span
    else:
        source = BytesSource(pixels.value or b'')
        value = Span(0, source.size)
    # a file that is cut
    value = Span(value.offset, max(0, min(value.length, source.size - value.offset)))
    found = FrameList(
        pixels.tag,
        OCTET_STREAM,
        EXPLICIT_LITTLE_ENDIAN,
        source,
        rows=image.rows or 0,
        columns=image.columns or 0,
        bits=image.bits or 0,
        value=value,
        rest=value,
    )
    if instance.transfer_syntax_uid and not is_native(instance.transfer_syntax_uid):
        text = 'there are no fragments, as the transfer syntax demands'
        found = found._replace(problems=(Problem(tag, text),))
    size = _frame_bits(image, value.length, float_pixels=pixels.tag != PIXEL_DATA)
    if not size:
        text = 'Rows, Columns, Samples per Pixel or Bits Allocated are not known'
        return found._replace(problems=(*found.problems, Problem(tag, text)))
    word = 1
    if not instance.little_endian:
        word = (image.bits or 0) // 8
        if word not in _WORDS:
            word = 2 if pixels.vr == 'OW' else 1
    whole = value.length // word * word * 8 // size
    # pixels that were never there are not lost
    lost = PIXELS_LOST if value.length else ''
    n_frames, problems = _count_frames(image, whole, tag, lost)
    if not problems and value.length > -(-n_frames * size // 8) + 1:
        text = f'{value.length} bytes are more than {n_frames} frames have'
        problems = (Problem(tag, text),)
    frames: tuple[tuple[Span, ...] | BitRange, ...]
    if word == 1 and (size % 8 == 0 or n_frames == 1):
        n_bytes = -(-size // 8)
        end = n_frames * n_bytes
        frames = tuple(
            (Span(offset, n_bytes),)
            for offset in range(value.offset, value.offset + end, n_bytes)
        )
    else:
        end = n_frames * size // (8 * word) * word
        frames = tuple(BitRange(i * size, size) for i in range(n_frames))
    return found._replace(
        frames=frames,
        rest=Span(value.offset + end, value.length - end),
        word=word,
        problems=(*found.problems, *problems),
    )


def _frame_bits(image: _Image, length: int, *, float_pixels: bool) -> int:
    """Return the size of a frame in bits, 0 if it is not known"""
    samples = 1 if float_pixels and image.samples is None else image.samples
    if not (image.rows and image.columns and image.bits and samples):
        return 0
    size = image.rows * image.columns * image.bits * samples
    if image.is_subsampled and samples == 3:
        full = (image.n_frames or 1) * size // 8
        # some say so, and have all samples nevertheless
        if length not in (full, full + full % 2):
            return size // 3 * 2
    return size


def _count_frames(
    image: _Image, whole: int, tag: str, lost: str
) -> tuple[int, tuple[Problem, ...]]:
    """Compare what is stated with what is there"""
    if image.n_frames is None and image.states_frames:
        text = f'Number of Frames is no number; there are {whole} whole frames'
        return whole, (Problem('00280008', text),)
    if image.n_frames is None and whole > 1:
        text = f'Number of Frames is absent; there are {whole} whole frames'
        return whole, (Problem('00280008', text),)
    stated = image.n_frames or 1
    if whole < stated:
        text = f'{lost}there are {whole} whole frames, not {stated}'
        return whole, (Problem(tag, text),)
    return stated, ()


def _value(source: ByteSource, element: Element) -> bytes:
    if element.span is not None:
        return source.read(*element.span)
    return element.value or b''
