"""From a tree back to a DICOM file: the inverse of the conversion"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from datalad_icf.dicomweb.blobs import Blob, BlobStore, find_frame
from datalad_icf.dicomweb.encode import Part, encode_elements, encoded_size
from datalad_icf.dicomweb.info import (
    EMPTY_PREAMBLE,
    INFO_VERSION,
    MAGIC,
    basic_offset_table,
)
from datalad_icf.dicomweb.join import FragmentReader, join_frames
from datalad_icf.dicomweb.metadata import find_metadata, read_json
from datalad_icf.dicomweb.model import Span
from datalad_icf.dicomweb.patches import Patch, apply_patches
from datalad_icf.dicomweb.restore import Restorer
from datalad_icf.dicomweb.tree import FRAMES, INFO, StudyTree
from datalad_icf.errors import RebuildError

_is_uid = re.compile(r'[0-9]+(\.[0-9]+)*').fullmatch


@dataclass(frozen=True)
class RebuildReport:
    """A DICOM file that was rebuilt

    Attributes
    ----------
    size
        Number of bytes.
    md5
        Their MD5, 32 hexadecimal digits.
    transformed
        What was done with the instance before it became a part of the tree; if
        anything, the file is another than the original.
    """

    size: int
    md5: str
    transformed: tuple[str, ...]


def rebuild_p10(
    tree: Path,
    study_instance_uid: str,
    series_instance_uid: str,
    sop_instance_uid: str,
    target: BinaryIO,
) -> RebuildReport:
    """Rebuild a DICOM file (PS3.10) from nothing but a tree

    Parameters
    ----------
    tree
        Directory with the tree: the one that has ``studies``.
    study_instance_uid, series_instance_uid, sop_instance_uid
        Which instance.
    target
        Where the file is written to, part by part: memory does not grow with it.

    Returns
    -------
    RebuildReport
        The file is byte for byte the original, or, if the instance was transformed,
        the original with what the transformation changed, and lengths that fit.

    Raises
    ------
    RebuildError
        If a file of the tree is missing or damaged, which the message names. What
        was written to ``target`` until then must not be used.
    OSError
        If ``target`` cannot be written.
    """
    uids = (study_instance_uid, series_instance_uid, sop_instance_uid)
    if not all(map(_is_uid, uids)):
        msg = 'one of the UIDs is no valid UID'
        raise RebuildError(msg)
    study = StudyTree(tree, study_instance_uid)
    directory = study.instance(series_instance_uid, sop_instance_uid)
    path = directory / INFO
    info = read_json(path)
    if not isinstance(info, dict) or info.get('version') != INFO_VERSION:
        msg = f'{path} is damaged, or of a newer version'
        raise RebuildError(msg)
    document, document_path = find_metadata(
        study, series_instance_uid, sop_instance_uid
    )
    blobs = BlobStore(study.bulkdata)
    digest = hashlib.md5(usedforsecurity=False)
    size = 0
    try:
        for data in _Rebuilder(info, directory, blobs).iter_bytes(document):
            target.write(data)
            digest.update(data)
            size += len(data)
        member = info['member']
        transformed = tuple(info.get('transformed', ()))
        is_original = (size, digest.hexdigest()) == (member['size'], member['md5'])
    except (ValueError, KeyError, TypeError, AttributeError, LookupError) as e:
        msg = f'{path} or {document_path} is damaged, or they are not of one instance'
        raise RebuildError(msg) from e
    if not transformed and not is_original:
        msg = (
            f'what was rebuilt from {path}, {document_path} and the frames is not the '
            'original: one of them was changed'
        )
        raise RebuildError(msg)
    return RebuildReport(size, digest.hexdigest(), transformed)


class _Rebuilder:
    def __init__(
        self, info: Mapping[str, Any], directory: Path, blobs: BlobStore
    ) -> None:
        self._info = info
        self._frames = directory / FRAMES
        self._blobs = blobs

    def iter_bytes(self, document: Mapping[str, Any]) -> Iterator[bytes]:
        """Encode the file"""
        info = self._info
        head = self._encode_head()
        explicit, little_endian = info['explicitVR'], info['littleEndian']
        pixels = self._restore_pixels()
        restorer = Restorer(
            info.get('encoding', {}),
            self._blobs,
            explicit=explicit,
            little_endian=little_endian,
            pixels=pixels,
        )
        parts: list[Part] = []
        encode_elements(
            parts,
            restorer.restore(document),
            explicit=explicit,
            little_endian=little_endian,
        )
        deflated = info.get('deflated')
        if deflated is None:
            yield from self._patch([*head, *parts], 'patches')
            yield from self._unpack(info, 'trailing')
            return
        yield from self._patch(head, 'headPatches')
        if 'raw' in deflated:
            yield from self._unpack(deflated, 'raw')
            return
        compressor = zlib.compressobj(deflated['level'], zlib.DEFLATED, -zlib.MAX_WBITS)
        inflated = self._patch(parts, 'patches')
        for data in chain(inflated, self._unpack(info, 'trailing')):
            yield compressor.compress(data)
        yield compressor.flush()
        yield from self._unpack(deflated, 'rest')

    def _read(self, parts: Iterable[Part]) -> Iterator[bytes]:
        for part in parts:
            if isinstance(part, Span):
                yield from self._blobs.read(part)
            else:
                yield part

    def _patch(self, parts: Iterable[Part], name: str) -> Iterator[bytes]:
        patches = [
            Patch(offset, removed, self._blobs.unpack_bytes(added))
            for offset, removed, added in self._info.get(name, ())
        ]
        chunks = self._read(parts)
        return apply_patches(chunks, patches) if patches else chunks

    def _unpack(self, place: Mapping[str, Any], name: str) -> Iterator[bytes]:
        if name in place:
            yield from self._read((self._blobs.unpack(place[name]),))

    def _encode_head(self) -> list[Part]:
        """Encode preamble and file meta information (PS3.10, 7.1)"""
        info = self._info
        head: list[Part] = []
        preamble = info.get('preamble', '')
        if preamble is not None:
            head += [self._blobs.unpack(preamble) or EMPTY_PREAMBLE, MAGIC]
        how = {'explicit': True, 'little_endian': True}
        restorer = Restorer(
            info.get('fileMetaEncoding', {}), self._blobs, pixels={}, **how
        )
        encode_elements(head, restorer.restore(info['fileMeta']), **how)
        return head

    def _restore_pixels(self) -> dict[str, Span | tuple[Span, ...]]:
        """Return the tag of the pixels, and their value or fragments"""
        described = self._info.get('pixelData')
        if described is None:
            return {}
        if 'offsetTable' in described:
            return {described['tag']: self._restore_fragments(described)}
        bits = described.get('frameBits', 0)
        number = described['numberOfFrames']
        paths = [find_frame(self._frames, n + 1) for n in range(number)]
        word = described.get('word')
        size = -(-bits // 8) * number
        if word is not None:
            size = bits * number // (8 * word) * word
        rest: Part = b''
        if 'rest' in described:
            rest = self._blobs.unpack(described['rest'])

        def read() -> Iterator[bytes]:
            yield from join_frames(paths, bits=bits, word=word, size=size)
            yield from self._read((rest,))

        blob = Blob(size + encoded_size((rest,)), read)
        return {described['tag']: self._blobs.add(blob)}

    def _restore_fragments(self, described: Mapping[str, Any]) -> tuple[Span, ...]:
        fragments = []
        counts = []
        for number, lengths in enumerate(described['fragments'], 1):
            if isinstance(lengths, int):
                lengths = (lengths,)
            path = find_frame(self._frames, number)
            reader = FragmentReader(path, sum(lengths))
            for length in lengths:
                blob = Blob(length, partial(reader.read, length))
                fragments.append(self._blobs.add(blob))
            counts.append(len(lengths))
        table = described['offsetTable']
        if table is None:
            return ()
        if table == 'empty':
            data: Part = b''
        elif table == 'complete':
            data = basic_offset_table(fragments, counts)
        else:
            data = self._blobs.unpack(table['raw'])
        first = data if isinstance(data, Span) else self._blobs.add_bytes(data)
        return (first, *fragments)
