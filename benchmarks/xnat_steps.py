"""Steps with an XNAT server, each in a process of its own

Usage: ``python benchmarks/xnat_steps.py push URL STORE STUDY VISIT ONE LABEL``, or
``upload URL TARBALL``. Both print JSON: seconds, and bytes. User and password are
those of ``.netrc``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from time import perf_counter, process_time
from typing import Any


def push(
    url: str, store: str, study: str, visit: str, one: str, label: str
) -> dict[str, Any]:
    """Push a visit, without the start-up: what a visit of one image takes, too"""
    # in place of this directory
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from datalad.api import icf_xnat_push

    def measure(name: str, to: str) -> tuple[float, float, dict[str, Any]]:
        wall, cpu = perf_counter(), process_time()
        (record,) = icf_xnat_push(
            id=(study, name),
            store_dir=store,
            url=url,
            project='P1',
            subject=to,
            session=to,
            result_renderer='disabled',
            return_type='list',
        )
        assert record['status'] == 'ok', record
        return perf_counter() - wall, process_time() - cpu, record

    # imports all that is imported late
    measure(one, f'{label}warm')
    start_wall, start_cpu, _ = measure(one, f'{label}one')
    wall, cpu, record = measure(visit, label)
    return {
        'wall': wall - start_wall,
        'cpu': cpu - start_cpu,
        'start_wall': start_wall,
        'start_cpu': start_cpu,
        'size': record['size'],
        'instances': record['instances'],
    }


def upload(url: str, tarball: str) -> dict[str, Any]:
    """Send a tarball with requests, and do nothing else: the floor"""
    import requests

    wall, cpu = perf_counter(), process_time()
    with open(tarball, 'rb') as f:
        answer = requests.post(
            url, data=f, headers={'Content-Type': 'application/x-tar'}, timeout=600
        )
    times = {'wall': perf_counter() - wall, 'cpu': process_time() - cpu}
    answer.raise_for_status()
    return times


if __name__ == '__main__':
    print(json.dumps({'push': push, 'upload': upload}[sys.argv[1]](*sys.argv[2:])))
