"""``icf-deposit`` beside the separate commands, and a study with two jobs beside one"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from statistics import median

from benchmarks.measure import Line, Usage, run_in_turn, run_process, spread
from benchmarks.workspace import STUDY, Shape, Workspace

DEPOSIT_LIMIT = 0.75
# of the time of one job
JOBS_LIMIT = 1 / 1.7
# of a visit, as `benchmarks.synthetic` makes them
IMAGES = 36
_STEPS = ('icf-deposit-metadata', 'icf-deposit-dataset', 'icf-catalog')
_IN_PROCESS = """
import sys
from pathlib import Path
from time import perf_counter, process_time
from datalad_icf.catalog import CatalogSettings, update_catalog
from datalad_icf.dataset import deposit_dataset
from datalad_icf.dicom import archive_visit, deposit_metadata, deposit_visit
from datalad_icf.store import Visit, VisitPaths

how, source, store = sys.argv[1:4]
paths = VisitPaths(Path(store), Visit(*sys.argv[4:]))
start = perf_counter(), process_time()
if how == 'together':
    deposit_visit(paths, Path(source))
else:
    archive_visit(paths, Path(source))
    deposit_metadata(paths)
print(perf_counter() - start[0], process_time() - start[1])
deposit_dataset(paths)
with update_catalog(paths, CatalogSettings()) as catalog:
    catalog.add(paths)
    catalog.commit()
print(perf_counter() - start[0], process_time() - start[1])
"""


def measure_deposit(
    workspace: Workspace, shape: Shape, *, order: float
) -> Iterator[Line]:
    """Deposit a visit with one command, and with four"""
    source = str(workspace.source(shape))
    workspace.tell(f'batch: {shape}')

    def start_anew() -> None:
        workspace.remove(shape.visit, '_*')
        shutil.rmtree(workspace.store / STUDY / 'catalog', ignore_errors=True)

    def together() -> Usage:
        start_anew()
        return workspace.command('icf-deposit', shape.visit, source)

    def apart() -> Usage:
        start_anew()
        steps = [workspace.command('icf-archive', shape.visit, source)]
        steps += [workspace.command(name, shape.visit) for name in _STEPS]
        return Usage(
            sum(u.cpu for u in steps),
            sum(u.wall for u in steps),
            max(u.peak for u in steps),
        )

    def in_process(how: str) -> Usage:
        start_anew()
        code = [sys.executable, '-c', _IN_PROCESS, how, source]
        return run_process([*code, str(workspace.store), STUDY, shape.visit])

    one, four, inside, steps = run_in_turn(
        workspace.repeat,
        together,
        apart,
        lambda: in_process('together'),
        lambda: in_process('apart'),
    )
    yield _compare(
        order,
        f'icf-deposit, {shape}: wall / that of the four commands',
        [u.wall for u in one],
        [u.wall for u in four],
        f'; CPU {median(u.cpu for u in one):.2f} s / '
        f'{median(u.cpu for u in four):.2f} s',
        DEPOSIT_LIMIT,
    )
    for row, what in enumerate(('archive and metadata', 'all steps')):
        numbers = [
            [tuple(map(float, u.output.splitlines()[row].split())) for u in usage]
            for usage in (inside, steps)
        ]
        cpu = [median(c for _, c in pairs) for pairs in numbers]
        yield _compare(
            order + 0.01 * (row + 1),
            f'  {what} alone, in a process: wall',
            *([wall for wall, _ in pairs] for pairs in numbers),
            f'; CPU {cpu[0]:.2f} s / {cpu[1]:.2f} s',
        )


def measure_jobs(workspace: Workspace, visits: int, *, order: float) -> Iterator[Line]:
    """Deposit many small visits with one job, and with two"""
    exports = workspace.root / 'exports'
    workspace.tell(f'batch: making {visits} visits')
    workspace.synthesize('visits', visits, exports)
    workspace.tell(f'batch: {visits} visits')

    def deposit(pattern: str, jobs: int) -> Usage:
        shutil.rmtree(workspace.store / STUDY, ignore_errors=True)
        return workspace.command(
            'icf-deposit', pattern, '--visits-from', str(exports), '--jobs', str(jobs)
        )

    one, two, start = run_in_turn(
        workspace.repeat,
        lambda: deposit('*', 1),
        lambda: deposit('*', 2),
        # imports, which each process needs, are a part of it
        lambda: deposit('V00001', 1),
    )
    idle = median(u.wall for u in start)
    whole = median(u.wall for u in one) / median(u.wall for u in two)
    yield _compare(
        order,
        f'icf-deposit, {visits} visits of {IMAGES} images: wall with 2 jobs / 1 job',
        [u.wall - idle for u in two],
        [u.wall - idle for u in one],
        f'; {whole:.2f} times as fast with the start-up of {idle:.2f} s; CPU '
        f'{median(u.cpu for u in two):.1f} s / {median(u.cpu for u in one):.1f} s',
        JOBS_LIMIT,
    )
    shutil.rmtree(exports)
    shutil.rmtree(workspace.store / STUDY)


def _compare(
    order: float,
    work: str,
    values: list[float],
    floors: list[float],
    more: str,
    limit: float | None = None,
) -> Line:
    value, floor = median(values), median(floors)
    ratios = [v / f for v, f in zip(values, floors)]
    note = f'{value:.2f} s / {floor:.2f} s; each round {spread(ratios, 2)}{more}'
    return Line(order, work, value / floor, '', limit, note)
