"""``icf-verify``: CPU time as a multiple of ``md5sum``, and memory"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from benchmarks.archive import peak_line, start_line
from benchmarks.measure import Line, Usage, compare_cpu, run_in_turn
from benchmarks.workspace import ONE, Shape, Workspace, digest

CPU_LIMIT = 1.6


def measure_speed(
    workspace: Workspace, shape: Shape, *, order: float
) -> Iterator[Line]:
    """Verify a visit with tarball, metadata and dataset; also yields the memory"""
    for each in (shape, ONE):
        _prepare(workspace, each)
    tarball = workspace.tarball(shape)
    workspace.tell(f'verify: {shape}')
    work, first, second, start, fast = run_in_turn(
        workspace.repeat,
        lambda: workspace.command('icf-verify', shape.visit),
        lambda: digest(tarball),
        lambda: digest(tarball),
        lambda: workspace.command('icf-verify', ONE.visit),
        lambda: workspace.command('icf-verify', shape.visit, '--fast'),
    )
    # the tarball and its members are both digested
    both = [
        Usage(a.cpu + b.cpu, a.wall + b.wall, a.peak) for a, b in zip(first, second)
    ]
    ratio, note = compare_cpu(work, start, both)
    yield Line(order, f'verify, {shape}: CPU / 2 md5sum', ratio, '', CPU_LIMIT, note)
    yield Line(
        order + 0.01,
        f'  with --fast, {shape}',
        median(u.wall for u in fast),
        's',
        None,
        f'CPU {median(u.cpu for u in fast):.2f} s; start-up '
        f'{median(u.wall for u in start):.2f} s; without --fast '
        f'{median(u.wall for u in work):.2f} s',
    )
    if shape.kind != 'large':
        yield start_line('icf-verify', start, order)
    else:
        yield peak_line(workspace, 'verify', shape, max(u.peak for u in work))


def measure_memory(workspace: Workspace, shape: Shape) -> Iterator[Line]:
    """Verify a visit once"""
    _prepare(workspace, shape)
    workspace.tell(f'verify: {shape}')
    peak = workspace.command('icf-verify', shape.visit).peak
    yield peak_line(workspace, 'verify', shape, peak)


def _prepare(workspace: Workspace, shape: Shape) -> None:
    workspace.tarball(shape)
    if not workspace.file(shape.visit, '_XDLRA--refs').exists():
        workspace.describe(shape)
        workspace.remove(shape.visit, '_XDLRA*')
        workspace.command('icf-deposit-dataset', shape.visit)
