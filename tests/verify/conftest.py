"""A store with a visit that has everything, and ways to look at it"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from shutil import copytree

import pytest

from datalad_icf.catalog import CatalogSettings, update_catalog
from datalad_icf.dataset import deposit_dataset
from datalad_icf.dicom import archive_visit, deposit_metadata
from datalad_icf.dicomweb import TreeOptions, convert_visit
from datalad_icf.store import Visit, VisitPaths
from datalad_icf.verify import Finding, StudyViews, find_deposits, verify_visit
from datalad_icf.verify import verify_study as verify_one_study
from demo.phantom import write_phantom

VISIT = Visit('S1', 'V01')


@pytest.fixture(scope='session')
def phantom_files(tmp_path_factory) -> Path:
    """The files of the visit, as the scanner exports them, and a text file"""
    directory = tmp_path_factory.mktemp('export')
    write_phantom(directory, rows=8, columns=8)
    (directory / 'notes.txt').write_text('no image')
    return directory


@pytest.fixture(scope='session')
def whole_store(tmp_path_factory, phantom_files) -> Path:
    """A store with tarball, metadata, dataset, DICOMweb tree and catalog"""
    paths = VisitPaths(tmp_path_factory.mktemp('whole') / 'store', VISIT)
    archive_visit(paths, phantom_files)
    deposit_metadata(paths)
    deposit_dataset(paths)
    convert_visit(paths, TreeOptions(thumbnails=False))
    with update_catalog(paths, CatalogSettings()) as update:
        update.add(paths)
        update.commit()
    return paths.store_dir


@pytest.fixture
def paths(whole_store, tmp_path) -> VisitPaths:
    """A copy of it, to be damaged"""
    return VisitPaths(copytree(whole_store, tmp_path / 'store'), VISIT)


@pytest.fixture
def find(paths) -> Callable[..., list[Finding]]:
    """Finds all that is wrong with the visit, and with its study"""

    def find(**kwargs) -> list[Finding]:
        before = snapshot(paths.store_dir)
        views = StudyViews(paths)
        findings = list(verify_one_study(paths, views, is_whole=True))
        for one in find_deposits(paths.store_dir, Visit('S1', '*')):
            findings += verify_visit(one, views, **kwargs).findings
        assert snapshot(paths.store_dir) == before
        return findings

    return find


@pytest.fixture
def codes(find) -> Callable[..., set[str]]:
    """Codes of all that is wrong"""
    return lambda **kwargs: {finding.code for finding in find(**kwargs)}


def snapshot(directory: Path) -> dict[str, tuple[int, int]]:
    """Size and time of all files: what must not change"""
    return {
        str(path): (path.lstat().st_size, path.lstat().st_mtime_ns)
        for path in directory.rglob('*')
    }


def flip(path: Path, position: int) -> None:
    """Flip one bit of a file, and nothing else, its times neither"""
    stat = path.stat()
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
