"""Values of data elements in the DICOM JSON Model, there and back

PS3.18, F.2: how a value is written. PS3.5, 6.2: what its bytes are.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from struct import error, pack, unpack
from typing import Any

from datalad_icf.dicomweb.charset import Encodings, decode_text, encode_text

# JSON has these as text in base64, or elsewhere (F.2.6, F.2.7)
BINARY_VRS = frozenset(('OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'UN'))
# these can never be elsewhere
INLINE_VRS = frozenset(('AE', 'AT', 'CS', 'DA', 'LO', 'PN', 'SH', 'SQ', 'TM', 'UI'))
# bytes that are turned around for another byte order
WORD_SIZES: Mapping[str, int] = {
    **dict.fromkeys(('OW', 'SS', 'US', 'AT'), 2),
    **dict.fromkeys(('FL', 'OF', 'OL', 'SL', 'UL'), 4),
    **dict.fromkeys(('FD', 'OD', 'OV', 'SV', 'UV'), 8),
}

_NUMBERS = {
    'FD': 'd',
    'FL': 'f',
    'SL': 'l',
    'SS': 'h',
    'SV': 'q',
    'UL': 'L',
    'US': 'H',
    'UV': 'Q',
}
# one value with any backslash, and several in the default repertoire
_SINGLE_TEXTS = frozenset(('LT', 'ST', 'UT'))
_SINGLE_STRINGS = frozenset(('UR',))
_TEXTS = frozenset(('LO', 'SH', 'UC'))
_STRINGS = frozenset(('AE', 'AS', 'CS', 'DA', 'DT', 'TM', 'UI'))
_PADDING = ' \0'
_NAME_PARTS = ('Alphabetic', 'Ideographic', 'Phonetic')
# descriptors of lookup tables: the first value is never negative (PS3.3, C.11.1.1)
LUT_DESCRIPTORS = frozenset((0x00281101, 0x00281102, 0x00281103, 0x00283002))

_is_integer = re.compile(r'-?(?:0|[1-9][0-9]*)').fullmatch
_is_decimal = re.compile(
    r'-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?'
).fullmatch
# made once: `json.loads` makes another one each time that it is told how
_decode = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str).decode
_encode = json.JSONEncoder(ensure_ascii=False, separators=(',', ':')).encode


class UnfitValue(ValueError):
    """The bytes of a value are none of its VR"""


def write_value(
    vr: str,
    value: bytes,
    *,
    encodings: Encodings,
    little_endian: bool,
    tag: int = 0,
) -> tuple[bytes, bool]:
    """Write a value as JSON

    Numbers in text are written as they stand there, such as ``1.500``. What is
    no number in JSON, such as ``+1`` or ``1A``, becomes a string (F.2.3).

    Parameters
    ----------
    vr
        Any VR but ``SQ``.
    value
        The bytes of the value.
    encodings
        Of texts, from `find_encodings`.
    little_endian
        Byte order of the value. That of *InlineBinary* is little endian always.
    tag
        Tag of the data element.

    Returns
    -------
    tuple
        What follows the VR in the JSON object of the data element, such as
        ``,"Value":["a"]``, empty for no value; and whether all characters could
        be decoded.

    Raises
    ------
    UnfitValue
        If there is no way to write it with this VR.

    Examples
    --------
    >>> how = {'encodings': ('latin-1',), 'little_endian': True}
    >>> write_value('DS', b'1.500\\\\+2 ', **how)
    (b',"Value":[1.500,"+2"]', True)
    """
    if vr in BINARY_VRS:
        if not value:
            return b'', True
        if not little_endian:
            value = swap_words(value, WORD_SIZES.get(vr, 1))
        return b',"InlineBinary":"%b"' % b64encode(value), True
    fits = True
    if vr in _NUMBERS:
        texts = _write_numbers(vr, value, little_endian, tag)
    elif vr == 'AT':
        texts = _write_tags(value, little_endian)
    elif vr in ('DS', 'IS'):
        texts = _write_number_strings(vr, value)
    elif vr in _STRINGS:
        stripped = value.decode('latin-1').rstrip(_PADDING)
        strings = stripped.split('\\') if stripped else []
        if vr == 'AE':
            strings = [string.strip() for string in strings]
        texts = [_encode(string or None) for string in strings]
    elif vr in _SINGLE_STRINGS:
        string = value.decode('latin-1').rstrip(_PADDING)
        texts = [_encode(string)] if string else []
    elif vr in _SINGLE_TEXTS:
        text, fits = decode_text(value, encodings)
        text = text.rstrip(_PADDING)
        texts = [_encode(text)] if text else []
    elif vr in _TEXTS or vr == 'PN':
        text, fits = decode_text(value.rstrip(b'\0 '), encodings)
        strings = [part.rstrip(_PADDING) for part in text.split('\\')] if text else []
        if vr == 'PN':
            texts = [_encode(_split_name(string)) for string in strings]
        else:
            texts = [_encode(string or None) for string in strings]
    else:
        msg = 'has a VR that is not known'
        raise UnfitValue(msg)
    if not texts:
        return b'', fits
    joined = f',"Value":[{",".join(texts)}]'
    try:
        return joined.encode(), fits
    except UnicodeEncodeError:
        # half of a pair of surrogates, which some codecs let through
        return joined.encode('utf-8', 'replace'), False


def read_document(document: bytes) -> Any:
    """Parse JSON, with numbers as the text that stands there, for `encode_value`"""
    return _decode(document.decode('utf-8', 'surrogatepass'))


def encode_value(
    vr: str,
    entry: Mapping[str, Any],
    *,
    encodings: Encodings,
    little_endian: bool,
) -> bytes:
    """Encode a value of the DICOM JSON Model as bytes of a DICOM file

    The inverse of `write_value`, as far as there is one: padding that is not
    needed, and unusual escape sequences are not known to JSON.

    Parameters
    ----------
    vr
        As `entry` has it. Not ``SQ``.
    entry
        The JSON object of a data element, from `read_document`. Without
        ``BulkDataURI``.
    encodings
        Of texts, from `find_encodings`.
    little_endian
        The wanted byte order.

    Raises
    ------
    UnfitValue
        If the entry is none of the DICOM JSON Model, or if the encodings do not
        have its characters.

    Examples
    --------
    >>> entry = read_document(b'{"vr": "IS", "Value": [1, 20, null]}')
    >>> encode_value('IS', entry, encodings=('latin-1',), little_endian=True)
    b'1\\\\20\\\\ '
    """
    try:
        if 'InlineBinary' in entry:
            data = b64decode(entry['InlineBinary'])
            return data if little_endian else swap_words(data, WORD_SIZES.get(vr, 1))
        values = entry.get('Value', [])
        order = '<' if little_endian else '>'
        if vr in _NUMBERS:
            return b''.join(_pack_number(order, vr, value) for value in values)
        if vr == 'AT':
            parts = [int(value, 16) for value in values]
            return b''.join(pack(f'{order}HH', p >> 16, p & 0xFFFF) for p in parts)
        if vr == 'PN':
            separators = '\\=^'
            text = '\\'.join(_join_name(value) for value in values)
        else:
            separators = '' if vr in _SINGLE_TEXTS else '\\'
            text = '\\'.join('' if value is None else value for value in values)
        if vr in _SINGLE_TEXTS or vr in _TEXTS or vr == 'PN':
            data = encode_text(text, encodings, separators)
        else:
            data = text.encode('latin-1')
    except (error, ValueError, TypeError, AttributeError, OverflowError) as e:
        msg = f'is no value of VR {vr}'
        raise UnfitValue(msg) from e
    if len(data) % 2:
        data += b'\0' if vr == 'UI' else b' '
    return data


def swap_words(data: bytes, size: int) -> bytes:
    """Turn words of some bytes around; bytes after the last whole one stay

    Examples
    --------
    >>> swap_words(b'abcde', 2)
    b'badce'
    """
    if size == 1:
        return data
    whole = len(data) - len(data) % size
    swapped = bytearray(data)
    for i in range(size):
        swapped[i:whole:size] = data[size - 1 - i : whole : size]
    return bytes(swapped)


def _write_numbers(vr: str, value: bytes, little_endian: bool, tag: int) -> list[str]:
    size = WORD_SIZES[vr]
    if len(value) % size:
        msg = f'has {len(value)} bytes, which is no multiple of {size}'
        raise UnfitValue(msg)
    order = '<' if little_endian else '>'
    numbers = unpack(f'{order}{len(value) // size}{_NUMBERS[vr]}', value)
    if vr in ('FD', 'FL'):
        # NaN and infinity are no numbers in JSON
        return [repr(n) if n - n == 0 else _encode(_name_of_number(n)) for n in numbers]
    if vr == 'SS' and tag in LUT_DESCRIPTORS and numbers and numbers[0] < 0:
        numbers = (numbers[0] + 0x10000, *numbers[1:])
    return [str(number) for number in numbers]


def _name_of_number(number: float) -> str:
    if number != number:
        return 'NaN'
    return 'Infinity' if number > 0 else '-Infinity'


def _pack_number(order: str, vr: str, value: str) -> bytes:
    letter = _NUMBERS[vr]
    if vr in ('FD', 'FL'):
        return pack(order + letter, float(value))
    number = int(value)
    if vr == 'SS' and number > 0x7FFF:
        letter = 'H'
    return pack(order + letter, number)


def _write_tags(value: bytes, little_endian: bool) -> list[str]:
    if len(value) % 4:
        msg = f'has {len(value)} bytes, which is no multiple of 4'
        raise UnfitValue(msg)
    order = '<' if little_endian else '>'
    words = unpack(f'{order}{len(value) // 2}H', value)
    return [f'"{g:04X}{e:04X}"' for g, e in zip(words[::2], words[1::2])]


def _write_number_strings(vr: str, value: bytes) -> list[str]:
    text = value.decode('latin-1').strip(_PADDING)
    if not text:
        return []
    is_number = _is_integer if vr == 'IS' else _is_decimal
    strings = [string.strip(_PADDING) for string in text.split('\\')]
    return [s if is_number(s) else _encode(s or None) for s in strings]


def _split_name(name: str) -> dict[str, str] | None:
    """Split a person name into its representations (F.2.2)"""
    parts = dict(zip(_NAME_PARTS, name.split('=')))
    return {key: part for key, part in parts.items() if part} or None


def _join_name(name: Mapping[str, str] | None) -> str:
    parts = [(name or {}).get(key, '') for key in _NAME_PARTS]
    return '='.join(parts).rstrip('=')
