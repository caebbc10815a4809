"""One dataset of a study, with its visits as subdatasets"""

from __future__ import annotations

from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path

from datalad_icf.dataset.address import is_same_address
from datalad_icf.dataset.aside import is_free, remove_tree
from datalad_icf.dataset.clone import read_commit
from datalad_icf.dataset.run import run_git
from datalad_icf.errors import ConflictError, IdentifierError
from datalad_icf.store import Visit, VisitPaths, build_clone_url

_EMPTY_DATASET = {'.git', '.gitattributes', '.datalad'}


def check_superdataset(directory: Path) -> bool:
    """Whether a path is a dataset, or free for one

    Returns
    -------
    bool
        True if a dataset is there; False if nothing is, or an empty directory.

    Raises
    ------
    ConflictError
        If something else is there.
    """
    if is_free(directory):
        return False
    if (directory / '.datalad' / 'config').exists() and (directory / '.git').exists():
        return True
    msg = f'{directory} exists, and is no DataLad dataset; choose another place'
    raise ConflictError(msg)


def find_registered(directory: Path, store_url: str, visit: Visit) -> list[Visit]:
    """Find subdatasets that are visits of a store

    Parameters
    ----------
    directory
        The dataset of the study.
    store_url
        Base URL of the store.
    visit
        The study, and a pattern.
    """
    found = []
    for path in _read_recorded(directory):
        if not fnmatchcase(path, visit.visit_id):
            continue
        try:
            one = Visit(visit.study_id, path)
        except IdentifierError:
            continue
        # the dataset may have others, of other studies
        address = build_clone_url(store_url, VisitPaths(Path(), one).deposit_prefix)
        url = _read_config(directory, f'submodule.{path}.url')
        if is_same_address(url, address):
            found.append(one)
    return found


def remove_unused(directory: Path) -> None:
    """Remove a dataset that was just made, if nothing got into it"""
    with suppress(OSError):
        if {p.name for p in directory.iterdir()} <= _EMPTY_DATASET:
            remove_tree(directory)


def register_visits(directory: Path, clones: dict[str, str]) -> bool:
    """Make clones subdatasets, with the address for others to clone them

    Parameters
    ----------
    directory
        The dataset of the study.
    clones
        Path of each clone relative to it, to the address.

    Returns
    -------
    bool
        Whether there was something to commit.

    Raises
    ------
    GitError
        If git fails.
    """
    recorded = _read_recorded(directory)
    modules = directory / '.gitmodules'
    before = modules.read_bytes() if modules.exists() else b''
    index = b''
    for path, url in clones.items():
        commit = read_commit(directory / path)
        if recorded.get(path) != commit:
            index += f'160000 {commit} 0\t{path}\0'.encode()
        wanted = {
            'path': path,
            'url': url,
            'datalad-id': _read_dataset_id(directory / path),
        }
        for field, value in wanted.items():
            name = f'submodule.{path}.{field}'
            recorded_value = _read_config(directory, name)
            # an address that was written in another way is one that others have
            if value and not is_same_address(recorded_value, value):
                run_git(directory, 'config', '-f', '.gitmodules', name, value)
    if index:
        run_git(directory, 'update-index', '-z', '--index-info', stdin=index)
    changed = [line.split('\t')[1] for line in _decode(index)]
    if not modules.exists() or modules.read_bytes() != before:
        run_git(directory, 'add', '.gitmodules')
        changed.append('.gitmodules')
    if not changed:
        return False
    message = f'Register {len(clones)} visit{"" if len(clones) == 1 else "s"}'
    run_git(
        directory,
        'commit',
        '--quiet',
        '--no-verify',
        '-m',
        message,
        '--pathspec-from-file=-',
        '--pathspec-file-nul',
        stdin='\0'.join(f':(literal,top){path}' for path in changed).encode(),
    )
    return True


def _decode(index: bytes) -> list[str]:
    return index.decode().split('\0')[:-1]


def _read_recorded(directory: Path) -> dict[str, str]:
    listed = run_git(directory, 'ls-files', '--stage', '-z').split('\0')[:-1]
    entries = [line.partition('\t') for line in listed]
    return {
        path: entry.split(' ')[1]
        for entry, _, path in entries
        if entry.startswith('160000 ')
    }


def _read_config(directory: Path, name: str) -> str:
    return _get(directory, '.gitmodules', name)


def _read_dataset_id(clone: Path) -> str:
    return _get(clone, '.datalad/config', 'datalad.dataset.id')


def _get(directory: Path, file: str, name: str) -> str:
    if not (directory / file).exists():
        return ''
    return run_git(
        directory, 'config', '-f', file, '--default', '', '--get', name
    ).rstrip('\n')
