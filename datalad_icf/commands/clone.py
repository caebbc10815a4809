"""``datalad icf-clone``: clone visits, ready to get single images"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from datalad_next.commands import (
    EnsureCommandParameterization,
    Parameter,
    ValidatedInterface,
    build_doc,
    eval_results,
)
from datalad_next.constraints import EnsureStr

from datalad_icf.commands import params
from datalad_icf.commands.results import (
    Outcome,
    count,
    done,
    failed,
    render_result,
    visit_record,
)
from datalad_icf.commands.summary import render_summary
from datalad_icf.errors import IcfError, PreconditionError
from datalad_icf.store import Visit

if TYPE_CHECKING:
    from datalad_icf.dataset.clone_source import Deposit
    from datalad_icf.dataset.ranges import StoreClient

lgr = getLogger('datalad.icf.clone')

_ACTION = 'icf_clone'


@build_doc
class IcfClone(ValidatedInterface):
    """Clone the dataset of a visit, or of many

    The address is made of the store, the study and the visit. The clone is set up so
    that 'datalad get' of an image costs the bytes of this image, and not those of the
    tarball. DataLad's credential for the store is used; somebody who can be asked is
    asked for it, once.

    Where a clone of the visit is already, it is brought to the state of the store,
    if that is another one, and reported as 'notneeded' otherwise. After a failure,
    nothing is left behind.
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
            doc="""base URL of the store [default: configuration
            'datalad.icf.store-url', or https://data.inm-icf.de]""",
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
            which others can get them""",
        ),
        'credential': Parameter(
            args=('--credential',),
            metavar='NAME',
            doc="""name of a credential of DataLad with the user and the password. It
            is asked for and stored, if there is none of that name. [default: the one
            for the server and the name that it gives to its protected area]""",
        ),
    }
    _examples_: ClassVar[list[dict[str, str]]] = [
        {
            'text': 'Clone a visit, and get one image',
            'code_cmd': 'datalad icf-clone --id my-study P000123 '
            '--store-url https://store.example.org\n'
            '% datalad get P000123/my-study_P000123/scan-003/0001.dcm',
            'code_py': "icf_clone(id=('my-study', 'P000123'), "
            "store_url='https://store.example.org')",
        },
        {
            'text': 'Make a dataset of all visits of a study, or add new visits to it',
            'code_cmd': "datalad icf-clone --id my-study '*' --superdataset my-study",
            'code_py': "icf_clone(id=('my-study', '*'), superdataset='my-study')",
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
    ) -> Iterator[dict[str, Any]]:
        from datalad_icf.commands.clone_steps import clone_visit, create_superdataset
        from datalad_icf.dataset.clone_source import find_deposits
        from datalad_icf.dataset.login import DataladLogin
        from datalad_icf.dataset.ranges import StoreClient
        from datalad_icf.dataset.superdataset import check_superdataset

        chosen = (superdataset or target or Path()).expanduser()
        base = Path(os.path.abspath(chosen))
        url = store_url or params.EnsureStoreUrl()(None)
        login = DataladLogin(
            name=credential, suggestion=f'icf-{id.study_id}', server=url
        )
        store = _Store(
            store_dir.as_uri() if store_dir else url, store_dir, StoreClient(login)
        )
        try:
            if store_url and store_dir:
                raise PreconditionError('--store-url and --store-dir are two stores')
            if target and superdataset:
                raise PreconditionError('visits are either at TARGET or below DIR')
            visits = find_deposits(store.url, id, store.client, store_dir=store_dir)
            if superdataset and not check_superdataset(base):
                # only where there is something to put into it
                store.find(visits[0])
                create_superdataset(base)
        except IcfError as e:
            yield failed(visit_record(_ACTION, id, base, logger=lgr), e)
            return
        clones: dict[str, str] = {}
        for visit in visits:
            is_place = target and not id.is_pattern
            place = base if is_place else base / visit.visit_id
            record = visit_record(_ACTION, visit, place, logger=lgr)
            record['type'] = 'dataset'
            try:
                deposit = store.find(visit)
                outcome = clone_visit(place, deposit)
            except (IcfError, OSError) as e:
                yield failed(record, e)
                continue
            clones[visit.visit_id] = deposit.clone_url
            yield done(record, outcome)
        if superdataset and clones:
            yield _register(base, id, clones)


@dataclass(frozen=True)
class _Store:
    url: str
    directory: Path | None
    client: StoreClient

    def find(self, visit: Visit) -> Deposit:
        from datalad_icf.dataset.clone_source import find_deposit

        return find_deposit(self.url, visit, self.client, store_dir=self.directory)


def _register(directory: Path, visit: Visit, clones: dict[str, str]) -> dict[str, Any]:
    from datalad_icf.dataset.clone import locked_clone, read_commit
    from datalad_icf.dataset.superdataset import register_visits

    record = visit_record(_ACTION, visit, directory, logger=lgr)
    record['type'] = 'dataset'
    try:
        with locked_clone(directory):
            is_new = register_visits(directory, clones)
            commit = read_commit(directory)
    except IcfError as e:
        return failed(record, e)
    message = f'{count(len(clones), "visit")} as subdatasets'
    return done(
        record, Outcome(is_new=is_new, message=message, fields={'commit': commit})
    )
