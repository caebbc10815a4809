"""The OHIF viewer in a store: installed once, and linked to for each study

::

    STORE/viewer/                  a build of OHIF, without what needs other hosts
    STORE/viewer/app-config.js     finds the store and the study from the address
    STORE/viewer/viewer/index.html the page; its address is a route of OHIF
    STORE/viewer/icf-viewer.json   which build this is

A plain server needs to know nothing of it. The page asks only the server that it
comes from, and only below the directory of the one study that its link names.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

from datalad_icf.dicomweb.servers import VIEWER_PAGE
from datalad_icf.dicomweb.viewer_build import (
    CONFIG_NAME,
    LANDING_PAGE,
    build_page,
    digest_build,
    find_root,
    list_files,
    mend_file,
    read_config,
    read_version,
    unpack,
)
from datalad_icf.errors import (
    ConflictError,
    MissingInputError,
    StoreAccessError,
    StoreWriteError,
    ViewerError,
)
from datalad_icf.store import VIEWER_DIR, VIEWER_MARK, locked

_MENDED = ('.js', '.mjs', '.css')


@dataclass(frozen=True)
class ViewerReport:
    """What `install_viewer` did

    Attributes
    ----------
    path
        Where the viewer is.
    version
        Version of OHIF, or ``''`` if the build does not tell it.
    is_new
        Whether it was installed now, and not there before.
    """

    path: Path
    version: str
    is_new: bool


def install_viewer(build: Path, store_dir: Path) -> ViewerReport:
    """Install a build of the OHIF viewer in a store

    It appears whole or not at all, and replaces the one of another build. While
    it is replaced, it is away for the time of a rename.

    Parameters
    ----------
    build
        Tarball as ``npm pack @ohif/app`` makes it, or a directory: the unpacked
        tarball, or its ``dist``.
    store_dir
        Root directory of the store.

    Raises
    ------
    MissingInputError
        If there is no such build.
    ViewerError
        If it is no build of OHIF, damaged, or not safe to be unpacked.
    ConflictError
        If ``viewer`` in the store is something else, such as a study.
    StoreAccessError
        If the store cannot be written to.
    StoreWriteError
        If writing failed half-way; the viewer is as it was before.
    """
    if not build.exists():
        msg = f'there is no viewer {build}'
        raise MissingInputError(msg)
    target = store_dir / VIEWER_DIR
    digest = digest_build(build)
    with locked(target):
        staging = store_dir / f'.{VIEWER_DIR}.part'
        old = store_dir / f'.{VIEWER_DIR}.old'
        _recover(target, old)
        installed = read_installed(store_dir)
        if installed and installed.get('digest') == digest:
            return ViewerReport(target, str(installed.get('version', '')), False)
        if installed is None and target.exists():
            msg = f'{target} is no viewer; choose another name for that study'
            raise ConflictError(msg)
        try:
            # left by a process that was killed
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir()
        except OSError as e:
            msg = f'cannot write to {store_dir}: {e.strerror}'
            raise StoreAccessError(msg) from e
        try:
            version = _stage(build, staging, digest)
            if target.exists():
                os.rename(target, old)
            os.rename(staging / VIEWER_DIR, target)
        except OSError as e:
            _recover(target, old)
            msg = f'cannot install {target}: {e.strerror or e}'
            raise StoreWriteError(msg) from e
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
    return ViewerReport(target, version, True)


def _recover(target: Path, old: Path) -> None:
    """Put back what was moved away by a process that did not come to its end"""
    if old.exists():
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            os.rename(old, target)


def _stage(build: Path, staging: Path, digest: str) -> str:
    """Make the directory as it is to be, and return the version"""
    if build.is_dir():
        unpacked = build
    else:
        unpacked = staging / 'unpacked'
        unpack(build, unpacked)
    root = find_root(unpacked, build)
    made = staging / VIEWER_DIR
    made.mkdir()
    for path in list_files(root):
        copy = made / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in _MENDED:
            copy.write_bytes(mend_file(path.name, path.read_bytes()))
        else:
            # the mode is that of new files here, not the one of the build
            shutil.copyfile(path, copy)
    try:
        page = build_page((root / 'index.html').read_text(encoding='utf-8'))
    except ValueError as e:
        msg = f'the page of the viewer {build} is no text'
        raise ViewerError(msg) from e
    (made / VIEWER_PAGE).mkdir(exist_ok=True)
    (made / VIEWER_PAGE / 'index.html').write_text(page, encoding='utf-8')
    (made / 'index.html').write_text(LANDING_PAGE, encoding='utf-8')
    (made / CONFIG_NAME).write_bytes(read_config())
    version = read_version(root)
    mark = {'format': 1, 'version': version, 'digest': digest}
    (made / VIEWER_MARK).write_text(json.dumps(mark, indent=1) + '\n')
    return version


def read_installed(store_dir: Path) -> dict[str, object] | None:
    """Read which viewer a store has

    Returns
    -------
    dict or None
        With ``version`` and ``digest``; nothing if there is no viewer.
    """
    try:
        mark = json.loads((store_dir / VIEWER_DIR / VIEWER_MARK).read_bytes())
    except (OSError, ValueError):
        return None
    return mark if isinstance(mark, dict) else None


def viewer_link(
    study_id: str,
    study_instance_uid: str | Iterable[str],
    series_instance_uid: str | None = None,
    sop_instance_uid: str | None = None,
) -> str:
    """Link to images in the viewer, relative to the catalog of the study

    Parameters
    ----------
    study_id
        Identifier of the study in the store.
    study_instance_uid
        *Study Instance UID* (0020,000D), or all those of a visit.
    series_instance_uid
        *Series Instance UID* (0020,000E) of the series to be seen first.
    sop_instance_uid
        *SOP Instance UID* (0008,0018) of the image to be seen first. OHIF takes
        the window of images that have none from the first one that it shows, so
        this is better one from the middle.

    Returns
    -------
    str
        URL reference (RFC 3986, 4.2), percent-encoded.

    Examples
    --------
    >>> viewer_link('study 1', '1.2.3', '1.2.3.4')
    '../../viewer/viewer/?icf=study%201&StudyInstanceUIDs=1.2.3\
&initialSeriesInstanceUID=1.2.3.4'
    """
    uids = study_instance_uid
    query = {
        'icf': study_id,
        'StudyInstanceUIDs': uids if isinstance(uids, str) else ','.join(uids),
    }
    if series_instance_uid:
        query['initialSeriesInstanceUID'] = series_instance_uid
    if sop_instance_uid:
        query['initialSopInstanceUID'] = sop_instance_uid
    encoded = urlencode(query, quote_via=quote, safe=',')
    return f'../../{VIEWER_DIR}/{VIEWER_PAGE}?{encoded}'


def has_viewer(store_dir: Path) -> bool:
    """Whether a viewer is installed in a store"""
    return (store_dir / VIEWER_DIR / VIEWER_MARK).is_file()
