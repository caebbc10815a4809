"""What goes wrong, on demand

Each fault is set before the request that it is to hit, and is used up by it.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass

IMPORT = r'/data/services/import'
ARCHIVE = r'/data/services/archive'


@dataclass
class _Fault:
    times: int
    path: str = ''
    method: str = ''
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    before_body: bool = False
    seconds: float = 0
    cut_after: int = -1
    # bytes of the answer that get through
    cut_answer: int | None = None

    def fits(self, method: str, path: str) -> bool:
        return (
            self.times > 0
            and self.method in ('', method)
            and re.search(self.path, path) is not None
        )


class Faults:
    """The faults to come, in the order in which they were set

    ``path`` is a regular expression for the path of the request, ``method`` its
    method; empty fits all. ``times`` is how many requests are hit.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[_Fault] = []
        self._expire_in: int | None = None
        # of the next sessions that are archived: SOP Instance UIDs that vanish
        self.lost: set[str] = set()
        # of the next sessions that are archived: CONFLICT, with this reason
        self.conflicts: list[str] = []

    def answer(
        self,
        status: int,
        *,
        path: str = '',
        method: str = '',
        times: int = 1,
        before_body: bool = False,
        **headers: str,
    ) -> None:
        """Answer with a status (502, 503, 504, 429, 500, ...) and do nothing

        As a proxy in front of XNAT does. ``before_body`` closes the connection
        with the body unread. ``headers``: ``Retry_After='1'``.
        """
        found = tuple((k.replace('_', '-'), v) for k, v in headers.items())
        self._add(_Fault(times, path, method, status, found, before_body))

    def cut_upload(self, after: int, *, path: str = IMPORT, times: int = 1) -> None:
        """Close the connection when this many bytes of a body arrived"""
        self._add(_Fault(times, path, cut_after=after))

    def cut_answer(
        self, path: str = IMPORT, *, method: str = '', times: int = 1, after: int = 0
    ) -> None:
        """Do the work, then close the connection without an answer

        With ``after``, the head of the answer and so many bytes of its body arrive.
        """
        self._add(_Fault(times, path, method, cut_answer=after))

    def slow(
        self, seconds: float, *, path: str = '', method: str = '', times: int = 1
    ) -> None:
        """Wait before the request is worked on"""
        self._add(_Fault(times, path, method, seconds=seconds))

    def expire_sessions(self, *, after: int = 0) -> None:
        """Forget who is logged in, ``after`` so many more requests"""
        with self._lock:
            self._expire_in = after

    def refuse_archive(self, reason: str = 'invalid session') -> None:
        """Archive the next session into CONFLICT; only logs/last tells why"""
        self.conflicts.append(reason)

    def lose_instances(self, *sop_uids: str) -> None:
        """Archive without these instances, once, and say nothing"""
        self.lost.update(sop_uids)

    @property
    def pending(self) -> int:
        """How many requests are still to be hit"""
        left = sum(one.times for one in self._faults)
        return left + len(self.lost) + len(self.conflicts)

    def clear(self) -> None:
        self.__init__()  # type: ignore[misc]

    def _add(self, fault: _Fault) -> None:
        with self._lock:
            self._faults.append(fault)

    def take(self, method: str, path: str) -> list[_Fault]:
        """The faults that hit this request; of those with a status, the first"""
        taken: list[_Fault] = []
        with self._lock:
            for fault in self._faults:
                second = fault.status and any(one.status for one in taken)
                if fault.fits(method, path) and not second:
                    fault.times -= 1
                    taken.append(fault)
        return taken

    def sessions_expire_now(self) -> bool:
        with self._lock:
            if self._expire_in is None:
                return False
            self._expire_in -= 1
            if self._expire_in >= 0:
                return False
            self._expire_in = None
            return True
