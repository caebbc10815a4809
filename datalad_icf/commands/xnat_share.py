"""``datalad icf-xnat-share``: subjects of one XNAT project in another one, too"""

from __future__ import annotations

from collections.abc import Iterator
from logging import getLogger
from pathlib import Path
from typing import Any, ClassVar

from datalad_next.commands import (
    Parameter,
    ValidatedInterface,
    build_doc,
    eval_results,
    get_status_dict,
)
from datalad_next.constraints import EnsureStr

from datalad_icf.commands import params
from datalad_icf.commands.results import Outcome, count, done, failed, render_result
from datalad_icf.errors import IcfError

lgr = getLogger('datalad.icf.xnat')


@build_doc
class IcfXnatShare(ValidatedInterface):
    """Share subjects, with all their sessions, into another XNAT project

    The subjects stay where they are, and members of the other project see them, too.
    What is shared already is left as it is, so that a second run adds the sessions
    that have come since.
    """

    result_renderer = 'tailored'
    custom_result_renderer = staticmethod(render_result)

    _validator_ = params.xnat_validator(
        table=params.EnsureSource(),
        project=EnsureStr(min_len=1),
        to=EnsureStr(min_len=1),
        subject=params.EnsureTexts(),
    )
    _params_: ClassVar[dict[str, Parameter]] = {
        **params.XNAT_PARAMS,
        'table': Parameter(
            args=('--table',),
            metavar='FILE',
            doc="""CSV file with a line for each subject to be shared: its label, the
            project that it is of, and the other project. The first line names the
            columns: subject, source, destination""",
        ),
        'project': Parameter(
            args=('--project',),
            metavar='ID',
            doc='project that the subjects are of, where there is no table',
        ),
        'to': Parameter(
            args=('--to',),
            metavar='ID',
            doc='project to share them into, where there is no table',
        ),
        'subject': Parameter(
            args=('--subject',),
            metavar='LABEL',
            nargs='+',
            doc='the subjects, where there is no table',
        ),
    }
    _examples_: ClassVar[list[dict[str, str]]] = [
        {
            'text': 'Share two subjects',
            'code_cmd': 'datalad icf-xnat-share --project P1 --to P2 '
            '--subject 007 008 --url https://xnat.example.org',
            'code_py': "icf_xnat_share(project='P1', to='P2', subject=['007', '008'], "
            "url='https://xnat.example.org')",
        },
        {
            'text': 'Share what a table says',
            'code_cmd': 'datalad icf-xnat-share --table share.csv '
            '--url https://xnat.example.org',
            'code_py': "icf_xnat_share(table='share.csv', "
            "url='https://xnat.example.org')",
        },
    ]

    @staticmethod
    @eval_results
    def __call__(
        *,
        url: str = params.UNSET,
        credential: str | None = None,
        table: Path | None = None,
        project: str | None = None,
        to: str | None = None,
        subject: tuple[str, ...] = (),
    ) -> Iterator[dict[str, Any]]:
        from datalad_icf.commands.xnat_access import XnatAccess
        from datalad_icf.xnat import Target, plan_shares, share_subject

        record = get_status_dict(
            action='icf_xnat_share', path=url, type='subject', logger=lgr
        )
        try:
            shares = plan_shares(table, project, to, subject)
            with XnatAccess(url, credential).connect() as client:
                for share in shares:
                    target = Target(share.source, share.subject, '')
                    one = dict(
                        record,
                        path=f'{client.url}{target.subject_path}',
                        url=f'{client.url}{target.subject_path}',
                        subject=share.subject,
                        project=share.source,
                        destination=share.destination,
                    )
                    try:
                        report = share_subject(client, target, share.destination)
                    except IcfError as e:
                        yield failed(one, e)
                        continue
                    sessions = len(report.shared) + len(report.before) - 1
                    message = (
                        f'subject {share.subject} of {share.source} with '
                        f'{count(sessions, "session")} in {share.destination}'
                    )
                    fields = {'sessions': sessions, 'shared': len(report.shared)}
                    yield done(
                        one, Outcome(bool(report.shared), message, fields=fields)
                    )
        except IcfError as e:
            yield failed(record, e)
