"""``datalad icf-xnat-demographics``: age, birth and gender of subjects in XNAT"""

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
from datalad_next.constraints import EnsureBool, EnsureStr

from datalad_icf.commands import params
from datalad_icf.commands.results import (
    Outcome,
    done,
    failed,
    render_result,
    unneeded,
)
from datalad_icf.errors import IcfError

lgr = getLogger('datalad.icf.xnat')


@build_doc
class IcfXnatDemographics(ValidatedInterface):
    """Set age, birth and gender of XNAT subjects from their DICOM files

    For each subject of a project, an image that XNAT has is asked for Patient's Sex,
    Birth Date and Age. They become the demographics of the subject. Of date of
    birth, year of birth and age XNAT keeps one: the first that is known. What is there
    and differs is not replaced, unless --force says so. Records name what was set, and
    never the values.

    Servers that anonymise images often have none of this in them any more.
    'icf-xnat-push --demographics' takes it from the images that it sends.
    """

    result_renderer = 'tailored'
    custom_result_renderer = staticmethod(render_result)

    _validator_ = params.xnat_validator(
        project=EnsureStr(min_len=1),
        subject=params.EnsureTexts(),
        anonymous=EnsureBool(),
        custom_fields=EnsureBool(),
        force=EnsureBool(),
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
            doc='only these subjects [default: all of the project]',
        ),
        'anonymous': Parameter(
            args=('--anonymous',),
            action='store_true',
            doc='set the year of birth in place of the date',
        ),
        'custom_fields': Parameter(
            args=('--custom-fields',),
            action='store_true',
            doc="""set the custom fields subject_age, subject_dob and subject_gender, as
            XNAT_CLI_Toolkit does, in place of XNAT's demographics""",
        ),
        'force': Parameter(
            args=('--force',),
            action='store_true',
            doc='replace what is there and differs',
        ),
        'dry_run': Parameter(
            args=('--dry-run',),
            action='store_true',
            doc='only tell what would be set',
        ),
    }
    _examples_: ClassVar[list[dict[str, str]]] = [
        {
            'text': 'Set the demographics of all subjects of a project',
            'code_cmd': 'datalad icf-xnat-demographics --project P1 '
            '--url https://xnat.example.org',
            'code_py': "icf_xnat_demographics(project='P1', "
            "url='https://xnat.example.org')",
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
        anonymous: bool = False,
        custom_fields: bool = False,
        force: bool = False,
        dry_run: bool = False,
    ) -> Iterator[dict[str, Any]]:
        from datalad_icf.commands.xnat_access import XnatAccess
        from datalad_icf.xnat import find_subjects, put_demographics, read_demographics

        record = get_status_dict(
            action='icf_xnat_demographics',
            path=url,
            type='subject',
            logger=lgr,
            project=project,
        )
        try:
            with XnatAccess(url, credential).connect() as client:
                for target in find_subjects(client, project, subject):
                    place = f'{client.url}{target.subject_path}'
                    one = dict(record, path=place, url=place, subject=target.subject)
                    try:
                        known = read_demographics(
                            client, target, anonymous=anonymous, every=custom_fields
                        )
                        changed = put_demographics(
                            client,
                            target,
                            known,
                            force=force,
                            custom=custom_fields,
                            dry_run=dry_run,
                        )
                    except IcfError as e:
                        yield failed(one, e)
                        continue
                    verb = 'would be set' if dry_run else 'set'
                    message = f'{verb}: {", ".join(changed)}'
                    if not changed:
                        message = f'{", ".join(known.items())} of {target.subject}'
                    fields = {'changed': changed, 'dry_run': dry_run}
                    if not known.items():
                        message = f'nothing in the images of {target.subject}'
                        yield unneeded(one, message, **fields)
                        continue
                    yield done(one, Outcome(bool(changed), message, fields=fields))
        except IcfError as e:
            yield failed(record, e)
