"""Run git in a clone, as its user does"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from datalad_icf.errors import GitError, PreconditionError


def run_git(directory: Path, *args: str, stdin: bytes | None = None) -> str:
    """Run git in a repository

    Raises
    ------
    GitError
        If it fails.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith('GIT_DIR')}
    done = subprocess.run(
        ['git', '-C', str(directory), *args],
        check=False,
        env=environment,
        input=stdin or b'',
        capture_output=True,
    )
    if done.returncode:
        reason = ' '.join(done.stderr.decode(errors='replace').split())
        msg = f'git {args[0]} failed in {directory}: {reason}'
        raise GitError(msg)
    return done.stdout.decode(errors='surrogateescape')


def ask_git(directory: Path, *args: str) -> str | None:
    """Run git in a repository; None if it fails"""
    try:
        return run_git(directory, *args).strip()
    except GitError:
        return None


def check_identity(directory: Path) -> None:
    """Check that git knows who makes a clone, which git-annex cannot do without

    Parameters
    ----------
    directory
        Where something is to be made; it need not exist.

    Raises
    ------
    PreconditionError
        If it does not know.
    """
    while not directory.is_dir():
        directory = directory.parent
    is_known = all(
        ask_git(directory, 'var', name) is not None
        for name in ('GIT_AUTHOR_IDENT', 'GIT_COMMITTER_IDENT')
    )
    # which may be different in the repository that does not exist yet
    if is_known or ask_git(directory, 'config', '--get-regexp', r'^includeif\.'):
        return
    msg = (
        "git does not know who you are; tell it by 'git config --global user.name "
        "\"Your Name\"' and 'git config --global user.email you@example.org'"
    )
    raise PreconditionError(msg)
