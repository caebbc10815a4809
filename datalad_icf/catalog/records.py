"""Records of datalad-catalog, as plain data

Texts of DICOM files are only ever shown, and never become part of a link.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

from datalad_icf.catalog.summary import VisitSummary
from datalad_icf.catalog.text import clean_text, format_size
from datalad_icf.store import InstanceMetadata

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, 'https://dicomstandard.org/datalad-icf')
STUDY_VERSION = 'latest'
AGENT = 'datalad-icf'
# type of a value that the pages of datalad-catalog show as a link
_THING = 'https://schema.org/Thing'
_MAX_KEYWORDS = 20
_MAX_VALUES = 50


def study_uuid(study_id: str) -> str:
    """Id of a study in a catalog, always the same"""
    return str(uuid.uuid5(_NAMESPACE, study_id))


def visit_uuid(study_id: str, visit_id: str) -> str:
    """Id of a visit in a catalog, always the same"""
    return str(uuid.uuid5(_NAMESPACE, f'{study_id}/{visit_id}'))


def build_visit_record(
    summary: VisitSummary, *, facility: str, source_time: int, files_digest: str
) -> dict[str, Any]:
    """Build the record of a visit

    Parameters
    ----------
    summary
        The visit.
    facility
        Name of the facility, which is shown as the author.
    source_time
        Time of the metadata, in seconds since 1970.
    files_digest
        Digest of the files that are listed.

    Returns
    -------
    dict
        With an id that depends on study and visit, and a version that depends on
        the content.
    """
    visit = summary.paths.visit
    n_series = len(summary.series)
    size = format_size(summary.tarball.size)
    scanned = f', scanned on {summary.date}' if summary.date else ''
    top = [('Images', str(summary.images)), ('Series', str(n_series)), ('Size', size)]
    if summary.date:
        top.append(('Scanned', summary.date))
    record: dict[str, Any] = {
        'type': 'dataset',
        'dataset_id': visit_uuid(visit.study_id, visit.visit_id),
        'name': visit.visit_id,
        'short_name': visit.visit_id,
        'description': f'Visit {visit.visit_id} of study {visit.study_id}: '
        f'{summary.images} images in {n_series} series{scanned}.',
        # the filter of the study page stops working where there is none
        'authors': [{'name': facility}],
        'keywords': list(_iter_keywords(summary)),
        'top_display': [{'name': n, 'value': v} for n, v in top],
        'additional_display': [
            {
                'name': 'series',
                'icon': 'fas fa-layer-group',
                'content': _series(summary),
            },
            {'name': 'access', 'icon': 'fas fa-download', 'content': _access(summary)},
            {'name': 'DICOM', 'icon': 'fas fa-tags', 'content': _tags(summary)},
        ],
    }
    if summary.clone_url:
        record['url'] = summary.clone_url
    content = json.dumps([record, files_digest], sort_keys=True)
    digest = hashlib.md5(content.encode(), usedforsecurity=False)
    record['dataset_version'] = digest.hexdigest()
    # not part of the version: it changes when a store is copied
    record['metadata_sources'] = _sources(source_time)
    return record


def build_study_record(
    study_id: str, *, facility: str, visits: Iterable[dict[str, str]], source_time: int
) -> dict[str, Any]:
    """Build the record of a study

    Parameters
    ----------
    study_id
        Identifier of the study.
    facility
        Name of the facility.
    visits
        What `build_visit_link` gives for each visit.
    source_time
        Time of the newest metadata, in seconds since 1970.
    """
    overview = {
        '@type': _THING,
        'name': 'Table of all series',
        'url': 'overview.html',
        'description': 'to sort and to search, with downloads',
    }
    return {
        'type': 'dataset',
        'dataset_id': study_uuid(study_id),
        'dataset_version': STUDY_VERSION,
        'name': study_id,
        'short_name': study_id,
        'description': f'DICOM data of study {study_id}, by visit. A table of the '
        'series of all visits is at overview.html beside this page.',
        'authors': [{'name': facility}],
        'subdatasets': list(visits),
        'additional_display': [
            _tab('overview', 'table', {'@context': {'page': ''}, 'page': overview})
        ],
        'metadata_sources': _sources(source_time),
    }


def build_visit_link(visit_id: str, record: dict[str, Any]) -> dict[str, str]:
    """Build what a study record has of a visit"""
    return {
        'dataset_id': record['dataset_id'],
        'dataset_version': record['dataset_version'],
        'dataset_path': visit_id,
    }


def build_file_records(
    record: dict[str, Any], instances: Iterable[InstanceMetadata]
) -> Iterator[dict[str, Any]]:
    """Build the records of the files of a visit, from that of the visit"""
    for instance in instances:
        yield {
            'type': 'file',
            'dataset_id': record['dataset_id'],
            'dataset_version': record['dataset_version'],
            'path': _clean_path(instance.path),
            'contentbytesize': instance.size,
            'metadata_sources': record['metadata_sources'],
        }


def _tab(name: str, icon: str, content: dict[str, Any]) -> dict[str, Any]:
    return {'name': name, 'icon': f'fas fa-{icon}', 'content': content}


def _clean_path(path: str) -> str:
    return '/'.join(clean_text(part, 255) or '_' for part in path.split('/'))


def page_link(record: dict[str, Any]) -> str:
    """Address of the page of a record, relative to the catalog"""
    return f'index.html#/dataset/{record["dataset_id"]}/{record["dataset_version"]}'


def _iter_keywords(summary: VisitSummary) -> Iterator[str]:
    seen: set[str] = set()
    for series in summary.series:
        for text in (series.modality, series.protocol):
            if text and text not in seen and len(seen) < _MAX_KEYWORDS:
                seen.add(text)
                yield text


def _series(summary: VisitSummary) -> dict[str, str]:
    content: dict[str, str] = {}
    for series in summary.series:
        # not the text alone: the page has a meaning for some names
        number = '- ' if series.number is None else f'{series.number} '
        name = f'{number}{series.description or series.protocol or "(no description)"}'
        key, count = name, 1
        while key in content:
            count += 1
            key = f'{name} ({count})'
        parts = [
            f'{series.images} images' if series.images != 1 else '1 image',
            format_size(series.size),
            series.modality,
            f'protocol {series.protocol}' if series.protocol else '',
        ]
        content[key] = ', '.join(part for part in parts if part)
    return content or {'series': 'There are no DICOM files in this visit'}


def _tags(summary: VisitSummary) -> dict[str, list[str]]:
    return {
        keyword: [*values[:_MAX_VALUES], '…'] if len(values) > _MAX_VALUES else values
        for keyword, values in summary.tags.items()
    } or {'attributes': ['none']}


def _access(summary: VisitSummary) -> dict[str, Any]:
    # relative to the page of the catalog
    tarball, md5sum = (
        f'../{quote(path.name)}'
        for path in (summary.paths.tarball, summary.paths.md5sum)
    )
    content: dict[str, Any] = {'@context': {'clone': ''}}
    if summary.clone_command:
        content['clone'] = summary.clone_command
    if summary.viewer:
        content['viewer'] = {
            '@type': _THING,
            'name': 'Open in the viewer',
            'url': summary.viewer,
            'description': 'the images, in the browser',
        }
    content['tarball'] = {
        '@type': _THING,
        'name': summary.paths.tarball.name,
        'url': tarball,
        'description': f'{format_size(summary.tarball.size)}, all files as they are',
    }
    content['MD5'] = {
        '@type': _THING,
        'name': summary.paths.md5sum.name,
        'url': md5sum,
        'description': summary.tarball.md5,
    }
    return content


def _sources(source_time: int) -> dict[str, Any]:
    from datalad_icf import __version__

    source = {
        'source_name': 'datalad_icf',
        'source_version': __version__,
        'source_time': source_time,
        'agent_name': AGENT,
    }
    return {'key_source_map': {}, 'sources': [source]}
