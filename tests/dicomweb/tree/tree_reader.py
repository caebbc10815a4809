"""Reads a tree as its clients do: by addresses, and with the tools of others"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from email.parser import BytesParser
from email.policy import HTTP
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from datalad_icf.dicomweb.tree import BOUNDARY

ROOT = 'http://icf.test/store/S1/dicomweb/'


def find(path: Path) -> Path:
    """The file of a resource, as it is or compressed"""
    packed = path.with_name(f'{path.name}.gz')
    assert not (path.exists() and packed.exists()), path
    return packed if packed.exists() else path


def read(path: Path) -> bytes:
    """Content of a resource"""
    path = find(path)
    content = path.read_bytes()
    return gzip.decompress(content) if path.suffix == '.gz' else content


def read_json(path: Path) -> Any:
    """Content of a JSON document, which must not have what JSON has not"""

    def refuse(name):
        raise AssertionError(f'{path} has {name}')

    return json.loads(read(path), parse_constant=refuse)


def parse_multipart(body: bytes) -> tuple[str, str, bytes]:
    """Type, transfer syntax and content of the only part of a body"""
    head = f'Content-Type: multipart/related; boundary={BOUNDARY}\r\n\r\n'.encode()
    message = BytesParser(policy=HTTP).parsebytes(head + body)
    (part,) = message.iter_parts()
    assert not message.defects
    # what the parser of mails makes of line ends is not for binary data
    start = body.index(b'\r\n\r\n') + 4
    end = f'\r\n--{BOUNDARY}--\r\n'.encode()
    assert body.endswith(end)
    syntax = part['Content-Type'].params.get('transfer-syntax', '')
    return part.get_content_type(), syntax, body[start : -len(end)]


def value(element: dict[str, Any] | None) -> Any:
    """First value"""
    return ((element or {}).get('Value') or [None])[0]


def iter_uris(document: Any) -> Iterator[str]:
    """All addresses of bulk data in a document"""
    if isinstance(document, list):
        for each in document:
            yield from iter_uris(each)
    elif isinstance(document, dict):
        for key, each in document.items():
            if key == 'BulkDataURI':
                yield each
            else:
                yield from iter_uris(each)


def resolve(tree: Path, document: Path, uri: str) -> Path:
    """The file at an address that stands in a document (RFC 3986)"""
    name = document.relative_to(tree).as_posix().removesuffix('.gz')
    url = urljoin(f'{ROOT}{name}', uri)
    assert url.startswith(ROOT)
    return tree / unquote(urlsplit(url).path.removeprefix('/store/S1/dicomweb/'))


def files(directory: Path, *, hidden: bool = False) -> dict[str, bytes]:
    """Content of all files that are served, or of all"""
    return {
        name: path.read_bytes()
        for path in sorted(directory.rglob('*'))
        if path.is_file()
        for name in (path.relative_to(directory).as_posix(),)
        if hidden or '/.' not in f'/{name}'
    }


def names(directory: Path) -> set[str]:
    return {p.name for p in directory.iterdir() if p.is_dir()}


def assert_consistent(tree: Path, *, counts: bool = True) -> None:
    """What is listed anywhere is there, and the other way round

    ``counts`` are those in the list of studies, which follows the studies.
    """
    studies = tree / 'studies'
    if not find(studies / 'index.json').exists():
        return
    for record in read_json(studies / 'index.json'):
        uid = value(record['0020000D'])
        assert_study_consistent(studies / uid, record if counts else None)


def assert_study_consistent(study: Path, listed: dict[str, Any] | None) -> None:
    (record,) = read_json(study / 'index.json')
    if listed is not None:
        assert record == listed
    series = read_json(study / 'series' / 'index.json')
    assert {value(s['0020000E']) for s in series} == names(study / 'series')
    assert value(record['00201206']) == len(series)
    everywhere = []
    named = b''
    for each in series:
        directory = study / 'series' / value(each['0020000E'])
        instances = read_json(directory / 'instances' / 'index.json')
        everywhere += instances
        uids = [value(i['00080018']) for i in instances]
        assert set(uids) == names(directory / 'instances')
        assert len(uids) == len(set(uids)) == value(each['00201209'])
        metadata = read_json(directory / 'metadata')
        assert [value(m['00080018']) for m in metadata] == uids
        assert_addresses(study.parents[1], directory / 'metadata')
        named += read(directory / 'metadata')
        for uid in uids:
            assert_instance_complete(study.parents[1], directory / 'instances' / uid)
            named += read(directory / 'instances' / uid / 'info')
    assert value(record['00201208']) == len(everywhere)
    assert read_json(study / 'instances' / 'index.json') == everywhere
    for path in (study / 'bulkdata').glob('*'):
        assert sha256(path.read_bytes()).hexdigest() == path.name
        assert path.name.encode() in named


def assert_instance_complete(tree: Path, directory: Path) -> None:
    info = read_json(directory / 'info')
    pixels = info.get('pixelData', {'numberOfFrames': 0})
    frames = directory / 'frames'
    found = sorted(p.name.removesuffix('.gz') for p in frames.glob('*'))
    expected = sorted(str(n + 1) for n in range(pixels['numberOfFrames']))
    assert found == expected
    if find(directory / 'metadata').exists():
        assert_addresses(tree, directory / 'metadata')


def assert_addresses(tree: Path, document: Path) -> None:
    """All addresses in a document lead to something"""
    for uri in iter_uris(read_json(document)):
        path = resolve(tree, document, uri)
        assert find(path).exists() or path.is_dir(), path
