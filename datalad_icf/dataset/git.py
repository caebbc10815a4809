"""A bare git repository, made from nothing and read again"""

from __future__ import annotations

import os
import subprocess
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import groupby
from lzma import LZMAError
from pathlib import Path
from shutil import copyfileobj, rmtree
from tempfile import gettempdir
from typing import IO
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile, ZipInfo

from datalad_icf.dataset.branches import Entry
from datalad_icf.errors import DamagedExportError, GitError

MAIN = 'refs/heads/main'
# what zipfile raises on damaged files, and on what it does not know
_DAMAGED = (
    BadZipFile,
    EOFError,
    LZMAError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    zlib.error,
)
ANNEX = 'refs/heads/git-annex'
# a directory that the git-annex branch has not
_STAGING = b'staging'
_IDENTITY = 'datalad-icf <datalad-icf@invalid>'
_SETTINGS = (
    # the ZIP file compresses, once and better than each object alone
    'core.compression=0',
    'pack.compression=0',
    # one pack, however few the objects are
    'fastimport.unpackLimit=0',
    'core.fsyncMethod=writeout-only',
    'gc.auto=0',
)
_CONFIG = b'[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n'


def _environment(git_dir: Path) -> dict[str, str]:
    """Variables that keep git away from all configuration of user and machine"""
    env = {k: v for k, v in os.environ.items() if not k.startswith('GIT_')}
    env.update(
        GIT_CONFIG_NOSYSTEM='1',
        GIT_CONFIG_GLOBAL=os.devnull,
        GIT_DIR=str(git_dir),
        LC_ALL='C',
        # glibc: zlib takes and frees 0.3 MB for each object, and without this the
        # memory goes to the system and back each time, half of the whole CPU time
        MALLOC_TRIM_THRESHOLD_=str(1 << 26),
        TZ='UTC',
    )
    return env


def _run_git(git_dir: Path, *args: str, lines: Iterable[bytes] | None = None) -> str:
    """Run git, and return what it prints"""
    settings = [arg for setting in _SETTINGS for arg in ('-c', setting)]
    command = ['git', *settings, *args]
    with tempfile.TemporaryFile() as stderr:
        try:
            with subprocess.Popen(
                command,
                env=_environment(git_dir),
                stdin=subprocess.DEVNULL if lines is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
            ) as process:
                if process.stdin and lines is not None:
                    try:
                        process.stdin.writelines(lines)
                        process.stdin.close()
                    except BrokenPipeError:
                        # what went wrong is told by the exit code
                        with suppress(BrokenPipeError):
                            process.stdin.close()
                output = process.stdout.read() if process.stdout else b''
        except FileNotFoundError as e:
            msg = 'git is not installed, or not on the PATH'
            raise GitError(msg) from e
        if process.returncode:
            stderr.seek(0)
            why = stderr.read().decode(errors='replace').strip()
            why = why or f'is there room in {gettempdir()}?'
            msg = f'git {args[0]} failed with exit code {process.returncode}: {why}'
            raise GitError(msg)
    return output.decode()


def build_repository(
    git_dir: Path,
    branches: dict[str, Iterable[Entry]],
    *,
    message: str,
    timestamp: int,
) -> dict[str, str]:
    """Make a bare repository with a pack, and one commit on each branch

    The same input makes the same commits. Neither an identity nor any other
    configuration of git plays a part.

    Parameters
    ----------
    git_dir
        Directory that does not exist yet.
    branches
        Full name of the ref, to its files.
    message
        Commit message.
    timestamp
        Time of the commits in whole seconds since 1970.

    Returns
    -------
    dict
        Full name of the ref to commit id, in the order of the names.

    Raises
    ------
    GitError
        If git is missing, or fails.
    """
    _run_git(
        git_dir, 'init', '--quiet', '--bare', '--template=', '--object-format=sha1'
    )
    stream = _iter_stream(branches, message, timestamp)
    _run_git(git_dir, 'fast-import', '--quiet', '--depth=0', '--done', lines=stream)
    return read_refs(git_dir)


def read_refs(git_dir: Path) -> dict[str, str]:
    """Read the refs of a repository, in the order of their names"""
    lines = _run_git(git_dir, 'for-each-ref', '--format=%(refname) %(objectname)')
    return dict(line.split(' ') for line in lines.splitlines())


def read_commit_time(git_dir: Path, ref: str) -> int:
    """Read the time of a commit, in seconds since 1970"""
    return int(_run_git(git_dir, 'log', '-1', '--format=%ct', ref))


def _iter_stream(
    branches: dict[str, Iterable[Entry]], message: str, timestamp: int
) -> Iterator[bytes]:
    """Commands of git-fast-import(1)"""
    text = message.encode()
    yield b'feature done\n'
    for ref, entries in branches.items():
        yield (
            (
                f'commit {ref}\ncommitter {_IDENTITY} {timestamp} +0000\n'
                f'data {len(text)}\n'
            ).encode()
            + text
            + b'\n'
        )
        yield from _iter_staged(entries) if ref == ANNEX else map(_add, entries)
    yield b'done\n'


def _add(entry: Entry, path: bytes | None = None) -> bytes:
    mode = b'120000' if entry.is_symlink else b'100644'
    name = _quote_path(path or entry.path)
    size = len(entry.content)
    return b'M %s inline %s\ndata %d\n%s\n' % (mode, name, size, entry.content)


def _top_directory(entry: Entry) -> bytes:
    top, slash, _ = entry.path.partition(b'/')
    return top if slash else b''


