"""A temporary store, and the commands that work on it"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from benchmarks.measure import BenchmarkError, Usage, run_process

STUDY = 'benchmark'
_HASH = (
    'import hashlib, sys; f = open(sys.argv[1], "rb"); '
    'print(hashlib.file_digest(f, "md5").hexdigest())'
    if sys.version_info >= (3, 11)
    else 'import hashlib, sys; f = open(sys.argv[1], "rb"); h = hashlib.md5()\n'
    'while b := f.read(1 << 18): h.update(b)'
)


@dataclass(frozen=True)
class Shape:
    """What a visit is made of

    Parameters
    ----------
    visit
        Its identifier.
    kind, count
        As for `benchmarks.synthetic`.
    """

    visit: str
    kind: str
    count: int

    def __str__(self) -> str:
        if self == ONE:
            return 'one small image'
        if self.kind == 'large':
            return f'one image of {self.count:,} MB'
        return f'{self.count:,} files of 30-200 kB'


# the start-up of a command, and whatever does not depend on the visit
ONE = Shape('one', 'images', 1)


class Workspace:
    """A directory with a store

    Parameters
    ----------
    root
        The directory.
    repeat
        How often everything is measured.
    tell
        Called with what is going on.
    """

    def __init__(self, root: Path, repeat: int, tell: Callable[[str], None]) -> None:
        self.root = root
        self.repeat = repeat
        self.tell = tell
        self.store = root / 'store'
        self._made: set[Shape] = set()

    @cached_property
    def import_peak(self) -> int:
        """Resident memory after ``import datalad.api``, in bytes"""
        return run_process([sys.executable, '-c', 'import datalad.api']).peak

    def datalad(self, *args: str, is_idle: bool = False) -> Usage:
        """Run a DataLad command; an idle one has nothing to do, and says so"""
        command = self.datalad_command(*args)
        return run_process(command, expected=(1,) if is_idle else (0,))

    def datalad_command(self, *args: str) -> list[str]:
        """A DataLad command, to be run in some other way"""
        return [find_datalad(), *args]

    def command(self, name: str, visit: str, *args: str) -> Usage:
        """Run a command on a visit of the store"""
        store = str(self.store)
        return self.datalad(name, '--id', STUDY, visit, '-o', store, *args)

    def idle(self, name: str) -> Usage:
        """Run a command where there is nothing to do for it: its start-up"""
        (self.store / STUDY).mkdir(parents=True, exist_ok=True)
        visit = ['--id', STUDY, 'none', '-o', str(self.store)]
        if name == 'icf-archive':
            return self.datalad(name, *visit, str(self.root / 'none'), is_idle=True)
        visit[2] = 'none-*'
        return self.datalad(name, *visit, is_idle=True)

    def file(self, visit: str, suffix: str) -> Path:
        """Path of a file of the store"""
        return self.store / STUDY / f'{visit}{suffix}'

    def remove(self, visit: str, pattern: str) -> None:
        """Remove files of the store"""
        for path in (self.store / STUDY).glob(f'{visit}{pattern}'):
            path.unlink()

    def source(self, shape: Shape) -> Path:
        """Directory with the files of a visit, made on demand"""
        path = self.root / shape.visit
        if shape not in self._made:
            self.tell(f'making {shape}')
            self.synthesize(shape.kind, shape.count, path)
            # now, and not while something is measured
            os.sync()
            self._made.add(shape)
        return path

    def use_source(self, shape: Shape, path: Path) -> None:
        """Take the files of a visit from elsewhere, where they stay"""
        (self.root / shape.visit).symlink_to(path.resolve())
        self._made.add(shape)

    def archive(self, shape: Shape) -> Usage:
        """Make the tarball anew"""
        source = self.source(shape)
        self.remove(shape.visit, '_dicom.tar*')
        return self.command('icf-archive', shape.visit, str(source))

    def describe(self, shape: Shape) -> Usage:
        """Make the metadata anew"""
        self.remove(shape.visit, '_metadata_*')
        return self.command('icf-deposit-metadata', shape.visit)

    def tarball(self, shape: Shape) -> Path:
        """Tarball of a visit, made on demand"""
        path = self.file(shape.visit, '_dicom.tar')
        if not path.exists():
            self.archive(shape)
        return path

    def discard(self, shape: Shape) -> None:
        """Remove a visit and its files in the store"""
        path = self.root / shape.visit
        if path.is_symlink():
            path.unlink()
        shutil.rmtree(path, ignore_errors=True)
        self.remove(shape.visit, '_*')
        self._made.discard(shape)

    def synthesize(self, kind: str, count: int, path: Path) -> None:
        """Make what `benchmarks.synthetic` can make"""
        script = Path(__file__).with_name('synthetic.py')
        run_process([sys.executable, str(script), kind, str(count), str(path)])


def find_datalad() -> str:
    """Path of the program ``datalad`` of this environment"""
    found = shutil.which('datalad', path=sysconfig.get_path('scripts'))
    if found := found or shutil.which('datalad'):
        return found
    msg = 'there is no program datalad; install the package, and try again'
    raise BenchmarkError(msg)


def has_md5sum() -> bool:
    """Whether the floor is ``md5sum``, or Python's `hashlib` in its place"""
    return shutil.which('md5sum') is not None


def digest(path: Path) -> Usage:
    """Take the MD5 of a file: the floor"""
    if has_md5sum():
        return run_process(['md5sum', str(path)])
    return run_process([sys.executable, '-c', _HASH, str(path)])
