"""The branches are those that git-annex makes of the same visit

Once by git-annex alone, and once in the way of the tools before this one, with
DataLad's ``addurls``.
"""

from __future__ import annotations

import base64
import json
import re
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest

from datalad_icf.dataset import deposit_dataset, read_refs
from datalad_icf.errors import ConflictError
from datalad_icf.store import Visit, VisitPaths
from datalad_icf.verify.dataset import is_about

TIME = 1374070500
TWIN = '0' * 32
UUID = rb'[0-9a-f]{8}-[0-9a-f-]{27}'
ATTRIBUTES = {
    'SeriesDescription': 'anat-T1w',
    'SeriesNumber': 2,
    'Modality': 'MR',
    'MRAcquisitionType': '3D',
    'ProtocolName': 't1_mprage sag',
    'PulseSequenceName': '',
}


@pytest.fixture(scope='module')
def images(describe_image) -> list[dict[str, Any]]:
    """Images with names and values that need care, but that all tools can take"""

    def build(path: str, /, **fields: Any) -> dict[str, Any]:
        return describe_image(path, **{**ATTRIBUTES, **fields})

    return [
        build('S1_V01/0001.dcm'),
        build('S1_V01/0002.dcm', SeriesDescription='!loud', ProtocolName='größe'),
        build('S1_V01/a b/ü.dcm', SeriesDescription='a \'b\' "c" {d}'),
        build('S1_V01/100%.dcm', SeriesNumber=None),
        build('S1_V01/MR.1.2.840'),
        build('S1_V01/IM-0001', Modality='CT'),
        build('S1_V01/-x:y\\z.tar.gz', PulseSequenceName='+x=y,z;&#'),
        build('S1_V01/twin.dcm', md5=TWIN, SeriesNumber=7),
        build('S1_V01/other/twin.dcm', md5=TWIN, SeriesNumber=8),
    ]


@pytest.fixture(scope='module')
def paths(tmp_path_factory) -> VisitPaths:
    return VisitPaths(tmp_path_factory.mktemp('store'), Visit('S1', 'V01'))


@pytest.fixture(scope='module')
def ours(
    paths, images, write_metadata, store_url, unpack_deposit, tmp_path_factory
) -> Path:
    """What we make of the visit, as a repository"""
    write_metadata(paths, *images)
    deposit_dataset(paths, store_url=store_url)
    return unpack_deposit(paths, tmp_path_factory.mktemp('ours') / 'repository.git')


@pytest.fixture(scope='module')
def annexed(call, images, paths, tmp_path_factory, store_url) -> Path:
    """What git-annex makes of the visit, with our UUIDs and our time"""
    repository = tmp_path_factory.mktemp('annexed')
    clock = {'GIT_ANNEX_VECTOR_CLOCK': str(TIME)}

    def annex(*command: str, stdin: str = '') -> list[str]:
        written = call(
            'git', 'annex', *command, cwd=repository, stdin=stdin.encode(), **clock
        )
        return written.decode().splitlines()

    tarball_url = f'{store_url}/{paths.store_path}'
    dataset_id = uuid5(NAMESPACE_URL, tarball_url)
    remotes = {name: str(uuid5(dataset_id, name)) for name in ('uncurl', 'archivist')}
    tarball = json.loads(paths.tarball_metadata.read_text())
    files = [{**tarball, 'path': tarball['dspath']}, *images]
    call('git', 'init', '--quiet', '--initial-branch=main', cwd=repository)
    annex('init')
    for name, identity in remotes.items():
        annex(
            'initremote',
            name,
            'type=external',
            f'externaltype={name}',
            'encryption=none',
            'autoenable=true',
            f'uuid={identity}',
        )
    keys = annex(
        'examinekey',
        '--batch',
        '--migrate-to-backend=MD5E',
        '--format=${key}\\n',
        stdin=''.join(f'MD5-s{f["size"]}--{f["md5"]} {f["path"]}\n' for f in files),
    )
    urls = [tarball_url]
    urls += [
        f'dl+archive:{keys[0]}#path={i["path"]}&size=5&atype=tar&offset=1536'
        for i in images
    ]
    places = [remotes['uncurl'], *[remotes['archivist']] * len(images)]
    annex(
        'fromkey',
        '--force',
        '--batch',
        stdin=''.join(f'{k} {f["path"]}\n' for k, f in zip(keys, files)),
    )
    annex(
        'registerurl',
        '--batch',
        stdin=''.join(f'{k} {u}\n' for k, u in zip(keys, urls)),
    )
    annex(
        'setpresentkey',
        '--batch',
        stdin=''.join(f'{k} {p} 1\n' for k, p in zip(keys, places)),
    )
    annex('metadata', '--batch', '--json', stdin=_metadata_batch(keys, files))
    call('git', 'commit', '--quiet', '-m', 'all', cwd=repository)
    return repository


