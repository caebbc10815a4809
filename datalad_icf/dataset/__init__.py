"""The dataset of a visit, made without git-annex and without DataLad

.. currentmodule:: datalad_icf.dataset
.. autosummary::

   deposit_dataset
   DatasetReport
   VisitDataset
   build_key
   build_locator
   build_tarball_url
   build_clone_url
   check_store_url
"""

from __future__ import annotations

from datalad_icf.dataset.branches import VisitDataset
from datalad_icf.dataset.export import (
    DEFAULT_STORE_URL,
    DatasetReport,
    deposit_dataset,
)
from datalad_icf.dataset.keys import (
    build_clone_url,
    build_key,
    build_locator,
    build_tarball_url,
    check_store_url,
)

__all__ = [
    'DEFAULT_STORE_URL',
    'DatasetReport',
    'VisitDataset',
    'build_clone_url',
    'build_key',
    'build_locator',
    'build_tarball_url',
    'check_store_url',
    'deposit_dataset',
]
