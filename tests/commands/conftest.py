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


@pytest.fixture
def credential(fake, credman) -> str:
    """Lets DataLad know user and password of the server of the tests, by this name"""
    credman.set(
        'xnat',
        type='user_password',
        user=fake.user,
        secret=fake.password,
        realm=fake.url,
    )
    return 'xnat'


@pytest.fixture
def xnat(fake, credential) -> Callable[..., list[dict[str, Any]]]:
    """Calls a command for the server of the tests; ``xnat('list')`` is icf_xnat_list"""

    def call(command: str, **kwargs: Any) -> list[dict[str, Any]]:
        defaults = {
            'url': fake.url,
            'result_renderer': 'disabled',
            'on_failure': 'ignore',
            'return_type': 'list',
        }
        function = getattr(datalad.api, f'icf_xnat_{command}')
        return function(**{**defaults, **kwargs})

    return call


@pytest.fixture
def push(xnat, tmp_path) -> Callable[..., list[dict[str, Any]]]:
    """Calls icf_xnat_push for visit V01 of study S1, into project P1"""

    def call(visit: str = 'V01', **kwargs: Any) -> list[dict[str, Any]]:
        defaults: dict[str, Any] = {'project': 'P1'}
        if 'source' not in kwargs:
            defaults.update(id=('S1', visit), store_dir=tmp_path / 'store')
        return xnat('push', **{**defaults, **kwargs})

    return call


@pytest.fixture
def xnat_env(fake, datalad_cfg) -> dict[str, str]:
    """Environment of processes: address of the server, user and password"""
    return {
        'DATALAD_ICF_XNAT__URL': fake.url,
        'DATALAD_CREDENTIAL_XNAT_TYPE': 'user_password',
        'DATALAD_CREDENTIAL_XNAT_USER': fake.user,
        'DATALAD_CREDENTIAL_XNAT_SECRET': fake.password,
        'DATALAD_CREDENTIAL_XNAT_REALM': fake.url,
    }
