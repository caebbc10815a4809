"""``datalad icf-xnat-push``: visits of the store, and other images, into XNAT"""

from __future__ import annotations

from collections.abc import Iterator
from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from datalad_next.commands import (
    Parameter,
    ValidatedInterface,
    build_doc,
    eval_results,
    get_status_dict,
)
from datalad_next.constraints import (
    EnsureBool,
    EnsureChoice,
    EnsureInt,
    EnsureRange,
    EnsureStr,
)

from datalad_icf.commands import params
from datalad_icf.commands.results import failed, render_result
from datalad_icf.commands.summary import render_summary
from datalad_icf.errors import PreconditionError
from datalad_icf.store import Visit, find_visits

if TYPE_CHECKING:
    from datalad_icf.xnat import Exclusions, Source

lgr = getLogger('datalad.icf.xnat')

_NOT_ARCHIVED = (
    '--demographics and --share-to are for what is in the archive, and not for --to '
    'prearchive; archive the session, then run the command with them and without --to'
)


@build_doc
class IcfXnatPush(ValidatedInterface):
    """Send visits to an XNAT server, and verify that every image is there

    The images come straight from the tarball in the store, which is never unpacked.
    Subject and session are made in the project as needed. 'ok' means that XNAT has
    all images of the visit in its archive: their SOP Instance UIDs were compared
    with those in the catalogues of the server. What is there already is not sent
    again, so a command that was interrupted, or has failed, is simply run again.

    In place of a visit, --source takes a directory: either with directories
    SUBJECT/SESSION/..., or with zip files, each of which has the images of one
    session of the subject that the file is named after.

    Each DICOM study becomes a session of its own. Labels have letters, digits, '_'
    and '-'; XNAT knows no others, and what else there is becomes '_'. A session that
    has the same label and is another DICOM study is never touched.

    XNAT gets the images with all that they say about a person, unless the server
    anonymises them. Nothing is compressed unless --compress says so. Files that are
    no DICOM files are not sent.
    """

    result_renderer = 'tailored'
    custom_result_renderer = staticmethod(render_result)
    custom_result_summary_renderer = staticmethod(render_summary)
    custom_result_summary_renderer_pass_summary = True

    _validator_ = params.xnat_validator(
        id=params.EnsureVisit(pattern=True),
        store_dir=params.EnsureStoreDir(),
        source=params.EnsureSource(),
        project=EnsureStr(min_len=1),
        subject=EnsureStr(min_len=1),
        session=EnsureStr(min_len=1),
        to=EnsureChoice('archive', 'prearchive'),
        existing=EnsureChoice('skip', 'append', 'replace'),
        exclude=params.EnsureTexts(),
        exclude_config=params.EnsureSource(),
        demographics=EnsureChoice('none', 'anonymous', 'full'),
        share_to=params.EnsureTexts(),
        compress=EnsureBool(),
        jobs=EnsureInt() & EnsureRange(min=1, max=64),
        dry_run=EnsureBool(),
    )
    _params_: ClassVar[dict[str, Parameter]] = {
        'id': Parameter(
            args=('--id',),
            metavar=('STUDY-ID', 'VISIT-ID'),
            nargs=2,
            doc="""identifiers of the study and of the visit. In place of the visit, a
            shell pattern like '*' or 'P00*' stands for all visits that match""",
        ),
        'store_dir': params.VISIT_PARAMS['store_dir'],
        'source': Parameter(
            args=('--source',),
            metavar='DIR',
            doc="""send what is in this directory, and no visit of the store: files in
            directories SUBJECT/SESSION/, or zip files""",
        ),
        **params.XNAT_PARAMS,
        'project': Parameter(
            args=('--project',),
            metavar='ID',
            doc='project in XNAT [default: the study, with --id]',
        ),
        'subject': Parameter(
            args=('--subject',),
            metavar='LABEL',
            doc="""label of the subject, or a template for it with any of {study},
            {visit}, {subject}, {session}, {PatientID}, {StudyDate}, {StudyTime},
            {Modality} [default: {visit}; the name of the directory or zip file with
            --source]""",
        ),
        'session': Parameter(
            args=('--session',),
            metavar='LABEL',
            doc="""label of the session, or a template for it. 'toolkit' stands for
            {subject}_{StudyDate}T{StudyTime}_{Modality}
            [default: {study}_{visit}; {subject}_{session} with --source]""",
        ),
        'to': Parameter(
            args=('--to',),
            metavar='archive|prearchive',
            doc='where the session is to be in the end',
        ),
        'existing': Parameter(
            args=('--existing',),
            metavar='skip|append|replace',
            doc="""what to do with a session that is there: leave it alone, and fail
            unless it is complete; add images that are missing; or send all images
            again, which take the place of those that are there""",
        ),
        'exclude': Parameter(
            args=('--exclude',),
            metavar='PATTERN',
            nargs='+',
            doc="""do not send series with such a description, or Series Instance UID.
            A shell pattern like 'localizer*', in capitals or not""",
        ),
        'exclude_config': Parameter(
            args=('--exclude-config',),
            metavar='FILE',
            doc="""do not send what is in directories whose names have one of the words
            of a JSON file like {"Exclude": ["Localizers", "MoCoSeries"]} in them, in
            capitals or not""",
        ),
        'demographics': Parameter(
            args=('--demographics',),
            metavar='none|anonymous|full',
            doc="""what to set for the subject from its DICOM files: nothing; gender
            and year of birth, or age; or gender and date of birth, or age. What is
            there and differs is not replaced""",
        ),
        'share_to': Parameter(
            args=('--share-to',),
            metavar='ID',
            nargs='+',
            doc='share subject and session into these projects, too',
        ),
        'compress': Parameter(
            args=('--compress',),
            action='store_true',
            doc="""compress on the way. It is faster where the link is slower than about
            1 Gbit/s""",
        ),
        'jobs': Parameter(
            args=('-J', '--jobs'),
            metavar='NUMBER',
            doc='how many visits to send at once, each over a connection of its own',
        ),
        'dry_run': Parameter(
            args=('--dry-run',),
            action='store_true',
            doc='only tell what would be sent',
        ),
    }
    _examples_: ClassVar[list[dict[str, str]]] = [
        {
            'text': 'Let DataLad know user and password; it asks for the password',
            'code_cmd': 'datalad credentials set xnat type=user_password user=me '
            'realm=https://xnat.example.org',
            'code_py': "credentials('set', name='xnat', spec={'type': 'user_password', "
            "'user': 'me', 'realm': 'https://xnat.example.org'})",
        },
        {
            'text': 'Send a visit to the project that is called like the study',
            'code_cmd': 'datalad icf-xnat-push --id my-study P000123 -o /data/store '
            '--url https://xnat.example.org',
            'code_py': "icf_xnat_push(id=('my-study', 'P000123'), "
            "store_dir='/data/store', url='https://xnat.example.org')",
        },
        {
            'text': 'Send all visits of a study, two at once, without localizers',
            'code_cmd': "datalad icf-xnat-push --id my-study '*' -o /data/store "
            "--url https://xnat.example.org --jobs 2 --exclude 'localizer*'",
            'code_py': "icf_xnat_push(id=('my-study', '*'), store_dir='/data/store', "
            "url='https://xnat.example.org', jobs=2, exclude=['localizer*'])",
        },
        {
            'text': 'Send directories SUBJECT/SESSION/SERIES',
            'code_cmd': 'datalad icf-xnat-push --source dicomdir --project P1 '
            '--url https://xnat.example.org --exclude-config Exclusions.json',
            'code_py': "icf_xnat_push(source='dicomdir', project='P1', "
            "url='https://xnat.example.org', exclude_config='Exclusions.json')",
        },
    ]

    @staticmethod
    @eval_results
    def __call__(
        *,
        id: Visit | None = None,
        store_dir: Path = params.UNSET,
        source: Path | None = None,
        url: str = params.UNSET,
        credential: str | None = None,
        project: str | None = None,
        subject: str | None = None,
        session: str | None = None,
        to: str = 'archive',
        existing: str = 'append',
        exclude: tuple[str, ...] = (),
        exclude_config: Path | None = None,
        demographics: str = 'none',
        share_to: tuple[str, ...] = (),
        compress: bool = False,
        jobs: int = 1,
        dry_run: bool = False,
    ) -> Iterator[dict[str, Any]]:
        from datalad_icf.commands.xnat_access import XnatAccess
        from datalad_icf.commands.xnat_runner import push_sources
        from datalad_icf.xnat import Naming, PushOptions

        record = get_status_dict(
            action='icf_xnat_push',
            path=str(source.absolute() if source else store_dir),
            type='directory',
            logger=lgr,
        )
        if id:
            record.update(study_id=id.study_id, visit_id=id.visit_id)
        try:
            sources = _find_sources(id, store_dir, source)
            options = PushOptions(
                project=project or (id.study_id if id else '') or _no_project(),
                to=to,
                existing=existing,
                deflate=compress,
                demographics=demographics,
                share_to=share_to,
            )
            if to == 'prearchive' and (share_to or demographics != 'none'):
                raise PreconditionError(_NOT_ARCHIVED)
            naming = Naming.make(subject, session, tree=id is None)
            exclusions = _find_exclusions(exclude, exclude_config)
        except PreconditionError as e:
            yield failed(record, e)
            return
        yield from push_sources(
            sources,
            XnatAccess(url, credential),
            naming,
            exclusions,
            options,
            record=record,
            jobs=jobs,
            dry_run=dry_run,
        )


def _find_sources(
    visit: Visit | None, store_dir: Path, directory: Path | None
) -> list[Source]:
    from datalad_icf.xnat import TarballSource, find_sources

    if visit and not directory:
        found = find_visits(store_dir, visit, having='tarball')
        return [TarballSource(paths) for paths in found]
    if directory and not visit:
        return find_sources(directory.absolute())
    raise PreconditionError('either --id or --source says what to send')


def _no_project() -> str:
    raise PreconditionError('with --source, --project has to be given')


def _find_exclusions(patterns: tuple[str, ...], config: Path | None) -> Exclusions:
    from datalad_icf.xnat import Exclusions, read_exclusions

    words = read_exclusions(config) if config else ()
    return Exclusions(folders=words, series=patterns)
