"""Users, passwords, and who is logged in"""

from __future__ import annotations

import threading
import time
from base64 import b64decode
from binascii import Error
from uuid import uuid4

from tests.xnat.server.state import Site


class Accounts:
    """Passwords and http sessions

    A session lives for ``session_timeout`` after its last request: each GET of
    JSESSION renews it, and any other. A login that fails counts; at 20 the
    account is locked, for the right password too (XnatProviderManager).
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._lock = threading.Lock()
        self._passwords: dict[str, str] = {}
        self._sessions: dict[str, tuple[str, float]] = {}
        self.failed: dict[str, int] = {}

    def add(self, user: str, password: str) -> None:
        self._passwords[user] = password
        self.failed[user] = 0

    def locked(self, user: str) -> bool:
        return self.failed.get(user, 0) >= self._site.max_failed_logins

    def log_in(self, user: str, password: str) -> str | None:
        """A new session, or None"""
        with self._lock:
            good = self._passwords.get(user) == password and not self.locked(user)
            if user in self._passwords:
                self.failed[user] = 0 if good else self.failed[user] + 1
            if not good:
                return None
            token = uuid4().hex.upper()
            self._sessions[token] = (user, time.monotonic())
            return token

    def log_in_basic(self, authorization: str) -> str | None:
        """With each request that has no cookie: a new session each time"""
        try:
            pair = b64decode(authorization.removeprefix('Basic ')).decode()
        except (Error, UnicodeDecodeError):
            return None
        user, _, password = pair.partition(':')
        return self.log_in(user, password)

    def user_of(self, token: str) -> str | None:
        with self._lock:
            user, used = self._sessions.get(token, (None, 0))
            now = time.monotonic()
            if user is None or now - used > self._site.session_timeout:
                self._sessions.pop(token, None)
                return None
            self._sessions[token] = (user, now)
            return user

    def log_out(self, token: str) -> None:
        with self._lock:
            self._sessions.pop(token, None)

    def expire_all(self) -> None:
        with self._lock:
            self._sessions.clear()

    @property
    def open_sessions(self) -> int:
        return len(self._sessions)
