"""Do something with many visits at once, each in a process of its own"""

from __future__ import annotations

import multiprocessing
import os
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from datalad_icf.errors import IcfError

Task = TypeVar('Task')
Result = TypeVar('Result')

# of a worker: what it does, and whether it is at it
_work: Callable[[Any], Any] | None = None
_is_busy = False


class WorkerLostError(IcfError):
    """A process was killed, maybe for want of memory, before it was done"""


def run_in_processes(
    tasks: Sequence[Task], work: Callable[[Task], Result], *, jobs: int
) -> Iterator[tuple[Task, Result | Exception]]:
    """Yield tasks with their results as they finish, in whatever order that is

    Parameters
    ----------
    tasks
        What to work on.
    work
        Does it. It may be a closure, because the processes are copies of this one; its
        result has to be one that can be pickled. An `IcfError` or `OSError` that it
        raises is a result.
    jobs
        How many processes there are.

    Notes
    -----
    An interrupt ends work that has begun with a `KeyboardInterrupt` of its own, so
    that it can clean up, and no other begins.
    """
    pool = ProcessPoolExecutor(
        min(jobs, len(tasks)),
        # what was imported need not be imported again, and closures need no names
        mp_context=multiprocessing.get_context('fork'),
        initializer=_start_worker,
        initargs=(work,),
    )
    # of which this process is to know nothing
    others = set(multiprocessing.active_children())
    futures: dict[Future[Result], Task] = {}
    try:
        with warnings.catch_warnings():
            # DataLad has threads, but none that holds a lock here
            warnings.simplefilter('ignore', DeprecationWarning)
            futures = {pool.submit(_run, task): task for task in tasks}
        for future in as_completed(futures):
            try:
                result: Result | Exception = future.result()
            except BrokenProcessPool:
                msg = 'a process was killed before it was done; run this again'
                result = WorkerLostError(msg)
            yield futures.pop(future), result
    finally:
        if futures:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in set(multiprocessing.active_children()) - others:
                if child.pid:
                    os.kill(child.pid, signal.SIGINT)
        pool.shutdown()


def _start_worker(work: Callable[[Any], Any]) -> None:
    global _work
    _work = work
    signal.signal(signal.SIGINT, _interrupt)


def _interrupt(_number: int, _frame: object) -> None:
    # an idle worker waits for the pool to end it, and says nothing
    if _is_busy:
        raise KeyboardInterrupt


def _run(task: Any) -> Any:
    global _is_busy
    assert _work
    try:
        _is_busy = True
        return _work(task)
    except (IcfError, OSError) as e:
        # without what it was raised from, which need not be picklable
        return e.with_traceback(None)
    finally:
        _is_busy = False
