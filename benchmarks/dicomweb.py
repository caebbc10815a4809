"""``icf-dicomweb``: against only writing the same files, growth, and memory"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
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
    original = workspace.root / 'tree'
    shutil.copytree(tree, original)

    def write() -> Usage:
        shutil.rmtree(copy, ignore_errors=True)
        return _step('write', original, copy)

    plain, gzip, floor, start = run_in_turn(
        workspace.repeat,
        lambda: _convert(workspace, shape),
        lambda: _convert(workspace, shape, '--gzip'),
        write,
        lambda: workspace.idle('icf-dicomweb'),
    )
    for order, unit in ((20, 'wall'), (20.1, 'cpu')):
        own, least, idle = (
            median(getattr(u, unit) for u in usages) for usages in (plain, floor, start)
        )
        ratios = [getattr(p, unit) / getattr(f, unit) for p, f in zip(plain, floor)]
        yield Line(
            order,
            f'dicomweb, {what}: {unit.replace("cpu", "CPU")} / writing the same files',
            own / least,
            '',
            WALL_LIMIT if unit == 'wall' else None,
            f'{own:.2f} s, of which start-up {idle:.2f} s / {least:.2f} s; each round '
            f'{spread(ratios, 2)}',
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
    shutil.rmtree(original)
    workspace.discard(shape)


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
    output = _step('convert', workspace.store, STUDY, shape.visit).output
    return float(shape.count / json.loads(output)['wall'])


def _step(name: str, *args: object) -> Usage:
    return run_process([sys.executable, str(_STEPS), name, *map(str, args)])
