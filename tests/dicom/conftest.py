from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Callable
from datetime import datetime, timezone, tzinfo
from pathlib import Path

import pydicom.data
import pytest
from pydicom import dcmread
from pydicom.errors import InvalidDicomError


def study_time(path: Path, zone: tzinfo | None) -> float | None:
    """The time of a file, from a full read of it by pydicom"""
    try:
        dataset = dcmread(path, stop_before_pixels=True)
    except InvalidDicomError:
        return None
    from pydicom.valuerep import DA, TM

    day, hour = DA(dataset.StudyDate), TM(dataset.StudyTime)
    return datetime.combine(day, hour, tzinfo=zone).timestamp()


@pytest.fixture(scope='session')
def reference_archive() -> Callable[..., bytes]:
    """Makes the archive that `tarfile` made, with the rules of the layout"""

    def make(
        root: Path, prefix: str, zone: tzinfo | None = timezone.utc, start: float = 0.0
    ) -> bytes:
        files = sorted(
            (p for p in root.rglob('*') if p.is_file()),
            key=lambda p: p.relative_to(root).parts,
        )
        times = {p: study_time(p, zone) for p in files}
        latest = max((t for t in times.values() if t is not None), default=start)
        buffer = io.BytesIO()
        with tarfile.open(
            fileobj=buffer, mode='w', format=tarfile.PAX_FORMAT, encoding='utf-8'
        ) as tar:
            for path in files:
                info = tarfile.TarInfo(f'{prefix}/{path.relative_to(root)}')
                info.size = path.stat().st_size
                info.mode = 0o644
                info.uname = info.gname = 'root'
                own = times[path]
                info.mtime = latest if own is None else own
                with path.open('rb') as content:
                    tar.addfile(info, content)
        return buffer.getvalue()

    return make


@pytest.fixture
def machine_zone(monkeypatch) -> Callable[[str], None]:
    """Sets the time zone of the machine"""

    def set_zone(name: str) -> None:
        monkeypatch.setenv('TZ', name)
        time.tzset()

    yield set_zone
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(scope='session')
def bundled() -> Callable[[str], Path]:
    """Finds a file that is a part of pydicom, and needs no download"""

    def find(name: str) -> Path:
        data = Path(pydicom.data.__file__).parent
        for directory in ('test_files', 'charset_files'):
            if (path := data / directory / name).exists():
                return path
        pytest.skip(f'pydicom comes without {name}')

    return find
