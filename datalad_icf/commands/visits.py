"""Run a step on one visit, or on all that a pattern stands for"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from logging import Logger
from pathlib import Path
from time import monotonic
from typing import Any

from datalad.log import log_progress

from datalad_icf.commands.results import Outcome, done, failed, visit_record
from datalad_icf.errors import IcfError
from datalad_icf.progress import Advance, Progress
from datalad_icf.store import Visit, VisitPaths, find_visits

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
) -> Iterator[dict[str, Any]]:
    """Yield a record for each visit; one that fails does not stop the others

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
    """
    try:
        found = find_visits(store_dir, visit, having=reads)
    except IcfError as e:
        study_dir = VisitPaths(store_dir, visit).study_dir
        yield failed(visit_record(action, visit, study_dir, logger=logger), e)
        return
    for paths in found:
        path = getattr(paths, writes)
        record = visit_record(action, paths.visit, path, logger=logger)
        try:
            outcome = step(paths, report_progress(logger, path))
        except (IcfError, OSError) as e:
            yield failed(record, e)
        else:
            yield done(record, outcome)


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
