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
    key_file_name,
    log_path,
    neutralise_repository,
    read_refs,
    read_tree,
    unpack_export,
)
from datalad_icf.errors import GitError
from datalad_icf.store import InstanceMetadata, VisitPaths
from datalad_icf.verify.archive import ArchiveFacts
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
            yield Finding(
                'dataset-missing', path, f'{path} is not there; run icf-deposit-dataset'
            )
        return
    with tempfile.TemporaryDirectory(prefix='datalad-icf-') as work:
        git_dir = Path(work, 'git')
        try:
            unpack_export(paths.repo_export, git_dir)
            neutralise_repository(git_dir)
            if not fast:
                check_repository(git_dir)
            refs = read_refs(git_dir)
            yield from _check_refs(paths, refs)
            yield from _check_branches(paths, facts, git_dir, refs)
        except (GitError, ValueError, IndexError) as e:
            yield Finding(
                'dataset-damaged',
                paths.repo_export,
                f'{paths.repo_export} is damaged: {e}; {_AGAIN}',
            )


def _check_refs(paths: VisitPaths, refs: dict[str, str]) -> Iterator[Finding]:
    lines = paths.refs.read_text(errors='replace').splitlines()
    heads = [line[1:].split(' ')[0] for line in lines if line.startswith('@')]
    told = {}
    for line in lines:
        oid, _, name = line.partition(' ')
        if not oid.startswith('@'):
            told[name] = oid
    if told != refs or not heads or heads[0] not in refs:
        yield Finding(
            'dataset-differs',
            paths.refs,
            f'{paths.refs} is not about the repository in {paths.repo_export.name}; '
            f'{_AGAIN}',
        )


def _check_branches(
    paths: VisitPaths, facts: ArchiveFacts, git_dir: Path, refs: dict[str, str]
) -> Iterator[Finding]:
    if facts.metadata is None:
        return
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
        yield _differs(paths, f'{wrong} are not, or not the same, in the tarball')
    yield from _check_annex(paths, git_dir, images, tar_key, tar.storepath)


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
        yield _differs(paths, f'{no_url} have no URL, or another one')
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
