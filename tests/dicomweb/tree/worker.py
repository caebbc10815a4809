"""Processes that come to grief while they change a tree"""

from __future__ import annotations

import errno
import os
import resource
import signal
import sys
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from datalad_icf.dicomweb import TreeOptions, convert_visit, drop_visit, swap
from datalad_icf.store import Visit, VisitPaths

# what changes a directory
CHANGES = ('os.mkdir', 'os.rename', 'os.remove', 'os.rmdir', 'os.link')
_context = get_context('forkserver')
_context.set_forkserver_preload([__name__])


def run(target: Callable[..., None], *args: Any) -> int:
    """Run a function as a process of its own, return its exit code"""
    process = _context.Process(target=target, args=args)
    process.start()
    process.join()
    code = process.exitcode
    process.close()
    return code


def start(target: Callable[..., None], *args: Any) -> Any:
    """Start a function as a process of its own"""
    process = _context.Process(target=target, args=args)
    process.start()
    return process


def paths_of(store: Path, visit_id: str) -> VisitPaths:
    return VisitPaths(store, Visit('S1', visit_id))


def convert(store: Path, *visit_ids: str) -> None:
    for visit_id in visit_ids:
        convert_visit(paths_of(store, visit_id), TreeOptions(thumbnails=False))


def change(store: Path, visit_id: str, drop: bool) -> None:
    if drop:
        drop_visit(paths_of(store, visit_id), TreeOptions())
    else:
        convert(store, visit_id)


def change_until(
    store: Path,
    visit_id: str,
    drop: bool,
    moment: int,
    fallback: bool,
    everything: bool,
) -> None:
    """Change a visit, and die before a change of the tree, or of anything"""
    left = moment

    def count_down(event: str, args: tuple[Any, ...]) -> None:
        nonlocal left
        if event not in CHANGES:
            return
        # what is staged is seen by nobody
        if not everything and not any('/dicomweb' in str(a) for a in args):
            return
        left -= 1
        if left == -1:
            os.kill(os.getpid(), signal.SIGKILL)

    if fallback:
        swap._find_renameat2 = lambda: None
    sys.addaudithook(count_down)
    change(store, visit_id, drop)


def change_with_full_disk(store: Path, visit_id: str, limit: int) -> None:
    """Change a visit where no file can be longer than some bytes"""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    change(store, visit_id, False)


def change_with_failures(
    store: Path, visit_id: str, drop: bool, check: Callable[[int, str, bool], None]
) -> None:
    """Change a visit again and again, each time with another change that fails"""
    from datalad_icf.errors import IcfError

    left = -1
    failed = ''

    def fail(event: str, args: tuple[Any, ...]) -> None:
        nonlocal left, failed
        is_writing = event == 'open' and args[2] & (os.O_WRONLY | os.O_RDWR)
        if left < 0 or not (is_writing or event in CHANGES):
            return
        left -= 1
        if left == -1:
            failed = event
            raise OSError(errno.ENOSPC, 'No space left on device')

    sys.addaudithook(fail)
    # not all of them, as there are hundreds
    for moment in range(0, 10_000, 5):
        left, failed = moment, ''
        message = ''
        try:
            change(store, visit_id, drop)
        except IcfError as e:
            message = str(e)
        if left >= 0:
            assert moment > 10
            return
        # a file that cannot be linked is copied, and cleaning up may fail
        check(moment, failed, 'No space left' in message)
