"""Sharing subjects and experiments into other projects

SubjectResource and ExperimentResource: PUT and DELETE of ``projects/DEST`` under
the item.
"""

from __future__ import annotations

from tests.xnat.server.rest_data import (
    EXPERIMENT,
    SUBJECT,
    find_experiment,
    find_subject,
)
from tests.xnat.server.state import Experiment, Subject, label_in
from tests.xnat.server.tables import Answer, RefusedError, project_row, result_set, text
from tests.xnat.server.web import Request, route


def share(request: Request, item: Subject | Experiment, kind: str) -> Answer:
    state = request.state
    dest = state.find_project(request.parts['dest'])
    if dest is None or not state.role(request.user, dest.id):
        raise RefusedError(404, f'Unable to identify project: {request.parts["dest"]}')
    label = request.query.get('label') or item.label
    with state.lock:
        if dest.id == item.project or dest.id in item.shared:
            raise RefusedError(409, f'Already assigned to project:{dest.id}')
        others = state.subjects if isinstance(item, Subject) else state.experiments
        if any(label_in(one, dest.id) == label for one in others.values()):
            raise RefusedError(409, f'Label already in use:{label}')
        if not state.can_create(request.user, dest.id):
            raise RefusedError(
                403,
                'Specified user account has insufficient create privileges for '
                f'{kind} in the {dest.id} project.',
            )
        item.shared[dest.id] = label
    return text('')


def unshare(request: Request, item: Subject | Experiment) -> Answer:
    with request.state.lock:
        if request.parts['dest'] not in item.shared:
            raise RefusedError(404, 'Unable to identify project')
        del item.shared[request.parts['dest']]
    return text('')


def places(request: Request, item: Subject | Experiment) -> Answer:
    projects = request.state.projects
    return result_set(
        {**project_row(projects[one]), 'label': label_in(item, one)}
        for one in (item.project, *item.shared)
    )


@route('PUT', SUBJECT + '/projects/{dest}')
def share_subject(request: Request) -> Answer:
    return share(request, find_subject(request), 'subjects')


@route('DELETE', SUBJECT + '/projects/{dest}')
def unshare_subject(request: Request) -> Answer:
    return unshare(request, find_subject(request))


@route('GET', SUBJECT + '/projects')
def subject_places(request: Request) -> Answer:
    return places(request, find_subject(request))


@route('PUT', EXPERIMENT + '/projects/{dest}')
def share_experiment(request: Request) -> Answer:
    return share(request, find_experiment(request), 'experiments')


@route('DELETE', EXPERIMENT + '/projects/{dest}')
def unshare_experiment(request: Request) -> Answer:
    return unshare(request, find_experiment(request))


@route('GET', EXPERIMENT + '/projects')
def experiment_places(request: Request) -> Answer:
    return places(request, find_experiment(request))
