"""What answers look like: tables and items in JSON, catalogues, pages of errors"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from html import escape
from typing import NamedTuple
from xml.sax.saxutils import quoteattr

from tests.xnat.server.state import (
    Experiment,
    Instance,
    PrearchiveRow,
    Project,
    Scan,
    Subject,
    label_in,
)

CREATED = 'Mon Jan 01 08:00:00 UTC 2024'


class Answer(NamedTuple):
    status: int
    content: bytes = b''
    content_type: str = 'text/plain'
    headers: tuple[tuple[str, str], ...] = ()


class RefusedError(Exception):
    """An answer that is an error; the message goes into the page"""

    def __init__(self, status: int, message: str = '') -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def text(value: str, status: int = 200) -> Answer:
    return Answer(status, value.encode(), 'text/plain;charset=UTF-8')


def uri_list(uris: Iterable[str], status: int = 200) -> Answer:
    """Answer of imports and of archiving: each URI with CRLF after it"""
    body = ''.join(f'{uri}\r\n' for uri in uris)
    return Answer(status, body.encode(), 'text/uri-list')


def as_json(value: object) -> Answer:
    return Answer(200, json.dumps(value).encode(), 'application/json;charset=UTF-8')


def page(status: int, message: str) -> Answer:
    """XNAT's errors are pages of HTML; the message is in the <h3>"""
    body = (
        '<html>\n<head>\n   <title>Status page</title>\n</head>\n<body>\n'
        f'<h3>{escape(message)}</h3><p>You can get technical details '
        '<a href="http://www.w3.org/Protocols/rfc2616/rfc2616-sec10.html">here</a>.'
        '<br>\nPlease continue your visit at our <a href="/">home page</a>.\n</p>\n'
        '</body>\n</html>\n'
    )
    return Answer(status, body.encode(), 'text/html;charset=UTF-8')


def result_set(rows: Iterable[Mapping[str, str]], columns: str = '') -> Answer:
    """A listing: all values are strings; ``columns`` adds and selects"""
    found = [dict(row) for row in rows]
    if columns:
        # URI is there, asked for or not
        names = [*columns.split(','), 'URI']
        found = [{k: row.get(k, '') for k in names} for row in found]
    total = str(len(found))
    return as_json({'ResultSet': {'Result': found, 'totalRecords': total}})


def items(
    xsi_type: str, fields: Mapping[str, str], children: Mapping[str, list] | None = None
) -> Answer:
    """One thing: its fields, and lists of what is in it"""
    return as_json({'items': [_item(xsi_type, fields, children or {})]})


def _item(xsi_type: str, fields: Mapping[str, str], children: Mapping) -> dict:
    return {
        'children': [{'field': k, 'items': v} for k, v in children.items() if v],
        'meta': {
            'isHistory': False,
            'xsi:type': xsi_type,
            'start_date': CREATED,
        },
        'data_fields': {k: v for k, v in fields.items() if v != ''},
    }


def project_row(project: Project) -> dict[str, str]:
    return {
        'ID': project.id,
        'secondary_ID': project.id,
        'name': project.name,
        'description': '',
        'pi_firstname': '',
        'pi_lastname': '',
        'URI': f'/data/projects/{project.id}',
    }


def subject_row(subject: Subject, project: str | None) -> dict[str, str]:
    values = subject.demographics
    return {
        'ID': subject.id,
        'project': subject.project,
        'label': label_in(subject, project),
        'insert_date': '2024-01-01 08:00:00.0',
        'insert_user': 'admin',
        'URI': f'/data/subjects/{subject.id}',
        'xsiType': 'xnat:subjectData',
        **{k: values.get(k, '') for k in ('gender', 'dob', 'yob', 'age')},
    }


def subject_items(subject: Subject, project: str | None) -> Answer:
    fields = {'ID': subject.id, 'project': subject.project, 'label': subject.label}
    demographics = _item('xnat:demographicData', subject.demographics, {})
    return items(
        'xnat:subjectData',
        fields,
        {
            'demographics': [demographics] if subject.demographics else [],
            'fields/field': [
                _item('xnat:subjectData_field', {'name': k, 'field': v}, {})
                for k, v in subject.fields.items()
            ],
            'sharing/share': _shares(subject.shared, 'xnat:projectParticipant'),
        },
    )


