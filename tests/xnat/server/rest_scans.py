"""Scans of an experiment, their resources and files"""

from __future__ import annotations

from tests.xnat.server.rest_data import (
    EXPERIMENT,
    find_experiment,
    find_project,
    must_create,
)
from tests.xnat.server.state import Scan
from tests.xnat.server.tables import (
    Answer,
    RefusedError,
    catalogue,
    file_row,
    items,
    resource_row,
    result_set,
    scan_row,
    text,
)
from tests.xnat.server.web import Request, route


def find_scan(request: Request) -> tuple[Scan, str]:
    """The scan of the path, and where it is"""
    experiment = find_experiment(request)
    scan = experiment.scans.get(request.parts['scan'])
    if scan is None:
        raise RefusedError(404, 'Unable to find the specified scan.')
    return scan, f'/data/experiments/{experiment.id}/scans/{scan.id}'


def resource_id(request: Request, scan: Scan, resource: str) -> str:
    """A number, which is as good as the label in a path"""
    experiment = find_experiment(request)
    scan_number = list(experiment.scans).index(scan.id)
    number = int(experiment.id[-5:]) * 10000 + scan_number * 10
    return str(number + scan.resources.index(resource))


def find_resource(request: Request, scan: Scan) -> str:
    name = request.parts['resource']
    for one in scan.resources:
        if name in (one, resource_id(request, scan, one)):
            return one
    raise RefusedError(404, 'Unable to find the specified resource.')


@route('GET', EXPERIMENT + '/scans')
def list_scans(request: Request) -> Answer:
    experiment = find_experiment(request)
    base = f'/data/experiments/{experiment.id}'
    rows = [scan_row(one, base) for one in experiment.scans.values()]
    return result_set(rows, request.query.get('columns', ''))


@route('GET', EXPERIMENT + '/scans/{scan}')
def get_scan(request: Request) -> Answer:
    scan, _ = find_scan(request)
    fields = {
        'ID': scan.id,
        'UID': scan.series_uid,
        'type': scan.description,
        'series_description': scan.description,
        'modality': scan.modality,
        'frames': str(len(scan.instances)),
        'image_session_ID': find_experiment(request).id,
    }
    return items(scan.xsi_type, fields)


@route('GET', EXPERIMENT + '/scans/{scan}/resources')
def list_resources(request: Request) -> Answer:
    """With the number and the size of the files; there is no listing by columns"""
    scan, _ = find_scan(request)
    return result_set(
        resource_row(scan, one, resource_id(request, scan, one))
        for one in scan.resources
    )


@route('GET', EXPERIMENT + '/scans/{scan}/resources/{resource}')
def get_catalogue(request: Request) -> Answer:
    """XML, whatever format is asked for"""
    scan, _ = find_scan(request)
    return catalogue(scan, find_resource(request, scan))


@route('GET', EXPERIMENT + '/scans/{scan}/resources/{resource}/files')
def list_resource_files(request: Request) -> Answer:
    scan, base = find_scan(request)
    resource = find_resource(request, scan)
    base = f'{base}/resources/{resource_id(request, scan, resource)}'
    return result_set(file_row(one, base) for one in scan.files(resource))


@route('GET', EXPERIMENT + '/scans/{scan}/files')
def list_files(request: Request) -> Answer:
    scan, base = find_scan(request)
    rows = []
    for resource in scan.resources:
        where = f'{base}/resources/{resource_id(request, scan, resource)}'
        rows += [file_row(one, where) for one in scan.files(resource)]
    return result_set(rows)


@route('DELETE', EXPERIMENT + '/scans/{scan}')
def delete_scan(request: Request) -> Answer:
    experiment = find_experiment(request)
    must_create(request, experiment.project)
    scan, _ = find_scan(request)
    del experiment.scans[scan.id]
    return text('')


@route('PUT', '/data/projects/{project}/resources/{resource}/files/{name}')
def put_file(request: Request) -> Answer:
    """A file of a project: read and thrown away. The floor of the benchmarks"""
    project = find_project(request)
    assert project
    must_create(request, project.id)
    request.body.drain()
    return text('')
