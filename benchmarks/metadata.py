"""``icf-deposit-metadata``: CPU and wall time as multiples of ``md5sum``, and memory"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from benchmarks.archive import peak_line, start_line
from benchmarks.measure import Line, Usage, compare_cpu, run_in_turn, spread
from benchmarks.workspace import ONE, Shape, Workspace, digest

CPU_LIMIT = 1.6
WALL_LIMIT = 1.8


def measure_speed(
    workspace: Workspace, shape: Shape, *, order: float
) -> Iterator[Line]:
    """Describe a tarball; also yields the memory that it took"""
    tarball = workspace.tarball(shape)
    workspace.tarball(ONE)
    workspace.tell(f'metadata: {shape}')
    work, first, second, start = run_in_turn(
        workspace.repeat,
        lambda: workspace.describe(shape),
        lambda: digest(tarball),
        lambda: digest(tarball),
        lambda: workspace.describe(ONE),
    )
    # the tarball and its members are both digested
    both = [
        Usage(a.cpu + b.cpu, a.wall + b.wall, a.peak) for a, b in zip(first, second)
    ]
    ratio, note = compare_cpu(work, start, both)
    yield Line(order, f'metadata, {shape}: CPU / 2 md5sum', ratio, '', CPU_LIMIT, note)
    wall, idle, one = (
        median(u.wall for u in usage) for usage in (work, start, (*first, *second))
    )
    ratios = [(w.wall - i.wall) / b.wall * 2 for w, i, b in zip(work, start, both)]
    yield Line(
        order + 0.1,
        f'metadata, {shape}: wall / 1 md5sum, where two cores are free',
        (wall - idle) / one,
        '',
        WALL_LIMIT,
        f'({wall:.2f} - {idle:.2f}) s / {one:.2f} s; each round {spread(ratios, 2)}',
    )
    if shape.kind != 'large':
        yield start_line('icf-deposit-metadata', start, order)
    else:
        yield peak_line(workspace, 'metadata', shape, max(u.peak for u in work))


def measure_memory(workspace: Workspace, shape: Shape) -> Iterator[Line]:
    """Describe a tarball once"""
    workspace.tarball(shape)
    workspace.tell(f'metadata: {shape}')
    yield peak_line(workspace, 'metadata', shape, workspace.describe(shape).peak)
