"""``datalad icf-clone``: clone visits, ready to get single images"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from datalad_next.commands import (
    EnsureCommandParameterization,
    Parameter,
    ValidatedInterface,
    build_doc,
    eval_results,
)
from datalad_next.constraints import EnsureStr

from datalad_icf.commands import params
from datalad_icf.commands.processes import run_in_processes
from datalad_icf.commands.results import (
    Outcome,
    done,
    failed,
    render_result,
    unneeded,
    visit_record,
)
from datalad_icf.commands.summary import render_summary
from datalad_icf.commands.visits import report_progress
from datalad_icf.errors import IcfError, MissingInputError, PreconditionError
from datalad_icf.store import Visit

if TYPE_CHECKING:
    from datalad_icf.dataset.clone_source import Deposit
    from datalad_icf.dataset.ranges import StoreClient

lgr = getLogger('datalad.icf.clone')

_ACTION = 'icf_clone'
_Task = tuple[Visit, Path]
_Result = TypeVar('_Result')


@build_doc
class IcfClone(ValidatedInterface):
    """Clone the dataset of a visit, or of many

    The address is made of the store, the study and the visit. The clone is set up so
    that 'datalad get' of an image costs the bytes of this image, and not those of the
    tarball. DataLad's credential for the store is used; somebody who can be asked is
    asked for it, once, and need not keep it.

    Where a clone of the visit is already, it is brought to the state of the store,
    if that is another one, and reported as 'notneeded' otherwise. A clone is at its
    place when it is finished: after a failure, nothing is there, and of two processes
    one waits for the other.
    """

    result_renderer = 'tailored'
    custom_result_renderer = staticmethod(render_result)
    custom_result_summary_renderer = staticmethod(render_summary)
    custom_result_summary_renderer_pass_summary = True

    _validator_ = EnsureCommandParameterization(
        {
            'id': params.EnsureVisit(pattern=True),
            'target': params.EnsureSource(),
            'store_url': params.EnsureStoreUrl(),
            'store_dir': params.EnsureStoreDir(),
            'superdataset': params.EnsureSource(),
            'credential': EnsureStr(min_len=1),
            'jobs': params.JOBS_CONSTRAINT,
        }
    )
    _params_: ClassVar[dict[str, Parameter]] = {
        'target': Parameter(
            args=('target',),
            metavar='TARGET',
            nargs='?',
            doc="""where the clone is made, or, for a pattern, the directory with the
            clones of all visits [default: the identifier of the visit, in the current
            directory]""",
        ),
        'id': params.VISITS_PARAMS['id'],
        'store_url': Parameter(
            args=('--store-url',),
            metavar='URL',
            doc="""base URL of the store. Images come from there, too, if the tarballs
            are there [default: configuration 'datalad.icf.store-url', or
            https://data.inm-icf.de]""",
        ),
        'store_dir': Parameter(
            args=('-o', '--store-dir'),
            metavar='PATH',
            doc="""root directory of a store in the file system, which is cloned from
            in place of a URL. Images then come from the tarballs there, if there are
            any""",
        ),
        'superdataset': Parameter(
            args=('--superdataset',),
            metavar='DIR',
            doc="""dataset of the study, which is made, or brought up to date. The
            visits are cloned into it, and become its subdatasets, with addresses by
            which others can get them. For a pattern, those that the store does not have
            any more are told, and stay""",
        ),
        'credential': Parameter(
            args=('--credential',),
            metavar='NAME',
            doc="""name of a credential of DataLad with the user and the password. It
            is asked for and stored, if there is none of that name. [default: the one
            for the server and the name that it gives to its protected area]""",
        ),
        'jobs': params.JOBS_PARAM,
    }
    _examples_: ClassVar[list[dict[str, str]]] = [
        {
            'text': 'Clone a visit, and get one image',
            'code_cmd': 'datalad icf-clone --id my-study P000123 '
            '--store-url https://store.example.org\n'
            '% datalad get -d P000123 P000123/my-study_P000123/scan-003/0001.dcm',
            'code_py': "icf_clone(id=('my-study', 'P000123'), "
            "store_url='https://store.example.org')",
        },
        {
            'text': 'Make a dataset of all visits of a study, or add new visits to it',
            'code_cmd': "datalad icf-clone --id my-study '*' --superdataset my-study "
            '--jobs 4',
            'code_py': "icf_clone(id=('my-study', '*'), superdataset='my-study', "
            'jobs=4)',
        },
    ]

    @staticmethod
    @eval_results
    def __call__(
        target: Path | None = None,
        *,
        id: Visit = params.UNSET,
        store_url: str | None = None,
        store_dir: Path | None = None,
        superdataset: Path | None = None,
        credential: str | None = None,
        jobs: int = 1,
    ) -> Iterator[dict[str, Any]]:
        from datalad_icf.commands.clone_steps import Access, clone_visit
        from datalad_icf.commands.clone_study import StudyDataset
        from datalad_icf.dataset.login import DataladLogin
        from datalad_icf.dataset.ranges import StoreClient

        chosen = (superdataset or target or Path()).expanduser()
        base = Path(os.path.abspath(chosen))
        url = store_url or params.EnsureStoreUrl()(None)
        login = DataladLogin(
            name=credential, suggestion=f'icf-{id.study_id}', server=url
        )
        access = Access(StoreClient(login), login)
        store = _Store(
            store_dir.as_uri() if store_dir else url, store_dir, access.client
        )
        is_place = target and not id.is_pattern
        study = StudyDataset(base, id) if superdataset else None
        try:
            if store_url and store_dir:
                raise PreconditionError('--store-url and --store-dir are two stores')
            if target and superdataset:
                raise PreconditionError('visits are either at TARGET or below DIR')
            places = {
                visit: base if is_place else base / visit.visit_id
                for visit in store.find_all(id)
            }
            unlisted = study.find_others(store.url, places) if study else {}
            _check_identity(places.values())
            if study:
                # only where there is something to put into it
                store.find(next(iter(places)))
                study.create()
        except IcfError as e:
            yield failed(visit_record(_ACTION, id, base, logger=lgr), e)
            return

        def work(task: _Task) -> tuple[Deposit, Outcome]:
            visit, place = task
            deposit = store.find(visit)
            return deposit, clone_visit(place, deposit, access)

        tasks = [*places.items(), *unlisted.items()]
        try:
            for (visit, place), result in _work_on(tasks, work, jobs):
                record = visit_record(_ACTION, visit, place, logger=lgr)
                record['type'] = 'dataset'
                if isinstance(result, MissingInputError) and visit in unlisted:
                    yield _tell_gone(record)
                elif isinstance(result, Exception):
                    yield failed(record, result)
                else:
                    deposit, outcome = result
                    if study:
                        study.add(visit, deposit)
                    yield done(record, outcome)
        finally:
            if study:
                study.close()
        if study and study.is_used:
            yield study.tell()


