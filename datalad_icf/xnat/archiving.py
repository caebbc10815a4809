"""From the prearchive into the archive, however long that takes"""

from __future__ import annotations

import time
from urllib.parse import quote

from datalad_icf.errors import (
    XnatAccessError,
    XnatConflictError,
    XnatError,
)
from datalad_icf.xnat.client import XnatClient
from datalad_icf.xnat.remote import (
    BUSY,
    PrearchiveRow,
    Target,
    read_log,
    reload_row,
)

# Between two looks at a session that the server is busy with.
POLL_SECONDS = 2.0
# After that long, somebody should have a look.
PATIENCE = 7200.0
_TRIES = 3
# After that long, whoever was sending into a session does so no more.
RECEIVING_PATIENCE = 300.0


def archive_row(
    client: XnatClient, row: PrearchiveRow, target: Target, *, overwrite: str = ''
) -> str:
    """Archive a session of the prearchive

    XNAT answers 500 when it takes more than ten minutes, and goes on. What became of
    it is then read from the row, and nothing is asked for twice.

    Parameters
    ----------
    client
        The connection.
    row
        The session in the prearchive.
    target
        Where it is to be.
    overwrite
        What may happen to files that are there: nothing, or ``delete``.

    Returns
    -------
    str
        Path of the session in the archive. Whether all is there is for others to see.

    Raises
    ------
    XnatConflictError
        If XNAT has a reason not to, which the message has.
    XnatError
        If it fails otherwise, or takes longer than two hours.
    """
    path = (
        f'/data/archive/projects/{quote(target.project, safe="")}/subjects/'
        f'{quote(target.subject, safe="")}/experiments/{quote(target.session, safe="")}'
    )
    query = {
        'src': row.source,
        'project': target.project,
        'subject': target.subject,
        'session': target.session,
    }
    if overwrite:
        query['overwrite'] = overwrite
    for _ in range(_TRIES):
        problem: XnatError
        try:
            client.call('POST', '/data/services/archive', query=query, retry=False)
        except XnatAccessError as e:
            # 404: somebody else was faster; 403: is about to be, or it is forbidden
            problem = e
        except XnatError as e:
            problem = e
        else:
            return path
        found = wait_for_row(client, row)
        if found is None:
            return path
        if found.status in ('CONFLICT', 'ERROR'):
            reason = read_log(client, found) or 'XNAT does not tell why'
            msg = (
                f'{client.url} does not archive session {target.session!r} of project '
                f'{target.project!r}: {reason}. It is in the prearchive'
            )
            raise XnatConflictError(msg, problem.status_code)
        # It can be tried again, with the same outcome. Somebody else may be sending the
        # same images into it, or was a moment ago, when the server refused.
        time.sleep(POLL_SECONDS)
    raise problem


def wait_for_row(
    client: XnatClient, row: PrearchiveRow, *, is_complete: bool = False
) -> PrearchiveRow | None:
    """Wait until nothing is under way with a row; None if it is gone then

    Parameters
    ----------
    client, row
        The row.
    is_complete
        Whether all was sent, and an answer was got. Then a row that is receiving is so
        for somebody else, who is waited for, but for five minutes only.

    Raises
    ------
    XnatError
        If that takes longer than two hours.
    """
    start = time.monotonic()
    found = reload_row(client, row)
    while found:
        waited = time.monotonic() - start
        if found.status == 'RECEIVING':
            if not is_complete or waited > RECEIVING_PATIENCE:
                break
        elif found.status not in BUSY:
            break
        elif waited > PATIENCE:
            msg = (
                f'{client.url} is busy with session {row.session!r} in its prearchive '
                f'({found.status}) for hours; look at it there, then try again'
            )
            raise XnatError(msg)
        time.sleep(POLL_SECONDS)
        found = reload_row(client, row)
    return found