def experiment_row(experiment: Experiment, project: str | None) -> dict[str, str]:
    return {
        'ID': experiment.id,
        'project': experiment.project,
        'label': label_in(experiment, project),
        'date': experiment.date,
        'time': experiment.time,
        'xsiType': experiment.xsi_type,
        'insert_date': '2024-01-01 08:00:00.0',
        'subject_ID': experiment.subject_id,
        'UID': experiment.study_uid,
        'URI': f'/data/experiments/{experiment.id}',
    }


def experiment_items(experiment: Experiment) -> Answer:
    fields = {
        'ID': experiment.id,
        'project': experiment.project,
        'label': experiment.label,
        'subject_ID': experiment.subject_id,
        'UID': experiment.study_uid,
        'date': experiment.date,
        'time': experiment.time,
    }
    scans = [
        _item(scan.xsi_type, {'ID': scan.id, 'UID': scan.series_uid}, {})
        for scan in experiment.scans.values()
    ]
    shares = _shares(experiment.shared, 'xnat:experimentData_share')
    return items(
        experiment.xsi_type, fields, {'scans/scan': scans, 'sharing/share': shares}
    )


def _shares(shared: Mapping[str, str], xsi_type: str) -> list[dict]:
    return [
        _item(xsi_type, {'project': project, 'label': label}, {})
        for project, label in shared.items()
    ]


def scan_row(scan: Scan, base: str) -> dict[str, str]:
    return {
        'ID': scan.id,
        'type': scan.description,
        'quality': 'usable',
        'xsiType': scan.xsi_type,
        'note': '',
        'series_description': scan.description,
        'UID': scan.series_uid,
        'modality': scan.modality,
        'frames': str(len(scan.instances)),
        'URI': f'{base}/scans/{scan.id}',
    }


def resource_row(scan: Scan, resource: str, number: str) -> dict[str, str]:
    files = scan.files(resource)
    return {
        'xnat_abstractresource_id': number,
        'label': resource,
        'element_name': 'xnat:resourceCatalog',
        'category': 'scans',
        'cat_id': scan.id,
        'cat_desc': scan.description,
        'format': 'DICOM',
        'content': 'RAW',
        'file_count': str(len(files)),
        'file_size': str(sum(one.size for one in files)),
    }


def file_row(instance: Instance, base: str) -> dict[str, str]:
    """A file: with its digest, without its UID"""
    return {
        'Name': instance.name,
        'Size': str(instance.size),
        'URI': f'{base}/files/{instance.name}',
        'collection': instance.resource,
        'file_tags': '',
        'file_format': 'DICOM',
        'file_content': 'RAW',
        'cat_ID': '1',
        'digest': instance.digest,
    }


def catalogue(scan: Scan, resource: str) -> Answer:
    """Of a resource: the one place with UIDs of instances (CatalogUtils)"""
    entries = '\n'.join(
        f'<cat:entry xsi:type="cat:dcmEntry" URI={quoteattr(one.name)} '
        f'ID={quoteattr(one.name)} UID={quoteattr(one.sop_uid)} '
        f'digest="{one.digest}" instanceNumber={quoteattr(one.number)} '
        'format="DICOM" content="RAW"/>'
        for one in scan.files(resource)
    )
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<cat:DCMCatalog xmlns:cat="http://nrg.wustl.edu/catalog" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        f'UID={quoteattr(scan.series_uid)}>\n<cat:entries>\n{entries}\n'
        '</cat:entries>\n</cat:DCMCatalog>\n'
    )
    return Answer(200, body.encode(), 'text/xml;charset=UTF-8')


def prearchive_row(row: PrearchiveRow) -> dict[str, str]:
    """As in the table of the prearchive (PrearcUtils); the url has no /data"""
    return {
        'project': row.project,
        'timestamp': row.timestamp,
        'folderName': row.name,
        'name': row.name,
        'subject': row.subject,
        'tag': row.study_uid,
        'status': row.status,
        'lastmod': '2024-01-01 08:00:00.0',
        'uploaded': '2024-01-01 08:00:00.0',
        'scan_date': '',
        'scan_time': '',
        'autoarchive': 'AutoArchive' if row.auto_archive else 'Manual',
        'prevent_anon': str(row.prevent_anon).lower(),
        'prevent_auto_commit': str(row.prevent_auto_commit).lower(),
        'url': row.uri,
    }
