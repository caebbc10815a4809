"""Projects, subjects with their demographics, experiments"""

from __future__ import annotations

import re
from datetime import date

from tests.xnat.server.state import (
    Experiment,
    Project,
    Subject,
    clean_label,
    label_in,
)
from tests.xnat.server.tables import (
    Answer,
    RefusedError,
    experiment_items,
    experiment_row,
    items,
    project_row,
    result_set,
    subject_items,
    subject_row,
    text,
)
from tests.xnat.server.web import Request, route

# each under its project, or by ID alone; a sub-path may be longer
IN_PROJECT = r'/data(?:/projects/(?P<project>[^/]+))?'
SUBJECT = IN_PROJECT + '/subjects/{subject}'
EXPERIMENT = IN_PROJECT + r'(?:/subjects/(?P<subject>[^/]+))?/experiments/{experiment}'
DEMOGRAPHICS = ('gender', 'dob', 'yob', 'age')
GENDERS = {'male', 'female', 'other', 'unknown', 'm', 'f'}


def find_project(request: Request) -> Project | None:
    """The project of the path; 404 also for one that the user may not read"""
    name = request.parts.get('project')
    if not name:
        return None
    project = request.state.find_project(name)
    if project is None or not request.state.role(request.user, project.id):
        raise RefusedError(404, f'Unable to identify project {name}')
    return project


def find_subject(request: Request) -> Subject:
    project = find_project(request)
    name = request.parts['subject']
    found = request.state.find_subject(name, project.id if project else None)
    if found is None or not may_read(request, found):
        raise RefusedError(404, 'Unable to find the specified subject.')
    return found


def find_experiment(request: Request) -> Experiment:
    project = find_project(request)
    name = request.parts['experiment']
    found = request.state.find_experiment(name, project.id if project else None)
    if found is None or not may_read(request, found):
        raise RefusedError(404, 'Unable to find the specified experiment.')
    return found


def may_read(request: Request, item: Subject | Experiment) -> bool:
    places = [item.project, *item.shared]
    return any(request.state.role(request.user, one) for one in places)


def must_create(request: Request, project: str) -> None:
    if not request.state.can_create(request.user, project):
        raise RefusedError(
            403, f'Specified user account has insufficient privileges for {project}.'
        )


@route('GET', '/data/projects')
def list_projects(request: Request) -> Answer:
    state = request.state
    rows = [project_row(state.projects[one]) for one in state.readable(request.user)]
    return result_set(rows, request.query.get('columns', ''))


@route('GET', '/data/projects/{project}')
def get_project(request: Request) -> Answer:
    project = find_project(request)
    assert project
    fields = {'ID': project.id, 'secondary_ID': project.id, 'name': project.name}
    return items('xnat:projectData', fields)


@route('GET', IN_PROJECT + '/subjects')
def list_subjects(request: Request) -> Answer:
    """Those of the project, and those that are shared into it"""
    project = find_project(request)
    where = project.id if project else None
    rows = [
        subject_row(one, where)
        for one in list(request.state.subjects.values())
        if label_in(one, where) and may_read(request, one)
    ]
    return result_set(rows, request.query.get('columns', ''))


@route('GET', SUBJECT)
def get_subject(request: Request) -> Answer:
    return subject_items(find_subject(request), request.parts.get('project'))


@route('PUT', SUBJECT)
def put_subject(request: Request) -> Answer:
    """Make a subject, or change it: 201 or 200, with its ID (SubjectResource)"""
    project = find_project(request)
    state = request.state
    with state.lock:
        where = project.id if project else None
        subject = state.find_subject(request.parts['subject'], where)
        owner = subject.project if subject else where
        if owner is None:
            raise RefusedError(404, 'Unable to find the specified subject.')
        must_create(request, owner)
        demographics, fields = read_fields(request.query)
        status = 200
        if subject is None:
            status = 201
            subject = state.new_subject(owner, request.parts['subject'])
        for values, changes in (
            (subject.demographics, demographics),
            (subject.fields, fields),
        ):
            values.update(changes)
            for key in [k for k, v in values.items() if v in ('', 'NULL')]:
                del values[key]
        if request.query.get('label'):
            subject.label = request.query['label']
    return text(subject.id, status)


def read_fields(query: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Demographics and custom fields, by their short names or by path (XMLPath)"""
    demographics, fields = {}, {}
    for key, value in query.items():
        path = key.removeprefix('xnat:subjectData/')
        custom = re.fullmatch(r'fields/field\[name=([^\]]+)\]/field', path)
        name = re.sub(r'^demographics(\[[^\]]*\])?/', '', path)
        if custom:
            fields[custom.group(1)] = value
        elif name in DEMOGRAPHICS:
            check_demographic(name, value)
            demographics[name] = value
    return demographics, fields


def check_demographic(name: str, value: str) -> None:
    """Against the schema: 400 (xnat.xsd, demographicData)"""
    try:
        if value in ('', 'NULL'):
            return
        if name == 'gender' and value.lower() not in GENDERS:
            raise ValueError
        if name == 'dob':
            date.fromisoformat(value)
        if name in ('yob', 'age'):
            int(value)
    except ValueError:
        # with the name of the field, never its value
        raise RefusedError(400, f'Invalid value for {name}') from None


@route('DELETE', SUBJECT)
def delete_subject(request: Request) -> Answer:
    subject = find_subject(request)
    must_create(request, subject.project)
    state = request.state
    with state.lock:
        del state.subjects[subject.id]
        for one in list(state.experiments.values()):
            if one.subject_id == subject.id:
                del state.experiments[one.id]
    return text('')


@route('GET', IN_PROJECT + r'(?:/subjects/(?P<subject>[^/]+))?/experiments')
def list_experiments(request: Request) -> Answer:
    project = find_project(request)
    where = project.id if project else None
    owner = find_subject(request).id if request.parts.get('subject') else None
    rows = [
        experiment_row(one, where)
        for one in list(request.state.experiments.values())
        if label_in(one, where)
        and may_read(request, one)
        and owner in (None, one.subject_id)
    ]
    return result_set(rows, request.query.get('columns', ''))


@route('GET', EXPERIMENT)
def get_experiment(request: Request) -> Answer:
    return experiment_items(find_experiment(request))


@route('PUT', EXPERIMENT)
def put_experiment(request: Request) -> Answer:
    """Make an experiment with no images"""
    project = find_project(request)
    state = request.state
    if project is None or not request.parts.get('subject'):
        raise RefusedError(400, 'Experiments are made in a project, with a subject')
    must_create(request, project.id)
    with state.lock:
        label = clean_label(request.parts['experiment'])
        found = state.find_experiment(label, project.id)
        if found is not None:
            return text(found.id, 200)
        subject = find_subject(request)
        kind = request.query.get('xsiType', 'xnat:mrSessionData')
        made = Experiment(state.new_id('E'), project.id, label, subject.id, kind)
        state.experiments[made.id] = made
    return text(made.id, 201)


@route('DELETE', EXPERIMENT)
def delete_experiment(request: Request) -> Answer:
    experiment = find_experiment(request)
    must_create(request, experiment.project)
    with request.state.lock:
        del request.state.experiments[experiment.id]
    return text('')
