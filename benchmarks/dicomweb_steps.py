"""Steps with DICOMweb trees, each in a process of its own

Usage: ``python benchmarks/dicomweb_steps.py pack TREE PACKED``, ``write PACKED
COPY``, ``idle``, or ``convert STORE STUDY VISIT``, which prints JSON: seconds without
those of imports, images, and memory.
"""

from __future__ import annotations

import os
import sys

# in place of a size
_DIRECTORY = '-'


def pack(tree: str, packed: str) -> None:
    """Put the content of all files of a tree into one, and what they are beside it

    So the floor does not open as many files to read as it writes.
    """
    with open(packed, 'wb') as data, open(f'{packed}.list', 'w') as listing:
        for directory, _, names in os.walk(tree):
            print(_DIRECTORY, directory[len(tree) :], file=listing)
            for name in names:
                with open(f'{directory}/{name}', 'rb') as f:
                    size = data.write(f.read())
                print(size, f'{directory[len(tree) :]}/{name}', file=listing)


def write(packed: str, copy: str) -> None:
    """Write the same bytes into the same files in the same folders: the floor"""
    with open(packed, 'rb', buffering=0) as data, open(f'{packed}.list') as listing:
        for line in listing:
            size, path = line.rstrip('\n').split(' ', 1)
            if size == _DIRECTORY:
                os.mkdir(copy + path)
                continue
            with open(copy + path, 'wb', buffering=0) as f:
                f.write(data.read(int(size)))


def idle() -> None:
    """Do nothing: the start-up of the floor"""


def convert(store: str, study: str, visit: str) -> None:
    """Convert a visit, without a command"""
    # imports that the floor must not pay for
    import json
    from pathlib import Path
    from resource import RUSAGE_SELF, getrusage
    from time import perf_counter, process_time

    # in place of this directory
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from datalad_icf.dicomweb import TreeOptions, convert_visit
    from datalad_icf.store import Visit, VisitPaths

    paths = VisitPaths(Path(store), Visit(study, visit))
    wall, cpu = perf_counter(), process_time()
    report = convert_visit(paths, TreeOptions(thumbnails=False))
    used = {'wall': perf_counter() - wall, 'cpu': process_time() - cpu}
    assert report.is_new
    assert not report.failed
    used['instances'] = report.state.instances
    print(json.dumps({**used, 'peak': getrusage(RUSAGE_SELF).ru_maxrss}))


if __name__ == '__main__':
    steps = {'pack': pack, 'write': write, 'idle': idle, 'convert': convert}
    steps[sys.argv[1]](*sys.argv[2:])
