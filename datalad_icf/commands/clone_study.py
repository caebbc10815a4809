"""The dataset of a study that ``icf-clone`` fills"""

from __future__ import annotations

from collections.abc import Iterable
from logging import getLogger
from pathlib import Path
from typing import Any

from datalad_icf.commands.clone_steps import ACTION, create_superdataset
from datalad_icf.commands.results import Outcome, count, done, failed, visit_record
from datalad_icf.dataset.clone import locked_clone, read_commit
from datalad_icf.dataset.clone_source import Deposit
from datalad_icf.dataset.superdataset import (
    check_superdataset,
    find_registered,
    register_visits,
    remove_unused,
)
from datalad_icf.errors import IcfError
from datalad_icf.store import Visit

lgr = getLogger('datalad.icf.clone')

# visits that are registered by one commit; so many are lost, if it is killed
_AT_ONCE = 20


class StudyDataset:
    """The dataset of a study, which gets its visits while others are cloned

    Parameters
    ----------
    directory
        Where it is, or will be.
    visit
        The study, and the visit or the pattern that the user asked for.
    """

    def __init__(self, directory: Path, visit: Visit) -> None:
        self._directory = directory
        self._visit = visit
        self._is_created = False
        self._is_changed = False
        self._error: IcfError | None = None
        self._count = 0
        # addresses of what is not registered yet
        self._pending: dict[str, str] = {}

    @property
    def is_used(self) -> bool:
        """Whether a visit got into it"""
        return self._count > 0

    def find_others(self, store_url: str, places: Iterable[Visit]) -> dict[Visit, Path]:
        """Find visits that are in it, but not among those that the store lists"""
        if not check_superdataset(self._directory) or not self._visit.is_pattern:
            return {}
        found = find_registered(self._directory, store_url, self._visit)
        listed = set(places)
        return {v: self._directory / v.visit_id for v in found if v not in listed}

    def create(self) -> None:
        """Make it, if it is not there"""
        self._is_created = create_superdataset(self._directory)

    def add(self, visit: Visit, deposit: Deposit) -> None:
        """Make a clone a subdataset, with some others at a time"""
        self._pending[visit.visit_id] = deposit.clone_url
        self._count += 1
        if self._count % _AT_ONCE == 0:
            self._register()

    def close(self) -> None:
        """Register what is not yet; remove what was made for nothing"""
        if self._pending:
            self._register()
        if self._is_created and not self.is_used:
            remove_unused(self._directory)

    def _register(self) -> None:
        try:
            with locked_clone(self._directory):
                is_new = register_visits(self._directory, self._pending)
        except IcfError as e:
            # with those that come next, once more
            self._error = e
            return
        self._error = None
        self._is_changed = self._is_changed or is_new
        self._pending.clear()

    def tell(self) -> dict[str, Any]:
        """Make its record"""
        record = visit_record(ACTION, self._visit, self._directory, logger=lgr)
        record['type'] = 'dataset'
        try:
            if self._error:
                raise self._error
            commit = read_commit(self._directory)
        except IcfError as e:
            return failed(record, e)
        kind = 'a subdataset' if self._count == 1 else 'subdatasets'
        message = f'{count(self._count, "visit")} as {kind}'
        fields = {'commit': commit}
        return done(
            record, Outcome(is_new=self._is_changed, message=message, fields=fields)
        )
