"""Values of DICOM attributes as text that can stand on a page"""

from __future__ import annotations

from typing import Any
from unicodedata import category

# LO and SH have 64 and 16 characters (PS3.5, 6.2); broken files have thousands
MAX_LENGTH = 80


def clean_text(value: Any, limit: int = MAX_LENGTH, depth: int = 8) -> str:
    """Make one line of harmless text of any value

    Control characters become blanks. Characters that change the direction of
    text, or that nobody sees, are left out, and so are lone surrogates.

    Parameters
    ----------
    value
        A value as the metadata have it: text, a number, a list, or nothing.
    limit
        Longest text; what is longer ends with an ellipsis.
    depth
        How far lists in lists are looked into.

    Examples
    --------
    >>> clean_text(['T1w\\x00', 'a\\u202eb', None])
    'T1w, ab'
    >>> clean_text('x' * 99, limit=5)
    'xxxx…'
    """
    if value is None:
        return ''
    if isinstance(value, (list, tuple)):
        if not depth:
            return '…'
        parts = (clean_text(v, limit, depth - 1) for v in value)
        text = ', '.join(part for part in parts if part)
    else:
        whole = str(value)
        if len(whole) <= limit and whole.isascii() and whole.isprintable():
            # what most values are, and nothing in them is to be replaced
            return ' '.join(whole.split())
        # the end of a very long value is not looked at
        kept = (_replace(c) for c in whole[: 4 * limit])
        text = ' '.join(''.join(kept).split())
        if len(whole) > 4 * limit and len(text) < limit:
            return text + '…'
    return text if len(text) <= limit else text[: limit - 1] + '…'


def _replace(character: str) -> str:
    kind = category(character)
    if kind in ('Cc', 'Zl', 'Zp'):
        return ' '
    return '' if kind in ('Cf', 'Cs', 'Co', 'Cn') else character


def format_size(size: int) -> str:
    """Size for people, in decimal units

    Examples
    --------
    >>> format_size(82186240), format_size(999)
    ('82.2 MB', '999 bytes')
    """
    if size < 1000:
        return f'{size} bytes'
    value = float(size)
    for unit in ('kB', 'MB', 'GB', 'TB', 'PB'):
        value /= 1000
        if value < 999.95 or unit == 'PB':
            break
    return f'{value:.1f} {unit}'
