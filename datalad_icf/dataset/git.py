"""A bare git repository, made from nothing and read again"""

from __future__ import annotations

import errno
import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from shutil import rmtree
from tempfile import gettempdir
from typing import IO

from datalad_icf.dataset.branches import Entry
from datalad_icf.errors import DamagedExportError, GitError

MAIN = 'refs/heads/main'
# what is no fault of the file that is read
OF_THE_MACHINE = frozenset(
    (
        errno.EACCES,
        errno.EDQUOT,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.ENOSPC,
        errno.EPERM,
        errno.EROFS,
    )
)
# git commands that fail on a damaged repository
_READING = ('cat-file', 'for-each-ref', 'fsck', 'log', 'ls-tree')
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
CONFIG = b'[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n'


def _environment(git_dir: Path) -> dict[str, str]:
    """Variables that keep git away from all configuration of user and machine"""
    env = {k: v for k, v in os.environ.items() if not k.startswith('GIT_')}
    env.update(
        GITCONFIG_NOSYSTEM='1',
        GITCONFIG_GLOBAL=os.devnull,
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
            if args[0] == 'fsck':
                # tells of what is missing there
                why = why or output.decode(errors='replace').strip()
            raise _failure(args[0], process.returncode, why)
    return output.decode()


def _failure(command: str, code: int, why: str) -> GitError:
    """Tell a repository that is damaged from a machine on which git cannot work"""
    why = why or f'is there room in {gettempdir()}?'
    msg = f'git {command} failed with exit code {code}: {why}'
    is_machine = code < 0 or any(os.strerror(one) in why for one in OF_THE_MACHINE)
    if command in _READING and not is_machine and 'out of memory' not in why:
        return DamagedExportError(msg)
    return GitError(msg)


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
    DamagedExportError
        If it finds damage.
    GitError
        If git is missing, or cannot work.
    """
    _run_git(git_dir, 'fsck', '--full', '--no-dangling', '--no-progress')


def read_tree(git_dir: Path, ref: str) -> Iterator[Entry]:
    """Read all files of a branch, in the order of their paths

    Raises
    ------
    DamagedExportError
        If git finds damage.
    GitError
        If git is missing, or cannot work.
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
        raise _failure(args[0], done.returncode, why)
    output.seek(0)


def neutralise_repository(git_dir: Path) -> None:
    """Take from an unpacked repository what could make git run something

    It comes from a store, that is, from others.
    """
    (git_dir / 'config').write_bytes(CONFIG)
    rmtree(git_dir / 'hooks', ignore_errors=True)


def format_refs(refs: dict[str, str], head: str = MAIN) -> str:
    """Text of the file ``XDLRA--refs``, as git-remote-datalad-annex reads it

    Parameters
    ----------
    refs
        Full name of the ref to commit id, in the order of the names.
    head
        The ref that a clone checks out.
    """
    lines = [f'{oid} {name}\n' for name, oid in refs.items()]
    return ''.join(lines) + f'@{head} HEAD\n'
