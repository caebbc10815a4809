"""Do several things at once, and tell about them in one place"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TypeVar

from datalad_icf.progress import Advance, Progress

Task = TypeVar('Task')
Result = TypeVar('Result')

# for tasks to notice that they are to stop
_SECONDS_TO_STOP = 2.0


class InterruptedTask(Exception):
    """A task was told to stop, because nobody waits for it any more"""


def run_parallel(
    tasks: Iterable[Task],
    work: Callable[[Task, Progress], Result],
    *,
    jobs: int,
    progress: Callable[[Task], Progress],
) -> Iterator[Result]:
    """Yield the result of each task as it finishes, in whatever order that is

    Parameters
    ----------
    tasks
        The tasks.
    work
        Does one, in a thread. When the iterator is closed, or the user interrupts, its
        progress raises `InterruptedTask`, and what does not end then is left alone.
    jobs
        How many to do at once.
    progress
        Makes what shows the progress of a task, which is called here, in the thread of
        the caller.
    """
    # what is to be done in this thread
    calls: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
    results: list[Result] = []
    stopped = threading.Event()
    todo = deque((task, _relay(progress(task), calls, stopped)) for task in tasks)
    left = len(todo)

    def do_tasks() -> None:
        while todo and not stopped.is_set():
            # no lock: taking from a deque is one step
            with suppress(IndexError):
                task, relay = todo.popleft()
                calls.put(_do(task, relay))

    def _do(task: Task, relay: Progress) -> Callable[[], object]:
        try:
            return partial(results.append, work(task, relay))
        except BaseException as e:  # noqa: BLE001 for the caller, whatever it is
            return partial(_raise, e)

    # nobody waits for those that wait for a server
    threads = [threading.Thread(target=do_tasks, daemon=True) for _ in range(jobs)]
    try:
        for thread in threads:
            thread.start()
        while left:
            calls.get()()
            # what a task had to tell was told before it was done
            while results:
                left -= 1
                yield results.pop()
    finally:
        stopped.set()
        end = time.monotonic() + _SECONDS_TO_STOP
        for thread in threads:
            if thread.ident:
                thread.join(max(0, end - time.monotonic()))
        # the end of what is shown
        while not calls.empty():
            with suppress(Exception):
                calls.get()()


def _raise(error: BaseException) -> None:
    raise error


def _relay(
    progress: Progress,
    calls: queue.SimpleQueue[Callable[[], object]],
    stopped: threading.Event,
) -> Progress:
    """Progress that is told in a thread, and shown in another"""

    @contextmanager
    def step(label: str, total: int, unit: str) -> Iterator[Advance]:
        shown = progress(label, total, unit)
        advances: list[Advance] = []
        calls.put(lambda: advances.append(shown.__enter__()))

        def advance(count: int) -> None:
            if stopped.is_set():
                raise InterruptedTask
            calls.put(lambda: advances[0](count))

        try:
            yield advance
        finally:
            calls.put(lambda: shown.__exit__(None, None, None))

    return step
