"""Do something with many visits at once, each in a process of its own"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

from datalad_icf.errors import IcfError

Task = TypeVar('Task')
Result = TypeVar('Result')

# in seconds
_PATIENCE = 3.0
# tells a worker to end
_STOP = signal.SIGUSR1
_SIGNALS = (signal.SIGINT, _STOP)
_FORK = multiprocessing.get_context('fork')
# of a worker: whether it is at work, and whether it was told to stop
_is_busy = False
_is_stopped = False


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
    A process that is killed takes only its own task with it, and another one takes
    its place. An interrupt ends tasks that have begun where they call
    `check_interrupt`, so that they can clean up, and no other begins. If this process
    is killed, the others finish what they have begun.
    """
    todo = iter(tasks)
    workers: set[_Worker[Task, Result]] = set()

    def begin_next(worker: _Worker[Task, Result] | None = None) -> None:
        for task in todo:
            worker = worker or _Worker(work)
            workers.add(worker)
            worker.begin(task)
            return

    def end() -> None:
        for worker in workers:
            worker.stop()
        for worker in workers:
            worker.join()

    # an interrupt elsewhere may leave the iterator as it is until then
    atexit.register(end)
    try:
        for _ in range(jobs):
            begin_next()
        while busy := {worker.pipe: worker for worker in workers if worker.is_busy}:
            for worker in [busy[pipe] for pipe in wait(list(busy))]:  # type: ignore[index]
                task, result = worker.finish()
                if isinstance(result, WorkerLostError):
                    workers.remove(worker)
                    begin_next()
                else:
                    begin_next(worker)
                yield task, result
    finally:
        atexit.unregister(end)
        end()


def check_interrupt() -> None:
    """End the work, if it was interrupted, with a `KeyboardInterrupt`

    Work that does not come by within seconds is interrupted wherever it is.
    """
    if _is_stopped:
        raise KeyboardInterrupt


class _Worker(Generic[Task, Result]):
    """A process that does one task after the other"""

    def __init__(self, work: Callable[[Task], Result]) -> None:
        self.is_busy = False
        self._task: Task
        self.pipe, theirs = _FORK.Pipe()
        self._process = _FORK.Process(
            target=_serve, args=(theirs, self.pipe, work), daemon=True
        )
        # an interrupt has to wait until the process knows what to do then
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            with warnings.catch_warnings():
                # DataLad has threads, but none that holds a lock here
                warnings.simplefilter('ignore', DeprecationWarning)
                self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        theirs.close()

    def begin(self, task: Task) -> None:
        """Begin a task"""
        self._task = task
        self.is_busy = True
        # where it was killed, there will be no result
        with suppress(OSError):
            self.pipe.send(task)

    def finish(self) -> tuple[Task, Result | Exception]:
        """Wait until the task is done, or the process is gone"""
        result: Result | Exception
        try:
            result = self.pipe.recv()
        except (EOFError, OSError):
            self.join()
            code = self._process.exitcode or 0
            how = f'killed by signal {-code}' if code < 0 else f'ended with {code}'
            msg = f'its process was {how} before it was done; run this again'
            result = WorkerLostError(msg)
        self.is_busy = False
        return self._task, result

    def stop(self) -> None:
        """Let it end"""
        if self.is_busy and self._process.pid:
            os.kill(self._process.pid, _STOP)
        # whoever waits for a task, or for its result to be taken, wakes up
        self.pipe.close()

    def join(self) -> None:
        """Wait for its end"""
        self._process.join()
        self.pipe.close()


def _serve(
    pipe: Connection, other_end: Connection, work: Callable[[Any], object]
) -> None:
    """What a process does"""
    # The terminal tells all, and a shell lets what it starts in the background ignore
    # that: what it means is for the other process to say.
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        # unlike SIG_IGN, programs that are started do not inherit this
        signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(_STOP, _interrupt)
    signal.signal(signal.SIGALRM, _lose_patience)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    # if it stayed open, nobody would be told that the other process is gone
    other_end.close()
    # an OSError of the work is a result
    with suppress(EOFError, OSError, KeyboardInterrupt):
        while not _is_stopped:
            pipe.send(_run(work, pipe.recv()))


def _run(work: Callable[[Any], object], task: object) -> object:
    global _is_busy
    try:
        _is_busy = True
        check_interrupt()
        return work(task)
    except (IcfError, OSError) as e:
        # without what it was raised from, which need not be picklable
        return e.with_traceback(None)
    finally:
        _is_busy = False


def _interrupt(_number: int, _frame: object) -> None:
    global _is_stopped
    _is_stopped = True
    signal.setitimer(signal.ITIMER_REAL, _PATIENCE)


def _lose_patience(_number: int, _frame: object) -> None:
    # at once, and be it between making a file and knowing of it
    if _is_busy:
        raise KeyboardInterrupt
