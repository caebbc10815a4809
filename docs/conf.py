"""Configuration of Sphinx; the build needs no network"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent / '_ext'))

import datalad_icf

project = 'datalad-icf'
author = 'The datalad-icf developers'
project_copyright = '2026, The datalad-icf developers'
version = release = datalad_icf.__version__

extensions = [
    'datalad_commands',
    'sphinx.ext.autodoc',
    'sphinx.ext.autosummary',
    'sphinx.ext.napoleon',
]
exclude_patterns = ['_build']
default_role = 'py:obj'

# what the command reference is made from
datalad_command_suites = ['datalad_icf']

# the tables in the docstrings of sub-packages are enough: no page per name
autosummary_generate = False
autodoc_member_order = 'bysource'
autodoc_default_options = {'members': True, 'show-inheritance': True}
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_use_ivar = True

html_theme = 'furo'
html_title = f'datalad-icf {release}'
html_copy_source = False
html_show_sphinx = False


def skip_aliases(
    _app: Sphinx, _what: str, _name: str, obj: Any, *_: Any
) -> bool | None:
    """Leave the fields of a named tuple to the docstring of its class"""
    if (getattr(obj, '__doc__', None) or '').startswith('Alias for field number'):
        return True
    return None


def setup(app: Sphinx) -> None:
    app.connect('autodoc-skip-member', skip_aliases)
