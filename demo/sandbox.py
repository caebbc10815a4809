"""Commands that run apart from the user's settings, and their outcome"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

# What commands may know of the caller's environment. Not in it, on purpose:
# settings of git and DataLad, proxies (all traffic is on loopback), locales.
KEPT_VARIABLES = ('PATH', 'TMPDIR', 'TMP', 'TEMP', 'TZ', 'LD_LIBRARY_PATH')
GIT_CONFIG = """\
[user]
\tname = Demo
\temail = demo@example.org
[init]
\tdefaultBranch = main
"""


class DemoError(Exception):
    """A step of the demo that failed, told in one line"""


@dataclass
class Sandbox:
    """A directory with a home of its own, in which commands run

    Parameters
    ----------
    root
        An existing directory. Commands run in it.
    """

    root: Path
    environment: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        home = self.root / 'home'
        home.mkdir()
        git_config = home / '.gitconfig'
        git_config.write_text(GIT_CONFIG)
        kept = {k: os.environ[k] for k in KEPT_VARIABLES if k in os.environ}
        # the programs of this Python, also where its environment is not active
        scripts = sysconfig.get_path('scripts')
        self.environment = {
            **kept,
            'PATH': os.pathsep.join([scripts, kept.get('PATH', os.defpath)]),
            'HOME': str(home),
            'LANG': 'C.UTF-8',
            'XDG_CONFIG_HOME': str(home / '.config'),
            'XDG_DATA_HOME': str(home / '.local' / 'share'),
            'XDG_CACHE_HOME': str(home / '.cache'),
            'GIT_CONFIG_GLOBAL': str(git_config),
            'GIT_CONFIG_NOSYSTEM': '1',
            'GIT_TERMINAL_PROMPT': '0',
            # a file; the backend comes with DataLad
            'PYTHON_KEYRING_BACKEND': 'keyrings.alt.file.PlaintextKeyring',
            'KEYRING_PROPERTY_FILE_PATH': str(home / 'keyring.cfg'),
        }

    def run(self, *command: str, hidden: Mapping[str, str] | None = None) -> Outcome:
        """Show a command and run it

        Parameters
        ----------
        *command
            Program and arguments.
        hidden
            Variables to add to the environment, for what should not be shown.

        Raises
        ------
        DemoError
            If the command cannot be started or does not exit with 0.
        """
        print(f'$ {shlex.join(command)}', flush=True)
        argv = list(command)
        if argv[0] == 'datalad':
            # the same command, with an answer for programs
            argv[1:1] = ['-f', 'json']
        start = perf_counter()
        try:
            process = subprocess.Popen(
                argv,
                cwd=self.root,
                env={**self.environment, **(hidden or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding='utf-8',
                errors='surrogateescape',
                # without a terminal nobody can be asked for a password: a
                # missing credential is a failure, not an endless wait
                start_new_session=True,
            )
        except OSError as e:
            msg = f'cannot run {argv[0]}: {e.strerror}'
            raise DemoError(msg) from e
        with process:
            try:
                output, errors = process.communicate()
            except BaseException:
                # git and git-annex, too, which Ctrl-C does not reach
                os.killpg(process.pid, signal.SIGKILL)
                raise
        outcome = Outcome(output, perf_counter() - start)
        if process.returncode:
            sys.stderr.write(errors)
            name = ' '.join(word for word in command[:2] if not word.startswith('-'))
            reason = outcome.explain() or _last_line(errors) or 'it does not say why'
            msg = f'{name} ended with exit code {process.returncode}: {reason}'
            raise DemoError(msg)
        return outcome


@dataclass(frozen=True)
class Outcome:
    """What a command has written to its standard output, and how long it took"""

    output: str
    seconds: float

    @property
    def records(self) -> list[dict[str, Any]]:
        """DataLad's result records"""
        lines = self.output.splitlines()
        return [json.loads(line) for line in lines if line.startswith('{')]

    def explain(self) -> str:
        """Messages of the records that tell of a failure"""
        failed = [r for r in self.records if r.get('status') in ('error', 'impossible')]
        return '; '.join(_last_line(_message(r)) for r in failed)

    def tell(self, text: str) -> None:
        """Print what came of the command"""
        print(f'  {text} ({self.seconds:.1f} s)', flush=True)


@contextmanager
def temporary_sandbox(*, keep: bool = False) -> Iterator[Sandbox]:
    """Make a sandbox in a temporary directory

    Parameters
    ----------
    keep
        Whether the directory is there to stay.
    """
    # resolved, as git and git-annex do not agree about symlinks in a path
    root = Path(tempfile.mkdtemp(prefix='icf-demo-')).resolve()
    try:
        yield Sandbox(root)
    finally:
        if not keep:
            remove_tree(root)


def remove_tree(directory: Path) -> None:
    """Remove a directory with datasets in it, which git-annex protects from that"""
    for path, _, _ in os.walk(directory):
        os.chmod(path, stat.S_IRWXU)
    shutil.rmtree(directory)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ''


def _message(record: Mapping[str, Any]) -> str:
    message = record.get('message') or record.get('error_message') or 'no message'
    if isinstance(message, list):
        # a format and its arguments
        return str(message[0]) % tuple(message[1:])
    return str(message)
