"""Steps with DICOMweb trees, each in a process of its own

Usage: ``python benchmarks/dicomweb_steps.py write TREE COPY``, or ``convert STORE
STUDY VISIT``, which prints JSON: seconds without those of imports, and bytes.
"""

from __future__ import annotations

import os
import sys


def write(tree: str, copy: str) -> None:
    """Write the same files into the same folders: the floor"""
    for directory, _, names in os.walk(tree):
        target = copy + directory[len(tree) :]
        os.mkdir(target)
        for name in names:
            with open(f'{directory}/{name}', 'rb') as f:
                data = f.read()
            with open(f'{target}/{name}', 'wb') as f:
                f.write(data)


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
    times = {'wall': perf_counter() - wall, 'cpu': process_time() - cpu}
    assert report.is_new
    assert not report.failed
    print(json.dumps({**times, 'peak': getrusage(RUSAGE_SELF).ru_maxrss}))


if __name__ == '__main__':
    {'write': write, 'convert': convert}[sys.argv[1]](*sys.argv[2:])
