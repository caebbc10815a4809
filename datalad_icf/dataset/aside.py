"""Directories that appear at their place whole, or not at all

A directory is made in a hidden one beside its target and then renamed, so what has its
name is finished, however a process ended. Where somebody has made an empty directory,
the hidden one is in it, and the content moves: the directory may have rights of its
own, be a mount point, or be where a shell is.

The hidden directory has a file that is locked by the process at work. Others wait for
it, and what a killed one has left is removed by the next.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from logging import getLogger
from pathlib import Path

from datalad_icf.errors import BusyError, ConflictError

lgr = getLogger('datalad.icf.clone')

_INSIDE = '.icf-clone'
_LOCK = 'lock'
# what only has to be moved any more
_FINISHED = 'finished'
# each but the last fails only if another process is ready at that very moment
_ATTEMPTS = 100


def is_free(target: Path) -> bool:
    """Whether a directory can be made at a path, also by another process by now"""
    if not os.path.lexists(target):
        return True
    if (target / _INSIDE / _FINISHED).is_dir():
        # a process is about to be ready, or was killed when it was
        return True
    return target.is_dir() and all(p.name == _INSIDE for p in target.iterdir())


@contextmanager
def work_aside(target: Path) -> Iterator[Path]:
    """Wait for a place to work at that no other process has

    What is at the target may be another thing by then.

    Parameters
    ----------
    target
        Absolute path of the directory that is to be made, by `put_in_place`.

    Yields
    ------
    Path
        Where to make it: a path of the same name that does not exist. After an error,
        all that was made is removed, also directories above the target.
    """
    made: list[Path] = []
    try:
        place, fd = _lock_place(target, made)
        try:
            _finish(place, target)
            _clear(place)
            # a name of its own: children of a killed process may be at work yet
            yield Path(tempfile.mkdtemp(prefix='new-', dir=place), target.name)
        finally:
            _clear(place)
            with suppress(OSError):
                (place / _LOCK).unlink()
                place.rmdir()
            os.close(fd)
    finally:
        for parent in made:
            # those that are in use stay
            with suppress(OSError):
                parent.rmdir()


def put_in_place(made: Path, target: Path) -> None:
    """Let a directory that was made aside appear at its target

    Raises
    ------
    ConflictError
        If something else has come there.
    """
    try:
        if not target.is_dir():
            os.rename(made, target)
            return
        finished = made.parent.with_name(_FINISHED)
        os.rename(made, finished)
        _move_content(finished, target)
    except OSError as e:
        msg = f'{target} cannot appear at its place: {e.strerror or e}'
        raise ConflictError(msg) from e


def _find_place(target: Path) -> Path:
    inside = target / _INSIDE
    if inside.is_dir() or (target.is_dir() and not any(target.iterdir())):
        return inside
    return target.with_name(f'.{target.name}{_INSIDE}')


def _lock_place(target: Path, made: list[Path]) -> tuple[Path, int]:
    """Make the hidden directory, and wait for its lock

    Parameters
    ----------
    target
        What is to be made.
    made
        Gets the directories above that were made, the lowest first.
    """
    is_told = False
    for attempt in range(_ATTEMPTS):
        _make_parents(target.parent, made)
        place = _find_place(target)
        try:
            with suppress(FileExistsError):
                place.mkdir()
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(place / _LOCK, flags, 0o666)
        except FileNotFoundError:
            # another process was ready at that moment
            if attempt == _ATTEMPTS - 1:
                raise
            continue
        try:
            try:
                flock(fd, LOCK_EX | LOCK_NB)
            except BlockingIOError:
                if not is_told:
                    lgr.info('Wait for another process that makes %s', target)
                    is_told = True
                flock(fd, LOCK_EX)
            # else it was removed by the one that had it
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(fd), os.stat(place / _LOCK)):
                    return place, fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
    msg = f'other processes are at work on {target}; wait for them, then try again'
    raise BusyError(msg)


def _make_parents(directory: Path, made: list[Path]) -> None:
    missing = []
    while not os.path.lexists(directory):
        missing.append(directory)
        directory = directory.parent
    for parent in reversed(missing):
        with suppress(FileExistsError):
            parent.mkdir()
            if parent not in made:
                made.insert(0, parent)


def _finish(place: Path, target: Path) -> None:
    """Go on where a process was killed that had all but moved it"""
    finished = place / _FINISHED
    if finished.is_dir():
        _move_content(finished, target)


def _move_content(source: Path, target: Path) -> None:
    moved = []
    try:
        # .git at last, as it makes it a clone
        for path in sorted(source.iterdir(), key=lambda path: path.name == '.git'):
            new = target / path.name
            if os.path.lexists(new):
                msg = f'{new} exists'
                raise FileExistsError(msg)
            os.rename(path, new)
            moved.append((path, new))
    except BaseException:
        for path, new in moved:
            os.rename(new, path)
        raise


def _clear(place: Path) -> None:
    with suppress(FileNotFoundError):
        for path in place.iterdir():
            if path.name != _LOCK:
                remove_tree(path)


def remove_tree(path: Path) -> None:
    """Remove a file, or a directory that git-annex protects from that"""
    if path.is_dir() and not path.is_symlink():
        for directory, _, _ in os.walk(path):
            with suppress(OSError):
                os.chmod(directory, stat.S_IRWXU)
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
