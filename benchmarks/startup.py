"""What it takes until a command is under way, and ``import datalad.api``"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from statistics import median

from benchmarks.measure import Line, Usage, run_in_turn, run_process, spread
from benchmarks.workspace import Workspace

COMMAND_LIMIT = 0.2
IMPORT_LIMIT = 50
# can be told to do nothing, which is more than to print their help
_IDLE = ('icf-archive', 'icf-deposit-metadata', 'icf-deposit-dataset', 'icf-catalog')
_LIST = 'from datalad_icf import command_suite as c; print(*[i[2] for i in c[1]])'
# hides an extension from DataLad, where it is asked to
_IMPORT = """
import importlib.metadata, sys, time
found = importlib.metadata.entry_points

def shown(**params):
    points = found(**params)
    if params.get('group', '').startswith('datalad.'):
        return [p for p in points if p.name != sys.argv[1]]
    return points

importlib.metadata.entry_points = shown
start = time.process_time()
import datalad.api
print(time.process_time() - start, hasattr(datalad.api, 'icf_archive'))
"""


def measure(workspace: Workspace) -> Iterator[Line]:
    """Start all commands, and import DataLad with and without the extension"""
    workspace.tell('start-up')
    # they are short: the more often, the better
    repeat = 2 * workspace.repeat + 1
    yield from _measure_commands(workspace, repeat)
    yield _measure_import(repeat)


def _measure_commands(workspace: Workspace, repeat: int) -> Iterator[Line]:
    names = run_process([sys.executable, '-c', _LIST]).output.split()
    version, other, *commands = run_in_turn(
        repeat,
        lambda: workspace.datalad('--version'),
        # a command of datalad-next, which is loaded for that of any extension
        lambda: workspace.datalad('download', '--help'),
        *[lambda name=name: _start(workspace, name) for name in names],
    )
    least = median(u.wall for u in version)
    more = {
        name: median(u.wall - v.wall for u, v in zip(usage, version))
        for name, usage in zip(names, commands)
    }
    slowest = max(more, key=more.__getitem__)
    usage = commands[names.index(slowest)]
    walls = [u.wall - v.wall for u, v in zip(usage, version)]
    yield Line(
        9,
        f'start-up of {slowest}, the slowest: above datalad --version',
        more[slowest],
        's',
        COMMAND_LIMIT,
        f'{least:.2f} s and {median(u.wall for u in usage):.2f} s; each round '
        f'{spread(walls, 2)}; CPU {_cpu(usage) - _cpu(version):.2f} s more',
    )
    yield Line(
        9.1,
        '  of that: any command of datalad-next above datalad --version',
        median(u.wall - v.wall for u, v in zip(other, version)),
        's',
        None,
        f'CPU {_cpu(other) - _cpu(version):.2f} s more',
    )
    for name, usage in zip(names, commands):
        yield Line(
            9.2,
            f'  {name}',
            median(u.wall for u in usage),
            's',
            None,
            f'CPU {_cpu(usage):.2f} s; {more[name]:.2f} s above datalad --version',
        )


def _start(workspace: Workspace, name: str) -> Usage:
    if name in _IDLE:
        return workspace.idle(name)
    return workspace.datalad(name, '--help')


def _cpu(usage: tuple[Usage, ...]) -> float:
    return median(u.cpu for u in usage)


def _measure_import(repeat: int) -> Line:
    code = [sys.executable, '-c', _IMPORT]
    with_it, without = run_in_turn(
        repeat,
        lambda: run_process([*code, 'none']),
        lambda: run_process([*code, 'icf']),
    )
    seconds = []
    for usages, expected in ((with_it, 'True'), (without, 'False')):
        printed = [usage.output.split()[-2:] for usage in usages]
        if {is_loaded for _, is_loaded in printed} != {expected}:
            return Line(10, 'import datalad.api', float('nan'), 'ms', 0, 'not hidden')
        # the least, as what is looked for is less than what other processes cost
        seconds.append(min(float(cpu) for cpu, _ in printed))
    return Line(
        10,
        'import datalad.api: CPU with the extension above that without',
        (seconds[0] - seconds[1]) * 1e3,
        'ms',
        IMPORT_LIMIT,
        f'{seconds[0]:.3f} s and {seconds[1]:.3f} s, the least of {repeat} each',
    )
