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
   read_refs
   read_tree
"""

from __future__ import annotations

from datalad_icf.dataset.branches import Entry, VisitDataset
from datalad_icf.dataset.export import DatasetReport, deposit_dataset
from datalad_icf.dataset.git import (
    ANNEX,
    check_repository,
    neutralise_repository,
    read_refs,
    read_tree,
    unpack_export,
)
from datalad_icf.dataset.keys import (
    build_key,
    build_locator,
    dataset_path,
    key_file_name,
    log_path,
)

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
    'key_file_name',
    'log_path',
    'neutralise_repository',
    'read_refs',
    'read_tree',
    'unpack_export',
]
