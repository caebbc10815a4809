"""Who is to be shared, as a table or as options say"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

from datalad_icf.errors import MissingInputError, PreconditionError, SourceError

_COLUMNS = ('subject', 'source', 'destination')


class Share(NamedTuple):
    """A subject, by its label, the project that it is of, and the other one"""

    subject: str
    source: str
    destination: str


def plan_shares(
    table: Path | None,
    project: str | None,
    to: str | None,
    subjects: tuple[str, ...],
) -> list[Share]:
    """Find out what is to be shared

    Parameters
    ----------
    table
        A CSV file, see `read_shares`; or
    project, to, subjects
        the project that the subjects are of, the other one, and the subjects.

    Raises
    ------
    PreconditionError
        If it is neither, or both.
    """
    if table and not (project or to or subjects):
        return read_shares(table)
    if not table and project and to and subjects:
        return [Share(subject, project, to) for subject in subjects]
    msg = 'either --table says what to share, or --project, --to and --subject do'
    raise PreconditionError(msg)


def read_shares(path: Path) -> list[Share]:
    """Read a CSV file (RFC 4180), separated by commas, semicolons or tabs

    The first line names columns. Those whose names have ``subject``, ``source`` and
    ``destination`` in them, in capitals or not, count.

    Raises
    ------
    MissingInputError
        If there is no such file.
    SourceError
        If a column or a value is missing; the message has the number of the line.
    """
    try:
        # with a mark of the byte order, as spreadsheets write it
        text = path.read_text(encoding='utf-8-sig')
    except OSError as e:
        msg = f'cannot read {path}: {e.strerror}'
        raise MissingInputError(msg) from e
    except UnicodeDecodeError as e:
        msg = f'{path} is no text in UTF-8'
        raise SourceError(msg) from e
    lines = text.splitlines()
    head = lines[0] if lines else ''
    delimiter = max(',;\t', key=head.count)
    reader = csv.reader(lines, delimiter=delimiter)
    names = [name.strip().lower() for name in next(reader, [])]
    places = []
    for column in _COLUMNS:
        found = [i for i, name in enumerate(names) if column in name]
        if len(found) != 1:
            msg = (
                f'the first line of {path} does not name one column {column!r}; it has '
                f'to be like {",".join(_COLUMNS)}'
            )
            raise SourceError(msg)
        places += found
    shares = []
    for row in reader:
        if not any(cell.strip() for cell in row):
            continue
        values = [row[i].strip() if i < len(row) else '' for i in places]
        if not all(values):
            empty = _COLUMNS[values.index('')]
            msg = f'line {reader.line_num} of {path} has no {empty}'
            raise SourceError(msg)
        shares.append(Share(*values))
    if not shares:
        msg = f'{path} has no subjects'
        raise SourceError(msg)
    # the same line twice is no second subject
    return list(dict.fromkeys(shares))
