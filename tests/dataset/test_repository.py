"""The deposit is a sound repository, always the same, without a trace of its making"""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
from datalad.support.gitrepo import GitRepo
from datalad_next.gitremotes.datalad_annex import RepoAnnexGitRemote, _format_refs

from datalad_icf.store import Visit, VisitPaths

COMMIT = '5cb0d7302bf4b5a3db4bd7a66de3a2c19b8f4a1f'
NAMES = ('S1_V01/0001.dcm', 'S1_V01/ü \n.dcm', './S1_V01/a&b.dcm')


@pytest.fixture
def members(paths):
    """Members of the ZIP file"""

    def members():
        with ZipFile(paths.repo_export) as archive:
            return archive.infolist()

    return members


@pytest.fixture
def odd_visit(describe):
    describe(*NAMES)


def test_git_finds_no_fault(odd_visit, deposit, unpack, call):
    deposit()
    call('git', 'fsck', '--strict', '--full', cwd=unpack())


def test_git_clones_it(odd_visit, deposit, unpack, call, tmp_path):
    report = deposit()
    call('git', 'clone', '--quiet', str(unpack()), 'clone', cwd=tmp_path)
    head = call('git', 'rev-parse', 'HEAD', 'origin/main', cwd=tmp_path / 'clone')
    assert head.decode().split() == [report.commit, report.commit]


def test_each_branch_has_one_commit(visit, deposit, unpack, call):
    deposit()
    repository = unpack()
    refs = call('git', 'for-each-ref', '--format=%(refname)', cwd=repository)
    assert refs.decode().split() == ['refs/heads/git-annex', 'refs/heads/main']
    commits = call('git', 'rev-list', '--all', '--count', cwd=repository)
    assert int(commits) == 2


def test_refs_are_written_as_by_datalad_next(visit, deposit, unpack, paths):
    deposit()
    assert paths.refs.read_text() == _format_refs(GitRepo(unpack()))


def test_datalad_next_extracts_every_member(visit, deposit, members):
    deposit()
    allowed = tuple(RepoAnnexGitRemote.safe_content)
    assert all(info.filename.startswith(allowed) for info in members())


def test_members_have_a_fixed_date_mode_and_order(visit, deposit, members):
    deposit()
    assert {info.date_time for info in members()} == {(1980, 1, 1, 0, 0, 0)}
    for info in members():
        directory = info.filename.endswith('/')
        assert info.external_attr >> 16 == (
            stat.S_IFDIR | 0o755 if directory else stat.S_IFREG | 0o644
        )


def test_members_are_compressed_with_deflate(visit, deposit, members):
    deposit()
    assert {i.compress_type for i in members() if i.file_size} == {ZIP_DEFLATED}


def test_a_commit_names_the_visit_and_no_person(visit, deposit, unpack, call):
    deposit()
    written = call('git', 'log', '--all', '--format=%an %ae %cn %ce %s', cwd=unpack())
    who = 'datalad-icf datalad-icf@invalid'
    assert set(written.decode().splitlines()) == {
        f'{who} {who} Deposit S1/V01_dicom.tar'
    }


DEPOSIT = """
import os, sys
from pathlib import Path
from datalad_icf.dataset import deposit_dataset
from datalad_icf.store import Visit, VisitPaths

os.umask(int(os.environ['UMASK'], 8))
paths = VisitPaths(Path(sys.argv[1]), Visit('S1', 'V01'))
deposit_dataset(paths, store_url='https://store.example.org')
"""
JUNK = {
    'GIT_DIR': '/nowhere/GIT-DIR',
    'GIT_WORK_TREE': '/nowhere',
    'GIT_INDEX_FILE': '/nowhere/index',
    'GIT_OBJECT_DIRECTORY': '/nowhere/objects',
    'GIT_DEFAULT_HASH': 'sha256',
    'GIT_TEMPLATE_DIR': '/nowhere/template',
    'GIT_AUTHOR_NAME': 'Jane Junkname',
    'GIT_COMMITTER_NAME': 'Jane Junkname',
    'GIT_COMMITTER_EMAIL': 'junk@example.org',
    'GIT_AUTHOR_DATE': '2001-01-01T00:00:00',
    'GIT_COMMITTER_DATE': '2001-01-01T00:00:00',
    'GIT_CONFIG_COUNT': '2',
    'GIT_CONFIG_KEY_0': 'core.compression',
    'GIT_CONFIG_VALUE_0': '9',
    'GIT_CONFIG_KEY_1': 'i18n.commitEncoding',
    'GIT_CONFIG_VALUE_1': 'latin1',
    'GIT_CONFIG_PARAMETERS': "'pack.compression=9'",
    'GIT_NAMESPACE': 'junk',
    'GIT_ANNEX_VECTOR_CLOCK': '1',
}


@pytest.fixture
def deposit_elsewhere(environment, write_metadata, tmp_path):
    """Deposit the same visit by another user, on a machine as different as can be"""

    def deposit_elsewhere(name, **variables):
        root = tmp_path / name
        home = root / 'home'
        home.mkdir(parents=True)
        (root / 'tmp').mkdir()
        (home / '.gitconfig').write_text(
            f'[user]\n\tname = {name}\n\temail = {name}@example.org\n'
            '[init]\n\tdefaultObjectFormat = sha256\n\tdefaultBranch = junk\n'
            '[core]\n\tcompression = 3\n\tautocrlf = true\n'
            '[pack]\n\tindexVersion = 1\n'
        )
        paths = VisitPaths(root / 'store', Visit('S1', 'V01'))
        write_metadata(paths, *NAMES)
        subprocess.run(
            [sys.executable, '-c', DEPOSIT, str(paths.store_dir)],
            cwd=home,
            env={
                **environment,
                'HOME': str(home),
                'USER': name,
                'LOGNAME': name,
                'TMPDIR': str(root / 'tmp'),
                'GIT_CONFIG_GLOBAL': str(home / '.gitconfig'),
                **variables,
            },
            check=True,
        )
        assert os.listdir(root / 'tmp') == []
        return paths

    return deposit_elsewhere


def test_the_same_metadata_make_the_same_files_everywhere(deposit_elsewhere):
    here = deposit_elsewhere('someone', UMASK='022', TZ='UTC', LANG='C.UTF-8')
    there = deposit_elsewhere(
        'jane', UMASK='077', TZ='Asia/Kathmandu', LC_ALL='C', **JUNK
    )
    for name in ('refs', 'repo_export'):
        assert getattr(here, name).read_bytes() == getattr(there, name).read_bytes()


def test_the_commits_are_the_same_with_every_version_of_git(odd_visit, deposit):
    assert deposit().commit == COMMIT


def test_nothing_of_the_machine_is_in_a_deposit(
    deposit_elsewhere, unpack_deposit, call, tmp_path
):
    name = 'unmistakable'
    paths = deposit_elsewhere(name, UMASK='022', **JUNK)
    repository = unpack_deposit(paths, tmp_path / 'unpacked.git')
    objects = call('git', 'cat-file', '--batch-all-objects', '--batch', cwd=repository)
    files = [path.read_bytes() for path in repository.rglob('*') if path.is_file()]
    everything = b'\n'.join([objects, paths.repo_export.read_bytes(), *files])
    for trace in (
        name,
        str(tmp_path),
        'datalad-icf-',
        'unkname',
        'nowhere',
        socket.gethostname() + ':',
        '@' + socket.gethostname(),
    ):
        assert trace.encode() not in everything
