"""Parameters that commands share, each next to its constraint

Configuration is read here and nowhere else. Precedence: option, configuration,
default.
"""

from __future__ import annotations

from datetime import timezone, tzinfo
from pathlib import Path
from typing import Any

from datalad_next.commands import EnsureCommandParameterization, Parameter
from datalad_next.constraints import Constraint, EnsureChoice

from datalad_icf.errors import PreconditionError
from datalad_icf.store import Visit

# DataLad wants a default for each keyword, also for one that must be given, and
# constraints replace it
UNSET: Any = None


def _configured(name: str) -> str | None:
    import datalad

    value = datalad.cfg.get(name)
    # of several values the last counts, as for git
    return value[-1] if isinstance(value, tuple) else value


class EnsureVisit(Constraint):
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
                self.raise_for(value, 'a study and a visit identifier are needed')
            try:
                visit = Visit(*value)
            except PreconditionError as e:
                self.raise_for(value, str(e))
        if visit.is_pattern and not self._pattern:
            self.raise_for(
                value, 'the visit identifier must not have any of the characters *?['
            )
        return visit


class EnsureStoreDir(Constraint):
    """Ensure an absolute path, by default the configured or current directory"""

    input_synopsis = 'PATH'

    def __call__(self, value: Any) -> Path:
        """Convert a path"""
        if value in (None, ''):
            value = _configured('datalad.icf.store-dir') or '.'
        return Path(value).expanduser().absolute()


class EnsureStoreUrl(Constraint):
    """Ensure the base URL of a store, by default the configured one"""

    input_synopsis = 'URL'

    def __call__(self, value: Any) -> str:
        """Check a URL"""
        from datalad_icf.dataset import DEFAULT_STORE_URL, check_store_url

        url = value or _configured('datalad.icf.store-url') or DEFAULT_STORE_URL
        try:
            return check_store_url(str(url))
        except PreconditionError as e:
            # the value may have a password in it
            self.raise_for('URL', str(e))


class EnsureTimeZone(Constraint):
    """Ensure a time zone, by default the configured one, or UTC"""

    input_synopsis = 'ZONE'

    def __call__(self, value: Any) -> tzinfo:
        """Look up a time zone"""
        from zoneinfo import ZoneInfo

        name = str(value or _configured('datalad.icf.timezone') or 'UTC')
        if name.upper() in ('UTC', 'Z'):
            return timezone.utc
        try:
            return ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            self.raise_for(
                value, f'{name!r} is no time zone; an example is Europe/Berlin'
            )


class EnsureKeywords(Constraint):
    """Ensure DICOM keywords, the configured ones added to the usual ones"""

    input_synopsis = 'KEYWORD'

    def __call__(self, value: Any) -> tuple[str, ...]:
        """Look up keywords"""
        from datalad_icf.dicom import DEFAULT_KEYWORDS
        from datalad_icf.dicom.header import find_attributes

        if value is None:
            value = (_configured('datalad.icf.metadata-keywords') or '').replace(
                ',', ' '
            )
        names = value.split() if isinstance(value, str) else list(value)
        keywords = tuple(dict.fromkeys((*DEFAULT_KEYWORDS, *names)))
        try:
            find_attributes(keywords)
        except KeyError as e:
            self.raise_for(
                value,
                f'{e.args[0]!r} is no DICOM keyword of a data set; an example is '
                'EchoTime',
            )
        return keywords


VISIT_PARAMS: dict[str, Parameter] = {
    'id': Parameter(
        args=('--id',),
        metavar=('STUDY-ID', 'VISIT-ID'),
        nargs=2,
        required=True,
        doc='identifiers of the study and of the visit, as in the names of the '
        'files in the store',
    ),
    'store_dir': Parameter(
        args=('-o', '--store-dir'),
        metavar='PATH',
        doc="""root directory of the store, which has a directory for each study
        [default: configuration 'datalad.icf.store-dir', or the current
        directory]""",
    ),
}

# for commands that read what is in the store
VISITS_PARAMS: dict[str, Parameter] = {
    **VISIT_PARAMS,
    'id': Parameter(
        args=('--id',),
        metavar=('STUDY-ID', 'VISIT-ID'),
        nargs=2,
        required=True,
        doc="""identifiers of the study and of the visit. In place of the visit, a
        shell pattern like '*' or 'P00*' stands for all visits that match, with
        one result for each""",
    ),
}

EXISTING_PARAM = Parameter(
    args=('--existing',),
    metavar='refuse|replace',
    doc="""what to do if there is a different deposit: leave it and report
    'impossible', or replace it. An equal one is never touched [default:
    refuse]""",
)
EXISTING_CONSTRAINT = EnsureChoice('refuse', 'replace')

STORE_URL_PARAM = Parameter(
    args=('--store-url',),
    metavar='URL',
    doc="""base URL at which the store is served. It becomes part of the dataset,
    so it must not have a user or password [default: configuration
    'datalad.icf.store-url', or https://data.inm-icf.de]""",
)


def visit_validator(
    *, pattern: bool = False, **own: Constraint
) -> EnsureCommandParameterization:
    """Make the validator of a command

    Parameters
    ----------
    pattern
        Whether the visit identifier may be a shell pattern.
    own
        Constraints of the parameters that not all commands have.
    """
    constraints = {
        'id': EnsureVisit(pattern=pattern),
        'store_dir': EnsureStoreDir(),
        **own,
    }
    return EnsureCommandParameterization(
        constraints,
        # what configuration can replace
        validate_defaults=set(constraints) - {'existing', 'follow_symlinks'},
    )
