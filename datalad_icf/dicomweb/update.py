"""Put the part of a visit into the tree of its study, or take it away

What is served fits together at any moment. All is made beside the tree; then the
directory of each DICOM study appears as a whole, and the list of studies follows. A
process that is killed in between leaves a note, upon which the next one makes the
list again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from datalad_icf.dicomweb.assemble import (
    check_series,
    link_file,
    link_tree,
    write_study,
)
from datalad_icf.dicomweb.documents import (
    Documents,
    has_document,
    place_list,
    read_document,
)
from datalad_icf.dicomweb.search import build_list
from datalad_icf.dicomweb.servers import build_htaccess
from datalad_icf.dicomweb.staging import PARKED, clear_stale, open_staging
from datalad_icf.dicomweb.state import (
    StudyShare,
    TreeState,
    VisitState,
    list_shares,
    read_share,
    state_file,
    write_share,
    write_state,
)
from datalad_icf.dicomweb.swap import can_exchange, put_directory
from datalad_icf.dicomweb.tree import INDEX, STATE_DIR, StudyTree
from datalad_icf.errors import ConflictError, TreeError
from datalad_icf.store import VisitPaths, locked

_HTACCESS = '.htaccess'


class TreeUpdate:
    """A change of a tree, made by `stage_visit`

    Parameters
    ----------
    paths
        The visit.
    staging
        Directory that gets the part of the visit, as if it were the tree.
    """

    def __init__(self, paths: VisitPaths, staging: Path) -> None:
        self.staging = staging
        self._paths = paths
        self._visit_id = paths.visit.visit_id
        self._root = paths.dicomweb_dir
        self._state = TreeState(self._root)

    def owner(self, study_uid: str, series_uid: str) -> str | None:
        """The other visit, if there is one, that has a series already

        Raises
        ------
        TreeError
            If the tree is damaged.
        """
        for visit_id, share in self._others(study_uid).items():
            if series_uid in share.series:
                return visit_id
        return None

    def commit(
        self,
        shares: dict[str, StudyShare],
        state: VisitState | None,
        documents: Documents,
        *,
        study_metadata: bool = False,
    ) -> None:
        """Let the part of the visit appear in place of what it had before

        Parameters
        ----------
        shares
            *Study Instance UID* to what the visit has of the study now.
        state
            What the visit has in all; nothing if it is dropped.
        documents
            How documents are written.
        study_metadata
            Whether each study gets the metadata of all its series as one document.

        Raises
        ------
        ConflictError
            If another visit has got one of the series meanwhile.
        TreeError
            If the tree is damaged.
        """
        with locked(self._root):
            if not self._state.is_finished:
                clear_stale(self._paths)
            self._commit(shares, state, documents, study_metadata)

    def _commit(
        self,
        shares: dict[str, StudyShare],
        state: VisitState | None,
        documents: Documents,
        study_metadata: bool,
    ) -> None:
        for study_uid, share in shares.items():
            for series_uid in share.series:
                if owner := self.owner(study_uid, series_uid):
                    msg = f'visit {owner} has series {series_uid} already'
                    raise ConflictError(msg)
        # first all that needs space; then nothing but names are changed
        affected = sorted(shares.keys() | self._former_studies())
        dropped = [
            uid
            for uid in affected
            if not self._stage_study(uid, shares.get(uid), documents, study_metadata)
        ]
        present = {path.name for path in self._state.studies()}
        lists = [self._stage_index('lists', affected, dropped, documents)]
        if present.intersection(affected) and not can_exchange(self.staging):
            # what is at neither place for a moment is not listed meanwhile
            without = self._stage_index('without', affected, affected, documents)
            lists.insert(0, without)
        made = self.staging / 'state'
        if state is not None:
            write_state(made, state)
        htaccess = self._stage_htaccess()
        for directory in (self.staging / PARKED, self._root / 'studies'):
            directory.mkdir(parents=True, exist_ok=True)
        self._state.begin(self._visit_id)
        if htaccess is not None:
            htaccess.replace(self._root / _HTACCESS)
        for index in lists[:-1]:
            place_list(index, self._root / 'studies')
        for uid in affected:
            if uid not in dropped:
                self._put(uid)
        place_list(lists[-1], self._root / 'studies')
        for uid in dropped:
            # at once, and no longer listed
            os.rename(self._present(uid).path, self.staging / f'dropped-{uid}')
        if state is not None:
            self._state.place(self._visit_id, made)
        self._state.end()

    def _present(self, study_uid: str) -> StudyTree:
        return StudyTree(self._root, study_uid)

    def _staged(self, study_uid: str) -> StudyTree:
        return StudyTree(self.staging, study_uid)

    def _former_studies(self) -> set[str]:
        return {
            path.name
            for path in self._state.studies()
            if state_file(path / STATE_DIR, self._visit_id).exists()
        }

    def _others(self, study_uid: str) -> dict[str, StudyShare]:
        """What other visits have of a study; what this one has is made anew"""
        study, shares = self._present(study_uid), {}
        for visit_id in list_shares(study):
            if visit_id == self._visit_id:
                continue
            try:
                share = read_share(study, visit_id)
            except ValueError as e:
                raise self._damaged(e, study, visit_id) from e
            if share is not None:
                shares[visit_id] = share
        return shares

    def _damaged(self, error: Exception, study: StudyTree, visit_id: str) -> TreeError:
        problem = error
        if isinstance(error, OSError):
            problem = ValueError(f'{error.filename} is not there')
        return TreeError(
            f'{problem}; run icf-dicomweb for visit {visit_id}. Should that '
            f'complain of another visit, remove {study.path}, and run it for both'
        )

    def _stage_study(
        self,
        study_uid: str,
        share: StudyShare | None,
        documents: Documents,
        study_metadata: bool,
    ) -> bool:
        """Make the directory of a study, with what other visits have of it, if any"""
        shares = self._others(study_uid)
        present, staged = self._present(study_uid), self._staged(study_uid)
        if shares and has_document(present.metadata):
            study_metadata = True
        for other in shares.values():
            self._link_share(study_uid, other, study_metadata)
        if share is not None:
            shares[self._visit_id] = share
        if not shares:
            return False
        write_study(
            self.staging,
            study_uid,
            shares,
            documents,
            study_metadata=study_metadata,
        )
        for each in shares.values():
            write_share(staged, each)
        return True

    def _link_share(
        self, study_uid: str, share: StudyShare, study_metadata: bool
    ) -> None:
        """Take over what another visit has of a study"""
        present, staged = self._present(study_uid), self._staged(study_uid)
        try:
            for series_uid in share.series:
                link_tree(present.series(series_uid), staged.series(series_uid))
                check_series(staged, series_uid, with_metadata=study_metadata)
            for name in share.bulkdata:
                if not (staged.bulkdata / name).exists():
                    staged.bulkdata.mkdir(parents=True, exist_ok=True)
                    link_file(present.bulkdata / name, staged.bulkdata / name)
        except (ValueError, FileNotFoundError) as e:
            raise self._damaged(e, present, share.visit_id) from e

    def _stage_index(
        self,
        name: str,
        changed: list[str],
        dropped: list[str],
        documents: Documents,
    ) -> Path:
        """Make the list of studies, return the directory that it is in"""
        lines = self._read_index()
        uids = {path.name for path in self._state.studies()}.union(changed)
        records = []
        for uid in sorted(uids.difference(dropped)):
            place = self._staged(uid) if uid in changed else self._present(uid)
            if uid in changed or uid not in lines:
                lines[uid] = _read_record(place.path / INDEX)
            if lines[uid]:
                records.append(lines[uid])
        part = self.staging / name
        part.mkdir()
        documents.write_list(part, build_list(records))
        return part

    def _read_index(self) -> dict[str, bytes]:
        """Read the records of the list of studies, unless it may not fit"""
        if not self._state.is_finished:
            return {}
        try:
            text = read_document(self._root / 'studies' / INDEX) or b'[]'
            records = json.loads(text)
            lines = text[2:-3].split(b',\n') if records else []
            uids = [record['0020000D']['Value'][0] for record in records]
            return dict(zip(uids, lines)) if len(uids) == len(lines) else {}
        except (ValueError, LookupError, TypeError):
            return {}

    def _put(self, study_uid: str) -> None:
        put_directory(
            self._staged(study_uid).path,
            self._present(study_uid).path,
            self.staging / PARKED / study_uid,
        )

    def _stage_htaccess(self) -> Path | None:
        """Write the configuration for a server, if it is another one"""
        text, path = build_htaccess().encode(), self._root / _HTACCESS
        if path.exists() and path.read_bytes() == text:
            return None
        made = self.staging / _HTACCESS
        made.write_bytes(text)
        return made


def _read_record(path: Path) -> bytes:
    """Read the record of a study, nothing if it is damaged"""
    try:
        text = read_document(path) or b''
        json.loads(text)
    except ValueError:
        return b''
    return text[2:-3]


@contextmanager
def stage_visit(paths: VisitPaths) -> Iterator[TreeUpdate]:
    """Open a directory in which the part of a visit is made

    Raises
    ------
    BusyError
        If another process converts the same visit.
    StoreAccessError, StoreWriteError
        If the store cannot be written to, or is full.
    """
    with open_staging(paths) as staging:
        yield TreeUpdate(paths, staging)
