"""A frame as the body of a response: a multipart message with one part

RFC 2046, 5.1, with the part headers of PS3.18, 8.6.1.2. Each frame is a file of
its own, so that a server needs no more than the boundary in its configuration.
"""

from __future__ import annotations

import re

from datalad_icf.dicomweb.tree import BOUNDARY

_is_uid = re.compile(r'[0-9.]{1,64}').fullmatch
_START = f'--{BOUNDARY}\r\n'.encode()
# the longest media type and UID leave much of it
MULTIPART_HEAD_MAX = 512
MULTIPART_TAIL = f'\r\n--{BOUNDARY}--\r\n'.encode()


def multipart_head(media_type: str, transfer_syntax_uid: str) -> bytes:
    """What stands before the bytes of a frame, ``MULTIPART_TAIL`` stands after them

    Parameters
    ----------
    media_type
        Such as ``image/jpeg``.
    transfer_syntax_uid
        Of the frame, which is another than the one of the file for native ones. It
        is left out if it is none.

    Examples
    --------
    >>> head = multipart_head('image/jls', '1.2.840.10008.1.2.4.80')
    >>> head.partition(b'\\r\\n')[2]
    b'Content-Type: image/jls;transfer-syntax=1.2.840.10008.1.2.4.80\\r\\n\\r\\n'
    """
    syntax = f';transfer-syntax={transfer_syntax_uid}'
    if not _is_uid(transfer_syntax_uid):
        # whatever stands in the file, it must not end the head
        syntax = ''
    return _START + f'Content-Type: {media_type}{syntax}\r\n\r\n'.encode()


def multipart_head_size(start: bytes) -> int:
    """Where the bytes of a frame start

    Parameters
    ----------
    start
        The first ``MULTIPART_HEAD_MAX`` bytes of a file, or all of it.

    Returns
    -------
    int
        Size of the head in bytes, 0 if the frame is bare.

    Raises
    ------
    ValueError
        If the head does not end.

    Examples
    --------
    >>> head = multipart_head('image/jls', '1.2.840.10008.1.2.4.80')
    >>> multipart_head_size(head + b'pixels') == len(head)
    True
    >>> multipart_head_size(b'pixels')
    0
    """
    if not start.startswith(_START):
        return 0
    return start.index(b'\r\n\r\n', 0, MULTIPART_HEAD_MAX) + 4
