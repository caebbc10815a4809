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
