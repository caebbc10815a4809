"""A visit goes into a store, and one image comes back

Usage: ``python -m demo.run [--visit DIR] [--viewer PATH] [--keep] [--serve]``
"""

from __future__ import annotations

import argparse
import io
import json
import signal
import sys
from contextlib import suppress
from hashlib import md5
from pathlib import Path
from secrets import token_urlsafe
from threading import Event
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

from demo.phantom import DEFAULT_SERIES, write_phantom
from demo.sandbox import DemoError, Sandbox, temporary_sandbox
from demo.server import StoreServer, serve_store
from demo.site import Site, serve_all
from demo.xnat import serve_xnat

STUDY, VISIT = 'demo', 'visit1'
VISIT_ARGUMENTS = ('--id', STUDY, VISIT, '-o', 'store')
USER, REALM = 'reader', 'icf-store'
CREDENTIAL = 'icf'
# the first one that an image has is looked up
LOOKUP_KEYWORDS = ('SeriesDescription', 'ProtocolName', 'SeriesNumber', 'Modality')


def main(argv: list[str] | None = None) -> int:
    """Run the demo from the command line; returns the exit code"""
    parser = argparse.ArgumentParser(
        prog='python -m demo.run', description='A visit to a store, an image back.'
    )
    parser.add_argument(
        '--visit', type=Path, metavar='DIR', help='a real visit instead of the phantom'
    )
    parser.add_argument(
        '--viewer',
        type=Path,
        metavar='PATH',
        help="a build of OHIF, as 'npm pack @ohif/app' makes it",
    )
    parser.add_argument(
        '--keep', action='store_true', help='keep the store and the clone'
    )
    parser.add_argument(
        '--serve',
        action='store_true',
        help='serve store and catalog at the end, until Ctrl-C',
    )
    args = parser.parse_args(argv)
    try:
        with temporary_sandbox(keep=args.keep) as sandbox:
            if args.keep:
                print(f'All of this stays in {sandbox.root}')
            run_demo(sandbox, args.visit, viewer=args.viewer, is_served=args.serve)
    except DemoError as e:
        print(f'The demo failed: {e}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('The demo was interrupted', file=sys.stderr)
        return 130
    return 0


def run_demo(
    sandbox: Sandbox,
    visit: Path | None = None,
    *,
    viewer: Path | None = None,
    is_served: bool = False,
) -> None:
    """Take a visit through a store

    Parameters
    ----------
    sandbox
        Where it happens.
    visit
        Directory with the files of the visit, or None for the phantom.
    viewer
        A build of OHIF, or None for no viewer.
    is_served
        Whether the store is served at the end, until somebody interrupts.

    Raises
    ------
    DemoError
        If a step fails, or an image comes back other than it went in.
    """
    start = perf_counter()
    store = sandbox.root / 'store'
    store.mkdir()
    _archive(sandbox, _prepare(sandbox, visit))
    images = _deposit_metadata(sandbox)
    password = token_urlsafe()
    with serve_store(store, USER, password, realm=REALM) as server:
        print(f'The store is now served at {server.url}, with a password')
        _deposit_dataset(sandbox, server)
        _dicomweb(sandbox, viewer)
        _catalog(sandbox, server)
        _set_credential(sandbox, server, password)
        _clone(sandbox, server)
        image = _look_up(sandbox, images)
        _get(sandbox, server, image)
    _push(sandbox)
    # at the same address, which is in the clone commands
    with serve_all(sandbox, urlsplit(server.url).port or 0, USER, password) as site:
        site.check(STUDY)
        print(f'Done in {perf_counter() - start:.0f} s: the image is what it was')
        if is_served:
            _wait(site, password)


def _prepare(sandbox: Sandbox, visit: Path | None) -> str:
    if visit:
        if not visit.is_dir():
            msg = f'{visit} is not a directory'
            raise DemoError(msg)
        print(f'The files of a visit are in {visit}')
        # absolute, as the commands run in another directory
        return str(visit.resolve())
    files = write_phantom(sandbox.root / 'export')
    size = format_size(sum(file.stat().st_size for file in files))
    what = f'{len(DEFAULT_SERIES)} series in {len(files)} files, {size}'
    print(f'A phantom was scanned: {what}')
    return 'export'


def _archive(sandbox: Sandbox, source: str) -> None:
    outcome = sandbox.run('datalad', 'icf-archive', *VISIT_ARGUMENTS, source)
    size = _size_of(sandbox, '_dicom.tar')
    outcome.tell(f'one tarball of {size}, the same bytes on every machine')


def _deposit_metadata(sandbox: Sandbox) -> list[dict[str, Any]]:
    outcome = sandbox.run('datalad', 'icf-deposit-metadata', *VISIT_ARGUMENTS)
    path = _deposited(sandbox, '_metadata_dicoms.json')
    images: list[dict[str, Any]] = json.loads(path.read_bytes())
    if not images:
        raise DemoError('there is no DICOM file in the visit')
    series = {str(image.get('SeriesNumber')) for image in images}
    outcome.tell(f'{len(images)} images of {len(series)} series, each with its MD5')
    return images


def _deposit_dataset(sandbox: Sandbox, server: StoreServer) -> None:
    outcome = sandbox.run(
        'datalad',
        'icf-deposit-dataset',
        *VISIT_ARGUMENTS,
        '--store-url',
        server.url,
    )
    size = _size_of(sandbox, '_XDLRA--repo-export')
    outcome.tell(f'a DataLad dataset of {size}, made without a copy of the images')


def _catalog(sandbox: Sandbox, server: StoreServer) -> None:
    url = ('--store-url', server.url)
    outcome = sandbox.run('datalad', 'icf-catalog', *VISIT_ARGUMENTS, *url)
    record = outcome.records[-1]
    what = f'{record["instances"]} images in {record["series"]} series'
    outcome.tell(f'a page with {what}, and a table of the study')
    for page in ('index.html', 'overview.html'):
        print(f'  {server.url}/{STUDY}/catalog/{page}')


def _dicomweb(sandbox: Sandbox, viewer: Path | None) -> None:
    more = ('--viewer', str(viewer.resolve())) if viewer else ()
    outcome = sandbox.run('datalad', 'icf-dicomweb', *VISIT_ARGUMENTS, *more)
    record = outcome.records[-1]
    outcome.tell(
        f'{record["instances"]} images for viewers and programs, with a picture of '
        'each series'
    )


def _push(sandbox: Sandbox) -> None:
    with serve_xnat(sandbox, STUDY) as url:
        for again in (False, True):
            push = ('datalad', 'icf-xnat-push', *VISIT_ARGUMENTS, '--url', url)
            outcome = sandbox.run(*push)
            records = outcome.records
            images = sum(record['instances'] for record in records)
            if any((record['status'] == 'notneeded') != again for record in records):
                raise DemoError('images were sent to XNAT twice, or not at all')
            what = 'are there, and were not sent again' if again else 'seen there'
            outcome.tell(f'{images} images {what}')


def _wait(site: Site, password: str) -> None:
    print(f'Look at {site.url}{STUDY}/catalog/overview.html')
    print(f'  as user {USER} with the password {password}; Ctrl-C ends this')
    with suppress(KeyboardInterrupt):
        Event().wait()


def _set_credential(sandbox: Sandbox, server: StoreServer, password: str) -> None:
    # DataLad compares the server's address and the realm that it names
    realm = f'realm={server.url}/{REALM}'
    user = f'user={USER}'
    # where DataLad looks before it asks; an argument could be seen by others
    secret = {f'DATALAD_CREDENTIAL_{CREDENTIAL.upper()}_SECRET': password}
    outcome = sandbox.run(
        'datalad',
        'credentials',
        'set',
        CREDENTIAL,
        'type=user_password',
        user,
        realm,
        hidden=secret,
    )
    outcome.tell('the password is asked for here, and never again')


def _clone(sandbox: Sandbox, server: StoreServer) -> None:
    seen = len(server.requests)
    url = ('--store-url', server.url)
    outcome = sandbox.run('datalad', 'icf-clone', '--id', STUDY, VISIT, *url, 'clone')
    outcome.tell(f'{_transferred(server, seen)} came over the network, and no image')


def _look_up(sandbox: Sandbox, images: list[dict[str, Any]]) -> dict[str, Any]:
    """Choose an image by what it shows, as a user of the clone would"""
    # a name that a shell and a terminal can show
    usual = [i for i in images if i['path'].isprintable()]
    if not usual:
        raise DemoError('there is no image with a usual name')
    image = usual[len(usual) // 2]
    keyword = next((k for k in LOOKUP_KEYWORDS if _is_plain(image.get(k))), None)
    if not keyword:
        return image
    outcome = sandbox.run(
        'git',
        '-C',
        'clone',
        'annex',
        'find',
        '--metadata',
        f'{keyword}={image[keyword]}',
    )
    found = outcome.output.splitlines()
    if image['path'] not in found:
        raise DemoError('an image was not found by its metadata')
    outcome.tell(f'{len(found)} images found by what they are, before any is here')
    return image


def _get(sandbox: Sandbox, server: StoreServer, image: dict[str, Any]) -> None:
    seen = len(server.requests)
    outcome = sandbox.run('datalad', '-C', 'clone', 'get', image['path'])
    try:
        content = (sandbox.root / 'clone' / image['path']).read_bytes()
    except OSError as e:
        msg = f'the image is not there after datalad get: {e.strerror}'
        raise DemoError(msg) from e
    digest = md5(content, usedforsecurity=False).hexdigest()
    if digest != image['md5']:
        msg = f'the image has the MD5 {digest} instead of {image["md5"]}'
        raise DemoError(msg)
    moved = sum(request.sent for request in server.requests[seen:])
    if moved > len(content):
        msg = f'an image of {len(content)} bytes cost {moved} bytes'
        raise DemoError(msg)
    outcome.tell(
        f'{len(content):,} bytes with the MD5 {digest} of the metadata; {moved:,} came '
        f'over the network, of a tarball of {_size_of(sandbox, "_dicom.tar")}'
    )


def _deposited(sandbox: Sandbox, suffix: str) -> Path:
    path = sandbox.root / 'store' / STUDY / f'{VISIT}{suffix}'
    if not path.is_file():
        msg = f'{path.name} was not made'
        raise DemoError(msg)
    return path


def _size_of(sandbox: Sandbox, suffix: str) -> str:
    return format_size(_deposited(sandbox, suffix).stat().st_size)


def _transferred(server: StoreServer, seen: int) -> str:
    return format_size(sum(request.sent for request in server.requests[seen:]))


def _is_plain(value: object) -> bool:
    # git-annex takes it for a pattern
    return isinstance(value, (str, int)) and not set(str(value) or '*') & set('*?[]\\')


def format_size(size: int) -> str:
    """Format a number of bytes for people

    Examples
    --------
    >>> format_size(999), format_size(212_000), format_size(82_186_240)
    ('999 B', '212 kB', '82.2 MB')
    """
    if size < 1000:
        return f'{size} B'
    if size < 1000**2:
        return f'{size / 1000:.0f} kB'
    return f'{size / 1000**2:.1f} MB'


if __name__ == '__main__':
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # in order also in a file, and any path also in an old locale
            stream.reconfigure(line_buffering=True, errors='backslashreplace')
    # `kill` is to leave as little behind as Ctrl-C
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
