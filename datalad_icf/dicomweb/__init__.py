"""The visit as static DICOMweb

.. currentmodule:: datalad_icf.dicomweb
.. autosummary::

   convert_visit
   drop_visit
   TreeOptions
   TreeReport
   TreeState
   find_missing
   find_foreign
   Converter
   Converted
   Sink
   strip_private
   put
   FileSink
   Origin
   Instance
   ByteSource
   BytesSource
   FileSource
   rebuild_p10
   expand
   make_thumbnail
   PictureWorker
   can_make_pictures
   install_viewer
   viewer_link
   find_images
"""

from __future__ import annotations

from datalad_icf.dicomweb.completeness import find_missing
from datalad_icf.dicomweb.contents import find_foreign
from datalad_icf.dicomweb.convert import Converted, Converter, Sink, put
from datalad_icf.dicomweb.deduplicate import expand
from datalad_icf.dicomweb.files import FileSink
from datalad_icf.dicomweb.info import Origin
from datalad_icf.dicomweb.links import find_images
from datalad_icf.dicomweb.model import Instance
from datalad_icf.dicomweb.picture_worker import PictureWorker
from datalad_icf.dicomweb.pictures import can_make_pictures, make_thumbnail
from datalad_icf.dicomweb.rebuild import rebuild_p10
from datalad_icf.dicomweb.source import ByteSource, BytesSource, FileSource
from datalad_icf.dicomweb.state import TreeState
from datalad_icf.dicomweb.transform import strip_private
from datalad_icf.dicomweb.viewer import install_viewer, viewer_link
from datalad_icf.dicomweb.visit import (
    TreeOptions,
    TreeReport,
    convert_visit,
    drop_visit,
)

__all__ = [
    'ByteSource',
    'BytesSource',
    'Converted',
    'Converter',
    'FileSink',
    'FileSource',
    'Instance',
    'Origin',
    'PictureWorker',
    'Sink',
    'TreeOptions',
    'TreeReport',
    'TreeState',
    'can_make_pictures',
    'convert_visit',
    'drop_visit',
    'expand',
    'find_foreign',
    'find_images',
    'find_missing',
    'install_viewer',
    'make_thumbnail',
    'put',
    'rebuild_p10',
    'strip_private',
    'viewer_link',
]
