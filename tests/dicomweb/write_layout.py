"""Writes what is served of one DICOM file, as simply as possible"""

from __future__ import annotations

import gzip
from hashlib import md5
from pathlib import Path
from typing import NamedTuple

from datalad_icf.dicomweb.bulk import iter_bulk
from datalad_icf.dicomweb.frames import list_frames
from datalad_icf.dicomweb.info import Info, Origin, build_info
from datalad_icf.dicomweb.json_model import JsonBuilder
from datalad_icf.dicomweb.media_types import is_native
from datalad_icf.dicomweb.model import Instance
from datalad_icf.dicomweb.multipart import MULTIPART_TAIL, multipart_head
from datalad_icf.dicomweb.reader import read_instance
from datalad_icf.dicomweb.source import ByteSource, BytesSource
from datalad_icf.dicomweb.tree import StudyTree, resolve_marks


class Uids(NamedTuple):
    """UIDs of study, series and instance"""

    study: str
    series: str
    instance: str


def find_uids(instance: Instance) -> Uids | None:
    values = [
        (element.value or b'').decode('latin-1').strip(' \0')
        for element in map(instance.find, (0x0020000D, 0x0020000E, 0x00080018))
        if element is not None
    ]
    return Uids(*values) if len(values) == 3 and all(values) else None


def make_origin(data: bytes) -> Origin:
    digest = md5(data, usedforsecurity=False).hexdigest()
    return Origin('a/b.dcm', 1536, len(data), digest)


def write_layout(
    tree: Path,
    source: ByteSource | bytes,
    *,
    change=None,
    uids: Uids | None = None,
    bare: bool = False,
    compressed: bool = False,
    in_series: bool = False,
    origin: Origin | None = None,
) -> tuple[Uids, Info]:
    """Write metadata, info, frames and bulk data

    `uids` is where to put it, for files that do not say it.
    """
    if isinstance(source, bytes):
        origin = make_origin(source)
        source = BytesSource(source)
    read = read_instance(source)
    instance = change(read) if change else read
    frames = list_frames(instance)
    json_parts = JsonBuilder().build(instance, len(frames.frames))
    names = [change.__name__] if change else []
    info = build_info(instance, json_parts, frames, origin, transformed=names)
    uids = uids or find_uids(instance)
    study = StudyTree(tree, uids.study)
    directory = study.instance(uids.series, uids.instance)
    (directory / 'frames').mkdir(parents=True, exist_ok=True)
    study.bulkdata.mkdir(exist_ok=True)

    def write(path: Path, content: bytes, *, pack: bool = compressed) -> None:
        if pack:
            path, content = path.with_name(f'{path.name}.gz'), gzip.compress(content)
        path.write_bytes(content)

    bulk = [(instance.source, item) for _, item in json_parts.bulk]
    for where, item in (*bulk, *info.bulk):
        write(study.bulkdata / item.name, b''.join(iter_bulk(where, item)), pack=False)
    level = 'series' if in_series else 'instance'
    document = resolve_marks(
        json_parts.document, sop_instance_uid=uids.instance, level=level
    )
    if in_series:
        others = b'{"00080018":{"vr":"UI","Value":["9.9"]}}'
        content = b'[%b,\n%b,\n%b]\n' % (others, document, others)
        write(study.series(uids.series) / 'metadata', content)
    else:
        write(directory / 'metadata', b'[%b]' % document)
    write(directory / 'info', info.encode())
    head = multipart_head(frames.media_type, frames.transfer_syntax_uid)
    tail = MULTIPART_TAIL
    if bare:
        head = tail = b''
    pack = compressed and is_native(frames.transfer_syntax_uid)
    for index in range(len(frames.frames)):
        body = b''.join((head, *frames.iter_frame(index), tail))
        write(directory / 'frames' / str(index + 1), body, pack=pack)
    return uids, info
