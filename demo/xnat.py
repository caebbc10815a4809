"""An XNAT server for the demo: that of the tests, which keeps no pixels"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_urlsafe

from demo.sandbox import DemoError, Sandbox

_USER, _CREDENTIAL = 'manager', 'xnat'


@contextmanager
def serve_xnat(sandbox: Sandbox, project: str) -> Iterator[str]:
    """Start a server with a project, whose password DataLad gets to know

    Parameters
    ----------
    sandbox
        Where the credential is set.
    project
        Project in XNAT, which the user owns.

    Yields
    ------
    str
        Address of the server.

    Raises
    ------
    DemoError
        If it does not start.
    """
    password = token_urlsafe()
    login = ('--user', _USER, f'--password={password}', '--project', project)
    with subprocess.Popen(
        [sys.executable, '-m', 'tests.xnat.server', *login],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            url = process.stdout.readline().strip() if process.stdout else ''
            if not url:
                raise DemoError('the XNAT server of the tests does not start')
            print(f'There is something like an XNAT at {url}')
            sandbox.run(
                *('datalad', 'credentials', 'set', _CREDENTIAL, 'type=user_password'),
                *(f'user={_USER}', f'realm={url}'),
                hidden={f'DATALAD_CREDENTIAL_{_CREDENTIAL.upper()}_SECRET': password},
            )
            yield url
        finally:
            process.terminate()
