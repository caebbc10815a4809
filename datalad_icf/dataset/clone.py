"""Clones of visits: what is at a path, how it is brought up to date and set up"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from datalad_icf.dataset.address import is_same_address
from datalad_icf.dataset.aside import is_free
from datalad_icf.dataset.clone_source import Deposit
from datalad_icf.dataset.git import ANNEX, MAIN
from datalad_icf.dataset.near_places import note_place
from datalad_icf.dataset.ranges import StoreClient
from datalad_icf.dataset.run import ask_git, run_git
from datalad_icf.errors import ConflictError
from datalad_icf.store import locked

PROGRAM = 'git-annex-remote-icf-archivist'


def find_clone(target: Path, deposit: Deposit) -> str | None:
    """Look whether a path is a clone of a visit, or free for one

    Returns
    -------
    str or None
        Name of the remote that is the store; None if nothing is there, or an empty
        directory.

    Raises
    ------
    ConflictError
        If something else is there.
    """
    if is_free(target):
        return None
    if (target / '.git').exists():
        # of any name, as git has a setting for it
        listed = ask_git(target, 'config', '-z', '--get-regexp', r'^remote\..*\.url$')
        for item in (listed or '').split('\0'):
            variable, _, url = item.partition('\n')
            if is_same_address(url, deposit.clone_url):
                _check_finished(target)
                return variable[len('remote.') : -len('.url')]
        msg = f'{target} is a clone of something else; choose another place'
        raise ConflictError(msg)
    msg = f'{target} exists, and is no clone of {deposit.visit}; choose another place'
    raise ConflictError(msg)


def _check_finished(target: Path) -> None:
    if ask_git(target, 'rev-parse', '--verify', '--quiet', 'HEAD') is None:
        msg = (
            f'{target} is a clone that was not finished; remove it, and run this again'
        )
        raise ConflictError(msg)


@contextmanager
def locked_clone(target: Path) -> Iterator[None]:
    """Wait until no other process changes a clone or dataset, and keep others out"""
    place = _find_git_dir(target) / 'icf' / 'clone'
    try:
        place.parent.mkdir(exist_ok=True)
    except OSError:
        # git tells what cannot be written, if anything is to be
        yield
        return
    with locked(place):
        yield


def _find_git_dir(target: Path) -> Path:
    found = run_git(target, 'rev-parse', '--absolute-git-dir')
    return Path(found.removesuffix('\n'))


def update_clone(target: Path, remote: str, deposit: Deposit) -> bool:
    """Bring a clone to the state of the deposit, if that is another one

    Parameters
    ----------
    target
        The clone.
    remote
        Name of the remote that is the store.
    deposit
        What the store has.

    Returns
    -------
    bool
        Whether there was something new.

    Raises
    ------
    ConflictError
        If the clone has commits or changes of its own.
    GitError
        If git fails.
    """
    # older tools have another name for it
    main = next((ref for ref in deposit.refs if ref != ANNEX), MAIN)
    tracking = f'refs/remotes/{remote}/'
    newer = main.replace('refs/heads/', tracking)
    former, annex, head = (
        ask_git(target, 'rev-parse', '--verify', '--quiet', name)
        for name in (
            newer,
            ANNEX.replace('refs/heads/', tracking),
            'HEAD',
        )
    )
    earlier = _read_earlier(target, newer)
    # fetched, by hand or before a process was killed, but no more
    is_behind = head != former and head in earlier
    if not is_behind and (former, annex) == (
        deposit.refs.get(main),
        deposit.refs.get(ANNEX),
    ):
        return False
    is_newer = is_behind or former != deposit.refs.get(main)
    if is_newer:
        changes = run_git(target, 'status', '--porcelain', '--untracked-files=no')
        if head not in {former, *earlier} or changes:
            msg = (
                f'{target} has changes of its own, and the store has a newer dataset '
                f'of {deposit.visit}; clone it to another place, or fetch and merge by '
                'hand'
            )
            raise ConflictError(msg)
    run_git(target, 'fetch', '--quiet', remote)
    if is_newer:
        # a dataset that replaces another has no history in common with it
        run_git(target, 'reset', '--quiet', '--hard', newer)
    run_git(target, 'annex', 'merge', '--quiet')
    return True


def _read_earlier(target: Path, ref: str) -> set[str]:
    """Commits that a branch of the store has been at"""
    try:
        lines = (_find_git_dir(target) / 'logs' / ref).read_text().splitlines()
    except (OSError, ValueError):
        return set()
    # before the first fetch, there is none; the line says where it was, too
    return {commit for line in lines for commit in line.split(' ', 2)[:2]}


def set_up_clone(target: Path, deposit: Deposit, client: StoreClient) -> list[str]:
    """Let a clone read images by ranges

    Returns
    -------
    list of str
        What somebody should look at.
    """
    note_place(target, _find_git_dir(target), deposit, client)
    if not shutil.which(PROGRAM):
        problem = f'{PROGRAM} is not on the PATH'
        return [f'{problem}, so an image costs the download of the whole tarball']
    setting = 'remote.archivist.annex-externaltype'
    if ask_git(target, 'config', setting) != 'icf-archivist':
        run_git(target, 'config', setting, 'icf-archivist')
    return []


def read_commit(target: Path) -> str:
    """Read the commit id of a clone"""
    return run_git(target, 'rev-parse', 'HEAD').strip()
