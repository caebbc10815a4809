"""A small visit as a scanner exports it, of a person who does not exist"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from demo.instance import build_instance, encode, make_uid
from demo.series import BOLD, DEFAULT_SERIES, LOCALIZER, T1W, Series

__all__ = [
    'BOLD',
    'DEFAULT_SERIES',
    'LOCALIZER',
    'T1W',
    'Series',
    'build_instance',
    'encode',
    'make_uid',
    'write_phantom',
]

NOTES_NAME = 'scan-notes.txt'


def write_phantom(
    directory: Path,
    *,
    series: Iterable[Series] = DEFAULT_SERIES,
    visit: str = 'V01',
    notes: bool = True,
    **attributes: Any,
) -> list[Path]:
    """Write a visit: a directory for each series, and the operator's notes

    Parameters
    ----------
    directory
        Where to write; made if it does not exist.
    series
        What to write.
    visit, **attributes
        As for `build_instance`.
    notes
        Whether to write a text file, too. Nothing in it is DICOM.

    Returns
    -------
    list of Path
        The files, in the order in which they were written. The same call
        writes the same bytes.
    """
    written = []
    for one in series:
        target = directory / one.directory
        target.mkdir(parents=True, exist_ok=True)
        for index in range(len(one)):
            path = target / f'{index + 1:04d}.dcm'
            instance = build_instance(one, index, visit=visit, **attributes)
            path.write_bytes(encode(instance))
            written.append(path)
    if notes:
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / NOTES_NAME
        text = f'Visit {visit}: phantom, no motion, no contrast agent.\n'
        path.write_bytes(text.encode())
        written.append(path)
    return written
