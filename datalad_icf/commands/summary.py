"""What is said of many visits at the end, for people"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from datalad_icf.commands.results import count
from datalad_icf.store import PATTERN_CHARACTERS

_MAX_LISTED = 20
# from good to bad; of a visit with several records, the worst counts
_STATES = ('notneeded', 'ok', 'not verified', 'failed', 'with findings')
_GOOD = _STATES[:2]


def render_summary(
    results: list[Any], action_summary: dict[str, dict[str, int]]
) -> None:
    """Show how many visits went well, and which did not, if there are several

    Parameters
    ----------
    results
        Records, without those that were filtered.
    action_summary
        Number of all records by action and status.
    """
    from datalad_next.uis import ui_switcher

    number = sum(sum(one.values()) for one in action_summary.values())
    for line in summarise(results, is_whole=len(results) == number):
        ui_switcher.message(line)


def summarise(results: list[Any], *, is_whole: bool = True) -> Iterator[str]:
    """Make the lines of a summary

    Parameters
    ----------
    results
        Records.
    is_whole
        Whether these are all records, so that their visits can be counted.

    Examples
    --------
    >>> visit = {'study_id': 'S1', 'message': 'no room'}
    >>> good = {**visit, 'visit_id': 'V01', 'status': 'ok'}
    >>> bad = {**visit, 'visit_id': 'V02', 'status': 'error'}
    >>> print(*summarise([good, bad]), sep='\\n')
    2 visits: 1 ok, 1 failed
      S1/V02: no room
    """
    states: dict[str, str] = {}
    problems: dict[str, list[str]] = {}
    for record in results:
        if not isinstance(record, dict) or 'visit_id' not in record:
            continue
        label = f'{record["study_id"]}/{record["visit_id"]}'
        state = _find_state(record)
        if not PATTERN_CHARACTERS.isdisjoint(record['visit_id']):
            # about the study as such
            label = record['study_id']
        else:
            states[label] = max(states.get(label, state), state, key=_STATES.index)
        if state not in _GOOD:
            lines = str(record.get('message', '')).splitlines() or ['']
            problems.setdefault(label, []).append(record.get('code', lines[0]))
    if len(states) < 2:
        return
    if is_whole:
        found = list(states.values())
        shown = ('ok', 'notneeded', *_STATES[2:])
        parts = [f'{found.count(s)} {s}' for s in shown if s in found]
        yield f'{count(len(states), "visit")}: {", ".join(parts)}'
    for label, texts in sorted(problems.items())[:_MAX_LISTED]:
        yield f'  {label}: {", ".join(dict.fromkeys(texts))}'
    if len(problems) > _MAX_LISTED:
        yield f'  and {len(problems) - _MAX_LISTED} more'


def _find_state(record: dict[str, Any]) -> str:
    status = str(record['status'])
    if status in _GOOD:
        return status
    if 'code' not in record:
        return 'failed'
    return 'with findings' if status == 'error' else 'not verified'