def _metadata_batch(keys: list[str], files: list[dict[str, Any]]) -> str:
    fields: dict[str, dict[str, list[str]]] = {}
    for n, (key, file) in enumerate(zip(keys, files)):
        names = ('path', 'md5', 'size', *ATTRIBUTES)
        if n == 0:
            names = ('dspath', 'md5', 'size', 'storepath')
        for name in names:
            if file[name] not in ('', None):
                values = fields.setdefault(key, {}).setdefault(name, [])
                values.append(str(file[name]))
    records = ({'key': k, 'fields': f} for k, f in fields.items())
    return ''.join(f'{json.dumps(r)}\n' for r in records)


def parse_metadata(line: bytes) -> dict[str, set[str]]:
    """Read a line of a metadata log (git-annex: *internals*)"""
    fields: dict[str, set[str]] = {}
    for word in line.decode().rstrip('\n').split(' ')[1:]:
        if not word.startswith('+'):
            values = fields.setdefault(word.casefold(), set())
        elif word[1:2] == '!':
            values.add(base64.b64decode(word[2:]).decode())
        else:
            values.add(word[1:])
    return fields


def test_metadata_are_those_of_git_annex(ours, annexed, read_branch):
    found, expected = (
        {
            path: parse_metadata(content)
            for path, (_, content) in read_branch(r, 'git-annex').items()
            if path.endswith('.log.met')
        }
        for r in (ours, annexed)
    )
    assert found == expected


def test_metadata_are_written_as_by_git_annex(ours, annexed, read_branch):
    found, expected = (
        {p: c for p, c in read_branch(r, 'git-annex').items() if p.endswith('.met')}
        for r in (ours, annexed)
    )
    assert found == expected


def test_all_else_on_the_annex_branch_is_that_of_git_annex(ours, annexed, read_branch):
    found = read_branch(ours, 'git-annex')
    expected = read_branch(annexed, 'git-annex')
    assert found.keys() == expected.keys()
    # the repository in which it was made, which a deposit must not tell
    mode, uuids = expected['uuid.log']
    lines = uuids.splitlines(keepends=True)
    remotes = [line for line in lines if re.search(rb' (uncurl|archivist) ', line)]
    assert len(lines) == len(remotes) + 1
    expected['uuid.log'] = (mode, b''.join(remotes))
    for path in expected:
        if not path.endswith('.met'):
            assert sorted(found[path][1].splitlines()) == sorted(
                expected[path][1].splitlines()
            )
            assert found[path][0] == expected[path][0]


def test_symlinks_are_those_of_git_annex(ours, annexed, read_branch):
    found, expected = (
        {p: f for p, f in read_branch(r, 'main').items() if f[0] == '120000'}
        for r in (ours, annexed)
    )
    assert len(found) == 10
    assert found == expected


# What the tools before this one did, with the same commands of DataLad. Only the
# way into the store is shorter: it was a push by git-remote-datalad-annex.
FORMER_WAY = """
import json, subprocess, sys
from pathlib import Path
import datalad.api as dl
from datalad.support.gitrepo import GitRepo
from datalad_next.gitremotes.datalad_annex import LZMAZipFile, _format_refs

work, metadata, images, url, deposit, *keywords = sys.argv[1:]
with open(metadata) as f:
    tarball = json.load(f)
with open(images) as f:
    instances = [{k: v for k, v in i.items() if k != 'offset'} for i in json.load(f)]
tarball = {k: tarball[k] for k in ('size', 'md5', 'dspath', 'storepath')}
ds = dl.create(work, result_renderer='disabled')
quiet = {'on_failure': 'stop', 'result_renderer': 'disabled'}
uuids = {}
for name in ('uncurl', 'archivist'):
    ds.repo.call_annex([
        'initremote', name, 'type=external', f'externaltype={name}',
        'encryption=none', 'autoenable=true'])
    uuids[name] = ds.repo.call_annex_records(['info', name])[0]['uuid']
key = 'et:MD5-s{size}--{md5}'
done = ds.addurls(
    [dict(tarball, url=f"{url}/{tarball['storepath']}")],
    '{url}', '{dspath}', key=key, **quiet)
tar_key = next(r['annexkey'] for r in done if r['action'] == 'fromkey')
ds.repo.call_annex(['setpresentkey', tar_key, uuids['uncurl'], '1'])
done = ds.addurls(
    instances, f'dl+archive:{tar_key}#path={{path}}&size={{size}}', '{path}',
    key=key, meta=[f'{k}={{{k}}}' for k in keywords], **quiet)
for image_key in {r['annexkey'] for r in done if r['action'] == 'fromkey'}:
    ds.repo.call_annex(['setpresentkey', image_key, uuids['archivist'], '1'])
ds.repo.call_annex(['whereis', '--key', tar_key])
bare = f'{work}.git'
subprocess.run(['git', 'clone', '--quiet', '--bare', work, bare], check=True)
with open(f'{deposit}XDLRA--refs', 'w') as f:
    f.write(_format_refs(GitRepo(bare)))
with LZMAZipFile(f'{deposit}XDLRA--repo-export', 'w') as archive:
    for path in sorted(Path(bare).rglob('*')):
        archive.write(path, path.relative_to(bare))
"""


