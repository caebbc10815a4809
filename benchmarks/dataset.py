"""``icf-deposit-dataset``: seconds, growth with the number of images, and memory"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from statistics import median

from benchmarks.measure import MB, Line, Usage, run_in_turn, run_process, spread
from benchmarks.workspace import STUDY, Workspace

SMALL = 384
SECONDS_LIMIT = 0.3
GROWTH_LIMIT = 0.25
PEAK_LIMIT = 150
_IN_PROCESS = """
import sys
from pathlib import Path
from time import perf_counter
from datalad_icf.dataset import deposit_dataset
from datalad_icf.store import Visit, VisitPaths

start = perf_counter()
deposit_dataset(VisitPaths(Path(sys.argv[1]), Visit(*sys.argv[2:])))
print(perf_counter() - start)
"""


def measure(workspace: Workspace, many: int) -> Iterator[Line]:
    """Make datasets of visits that have metadata alone"""
    for count in (SMALL, many // 4, many):
        prefix = workspace.file(_name_visit(count), '')
        workspace.synthesize('metadata', count, prefix)
    yield from _measure_small(workspace)
    yield from _measure_growth(workspace, many // 4, many)


def _name_visit(count: int) -> str:
    return f'dataset{count}'


def _deposit(workspace: Workspace, count: int) -> Usage:
    workspace.remove(_name_visit(count), '_XDLRA*')
    return workspace.command('icf-deposit-dataset', _name_visit(count))


def _deposit_in_process(workspace: Workspace, count: int) -> Usage:
    visit = _name_visit(count)
    workspace.remove(visit, '_XDLRA*')
    code = [sys.executable, '-c', _IN_PROCESS]
    return run_process([*code, str(workspace.store), STUDY, visit])


def _measure_small(workspace: Workspace) -> Iterator[Line]:
    workspace.tell(f'dataset: {SMALL} images')
    # it is short: the more often, the better
    work, idle, inside = run_in_turn(
        2 * workspace.repeat + 1,
        lambda: _deposit(workspace, SMALL),
        lambda: workspace.idle('icf-deposit-dataset'),
        lambda: _deposit_in_process(workspace, SMALL),
    )
    seconds = [w.wall - i.wall for w, i in zip(work, idle)]
    cpu = median(w.cpu - i.cpu for w, i in zip(work, idle))
    own = [float(usage.output) for usage in inside]
    yield Line(
        6,
        f'dataset, {SMALL} images: wall beside the start-up',
        median(seconds),
        's',
        SECONDS_LIMIT,
        f'each round {spread(seconds, 2)}; CPU {cpu:.2f} s; '
        f'deposit_dataset() alone {median(own):.2f} s',
    )


def _measure_growth(workspace: Workspace, few: int, many: int) -> Iterator[Line]:
    workspace.tell(f'dataset: {few:,} and {many:,} images')
    small, large = run_in_turn(
        workspace.repeat,
        lambda: _deposit(workspace, few),
        lambda: _deposit(workspace, many),
    )
    less, more = (median(u.cpu for u in usage) for usage in (small, large))
    growths = [(b.cpu - a.cpu) / (many - few) * 1e3 for a, b in zip(small, large)]
    yield Line(
        7,
        f'dataset, {few:,} to {many:,} images: growth of CPU per image',
        (more - less) / (many - few) * 1e3,
        'ms',
        GROWTH_LIMIT,
        f'{less:.2f} s and {more:.2f} s; each round {spread(growths, 3)}',
    )
    yield Line(
        8,
        f'dataset, {many:,} images: peak of the largest process',
        max(u.peak for u in large) / MB,
        'MB',
        PEAK_LIMIT,
        '',
    )
