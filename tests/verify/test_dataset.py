"""Damage of the dataset of a visit is found"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from zipfile import ZIP_LZMA, ZipFile

import pytest

from datalad_icf.dataset import ANNEX, deposit_dataset, format_refs
from datalad_icf.dataset.git import MAIN
from datalad_icf.store import Visit, VisitPaths, read_instances
from datalad_icf.verify.dataset import is_about
from tests.verify.conftest import flip


def unpack(paths, directory: Path) -> Path:
    with ZipFile(paths.repo_export) as archive:
        archive.extractall(directory)
    return directory


def pack(paths, repository: Path) -> None:
    """As older tools do it: with all there is, compressed with LZMA"""
    with ZipFile(paths.repo_export, 'w', ZIP_LZMA) as archive:
        for path in sorted(repository.rglob('*')):
            archive.write(path, path.relative_to(repository))


def git(repository: Path, *args: str, stdin: str = '') -> str:
    return subprocess.run(
        ['git', '-C', str(repository), *args],
        check=True,
        capture_output=True,
        text=True,
        input=stdin,
    ).stdout


def test_a_flipped_bit_of_the_zip_is_found(paths, codes):
    flip(paths.repo_export, paths.repo_export.stat().st_size // 2)
    assert codes() == {'dataset-damaged'}


def test_a_flipped_bit_of_a_pack_within_a_sound_zip_is_found(paths, codes, tmp_path):
    repository = unpack(paths, tmp_path / 'repository')
    (packed,) = repository.glob('objects/pack/*.pack')
    packed.chmod(0o644)
    flip(packed, packed.stat().st_size // 2)
    pack(paths, repository)
    assert codes() == {'dataset-damaged'}


def test_a_cut_zip_is_found(paths, codes):
    with paths.repo_export.open('r+b') as f:
        f.truncate(1000)
    assert codes(fast=True) == {'dataset-damaged'}


@pytest.mark.parametrize('name', ['refs', 'repo_export'])
def test_a_lost_file_is_found(paths, find, name):
    getattr(paths, name).unlink()
    (finding,) = find()
    assert finding.code == 'dataset-missing'
    assert finding.path == getattr(paths, name)


@pytest.mark.parametrize(
    'text', ['', '0' * 40 + ' refs/heads/main\n@refs/heads/main HEAD\n']
)
def test_refs_of_something_else_are_found(paths, find, text):
    paths.refs.write_text(text)
    (finding,) = find()
    assert (finding.code, finding.path) == ('dataset-differs', paths.refs)


def test_a_flipped_bit_of_the_refs_is_found(paths, codes):
    flip(paths.refs, 3)
    assert codes() == {'dataset-differs'}


def test_each_flipped_bit_of_the_refs_is_found():
    refs = {ANNEX: '0123456789abcdef' * 2 + '01234567', MAIN: 'fedcba98' * 5}
    text = format_refs(refs).encode()
    assert is_about(text, refs)
    for position in range(len(text)):
        for bit in range(8):
            damaged = bytearray(text)
            damaged[position] ^= 1 << bit
            assert not is_about(bytes(damaged), refs), damaged


@pytest.mark.parametrize('old', ['HEAD', '\n@', '\n'])
def test_refs_that_cannot_be_cloned_are_found(paths, codes, old):
    text = paths.refs.read_text()
    damaged = text.replace(old, chr(ord(old[0]) ^ 1) + old[1:])
    paths.refs.write_text(damaged)
    assert codes() == {'dataset-differs'}


@pytest.mark.parametrize('fast', [False, True])
def test_a_dataset_of_another_visit_is_found_without_metadata(
    paths, find, tmp_path, fast
):
    """The tarball has its name in the dataset, and its digest"""
    record = json.loads(paths.tarball_metadata.read_text())
    record.pop('dicoms_md5')
    for visit_id, md5 in (('V01', '0' * 32), ('V02', record['md5'])):
        other = VisitPaths(tmp_path / visit_id, Visit('S1', visit_id))
        other.study_dir.mkdir(parents=True)
        places = {'dspath': other.dataset_path, 'storepath': other.store_path}
        text = json.dumps({**record, **places, 'md5': md5})
        other.tarball_metadata.write_text(text)
        shutil.copy(paths.dicoms_metadata, other.dicoms_metadata)
        deposit_dataset(other)
    for path in (paths.tarball_metadata, paths.dicoms_metadata):
        path.unlink()
    for visit_id in ('V01', 'V02'):
        other = VisitPaths(tmp_path / visit_id, Visit('S1', visit_id))
        for name in ('refs', 'repo_export'):
            shutil.copy(getattr(other, name), getattr(paths, name))
        found = find(fast=fast)
        assert {f.code for f in found} == {'metadata-missing', 'dataset-differs'}


def test_a_dataset_of_another_visit_is_found(paths, find, tmp_path):
    other = VisitPaths(tmp_path / 'other', Visit('S1', 'V01'))
    other.study_dir.mkdir(parents=True)
    instances = json.loads(paths.dicoms_metadata.read_text())
    instances[0]['md5'] = '0' * 32
    other.dicoms_metadata.write_text(json.dumps(instances))
    tarball = json.loads(paths.tarball_metadata.read_text())
    del tarball['dicoms_md5']
    other.tarball_metadata.write_text(json.dumps({**tarball, 'md5': 'f' * 32}))
    deposit_dataset(other)
    for name in ('refs', 'repo_export'):
        getattr(paths, name).write_bytes(getattr(other, name).read_bytes())
    messages = [f.message for f in find() if f.code == 'dataset-differs']
    assert len(messages) == len(find())
    assert any(instances[0]['path'] in message for message in messages)
    assert any(tarball['dspath'] in message for message in messages)


@pytest.fixture
def change_annex(paths, tmp_path):
    """Changes a file of the git-annex branch, and writes refs that fit"""

    def change(suffix: str, old: bytes, new: bytes) -> str:
        repository = unpack(paths, tmp_path / 'repository')
        names = git(repository, 'ls-tree', '-r', '--name-only', 'git-annex')
        name = next(n for n in names.splitlines() if n.endswith(suffix))
        content = git(repository, 'cat-file', 'blob', f'git-annex:{name}').encode()
        assert old in content
        text = content.replace(old, new).decode()
        blob = git(repository, 'hash-object', '-w', '--stdin', stdin=text).strip()
        index = {'GIT_INDEX_FILE': str(tmp_path / 'index')}
        env = ['env', *(f'{k}={v}' for k, v in index.items()), 'git', '-C']
        env += [str(repository), '-c', 'user.name=x', '-c', 'user.email=x@y.z']

        def run(*args: str) -> str:
            done = subprocess.run(
                [*env, *args], check=True, capture_output=True, text=True
            )
            return done.stdout.strip()

        run('read-tree', 'git-annex')
        run('update-index', '--add', '--cacheinfo', f'100644,{blob},{name}')
        commit = run('commit-tree', run('write-tree'), '-m', 'x')
        run('update-ref', 'refs/heads/git-annex', commit)
        git(repository, 'pack-refs', '--all')
        refs = git(repository, 'for-each-ref', '--format=%(objectname) %(refname)')
        paths.refs.write_text(f'{refs}@refs/heads/main HEAD\n')
        pack(paths, repository)
        return name

    return change


@pytest.mark.parametrize(
    ('suffix', 'old', 'new', 'problem'),
    [
        ('.dcm.log.web', b'1 :dl+archive', b'0 :dl+archive', 'without a URL'),
        ('.dcm.log.web', b'.tar#path=', b'.zip#path=', 'without a URL'),
        ('.tar.log.web', b'V01_dicom', b'V02_dicom', 'without a URL'),
        ('.dcm.log', b's 1 ', b's 0 ', 'would not look for'),
        ('.tar.log', b's 1 ', b's 0 ', 'would not look for'),
        ('remote.log', b'autoenable=true', b'autoenable=false', 'would not look'),
    ],
)
def test_content_that_git_annex_would_not_find_is_found(
    find, change_annex, suffix, old, new, problem
):
    change_annex(suffix, old, new)
    findings = find()
    assert {finding.code for finding in findings} == {'dataset-differs'}
    assert any(problem in finding.message for finding in findings)


def test_a_dataset_as_older_tools_make_it_is_whole(paths, codes, tmp_path):
    """Branch master, no type and no offset in URLs, hooks, LZMA, loose refs"""
    for path in (paths.tarball_metadata, paths.dicoms_metadata):
        record = json.loads(path.read_text())
        for one in record if isinstance(record, list) else [record]:
            for name in ('offset', 'mtime', 'instances', 'dicoms_md5'):
                one.pop(name, None)
        path.write_text(json.dumps(record))
    assert read_instances(paths.dicoms_metadata)[0].offset is None
    repository = unpack(paths, tmp_path / 'repository')
    exported = git(repository, 'fast-export', '--all')
    exported = exported.replace('refs/heads/main', 'refs/heads/master')
    lines = [line.partition('&atype=tar')[0] for line in exported.split('\n')]
    sizes = [len(line.encode()) for line in lines]
    # the length of each block stands before it
    for i, line in enumerate(lines):
        if line.startswith('data ') and '#path=' in lines[i + 1]:
            end = i + 1
            while end < len(lines) and '#path=' in lines[end]:
                end += 1
            lines[i] = f'data {sum(sizes[i + 1 : end]) + end - i - 1}'
    old = tmp_path / 'old'
    subprocess.run(
        ['git', 'init', '-q', '--bare', '-b', 'master', str(old)], check=True
    )
    git(old, 'fast-import', '--quiet', stdin='\n'.join(lines))
    assert '&atype' not in git(old, 'log', '-p', 'git-annex')
    refs = git(old, 'for-each-ref', '--format=%(objectname) %(refname)')
    paths.refs.write_text(f'{refs}@refs/heads/master HEAD\n')
    pack(paths, old)
    assert codes() == set()


def test_nothing_in_a_deposited_repository_is_run(paths, codes, tmp_path):
    repository = unpack(paths, tmp_path / 'repository')
    trap = tmp_path / 'trap'
    with (repository / 'config').open('a') as f:
        f.write(f'[core]\n\tfsmonitor = touch {trap}\n\thooksPath = {tmp_path}\n')
        f.write(f'[alias]\n\tfsck = !touch {trap}\n')
        f.write('[include]\n\tpath = /nonexistent/but/harmless\n')
    pack(paths, repository)
    assert codes() == set()
    assert not trap.exists()
