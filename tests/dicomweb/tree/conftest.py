"""Visits of small images, and the tree of their study"""

from __future__ import annotations

import io
import tarfile
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest

from datalad_icf.dicomweb import TreeOptions, TreeReport, convert_visit, drop_visit
from datalad_icf.store import Visit, VisitPaths, format_md5sum
from demo.phantom import build_instance, encode
from tests.dicomweb.tree import tree_reader

STUDY, SERIES = '1.2.1', '1.2.1.1'


def make(
    number: int = 1,
    *,
    study: str = STUDY,
    series: str = SERIES,
    uid: str | None = None,
    frames: int = 1,
    **attributes: Any,
) -> bytes:
    """Make a DICOM file of 4 x 4 pixels of 16 bits, ``None`` leaves one out"""
    data_set = build_instance(rows=4, columns=4)
    data_set.StudyInstanceUID = study
    data_set.SeriesInstanceUID = series
    data_set.SOPInstanceUID = uid or f'{series}.{number}'
    data_set.file_meta.MediaStorageSOPInstanceUID = data_set.SOPInstanceUID
    data_set.InstanceNumber = number
    if frames > 1:
        data_set.NumberOfFrames = frames
    data_set.PixelData = make_frames(number, frames)
    for keyword, value in attributes.items():
        if value is None:
            del data_set[keyword]
        else:
            setattr(data_set, keyword, value)
    return encode(data_set)


def make_frames(number: int, frames: int) -> bytes:
    return b''.join(bytes([number % 256, n % 256]) * 16 for n in range(frames))


class Study:
    """The study S1 of a store: its visits, and their tree"""

    def __init__(self, store_dir: Path) -> None:
        self.store_dir = store_dir
        self.directory = store_dir / 'S1'
        self.tree = self.directory / 'dicomweb'

    def paths(self, visit_id: str = 'V01') -> VisitPaths:
        return VisitPaths(self.store_dir, Visit('S1', visit_id))

    def put(self, *contents: bytes | tuple[str, bytes], visit_id: str = 'V01') -> None:
        """Put a visit into the store"""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode='w') as tar:
            for number, content in enumerate(contents):
                name = f'S1_{visit_id}/{number:04d}.dcm'
                if isinstance(content, tuple):
                    name, content = f'S1_{visit_id}/{content[0]}', content[1]
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        paths = self.paths(visit_id)
        self.directory.mkdir(parents=True, exist_ok=True)
        paths.tarball.write_bytes(buffer.getvalue())
        digest = md5(buffer.getvalue(), usedforsecurity=False).hexdigest()
        paths.md5sum.write_text(format_md5sum(digest, paths.tarball.name))

    def convert(
        self, visit_id: str = 'V01', *, force: bool = False, **options: Any
    ) -> TreeReport:
        """Convert a visit, without pictures, as they take time"""
        chosen = TreeOptions(**{'thumbnails': False, **options})
        return convert_visit(self.paths(visit_id), chosen, force=force)

    def drop(self, visit_id: str) -> None:
        drop_visit(self.paths(visit_id), TreeOptions())

    def path(self, name: str = '', study: str = STUDY) -> Path:
        """Path of a resource of a DICOM study"""
        return self.tree / 'studies' / study / name

    def read(self, name: str, study: str = STUDY) -> Any:
        """Content of a JSON document of a DICOM study"""
        return tree_reader.read_json(self.path(name, study))

    @property
    def listed(self) -> list[str]:
        """The DICOM studies in the list of studies"""
        records = tree_reader.read_json(self.tree / 'studies' / 'index.json')
        return [tree_reader.value(r['0020000D']) for r in records]

    def files(self, **kwargs: bool) -> dict[str, bytes]:
        return tree_reader.files(self.tree, **kwargs)

    def assert_consistent(self, **kwargs: bool) -> None:
        tree_reader.assert_consistent(self.tree, **kwargs)


@pytest.fixture
def study(tmp_path) -> Study:
    """A study without visits"""
    return Study(tmp_path / 'store')
