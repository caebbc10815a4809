"""``datalad icf-xnat-archive``: from the prearchive of a project into its archive"""

from __future__ import annotations

from collections.abc import Iterator
from logging import getLogger
from typing import Any, ClassVar

from datalad_next.commands import (
    Parameter,
    ValidatedInterface,
    build_doc,
    eval_results,
    get_status_dict,
)
from datalad_next.constraints import EnsureBool, EnsureChoice, EnsureStr

from datalad_icf.commands import params
from datalad_icf.commands.results import failed, render_result, unneeded
from datalad_icf.errors import IcfError

lgr = getLogger('datalad.icf.xnat')


@build_doc
class IcfXnatArchive(ValidatedInterface):
    """Archive the sessions that wait in the prearchive of an XNAT project

    Sessions of this project, and of no other. One that XNAT does not archive stays in
    the prearchive, and the record says why. One that XNAT still receives is not
    touched; XNAT makes it ready five minutes after its last image.
    """

    result_renderer = 'tailored'
    custom_result_renderer = staticmethod(render_result)

    _validator_ = params.xnat_validator(
        project=EnsureStr(min_len=1),
        subject=params.EnsureTexts(),
        label=EnsureStr(min_len=1),
        existing=EnsureChoice('append', 'replace'),
        dry_run=EnsureBool(),
    )
    _params_: ClassVar[dict[str, Parameter]] = {
        **params.XNAT_PARAMS,
        'project': Parameter(
            args=('--project',), metavar='ID', required=True, doc='project in XNAT'
        ),
        'subject': Parameter(
            args=('--subject',),
            metavar='LABEL',
            nargs='+',
            doc='only sessions of these subjects [default: of all]',
        ),
        'label': Parameter(
            args=('--label',),
            metavar='LABEL',
            doc="""label in the archive, a template with any of {subject}, {session},
            {StudyDate}, {StudyTime}, {Modality}. 'toolkit' stands for
            {subject}_{StudyDate}T{StudyTime}_{Modality}
            [default: {session}, the label in the prearchive]""",
        ),
        'existing': Parameter(
            args=('--existing',),
            metavar='append|replace',
            doc="""what to do with a session that is in the archive: add images, and
            let XNAT refuse one that it has; or replace those that are there""",
        ),
        'dry_run': Parameter(
            args=('--dry-run',),
            action='store_true',
            doc='only tell what would be archived',
        ),
    }
    _examples_: ClassVar[list[dict[str, str]]] = [
        {
            'text': 'Archive all that waits in a project',
            'code_cmd': 'datalad icf-xnat-archive --project P1 '
            '--url https://xnat.example.org',
            'code_py': "icf_xnat_archive(project='P1', url='https://xnat.example.org')",
        },
        {
            'text': 'Archive one subject, with the labels of XNAT_CLI_Toolkit',
            'code_cmd': 'datalad icf-xnat-archive --project P1 --subject 007 '
            '--label toolkit --url https://xnat.example.org',
            'code_py': "icf_xnat_archive(project='P1', subject=['007'], "
            "label='toolkit', url='https://xnat.example.org')",
        },
    ]

    @staticmethod
    @eval_results
    def __call__(
        *,
        url: str = params.UNSET,
        credential: str | None = None,
        project: str = params.UNSET,
        subject: tuple[str, ...] = (),
        label: str | None = None,
        existing: str = 'append',
        dry_run: bool = False,
    ) -> Iterator[dict[str, Any]]:
        from datalad_icf.commands.xnat_access import XnatAccess
        from datalad_icf.xnat import (
            LABEL_FIELDS,
            archive_waiting,
            check_template,
            find_waiting,
        )

        record = get_status_dict(
            action='icf_xnat_archive',
            path=url,
            type='session',
            logger=lgr,
            project=project,
        )
        try:
            template = check_template(label or '{session}', LABEL_FIELDS)
            with XnatAccess(url, credential).connect() as client:
                waiting = find_waiting(client, project, subject)
                if not waiting:
                    # a run of a job that has nothing to do is seen to have run
                    message = f'nothing waits in the prearchive of {project}'
                    if subject:
                        message += f' for {", ".join(subject)}'
                    yield unneeded(record, message, dry_run=dry_run)
                for row in waiting:
                    one = dict(
                        record,
                        path=f'{client.url}{row.path}',
                        subject=row.subject,
                        session=row.session,
                        study_instance_uid=row.study_instance_uid,
                    )
                    try:
                        report = archive_waiting(
                            client, row, template, existing=existing, dry_run=dry_run
                        )
                    except IcfError as e:
                        yield failed(one, e)
                        continue
                    would = 'would be archived as ' if dry_run else 'archived as '
                    yield dict(
                        one,
                        status='ok',
                        session=report.target.session,
                        message=f'{would}{project}/{row.subject}/'
                        f'{report.target.session}',
                        url=f'{client.url}{report.path}',
                        instances=report.instances,
                        dry_run=dry_run,
                    )
        except IcfError as e:
            yield failed(record, e)
