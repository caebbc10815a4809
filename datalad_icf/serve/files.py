"""The files of a store as responses

Finding a file below the store, ranges, conditions and compression are those of
starlette. What is here is what the addresses of a store mean.
"""

from __future__ import annotations

import errno
import gzip
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, quote

from anyio import to_thread
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.staticfiles import NotModifiedResponse, StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from datalad_icf.dicomweb.servers import (
    BULKDATA_TYPE,
    COMPRESSIBLE_TYPES,
    DICOMWEB_DIR,
    FILE_TYPES,
    FOLDER_FILES,
    MORE_RESULTS,
    VIEWER_PAGE,
    VIEWER_STATE,
    find_type,
)
from datalad_icf.serve.listing import PAGE_POLICY, render_root, render_study
from datalad_icf.store import VIEWER_DIR

_UNPACK_SIZE = 1 << 18
_OCTETS = 'application/octet-stream'
# errors that a request alone can cause
_NO_NAMES = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)


@dataclass(frozen=True)
class _File:
    """A file that answers a request"""

    path: str
    status: os.stat_result
    media_type: str
    is_gzip: bool = False


class _FileResponse(FileResponse):
    # most frames at once: each chunk is a change of the thread
    chunk_size = 1 << 20


class StoreFiles:
    """ASGI application that answers with the files of a store

    Parameters
    ----------
    root
        Root directory of the store. Names that start with a dot, and symbolic links
        that lead to one or out of the store, are not found.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._real_root = os.path.realpath(root)
        self._static = StaticFiles(directory=root)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request (ASGI 3)"""
        if scope['method'] not in ('GET', 'HEAD'):
            raise HTTPException(405, headers={'Allow': 'GET, HEAD'})
        # files, and even their names, may be on a slow disk
        response = await to_thread.run_sync(self._answer, scope)
        await response(scope, receive, send)

    def _answer(self, scope: Scope) -> ASGIApp:
        path = self._static.get_path(scope)
        parts = () if path == '.' else tuple(path.split('/'))
        try:
            if len(parts) > 1 and parts[1] == DICOMWEB_DIR:
                return self._answer_resource(parts, scope)
            return self._answer_file(parts, scope)
        except PermissionError as e:
            raise HTTPException(403) from e
        except ValueError as e:
            # a NUL in a name
            raise HTTPException(404) from e
        except OSError as e:
            if e.errno not in _NO_NAMES:
                raise
            raise HTTPException(404) from e

    def _answer_file(self, parts: tuple[str, ...], scope: Scope) -> ASGIApp:
        found = self._look_up(parts)
        if not found and parts[:1] == (VIEWER_DIR,):
            return self._answer_state(parts[1:], scope)
        if not found:
            raise HTTPException(404)
        path, status = found
        if stat.S_ISDIR(status.st_mode):
            return self._answer_directory(parts, scope)
        kind = FILE_TYPES.get(os.path.splitext(path)[1][1:].lower(), _OCTETS)
        return self._send(_File(path, status, kind), scope)

    def _answer_state(self, parts: tuple[str, ...], scope: Scope) -> ASGIApp:
        route = '/'.join(parts)
        page = self._look_up((VIEWER_DIR, VIEWER_PAGE.rstrip('/')))
        if not page or not re.fullmatch(VIEWER_STATE, route):
            raise HTTPException(404)
        up = len(parts) - (not scope['path'].endswith('/'))
        return _redirect('../' * up + VIEWER_PAGE, scope)

    def _answer_directory(self, parts: tuple[str, ...], scope: Scope) -> ASGIApp:
        if not scope['path'].endswith('/'):
            return _redirect(f'{quote(parts[-1])}/', scope)
        if index := self._look_up((*parts, 'index.html')):
            return self._send(_File(*index, FILE_TYPES['html']), scope)
        if len(parts) > 1:
            raise HTTPException(404)
        page = render_study(self._root, parts[0]) if parts else render_root(self._root)
        response = HTMLResponse(page, headers={'Content-Security-Policy': PAGE_POLICY})
        return _compress(response, scope)

    def _answer_resource(self, parts: tuple[str, ...], scope: Scope) -> ASGIApp:
        found = self._look_up(parts)
        if found and stat.S_ISDIR(found[1].st_mode):
            candidates = [(*parts, name) for name in FOLDER_FILES]
            found = None
        else:
            candidates = [(*parts[:-1], f'{parts[-1]}.gz')]
        for candidate in candidates:
            if not found:
                parts, found = candidate, self._look_up(candidate)
        if not found or not stat.S_ISREG(found[1].st_mode):
            raise HTTPException(404)
        address = '/'.join(parts)
        name = address.removesuffix('.gz')
        offset = parse_qs(scope['query_string'].decode('latin-1')).get('offset', [''])
        if name.endswith('/index.json') and re.match(MORE_RESULTS, offset[-1]):
            return Response(status_code=204)
        file = _File(*found, find_type(name), is_gzip=name != address)
        return self._send(file, scope)

    def _look_up(self, parts: tuple[str, ...]) -> tuple[str, os.stat_result] | None:
        if any(part.startswith('.') for part in parts):
            return None
        path, status = self._static.lookup_path(os.path.join(*parts) if parts else '.')
        if status is None:
            return None
        # of a symbolic link: where it leads to
        real = os.path.relpath(path, self._real_root)
        if real != '.' and any(part.startswith('.') for part in real.split(os.sep)):
            return None
        if not os.access(path, os.R_OK):
            raise PermissionError
        return path, status

    def _send(self, file: _File, scope: Scope) -> ASGIApp:
        headers = {'Vary': 'Accept-Encoding'} if file.is_gzip else {}
        if file.is_gzip:
            headers['Content-Encoding'] = 'gzip'
        response = _FileResponse(file.path, headers=headers, stat_result=file.status)
        # not as `media_type`, to which starlette can add a character set
        response.headers['content-type'] = file.media_type
        if file.media_type == BULKDATA_TYPE:
            # the name is a digest of the content
            response.headers['cache-control'] = 'private, max-age=31536000, immutable'
        asked = Headers(scope=scope)
        if self._static.is_not_modified(response.headers, asked):
            return NotModifiedResponse(response.headers)
        if file.is_gzip:
            return response if accepts_gzip(asked) else _unpack(file, response, scope)
        return _compress(response, scope)


