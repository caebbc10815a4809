from __future__ import annotations

import datalad.api
import pytest

from datalad_icf import command_suite

COMMANDS = [(shell, python) for _, _, shell, python in command_suite[1]]
# about visits are all others
ABOUT_SERVERS = ('icf-xnat-list', 'icf-xnat-archive', 'icf-xnat-demographics')
ABOUT_SERVERS += ('icf-xnat-share',)


@pytest.mark.parametrize(('shell', 'python'), COMMANDS)
def test_the_help_of_the_shell_has_options_and_examples(run, shell, python):
    done = run('datalad', shell, '--help-np')
    assert done.code == 0
    place = '--url' if shell in ABOUT_SERVERS else '--store-dir'
    for part in (place, 'Examples', f'% datalad {shell}'):
        assert part in done.stdout
    is_about_visits = shell not in ('icf-serve', *ABOUT_SERVERS)
    assert ('STUDY-ID VISIT-ID' in done.stdout) == is_about_visits
    assert '[CMD:' not in done.stdout


@pytest.mark.parametrize(('shell', 'python'), COMMANDS)
def test_the_help_of_python_has_parameters_and_examples(shell, python):
    text = getattr(datalad.api, python).__doc__
    place = 'url' if shell in ABOUT_SERVERS else 'store_dir'
    for part in ('Parameters', place, 'Examples', f'> {python}('):
        assert part in text


def test_the_commands_are_listed_with_the_extension(run):
    done = run('datalad', '--help-np')
    for shell, _ in COMMANDS:
        assert shell in done.stdout


def test_the_extension_is_known_to_datalad_without_configuration(run):
    done = run('datalad', '-f', 'json', 'wtf', '-S', 'extensions')
    assert '"icf"' in done.stdout
