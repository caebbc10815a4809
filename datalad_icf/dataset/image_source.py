"""Copy members of a tarball from wherever a part of it can be read"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from datalad_icf.dataset.answers import Part
from datalad_icf.dataset.keys import Locator, md5_of_key, size_of_key
from datalad_icf.dataset.ranges import StoreClient
from datalad_icf.errors import (
    NoRangesError,
    ReplacedTarballError,
    StoreReadError,
    TarballError,
)

if TYPE_CHECKING:
    # what most tarballs do not need is loaded late
    from datalad_icf.dataset.tar_walk import MemberIndex

Advance = Callable[[int], None]


class ImageSource:
    """A tarball of which parts are read

    Parameters
    ----------
    tar_key
        Key of the tarball.
    client
        Reads from the URLs.
    index
        The file that remembers the members.
    """

    def __init__(self, tar_key: str, client: StoreClient, index: Path) -> None:
        self.tar_key = tar_key
        self._client = client
        self._size = size_of_key(tar_key)
        self._index_path = index
        self._index: MemberIndex | None = None
        # of no use any more, as they send nothing but whole files
        self._without_ranges: set[str] = set()

    def copy(
        self,
        key: str,
        locator: Locator,
        target: Path,
        places: Sequence[str],
        advance: Advance,
    ) -> None:
        """Copy a member to a file

        Parameters
        ----------
        key
            Key of the member, with its size and MD5, which are checked.
        locator
            Where it is.
        target
            File that is written; there is none after an error.
        places
            URLs of the tarball, in the order in which they are tried.
        advance
            Told how many bytes are there.

        Raises
        ------
        NoRangesError
            If no place sends parts of the tarball, and the whole one is needed.
        ReplacedTarballError
            If there is another tarball in its place.
        StoreReadError, TarballError
            If it cannot be read, or the member is not found.
        """
        errors: list[StoreReadError | TarballError] = []
        for place in places:
            if place in self._without_ranges:
                msg = f'{place}: the server sends no parts of files'
                errors.append(NoRangesError(msg))
                continue
            try:
                part = self._locate(place, locator)
                _write(key, self._iter(place, part), part, target, advance, place)
            except (StoreReadError, TarballError) as e:
                if isinstance(e, NoRangesError):
                    self._without_ranges.add(place)
                errors.append(e)
            else:
                return
        if not errors:
            msg = f'no place is known where the tarball {self.tar_key} can be read'
            raise StoreReadError(msg)
        raise _choose(errors)

    def is_there(self, locator: Locator, places: Sequence[str]) -> bool:
        """Whether a byte of a member can be read from a place"""
        for place in places:
            if locator.offset is None or place in self._without_ranges:
                continue
            try:
                b''.join(self._iter(place, Part(locator.offset, 1, self._size)))
            except NoRangesError:
                # the start of the whole file would come for each image
                self._without_ranges.add(place)
            except StoreReadError:
                continue
            else:
                return True
        return False

    def _iter(self, place: str, part: Part) -> Iterator[bytes]:
        return self._client.iter_part(place, part)

    def _locate(self, place: str, locator: Locator) -> Part:
        if locator.offset is not None:
            return Part(locator.offset, locator.size, self._size)
        if self._size is None:
            msg = f'the size of the tarball {self.tar_key} is not known'
            raise TarballError(msg)
        if self._index is None:
            from datalad_icf.dataset.tar_walk import MemberIndex

            self._index = MemberIndex(self._index_path, self._size)
        found = self._index.find(
            locator.path, locator.size, partial(self._read_at, place)
        )
        if not found:
            msg = f'there is no {locator.path!r} in the tarball {self.tar_key}'
            raise TarballError(msg)
        return Part(found.offset, found.size, self._size)

    def _read_at(self, place: str, position: int, size: int) -> bytes:
        return b''.join(self._iter(place, Part(position, size, self._size)))


def _choose(
    errors: list[StoreReadError | TarballError],
) -> StoreReadError | TarballError:
    """Choose the error that says most: what was replaced needs somebody's look"""

    def rank(error: StoreReadError | TarballError) -> int:
        if isinstance(error, ReplacedTarballError):
            return 0
        return 1 if isinstance(error, StoreReadError) and error.is_passing else 2

    return min(errors, key=rank)


def _write(
    key: str,
    chunks: Iterator[bytes],
    part: Part,
    target: Path,
    advance: Advance,
    place: str,
) -> None:
    md5 = hashlib.md5(usedforsecurity=False)
    written = 0
    wanted = md5_of_key(key)
    try:
        with target.open('wb') as f:
            for chunk in chunks:
                f.write(chunk)
                md5.update(chunk)
                written += len(chunk)
                advance(written)
        size = size_of_key(key)
        if written != part.size or size not in (None, written):
            msg = f'{place} has an image of {written} bytes instead of {size}'
            raise ReplacedTarballError(msg)
        if wanted and md5.hexdigest() != wanted:
            msg = (
                f'{place} has something else where the image should be: it is damaged, '
                'or not the tarball any more that this dataset was made of'
            )
            raise ReplacedTarballError(msg)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
