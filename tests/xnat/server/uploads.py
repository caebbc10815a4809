"""Small studies, and the archives in which clients send them"""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydicom import dcmread

from demo.phantom import LOCALIZER, T1W, build_instance, encode


def make_study(count: int = 2, *, visit: str = 'V01', **attributes: Any) -> Files:
    """Images of two series; the same arguments make the same bytes

    Parameters
    ----------
    count
        Images of each series.
    visit
        What the UIDs are made from.
    **attributes
        In place of those of the phantom.
    """
    return {
        f'{one.directory}/{index + 1:04d}.dcm': encode(
            build_instance(one, index, visit=visit, rows=4, columns=4, **attributes)
        )
        for one in (LOCALIZER, T1W)
        for index in range(count)
    }


Files = dict[str, bytes]


def sop_uids(files: Files) -> set[str]:
    """SOP Instance UIDs of images"""
    return {
        dcmread(io.BytesIO(content), stop_before_pixels=True).SOPInstanceUID
        for content in files.values()
    }


def write_files(directory: Path, files: Files) -> Path:
    """Write files below a directory"""
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return directory


class _NoSeek(io.RawIOBase):
    """A pipe: zipfile then writes sizes behind the data, in data descriptors"""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.data += data
        return len(data)


def as_zip(
    files: Mapping[str, bytes], *, deflate: bool = False, piped: bool = False
) -> bytes:
    """A zip; ``piped`` as Python writes it into a stream"""
    method = zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED
    target = _NoSeek() if piped else io.BytesIO()
    with zipfile.ZipFile(target, 'w', method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return bytes(target.data) if isinstance(target, _NoSeek) else target.getvalue()


def as_tar(files: Mapping[str, bytes], *, compress: bool = False) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode='w') as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(target.getvalue()) if compress else target.getvalue()
