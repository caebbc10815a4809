"""Users and passwords of a store, from DataLad's credentials"""

from __future__ import annotations

import os
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from logging import getLogger
from pathlib import Path
from typing import Any

from datalad_icf.dataset.challenge import find_realms
from datalad_icf.dataset.connections import origin_of

lgr = getLogger('datalad.icf.login')

_KINDS = {'basic': 'user_password', 'bearer': 'token'}


class DataladLogin:
    """Finds the credential of a realm, as datalad-next does, or asks for it

    A realm is the address of the server and the name that it gives to an area of
    its content. Thus a credential is found by the server that asks for it, and no
    other server gets it. Schemes are Basic and Bearer.

    Parameters
    ----------
    config
        Makes the configuration of DataLad that is looked up, when it is needed.
    name
        Name of the credential to be used. It becomes that of the realm.
    suggestion
        Name for a credential that somebody enters.
    server
        URL of the server that a named credential is for, if it has no realm yet.
    note
        File in which to remember the key ring that had a password. To find out anew
        which one is in use takes longer than to get an image.
    """

    def __init__(
        self,
        config: Callable[[], Any] | None = None,
        *,
        name: str | None = None,
        suggestion: str | None = None,
        server: str | None = None,
        note: Path | None = None,
    ) -> None:
        self._config = config
        self._name = name
        self._suggestion = suggestion
        self._server = server
        self.note = note
        self._asked: set[str] = set()
        self._other_realm: str | None = None
        self._realms: dict[str, str] = {}
        self._manager: Any = None
        self._found: tuple[str | None, dict[str, Any]] | None = None
        self._url = ''
        self._worked: list[dict[str, Any]] = []

    @property
    def variables(self) -> dict[str, str]:
        """Environment by which DataLad finds what was entered, be it kept or not"""
        return {
            f'DATALAD_CREDENTIAL_ICFENTERED{number}_{field.upper()}': value
            for number, found in enumerate(self._worked)
            for field in ('type', 'realm', 'user', 'secret')
            if (value := found.get(field))
        }

    def find(self, url: str, challenge: str) -> str | None:
        """Find what answers a challenge"""
        self._url, self._found = url, None
        self._realms = find_realms(url, challenge)
        realms = {k: v for k, v in self._realms.items() if k in _KINDS}
        if not realms:
            return None
        # what was found so was refused, if the same is asked again
        if self._name is None and not self._asked.issuperset(realms.values()):
            self._asked.update(realms.values())
            for scheme, realm in realms.items():
                if found := find_quickly(realm, _KINDS[scheme], note=self.note):
                    return _answer(scheme, found)
        return self._find_by_datalad(realms)

    def _find_by_datalad(self, realms: dict[str, str]) -> str | None:
        from datalad_next.credman import CredentialManager

        if self._manager is None:
            self._manager = CredentialManager(self._config() if self._config else None)
        if self._name:
            return self._find_named(realms)
        for scheme, realm in realms.items():
            known = self._manager.query(
                _sortby='last-used', type=_KINDS[scheme], realm=realm
            )
            for name, found in known:
                if found.get('secret'):
                    self._found = (name, found)
                    return _answer(scheme, found)
        scheme, realm = next(iter(realms.items()))
        if found := self._ask(realm, _KINDS[scheme]):
            self._found = (None, found)
            return _answer(scheme, found)
        return None

    def _find_named(self, realms: dict[str, str]) -> str | None:
        """Use the credential that was named, unless it is for another realm"""
        known = self._manager.get(name=self._name) or {}
        for scheme, realm in realms.items():
            kind = _KINDS[scheme]
            if known.get('type', kind) != kind:
                continue
            # it must not be sent to whom it is not for, such as where a redirect leads
            if known.get('realm', realm) != realm:
                self._other_realm = known['realm']
                return None
            if not known.get('realm') and not self._is_server(self._url):
                return None
            if found := known or self._ask(realm, kind):
                self._found = (self._name, {**found, 'type': kind, 'realm': realm})
                return _answer(scheme, found)
        return None

    def _is_server(self, url: str) -> bool:
        return self._server is None or origin_of(url) == origin_of(self._server)

    def explain(self) -> str:
        """Say how the server can be given what it asked for last"""
        if self._other_realm:
            asked = ', '.join(self._realms.values())
            return (
                f'the credential {self._name} is for {self._other_realm}, and is not '
                f'used for {asked}: name another one'
            )
        name = self._name or self._suggestion or 'NAME'
        for scheme, realm in self._realms.items():
            if scheme in _KINDS:
                kind = _KINDS[scheme]
                user = 'user=USER ' if kind == 'user_password' else ''
                return (
                    f"'datalad credentials set {name} type={kind} {user}"
                    f'"realm={realm}"\' lets DataLad know it'
                )
        asked = ', '.join(self._realms) or 'nothing'
        return f'the server wants {asked}, of which DataLad knows nothing'

    def _ask(self, realm: str, kind: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] | None = self._manager.get(
                name=None,
                _prompt=f'Credential needed for accessing {self._url} (authentication '
                f'realm {realm!r})',
                _type_hint=kind,
                type=kind,
                realm=realm,
            )
        except Exception as e:  # noqa: BLE001 whatever it is, there is no answer
            lgr.debug('Nobody can be asked for a credential: %s', type(e).__name__)
            return None
        return found

    def accept(self) -> None:
        """Offer to keep what somebody has entered, now that it has worked"""
        if not self._found:
            return
        name, found = self._found
        if name is not None and name != self._name and not found.get('_edited'):
            return
        self._worked.append(found)
        try:
            self._manager.set(
                name,
                _lastused=True,
                _suggested_name=self._suggestion,
                _context=f'for accessing {self._url}',
                **found,
            )
        except Exception as e:  # noqa: BLE001 whatever a key ring raises, the work goes on
            lgr.warning('The credential was not saved (%s)', type(e).__name__)


