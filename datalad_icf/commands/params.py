"""Parameters that commands share, each next to its constraint"""

from __future__ import annotations

from typing import Any

from datalad_next.commands import EnsureCommandParameterization, Parameter
from datalad_next.constraints import (
    Constraint,
    EnsureChoice,
    EnsureInt,
    EnsureRange,
    EnsureStr,
)

from datalad_icf.commands.constraints import (
    EnsureAttributes,
    EnsureCatalogConfig,
    EnsureSource,
    EnsureStoreDir,
    EnsureStoreUrl,
    EnsureTexts,
    EnsureTimeZone,
    EnsureViewer,
    EnsureVisit,
    EnsureXnatUrl,
)

__all__ = [
    'EnsureAttributes',
    'EnsureCatalogConfig',
    'EnsureSource',
    'EnsureStoreDir',
    'EnsureStoreUrl',
    'EnsureTexts',
    'EnsureTimeZone',
    'EnsureViewer',
    'EnsureVisit',
    'EnsureXnatUrl',
    'visit_validator',
    'xnat_validator',
]

# DataLad wants a default for each keyword, also for one that must be given, and
# constraints replace it
UNSET: Any = None

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
    'impossible', or replace it. An equal one is never touched""",
)
EXISTING_CONSTRAINT = EnsureChoice('refuse', 'replace')

JOBS_PARAM = Parameter(
    args=('-J', '--jobs'),
    metavar='NUMBER',
    doc="""how many visits to work on at once, each in a process of its own. Records
    come as visits are done [default: 1]""",
)
JOBS_CONSTRAINT = EnsureInt() & EnsureRange(min=1, max=256)

TIMEZONE_PARAM = Parameter(
    args=('--timezone',),
    metavar='ZONE',
    doc="""time zone in which StudyDate and StudyTime are read, like
    Europe/Berlin. Only of use to make the same tarball as older tools did
    on a machine in that zone [default: configuration
    'datalad.icf.timezone', or UTC]""",
)

FOLLOW_SYMLINKS_PARAM = Parameter(
    args=('--follow-symlinks',),
    action='store_true',
    doc="""pack what symbolic links point to. Without this, a symbolic link
    ends the command""",
)

KEYWORDS_PARAM = Parameter(
    args=('--keywords',),
    metavar='KEYWORD',
    nargs='+',
    doc="""DICOM keywords of attributes to be recorded besides
    SeriesDescription, SeriesNumber, Modality, MRAcquisitionType,
    ProtocolName and PulseSequenceName. Whoever can clone the dataset can
    read them: choose none that names a person [default: configuration
    'datalad.icf.metadata-keywords']""",
)

CONFIG_FILE_PARAM = Parameter(
    args=('--config-file',),
    metavar='PATH',
    doc="""configuration of datalad-catalog (JSON or YAML) with name, logo,
    colours and links of the facility [default: configuration
    'datalad.icf.catalog-config', or neutral]""",
)

STORE_URL_PARAM = Parameter(
    args=('--store-url',),
    metavar='URL',
    doc="""base URL at which the store is served. It becomes part of the dataset,
    so it must not have a user or password [default: configuration
    'datalad.icf.store-url', or https://data.inm-icf.de]""",
)


XNAT_PARAMS: dict[str, Parameter] = {
    'url': Parameter(
        args=('--url',),
        metavar='SERVER',
        doc="""address of the XNAT server, like https://xnat.example.org [default:
        configuration 'datalad.icf.xnat-url']""",
    ),
    'credential': Parameter(
        args=('--credential',),
        metavar='NAME',
        doc="""name of a credential of DataLad with the user and the password. Without
        a name, it is the one whose realm is the address of the server: 'datalad
        credentials set NAME type=user_password user=USER realm=SERVER' stores it.
        Where there is none, .netrc is read, and then, if possible, somebody is
        asked""",
    ),
}


def xnat_validator(**own: Constraint) -> EnsureCommandParameterization:
    """Make the validator of a command that speaks to XNAT

    Parameters
    ----------
    own
        Constraints of the parameters besides `XNAT_PARAMS`.
    """
    return EnsureCommandParameterization(
        {'url': EnsureXnatUrl(), 'credential': EnsureStr(min_len=1), **own},
        validate_defaults={'url', 'store_dir'},
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
        validate_defaults=set(constraints)
        - {
            'dicomweb',
            'dry_run',
            'existing',
            'fast',
            'follow_symlinks',
            'images_from',
            'jobs',
            'max_files',
            'source',
            'visits_from',
        },
    )
