"""The dataset of a visit, made without git-annex and without DataLad

.. currentmodule:: datalad_icf.dataset
.. autosummary::

   deposit_dataset
   DatasetReport
   VisitDataset
   Entry
   build_key
   build_locator
   dataset_path
   key_file_name
   log_path
   unpack_export
   neutralise_repository
   check_repository
   format_refs
   read_refs
   read_tree
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datalad_icf.dataset.branches import Entry, VisitDataset
    from datalad_icf.dataset.export import DatasetReport, deposit_dataset
    from datalad_icf.dataset.git import (
        ANNEX,
        check_repository,
        format_refs,
        neutralise_repository,
        read_refs,
        read_tree,
    )
    from datalad_icf.dataset.keys import (
        build_key,
        build_locator,
        dataset_path,
        key_file_name,
        log_path,
    )
    from datalad_icf.dataset.zip_file import unpack_export

__all__ = [
    'ANNEX',
    'DatasetReport',
    'Entry',
    'VisitDataset',
    'build_key',
    'build_locator',
    'check_repository',
    'dataset_path',
    'deposit_dataset',
    'format_refs',
    'key_file_name',
    'log_path',
    'neutralise_repository',
    'read_refs',
    'read_tree',
    'unpack_export',
]

# loaded when they are asked for: the special remote, which git-annex starts for
# each `get`, needs few of them, and should start quickly
_MODULES = {
    'ANNEX': 'git',
    'DatasetReport': 'export',
    'Entry': 'branches',
    'VisitDataset': 'branches',
    'build_key': 'keys',
    'build_locator': 'keys',
    'check_repository': 'git',
    'dataset_path': 'keys',
    'deposit_dataset': 'export',
    'format_refs': 'git',
    'key_file_name': 'keys',
    'log_path': 'keys',
    'neutralise_repository': 'git',
    'read_refs': 'git',
    'read_tree': 'git',
    'unpack_export': 'zip_file',
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        msg = f'module {__name__!r} has no attribute {name!r}'
        raise AttributeError(msg)
    return getattr(import_module(f'{__name__}.{_MODULES[name]}'), name)
