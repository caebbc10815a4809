from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import datalad.api
import pytest


def call(command: str, store, *args: Any, **kwargs: Any) -> list[dict[str, Any]]:
    defaults = {
        'id': ('S1', 'V01'),
        'store_dir': store,
        'result_renderer': 'disabled',
        'on_failure': 'ignore',
        'return_type': 'list',
    }
    return getattr(datalad.api, command)(*args, **{**defaults, **kwargs})


@pytest.fixture
def archive(paths) -> Callable[..., list[dict[str, Any]]]:
    """The command ``icf_archive`` of Python, whose records are returned"""
    return partial(call, 'icf_archive', paths.store_dir)


@pytest.fixture
def describe(paths) -> Callable[..., list[dict[str, Any]]]:
    """The command ``icf_deposit_metadata`` of Python, whose records are returned"""
    return partial(call, 'icf_deposit_metadata', paths.store_dir)


@pytest.fixture
def configure(monkeypatch) -> Callable[[str, str], None]:
    """Sets a configuration item of DataLad, in this process and its children"""
    import datalad

    def set_item(name: str, value: str) -> None:
        monkeypatch.setenv('_'.join(name.upper().replace('-', '__').split('.')), value)
        datalad.cfg.reload(force=True)

    yield set_item
    monkeypatch.undo()
    datalad.cfg.reload(force=True)


@pytest.fixture
def three_visits(paths, visit_files) -> None:
    """Visits V01 to V03 in the store, of which V02 is damaged"""
    from datalad_icf.dicom import archive_visit
    from datalad_icf.store import Visit, VisitPaths

    for visit_id in ('V01', 'V02', 'V03'):
        archive_visit(VisitPaths(paths.store_dir, Visit('S1', visit_id)), visit_files)
    damaged = paths.store_dir / 'S1' / 'V02_dicom.tar'
    damaged.write_bytes(damaged.read_bytes()[:10000])
