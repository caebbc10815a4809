"""The fields that all result records share, and how core errors become records"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from logging import Logger
from pathlib import Path
from typing import Any

from datalad_next.commands import generic_result_renderer, get_status_dict
from datalad_next.exceptions import CapturedException

from datalad_icf.errors import PreconditionError
from datalad_icf.store import Visit


@dataclass(frozen=True)
class Outcome:
    """What a command did to a visit

    Attributes
    ----------
    is_new
        Whether something was made, or was there and is the same.
    message
        What is there now, for people.
    warnings
        Sentences that are logged, and stand in the record.
    restored
        Names of files that were lost, and were written again.
    fields
        Fields of the record that only this command has.
    """

    is_new: bool
    message: str
    warnings: list[str] = field(default_factory=list)
    restored: list[str] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)


def visit_record(
    action: str, visit: Visit, path: Path, *, logger: Logger
) -> dict[str, Any]:
    """Make a record without status

    Parameters
    ----------
    action
        Python name of the command.
    visit
        Study and visit, which become ``study_id`` and ``visit_id``.
    path
        The file that the command makes, or the directory of the study.
    logger
        Logger of the command.
    """
    record: dict[str, Any] = get_status_dict(
        action=action,
        path=str(path),
        type='directory' if os.path.isdir(path) else 'file',
        logger=logger,
        study_id=visit.study_id,
        visit_id=visit.visit_id,
    )
    return record


def failed(record: dict[str, Any], error: Exception) -> dict[str, Any]:
    """Complete a record with an error of the core

    ``impossible`` if nothing was touched, otherwise ``error``.
    """
    status = 'impossible' if isinstance(error, PreconditionError) else 'error'
    return dict(
        record,
        status=status,
        message=str(error),
        exception=CapturedException(error),
    )


def done(record: dict[str, Any], outcome: Outcome) -> dict[str, Any]:
    """Complete a record: ``ok`` if something was made, otherwise ``notneeded``"""
    message = outcome.message
    more = {}
    if outcome.restored:
        message = f'written again: {", ".join(outcome.restored)}'
        more['restored'] = outcome.restored
    elif not outcome.is_new:
        message = f'there already: {message}'
    about = '/'.join(record[k] for k in ('study_id', 'visit_id') if k in record)
    for warning in outcome.warnings:
        record['logger'].warning('%s: %s', about or record['path'], warning)
    return dict(
        record,
        status='ok' if outcome.is_new else 'notneeded',
        message=message,
        warnings=outcome.warnings,
        **more,
        **outcome.fields,
    )


def unneeded(record: dict[str, Any], message: str, **fields: Any) -> dict[str, Any]:
    """Complete a record: ``notneeded``, and not because something is there"""
    return dict(record, status='notneeded', message=message, warnings=[], **fields)


def count(number: int | None, noun: str) -> str:
    """Say how many there are

    Examples
    --------
    >>> count(1, 'image'), count(384, 'image')
    ('1 image', '384 images')
    """
    return f'{number} {noun}' if number == 1 else f'{number} {noun}s'


def render_result(res: dict[str, Any], **_kwargs: Any) -> None:
    """Show a result, also one that was not needed, which DataLad shows to nobody"""
    if res['status'] != 'notneeded':
        generic_result_renderer(res)
        return
    from datalad_next.uis import ui_switcher

    text = f'{res["action"]}(notneeded): {res["path"]} [{res["message"]}]'
    ui_switcher.message(text)