def _redirect(target: str, scope: Scope) -> Response:
    # relative, as the store may have another address before a proxy
    query = scope['query_string'].decode('latin-1')
    return RedirectResponse(f'{target}?{query}' if query else target, status_code=307)


def _compress(response: Response, scope: Scope) -> ASGIApp:
    kind = response.headers['content-type'].partition(';')[0]
    # a range is one of the bytes of the file
    if kind not in COMPRESSIBLE_TYPES or 'range' in Headers(scope=scope):
        return response
    return GZipMiddleware(response, minimum_size=1000, compresslevel=6)


def _unpack(file: _File, packed: Response, scope: Scope) -> Response:
    headers = {
        'Vary': 'Accept-Encoding',
        'Last-Modified': packed.headers['last-modified'],
        # weak: these are other bytes with the same meaning
        'ETag': f'W/{packed.headers["etag"]}',
    }
    if scope['method'] == 'HEAD':
        response = Response(headers=headers)
        del response.headers['content-length']
    else:
        response = StreamingResponse(_iter_unpacked(file.path), headers=headers)
    response.headers['content-type'] = file.media_type
    return response


def _iter_unpacked(path: str) -> Iterator[bytes]:
    with gzip.open(path) as unpacked:
        while chunk := unpacked.read(_UNPACK_SIZE):
            yield chunk


def accepts_gzip(headers: Mapping[str, str]) -> bool:
    """Tell whether a request wants gzip as it is (RFC 9110, 12.5.3)

    A request that says nothing could have it, but is likely one of a program that
    would store it unread.

    Examples
    --------
    >>> accepts_gzip({'accept-encoding': 'br, gzip;q=0.5'})
    True
    >>> accepts_gzip({'accept-encoding': 'gzip;q=0'}), accepts_gzip({})
    (False, False)
    """
    for item in headers.get('accept-encoding', '').split(','):
        name, _, parameter = item.partition(';')
        if name.strip().lower() in ('gzip', 'x-gzip', '*'):
            return not re.fullmatch(r'\s*q\s*=\s*0(\.0*)?\s*', parameter)
    return False
