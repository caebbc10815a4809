"""Run a step on one visit, or on all that a pattern stands for"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from logging import Logger
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

from datalad.log import log_progress

from datalad_icf.commands.processes import check_interrupt, run_in_processes
from datalad_icf.commands.results import Outcome, done, failed, visit_record
from datalad_icf.errors import IcfError
from datalad_icf.progress import Advance, Progress
from datalad_icf.store import Visit, VisitPaths, find_visits

Result = TypeVar('Result')
# often enough for the eye, and no cost for many small files
_SECONDS_BETWEEN_UPDATES = 0.1


def run_visits(
    action: str,
    store_dir: Path,
    visit: Visit,
    step: Callable[[VisitPaths, Progress], Outcome],
    *,
    reads: str,
    writes: str,
    logger: Logger,
    jobs: int = 1,
) -> Iterator[dict[str, Any]]:
    """Yield a record for each visit; one that fails does not stop the others

    With several jobs, records come as visits are done, and in no order.

    Parameters
    ----------
    action
        Python name of the command.
    store_dir
        Root directory of the store.
    visit
        The visit, or a pattern.
    step
        Does the work on a visit.
    reads, writes
        Names of the properties of `VisitPaths` that have the input, by which a
        pattern finds visits, and the output, which is the path of the record.
    logger
        Logger of the command.
    jobs
        How many visits to work on at once.
    """
    try:
        found = find_visits(store_dir, visit, having=reads)
    except IcfError as e:
        study_dir = VisitPaths(store_dir, visit).study_dir
        yield failed(visit_record(action, visit, study_dir, logger=logger), e)
        return
    for paths, outcome in work_on_visits(found, step, jobs=jobs, logger=logger):
        path = getattr(paths, writes)
        record = visit_record(action, paths.visit, path, logger=logger)
        if isinstance(outcome, Exception):
            yield failed(record, outcome)
        else:
            yield done(record, outcome)


def work_on_visits(
    found: Sequence[VisitPaths],
    step: Callable[[VisitPaths, Progress], Result],
    *,
    jobs: int,
    logger: Logger,
) -> Iterator[tuple[VisitPaths, Result | Exception]]:
    """Yield visits with what a step made of them, or why it failed

    Parameters
    ----------
    found
        The visits.
    step
        Does the work on one.
    jobs
        How many visits to work on at once. With one, their progress is shown; with
        more, how many are done.
    logger
        Logger of the command.
    """
    if jobs == 1 or len(found) == 1:
        for paths in found:
            yield paths, _try(step, paths, report_progress(logger, paths.tarball))
        return
    progress = report_progress(logger, found[0].study_dir)
    with progress('Visits', len(found), ' visits') as advance:
        for pair in run_in_processes(
            found, lambda paths: step(paths, _end_if_interrupted), jobs=jobs
        ):
            advance(1)
            yield pair


@contextmanager
def _end_if_interrupted(_label: str, _total: int, _unit: str) -> Iterator[Advance]:
    """Progress that nobody sees, in a process that can be told to end"""
    check_interrupt()
    yield lambda _count: check_interrupt()


def _try(
    step: Callable[[VisitPaths, Progress], Result],
    paths: VisitPaths,
    progress: Progress,
) -> Result | Exception:
    """Call it here, so that no generator is in the traceback: DataLad clears that"""
    try:
        return step(paths, progress)
    except (IcfError, OSError) as e:
        return e


def report_progress(logger: Logger, path: Path) -> Progress:
    """Make the progress bars of DataLad listen to the core

    Parameters
    ----------
    logger
        Logger of the command.
    path
        The file that is made, which tells bars of several visits apart.
    """

    @contextmanager
    def step(label: str, total: int, unit: str) -> Iterator[Advance]:
        waiting = 0
        last = monotonic()

        def tell(text: str = '%s %s', **props: Any) -> None:
            log_progress(
                logger.info,
                f'{label} {path}',
                text,
                label,
                path.name,
                noninteractive_level=5,
                **props,
            )

        def advance(count: int) -> None:
            nonlocal waiting, last
            waiting += count
            if monotonic() - last >= _SECONDS_BETWEEN_UPDATES:
                tell(update=waiting, increment=True)
                waiting, last = 0, monotonic()

        tell(label=label, total=total, unit=unit)
        try:
            yield advance
        finally:
            tell(update=waiting, increment=True)
            tell('%s %s: done')

    return step
