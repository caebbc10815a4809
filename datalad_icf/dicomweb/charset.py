"""Texts in the character sets of DICOM (PS3.5, 6.1, and PS3.3, C.12.1.1.2)

The tables, and whatever has escape sequences, are those of `pydicom.charset`.
"""

from __future__ import annotations

import re
import warnings
from codecs import lookup
from collections.abc import Mapping
from functools import lru_cache
from typing import TypeAlias

SPECIFIC_CHARACTER_SET = 0x00080005

# names of Python's codecs, one for each value of Specific Character Set
Encodings: TypeAlias = tuple[str, ...]
# ISO 8859-1, of which the default repertoire is a part
DEFAULT_ENCODINGS: Encodings = ('iso8859',)

_is_misspelt = re.compile(r'ISO.(?:2022.)?IR.[0-9]{1,3}').fullmatch
_ESCAPE = b'\x1b'
# The usual ones, as pydicom has them. It takes longer to import than to convert
# hundreds of images, and of these nothing else is wanted of it.
_USUAL: Mapping[str, Encodings] = {
    '': DEFAULT_ENCODINGS,
    'ISO_IR 6': DEFAULT_ENCODINGS,
    'ISO_IR 100': ('latin_1',),
    'ISO_IR 101': ('iso8859_2',),
    'ISO_IR 192': ('UTF8',),
    'GB18030': ('GB18030',),
}


@lru_cache(maxsize=1024)
def find_encodings(value: bytes) -> tuple[Encodings, bool]:
    """Find the encodings that *Specific Character Set* stands for

    Parameters
    ----------
    value
        The bytes of *Specific Character Set* (0008,0005), empty for the default.

    Returns
    -------
    tuple
        The encodings, and whether the value is one that DICOM has. If not, they
        are what is most likely meant.

    Examples
    --------
    >>> find_encodings(b'ISO_IR 192')
    (('UTF8',), True)
    """
    stated = [name.strip(' \0') for name in value.decode('latin-1').split('\\')]
    if len(stated) == 1 and (usual := _USUAL.get(stated[0])):
        return usual, True
    # late, because it is slow to import, and not all need it
    from pydicom.charset import convert_encodings

    names = [name if _is_sound(name) else '' for name in stated]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        encodings = tuple(convert_encodings(names))
    return encodings, names == stated and not caught


def _is_sound(name: str) -> bool:
    """Whether pydicom can do something with a name, and may log it"""
    from pydicom.charset import python_encoding

    if name in python_encoding or _is_misspelt(name):
        return True
    try:
        # it takes any codec of Python, even those that are for no text
        codec = lookup(name).name
        return codec in {lookup(encoding).name for encoding in python_encoding.values()}
    except (LookupError, ValueError):
        return False


def decode_text(value: bytes, encodings: Encodings) -> tuple[str, bool]:
    """Decode a text

    Returns
    -------
    tuple
        The text, and whether all bytes of the value fit the encodings. Those
        that do not are replaced by U+FFFD.
    """
    if _ESCAPE not in value:
        try:
            return value.decode(encodings[0]), True
        except UnicodeError:
            return value.decode(encodings[0], 'replace'), False
    from pydicom.charset import decode_bytes
    from pydicom.valuerep import TEXT_VR_DELIMS

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        text = decode_bytes(value, encodings, TEXT_VR_DELIMS)
    return text, not caught


def encode_text(text: str, encodings: Encodings, separators: str = '') -> bytes:
    """Encode a text

    Parameters
    ----------
    text
        As `decode_text` returns it.
    encodings
        As `find_encodings` returns them.
    separators
        Characters that end the effect of an escape sequence (PS3.5, 6.1.2.5.3).

    Raises
    ------
    UnicodeError
        If the encodings do not have all of its characters.
    """
    if len(encodings) == 1 or text.isascii():
        return text.encode(encodings[0])
    if separators:
        parts = text.split(separators[0])
        encoded = (encode_text(p, encodings, separators[1:]) for p in parts)
        return separators[0].encode().join(encoded)
    from pydicom.charset import encode_string

    with warnings.catch_warnings():
        warnings.simplefilter('error')
        try:
            return encode_string(text, list(encodings))
        except UserWarning as e:
            raise UnicodeError from e
