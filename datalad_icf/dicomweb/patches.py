"""Where encoded data elements differ from a file, and how to make them equal

A DICOM file can differ from what `encode_elements` makes of its data elements:
delimiters that are missing or not empty, reserved bytes that are not zero, a VR
that DICOM does not have. None of this has a meaning, but a file that is rebuilt
has to be the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby
from typing import NamedTuple

from datalad_icf.dicomweb.encode import Part
from datalad_icf.dicomweb.model import Span
from datalad_icf.dicomweb.source import ByteSource


class Patch(NamedTuple):
    """A change of encoded data elements

    Attributes
    ----------
    offset
        In what was encoded, in bytes.
    removed
        Number of bytes that are taken away there.
    added
        What comes there instead.
    """

    offset: int
    removed: int
    added: bytes


def find_patches(
    parts: Sequence[Part], source: ByteSource, start: int, end: int
) -> list[Patch]:
    """Compare encoded data elements with the file that they are from

    Parameters
    ----------
    parts
        From `encode_elements`. Spans are of ``source``, and not read.
    source, start, end
        The file, and where in it the data elements are, in bytes.

    Returns
    -------
    list of Patch
        In ascending order, empty if all is equal.

    Examples
    --------
    >>> from datalad_icf.dicomweb.source import BytesSource
    >>> find_patches([b'abc', Span(3, 2), b'gh'], BytesSource(b'abXdeZgh'), 0, 8)
    [Patch(offset=2, removed=1, added=b'X'), Patch(offset=5, removed=0, added=b'Z')]
    """
    patches: list[Patch] = []
    position = 0
    for made, span in _blocks(parts):
        stop = end if span is None else span.offset
        found = source.read(start, max(0, stop - start))
        if found != made:
            patches += _compare(made, found, position)
        position += len(made)
        if span is not None:
            position += span.length
            start = span.offset + span.length
    return patches


def apply_patches(chunks: Iterable[bytes], patches: Iterable[Patch]) -> Iterator[bytes]:
    """Change encoded data elements

    Parameters
    ----------
    chunks
        The bytes of all parts, cut anyhow.
    patches
        In ascending order.

    Raises
    ------
    ValueError
        If the patches are for something else.

    Examples
    --------
    >>> b''.join(apply_patches([b'ab', b'cd'], [Patch(1, 2, b'X')]))
    b'aXd'
    """
    todo = list(patches)[::-1]
    position = 0
    removed = 0
    # the empty one is for what is added at the end
    for chunk in chain(chunks, (b'',)):
        start = 0
        while True:
            # between two patches, one of both is nothing
            skipped = min(removed, len(chunk) - start)
            removed -= skipped
            start += skipped
            end = len(chunk)
            if todo and not removed:
                end = min(end, todo[-1].offset - position)
            if end < start:
                break
            if end > start:
                yield chunk[start:end]
            start = end
            if removed or not todo or todo[-1].offset != position + end:
                break
            patch = todo.pop()
            yield patch.added
            removed = patch.removed
        position += len(chunk)
    if todo or removed:
        raise ValueError('the patches do not fit')


def _blocks(parts: Sequence[Part]) -> Iterator[tuple[bytes, Span | None]]:
    """Join the bytes up to each span, and after the last"""
    types = list(map(type, parts))
    start = 0
    for _ in range(types.count(Span)):
        index = types.index(Span, start)
        # all of them are bytes, which mypy cannot know
        yield b''.join(parts[start:index]), Span(*parts[index])  # type: ignore[arg-type]
        start = index + 1
    yield b''.join(parts[start:]), None  # type: ignore[arg-type]


def _compare(made: bytes, found: bytes, position: int) -> Iterator[Patch]:
    if len(made) == len(found):
        places = (i for i, (a, b) in enumerate(zip(made, found)) if a != b)
        # consecutive places have the same difference from their index
        for _, run in groupby(enumerate(places), lambda pair: pair[1] - pair[0]):
            indices = [place for _, place in run]
            first, last = indices[0], indices[-1] + 1
            yield Patch(position + first, last - first, found[first:last])
        return
    shorter = min(len(made), len(found))
    head = _common(made, found, shorter)
    tail = _common(made[::-1], found[::-1], shorter - head)
    yield Patch(
        position + head,
        len(made) - head - tail,
        found[head : len(found) - tail],
    )


def _common(first: bytes, second: bytes, most: int) -> int:
    """Return how many bytes are equal at the start, but not more than some"""
    return next((i for i in range(most) if first[i] != second[i]), most)
