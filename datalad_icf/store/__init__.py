"""Where the files of a visit are, and how they get there

.. currentmodule:: datalad_icf.store
.. autosummary::

   Visit
   VisitPaths
   find_visits
   VisitImages
   SeriesImages
   InstanceMetadata
   TarballMetadata
   read_instances
   read_tarball_metadata
   Draft
   draft_file
   clear_draft
   is_draft_in_use
   locked
   format_md5sum
   read_md5sum
   open_regular
   read_regular
   build_tarball_url
   build_clone_url
   check_store_url
   find_store_dir
"""

from __future__ import annotations

from datalad_icf.store.deposit import (
    Draft,
    clear_draft,
    draft_file,
    format_md5sum,
    is_draft_in_use,
    locked,
    read_md5sum,
)
from datalad_icf.store.images import SeriesImages, VisitImages
from datalad_icf.store.layout import (
    PATTERN_CHARACTERS,
    VIEWER_DIR,
    VIEWER_MARK,
    Visit,
    VisitPaths,
    find_visits,
)
from datalad_icf.store.metadata import (
    InstanceMetadata,
    TarballMetadata,
    read_instances,
    read_tarball_metadata,
)
from datalad_icf.store.read import open_regular, read_regular
from datalad_icf.store.url import (
    DEFAULT_STORE_URL,
    build_clone_url,
    build_tarball_url,
    check_store_url,
    find_store_dir,
)

__all__ = [
    'DEFAULT_STORE_URL',
    'PATTERN_CHARACTERS',
    'VIEWER_DIR',
    'VIEWER_MARK',
    'Draft',
    'InstanceMetadata',
    'SeriesImages',
    'TarballMetadata',
    'Visit',
    'VisitImages',
    'VisitPaths',
    'build_clone_url',
    'build_tarball_url',
    'check_store_url',
    'clear_draft',
    'draft_file',
    'find_store_dir',
    'find_visits',
    'format_md5sum',
    'is_draft_in_use',
    'locked',
    'open_regular',
    'read_instances',
    'read_md5sum',
    'read_regular',
    'read_tarball_metadata',
]
