"""What is missing, what is damaged, and what could not be looked at"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

from datalad_icf.errors import IcfError
from datalad_icf.store import is_draft_in_use
from datalad_icf.verify.findings import Finding

# The file itself is to blame: it is none, or the disk does not give it back. All
# else, such as missing rights or no room for temporary files, says nothing of it.
_DAMAGE = frozenset((errno.EINVAL, errno.EIO, errno.EISDIR, errno.ELOOP, errno.ENXIO))


def guard(checks: Iterator[Finding], path: Path) -> Iterator[Finding]:
    """Yield findings; if a check fails, that is one, and those before it stay

    Parameters
    ----------
    checks
        What finds them.
    path
        The file that is looked at.
    """
    try:
        yield from checks
    except OSError as e:
        # the name of a temporary file would be of no use
        yield Finding(
            'not-verified', path, f'{path} could not be verified: {e.strerror or e}'
        )
    except IcfError as e:
        yield Finding('not-verified', path, f'{path} could not be verified: {e}')


def blame(
    code: str, path: Path, error: Exception, message: str, way_out: str = ''
) -> Finding:
    """Make a finding of an error: damage, unless the file is not to blame

    Parameters
    ----------
    code
        The code, if it is damage.
    path
        The file.
    error
        What was raised, or what has the error of the system as its cause.
    message
        What is wrong.
    way_out
        What is to be done about damage.
    """
    cause = error if isinstance(error, OSError) else error.__cause__
    if isinstance(cause, OSError) and cause.errno not in _DAMAGE:
        return Finding('not-verified', path, message)
    return Finding(code, path, f'{message}; {way_out}' if way_out else message)


def missing(
    code: str, path: Path, way_out: str, *, interrupted: str = '', beside: Path
) -> Finding:
    """Make a finding of a file that is not there, unless it is about to be

    Parameters
    ----------
    code
        The code, if it is missing.
    path
        The file.
    way_out
        What is to be done.
    interrupted
        What is to be done if the process that made it was killed; the same if empty.
    beside
        The file whose draft is the lock of the deposit.
    """
    in_use = is_draft_in_use(beside)
    # it may have appeared since it was looked for
    if in_use or path.exists():
        return Finding(
            'visit-busy',
            path,
            f'{path} is being deposited at this moment; verify the visit again when '
            'that is done',
        )
    if in_use is False and interrupted:
        return Finding(code, path, f'{path} is not there: {interrupted}')
    return Finding(code, path, f'{path} is not there; {way_out}')
