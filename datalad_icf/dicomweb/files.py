"""A sink that writes files: what is served of an instance"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path

from datalad_icf.dicomweb.bulk import BulkItem, iter_bulk
from datalad_icf.dicomweb.convert import Converted
from datalad_icf.dicomweb.documents import Documents, compress, write_file
from datalad_icf.dicomweb.media_types import is_native
from datalad_icf.dicomweb.multipart import MULTIPART_TAIL, multipart_head
from datalad_icf.dicomweb.part10 import iter_part10
from datalad_icf.dicomweb.source import ByteSource
from datalad_icf.dicomweb.tree import (
    FRAMES,
    GZIP_SUFFIX,
    INFO,
    METADATA,
    PART10,
    resolve_marks,
)

_BLOCK = 1 << 20


class FileSink:
    """Writes frames, bulk data, metadata and ``info`` of instances

    Parameters
    ----------
    root
        Directory of the tree.
    documents
        How documents are written.
    gzip
        Whether frames that are not compressed yet are.
    bare
        Whether frames are written without the head of a multipart message.
    instance_metadata
        Whether each instance gets its metadata as a file.
    part10
        Whether each instance is written as the DICOM file that it was.
    """

    def __init__(
        self,
        root: Path,
        documents: Documents,
        *,
        gzip: bool = False,
        bare: bool = False,
        instance_metadata: bool = True,
        part10: bool = False,
    ) -> None:
        self._root = root
        self._documents = documents
        self._gzip = gzip
        self._bare = bare
        self._instance_metadata = instance_metadata
        self._part10 = part10
        self._made: set[str] = set()
        self._last = ''

    def put_bulkdata(
        self, converted: Converted, source: ByteSource, bulk: BulkItem
    ) -> None:
        """Write a value, once for all instances of a study that have it"""
        directory = f'{self._root}/studies/{converted.study_instance_uid}/bulkdata'
        path = f'{directory}/{bulk.name}'
        if path not in self._made:
            self._make(directory)
            write_file(path, iter_bulk(source, bulk))
            self._made.add(path)

    def put_frame(self, converted: Converted, index: int) -> None:
        """Write a frame, the first has index 0, and is named 1"""
        frames = converted.frames
        directory = self._instance(converted)
        self._make(directory)
        self._make(f'{directory}/{FRAMES}')
        path = f'{directory}/{FRAMES}/{index + 1}'
        parts = frames.iter_frame(index)
        if not self._bare:
            head = multipart_head(frames.media_type, frames.transfer_syntax_uid)
            parts = chain((head,), parts, (MULTIPART_TAIL,))
        if self._gzip and is_native(frames.transfer_syntax_uid):
            write_file(path + GZIP_SUFFIX, compress(parts))
        else:
            write_file(path, parts)

    def put_metadata(self, converted: Converted) -> None:
        """Write metadata and ``info``"""
        directory = self._instance(converted)
        self._make(directory)
        if self._instance_metadata:
            document = resolve_marks(converted.json.document, level='instance')
            # the metadata of one instance are a list, too (PS3.18, 10.4.3.3)
            self._documents.write(f'{directory}/{METADATA}', b'[%b]' % document)
        self._documents.write(f'{directory}/{INFO}', converted.info.encode())
        if self._part10:
            syntax = converted.instance.transfer_syntax_uid
            head = multipart_head('application/dicom', syntax)
            parts = chain((head,), _iter_file(converted), (MULTIPART_TAIL,))
            write_file(f'{directory}/{PART10}', parts)

    def remove(self, converted: Converted) -> None:
        """Remove what was written of an instance that turned out to be damaged"""
        directory = self._instance(converted)
        shutil.rmtree(directory, ignore_errors=True)
        with suppress(OSError):
            # nor is there a series without instances
            os.removedirs(os.path.dirname(directory))
        self._last = ''

    def _instance(self, converted: Converted) -> str:
        return (
            f'{self._root}/studies/{converted.study_instance_uid}/series/'
            f'{converted.series_instance_uid}/instances/{converted.sop_instance_uid}'
        )

    def _make(self, directory: str) -> None:
        if directory == self._last or self._last.startswith(f'{directory}/'):
            return
        try:
            os.mkdir(directory)
        except FileExistsError:
            pass
        except FileNotFoundError:
            # most often, the directory above it is there
            os.makedirs(directory)
        self._last = directory


def _iter_file(converted: Converted) -> Iterator[bytes]:
    if converted.transformed:
        # not the file as it was: what is in it was to be left out
        yield from iter_part10(converted.instance)
        return
    file = converted.instance.file
    for start in range(0, file.size, _BLOCK):
        yield file.read(start, _BLOCK)
