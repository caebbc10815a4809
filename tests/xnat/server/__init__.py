"""A server that answers as XNAT does, for tests

No XNAT can run on the machines that test this package. This one keeps nothing on
disk, speaks plain http on the loopback interface, and follows XNAT 1.8: each rule
names the class of XNAT's sources, or the fact of its documentation, that it is
taken from. Read it to learn what XNAT answers, and when.

- `state`: projects, subjects, experiments, scans, rows of the prearchive
- `members`: archives, read entry by entry while they arrive
- `importer`: from an uploaded instance to a row of the prearchive
- `archiver`: from a row of the prearchive to an experiment, and what is a conflict
- `accounts`: users, passwords, sessions of http
- `body`: bodies of requests, counted
- `faults`: what goes wrong on demand
- `rest_*`: the calls, one file for each part of the REST API
- `tables`: what answers look like; `schema`: the data types, as xnatpy wants them
- `web`: connections, routing; `XnatServer` ties it all together
"""

from __future__ import annotations

from tests.xnat.server.faults import Faults
from tests.xnat.server.state import (
    Experiment,
    Instance,
    PrearchiveRow,
    Project,
    Scan,
    Site,
    State,
    Subject,
)
from tests.xnat.server.web import Recorded, XnatServer

__all__ = [
    'Experiment',
    'Faults',
    'Instance',
    'PrearchiveRow',
    'Project',
    'Recorded',
    'Scan',
    'Site',
    'State',
    'Subject',
    'XnatServer',
]
