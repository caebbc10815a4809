"""The dataset of a visit, made without git-annex and without DataLad

.. currentmodule:: datalad_icf.dataset
.. autosummary::

   deposit_dataset
   DatasetReport
   VisitDataset
   build_key
   build_locator
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datalad_icf.dataset.branches import VisitDataset
    from datalad_icf.dataset.export import DatasetReport, deposit_dataset
    from datalad_icf.dataset.keys import build_key, build_locator

__all__ = [
    'DatasetReport',
    'VisitDataset',
    'build_key',
    'build_locator',
    'deposit_dataset',
]

# loaded when they are asked for: the special remote, which git-annex starts for
# each `get`, needs few of them, and should start quickly
_MODULES = {
    'DatasetReport': 'export',
    'VisitDataset': 'branches',
    'build_key': 'keys',
    'build_locator': 'keys',
    'deposit_dataset': 'export',
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        msg = f'module {__name__!r} has no attribute {name!r}'
        raise AttributeError(msg)
    return getattr(import_module(f'{__name__}.{_MODULES[name]}'), name)
