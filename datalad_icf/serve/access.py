"""Who may see the store: one user with a password (RFC 7617)"""

from __future__ import annotations

import binascii
from base64 import b64decode
from dataclasses import dataclass, field
from hmac import compare_digest
from pathlib import Path

from datalad_icf.errors import PreconditionError


@dataclass(frozen=True)
class Login:
    """A user and a password

    Parameters
    ----------
    user, password
        Neither is empty. A user has no colon (RFC 7617, section 2), and nothing has
        a control character. The password is in no representation of the object.

    Raises
    ------
    PreconditionError
        If one of them is not usable.

    Examples
    --------
    >>> Login('reader', 'secret')
    Login(user='reader')
    """

    user: str
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        if not self.user or not self.password:
            raise PreconditionError('the user or the password is empty')
        if ':' in self.user:
            raise PreconditionError('the name of a user cannot have a colon')
        if any(ord(c) < 32 or ord(c) == 127 for c in self.user + self.password):
            msg = 'the user or the password has a control character'
            raise PreconditionError(msg)

    def matches(self, header: str) -> bool:
        """Tell whether the header ``Authorization`` of a request has this login

        Takes the same time wherever the first difference is.
        """
        scheme, _, encoded = header.partition(' ')
        try:
            given = b64decode(encoded.strip(), validate=True)
        except (binascii.Error, ValueError):
            return False
        expected = f'{self.user}:{self.password}'.encode()
        return compare_digest(given, expected) and scheme.lower() == 'basic'


def read_login(path: Path) -> Login:
    """Read a login from a file with one line, ``USER:PASSWORD``

    Parameters
    ----------
    path
        The file. Only its owner may have access to it.

    Raises
    ------
    PreconditionError
        If the file cannot be read, is open to others, or has something else in it.
    """
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding='utf-8')
    except (OSError, UnicodeDecodeError) as e:
        reason = e.strerror if isinstance(e, OSError) else 'it is no text'
        raise PreconditionError(f'cannot read {path}: {reason}') from e
    if mode & 0o077:
        msg = f'others have access to {path}, which has a password: chmod 600'
        raise PreconditionError(msg)
    line = text.removesuffix('\n').removesuffix('\r')
    user, colon, password = line.partition(':')
    if not colon or '\n' in line:
        raise PreconditionError(f'{path} has to be one line, USER:PASSWORD')
    try:
        return Login(user, password)
    except PreconditionError as e:
        raise PreconditionError(f'{path}: {e}') from e
