"""Deposit the dataset of a visit in the store"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from datalad_icf.dataset.branches import VisitDataset
from datalad_icf.dataset.git import (
    ANNEX,
    MAIN,
    build_repository,
    format_refs,
    read_commit_time,
    read_refs,
)
from datalad_icf.dataset.zip_file import export_repository, unpack_export
from datalad_icf.errors import (
    ConflictError,
    DamagedExportError,
    MetadataError,
    PreconditionError,
)
from datalad_icf.progress import Progress, no_progress
from datalad_icf.store import (
    DEFAULT_STORE_URL,
    InstanceMetadata,
    TarballMetadata,
    VisitPaths,
    build_clone_url,
    check_store_url,
    draft_file,
    read_instances,
    read_regular,
    read_tarball_metadata,
)


@dataclass
class DatasetReport:
    """What `deposit_dataset` did

    Attributes
    ----------
    is_new
        Whether the dataset was written, or was there and is the same.
    dataset_id
        DataLad's id of the dataset.
    commit
        Commit id of the main branch.
    clone_url
        URL from which ``datalad clone`` gets the dataset.
    instances
        Number of images in the dataset.
    warnings
        What somebody should look at, a sentence each.
    restored
        Names of files that were lost, and were written again.
    """

    is_new: bool
    dataset_id: str
    commit: str
    clone_url: str
    instances: int
    warnings: list[str] = field(default_factory=list)
    restored: list[str] = field(default_factory=list)


def deposit_dataset(
    paths: VisitPaths,
    *,
    store_url: str = DEFAULT_STORE_URL,
    replace: bool = False,
    progress: Progress = no_progress,
) -> DatasetReport:
    """Make the dataset of a visit from its metadata

    The same metadata and URL make the same commits and files. All times in the
    dataset are the newest in the tarball, or that of the environment variable
    ``SOURCE_DATE_EPOCH``; where a dataset is replaced, they are later than those
    of the old one, so that a clone prefers the new records.

    Parameters
    ----------
    paths
        The visit.
    store_url
        Base URL of the store, without user and password.
    replace
        Whether another dataset is replaced.
    progress
        Told of the steps.

    Raises
    ------
    MissingInputError
        If there are no metadata.
    MetadataError
        If they are damaged, or cannot be a dataset.
    ConflictError
        If there is another dataset, and it is not to be replaced.
    GitError
        If git is missing, or fails.
    BusyError, StoreAccessError, StoreWriteError
        See `datalad_icf.store.draft_file`.
    """
    tarball = read_tarball_metadata(paths.tarball_metadata)
    instances = read_instances(paths.dicoms_metadata, tarball.dicoms_md5)
    if (tarball.dspath, tarball.storepath) != (paths.dataset_path, paths.store_path):
        msg = f'{paths.tarball_metadata} is of another visit, {tarball.storepath}'
        raise MetadataError(msg)
    maker = _Maker(tarball, instances, check_store_url(store_url))
    with (
        _work_directory() as work,
        draft_file(paths.repo_export) as export,
        draft_file(paths.refs) as refs,
        progress('Dataset', len(instances), ' images') as advance,
    ):
        old = _read_existing(paths, Path(work, 'old'), replace=replace)
        time = maker.timestamp if old.timestamp is None else old.timestamp
        made = maker.make(Path(work, 'same'), time)
        refs_text = format_refs(made.refs)
        if old.refs == made.refs or (not old.refs and old.refs_text in ('', refs_text)):
            missing = [] if old.refs else [export]
            missing += [] if old.refs_text == refs_text else [refs]
            is_new = not old.refs and not old.refs_text
        elif replace:
            made = maker.make(Path(work, 'later'), max(maker.timestamp, time + 1))
            refs_text = format_refs(made.refs)
            missing = [export, refs]
            is_new = True
        else:
            msg = (
                f'{paths.repo_export} or its refs exist, and are not of these metadata '
                'and this store URL; see what is right, then use --existing replace'
            )
            raise ConflictError(msg)
        if missing:
            export_repository(made.git_dir, made.refs, export.path)
            refs.write(refs_text.encode())
        advance(len(instances))
        # a clone reads the refs first, and must find their commits
        for draft in missing:
            draft.place(replace=True)
    return DatasetReport(
        is_new=is_new,
        dataset_id=str(made.dataset.dataset_id),
        commit=made.refs[MAIN],
        clone_url=build_clone_url(store_url, paths.deposit_prefix),
        instances=len(instances),
        warnings=list(_tell(made.dataset, instances)),
        restored=[] if is_new else [draft.target.name for draft in missing],
    )


@contextmanager
def _work_directory() -> Iterator[str]:
    try:
        work = tempfile.TemporaryDirectory(prefix='datalad-icf-')
    except OSError as e:
        msg = f'no temporary directory: {e}; set TMPDIR to a directory with room'
        raise PreconditionError(msg) from e
    with work as path:
        yield path


@dataclass(frozen=True)
class _Made:
    dataset: VisitDataset
    git_dir: Path
    refs: dict[str, str]


class _Maker:
    """Makes the dataset, as of some time"""

    def __init__(
        self, tarball: TarballMetadata, instances: list[InstanceMetadata], url: str
    ) -> None:
        self._tarball = tarball
        self._instances = instances
        self._url = url
        newest = os.environ.get('SOURCE_DATE_EPOCH') or tarball.mtime or 0
        try:
            # git has no times before 1970
            self.timestamp = max(0, int(newest))
        except ValueError as e:
            msg = f'SOURCE_DATE_EPOCH is {newest!r}, and no number of seconds'
            raise PreconditionError(msg) from e

    def make(self, git_dir: Path, timestamp: int) -> _Made:
        dataset = VisitDataset(
            self._tarball, self._instances, store_url=self._url, timestamp=timestamp
        )
        refs = build_repository(
            git_dir,
            {MAIN: dataset.iter_main(), ANNEX: dataset.iter_annex()},
            message=f'Deposit {self._tarball.storepath}',
            timestamp=timestamp,
        )
        return _Made(dataset, git_dir, refs)


@dataclass(frozen=True)
class _Existing:
    """The deposit that is there; what is not there is empty"""

    refs: dict[str, str]
    refs_text: str
    timestamp: int | None


def _read_existing(paths: VisitPaths, git_dir: Path, *, replace: bool) -> _Existing:
    for path in (paths.refs, paths.repo_export):
        if path.is_dir():
            # whatever is in there is not to be lost
            msg = f'{path} is a directory; see what is in it, and remove it'
            raise ConflictError(msg)
    refs_text = ''
    if paths.refs.exists():
        try:
            refs_text = read_regular(paths.refs).decode(errors='replace')
        except OSError:
            # such as a FIFO: it is corrected like other wrong refs
            refs_text = 'damaged'
    if not paths.repo_export.exists():
        return _Existing({}, refs_text, None)
    try:
        unpack_export(paths.repo_export, git_dir)
        refs = read_refs(git_dir)
        return _Existing(refs, refs_text, read_commit_time(git_dir, ANNEX))
    except DamagedExportError as e:
        if replace:
            # clones have seen times of the past at most
            written = int(paths.repo_export.stat().st_mtime)
            return _Existing({'damaged': ''}, refs_text, written)
        msg = f'{paths.repo_export} cannot be read; use --existing replace ({e})'
        raise ConflictError(msg) from e


def _tell(dataset: VisitDataset, instances: list[InstanceMetadata]) -> Iterator[str]:
    if not instances:
        yield 'there are no DICOM files; the dataset has the tarball alone'
    if names := dataset.only_by_offset:
        yield (
            f'the archivist special remote cannot look up {len(names)} of the names, '
            f'like {names[0]!r}; a clone needs icf-archivist for these images'
        )
