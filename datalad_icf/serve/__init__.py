"""The store over http, for a local or a small installation

.. currentmodule:: datalad_icf.serve
.. autosummary::

   Login
   read_login
   Page
   Study
   find_studies
   Server
   open_server
   build_app
"""

from __future__ import annotations

from datalad_icf.serve.access import Login, read_login
from datalad_icf.serve.listing import Page, Study, find_studies
from datalad_icf.serve.run import (
    DEFAULT_HOST,
    DEFAULT_PORT,
    Server,
    build_app,
    open_server,
)

__all__ = [
    'DEFAULT_HOST',
    'DEFAULT_PORT',
    'Login',
    'Page',
    'Server',
    'Study',
    'build_app',
    'find_studies',
    'open_server',
    'read_login',
]
