"""From the frames of a tree back to the value of Pixel Data"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from datalad_icf.dicomweb.blobs import read_frame
from datalad_icf.dicomweb.json_values import swap_words


def join_frames(
    paths: Iterable[Path], *, bits: int, word: int | None, size: int
) -> Iterator[bytes]:
    """Join native frames, in parts of about 1 MB

    Parameters
    ----------
    paths
        Files of all frames, in their order.
    bits
        Size of a frame in bits.
    word
        Size of the words that have to be swapped, in bytes; frames do not start on
        bytes. ``None`` if they do, and nothing has to be swapped.
    size
        Wanted number of bytes, a multiple of ``word``.

    Raises
    ------
    RebuildError
        If the file of a frame is damaged.
    """
    frame_size = -(-bits // 8)
    if word is None:
        for path in paths:
            yield from read_frame(path, frame_size)
        return
    waiting = b''
    for part in _join_bits(paths, bits, frame_size):
        waiting += part
        whole = min(size, len(waiting) - len(waiting) % word)
        size -= whole
        yield swap_words(waiting[:whole], word)
        waiting = waiting[whole:]


def _join_bits(paths: Iterable[Path], bits: int, frame_size: int) -> Iterator[bytes]:
    """Join frames bit by bit; the first pixel is in the lowest bit of a byte"""
    number = 0
    n_bits = 0
    for path in paths:
        todo = bits
        for data in read_frame(path, frame_size):
            count = min(todo, 8 * len(data))
            todo -= count
            added = int.from_bytes(data, 'little') & ((1 << count) - 1)
            number |= added << n_bits
            n_bits += count
            whole = n_bits // 8
            yield (number & ((1 << 8 * whole) - 1)).to_bytes(whole, 'little')
            number >>= 8 * whole
            n_bits %= 8
    yield number.to_bytes(-(-n_bits // 8), 'little')


class FragmentReader:
    """Reads the fragments of one frame, one after the other

    Parameters
    ----------
    path
        File of the frame.
    size
        Size of all its fragments together, in bytes.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size
        self._todo = size
        self._parts: Iterator[bytes] = iter(())
        self._data = b''

    def read(self, length: int) -> Iterator[bytes]:
        """Read the next fragment, in parts

        Raises
        ------
        RebuildError
            If the file of the frame is damaged.
        """
        if self._todo == self._size:
            # not before it is needed, since there may be thousands
            self._parts = read_frame(self._path, self._size)
        self._todo -= length
        while length:
            if not self._data:
                self._data = next(self._parts)
            part = self._data[:length]
            yield part
            length -= len(part)
            self._data = self._data[len(part) :]
        if not self._todo:
            # whatever is wrong with the end of the file
            yield from self._parts
