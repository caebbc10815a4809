"""The catalog of a study, and a page on which people find scans

.. currentmodule:: datalad_icf.catalog
.. autosummary::

   update_catalog
   CatalogUpdate
   CatalogSettings
   CatalogReport
   read_entries
   find_lost_pages
   CatalogEntry
   summarise_visit
   VisitSummary
   SeriesSummary
"""

from __future__ import annotations

from datalad_icf.catalog.entries import CatalogEntry, find_lost_pages, read_entries
from datalad_icf.catalog.settings import (
    DEFAULT_MAX_FILES,
    CatalogReport,
    CatalogSettings,
)
from datalad_icf.catalog.summary import SeriesSummary, VisitSummary, summarise_visit
from datalad_icf.catalog.update import CatalogUpdate, update_catalog

__all__ = [
    'DEFAULT_MAX_FILES',
    'CatalogEntry',
    'CatalogReport',
    'CatalogSettings',
    'CatalogUpdate',
    'SeriesSummary',
    'VisitSummary',
    'find_lost_pages',
    'read_entries',
    'summarise_visit',
    'update_catalog',
]
