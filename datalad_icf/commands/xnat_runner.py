"""Send several sources at once, with a record for each session"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from datalad_icf.commands.parallel import InterruptedTask, run_parallel
from datalad_icf.commands.results import Outcome, count, done, failed, unneeded
from datalad_icf.commands.visits import report_progress
from datalad_icf.commands.xnat_access import XnatAccess
from datalad_icf.errors import IcfError, SourceError, XnatConflictError
from datalad_icf.progress import Progress
from datalad_icf.xnat import (
    Exclusions,
    LocalSession,
    Naming,
    PushOptions,
    PushReport,
    Source,
    XnatClient,
    build_plan,
    check_project,
    push_session,
)

Record = dict[str, Any]


def push_sources(
    sources: list[Source],
    access: XnatAccess,
    naming: Naming,
    exclude: Exclusions,
    options: PushOptions,
    *,
    record: Record,
    jobs: int,
    dry_run: bool,
) -> Iterator[Record]:
    """Yield a record for each session, and for each source that has none

    Parameters
    ----------
    sources
        What to send.
    access
        Who sends it.
    naming, exclude, options
        How to.
    record
        What all records have, and the one of a run that does not start.
    jobs
        How many sources to send at once.
    dry_run
        Only tell what would be sent.
    """
    with ExitStack() as stack:
        run = _Run(access, naming, exclude, options, dry_run, record, stack)
        try:
            # whatever is wrong for all, once and before the rest
            run.check()
        except IcfError as e:
            yield failed(record, e)
            return
        for records in run_parallel(
            sources,
            run.push,
            jobs=min(jobs, len(sources)),
            progress=lambda source: report_progress(record['logger'], source.path),
        ):
            yield from records


@dataclass
class _Run:
    access: XnatAccess
    naming: Naming
    exclude: Exclusions
    options: PushOptions
    dry_run: bool
    record: Record
    stack: ExitStack
    _local: threading.local = field(default_factory=threading.local)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    # which source a label was given to
    _labels: dict[str, Source] = field(default_factory=dict)
    # open, and of no thread yet
    _spare: XnatClient | None = None

    def check(self) -> None:
        """Log in, and look for the projects"""
        self._spare = self.stack.enter_context(self.access.connect())
        for project in (self.options.project, *self.options.share_to):
            check_project(self._spare, project)

    def push(self, source: Source, progress: Progress) -> list[Record]:
        """Send one source; the records of its sessions"""
        record = dict(self.record, path=str(source.path), type='file')
        if source.path.is_dir():
            record['type'] = 'directory'
        if 'visit' in source.fields:
            record['visit_id'] = source.fields['visit']
        try:
            return list(self._push_sessions(source, record, progress))
        except (IcfError, OSError) as e:
            return [failed(record, e)]
        except InterruptedTask:
            return []

    def _connect(self) -> XnatClient:
        """The connection of this thread"""
        client: XnatClient | None = getattr(self._local, 'client', None)
        if client is None:
            with self._lock:
                client, self._spare = self._spare, None
            if client is None:
                client = self.access.connect()
                client.__enter__()
                with self._lock:
                    self.stack.push(client)
            self._local.client = client
        return client

    def _push_sessions(
        self, source: Source, record: Record, progress: Progress
    ) -> Iterator[Record]:
        client = self._connect()
        with source.open() as contents:
            try:
                plan = build_plan(contents, source.fields, self.naming, self.exclude)
            except SourceError as e:
                msg = f'{source.path}: {e}'
                raise SourceError(msg) from e
            warnings = list(plan.warnings)
            fields = {'excluded': plan.excluded, 'ignored': contents.ignored}
            if not plan.sessions:
                message = f'all {count(plan.excluded, "image")} are excluded'
                yield unneeded(record, message, **fields)
            for session in plan.sessions:
                one = dict(
                    record,
                    project=self.options.project,
                    subject=session.subject,
                    session=session.label,
                    study_instance_uid=session.study_instance_uid,
                    instances=len(session.instances),
                    **fields,
                )
                try:
                    self._claim(session.label, source)
                    with progress('Send', session.total_size, ' bytes') as advance:
                        report = push_session(
                            client,
                            session,
                            self.options,
                            whole=contents.whole if plan.is_whole else None,
                            dry_run=self.dry_run,
                            progress=advance,
                        )
                except IcfError as e:
                    yield failed(one, e)
                else:
                    yield done(one, self._tell(client, session, report, warnings))
                # they are about the source, so once is enough
                warnings = []
            if contents.unusable:
                yield failed(record, SourceError(_tell_unusable(contents.unusable)))

    def _claim(self, label: str, source: Source) -> None:
        """Refuse to put two sources into one session"""
        with self._lock:
            other = self._labels.setdefault(label, source)
        if other is not source:
            msg = (
                f'session {label!r} is that of {other.path.name}, too; make labels '
                'differ with a template for --session'
            )
            raise XnatConflictError(msg)

    def _tell(
        self,
        client: XnatClient,
        session: LocalSession,
        report: PushReport,
        warnings: list[str],
    ) -> Outcome:
        images = count(report.total, 'image')
        where = f'{self.options.project}/{session.subject}/{session.label}'
        warnings = [*warnings, *report.warnings]
        is_new = bool(report.sent) if self.dry_run else report.changed
        message = f'{images} in {where}'
        if self.dry_run and is_new:
            message = f'would send {report.sent} of {images} to {where}'
        elif '/prearchive/' in report.path:
            message += ', in the prearchive'
        elif report.before and report.sent:
            message += f', of which {report.sent} were sent now'
        if report.extra:
            extra = count(report.extra, 'image')
            warnings = [*warnings, f'session {session.label} has {extra} more']
        return Outcome(
            is_new,
            message,
            warnings,
            fields={
                'url': f'{client.url}{report.path}',
                'present': report.before,
                'sent': report.sent,
                'extra': report.extra,
                'size': report.size,
                'dry_run': self.dry_run,
            },
        )


def _tell_unusable(unusable: dict[str, str]) -> str:
    shown = [f'{name}: {why}' for name, why in list(unusable.items())[:3]]
    more = f', and {len(unusable) - 3} more' if len(unusable) > 3 else ''
    return (
        f'{count(len(unusable), "DICOM file")} cannot be sent: {"; ".join(shown)}{more}'
    )
