"""Media types of frames, by transfer syntax (PS3.18, 8.7.3)"""

from __future__ import annotations

EXPLICIT_LITTLE_ENDIAN = '1.2.840.10008.1.2.1'
OCTET_STREAM = 'application/octet-stream'

_NATIVE = frozenset(
    (
        '1.2.840.10008.1.2',
        EXPLICIT_LITTLE_ENDIAN,
        # every frame is a fragment, but its bytes are those of a native one
        '1.2.840.10008.1.2.1.98',
        '1.2.840.10008.1.2.1.99',
        '1.2.840.10008.1.2.2',
    )
)
# what follows 1.2.840.10008.1.2.4. ; the fragmentable variants end in .1
_JPEG = '1.2.840.10008.1.2.4.'
_TYPES = {
    **dict.fromkeys((*range(50, 67), 70), 'image/jpeg'),
    **dict.fromkeys((80, 81), 'image/jls'),
    **dict.fromkeys((90, 91), 'image/jp2'),
    **dict.fromkeys((92, 93), 'image/jpx'),
    **dict.fromkeys((110, 111, 112), 'image/jxl'),
    **dict.fromkeys((201, 202, 203), 'image/jphc'),
    **dict.fromkeys((100, 101), 'video/mpeg'),
    **dict.fromkeys(range(102, 109), 'video/mp4'),
}
_RLE = '1.2.840.10008.1.2.5'
_JPIP = frozenset(f'{_JPEG}{n}' for n in (94, 95, 204, 205))
_ENDS_WITH_MARKER = frozenset(('image/jpeg', 'image/jls', 'image/jp2', 'image/jpx'))


def media_type(transfer_syntax_uid: str) -> str:
    """Media type of a frame as it is stored (PS3.18, 8.7.3.3)

    Parameters
    ----------
    transfer_syntax_uid
        As in the file meta information.

    Returns
    -------
    str
        ``application/octet-stream`` for all that are not compressed, or not known.

    Examples
    --------
    >>> media_type('1.2.840.10008.1.2.4.90')
    'image/jp2'
    >>> media_type('1.2.840.10008.1.2.4.102.1')
    'video/mp4'
    >>> media_type('1.2.840.10008.1.2')
    'application/octet-stream'
    """
    if transfer_syntax_uid == _RLE:
        return 'image/dicom-rle'
    if transfer_syntax_uid.startswith(_JPEG):
        number = transfer_syntax_uid[len(_JPEG) :].partition('.')[0]
        if number.isdecimal():
            return _TYPES.get(int(number), OCTET_STREAM)
    return OCTET_STREAM


def is_native(transfer_syntax_uid: str) -> bool:
    """Whether frames have their pixels as numbers, not in a codestream"""
    return transfer_syntax_uid in _NATIVE


def is_video(transfer_syntax_uid: str) -> bool:
    """Whether all fragments together are one stream (PS3.5, 8.2.5 to 8.2.9)"""
    return media_type(transfer_syntax_uid).startswith('video/')


def is_referenced(transfer_syntax_uid: str) -> bool:
    """Whether the pixels are at a server, not in the file (PS3.5, A.6)"""
    return transfer_syntax_uid in _JPIP


def has_end_marker(transfer_syntax_uid: str) -> bool:
    """Whether codestreams end with FFD9, as all of the JPEG family do"""
    kind = media_type(transfer_syntax_uid)
    return kind in _ENDS_WITH_MARKER or kind == 'image/jphc'
