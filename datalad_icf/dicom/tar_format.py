"""Member headers of a tarball, written and read

The written layout is the pax format (POSIX.1-2001, *pax* utility) as Python's
`tarfile` wrote it for the archives of old. It is spelled out here, because
archives must be the same whatever version of Python makes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Final

from datalad_icf.errors import TarballError

BLOCK: Final = 512
RECORD: Final = 10240
# fields of a ustar header, without what follows the group name
_FIELDS = Struct('100s8s8s8s12s12s8s1s100s8s32s32s')
_MAX_OCTAL = 8**11 - 1

REGULAR: Final = frozenset((b'0', b'\0', b'7'))
DIRECTORY: Final = b'5'
PAX_MEMBER: Final = b'x'
PAX_GLOBAL: Final = b'g'
GNU_LONG_NAME: Final = b'L'
GNU_LONG_LINK: Final = b'K'
_KINDS = {
    b'1': 'a hard link',
    b'2': 'a symbolic link',
    b'3': 'a device',
    b'4': 'a device',
    b'6': 'a FIFO',
    b'S': 'a sparse file',
}


def padding(size: int, unit: int = BLOCK) -> int:
    """Number of bytes to the next full block

    Examples
    --------
    >>> padding(1), padding(512)
    (511, 0)
    """
    return -size % unit


def build_member_header(name: str, size: int, mtime: float) -> bytes:
    """Build what stands before the content of a regular member

    Parameters
    ----------
    name
        Path of the member; bytes that are no UTF-8 as lone surrogates.
    size
        Size of the content in bytes.
    mtime
        Modification time in seconds since 1970, always with its fraction.

    Returns
    -------
    bytes
        A pax extended header and a ustar header, a multiple of 512 bytes.
    """
    records: list[tuple[str, str]] = []
    if not name.isascii() or len(name) > 100:
        records.append(('path', name))
    if size > _MAX_OCTAL:
        records.append(('size', str(size)))
    records.append(('mtime', repr(mtime)))
    extended = _build_records(records)
    seconds = round(mtime)
    return b''.join(
        (
            _build_ustar(b'././@PaxHeader', PAX_MEMBER, len(extended)),
            extended,
            bytes(padding(len(extended))),
            _build_ustar(
                name.encode('ascii', 'replace'),
                b'0',
                size if size <= _MAX_OCTAL else 0,
                mode=0o644,
                mtime=seconds if 0 <= seconds <= _MAX_OCTAL else 0,
                owner=b'root',
            ),
        )
    )


def _build_records(records: list[tuple[str, str]]) -> bytes:
    try:
        encoded = [(k.encode(), v.encode()) for k, v in records]
    except UnicodeEncodeError:
        encoded = [
            (k.encode(), v.encode('utf-8', 'surrogateescape')) for k, v in records
        ]
        encoded.insert(0, (b'hdrcharset', b'BINARY'))
    built = bytearray()
    for keyword, value in encoded:
        # the length counts its own digits
        rest = len(keyword) + len(value) + 3
        length = rest + len(str(rest))
        length = rest + len(str(length))
        built += b'%d %s=%s\n' % (length, keyword, value)
    return bytes(built)


def _build_ustar(
    name: bytes,
    kind: bytes,
    size: int,
    *,
    mode: int = 0,
    mtime: int = 0,
    owner: bytes = b'',
) -> bytes:
    block = bytearray(BLOCK)
    _FIELDS.pack_into(
        block,
        0,
        name[:100],
        b'%07o' % mode,
        b'0000000',
        b'0000000',
        b'%011o' % size,
        b'%011o' % mtime,
        b' ' * 8,
        kind,
        b'',
        b'ustar\x0000',
        owner,
        owner,
    )
    block[148:155] = b'%06o\0' % sum(block)
    return bytes(block)


@dataclass(frozen=True)
class MemberHeader:
    """A ustar header of 512 bytes, read

    Attributes
    ----------
    name
        Path of the member, as far as the header itself has it.
    size
        Size of what follows, in bytes, without padding.
    mtime
        Modification time in seconds since 1970.
    kind
        The type flag.
    """

    name: bytes
    size: int
    mtime: float
    kind: bytes

    @property
    def kind_name(self) -> str:
        """The type for people, where it is none that is read"""
        return _KINDS.get(self.kind, f'of the unknown type {self.kind!r}')


def parse_member_header(block: bytes) -> MemberHeader:
    """Read a header of 512 bytes, of the formats v7, ustar, pax and GNU

    Raises
    ------
    TarballError
        If the checksum or a number is wrong.
    """
    stored = _parse_number(block[148:156])
    if sum(block) - sum(block[148:156]) + 8 * 0x20 != stored:
        msg = 'a member header has a wrong checksum'
        raise TarballError(msg)
    name = block[:100].partition(b'\0')[0]
    prefix = block[345:500].partition(b'\0')[0]
    # GNU has other things in place of the prefix
    if prefix and block[257:263] == b'ustar\0':
        name = prefix + b'/' + name
    kind = block[156:157]
    if kind in (b'0', b'\0') and name.endswith(b'/'):
        kind = DIRECTORY
    return MemberHeader(
        name, _parse_number(block[124:136]), _parse_number(block[136:148]), kind
    )


def _parse_number(field: bytes) -> int:
    if field[0] & 0x80:
        # GNU: big endian, two's complement
        number = int.from_bytes(field, 'big', signed=False)
        bits = 8 * len(field)
        return number - (1 << (bits - 1)) if field[0] == 0x80 else number - (1 << bits)
    try:
        return int(field.strip(b'\0 ') or b'0', 8)
    except ValueError as e:
        msg = 'a member header has a number that cannot be read'
        raise TarballError(msg) from e


def parse_records(data: bytes) -> dict[bytes, bytes]:
    """Read the records of a pax extended header

    Raises
    ------
    TarballError
        If the lengths of the records do not fit.
    """
    records = {}
    position = 0
    while position < len(data):
        length, _, _ = data[position : position + 20].partition(b' ')
        if not length.isdigit():
            break
        end = position + int(length)
        record = data[position + len(length) + 1 : end]
        keyword, equals, value = record.partition(b'=')
        if not equals or not value.endswith(b'\n') or end > len(data):
            break
        records[keyword] = value[:-1]
        position = end
    else:
        return records
    msg = 'an extended header is broken'
    raise TarballError(msg)
