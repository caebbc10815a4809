"""The dataset of a visit against its archive"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from datalad_icf.dataset import (
    ANNEX,
    Entry,
    build_key,
    build_locator,
    check_repository,
    dataset_path,
    format_refs,
    key_file_name,
    log_path,
    neutralise_repository,
    read_refs,
    read_tree,
    unpack_export,
)
from datalad_icf.errors import DamagedExportError
from datalad_icf.store import InstanceMetadata, VisitPaths, read_regular
from datalad_icf.verify.archive import ArchiveFacts
from datalad_icf.verify.blame import blame, missing
from datalad_icf.verify.findings import Finding, NameList

_AGAIN = 'run icf-deposit-dataset --existing replace'
_REMOTES = (b'uncurl', b'archivist')


def check_dataset(
    paths: VisitPaths, facts: ArchiveFacts, *, fast: bool
) -> Iterator[Finding]:
    """Check refs, pack, keys, URLs and location logs of a dataset

    Parameters
    ----------
    paths
        The visit.
    facts
        What is known of its archive.
    fast
        Do not let git look at all objects.
    """
    files = (paths.refs, paths.repo_export)
    there = [path for path in files if path.exists()]
    if len(there) < 2:
        for path in {*files} - {*there} if there else ():
            yield missing(
                'dataset-missing',
                path,
                'run icf-deposit-dataset',
                beside=paths.repo_export,
            )
        return
    text = None
    if paths.refs.is_dir():
        yield _is_directory(paths.refs)
    else:
        try:
            text = read_regular(paths.refs)
        except OSError as e:
            problem = f'{paths.refs} cannot be read: {e.strerror}'
            yield blame('dataset-damaged', paths.refs, e, problem, _AGAIN)
    if paths.repo_export.is_dir():
        yield _is_directory(paths.repo_export)
        return
    with tempfile.TemporaryDirectory(prefix='datalad-icf-') as work:
        git_dir = Path(work, 'git')
        try:
            unpack_export(paths.repo_export, git_dir)
            neutralise_repository(git_dir)
            if not fast:
                check_repository(git_dir)
            refs = read_refs(git_dir)
            if text is not None and not is_about(text, refs):
                yield Finding(
                    'dataset-differs',
                    paths.refs,
                    f'{paths.refs} is not about the repository in '
                    f'{paths.repo_export.name}; {_AGAIN}',
                )
            yield from _check_branches(paths, facts, git_dir, refs)
        except (DamagedExportError, ValueError, IndexError) as e:
            problem = str(e)
            if str(paths.repo_export) not in problem:
                problem = f'{paths.repo_export} is damaged: {e}'
            yield Finding('dataset-damaged', paths.repo_export, f'{problem}; {_AGAIN}')


def _is_directory(path: Path) -> Finding:
    return Finding(
        'dataset-damaged',
        path,
        f'{path} is a directory; remove it, then run icf-deposit-dataset',
    )


def is_about(text: bytes, refs: dict[str, str]) -> bool:
    """Whether a refs file is one of these refs, byte for byte

    git-remote-datalad-annex of datalad-next writes the same lines in the same order,
    with the branch that the repository has checked out. To a clone, any other byte is
    another name, or no line at all.

    Parameters
    ----------
    text
        Content of the file.
    refs
        Full name of the ref to commit id, in the order of the names.
    """
    return any(
        text == format_refs(refs, name).encode('utf-8', 'surrogateescape')
        for name in refs
        if name != ANNEX
    )


def _check_branches(
    paths: VisitPaths, facts: ArchiveFacts, git_dir: Path, refs: dict[str, str]
) -> Iterator[Finding]:
    # older tools call it master
    main = next((ref for ref in refs if ref != ANNEX), None)
    if main is None or ANNEX not in refs:
        yield Finding(
            'dataset-damaged',
            paths.repo_export,
            f'{paths.repo_export} lacks a branch; {_AGAIN}',
        )
        return
    tar = facts.metadata
    if tar is None:
        yield from _check_tar_key(paths, facts, git_dir, main)
        return
    tar_key = build_key(tar.md5, tar.size, tar.dspath)
    images = {dataset_path(one.path): one for one in facts.instances.values()}
    keys = {tar.dspath: tar_key}
    for path, one in images.items():
        keys[path] = build_key(one.md5, one.size, path)
    wrong = NameList()
    seen = set()
    for entry in read_tree(git_dir, main):
        name = entry.path.decode('utf-8', 'surrogateescape')
        if not entry.is_symlink:
            continue
        seen.add(name)
        target = entry.content.decode('utf-8', 'surrogateescape')
        # the directory of an object has the name of the key, too
        key = keys.get(name)
        if key is None or target.rpartition('/')[2] != key_file_name(key):
            wrong.add(name)
    for name in sorted(keys.keys() - seen):
        wrong.add(name)
    if wrong:
        yield _differs(paths, f'not the same in the tarball, or not there: {wrong}')
    yield from _check_annex(paths, git_dir, images, tar_key, tar.storepath)


def _check_tar_key(
    paths: VisitPaths, facts: ArchiveFacts, git_dir: Path, main: str
) -> Iterator[Finding]:
    """Whether the tarball in the dataset is that of the visit, without metadata"""
    known = {facts.md5, facts.recorded} - {'', None}
    for entry in read_tree(git_dir, main):
        if entry.path.decode('utf-8', 'surrogateescape') == paths.dataset_path:
            target = entry.content.decode('utf-8', 'surrogateescape')
            # where the two differ, that is a finding of its own
            if known and not any(f'--{md5}' in target for md5 in known):
                yield _differs(paths, f'{paths.dataset_path!r} is another tarball')
            return
    yield _differs(paths, f'{paths.dataset_path!r} is not in it')


def _check_annex(
    paths: VisitPaths,
    git_dir: Path,
    images: dict[str, InstanceMetadata],
    tar_key: str,
    store_path: str,
) -> Iterator[Finding]:
    """Where the git-annex branch says that the content is"""
    expected: dict[str, list[InstanceMetadata]] = {log_path(tar_key): []}
    for path, one in images.items():
        expected.setdefault(log_path(build_key(one.md5, one.size, path)), []).append(
            one
        )
    logs: dict[str, bytes] = {}
    remotes: set[bytes] = set()
    no_url = NameList()
    with_url: set[str] = set()
    for entry in read_tree(git_dir, ANNEX):
        name = entry.path.decode('utf-8', 'surrogateescape')
        if name == 'remote.log':
            remotes = _read_remotes(entry)
        elif name.endswith('.log.web') and name[:-8] in expected:
            urls = _read_urls(entry)
            with_url.add(name[:-8])
            for one in expected[name[:-8]]:
                if not _is_located(one, tar_key, urls):
                    no_url.add(one.path)
            if name[:-8] == log_path(tar_key) and not any(
                url.endswith(quote(store_path)) for url in urls
            ):
                no_url.add(store_path)
        elif name.endswith('.log') and name[:-4] in expected:
            logs[name[:-4]] = entry.content
    nowhere = NameList()
    for log, ones in expected.items():
        label = ones[0].path if ones else store_path
        if log not in with_url:
            no_url.add(label)
        if not _is_anywhere(logs.get(log, b''), remotes):
            nowhere.add(label)
    if no_url:
        yield _differs(paths, f'without a URL, or with another one: {no_url}')
    if nowhere:
        yield _differs(paths, f'git-annex would not look for {nowhere}')


def _read_remotes(entry: Entry) -> set[bytes]:
    """UUIDs of the special remotes that a clone enables by itself"""
    found = set()
    for line in entry.content.splitlines():
        identity, *settings = line.split(b' ')
        if b'autoenable=true' in settings and any(
            b'externaltype=' + name in settings for name in _REMOTES
        ):
            found.add(identity)
    return found


def _read_urls(entry: Entry) -> list[str]:
    """URLs that a log says are there: ``TIME 1 :URL``"""
    found = []
    for line in entry.content.split(b'\n'):
        parts = line.split(b' ', 2)
        if len(parts) == 3 and parts[1] == b'1':
            url = parts[2].decode('utf-8', 'surrogateescape')
            found.append(url.removeprefix(':'))
    return found


def _is_located(one: InstanceMetadata, tar_key: str, urls: list[str]) -> bool:
    # older tools write neither type nor offset
    wanted = build_locator(tar_key, one.path, one.size, one.offset)[0]
    return any(wanted.startswith(url) and f'&size={one.size}' in url for url in urls)


def _is_anywhere(log: bytes, remotes: set[bytes]) -> bool:
    """Whether the newest state of a location log has a special remote"""
    there: dict[bytes, tuple[bytes, bytes]] = {}
    for line in log.splitlines():
        time, state, identity = line.split(b' ')[:3]
        there[identity] = max(there.get(identity, (b'', b'')), (time, state))
    return any(there.get(one, (b'', b'0'))[1] == b'1' for one in remotes)


def _differs(paths: VisitPaths, problem: str) -> Finding:
    return Finding(
        'dataset-differs',
        paths.repo_export,
        f'{paths.repo_export}: {problem}; {_AGAIN}',
    )
