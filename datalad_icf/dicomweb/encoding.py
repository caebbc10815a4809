"""Encodings of data sets: VR explicit or not, and byte order (PS3.5, 7 and 10)"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct, unpack_from
from typing import Any, NamedTuple

from datalad_icf.dicomweb.dictionary import public_vrs
from datalad_icf.dicomweb.model import UNDEFINED_LENGTH
from datalad_icf.dicomweb.vr import STORED_VRS

_IMPLICIT = '1.2.840.10008.1.2'
_BIG_ENDIAN = '1.2.840.10008.1.2.2'


class Encoding(NamedTuple):
    """How data elements are encoded

    Attributes
    ----------
    explicit, little_endian
        Whether VRs are stored, and the byte order.
    header, long, explicit_header
        Functions that unpack 8 bytes as group, number and length, 4 bytes as
        length, and 8 bytes as group, number, VR and length.
    """

    explicit: bool
    little_endian: bool
    header: Callable[..., tuple[Any, ...]]
    long: Callable[..., tuple[Any, ...]]
    explicit_header: Callable[..., tuple[Any, ...]]

    @classmethod
    def make(cls, *, explicit: bool, little_endian: bool) -> Encoding:
        """Make the encoding of a transfer syntax"""
        order = '<' if little_endian else '>'
        return cls(
            explicit,
            little_endian,
            Struct(f'{order}HHL').unpack_from,
            Struct(f'{order}L').unpack_from,
            Struct(f'{order}HH2sH').unpack_from,
        )


IMPLICIT_LITTLE = Encoding.make(explicit=False, little_endian=True)
EXPLICIT_LITTLE = Encoding.make(explicit=True, little_endian=True)
EXPLICIT_BIG = Encoding.make(explicit=True, little_endian=False)


def find_encoding(head: bytes, transfer_syntax_uid: str) -> Encoding:
    """Find out how a data set is encoded

    Parameters
    ----------
    head
        Its first 8 bytes, or fewer if it has no more.
    transfer_syntax_uid
        What the file says, empty if nothing.
    """
    stated = {
        '': None,
        _IMPLICIT: IMPLICIT_LITTLE,
        _BIG_ENDIAN: EXPLICIT_BIG,
    }.get(transfer_syntax_uid, EXPLICIT_LITTLE)
    if len(head) < 8:
        return stated or IMPLICIT_LITTLE
    little, big = (unpack_from(f'{order}HH', head) for order in '<>')
    if stated and not little[0]:
        # a command set: always implicit VR, whatever follows (PS3.7, 6.3.1)
        return stated
    if head[4:6] not in STORED_VRS and not (stated and head[4:6].isupper()):
        return IMPLICIT_LITTLE
    if stated and stated.explicit:
        # only if it is plain nonsense otherwise
        group, number = little if stated.little_endian else big
        if (group << 16 | number) in public_vrs() or group & 1:
            return stated
        group, number = big if stated.little_endian else little
        if (group << 16 | number) not in public_vrs():
            return stated
        return EXPLICIT_BIG if stated.little_endian else EXPLICIT_LITTLE
    # the first group is a small number, such as 0008
    return EXPLICIT_LITTLE if little[0] <= big[0] else EXPLICIT_BIG


def guess_header(
    data: bytes, start: int, position: int, end: int, encoding: Encoding
) -> tuple[str, int, int]:
    """Find out how a data element without a VR of the standard is encoded

    Parameters
    ----------
    data, start
        Bytes with its header, and where it is in them.
    position, end
        Where it is in the file, and where, at the latest, it ends.
    encoding
        An encoding with explicit VR.

    Returns
    -------
    tuple
        The two letters in the place of the VR, empty for implicit VR; the length
        of the value in bytes; where the value starts in the file.
    """
    letters = data[start + 4 : start + 6]
    short = encoding.explicit_header(data, start)[3]
    if letters.isalpha() and letters.isupper():
        # any VR of the future has the 4-byte length (PS3.5, 7.1.2)
        if not short and start + 12 <= len(data):
            length = encoding.long(data, start + 8)[0]
            if position + 12 + length <= end:
                return letters.decode(), length, position + 12
        return letters.decode(), short, position + 8
    # some writers change to implicit VR within a data set
    length = encoding.long(data, start + 4)[0]
    if length == UNDEFINED_LENGTH or position + 8 + length <= end:
        return '', length, position + 8
    return letters.decode('latin-1'), short, position + 8
