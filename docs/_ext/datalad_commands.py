"""Sphinx extension: a page for each command of a DataLad extension

For every package in the configuration value ``datalad_command_suites`` the
commands of its ``command_suite`` are loaded as DataLad loads them, and
``cmd/generated/NAME.rst`` is written from their command line parsers.
"""

from __future__ import annotations

import argparse
import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datalad.cli.parser import add_subparser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sphinx.application import Sphinx

# every DataLad command has these; they say nothing about the one at hand
COMMON_OPTIONS = {'--help', '--version'}


def load_parser(spec: tuple[str, str, str, str]) -> argparse.ArgumentParser:
    """The parser that ``datalad NAME`` works with"""
    subparsers = argparse.ArgumentParser(prog='datalad').add_subparsers()
    parser = add_subparser(
        spec, subparsers, spec[2], argparse.RawDescriptionHelpFormatter
    )
    if parser is None:
        # DataLad has logged the reason
        raise RuntimeError(f'the command {spec[2]} cannot be loaded')
    # of Python 3.14, and on a terminal
    parser.color = False  # type: ignore[attr-defined]
    return parser


def escape(text: str) -> str:
    """Plain text, apart from ``literals``, as reStructuredText

    Examples
    --------
    >>> print(escape("all of 'P0*', or ``*``"))
    all of 'P0\\*', or ``*``
    """
    parts = re.split(r'(``.+?``)', text)
    parts[::2] = [re.sub(r'([*`|\\]|_(?=\W|$))', r'\\\1', p) for p in parts[::2]]
    return ''.join(parts)


def indent(text: str) -> Iterator[str]:
    """Lines of one paragraph, in the body of a directive"""
    yield from ('', '   ' + ' '.join(text.split()), '')


def describe(
    parser: argparse.ArgumentParser, name: str, function: str
) -> Iterator[str]:
    """Lines of the page for one command, and for its function in Python"""
    title = f'datalad {name}'
    text = parser.description or ''
    # the examples follow the description in one string
    text, _, examples = text.partition('*Examples*')
    synopsis = re.sub(r'\s+', ' ', parser.format_usage())
    synopsis = re.sub(r'^[Uu]sage: ', '', synopsis).strip()
    yield from (title, '=' * len(title), '')
    yield from ('.. code-block:: none', '', f'   {synopsis}', '')
    yield from (text.strip(), '')
    yield from ('Arguments', '---------', '', f'.. program:: {title}', '')
    formatter = parser._get_formatter()
    for action in parser._actions:
        if COMMON_OPTIONS & set(action.option_strings):
            continue
        value = formatter._format_args(action, action.dest.upper())
        forms = [f'{o} {value}'.strip() for o in action.option_strings] or [value]
        required = ' Required.' if action.option_strings and action.required else ''
        yield f'.. option:: {", ".join(forms)}'
        yield from indent(escape(action.help or '') + required)
    if examples.strip():
        yield from ('Examples', '--------', '', examples.strip(), '')
    yield from ('In Python', '---------', '')
    yield f'.. autofunction:: datalad.api.{function}'


def simplify_signature(
    _app: Sphinx,
    _what: str,
    name: str,
    _obj: Any,
    _options: Any,
    signature: str,
    _: str,
) -> tuple[str, str] | None:
    """Show a function as DataLad's wrapper takes it, which also changes the result"""
    if not name.startswith('datalad.api.'):
        return None
    # a default that stands for the configuration, or for a required argument
    return re.sub(r': [^=:]+ = params\.UNSET', '=...', signature), ''


def write_pages(app: Sphinx) -> None:
    """Write what has changed, and remove pages of commands that are gone"""
    folder = Path(app.srcdir, 'cmd', 'generated')
    folder.mkdir(parents=True, exist_ok=True)
    stale = set(folder.glob('*.rst'))
    for package in app.config.datalad_command_suites:
        _, specs = import_module(package).command_suite
        for spec in specs:
            _, _, name, function = spec
            page = folder / f'{name}.rst'
            lines = describe(load_parser(spec), name, function)
            text = '\n'.join(lines).rstrip() + '\n'
            if not page.exists() or page.read_text(encoding='utf-8') != text:
                page.write_text(text, encoding='utf-8')
            stale.discard(page)
    for page in stale:
        page.unlink()


def setup(app: Sphinx) -> dict[str, bool]:
    """Entry point of Sphinx"""
    app.setup_extension('sphinx.ext.autodoc')
    app.add_config_value('datalad_command_suites', [], 'env', [list])
    app.connect('builder-inited', write_pages)
    app.connect('autodoc-process-signature', simplify_signature)
    return {'parallel_read_safe': True, 'parallel_write_safe': True}
