"""What a server asks for: the header ``WWW-Authenticate`` (RFC 9110, 11.6.1)"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
# the start of a challenge, or a parameter of the one before
_ITEM = re.compile(
    rf'\s*(?:(?P<scheme>{_TOKEN})(?:\s+(?!=)|(?=\s*(?:,|$))))?'
    rf'(?:(?P<name>{_TOKEN})\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>{_TOKEN})))?'
    r'(?P<rest>[^,]*)(?:,|$)'
)


def find_realms(url: str, challenge: str) -> dict[str, str]:
    """Find what a server offers, and for what

    Parameters
    ----------
    url
        What was asked for.
    challenge
        The header ``WWW-Authenticate``.

    Returns
    -------
    dict
        Name of a scheme in lower case, to the realm as datalad-next names it: the
        address of the server, and the name that it gives to an area of its content.

    Examples
    --------
    >>> find_realms('http://a:80/b', 'Basic realm="my, store", charset="UTF-8"')
    {'basic': 'http://a:80/my, store'}
    >>> find_realms('http://a/b', 'Basic realm="http://b/x"')
    {'basic': 'http://a/http://b/x'}
    >>> find_realms('http://a/b', 'Negotiate, Digest realm=x, qop="auth", Bearer')
    {'negotiate': 'http://a/', 'digest': 'http://a/x', 'bearer': 'http://a/'}
    """
    parts = urlsplit(url)
    server = f'{parts.scheme}://{parts.netloc}/'
    realms: dict[str, str] = {}
    scheme = ''
    position = 0
    while position < len(challenge):
        match = _ITEM.match(challenge, position)
        if not match or match.end() == position:
            break
        position = match.end()
        if match['scheme']:
            scheme = match['scheme'].lower()
            realms.setdefault(scheme, server)
        if scheme and (match['name'] or '').lower() == 'realm':
            value = match['plain'] or re.sub(r'\\(.)', r'\1', match['quoted'] or '')
            realms[scheme] = _place(server, value)
    return realms


def _place(server: str, realm: str) -> str:
    # datalad-next takes an address for the realm itself; of this server alone, or
    # another one could ask for the password of this one
    if realm.startswith(server):
        return realm
    return f'{server}{realm.removeprefix("/")}'
