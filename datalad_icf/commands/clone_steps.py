"""What ``icf-clone`` lets DataLad do, aside of the place where it is to be"""

from __future__ import annotations

import getpass
import os
import platform
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datalad_icf.commands.results import Outcome
from datalad_icf.dataset.aside import put_in_place, work_aside
from datalad_icf.dataset.clone import (
    find_clone,
    locked_clone,
    read_commit,
    set_up_clone,
    update_clone,
)
from datalad_icf.dataset.clone_source import Deposit
from datalad_icf.dataset.login import DataladLogin
from datalad_icf.dataset.ranges import StoreClient
from datalad_icf.dataset.superdataset import check_superdataset
from datalad_icf.errors import GitError

ACTION = 'icf_clone'


@dataclass(frozen=True)
class Access:
    """How the store is read"""

    client: StoreClient
    login: DataladLogin


def clone_visit(target: Path, deposit: Deposit, access: Access) -> Outcome:
    """Clone a visit, or bring its clone to the state of the store

    Raises
    ------
    ConflictError
        If something else is at the path, or changes are in the way.
    GitError
        If git or DataLad fails.
    """
    if remote := find_clone(target, deposit):
        return _update(target, remote, deposit, access)
    with work_aside(target) as work:
        # another process may have been quicker
        if not (remote := find_clone(target, deposit)):
            return _make(target, work, deposit, access)
    return _update(target, remote, deposit, access)


def _make(target: Path, work: Path, deposit: Deposit, access: Access) -> Outcome:
    with _environment(access.login.variables):
        _clone_by_datalad(work, deposit, _describe_place(target))
    warnings = set_up_clone(work, deposit, access.client)
    put_in_place(work, target)
    return _tell(target, deposit, warnings, f'clone of {deposit.visit}', is_new=True)


def _update(target: Path, remote: str, deposit: Deposit, access: Access) -> Outcome:
    with locked_clone(target):
        with _environment(access.login.variables):
            is_new = update_clone(target, remote, deposit)
        warnings = set_up_clone(target, deposit, access.client)
    message = 'brought to the state of the store' if is_new else 'as in the store'
    return _tell(target, deposit, warnings, message, is_new=is_new)


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Let git-remote-datalad-annex know what was entered here

    It would ask again, if it was not kept. Nobody else sees the environment.
    """
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            os.environ.pop(name, None)


def _tell(
    target: Path, deposit: Deposit, warnings: list[str], message: str, *, is_new: bool
) -> Outcome:
    return Outcome(
        is_new=is_new,
        message=message,
        warnings=warnings,
        fields={'clone_url': deposit.clone_url, 'commit': read_commit(target)},
    )


def _clone_by_datalad(target: Path, deposit: Deposit, description: str) -> None:
    from datalad.core.distributed.clone import Clone
    from datalad.utils import chpwd

    # git-remote-datalad-annex makes the repository that it is started in one of
    # git-annex, and that is none of its business
    with tempfile.TemporaryDirectory(prefix='datalad-icf-') as work, chpwd(work):
        results = Clone.__call__(
            deposit.clone_url,
            str(target),
            description=description,
            result_xfm=None,
            result_renderer='disabled',
            return_type='list',
            on_failure='ignore',
        )
    _raise_failure(results, f'{deposit.visit} cannot be cloned')


def _describe_place(target: Path) -> str:
    """What git-annex would call a place, were it made there and not aside"""
    home = Path(os.path.expanduser('~'))
    place = f'~/{target.relative_to(home)}' if home in target.parents else str(target)
    user = str(os.getuid())
    # in a container, a user may have no name
    with suppress(KeyError, OSError):
        user = getpass.getuser()
    return f'{user}@{platform.node()}:{place}'


def create_superdataset(directory: Path) -> bool:
    """Make the dataset of a study, unless it is there

    Returns
    -------
    bool
        Whether it was made.

    Raises
    ------
    GitError
        If DataLad fails.
    """
    from datalad.core.local.create import Create

    if check_superdataset(directory):
        return False
    with work_aside(directory) as work:
        # another process may have been quicker
        if check_superdataset(directory):
            return False
        results = Create.__call__(
            path=str(work),
            description=_describe_place(directory),
            result_xfm=None,
            result_renderer='disabled',
            return_type='list',
            on_failure='ignore',
        )
        _raise_failure(results, f'{directory} cannot be made a dataset')
        put_in_place(work, directory)
    return True


def _raise_failure(results: list[dict[str, Any]], problem: str) -> None:
    for result in results:
        if result['status'] in ('error', 'impossible'):
            message = result.get('message') or 'DataLad does not say why'
            if isinstance(message, tuple):
                message = message[0] % message[1:]
            raise GitError(f'{problem}: {message}')
