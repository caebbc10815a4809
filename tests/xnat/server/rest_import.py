"""services/import: uploads (class Importer)"""

from __future__ import annotations

import re

from tests.xnat.server.archiver import ConflictError, archive, import_overwrite
from tests.xnat.server.body import FormFile
from tests.xnat.server.importer import (
    NotDicomError,
    Target,
    build,
    import_archive,
    import_session,
)
from tests.xnat.server.members import (
    CONTENT_TYPES,
    Stream,
    archive_format,
    iter_members,
)
from tests.xnat.server.state import PrearchiveRow, label_in
from tests.xnat.server.tables import Answer, RefusedError, text, uri_list
from tests.xnat.server.web import Request, route

# two names for the same: the first of the documentation, the second of the code
SYNONYMS = (
    ('project', 'PROJECT_ID'),
    ('subject', 'SUBJECT_ID'),
    ('session', 'EXPT_LABEL'),
)


@route('POST', '/data/services/import')
def import_upload(request: Request) -> Answer:
    query = dict(request.query)
    upload, kind = open_upload(request, query)
    target, to = read_target(request, query)
    handler = query.get('import-handler', '')
    if not handler:
        # Importer.handlePost, and the preference of the site for the rest
        handler = 'gradual-DICOM' if kind == 'dicom' else 'DICOM-zip'
    if handler == 'SI':
        return import_si(request, iter_members(upload, kind), target, to, query)
    if handler not in ('DICOM-zip', 'gradual-DICOM'):
        raise RefusedError(404, f'Unknown importer {handler}')
    if (handler == 'gradual-DICOM') != (kind == 'dicom'):
        raise RefusedError(400, f'Unsupported format {kind}')
    try:
        rows = import_archive(request.state, iter_members(upload, kind), target)
    except NotDicomError as e:
        raise RefusedError(400, str(e)) from e
    if handler == 'gradual-DICOM' or (not to and query.get('action') != 'commit'):
        # nothing is committed: the rows go on RECEIVING
        return uri_list(receiving_uri(request, row) for row in rows)
    direct = [row for row in rows if row in request.state.direct]
    rows = [row for row in rows if row not in direct]
    uris = [receiving_uri(request, row) for row in direct]
    return uri_list(uris + commit(request, rows, to, query))


def receiving_uri(request: Request, row: PrearchiveRow) -> str:
    if row in request.state.direct:
        return f'/xapi/direct-archive/{row.project}/{row.study_uid}/{row.name}'
    return f'/data{row.uri}'


def commit(
    request: Request, rows: list[PrearchiveRow], to: str, query: dict[str, str]
) -> list[str]:
    """Build the rows, and archive them if that is where they should go

    One after the other: an error leaves those before it in the archive
    (DicomZipImporter.xmlBuild).
    """
    uris = []
    for row in rows:
        build(row)
        if to == 'archive' or query.get('AA') == 'true':
            uris.append(archive_imported(request, row, query, 400))
        else:
            uris.append(f'/data{row.uri}')
    return uris


def archive_imported(
    request: Request, row: PrearchiveRow, query: dict[str, str], status: int
) -> str:
    replace_files = query.get('overwrite_files', '').lower() == 'true'
    overwrite = import_overwrite(query.get('overwrite'), replace_files)
    try:
        made = archive(request.state, row, overwrite, request.server.faults)
    except ConflictError as e:
        if status == 400:
            # DicomZipImporter hides the reason, SI (409) tells it
            raise RefusedError(
                400, 'unable to archive for the Prearchive session'
            ) from e
        raise RefusedError(status, str(e)) from e
    subject = request.state.subjects[made.subject_id]
    return (
        f'/data/archive/projects/{made.project}/subjects/'
        f'{label_in(subject, made.project)}/experiments/{made.label}'
    )


def import_si(
    request: Request, members: object, target: Target, to: str, query: dict[str, str]
) -> Answer:
    state = request.state
    project = state.find_project(target.project) if target.project else None
    if target.project and project is None:
        raise RefusedError(400, f'Unable to identify project {target.project}')
    if project and not state.can_create(request.user, project.id):
        raise RefusedError(403, f'Insufficient privileges for project {project.id}')
    rows = import_session(state, members, target)  # type: ignore[arg-type]
    if not rows:
        raise RefusedError(400, 'Upload contained no DICOM files')
    for row in rows:
        build(row)
    if to != 'archive':
        return uri_list(f'/data{row.uri}' for row in rows)
    if len(rows) > 1:
        raise RefusedError(400, 'Upload included files for multiple imaging sessions')
    return uri_list([archive_imported(request, rows[0], query, 409)])


def open_upload(request: Request, query: dict[str, str]) -> tuple[Stream, str]:
    """The upload and its format (SecureResource.getFileWritersAndLoadParams)

    A body in chunks is taken as application/zip only, as a "streaming compressed
    upload"; all else needs Content-Length. In a form, the file name decides.
    """
    content_type = request.headers.get('Content-Type', '')
    kind = content_type.split(';')[0].strip().lower()
    body = request.body
    if kind == 'multipart/form-data':
        form = FormFile(body, content_type)
        query.update(form.fields)
        if not form.name:
            raise RefusedError(400, 'Unable to identify upload format.')
        return form, archive_format(form.name) or 'dicom'
    if kind not in CONTENT_TYPES or (body.chunked and kind != 'application/zip'):
        raise RefusedError(400, 'Unable to identify upload format.')
    return body, CONTENT_TYPES[kind]


def read_target(request: Request, query: dict[str, str]) -> tuple[Target, str]:
    """Parameters; those in dest win (DicomZipImporter.determiningDestination)"""
    found = {one: query.get(one) or query.get(other, '') for one, other in SYNONYMS}
    dest = query.get('dest', '').removeprefix('/data')
    to, timestamp = '', ''
    if dest:
        words = re.fullmatch(
            r'/(archive|prearchive)(?:/projects/([^/]+))?(?:/subjects/([^/]+))?'
            r'(?:/(?:experiments|(\d{8}_\d+))/([^/]+))?/?',
            dest,
        )
        if words is None:
            raise RefusedError(400, 'Parameter dest format error')
        to, project, subject, timestamp, session = (w or '' for w in words.groups())
        for key, value in zip(
            ('project', 'subject', 'session'), (project, subject, session)
        ):
            found[key] = value or found[key]
    flags = {
        'prevent_auto_commit': 'prevent_auto_commit',
        'prevent_anon': 'prevent_anon',
        'ignore_unparsable': 'Ignore-Unparsable',
        'direct_archive': 'Direct-Archive',
    }
    true = {k: query.get(v, '').lower() == 'true' for k, v in flags.items()}
    return Target(request.user, **found, timestamp=timestamp, **true), to


@route('GET POST', '/xapi/direct-archive/{project}/{uid}/{label}')
def finish_direct(request: Request) -> Answer:
    """Archive now what else is archived when it was idle (1.8.4)"""
    key = tuple(request.parts[one] for one in ('project', 'uid', 'label'))
    for row in list(request.state.direct):
        if (row.project, row.study_uid, row.name) == key:
            if request.method == 'POST':
                archive_imported(request, row, {}, 409)
            return text('')
    raise RefusedError(404, 'Not found')
