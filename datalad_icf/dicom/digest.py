"""Digests of what passes by, taken in a thread of their own"""

from __future__ import annotations

import hashlib
from queue import SimpleQueue
from threading import Thread
from types import TracebackType

# one is filled, one is digested, one is on its way
_N_BLOCKS = 3


class BlockDigest:
    """MD5 of a stream of blocks, with the blocks' memory used again and again

    A context manager. Take a free block with `next_block`, fill it, hand it
    over with `digest_block`. Its content stays as it is until the next call of
    `next_block`, and may be read on.

    MD5 is one pass over the data at less than 1 GB/s. `hashlib` lets go of the
    interpreter meanwhile, so that it costs no time where a second core is free.

    Parameters
    ----------
    block_size
        Size of a block in bytes.
    """

    def __init__(self, block_size: int = 1 << 20) -> None:
        self.block_size = block_size
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._free: SimpleQueue[bytearray] = SimpleQueue()
        self._filled: SimpleQueue[tuple[bytearray, int] | None] = SimpleQueue()
        for _ in range(_N_BLOCKS):
            self._free.put(bytearray(block_size))
        self._thread = Thread(target=self._run, name='md5', daemon=True)

    def _run(self) -> None:
        while filled := self._filled.get():
            block, size = filled
            with memoryview(block) as view:
                self._md5.update(view[:size])
            self._free.put(block)

    def __enter__(self) -> BlockDigest:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.finish()

    def next_block(self) -> bytearray:
        """Wait for a block that is free to be filled, of ``block_size`` bytes"""
        return self._free.get()

    def digest_block(self, block: bytearray, size: int) -> None:
        """Digest the first ``size`` bytes of a block, after all earlier ones"""
        self._filled.put((block, size))

    def finish(self) -> str:
        """Wait for the digest, and return its 32 hexadecimal digits"""
        if self._thread.is_alive():
            self._filled.put(None)
            self._thread.join()
        return self._md5.hexdigest()
