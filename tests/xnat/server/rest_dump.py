"""services/dicomdump: attributes of a scan (DICOM Dump Service API; DicomDump)"""

from __future__ import annotations

import re
from html import escape

from pydicom.datadict import dictionary_description, dictionary_VR, tag_for_keyword

from tests.xnat.server import rest_prearchive, rest_scans
from tests.xnat.server.importer import KEYWORDS
from tests.xnat.server.state import Instance
from tests.xnat.server.tables import Answer, RefusedError, result_set
from tests.xnat.server.web import Request, route

IN_ARCHIVE = re.compile(
    r'/archive/projects/(?P<project>[^/]+)(?:/subjects/(?P<subject>[^/]+))?'
    r'/experiments/(?P<experiment>[^/]+)/scans/(?P<scan>[^/]+)'
)
IN_PREARCHIVE = re.compile(
    r'/prearchive/projects/(?P<project>[^/]+)/(?P<timestamp>[^/]+)/(?P<name>[^/]+)'
    r'/scans/(?P<scan>[^/]+)'
)


@route('GET', '/data/services/dicomdump')
def dump(request: Request) -> Answer:
    """Of one image of the scan; only the fields that are asked for, if any are

    ``field`` is the keyword of an attribute, as often as there are fields. What the
    image does not have has no row. ``tag2`` is for elements of sequences, of which
    this server keeps none.
    """
    source = request.query.get('src', '')
    archived = IN_ARCHIVE.fullmatch(source)
    waiting = IN_PREARCHIVE.fullmatch(source)
    if archived:
        request.parts = archived.groupdict()
        scan, _ = rest_scans.find_scan(request)
    elif waiting:
        request.parts = waiting.groupdict()
        scan = rest_prearchive.find_scan(request)
    else:
        raise RefusedError(400, f'Invalid src parameter {source}')
    fields = request.values('field') or list(KEYWORDS)
    if not set(fields) <= set(KEYWORDS):
        raise RefusedError(400, 'This server does not keep all of these fields')
    image = next(iter(scan.instances.values()))
    return result_set(row(image, field) for field in fields if image.texts[field])


def row(image: Instance, keyword: str) -> dict[str, str]:
    """A row of the table; values are escaped for HTML (DicomHeaderDump)"""
    tag = tag_for_keyword(keyword)
    assert tag is not None
    return {
        'tag1': f'({tag >> 16:04X},{tag & 0xFFFF:04X})',
        'tag2': '',
        'vr': dictionary_VR(tag),
        'value': escape(image.texts[keyword]),
        'desc': escape(dictionary_description(tag)),
    }
