"""``datalad icf-xnat-list``: what there is on an XNAT server"""

from __future__ import annotations

from collections.abc import Iterator
from logging import getLogger
from typing import Any, ClassVar

from datalad_next.commands import (
    Parameter,
    ValidatedInterface,
    build_doc,
    eval_results,
    generic_result_renderer,
    get_status_dict,
)
from datalad_next.constraints import EnsureBool, EnsureStr

from datalad_icf.commands import params
from datalad_icf.commands.results import failed
from datalad_icf.errors import IcfError

lgr = getLogger('datalad.icf.xnat')


def _show(res: dict[str, Any], **_kwargs: Any) -> None:
    """One line for each thing, of which the first word is its kind"""
    if res['status'] != 'ok':
        generic_result_renderer(res)
        return
    from datalad_next.uis import ui_switcher

    columns = ['type', 'project', 'subject', 'session', 'name', 'date', 'state']
    ui_switcher.message('\t'.join(res[c] for c in columns if res.get(c)))


@build_doc
class IcfXnatList(ValidatedInterface):
    """List projects, subjects and sessions of an XNAT server

    Without a project, the projects that the user may read. With one, its subjects,
    each with its sessions. With --prearchive, the sessions that wait in the
    prearchive, with their state there. One record each: '-f json' makes lines of
    JSON of them for other programs.
    """

    result_renderer = 'tailored'
    custom_result_renderer = staticmethod(_show)

    _validator_ = params.xnat_validator(
        project=EnsureStr(min_len=1), prearchive=EnsureBool()
    )
    _params_: ClassVar[dict[str, Parameter]] = {
        **params.XNAT_PARAMS,
        'project': Parameter(
            args=('--project',), metavar='ID', doc='list what is in this project'
        ),
        'prearchive': Parameter(
            args=('--prearchive',),
            action='store_true',
            doc='list the prearchive, of one project or of all',
        ),
    }
    _examples_: ClassVar[list[dict[str, str]]] = [
        {
            'text': 'List all projects',
            'code_cmd': 'datalad icf-xnat-list --url https://xnat.example.org',
            'code_py': "icf_xnat_list(url='https://xnat.example.org')",
        },
        {
            'text': 'List subjects and sessions of a project, as lines of JSON',
            'code_cmd': 'datalad -f json icf-xnat-list --project P1 '
            '--url https://xnat.example.org',
            'code_py': "icf_xnat_list(url='https://xnat.example.org', project='P1')",
        },
    ]

    @staticmethod
    @eval_results
    def __call__(
        *,
        url: str = params.UNSET,
        credential: str | None = None,
        project: str | None = None,
        prearchive: bool = False,
    ) -> Iterator[dict[str, Any]]:
        from datalad_icf.commands.xnat_access import XnatAccess
        from datalad_icf.xnat import iter_prearchive, iter_project, iter_projects

        record = get_status_dict(action='icf_xnat_list', path=url, logger=lgr)
        try:
            with XnatAccess(url, credential).connect() as client:
                if prearchive:
                    found = iter_prearchive(client, project)
                elif project:
                    found = iter_project(client, project)
                else:
                    found = iter_projects(client)
                for one in found:
                    place = f'{client.url}{one.path}'
                    yield dict(
                        record,
                        status='ok',
                        type=one.kind,
                        path=place,
                        url=place,
                        **one.items(),
                    )
        except IcfError as e:
            yield failed(record, e)
