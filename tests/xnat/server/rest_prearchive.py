"""The prearchive: its rows, what can be done with them, and archiving"""

from __future__ import annotations

import threading
from urllib.parse import urlsplit

from tests.xnat.server.archiver import (
    ConflictError,
    Overwrite,
    archive,
    archive_overwrite,
    import_overwrite,
)
from tests.xnat.server.importer import build
from tests.xnat.server.state import (
    UNASSIGNED,
    Experiment,
    PrearchiveRow,
    Scan,
    label_in,
)
from tests.xnat.server.tables import (
    Answer,
    RefusedError,
    catalogue,
    file_row,
    prearchive_row,
    resource_row,
    result_set,
    scan_row,
    text,
    uri_list,
)
from tests.xnat.server.web import Request, route

ROW = '/data/prearchive/projects/{project}/{timestamp}/{name}'
BUSY = ('ARCHIVING', 'BUILDING', 'QUEUED_DELETING', 'QUEUED_MOVING', 'QUEUED_BUILDING')


def find_row(request: Request, uri: str = '') -> PrearchiveRow:
    """The row of the path, or of ``src``; 403 for a project of others"""
    if uri:
        words = urlsplit(uri).path.removeprefix('/data').strip('/').split('/')
        if len(words) != 5 or words[:2] != ['prearchive', 'projects']:
            raise RefusedError(400, f'Invalid src parameter {uri}')
        key = tuple(words[2:])
    else:
        key = tuple(request.parts[one] for one in ('project', 'timestamp', 'name'))
    row = request.state.find_row(*key)
    if row is None:
        raise RefusedError(404, 'Unable to find the specified session.')
    if not request.state.can_create(request.user, row.project):
        raise RefusedError(403, 'Insufficient privileges for the specified session.')
    return row


@route('GET', '/data/prearchive(?:/projects)?')
def list_rows(request: Request) -> Answer:
    return result_set(
        prearchive_row(one) for one in request.state.visible_rows(request.user)
    )


@route('GET', '/data/prearchive/projects/{project}')
def list_project_rows(request: Request) -> Answer:
    names = request.parts['project'].split(',')
    for name in names:
        if name != UNASSIGNED and not request.state.role(request.user, name):
            raise RefusedError(404, f'Unable to identify project {name}')
    rows = request.state.visible_rows(request.user)
    return result_set(prearchive_row(one) for one in rows if one.project in names)


@route('GET', ROW)
def get_row(request: Request) -> Answer:
    return result_set([prearchive_row(find_row(request))])


@route('DELETE', ROW)
def delete_row(request: Request) -> Answer:
    row = find_row(request)
    with request.state.lock:
        request.state.rows.remove(row)
    return text('')


@route('POST', ROW)
def act_on_row(request: Request) -> Answer:
    """``?action=commit``: build, and archive with AA=true (PrearcSessionResource)

    The URI is the body, also of the 301, which has no Location.
    """
    row = find_row(request)
    action = request.query.get('action')
    if action in ('build', 'commit'):
        refuse_if_busy(row)
        build(row)
        if action == 'build' or not request.flag('AA'):
            return text(f'/data{row.uri}')
        replace_files = request.flag('overwrite_files')
        overwrite = import_overwrite(request.query.get('overwrite'), replace_files)
        uri = run_archive(request, row, overwrite, {})
        return uri_list([uri], 301)
    if action == 'move':
        move(request, row, request.query.get('newProject', ''))
        return text('')
    raise RefusedError(400, 'Unsupported action on prearchive session')


@route('GET', ROW + '/logs')
def list_logs(request: Request) -> Answer:
    row = find_row(request)
    return result_set({'id': str(i)} for i, _ in enumerate(row.log))


@route('GET', ROW + '/logs/last')
def last_log(request: Request) -> Answer:
    """The only place that tells why a session is in CONFLICT or ERROR"""
    row = find_row(request)
    return text(row.log[-1] if row.log else '')


def built_scans(request: Request) -> dict[str, Scan]:
    """There are no scans before the first build, so none while RECEIVING"""
    row = find_row(request)
    if not row.built:
        raise RefusedError(404, 'Unable to load the session of this row.')
    return row.scans


def find_scan(request: Request) -> Scan:
    scan = built_scans(request).get(request.parts['scan'])
    if scan is None:
        raise RefusedError(404, 'Unable to find the specified scan.')
    return scan