@dataclass(frozen=True)
class _Store:
    url: str
    directory: Path | None
    client: StoreClient

    def find(self, visit: Visit) -> Deposit:
        from datalad_icf.dataset.clone_source import find_deposit

        return find_deposit(self.url, visit, self.client, store_dir=self.directory)

    def find_all(self, visit: Visit) -> list[Visit]:
        from datalad_icf.dataset.clone_source import find_deposits

        return find_deposits(self.url, visit, self.client, store_dir=self.directory)


def _work_on(
    tasks: list[_Task], work: Callable[[_Task], _Result], jobs: int
) -> Iterator[tuple[_Task, _Result | Exception]]:
    # somebody may be asked for a password at the first, which the others know then
    here = 1 if jobs > 1 else len(tasks)
    for task in tasks[:here]:
        result: _Result | Exception
        try:
            result = work(task)
        except (IcfError, OSError) as e:
            result = e
        yield task, result
    if rest := tasks[here:]:
        progress = report_progress(lgr, rest[0][1].parent)
        with progress('Visits', len(rest), ' visits') as advance:
            for done_task in run_in_processes(rest, work, jobs=jobs):
                advance(1)
                yield done_task


def _check_identity(places: Iterable[Path]) -> None:
    from datalad_icf.dataset.aside import is_free
    from datalad_icf.dataset.run import check_identity

    # once, and not after some seconds for each of the clones
    for place in places:
        if is_free(place):
            check_identity(place)
            return


def _tell_gone(record: dict[str, Any]) -> dict[str, Any]:
    message = 'the store does not have it any more; the subdataset stays as it is'
    lgr.warning('%s/%s: %s', record['study_id'], record['visit_id'], message)
    return unneeded(record, message)