def _iter_staged(entries: Iterable[Entry]) -> Iterator[bytes]:
    """Fill each top-level directory apart, then give it its name

    For each file, git looks through all names of the directories that lead to
    it, of which this branch has 4096. It finds the oldest name at once.

    Parameters
    ----------
    entries
        In the order of their paths.
    """
    for top, group in groupby(entries, key=_top_directory):
        if not top:
            yield from map(_add, group)
            continue
        for entry in group:
            yield _add(entry, _STAGING + entry.path[len(top) :])
        yield b'R %s %s\n' % (_STAGING, top)


def _quote_path(path: bytes) -> bytes:
    if b'\n' not in path and b'"' not in path and b'\\' not in path:
        return path
    for special, escaped in ((b'\\', b'\\\\'), (b'"', b'\\"'), (b'\n', b'\\n')):
        path = path.replace(special, escaped)
    return b'"' + path + b'"'


def check_repository(git_dir: Path) -> None:
    """Let git look at all objects of a repository

    Raises
    ------
    GitError
        If it finds damage.
    """
    _run_git(git_dir, 'fsck', '--full', '--no-dangling', '--no-progress')


def read_tree(git_dir: Path, ref: str) -> Iterator[Entry]:
    """Read all files of a branch, in the order of their paths

    Raises
    ------
    GitError
        If git is missing, or finds damage.
    """
    with tempfile.TemporaryFile() as listing, tempfile.TemporaryFile() as names:
        _run_into(git_dir, listing, 'ls-tree', '-r', '-z', ref)
        files = []
        for line in listing.read().split(b'\0')[:-1]:
            head, _, path = line.partition(b'\t')
            mode, _, oid = head.split(b' ')
            files.append((path, mode == b'120000'))
            names.write(oid + b'\n')
        names.seek(0)
        with tempfile.TemporaryFile() as contents:
            # through files: with pipes, git and this would wait for each other
            _run_into(git_dir, contents, 'cat-file', '--batch', stdin=names)
            for path, is_symlink in files:
                size = int(contents.readline().split(b' ')[2])
                yield Entry(path, contents.read(size), is_symlink)
                contents.read(1)


def _run_into(
    git_dir: Path, output: IO[bytes], *args: str, stdin: IO[bytes] | None = None
) -> None:
    """Run git, and let it write into a file, which is at its start then"""
    try:
        done = subprocess.run(
            ['git', *args],
            env=_environment(git_dir),
            stdin=stdin or subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            check=False,
        )
    except FileNotFoundError as e:
        msg = 'git is not installed, or not on the PATH'
        raise GitError(msg) from e
    if done.returncode:
        why = done.stderr.decode(errors='replace').strip()
        msg = f'git {args[0]} failed with exit code {done.returncode}: {why}'
        raise GitError(msg)
    output.seek(0)


def neutralise_repository(git_dir: Path) -> None:
    """Take from an unpacked repository what could make git run something

    It comes from a store, that is, from others.
    """
    (git_dir / 'config').write_bytes(_CONFIG)
    rmtree(git_dir / 'hooks', ignore_errors=True)


def format_refs(refs: dict[str, str]) -> str:
    """Text of the file ``XDLRA--refs``, as git-remote-datalad-annex reads it"""
    lines = [f'{oid} {name}\n' for name, oid in refs.items()]
    return ''.join(lines) + f'@{MAIN} HEAD\n'


def export_repository(git_dir: Path, refs: dict[str, str], path: Path) -> None:
    """Write a bare repository as the ZIP file ``XDLRA--repo-export``

    Parameters
    ----------
    git_dir
        A repository of `build_repository`.
    refs
        Its refs.
    path
        Existing file that becomes the ZIP file.
    """
    packed = ''.join(f'{oid} {name}\n' for name, oid in refs.items())
    small = {
        'HEAD': f'ref: {MAIN}\n'.encode(),
        'config': _CONFIG,
        'packed-refs': b'# pack-refs with: peeled fully-peeled sorted \n'
        + packed.encode(),
    }
    with path.open('r+b') as f, ZipFile(f, 'w') as archive:
        for name, content in small.items():
            archive.writestr(_zip_info(name), content)
        # without refs/ git takes it for no repository
        for name in ('objects/', 'objects/info/', 'objects/pack/', 'refs/'):
            archive.writestr(_zip_info(name), b'')
        for pack in sorted((git_dir / 'objects' / 'pack').iterdir()):
            info = _zip_info(f'objects/pack/{pack.name}')
            info.file_size = pack.stat().st_size
            with pack.open('rb') as source, archive.open(info, 'w') as target:
                copyfileobj(source, target, 1 << 20)


def _zip_info(name: str) -> ZipInfo:
    # the oldest date that ZIP has, and modes that do not depend on umask
    info = ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    info.create_system = 3
    is_directory = name.endswith('/')
    info.external_attr = (0o40755 if is_directory else 0o100644) << 16
    if not is_directory:
        info.compress_type = ZIP_DEFLATED
    return info


def unpack_export(path: Path, git_dir: Path) -> None:
    """Unpack an ``XDLRA--repo-export``

    Raises
    ------
    GitError
        If there is no room for it.
    DamagedExportError
        If it is no ZIP file, or damaged.
    """
    try:
        with ZipFile(path) as archive:
            archive.extractall(git_dir)
    except OSError as e:
        msg = f'cannot unpack {path}: {e.strerror}; is there room in {gettempdir()}?'
        raise GitError(msg) from e
    except _DAMAGED as e:
        msg = f'{path} is damaged: {e}'
        raise DamagedExportError(msg) from e
