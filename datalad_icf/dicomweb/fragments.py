"""Which fragments of encapsulated Pixel Data make which frame (PS3.5, A.4)"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from struct import iter_unpack
from typing import NamedTuple

from datalad_icf.dicomweb.media_types import has_end_marker
from datalad_icf.dicomweb.model import PIXELS_LOST, Span
from datalad_icf.dicomweb.source import ByteSource

_END_OF_IMAGE = b'\xff\xd9'
# the marker, and what pads fragments to an even length
_END_SIZE = 10


class FragmentGroups(NamedTuple):
    """How many fragments each frame has

    Attributes
    ----------
    counts
        One number for each frame; together they are all fragments.
    problems
        What is wrong with them.
    """

    counts: tuple[int, ...]
    problems: tuple[str, ...] = ()


def group_fragments(
    source: ByteSource,
    fragments: Sequence[Span],
    *,
    n_frames: int | None,
    transfer_syntax_uid: str,
    basic_table: bytes = b'',
    extended_table: bytes = b'',
) -> FragmentGroups:
    """Find out where frames start

    Parameters
    ----------
    source, fragments
        Where the fragments are, without the Basic Offset Table.
    n_frames
        *Number of Frames* (0028,0008), 1 where it is absent, or ``None`` if it is
        not known.
    transfer_syntax_uid
        Of the file.
    basic_table
        The first fragment: 32-bit offsets (PS3.5, A.4).
    extended_table
        *Extended Offset Table* (7FE0,0001): 64-bit offsets (PS3.3, C.7.6.3.1.8).

    Returns
    -------
    FragmentGroups
        All fragments are in a frame, also if the tables and the number of frames
        contradict each other.
    """
    problems: list[str] = []
    if not fragments:
        return FragmentGroups((), ('there are no fragments',))
    for table, size, name in (
        (extended_table, 8, 'Extended'),
        (basic_table, 4, 'Basic'),
    ):
        if not table:
            continue
        counts = _follow_table(table, size, fragments)
        if counts is not None:
            return FragmentGroups(counts, tuple(problems) + _check(counts, n_frames))
        problems.append(f'the {name} Offset Table does not fit the fragments')
    counts = _search(source, fragments, n_frames, transfer_syntax_uid)
    return FragmentGroups(counts, tuple(problems) + _check(counts, n_frames))


def _check(counts: tuple[int, ...], n_frames: int | None) -> tuple[str, ...]:
    if n_frames in (None, len(counts)):
        return ()
    start = PIXELS_LOST if n_frames and len(counts) < n_frames else ''
    return (f'{start}{len(counts)} frames were found, not {n_frames}',)


def _follow_table(
    table: bytes, size: int, fragments: Sequence[Span]
) -> tuple[int, ...] | None:
    if len(table) % size:
        return None
    # offsets count from the first byte of the first item, after the table
    first = fragments[0].offset
    index = {span.offset - first: i for i, span in enumerate(fragments)}
    offsets = (o for (o,) in iter_unpack('<L' if size == 4 else '<Q', table))
    starts = [index.get(offset, -1) for offset in offsets]
    counts = tuple(b - a for a, b in pairwise((*starts, len(fragments))))
    if starts[0] != 0 or min(starts) < 0 or min(counts) < 1:
        return None
    return counts


def _search(
    source: ByteSource,
    fragments: Sequence[Span],
    n_frames: int | None,
    transfer_syntax_uid: str,
) -> tuple[int, ...]:
    n = len(fragments)
    if n_frames == n:
        return (1,) * n
    if n_frames == 1:
        return (n,)
    if not has_end_marker(transfer_syntax_uid):
        return (1,) * n
    counts = []
    count = 0
    for span in fragments:
        count += 1
        size = min(span.length, _END_SIZE)
        end = source.read(span.offset + span.length - size, size)
        if _END_OF_IMAGE in end:
            counts.append(count)
            count = 0
    if not counts:
        return (1,) * n
    if count and not any(span.length for span in fragments[n - count :]):
        counts[-1] += count
    elif count:
        counts.append(count)
    return tuple(counts)
