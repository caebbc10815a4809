"""``icf-dicomweb``: against only writing the same files, growth, and memory"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from benchmarks.archive import peak_line
from benchmarks.measure import Line, Usage, run_in_turn, run_process, spread
from benchmarks.workspace import STUDY, Shape, Workspace

SMALL = 384
WALL_LIMIT = 2.5
GZIP_LIMIT = 2.0
# growth is linear, but for noise
GROWTH_LIMIT = 1.3
MEMORY_LIMIT = 150
RATE_GUIDE = 800
_STEPS = Path(__file__).with_name('dicomweb_steps.py')


def measure_speed(workspace: Workspace) -> Iterator[Line]:
    """Convert a visit of 384 images: the example visit, if there is one"""
    shape = Shape('frames', 'images', SMALL)
    what = str(shape)
    if example := os.environ.get('ICF_EXAMPLE_VISIT'):
        workspace.use_source(shape, Path(example))
        what = 'the example visit'
    workspace.tarball(shape)
    workspace.describe(shape)
    workspace.tell(f'dicomweb: {what}')
    tree, copy = workspace.store / STUDY / 'dicomweb', workspace.root / 'copy'
    _convert(workspace, shape)
    packed = workspace.root / 'packed'
    _step('pack', tree, packed)

    def write() -> Usage:
        shutil.rmtree(copy, ignore_errors=True)
        return _step('write', packed, copy)

    plain, gzip, floor, start, floor_start = run_in_turn(
        workspace.repeat,
        lambda: _convert(workspace, shape),
        lambda: _convert(workspace, shape, '--gzip'),
        write,
        lambda: workspace.idle('icf-dicomweb'),
        lambda: _step('idle'),
    )
    for order, unit in ((20, 'wall'), (20.1, 'cpu')):
        yield from _compare(
            order, f'dicomweb, {what}', unit, (plain, start), (floor, floor_start)
        )
    own, other = (median(u.wall for u in usages) for usages in (gzip, plain))
    yield Line(
        20.2,
        f'dicomweb, {what}: --gzip / without',
        own / other,
        '',
        GZIP_LIMIT,
        f'wall {own:.2f} s / {other:.2f} s',
    )
    shutil.rmtree(tree)
    rates = [_rate(workspace, shape, i) for i in range(workspace.repeat)]
    yield Line(
        20.3,
        f'dicomweb, {what}: instances per second, in-process',
        median(rates),
        '',
        None,
        f'guide: {RATE_GUIDE}; each round {spread(rates, 0)}',
    )
    shutil.rmtree(copy)
    for path in (packed, packed.with_name('packed.list')):
        path.unlink()
    workspace.discard(shape)


def _compare(
    order: float,
    what: str,
    unit: str,
    work: tuple[Sequence[Usage], Sequence[Usage]],
    least: tuple[Sequence[Usage], Sequence[Usage]],
) -> Iterator[Line]:
    """Work and floor, each with its start-up: first with all of it, then without"""
    own, own_start, floor, floor_start = (
        [getattr(usage, unit) for usage in usages] for usages in (*work, *least)
    )
    seconds = [median(each) for each in (own, own_start, floor, floor_start)]
    name = f'{what}: {unit.replace("cpu", "CPU")} / writing the same files'
    yield Line(
        order,
        f'{name}, start-up included',
        seconds[0] / seconds[2],
        '',
        WALL_LIMIT if unit == 'wall' else None,
        f'{seconds[0]:.2f} s, of which start-up {seconds[1]:.2f} s / {seconds[2]:.2f} '
        f's, of which start-up {seconds[3]:.2f} s; each round '
        f'{spread([o / f for o, f in zip(own, floor)], 2)}',
    )
    yield Line(
        order + 0.01,
        '  the same without the start-up of both',
        (seconds[0] - seconds[1]) / (seconds[2] - seconds[3]),
        '',
        None,
        f'{seconds[0] - seconds[1]:.2f} s / {seconds[2] - seconds[3]:.2f} s',
    )


def measure_growth(workspace: Workspace, shape: Shape) -> Iterator[Line]:
    """Convert many images"""
    few = Shape('few', 'images', max(SMALL, shape.count // 10))
    workspace.tell(f'dicomweb: {shape}')
    seconds = {}
    peak = 0
    for each in (few, shape):
        workspace.tarball(each)
        workspace.describe(each)
        # not the time of writing back what came before
        os.sync()
        times = json.loads(_step('convert', workspace.store, STUDY, each.visit).output)
        seconds[each] = times['cpu'] / each.count
        peak = max(peak, times['peak'])
        _remove_tree(workspace)
    workspace.discard(few)
    yield Line(
        21,
        f'dicomweb, {shape}: CPU per instance / that of {few.count:,}',
        seconds[shape] / seconds[few],
        '',
        GROWTH_LIMIT,
        f'{seconds[shape] * 1e3:.2f} ms / {seconds[few] * 1e3:.2f} ms',
    )
    yield from measure_memory(workspace, shape)


def measure_memory(workspace: Workspace, shape: Shape) -> Iterator[Line]:
    """Convert a visit once"""
    workspace.tarball(shape)
    workspace.describe(shape)
    workspace.tell(f'dicomweb: {shape}')
    usage = _convert(workspace, shape)
    yield peak_line(workspace, 'dicomweb', shape, usage.peak, limit=MEMORY_LIMIT)
    _remove_tree(workspace)


def _convert(workspace: Workspace, shape: Shape, *args: str) -> Usage:
    _remove_tree(workspace)
    # pictures have their own costs, and are a few
    return workspace.command('icf-dicomweb', shape.visit, '--no-thumbnails', *args)


def _remove_tree(workspace: Workspace) -> None:
    shutil.rmtree(workspace.store / STUDY / 'dicomweb', ignore_errors=True)


def _rate(workspace: Workspace, shape: Shape, _round: int) -> float:
    _remove_tree(workspace)
    used = json.loads(_step('convert', workspace.store, STUDY, shape.visit).output)
    return float(used['instances'] / used['wall'])


def _step(name: str, *args: object) -> Usage:
    return run_process([sys.executable, str(_STEPS), name, *map(str, args)])
