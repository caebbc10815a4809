"""What is inside DICOM files, and inside the tarball of a visit

.. currentmodule:: datalad_icf.dicom
.. autosummary::

   archive_visit
   ArchiveReport
   deposit_metadata
   deposit_visit
   TarballDescription
   MetadataReport
   Attribute
   find_attribute
   attribute_values
   wanted_tags
   read_elements
   study_timestamp
   RawElement
   HeaderError
   NotDicomError
   list_files
   scan_sources
   VisitSources
   write_tarball
   TarballSummary
   TarballReader
   TarballLister
   open_part
   build_member_header
   Member
"""

from __future__ import annotations

from datalad_icf.dicom.archive import ArchiveReport, archive_visit
from datalad_icf.dicom.deposit import deposit_visit
from datalad_icf.dicom.describe import (
    MetadataReport,
    TarballDescription,
    deposit_metadata,
)
from datalad_icf.dicom.elements import RawElement
from datalad_icf.dicom.header import (
    DEFAULT_ATTRIBUTES,
    Attribute,
    HeaderError,
    NotDicomError,
    attribute_values,
    find_attribute,
    read_elements,
    study_timestamp,
    wanted_tags,
)
from datalad_icf.dicom.members import (
    Member,
    TarballLister,
    TarballReader,
    open_part,
)
from datalad_icf.dicom.sources import VisitSources, list_files, scan_sources
from datalad_icf.dicom.tar_format import build_member_header
from datalad_icf.dicom.tarball import TarballSummary, write_tarball

__all__ = [
    'DEFAULT_ATTRIBUTES',
    'ArchiveReport',
    'Attribute',
    'HeaderError',
    'Member',
    'MetadataReport',
    'NotDicomError',
    'RawElement',
    'TarballDescription',
    'TarballLister',
    'TarballReader',
    'TarballSummary',
    'VisitSources',
    'archive_visit',
    'attribute_values',
    'build_member_header',
    'deposit_metadata',
    'deposit_visit',
    'find_attribute',
    'list_files',
    'open_part',
    'read_elements',
    'scan_sources',
    'study_timestamp',
    'wanted_tags',
    'write_tarball',
]
