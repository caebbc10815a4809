"""``icf-catalog``: against adding record by record, growth, and the overview"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measure import MB, Line, run_process, spread
from benchmarks.workspace import Workspace

SMALL = 384
FEW = 10
# the inverse of 8 times as fast
RECORDS_LIMIT = 0.125
FILES_LIMIT = 1.5
VISITS_LIMIT = 3.0
ONE_LIMIT = 1.5
FIRST_LIMIT = 1.5
FILTER_LIMIT = 100


def measure(workspace: Workspace, files: int, visits: int) -> Iterator[Line]:
    """Make catalogs of visits and studies that have metadata alone"""
    store = workspace.root / 'catalogs'
    for count in (SMALL, files):
        prefix = store / f'files{count}' / 'visit'
        # in one directory, where looking for a name takes longest
        workspace.synthesize('flat', count, prefix)
    for name, count in (('empty', 1), ('few', FEW), ('many', visits)):
        workspace.synthesize('study', count, store / name)
    yield from _measure_files(workspace, store, files)
    yield from _measure_visits(workspace, store, visits)
    yield from _measure_overview(workspace, store, visits)
    yield from _measure_one(workspace, store, visits)


def _step(name: str, *args: object) -> dict[str, Any]:
    script = str(Path(__file__).with_name('catalog_steps.py'))
    output = run_process([sys.executable, script, name, *map(str, args)]).output
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    return result


def _measure_files(workspace: Workspace, store: Path, files: int) -> Iterator[Line]:
    workspace.tell(f'catalog: visits of {SMALL} and {files:,} files')
    small, large = store / f'files{SMALL}', store / f'files{files}'
    rounds = [
        (
            _step('add-files', small, 'visit'),
            _step('add-records', small, 'visit'),
            _step('add-files', large, 'visit'),
        )
        for _ in range(workspace.repeat)
    ]
    for order, unit in ((11, 'cpu'), (11.1, 'wall')):
        own, record, _ = (median(r[i][unit] for r in rounds) for i in range(3))
        times = [r[1][unit] / r[0][unit] for r in rounds]
        yield Line(
            order,
            f'catalog, {SMALL} files: {unit.replace("cpu", "CPU")} / add_record()',
            own / record,
            '',
            RECORDS_LIMIT,
            f'{own:.3f} s / {record:.2f} s; {spread(times, 1)} times as fast',
        )
    own, _, all_of_them = (median(r[i]['cpu'] for r in rounds) for i in range(3))
    growths = [r[2]['cpu'] / files / (r[0]['cpu'] / SMALL) for r in rounds]
    yield Line(
        11.2,
        f'catalog, {files:,} files: CPU per file / that of {SMALL} files',
        all_of_them / files / (own / SMALL),
        '',
        FILES_LIMIT,
        f'{all_of_them / files * 1e3:.2f} ms / {own / SMALL * 1e3:.2f} ms; '
        f'each round {spread(growths, 2)}',
    )


def _measure_visits(workspace: Workspace, store: Path, visits: int) -> Iterator[Line]:
    workspace.tell(f'catalog: {visits:,} visits')
    rounds = [
        _step('add-visits', store / 'few', store / 'many')
        for _ in range(workspace.repeat)
    ]
    work = f'catalog, {visits:,} visits: wall per visit / that of {FEW}'
    yield _compare(12, work, VISITS_LIMIT, rounds, 'few')


def _measure_one(workspace: Workspace, store: Path, visits: int) -> Iterator[Line]:
    workspace.tell(f'catalog: one visit more than {visits:,}')
    studies = (store / 'empty', store / 'many')
    times = 2 * workspace.repeat + 2
    usual, least = [], []
    for _ in range(workspace.repeat):
        usual.append(_step('add-one', *studies, SMALL, SMALL, times))
        least.append(_step('add-one', *studies, 30, 0, times))
    work = f'catalog, one visit of {SMALL} files to {visits:,}: wall / to an empty one'
    yield _compare(12.1, work, ONE_LIMIT, usual, 'empty')
    work = '  of 30 images in 15 series, without file records'
    yield _compare(12.2, work, ONE_LIMIT, least, 'empty')


def _compare(
    order: float,
    work: str,
    limit: float | None,
    rounds: list[dict[str, float]],
    base: str,
) -> Line:
    seconds = {name: median(r[name] for r in rounds) for name in rounds[0]}
    ratios = [r['many'] / r[base] for r in rounds]
    cpu = seconds['many_cpu'] / seconds[f'{base}_cpu']
    note = f'{seconds["many"] * 1e3:.1f} ms / {seconds[base] * 1e3:.1f} ms'
    return Line(
        order,
        work,
        seconds['many'] / seconds[base],
        '',
        limit,
        f'{note}; each round {spread(ratios, 2)}; CPU {cpu:.2f}',
    )


def _measure_overview(workspace: Workspace, store: Path, visits: int) -> Iterator[Line]:
    workspace.tell(f'catalog: overview of {visits:,} visits')
    result = _step('open-overview', store / 'many' / 'catalog', workspace.repeat)
    if 'missing' in result:
        workspace.tell(f'catalog: the overview is not measured, {result["missing"]}')
        return
    yield Line(
        13,
        f'overview, {visits:,} visits: first rows visible',
        result['first'],
        's',
        FIRST_LIMIT,
        f'Chromium {result["version"]}, {result["size"] / MB:.1f} MB of JSON',
    )
    yield Line(
        13.1,
        f'overview, {visits:,} visits: filtered',
        result['filter'] * 1e3,
        'ms',
        FILTER_LIMIT,
        f'from a key to the rows; the slowest {result["filter_max"] * 1e3:.0f} ms',
    )
