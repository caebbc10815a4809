"""A build of the OHIF viewer: unpacked, and made to work below any path

A build has its own address in it, normally ``/``, and some of its parts ask other
hosts. Both are mended in the text of its files; nothing is built anew.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import re
import shutil
import tarfile
import zlib
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import IO, cast

from datalad_icf.errors import ViewerError

# raised when what is installed from the same build changes
_FORMAT = 1
CONFIG_NAME = 'app-config.js'
# a build has 250 files of 200 MB together
_MAX_FILES = 20_000
_MAX_BYTES = 2 << 30
_COPY = 1 << 20

# Needless here: it removes the service workers of all of the server, asks other
# hosts, or configures another server.
_LEFT_OUT = frozenset(
    {
        '_headers',
        '_redirects',
        'google.js',
        'init-service-worker.js',
        'manifest.json',
        'oidc-client.min.js',
        'serve.json',
        'silent-refresh.html',
        'sw.js',
    }
)
# 'ort' runs models that come from another host, 130 MB for nothing
_LEFT_OUT_DIRECTORIES = frozenset({'ort', '.git', 'node_modules'})

# The address of all other files, in the page and in its workers, also minified
_PUBLIC_PATH = re.compile(rb'\b(__webpack_require__|\w)\.p(\s*=\s*)"/"(?=\s*[;,)}])')
_RELATIVE_PATH = rb'\1.p\2(self.PUBLIC_URL||new URL("./",self.location.href).pathname)'
# Workers do not have the policy of the page. Nothing is fetched from such an address.
_FOREIGN = re.compile(
    rb'https://(?:cdn\.jsdelivr\.net|unpkg\.com|cdnjs\.cloudflare\.com|huggingface\.co'
    rb'|[a-z]+\.googleapis\.com)/'
)
_NOWHERE = b'about:blank#'
_CSS_URL = re.compile(rb'url\((["\']?)/(?!/)')
_ATTRIBUTE = re.compile(r'\b(href|src|content)=(["\']?)/(?!/)')
_PUBLIC_URL = re.compile(r'window\.PUBLIC_URL\s*=\s*(["\'])/\1')
_SERVICE_WORKER = re.compile(
    r'<script[^>]*init-service-worker\.js[^>]*></script>|<link[^>]*rel=["\']?manifest[^>]*>'
)
_INLINE_SCRIPT = re.compile(r'<script(?:\s[^>]*)?>(.*?)</script>', re.DOTALL)
_SCRIPT = re.compile(r'<script\b([^>]*)>')
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-eval'{hashes}; style-src 'self' "
    "'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; media-src "
    "'self' blob:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'none'"
)
LANDING_PAGE = (
    '<!DOCTYPE html>\n<html lang="en"><meta charset="utf-8">'
    '<title>Image viewer</title>\n'
    '<p>The viewer is opened from the overview of a study.</p></html>\n'
)


def read_config() -> bytes:
    """Read the configuration of the viewer, a file of this package"""
    return (files('datalad_icf.dicomweb') / 'viewer_config.js').read_bytes()


def digest_build(build: Path) -> str:
    """Digest of a build, and of what this package makes of it

    Parameters
    ----------
    build
        Directory or tarball.

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    ViewerError
        If it cannot be read.
    """
    digest = hashlib.sha256(b'%d\0' % _FORMAT + read_config())
    try:
        if build.is_file():
            _digest_file(build, digest)
        else:
            root = find_root(build)
            digest.update(read_version(root).encode())
            for path in list_files(root):
                digest.update(os.fsencode(f'{path.relative_to(root)}\0'))
                digest.update(b'%d\0' % path.stat().st_size)
                _digest_file(path, digest)
    except OSError as e:
        msg = f'cannot read the viewer {build}: {e.strerror}'
        raise ViewerError(msg) from e
    return digest.hexdigest()


def _digest_file(path: Path, digest: hashlib._Hash) -> None:
    with path.open('rb') as file:
        while data := file.read(_COPY):
            digest.update(data)


def find_root(directory: Path, build: Path | None = None) -> Path:
    """Find the directory of a build that has its page

    Parameters
    ----------
    directory
        What ``yarn build`` makes, the directory above, or an unpacked package.
    build
        What it was unpacked from, for the message; default: nothing.

    Raises
    ------
    ViewerError
        If there is none.
    """
    for name in ('.', 'dist', 'package/dist', 'package'):
        root = directory / name
        if (root / 'index.html').is_file() and (root / CONFIG_NAME).is_file():
            return root
    msg = (
        f'{build or directory} is no build of the OHIF viewer, as '
        "'npm pack @ohif/app' makes it: neither it nor its subdirectory dist has the "
        f'files index.html and {CONFIG_NAME}'
    )
    raise ViewerError(msg)


def list_files(root: Path) -> list[Path]:
    """List what is installed of a build, in the order of the names

    Symbolic links are not followed, and not installed.

    Parameters
    ----------
    root
        From `find_root`.
    """
    found: list[Path] = []
    for directory, directories, names in os.walk(root):
        directories[:] = sorted(set(directories) - _LEFT_OUT_DIRECTORIES)
        for name in sorted(names):
            path = Path(directory, name)
            is_left_out = path.parent == root and name in _LEFT_OUT
            if is_left_out or name.endswith('.map') or name.startswith('.'):
                continue
            if path.is_file() and not path.is_symlink():
                found.append(path)
        if len(found) > _MAX_FILES:
            msg = f'{root} has more than {_MAX_FILES} files; it is no viewer'
            raise ViewerError(msg)
    return found


def read_version(root: Path) -> str:
    """Version of a build, from its ``package.json``, or ``''`` if it has none"""
    path = root.parent / 'package.json'
    try:
        return str(json.loads(path.read_bytes())['version'])
    except (OSError, ValueError, KeyError, TypeError):
        return ''


def unpack(tarball: Path, target: Path) -> None:
    """Unpack a build, and trust none of it

    Parameters
    ----------
    tarball
        What ``npm pack`` makes; compressed or not.
    target
        Directory to be made.

    Raises
    ------
    ViewerError
        If it is damaged or too large, or has anything else than files and
        directories that stay in it.
    """
    target.mkdir()
    try:
        with tarball.open('rb') as file:
            is_gzip = file.read(2) == b'\x1f\x8b'
            file.seek(0)
            stream = gzip.GzipFile(fileobj=file) if is_gzip else file
            _unpack_stream(cast(IO[bytes], stream), target)
    except (
        tarfile.TarError,
        gzip.BadGzipFile,
        zlib.error,
        EOFError,
        ValueError,
        FileExistsError,
    ) as e:
        msg = f'{tarball} is no tarball of a viewer, or it is damaged: {e}'
        raise ViewerError(msg) from e
    except ViewerError as e:
        raise ViewerError(f'{tarball} {e}') from e


def _unpack_stream(stream: IO[bytes], target: Path) -> None:
    n_bytes = n_files = 0
    with tarfile.open(fileobj=stream, mode='r|') as archive:
        for member in archive:
            parts = PurePosixPath(member.name).parts
            if member.isdir():
                continue
            if not member.isreg() or not parts or {'..', '/'} & set(parts):
                raise ViewerError('has a member that is not safe to unpack')
            n_bytes += member.size
            n_files += 1
            if n_bytes > _MAX_BYTES or n_files > _MAX_FILES:
                raise ViewerError('is too large for a viewer')
            source = archive.extractfile(member)
            assert source is not None
            path = target.joinpath(*parts)
            path.parent.mkdir(parents=True, exist_ok=True)
            # never an earlier member again
            with path.open('xb') as file:
                shutil.copyfileobj(source, file, _COPY)
    # at the end of a compressed stream there is a checksum
    while data := stream.read(_COPY):
        n_bytes += len(data)
        if n_bytes > _MAX_BYTES:
            raise ViewerError('is too large for a viewer')


def mend_file(name: str, content: bytes) -> bytes:
    """Make a file of a build work below any path, and ask no other host

    Parameters
    ----------
    name
        Its name, for the kind of file.
    content
        What it has.
    """
    if name.endswith(('.js', '.mjs')):
        content = _PUBLIC_PATH.sub(_RELATIVE_PATH, content)
        return _FOREIGN.sub(_NOWHERE, content)
    if name.endswith('.css'):
        # all style sheets are beside the page
        return _CSS_URL.sub(rb'url(\1./', content)
    return content


def build_page(text: str) -> str:
    """Build the page of the viewer, for the subdirectory that is its address

    Parameters
    ----------
    text
        ``index.html`` of a build. Its scripts in the page are allowed to run, no
        other ones, and no request leaves the server (CSP level 2).

    Raises
    ------
    ViewerError
        If it is not a page as OHIF has it.

    Examples
    --------
    >>> page = '<head><script src="/app-config.js"></script></head>'
    >>> build_page(page).partition('<script')[2]
    ' src="../app-config.js"></script></head>'
    """
    text = _SERVICE_WORKER.sub('', text)
    text = _ATTRIBUTE.sub(r'\1=\2../', text)
    # the configuration sets it
    text = _PUBLIC_URL.sub('void 0', text)
    if not re.search(rf'<script[^>]*\bsrc=["\']?\.\./{CONFIG_NAME}', text):
        msg = (
            'the page of the viewer does not read its configuration; was it built '
            'with another PUBLIC_URL than "/"?'
        )
        raise ViewerError(msg)
    hashes = ''
    for script in _INLINE_SCRIPT.findall(text):
        if script:
            digest = base64.b64encode(hashlib.sha256(script.encode()).digest())
            hashes += f" 'sha256-{digest.decode()}'"
    policy = _POLICY.format(hashes=hashes)
    head = (
        f'<head><meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="referrer" content="same-origin">'
        '<meta name="robots" content="noindex">'
    )
    text, count = re.subn(r'<head(?:\s[^>]*)?>', lambda _: head, text, count=1)
    if not count:
        msg = 'the page of the viewer has no head'
        raise ViewerError(msg)
    return text
