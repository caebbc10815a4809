"""Do several things at once, and tell about them in one place"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TypeVar

from datalad_icf.progress import Advance, Progress

Task = TypeVar('Task')
Result = TypeVar('Result')


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
        Does one, in a thread. It should not raise. When the iterator is closed, or the
        user interrupts, its progress raises `InterruptedTask`.
    jobs
        How many to do at once.
    progress
        Makes what shows the progress of a task, which is called here, in the thread of
        the caller.
    """
    # what is to be done in this thread
    calls: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
    stopped = threading.Event()
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(jobs))

        @stack.callback
        def stop() -> None:
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)

        futures: set[Future[Result]] = set()
        for task in tasks:
            relay = _relay(progress(task), calls, stopped)
            future = pool.submit(work, task, relay)
            # wakes the loop below
            future.add_done_callback(lambda _: calls.put(_nothing))
            futures.add(future)
        while futures:
            calls.get()()
            for future in [one for one in futures if one.done()]:
                # what it had to tell was told before it was done
                while not calls.empty():
                    calls.get()()
                futures.remove(future)
                yield future.result()


def _nothing() -> None:
    """Wake up"""


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