def find_quickly(
    realm: str, kind: str, *, note: Path | None = None
) -> dict[str, str] | None:
    """Look up a credential as DataLad keeps it, in a tenth of the time

    DataLad has properties in the configuration of git, and the secret in the key
    ring. What is committed in a dataset is not looked at: whoever made it must not
    choose to whom a password goes.

    Returns
    -------
    dict or None
        Nothing if there is no such credential, or if the environment may say more,
        which DataLad itself knows better.
    """
    if any(
        name.startswith(('DATALAD_CREDENTIAL', 'DATALAD_CONFIG')) for name in os.environ
    ):
        return None
    by_name: dict[str, dict[str, str]] = {}
    for item in _read_config(r'^datalad\.credential\.').split('\0')[:-1]:
        variable, _, value = item.partition('\n')
        name, _, field = variable[len('datalad.credential.') :].rpartition('.')
        by_name.setdefault(name, {})[field] = value
    known = [
        (fields.get('last-used', ''), name, fields)
        for name, fields in by_name.items()
        if fields.get('realm') == realm and fields.get('type') == kind
    ]
    for _, name, fields in sorted(known, key=lambda one: one[0], reverse=True):
        if secret := fields.get('secret') or _read_key_ring(name, note):
            return {**fields, 'secret': secret}
    return None


def _read_config(pattern: str) -> str:
    command = ['git', 'config', '--null', '--get-regexp', pattern]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return ''
    with process:
        with suppress(Exception):
            # what is needed next, while git is at work; a failure is told then
            _import_keyring()
        output, _ = process.communicate()
    return output.decode(errors='surrogateescape')


def _read_key_ring(name: str, note: Path | None) -> str | None:
    service = f'datalad-{name}'
    secret: str | None = None
    try:
        keyring = _import_keyring()
        if note:
            with suppress(Exception):
                known = keyring.core.load_keyring(note.read_text())
                secret = known.get_password(service, 'secret')
        if not secret:
            secret = keyring.get_password(service, 'secret')
            if secret and note:
                _write_note(note, type(keyring.get_keyring()))
    except Exception as e:  # noqa: BLE001 whatever a key ring raises; DataLad tries again
        lgr.debug('The key ring cannot be read: %s', type(e).__name__)
        return None
    return secret


def _write_note(note: Path, kind: type) -> None:
    with suppress(OSError):
        note.parent.mkdir(exist_ok=True)
        made = note.with_name(f'{note.name}.{os.getpid()}')
        made.write_text(f'{kind.__module__}.{kind.__qualname__}')
        made.replace(note)


def _import_keyring() -> Any:
    if sys.platform != 'darwin':
        # Elsewhere there is no such library, but keyring would look for it with the
        # compiler and the linker, which takes longer than all that is needed here.
        absent: Any = None
        sys.modules.setdefault('keyring.backends.macOS.api', absent)
    import keyring

    return keyring


def _answer(scheme: str, found: dict[str, Any]) -> str | None:
    secret = found.get('secret')
    if scheme == 'bearer':
        return f'Bearer {secret}' if secret else None
    if not secret or not found.get('user'):
        return None
    login = b64encode(f'{found["user"]}:{secret}'.encode()).decode()
    return f'Basic {login}'
