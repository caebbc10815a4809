"""Measure the commands, and print what was reached of what is demanded

Usage: ``python -m benchmarks.run [--files N] [--big MB] [--many N] [--visits N]
[--repeat N] [--only NAME ...] [--directory DIR]``

With the environment variable ICF_EXAMPLE_VISIT, the directory of a visit, DICOMweb
is measured with its images in place of synthetic ones.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import (
    archive,
    batch,
    catalog,
    dataset,
    dicomweb,
    images,
    metadata,
    startup,
    verify,
    xnat,
)
from benchmarks.measure import MB, BenchmarkError, Line, run_process
from benchmarks.workspace import Shape, Workspace, has_md5sum

NAMES = (
    'archive',
    'metadata',
    'dataset',
    'images',
    'catalog',
    'dicomweb',
    'verify',
    'batch',
    'startup',
    'xnat',
)
# of a whole study, with the images
_BATCH_VISITS = 200
_IMAGE_BYTES = 120_000


def main(argv: list[str] | None = None) -> int:
    """Run benchmarks from the command line; returns the exit code"""
    args = _parse(argv)
    # so that the temporary directory is removed then, too
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # git-annex is beside Python, if anywhere
    scripts = str(Path(sys.executable).parent)
    os.environ['PATH'] = os.pathsep.join((scripts, os.environ.get('PATH', '')))
    # what is installed is compiled, and so is what is measured
    os.environ.pop('PYTHONDONTWRITEBYTECODE', None)
    start = perf_counter()
    try:
        with tempfile.TemporaryDirectory(prefix='icf-bench-', dir=args.directory) as d:
            root = Path(d).resolve()
            for text in _describe_machine(root):
                _tell(text)
            _check_space(root, args)
            lines = list(_measure(Workspace(root, args.repeat, _tell), args))
    except BenchmarkError as e:
        print(f'The benchmark failed: {e}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('The benchmark was interrupted', file=sys.stderr)
        return 130
    _print_table(sorted(lines, key=lambda line: line.order))
    _tell(
        f'{args.repeat} rounds, {perf_counter() - start:.0f} s; load average at the '
        f'end {os.getloadavg()[0]:.1f}. Ratios are of medians, without the start-up '
        'of the command. MB are 10^6 bytes.'
    )
    return 0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.run',
        description='Measure speed and memory of the commands.',
    )
    for name, default, text in (
        ('files', 5000, 'files of a visit of many small images'),
        ('big', 2000, 'MB of a visit of one large image'),
        ('many', 20000, 'images where memory and growth are measured'),
        ('visits', 1000, 'visits of a study of many visits'),
        ('repeat', 3, 'rounds; the medians count'),
    ):
        parser.add_argument(
            f'--{name}',
            type=int,
            default=default,
            metavar='N',
            help=f'{text} [default: {default}]',
        )
    parser.add_argument(
        '--only', nargs='+', choices=NAMES, default=NAMES, help='measure only this'
    )
    parser.add_argument(
        '--directory',
        type=Path,
        metavar='DIR',
        help='where the temporary directory is made [default: that of the system]',
    )
    args = parser.parse_args(argv)
    if min(args.files, args.big, args.visits, args.repeat) < 1 or args.many < 8:
        parser.error('sizes start at 1, and --many at 8')
    return args


def _measure(workspace: Workspace, args: argparse.Namespace) -> Iterator[Line]:
    small = Shape('small', 'images', args.files)
    big = Shape('big', 'large', args.big)
    many = Shape('many', 'images', args.many)
    if 'dataset' in args.only:
        yield from dataset.measure(workspace, args.many)
    if 'images' in args.only:
        yield from images.measure(workspace, args.files)
    if 'catalog' in args.only:
        yield from catalog.measure(workspace, args.files, args.visits)
    if 'startup' in args.only:
        yield from startup.measure(workspace)
    if 'dicomweb' in args.only:
        yield from dicomweb.measure_speed(workspace)
    if 'xnat' in args.only:
        yield from xnat.measure(workspace, big)
    if 'batch' in args.only:
        visits = min(args.visits, _BATCH_VISITS)
        yield from batch.measure_jobs(workspace, visits, order=8.9)
    # shape by shape, so that not all need a place on the disk at once
    for order, shape, limit in ((1, small, 2.0), (2, big, 1.6)):
        if 'archive' in args.only:
            yield from archive.measure_speed(workspace, shape, order=order, limit=limit)
        if 'metadata' in args.only:
            yield from metadata.measure_speed(workspace, shape, order=order + 2)
        if 'verify' in args.only:
            yield from verify.measure_speed(workspace, shape, order=8.5 + order / 10)
        if 'batch' in args.only:
            yield from batch.measure_deposit(workspace, shape, order=8.7 + order / 10)
        if 'dicomweb' in args.only and shape is big:
            yield from dicomweb.measure_memory(workspace, shape)
        workspace.discard(shape)
    if 'archive' in args.only:
        yield from archive.measure_memory(workspace, many)
    if 'metadata' in args.only:
        yield from metadata.measure_memory(workspace, many)
    if 'verify' in args.only:
        yield from verify.measure_memory(workspace, many)
    if 'dicomweb' in args.only:
        yield from dicomweb.measure_growth(workspace, many)
    workspace.discard(many)


def _describe_machine(root: Path) -> Iterator[str]:
    git = run_process(['git', '--version']).output.split()[-1]
    annex = run_process(['git-annex', 'version', '--raw']).output.strip()
    packages = ', '.join(
        f'{p} {version(p)}'
        for p in ('datalad', 'datalad-next', 'datalad-catalog', 'pydicom', 'xnat')
    )
    yield (
        f'{_count_cores()} cores, {platform.system()} {platform.machine()}, load '
        f'average {os.getloadavg()[0]:.1f}; Python {platform.python_version()}, '
        f'git {git}, git-annex {annex}, {packages}'
    )
    free = shutil.disk_usage(root).free
    yield f'In {root}, on {_find_disk(root)}, {free / 1e9:.0f} GB free'
    floor = 'md5sum' if has_md5sum() else 'hashlib of Python, for want of md5sum'
    yield f'The floor is {floor}'


def _count_cores() -> int:
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _find_disk(root: Path) -> str:
    device = run_process(['df', '-P', str(root)]).output.splitlines()[-1].split()
    return f'{device[0]} ({device[-1]})'


def _check_space(root: Path, args: argparse.Namespace) -> None:
    largest = max(args.big * MB, max(args.files, args.many) * _IMAGE_BYTES)
    # the files and their tarball
    needed = int(2.2 * largest)
    if shutil.disk_usage(root).free < needed:
        msg = f'{needed / 1e9:.1f} GB are needed in {root}; see --directory'
        raise BenchmarkError(msg)


def _print_table(lines: list[Line]) -> None:
    rows: list[tuple[str, ...]] = [('work', 'measured', 'limit', 'reached', 'how')]
    for line in lines:
        digits = 1 if line.unit == 'MB' or line.value >= 100 else 2
        unit = f' {line.unit}' if line.unit else ''
        limit = '' if line.limit is None else f'{line.limit:g}{unit}'
        rows.append(
            (
                line.work,
                f'{line.value:.{digits}f}{unit}',
                limit,
                line.verdict,
                line.note,
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    rows.insert(1, tuple('-' * width for width in (*widths, 3)))
    print()
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths)]
        print(' | '.join((*cells, row[4])).rstrip(' |'))
    print()


def _tell(text: str) -> None:
    print(text, flush=True)


if __name__ == '__main__':
    sys.exit(main())
