"""A bare git repository as a ZIP file, and back"""

from __future__ import annotations

import zlib
from lzma import LZMAError
from pathlib import Path
from shutil import copyfileobj
from tempfile import gettempdir
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile, ZipInfo

from datalad_icf.dataset.git import CONFIG, MAIN, OF_THE_MACHINE
from datalad_icf.errors import DamagedExportError, GitError
from datalad_icf.store import open_regular

# what zipfile raises on damaged files, and on what it does not know
_DAMAGED = (
    BadZipFile,
    EOFError,
    LZMAError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    zlib.error,
)


def export_repository(git_dir: Path, refs: dict[str, str], path: Path) -> None:
    """Write a bare repository as the ZIP file ``XDLRA--repo-export``

    Parameters
    ----------
    git_dir
        A repository of `build_repository`.
    refs
        Its refs.
    path
        Existing file that becomes the ZIP file.
    """
    packed = ''.join(f'{oid} {name}\n' for name, oid in refs.items())
    small = {
        'HEAD': f'ref: {MAIN}\n'.encode(),
        'config': CONFIG,
        'packed-refs': b'# pack-refs with: peeled fully-peeled sorted \n'
        + packed.encode(),
    }
    with path.open('r+b') as f, ZipFile(f, 'w') as archive:
        for name, content in small.items():
            archive.writestr(_zip_info(name), content)
        # without refs/ git takes it for no repository
        for name in ('objects/', 'objects/info/', 'objects/pack/', 'refs/'):
            archive.writestr(_zip_info(name), b'')
        for pack in sorted((git_dir / 'objects' / 'pack').iterdir()):
            info = _zip_info(f'objects/pack/{pack.name}')
            info.file_size = pack.stat().st_size
            with pack.open('rb') as source, archive.open(info, 'w') as target:
                copyfileobj(source, target, 1 << 20)


def _zip_info(name: str) -> ZipInfo:
    # the oldest date that ZIP has, and modes that do not depend on umask
    info = ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    info.create_system = 3
    is_directory = name.endswith('/')
    info.external_attr = (0o40755 if is_directory else 0o100644) << 16
    if not is_directory:
        info.compress_type = ZIP_DEFLATED
    return info


def unpack_export(path: Path, git_dir: Path) -> None:
    """Unpack an ``XDLRA--repo-export``

    Raises
    ------
    GitError
        If it cannot be read, or there is no room for it.
    DamagedExportError
        If it is no ZIP file, or damaged.
    """
    try:
        opened = open_regular(path)
    except OSError as e:
        msg = f'cannot read {path}: {e.strerror}'
        kind = GitError if e.errno in OF_THE_MACHINE else DamagedExportError
        raise kind(msg) from e
    try:
        with opened, ZipFile(opened) as archive:
            archive.extractall(git_dir)
    except OSError as e:
        if e.errno not in OF_THE_MACHINE:
            # a disk that does not read, or a name that a damaged file has
            msg = f'{path} is damaged: {e.strerror or e}'
            raise DamagedExportError(msg) from e
        msg = f'cannot unpack {path}: {e.strerror}; is there room in {gettempdir()}?'
        raise GitError(msg) from e
    except _DAMAGED as e:
        msg = f'{path} is damaged: {e}'
        raise DamagedExportError(msg) from e