@pytest.fixture(scope='module')
def former(
    call, images, paths, write_metadata, store_url, tmp_path_factory
) -> VisitPaths:
    """A deposit made in the former way, with its metadata"""
    store = VisitPaths(tmp_path_factory.mktemp('former'), paths.visit)
    store.study_dir.mkdir()
    write_metadata(store, *images[:5])
    call(
        sys.executable,
        '-c',
        FORMER_WAY,
        str(tmp_path_factory.mktemp('work')),
        str(store.tarball_metadata),
        str(store.dicoms_metadata),
        store_url,
        str(store.study_dir / 'V01_'),
        *ATTRIBUTES,
        cwd=store.study_dir,
    )
    return store


def normalise(files: dict[str, tuple[str, bytes]]) -> dict[str, Any]:
    """Take away what two runs of the former way had not in common, and what was wrong

    It wrote ``None`` for no value, and of images with the same content it knew
    the metadata of one.
    """
    names = {
        line[:36]: line.split(b' name=')[1].split(b' ')[0]
        for line in files['remote.log'][1].splitlines()
    }
    normal: dict[str, Any] = {}
    for path, (_, content) in files.items():
        if path.endswith('.met'):
            if TWIN not in path:
                fields = parse_metadata(content)
                normal[path] = {k: v for k, v in fields.items() if v != {'None'}}
            continue
        for identity, name in names.items():
            content = content.replace(identity, name)
        content = re.sub(rb'\b[0-9.]+s\b', b'TIME', content)
        content = re.sub(rb'&atype=tar&offset=\d+', b'', content)
        normal[path] = {
            line for line in content.splitlines() if not re.match(UUID, line)
        }
    return normal


@pytest.fixture
def both(former, store_url, unpack_deposit, read_branch, tmp_path) -> Callable:
    """A branch of what we make of that visit, and of what the former way made"""
    mine = replace(former, store_dir=tmp_path / 'store')
    copytree(former.store_dir, mine.store_dir)
    deposit_dataset(mine, store_url=store_url, replace=True)
    repositories = [
        unpack_deposit(mine, tmp_path / 'ours.git'),
        unpack_deposit(former, tmp_path / 'theirs.git'),
    ]
    return lambda branch: (read_branch(r, branch) for r in repositories)


def test_the_former_way_made_the_same_files_but_for_the_id_of_the_dataset(both):
    found, expected = (
        {p: (m, re.sub(UUID, b'UUID', c)) for p, (m, c) in files.items()}
        for files in both('HEAD')
    )
    assert found == expected


def test_the_former_way_made_the_same_annex_branch_but_for_times_and_uuids(both):
    found, expected = map(normalise, both('git-annex'))
    assert found == expected


@pytest.fixture
def former_deposit(former, tmp_path) -> VisitPaths:
    """A copy of the deposit made in the former way, to be changed"""
    copytree(former.store_dir, tmp_path / 'store')
    return replace(former, store_dir=tmp_path / 'store')


def test_a_deposit_made_in_the_former_way_is_not_replaced_unasked(
    former_deposit, store_url
):
    before = former_deposit.repo_export.read_bytes()
    with pytest.raises(ConflictError, match='--existing replace'):
        deposit_dataset(former_deposit, store_url=store_url)
    assert former_deposit.repo_export.read_bytes() == before


def test_what_replaces_a_deposit_made_in_the_former_way_is_later(
    former_deposit, store_url, unpack_deposit, call, tmp_path
):
    started = time.time()
    deposit_dataset(former_deposit, store_url=store_url, replace=True)
    repository = unpack_deposit(former_deposit, tmp_path / 'repository.git')
    when = call('git', 'log', '-1', '--format=%ct', 'git-annex', cwd=repository)
    # they wrote the time of their run, the visit was in 2013
    assert started - 600 < int(when) <= started + 1


def test_metadata_without_our_fields_are_enough(
    former_deposit, describe_image, write_metadata, store_url
):
    bare = {'mtime': ..., 'dicoms_md5': ..., 'instances': ...}
    write_metadata(former_deposit, describe_image('a.dcm', offset=...), **bare)
    assert deposit_dataset(former_deposit, store_url=store_url, replace=True).is_new


def test_the_refs_of_the_former_way_are_those_of_its_repository(
    former, unpack_deposit, tmp_path
):
    """icf-verify compares them byte for byte"""
    refs = read_refs(unpack_deposit(former, tmp_path / 'theirs.git'))
    assert is_about(former.refs.read_bytes(), refs)
