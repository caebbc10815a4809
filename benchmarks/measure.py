"""What a process costs, and how it compares with another"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

# of `ru_maxrss` in bytes
_PEAK_UNIT = 1 if sys.platform == 'darwin' else 1024
MB = 1_000_000


class BenchmarkError(Exception):
    """Something other than a number came out"""


@dataclass(frozen=True)
class Usage:
    """What a process and the children it waited for have used

    Parameters
    ----------
    cpu
        User and system time of all of them, in seconds.
    wall
        From the start to the end of the process, in seconds.
    peak
        Resident memory of the largest of them, in bytes.
    output
        What was printed.
    """

    cpu: float
    wall: float
    peak: int
    output: str = ''


def run_process(
    command: Sequence[str],
    *,
    expected: Collection[int] = (0,),
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Usage:
    """Run a command to its end, and measure it

    What is in ``environment`` comes on top of that of this process.

    A child has the resident memory of this process until it runs the command,
    and that counts. So this process must stay smaller than all it measures:
    neither DataLad nor pydicom may be imported here.

    Raises
    ------
    BenchmarkError
        If it cannot be run, or the exit code is not one of those expected.
    """
    with tempfile.TemporaryFile() as output:
        start = perf_counter()
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env={**os.environ, **(environment or {})},
            )
        except OSError as e:
            msg = f'{command[0]} cannot be run: {e.strerror}'
            raise BenchmarkError(msg) from e
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            raise
        wall = perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode(errors='replace')
    if process.returncode not in expected:
        msg = f'{" ".join(command)}: exit code {process.returncode}\n{text}'
        raise BenchmarkError(msg)
    return Usage(
        usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * _PEAK_UNIT, text
    )


def run_in_turn(
    repeat: int, *steps: Callable[[], Usage]
) -> tuple[tuple[Usage, ...], ...]:
    """Run steps again and again, one after the other

    What slows the machine down for some seconds slows down the work and its
    floor alike.

    Returns
    -------
    tuple of tuple of Usage
        For each step, what it has used each time.
    """
    return tuple(zip(*[[step() for step in steps] for _ in range(repeat)]))


def spread(values: Sequence[float], digits: int) -> str:
    """Format the range of repeated measurements

    Examples
    --------
    >>> spread([1.25, 1.5], 1), spread([2.0], 1)
    ('1.2-1.5', '2.0')
    """
    ends = [f'{v:.{digits}f}' for v in (min(values), max(values))]
    return '-'.join(dict.fromkeys(ends))


@dataclass(frozen=True)
class Line:
    """A line of the result

    Parameters
    ----------
    order
        Place in the table.
    work
        What was measured.
    value
        The outcome.
    unit
        Unit of the outcome and its limit.
    limit
        What the outcome must not be above; None where nothing is demanded.
    note
        How the outcome came about.
    """

    order: float
    work: str
    value: float
    unit: str
    limit: float | None
    note: str

    @property
    def verdict(self) -> str:
        """Whether the limit is reached"""
        if self.limit is None:
            return ''
        return 'yes' if self.value <= self.limit else 'NO'


def compare_cpu(
    work: Sequence[Usage], start: Sequence[Usage], floor: Sequence[Usage]
) -> tuple[float, str]:
    """CPU time of some work without the start-up, as a multiple of its floor

    Returns
    -------
    ratio
        Of the medians.
    note
        The parts of it, and the range of the ratios of each round.
    """
    cpu, idle, least = (median(u.cpu for u in usage) for usage in (work, start, floor))
    ratios = [(w.cpu - i.cpu) / f.cpu for w, i, f in zip(work, start, floor)]
    note = f'({cpu:.2f} - {idle:.2f}) s / {least:.2f} s; each round {spread(ratios, 2)}'
    return (cpu - idle) / least, note
