"""Write a tarball that is the same for the same files"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from datalad_icf.dicom.digest import BlockDigest
from datalad_icf.dicom.sources import (
    SourceFile,
    VisitSources,
    check_unchanged,
    open_source,
)
from datalad_icf.dicom.tar_format import (
    BLOCK,
    RECORD,
    build_member_header,
    padding,
)
from datalad_icf.errors import SourceError

# stays in the cache of a core while it is read, digested and written
_BLOCK_SIZE = 1 << 18
Sink = Callable[[memoryview], None]


@dataclass(frozen=True)
class TarballSummary:
    """What was written: size in bytes, and MD5 in hexadecimal digits"""

    size: int
    md5: str


class MemberObserver(Protocol):
    """Sees members while they are written, which saves reading them again"""

    def begin(self, name: str, offset: int, size: int, fd: int) -> Sink:
        """See a member begin, and say who sees its bytes

        Parameters
        ----------
        name
            Path in the tarball.
        offset, size
            Where its content will be in the tarball, in bytes.
        fd
            Descriptor of the file, whose position is not to be changed.
        """

    def end(self) -> None:
        """See it end"""


def write_tarball(
    sources: VisitSources,
    prefix: str,
    sink: Sink,
    *,
    progress: Callable[[int], None] | None = None,
    observer: MemberObserver | None = None,
) -> TarballSummary:
    """Write the files of a visit as a tarball

    Each file is a regular member below ``prefix``, with its content as it is,
    mode 0644, owner root (0), group root (0), and as modification time that of
    its study, or the latest of the visit.

    Parameters
    ----------
    sources
        The files, from `scan_sources`.
    prefix
        Top-level directory of all members.
    sink
        Called with the bytes of the tarball, in blocks of up to 256 KiB, which
        are only valid during the call.
    progress
        Called with the number of bytes since the last call.
    observer
        Sees the members.

    Raises
    ------
    SourceError
        If a file is not any more as it was when scanned.
    """
    with BlockDigest(_BLOCK_SIZE) as digest:
        stream = _BlockStream(digest, sink, progress)
        for file in sources.files:
            timestamp = sources.timestamp if file.timestamp is None else file.timestamp
            stream.add(
                build_member_header(f'{prefix}/{file.name}', file.size, timestamp)
            )
            _copy(sources, file, stream, prefix, observer)
            stream.add(bytes(padding(file.size)))
        stream.add(bytes(2 * BLOCK))
        stream.add(bytes(padding(stream.size, RECORD)))
        stream.flush()
        return TarballSummary(stream.size, digest.finish())


def _copy(
    sources: VisitSources,
    file: SourceFile,
    stream: _BlockStream,
    prefix: str,
    observer: MemberObserver | None,
) -> None:
    fd = open_source(sources, file.name)
    try:
        check_unchanged(sources, file, fd)
        path = os.path.join(sources.root, file.name)
        see = None
        if observer:
            with _reading(path):
                see = observer.begin(
                    f'{prefix}/{file.name}', stream.size, file.size, fd
                )
        stream.add_file(fd, file.size, path, see)
        if observer:
            # before the last look at the file, as it may read on in it
            with _reading(path):
                observer.end()
        check_unchanged(sources, file, fd)
    finally:
        os.close(fd)


@contextmanager
def _reading(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as e:
        msg = f'{path!r} cannot be read: {e.strerror}'
        raise SourceError(msg) from e


class _BlockStream:
    """Gathers bytes in blocks, for few calls of the operating system"""

    def __init__(
        self, digest: BlockDigest, sink: Sink, progress: Callable[[int], None] | None
    ) -> None:
        self.size = 0
        self._digest = digest
        self._sink = sink
        self._progress = progress
        self._block = digest.next_block()
        self._fill = 0

    def add(self, data: bytes) -> None:
        while data:
            room = _BLOCK_SIZE - self._fill
            part, data = data[:room], data[room:]
            self._block[self._fill : self._fill + len(part)] = part
            self._advance(len(part))

    def add_file(self, fd: int, size: int, path: str, see: Sink | None) -> None:
        """Add so many bytes of a file, and let somebody see them"""
        todo = size
        while todo:
            with _reading(path), memoryview(self._block) as view:
                count = os.readv(fd, [view[self._fill :][:todo]])
                if see:
                    see(view[self._fill : self._fill + count])
            if count == 0:
                msg = f'{path!r} is shorter than it was a moment ago; try again'
                raise SourceError(msg)
            todo -= count
            self._advance(count)

    def _advance(self, count: int) -> None:
        self._fill += count
        self.size += count
        if self._fill == _BLOCK_SIZE:
            self.flush()

    def flush(self) -> None:
        self._digest.digest_block(self._block, self._fill)
        with memoryview(self._block) as view:
            self._sink(view[: self._fill])
        if self._progress:
            self._progress(self._fill)
        self._block = self._digest.next_block()
        self._fill = 0
