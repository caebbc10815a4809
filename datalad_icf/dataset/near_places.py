"""Where a clone gets its images, if that is not where its dataset says"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from datalad_icf.dataset.answers import Part
from datalad_icf.dataset.clone_source import Deposit
from datalad_icf.dataset.git import ANNEX
from datalad_icf.dataset.keys import log_path, size_of_key
from datalad_icf.dataset.places import PLACES_FILE
from datalad_icf.dataset.ranges import StoreClient
from datalad_icf.dataset.run import ask_git
from datalad_icf.errors import IcfError


def note_place(
    target: Path, git_dir: Path, deposit: Deposit, client: StoreClient
) -> None:
    """Note the tarball of the store that was cloned from, if the dataset has another

    The store may be reached by a tunnel, or be a copy, or have moved since the visit
    was deposited.

    Parameters
    ----------
    target, git_dir
        The clone, and its ``.git``.
    deposit
        What it is a clone of.
    client
        Looks whether the tarball is there.
    """
    url = deposit.tarball_url
    if not url:
        return
    places = git_dir / PLACES_FILE
    key = _find_key(target, deposit)
    if url in _find_urls(target, key):
        places.unlink(missing_ok=True)
    elif urlsplit(url).scheme == 'file' or _has(client, url, key):
        places.parent.mkdir(exist_ok=True)
        places.write_text(f'{url}\n')


def _find_key(target: Path, deposit: Deposit) -> str:
    """Key of the tarball, also where it is no symbolic link, but a pointer file"""
    content = ask_git(target, 'cat-file', 'blob', f'HEAD:{deposit.tarball_path}') or ''
    return content.rpartition('/')[2]


def _find_urls(target: Path, key: str) -> set[str]:
    name = f'{ANNEX}:{log_path(key)}.log.web'
    lines = (ask_git(target, 'cat-file', 'blob', name) or '').splitlines()
    # time, 1 unless it was removed, and URL, with a colon if a remote has claimed it
    entries = [line.split(' ', 2) for line in lines]
    return {e[2].removeprefix(':') for e in entries if len(e) == 3 and e[1] == '1'}


def _has(client: StoreClient, url: str, key: str) -> bool:
    """Whether the tarball is there: by a byte, and its size"""
    try:
        return bool(b''.join(client.iter_part(url, Part(0, 1, size_of_key(key)))))
    except IcfError:
        return False
