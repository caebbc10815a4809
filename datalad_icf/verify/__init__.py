"""Whether a store is whole

.. currentmodule:: datalad_icf.verify
.. autosummary::

   find_deposits
   verify_visit
   verify_study
   StudyViews
   VerifyReport
   Finding
"""

from __future__ import annotations

from datalad_icf.verify.findings import CODES, NO_DAMAGE, Finding
from datalad_icf.verify.views import StudyViews
from datalad_icf.verify.visit import (
    VerifyReport,
    find_deposits,
    verify_study,
    verify_visit,
)

__all__ = [
    'CODES',
    'NO_DAMAGE',
    'Finding',
    'StudyViews',
    'VerifyReport',
    'find_deposits',
    'verify_study',
    'verify_visit',
]
