"""Users and passwords of XNAT servers, from DataLad's credentials"""

from __future__ import annotations

import netrc
from dataclasses import dataclass
from logging import getLogger
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from datalad_icf.errors import XnatAccessError

if TYPE_CHECKING:
    # slow to import, for what most commands do not need
    from datalad_icf.xnat import XnatClient

lgr = getLogger('datalad.icf.xnat')

_LOOPBACK = ('localhost', '127.0.0.1', '::1')


@dataclass
class XnatAccess:
    """Opens connections to a server, and knows the user after the first

    Parameters
    ----------
    url
        Address of the server.
    credential
        Name of a credential of DataLad, or None.
    """

    url: str
    credential: str | None = None
    _login: tuple[str, str] | None = None
    # logged in, and not used yet
    _ready: XnatClient | None = None

    def connect(self) -> XnatClient:
        """Make a connection, to be entered; the first one is that of the login

        Raises
        ------
        XnatAccessError
            If nobody knows a user and a password, or the server refuses them.
        """
        from datalad_icf.xnat import XnatClient

        if self._login is None:
            self._login = self._log_in()
        client, self._ready = self._ready, None
        return client or XnatClient(self.url, *self._login)

    def _log_in(self) -> tuple[str, str]:
        """Find user and password, and try them once"""
        import datalad
        from datalad_next.credman import CredentialManager

        parts = urlsplit(self.url)
        if parts.scheme == 'http' and parts.hostname not in _LOOPBACK:
            lgr.warning('%s is not encrypted: others can read the password', self.url)
        manager = CredentialManager(datalad.cfg)
        name, found = self._find(manager)
        if not found:
            known = self._read_netrc()
            if known:
                return self._try(known)
            name, found = self._ask(manager)
        login = self._try((found['user'], found['secret']))
        if name and datalad.cfg.get(f'datalad.credential.{name}.secret'):
            # of the environment, for this run alone
            return login
        try:
            manager.set(name, _lastused=True, **found)
        except Exception as e:  # noqa: BLE001 whatever a key ring raises, the work goes on
            lgr.warning('The credential was not saved (%s)', type(e).__name__)
        return login

    def _try(self, login: tuple[str, str]) -> tuple[str, str]:
        from datalad_icf.xnat import XnatClient

        self._ready = XnatClient(self.url, *login).__enter__()
        return login

    def _find(self, manager: Any) -> tuple[str | None, dict[str, str]]:
        """Look for a credential, and do not ask"""
        # somebody may have copied the address with a slash
        realms = [self.url, f'{self.url}/']
        for realm in realms[:1] if self.credential else realms:
            try:
                name, found = manager.obtain(
                    self.credential,
                    type_hint='user_password',
                    # one that is named keeps the realm that it has
                    query_props=None if self.credential else {'realm': realm},
                    expected_props=['user', 'secret'],
                )
            except ValueError:
                continue
            if found['user'] and found['secret']:
                return name, dict(found)
        if self.credential:
            msg = (
                f'there is no credential {self.credential!r} with a user and a '
                f'password: datalad credentials set {self.credential} '
                f'type=user_password user=USER realm={self.url}'
            )
            raise XnatAccessError(msg)
        return None, {}

    def _ask(self, manager: Any) -> tuple[str | None, dict[str, str]]:
        from datalad.ui import ui

        if ui.is_interactive:
            try:
                name, found = manager.obtain(
                    None,
                    prompt=f'User and password for {self.url}',
                    type_hint='user_password',
                    query_props={'realm': self.url},
                    expected_props=['user', 'secret'],
                )
            except ValueError:
                pass
            else:
                return name, dict(found)
        msg = (
            f'no user and password are known for {self.url}: datalad credentials set '
            f'NAME type=user_password user=USER realm={self.url}'
        )
        raise XnatAccessError(msg)

    def _read_netrc(self) -> tuple[str, str] | None:
        try:
            found = netrc.netrc().authenticators(str(urlsplit(self.url).hostname))
        except (OSError, netrc.NetrcParseError) as e:
            if not isinstance(e, FileNotFoundError):
                lgr.warning('.netrc is not read (%s)', type(e).__name__)
            return None
        return (found[0], found[2]) if found and found[2] is not None else None
