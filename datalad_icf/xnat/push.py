"""Send a session, and do not believe that it is there before it was seen there"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from datalad_icf.errors import XnatAccessError, XnatConflictError, XnatError
from datalad_icf.xnat.archiving import archive_row, wait_for_row
from datalad_icf.xnat.client import XnatClient
from datalad_icf.xnat.demographics import build_demographics, put_demographics
from datalad_icf.xnat.plan import LocalSession
from datalad_icf.xnat.remote import (
    PrearchiveRow,
    Target,
    check_same,
    find_row,
    find_session,
    make_subject,
    read_sop_uids,
    reload_row,
)
from datalad_icf.xnat.sharing import share
from datalad_icf.xnat.source import Whole
from datalad_icf.xnat.upload import Sent, upload_instances, upload_whole

# Releases from then on read tarballs.
_READS_TAR = (1, 8, 3)
_ROUNDS = 2
# two that make the same subject at once make two (XNAT-2865)
_making_subject = threading.Lock()


@dataclass(frozen=True)
class PushOptions:
    """How to send

    Parameters
    ----------
    project
        Project in XNAT.
    to
        ``archive``, or ``prearchive`` to stop before.
    existing
        What to do with a session that is there: ``skip`` leaves it alone, ``append``
        adds what is missing, ``replace`` sends all images once more, in place of
        those that are there.
    deflate
        Send a compressed zip, for slow links.
    demographics
        ``none``, ``anonymous`` or ``full``: what of them to set.
    share_to
        Projects to share subject and session into.
    """

    project: str
    to: str = 'archive'
    existing: str = 'append'
    deflate: bool = False
    demographics: str = 'none'
    share_to: tuple[str, ...] = ()


@dataclass
class PushReport:
    """What became of a session

    Attributes
    ----------
    path
        Path of the session on the server.
    total
        Number of its images.
    before
        How many were there before.
    sent
        How many were sent, those that were sent twice counted once.
    extra
        Number of images that are there, and not in the source.
    size
        Number of bytes that were sent.
    changed
        Whether anything on the server was changed.
    warnings
        Sentences.
    """

    path: str
    total: int
    before: int = 0
    sent: int = 0
    extra: int = 0
    size: int = 0
    changed: bool = False
    warnings: list[str] = field(default_factory=list)


@dataclass
class _Push:
    """A session on its way"""

    client: XnatClient
    session: LocalSession
    whole: Whole | None
    options: PushOptions
    progress: Sent
    report: PushReport
    target: Target
    wanted: frozenset[str]
    # of those that are in the archive
    present: frozenset[str] = frozenset()

    def count(self, size: int) -> None:
        self.report.size += size
        self.progress(size)

    def look(self) -> None:
        """See what is in the archive, and whether it is the same session"""
        found = find_session(self.client, self.target)
        if found is None:
            self.present = frozenset()
            return
        uid = self.session.study_instance_uid
        check_same(self.client, found, self.target, uid)
        self.present = read_sop_uids(self.client, self.target.session_path)
        self.report.path = self.target.session_path

    @property
    def missing(self) -> frozenset[str]:
        return self.wanted - self.present

    def stage(self, uids: frozenset[str]) -> PrearchiveRow | None:
        """Get images into the prearchive; None if they were archived meanwhile"""
        # what is left of an earlier try, or is another process's
        row = find_row(self.client, self.target, self.session.study_instance_uid)
        missing = uids
        for count in range(_ROUNDS + 1):
            if row:
                found = wait_for_row(self.client, row, is_complete=count > 0)
                staged = self._read_staged(found) if found else None
                if staged is None:
                    return None
                missing = uids - staged
                if not missing:
                    return row
            if count == _ROUNDS:
                break
            self.report.changed = True
            try:
                row = self._upload(missing)
            except XnatError as e:
                # of all images, it can read some
                if count and e.status_code == 400:
                    break
                raise
        raise self._incomplete(missing, 'prearchive')

    def _read_staged(self, row: PrearchiveRow) -> frozenset[str] | None:
        """See which images are in the prearchive, and that there are no others

        None if they are there no more.
        """
        if row.status == 'RECEIVING':
            # it has no scans yet, and is joined with what is sent
            return frozenset()
        try:
            staged = read_sop_uids(self.client, row.path)
        except XnatAccessError as e:
            # after an upload that broke off, it may have none either
            if e.status_code == 404:
                return frozenset() if reload_row(self.client, row) else None
            raise
        if staged - self.wanted:
            msg = (
                f'session {self.target.session!r} is in the prearchive of project '
                f'{self.target.project!r} with {len(staged - self.wanted)} images that '
                'are not to be sent; archive or delete it there, then try again'
            )
            raise XnatConflictError(msg)
        return staged

    def archive(self, row: PrearchiveRow, overwrite: str) -> None:
        """Get a row of the prearchive into the archive"""
        # the last moment to be interrupted
        self.progress(0)
        self.report.changed = True
        try:
            archive_row(self.client, row, self.target, overwrite=overwrite)
        except XnatConflictError:
            self.look()
            if self.missing or self.options.existing == 'replace':
                raise
            # another process was faster, and this is a second copy of all
            self.client.call('DELETE', row.path, allow=[403, 404])
            self.report.warnings.append(
                f'session {self.target.session} was sent by somebody else, too'
            )

    def _upload(self, uids: frozenset[str]) -> PrearchiveRow:
        uid = self.session.study_instance_uid
        self.report.sent = max(self.report.sent, len(uids))
        if (
            self.whole
            and uids == self.wanted
            and not self.options.deflate
            and (
                self.whole.content_type == 'application/zip'
                or self.client.version >= _READS_TAR
            )
        ):
            return upload_whole(self.client, self.target, uid, self.whole, self.count)
        instances = [one for k, one in self.session.instances.items() if k in uids]
        return upload_instances(
            self.client,
            self.target,
            uid,
            instances,
            self.count,
            deflate=self.options.deflate,
        )

    def incomplete(self, place: str) -> XnatError:
        return self._incomplete(self.missing, place)

    def _incomplete(self, uids: frozenset[str], place: str) -> XnatError:
        names = sorted(self.session.instances[uid].name for uid in uids)
        more = f' and {len(names) - 3} more' if len(names) > 3 else ''
        return XnatError(
            f'{len(names)} of {len(self.wanted)} images did not arrive in the {place} '
            f'of {self.client.url}, although they were sent twice: '
            f'{", ".join(names[:3])}{more}. Look at the log of the server'
        )


def push_session(
    client: XnatClient,
    session: LocalSession,
    options: PushOptions,
    *,
    whole: Whole | None = None,
    dry_run: bool = False,
    progress: Callable[[int], None] = lambda _count: None,
) -> PushReport:
    """Send a session, as much of it as is not there, and verify that all is

    What is compared are SOP Instance UIDs: those of the source with those in the
    catalogues of the server.

    Parameters
    ----------
    client
        The connection.
    session
        What to send.
    options
        How to.
    whole
        The source as it is, where the session is all that is in it.
    dry_run
        Only look what would be sent; `PushReport.sent` says it.
    progress
        Is told the number of bytes that were sent, and may raise in order to stop.

    Raises
    ------
    XnatAccessError
        If there is no such project, or the user may not send there. Nothing was
        changed then.
    XnatConflictError
        If XNAT has something else there.
    XnatError
        If anything is missing in the end.
    """
    target = Target(options.project, session.subject, session.label)
    wanted = frozenset(session.instances)
    push = _Push(
        client,
        session,
        whole,
        options,
        progress,
        PushReport(target.session_path, len(wanted)),
        target,
        wanted,
    )
    try:
        return _run(push, dry_run=dry_run)
    except XnatAccessError as e:
        if not push.report.changed:
            raise
        # that would say that nothing was done
        raise XnatError(str(e), e.status_code) from e


def _run(push: _Push, *, dry_run: bool) -> PushReport:
    push.look()
    client, target, wanted = push.client, push.target, push.wanted
    options, report = push.options, push.report
    report.before = len(wanted & push.present)
    to_send = wanted if options.existing == 'replace' else push.missing
    if to_send and push.present and options.existing == 'skip':
        msg = (
            f'session {target.session!r} is in project {target.project!r} with '
            f'{report.before} of {report.total} images; --existing append adds the '
            'others'
        )
        raise XnatConflictError(msg)
    if dry_run:
        report.sent = len(to_send)
        return report
    if to_send:
        with _making_subject:
            make_subject(client, target)
        if options.to == 'prearchive':
            row = push.stage(to_send)
            report.path = row.path if row else target.session_path
            return report
        _archive(push, to_send)
    report.extra = len(push.present - wanted)
    try:
        _finish(push)
    except XnatError as e:
        kind = XnatConflictError if isinstance(e, XnatConflictError) else XnatError
        msg = f'all images are there, but {e}'
        raise kind(msg, e.status_code) from e
    return report


def _archive(push: _Push, to_send: frozenset[str]) -> None:
    overwrite = 'delete' if push.options.existing == 'replace' and push.present else ''
    for _ in range(_ROUNDS):
        row = push.stage(to_send)
        if row:
            push.archive(row, overwrite)
        push.look()
        to_send, overwrite = push.missing, ''
        if not to_send:
            return
    raise push.incomplete('archive')


def _finish(push: _Push) -> None:
    """What comes after the images"""
    options, series = push.options, push.session.series
    if options.to == 'prearchive':
        return
    if options.demographics != 'none':
        known = build_demographics(
            series.sex,
            series.birth_date,
            series.age,
            anonymous=options.demographics == 'anonymous',
        )
        if put_demographics(push.client, push.target, known):
            push.report.changed = True
    for destination in options.share_to:
        for path in (push.target.subject_path, push.target.session_path):
            if share(push.client, path, destination):
                push.report.changed = True
