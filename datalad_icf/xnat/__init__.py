"""The visit in XNAT

.. currentmodule:: datalad_icf.xnat
.. autosummary::

   XnatClient
   Source
   TarballSource
   DirectorySource
   ZipSource
   find_sources
   Exclusions
   read_exclusions
   Naming
   Plan
   build_plan
   LocalSession
   PushOptions
   PushReport
   push_session
   Target
   check_project
   check_template
   iter_projects
   iter_project
   iter_prearchive
   Listed
   find_waiting
   archive_waiting
   ArchivedReport
   find_subjects
   read_demographics
   put_demographics
   Demographics
   plan_shares
   Share
   share_subject
   ShareReport
"""

from __future__ import annotations

from datalad_icf.xnat.client import XnatClient
from datalad_icf.xnat.demographics import Demographics, put_demographics
from datalad_icf.xnat.directory_source import DirectorySource, find_sources
from datalad_icf.xnat.labels import check_template
from datalad_icf.xnat.listing import (
    Listed,
    iter_prearchive,
    iter_project,
    iter_projects,
)
from datalad_icf.xnat.plan import (
    Exclusions,
    LocalSession,
    Naming,
    Plan,
    build_plan,
    read_exclusions,
)
from datalad_icf.xnat.push import PushOptions, PushReport, push_session
from datalad_icf.xnat.remote import Target, check_project
from datalad_icf.xnat.share_table import Share, plan_shares
from datalad_icf.xnat.sharing import ShareReport, share_subject
from datalad_icf.xnat.source import Source
from datalad_icf.xnat.subjects import find_subjects, read_demographics
from datalad_icf.xnat.tarball_source import TarballSource
from datalad_icf.xnat.waiting import (
    LABEL_FIELDS,
    ArchivedReport,
    archive_waiting,
    find_waiting,
)
from datalad_icf.xnat.zip_source import ZipSource

__all__ = [
    'LABEL_FIELDS',
    'ArchivedReport',
    'Demographics',
    'DirectorySource',
    'Exclusions',
    'Listed',
    'LocalSession',
    'Naming',
    'Plan',
    'PushOptions',
    'PushReport',
    'Share',
    'ShareReport',
    'Source',
    'TarballSource',
    'Target',
    'XnatClient',
    'ZipSource',
    'archive_waiting',
    'build_plan',
    'check_project',
    'check_template',
    'find_sources',
    'find_subjects',
    'find_waiting',
    'iter_prearchive',
    'iter_project',
    'iter_projects',
    'plan_shares',
    'push_session',
    'put_demographics',
    'read_demographics',
    'read_exclusions',
    'share_subject',
]
