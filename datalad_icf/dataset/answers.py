"""Whether an answer of a server is the part of a file that was asked for"""

from __future__ import annotations

import re
from http.client import HTTPResponse
from typing import NamedTuple

from datalad_icf.errors import (
    NoRangesError,
    ReplacedTarballError,
    StoreReadError,
)

_CONTENT_RANGE = re.compile(r'bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)')
# what a status means, after 'the server'
REASONS = {
    401: 'asks for a password, and there is none that it takes',
    403: 'refuses: this user may not read it',
    404: 'has no such file',
    410: 'has no such file any more',
}


class Part(NamedTuple):
    """A part of a file

    Attributes
    ----------
    start, size
        Where it is, in bytes.
    total
        Size of the whole file, if it must be this one.
    """

    start: int
    size: int
    total: int | None = None

    @property
    def end(self) -> int:
        """Position behind the last byte"""
        return self.start + self.size


def check_status(url: str, response: HTTPResponse, wanted: int) -> None:
    """Check the status of an answer

    Raises
    ------
    StoreReadError
        If it is another than the wanted one.
    """
    status = response.status
    if status != wanted:
        reason = REASONS.get(status, f'answers with status {status}')
        raise StoreReadError(f'{url}: the server {reason}', status_code=status)


def check_part(url: str, response: HTTPResponse, part: Part) -> None:
    """Check that an answer is the part that was asked for, of the right file

    Raises
    ------
    NoRangesError
        If it is the whole file, or another part.
    ReplacedTarballError
        If the file has another size.
    StoreReadError
        If it is something else.
    """
    match = _CONTENT_RANGE.fullmatch(response.headers.get('Content-Range', '').strip())
    total = match[3] if match else '*'
    if (
        response.status in (206, 416)
        and part.total is not None
        and total not in ('*', str(part.total))
    ):
        raise ReplacedTarballError(tell_replaced(url, int(total), part.total))
    if response.status == 416:
        # Apache does not say how long it is
        found = f'no more than {part.start}'
        raise ReplacedTarballError(tell_replaced(url, found, part.total or part.end))
    if response.status == 200:
        raise NoRangesError(f'{url}: the server sends the whole file, not a part of it')
    check_status(url, response, 206)
    length = response.headers.get('Content-Length', str(part.size))
    if (
        not match
        or (match[1], match[2]) != (str(part.start), str(part.end - 1))
        or length.strip() != str(part.size)
        or response.headers.get('Content-Encoding', 'identity') != 'identity'
    ):
        raise NoRangesError(f'{url}: the server sends another part than it should')


def tell_replaced(place: object, found: int | str, wanted: int) -> str:
    """Say that a place has another tarball"""
    return (
        f'{place} has {found} bytes instead of {wanted}: it is not the tarball any '
        'more that this dataset was made of; update the clone, or ask the facility'
    )