@route('GET', ROW + '/scans')
def list_scans(request: Request) -> Answer:
    row = find_row(request)
    rows = []
    for scan in built_scans(request).values():
        found = scan_row(scan, f'/data{row.uri}')
        rows.append({k: found[k] for k in ('ID', 'xsiType', 'series_description')})
    return result_set(rows)


@route('GET', ROW + '/scans/{scan}/resources')
def list_resources(request: Request) -> Answer:
    scan = find_scan(request)
    rows = []
    for one in scan.resources:
        row = resource_row(scan, one, '')
        # resources have no number here
        del row['xnat_abstractresource_id']
        rows.append(row)
    return result_set(rows)


@route('GET', ROW + '/scans/{scan}/resources/{resource}')
def get_catalogue(request: Request) -> Answer:
    return catalogue(find_scan(request), request.parts['resource'])


@route('GET', ROW + '/scans/{scan}/resources/{resource}/files')
def list_files(request: Request) -> Answer:
    scan = find_scan(request)
    base = f'/data{find_row(request).uri}/scans/{scan.id}'
    resource = request.parts['resource']
    base = f'{base}/resources/{resource}'
    return result_set(file_row(one, base) for one in scan.files(resource))


@route('POST', '/data/services/archive')
def archive_row(request: Request) -> Answer:
    """One row into the archive (Archiver)

    Merging is always allowed, and ``append`` replaces files as ``delete`` does.
    All failures are 500, so the status does not tell what is wrong. This server
    takes one ``src``.
    """
    row = find_row(request, request.query.get('src', ''))
    if row.status == 'RECEIVING':
        raise RefusedError(500, f'FAILED: Unable to archive {row.uri}')
    refuse_if_busy(row)
    overwrite = archive_overwrite(request.query.get('overwrite'))
    names = {
        'project': request.query.get('project', ''),
        'subject': request.query.get('subject', ''),
        'label': request.query.get('session', ''),
    }
    if names['project'] and not request.state.can_create(
        request.user, names['project']
    ):
        raise RefusedError(403, 'Insufficient privileges for the specified project.')
    return uri_list([run_archive(request, row, overwrite, names)])


def refuse_if_busy(row: PrearchiveRow) -> None:
    if row.status in BUSY:
        raise RefusedError(403, 'Operation already in progress on this session')


def run_archive(
    request: Request, row: PrearchiveRow, overwrite: Overwrite, names: dict[str, str]
) -> str:
    """Archive, but wait no longer than the site lets a request wait

    The work goes on after the 500: who sends again would send it twice.
    """
    state, site = request.state, request.server.site
    row.status = 'ARCHIVING'
    done = threading.Event()
    result: list[Experiment | None] = [None]

    def work() -> None:
        try:
            result[0] = archive(state, row, overwrite, request.server.faults, **names)
        except ConflictError:
            pass
        finally:
            done.set()

    if site.archive_seconds:
        request.server.later(site.archive_seconds, work)
    else:
        work()
    if not done.wait(site.archive_wait) or result[0] is None:
        raise RefusedError(500, f'FAILED: Unable to archive {row.uri}')
    made = result[0]
    subject = label_in(state.subjects[made.subject_id], made.project)
    return (
        f'/data/archive/projects/{made.project}/subjects/{subject}'
        f'/experiments/{made.label}'
    )


@route('POST', '/data/services/prearchive/{action}')
def queue(request: Request) -> Answer:
    """move, delete, rebuild: queued, done later, so the client must poll

    (BatchPrearchiveActionsA.) A row that is busy is refused.
    """
    row = find_row(request, request.query.get('src', ''))
    refuse_if_busy(row)
    action = request.parts['action']
    if action == 'delete':
        row.status = 'QUEUED_DELETING'

        def work() -> None:
            request.state.rows.remove(row)
    elif action == 'rebuild':
        row.status = 'QUEUED_BUILDING'

        def work() -> None:
            build(row)
    elif action == 'move':
        dest = request.query.get('newProject', '')
        if not request.state.can_create(request.user, dest):
            raise RefusedError(403, f'Insufficient privileges for project {dest}')
        row.status = 'QUEUED_MOVING'

        def work() -> None:
            move(request, row, dest)
            row.status = 'READY'
    else:
        raise RefusedError(404, 'Not found')
    answer = result_set([prearchive_row(row)])
    request.server.later(request.server.site.queue_seconds, work)
    return answer


def move(request: Request, row: PrearchiveRow, project: str) -> None:
    if not request.state.can_create(request.user, project):
        raise RefusedError(403, f'Insufficient privileges for project {project}')
    row.project = project
