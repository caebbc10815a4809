"""The time zone that explains why a tarball has another digest"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from datetime import datetime, timezone, tzinfo
from functools import partial
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from datalad_icf.dicom import (
    HeaderError,
    TarballLister,
    build_member_header,
    open_part,
    read_elements,
    study_timestamp,
)
from datalad_icf.dicom.header import STUDY_DATE, STUDY_TIME
from datalad_icf.dicom.tar_format import BLOCK, RECORD, padding
from datalad_icf.errors import TarballError

_HEAD = 8192
_READ = 1 << 20
# names by which people know a zone, before its many synonyms
_USUAL = ('UTC', 'Europe/Berlin', 'Europe/London', 'America/New_York', 'Asia/Tokyo')


class _Part(NamedTuple):
    """A member: where it is, and the study time that its times come from"""

    name: str
    offset: int
    size: int
    date: bytes
    time: bytes


def find_zones(tarball: Path, md5: str) -> list[str]:
    """Find the zones with which the tarball would have another MD5

    The modification times of members are *Study Date* and *Study Time*, read in some
    time zone. The content of the members and all else in the tarball are taken as
    they are. The tarball is read once, however many zones there are.

    Parameters
    ----------
    tarball
        A tarball of `datalad_icf.dicom.write_tarball`.
    md5
        The other MD5.

    Returns
    -------
    list of str
        Names of zones, the best known first; none if no zone explains it.
    """
    try:
        with TarballLister(tarball) as lister:
            fd = lister.fileno()
            parts = [
                _Part(
                    member.name,
                    member.offset,
                    member.size,
                    *_read_time(fd, member.offset, member.size),
                )
                for member in lister.members()
            ]
            candidates = _find_candidates(parts)
            digests = list(_digest(fd, parts, list(candidates)))
    except (TarballError, OSError):
        return []
    for times, digest in zip(candidates, digests):
        if digest == md5:
            names = candidates[times]
            known = [name for name in _USUAL if name in names]
            # most synonyms are historical, and have no place in them
            others = sorted(names, key=lambda name: ('/' not in name, name))
            return list(dict.fromkeys(known + others))
    return []


def _read_time(fd: int, offset: int, size: int) -> tuple[bytes, bytes]:
    head = os.pread(fd, min(size, _HEAD), offset)
    try:
        elements = read_elements(
            head,
            frozenset((STUDY_DATE, STUDY_TIME)),
            partial(open_part, fd, offset, size),
        )
    except HeaderError:
        return b'', b''
    date, time = elements.get(STUDY_DATE), elements.get(STUDY_TIME)
    return (date.value if date else b''), (time.value if time else b'')


def _find_candidates(parts: list[_Part]) -> dict[tuple[float, ...], list[str]]:
    """Times of all members to the names of the zones that give them"""
    moments = sorted({(part.date, part.time) for part in parts})
    candidates: dict[tuple[float, ...], list[str]] = {}
    # of each set of times once: most zones are synonyms on a given day
    for name in sorted(available_timezones()):
        try:
            zone: tzinfo = timezone.utc if name == 'UTC' else ZoneInfo(name)
        except (OSError, ValueError):
            continue
        known = {moment: _convert(*moment, zone) for moment in moments}
        latest = max((t for t in known.values() if t is not None), default=None)
        if latest is None:
            latest = datetime(1970, 1, 1, tzinfo=zone).timestamp()
        times = tuple(
            latest if time is None else time
            for time in (known[part.date, part.time] for part in parts)
        )
        candidates.setdefault(times, []).append(name)
    return candidates


def _convert(date: bytes, time: bytes, zone: tzinfo) -> float | None:
    try:
        return study_timestamp(date, time, zone)
    except ValueError:
        return None


def _digest(
    fd: int, parts: list[_Part], candidates: list[tuple[float, ...]]
) -> Iterator[str]:
    """MD5 of the tarball with each of these times"""
    digests = [hashlib.md5(usedforsecurity=False) for _ in candidates]
    size = 0
    for i, part in enumerate(parts):
        for digest, times in zip(digests, candidates):
            header = build_member_header(part.name, part.size, times[i])
            digest.update(header)
        # zones have offsets of different lengths in digits, but all in one block
        size += len(header) + part.size + padding(part.size)
        for start in range(0, part.size, _READ):
            content = os.pread(fd, min(_READ, part.size - start), part.offset + start)
            for digest in digests:
                digest.update(content)
        for digest in digests:
            digest.update(bytes(padding(part.size)))
    size += 2 * BLOCK
    for digest in digests:
        digest.update(bytes(2 * BLOCK + padding(size, RECORD)))
        yield digest.hexdigest()
