"""``icf-archive``: CPU time as a multiple of ``md5sum``, and memory"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from benchmarks.measure import MB, Line, Usage, compare_cpu, run_in_turn
from benchmarks.workspace import ONE, Shape, Workspace, digest

PEAK_LIMIT = 100


def measure_speed(
    workspace: Workspace, shape: Shape, *, order: float, limit: float
) -> Iterator[Line]:
    """Pack a visit; also yields the memory that it took"""
    workspace.tell(f'archive: {shape}')
    workspace.tarball(shape)
    workspace.tarball(ONE)
    work, floor, start = run_in_turn(
        workspace.repeat,
        lambda: workspace.archive(shape),
        lambda: digest(workspace.tarball(shape)),
        lambda: workspace.archive(ONE),
    )
    ratio, note = compare_cpu(work, start, floor)
    yield Line(order, f'archive, {shape}: CPU / md5sum', ratio, '', limit, note)
    if shape.kind != 'large':
        yield start_line('icf-archive', start, order)
    else:
        yield peak_line(workspace, 'archive', shape, max(u.peak for u in work))


def measure_memory(workspace: Workspace, shape: Shape) -> Iterator[Line]:
    """Pack a visit once"""
    workspace.tell(f'archive: {shape}')
    yield peak_line(workspace, 'archive', shape, workspace.archive(shape).peak)


def peak_line(
    workspace: Workspace,
    name: str,
    shape: Shape,
    peak: int,
    *,
    limit: float = PEAK_LIMIT,
) -> Line:
    """Compare a peak with that of ``import datalad.api``"""
    base = workspace.import_peak
    names = ('archive', 'metadata', 'dicomweb', 'xnat', 'verify')
    order = 5 + 0.1 * names.index(name) + 0.01 * (shape.kind == 'large')
    return Line(
        order,
        f'{name}, {shape}: peak above import datalad.api',
        (peak - base) / MB,
        'MB',
        limit,
        f'{peak / MB:.0f} - {base / MB:.0f} MB',
    )


def start_line(name: str, start: Sequence[Usage], order: float) -> Line:
    """Tell what was taken for the start-up of a command"""
    return Line(
        9.3 + order / 1000,
        f'  {name} on one small image, which the ratios are without',
        median(u.wall for u in start),
        's',
        None,
        f'CPU {median(u.cpu for u in start):.2f} s',
    )
