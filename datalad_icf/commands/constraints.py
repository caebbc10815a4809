"""Constraints of parameters, and where configuration is read

Precedence: option, configuration, default.
"""

from __future__ import annotations

import os
from datetime import timezone, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

from datalad_next.constraints import Constraint

# the defaults, also where this package was imported before DataLad
import datalad_icf.settings  # noqa: F401
from datalad_icf.errors import PreconditionError
from datalad_icf.store import DEFAULT_STORE_URL, Visit, check_store_url, find_store_dir

if TYPE_CHECKING:
    # slow to import, for what a command may not need
    from datalad_icf.dicom import Attribute


def _configured(name: str) -> str | None:
    import datalad

    value = datalad.cfg.get(name)
    # of several values the last counts, as for git
    return value[-1] if isinstance(value, tuple) else value


class _Constraint(Constraint):
    def refuse(self, value: Any, problem: str) -> NoReturn:
        """Raise the error of a constraint"""
        # by name, because the text itself may have braces, and is a template
        self.raise_for(value, '{problem}', problem=problem)
        raise AssertionError


def _make_absolute(path: Path) -> Path:
    """Make a path absolute, without '..', of which clones would have other addresses

    Symbolic links stay, as their names are often the lasting ones, but for one that
    '..' follows: the parent of what it points to is meant, as for the system.
    """
    path = path.expanduser().absolute()
    found = Path(path.anchor)
    for part in path.parts[1:]:
        if part == '..':
            found = (found.resolve() if found.is_symlink() else found).parent
        else:
            found /= part
    return found


class EnsureVisit(_Constraint):
    """Ensure a study and a visit identifier, as a `Visit`"""

    input_synopsis = 'STUDY-ID VISIT-ID'

    def __init__(self, *, pattern: bool) -> None:
        super().__init__()
        self._pattern = pattern

    def __call__(self, value: Any) -> Visit:
        """Convert a pair of identifiers"""
        if isinstance(value, Visit):
            visit = value
        else:
            if (
                not isinstance(value, (tuple, list))
                or len(value) != 2
                or not all(isinstance(v, str) for v in value)
            ):
                self.refuse(value, 'a study and a visit identifier are needed')
            try:
                visit = Visit(*value)
            except PreconditionError as e:
                self.refuse(value, str(e))
        if visit.is_pattern and not self._pattern:
            self.refuse(
                value, 'the visit identifier must not have any of the characters *?['
            )
        return visit


class EnsureSource(_Constraint):
    """Ensure the path of a directory, of which an empty text is none"""

    input_synopsis = 'DIR'

    def __call__(self, value: Any) -> Path:
        """Convert a path"""
        if not os.fspath(value):
            self.refuse(value, 'the name of the directory is empty')
        return Path(value)


class EnsureStoreDir(_Constraint):
    """Ensure an absolute path, by default the configured or current directory"""

    input_synopsis = 'PATH'

    def __call__(self, value: Any) -> Path:
        """Convert a path"""
        if value in (None, ''):
            value = _configured('datalad.icf.store-dir') or '.'
        return _make_absolute(Path(value))


class EnsureStoreUrl(_Constraint):
    """Ensure the base URL of a store, by default the configured one"""

    input_synopsis = 'URL'

    def __call__(self, value: Any) -> str:
        """Check a URL"""
        url = value or _configured('datalad.icf.store-url') or DEFAULT_STORE_URL
        try:
            url = check_store_url(str(url))
        except PreconditionError as e:
            # the value may have a password in it
            self.refuse('URL', str(e))
        directory = find_store_dir(url)
        if directory and '..' in directory.parts:
            return _make_absolute(directory).as_uri()
        return url


class EnsureTimeZone(_Constraint):
    """Ensure a time zone, by default the configured one, or UTC"""

    input_synopsis = 'ZONE'

    def __call__(self, value: Any) -> tzinfo:
        """Look up a time zone"""
        from zoneinfo import ZoneInfo

        name = str(value or _configured('datalad.icf.timezone') or 'UTC')
        if name.upper() in ('UTC', 'Z'):
            return timezone.utc
        try:
            if name == 'localtime':
                raise KeyError(name)
            return ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            self.refuse(value, f'{name!r} is no time zone; an example is Europe/Berlin')


class EnsureCatalogConfig(_Constraint):
    """Ensure a configuration file of datalad-catalog, by default the configured one"""

    input_synopsis = 'PATH'

    def __call__(self, value: Any) -> Path | None:
        """Look for the file"""
        value = value or _configured('datalad.icf.catalog-config')
        if not value:
            return None
        path = Path(value).expanduser().absolute()
        if path.suffix not in ('.json', '.yml', '.yaml') or not path.is_file():
            self.refuse(
                value, f'{str(path)!r} is no file with the ending .json or .yaml'
            )
        return path


class EnsureViewer(_Constraint):
    """Ensure a file or directory with a build of a viewer, or none"""

    input_synopsis = 'PATH'

    def __call__(self, value: Any) -> Path | None:
        """Look for it"""
        if value is None:
            return None
        path = Path(value).expanduser().absolute()
        if not value or not path.exists():
            self.refuse(value, f'there is no {str(path)!r}')
        return path


class EnsureXnatUrl(_Constraint):
    """Ensure the address of an XNAT server, by default the configured one"""

    input_synopsis = 'SERVER'

    def __call__(self, value: Any) -> str:
        """Check an address"""
        url = str(value or _configured('datalad.icf.xnat-url') or '')
        if not url:
            self.refuse(
                'SERVER',
                'give the address of the XNAT server with --url, or as configuration '
                "'datalad.icf.xnat-url'",
            )
        try:
            parts = urlsplit(url)
            is_right = parts.scheme in ('http', 'https') and parts.hostname
        except ValueError:
            is_right = False
        # the value may have a password in it
        if not is_right or '@' in parts.netloc or parts.query or parts.fragment:
            self.refuse(
                'SERVER',
                'this is no address like https://xnat.example.org, without user, '
                'password and query',
            )
        return url.rstrip('/')


class EnsureTexts(_Constraint):
    """Ensure a list of texts, none of them empty"""

    input_synopsis = 'TEXT'

    def __call__(self, value: Any) -> tuple[str, ...]:
        """Convert one, or many"""
        values = [value] if isinstance(value, str) else list(value or ())
        if not all(isinstance(one, str) and one.strip() for one in values):
            self.refuse(value, 'there is an empty one')
        return tuple(values)


class EnsureAttributes(_Constraint):
    """Ensure DICOM keywords, by default the configured ones, as attributes"""

    input_synopsis = 'KEYWORD'

    def __call__(self, value: Any) -> tuple[Attribute, ...]:
        """Look up keywords"""
        if value is None:
            value = _configured('datalad.icf.metadata-keywords') or ''
        if not value:
            return ()
        values = [value] if isinstance(value, str) else value
        keywords = [
            keyword
            for item in values
            for keyword in str(item).replace(',', ' ').split() or ['']
        ]
        return tuple(self._find(keyword) for keyword in keywords)

    def _find(self, keyword: str) -> Attribute:
        from datalad_icf.dicom import find_attribute

        try:
            return find_attribute(keyword)
        except KeyError:
            self.refuse(
                keyword,
                'this is no DICOM keyword of an element of a data set; an example is '
                'EchoTime',
            )
