"""Age, birth and gender of a subject, from DICOM to what XNAT has for them"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date

from datalad_icf.errors import XnatConflictError, XnatError
from datalad_icf.xnat.client import XnatClient
from datalad_icf.xnat.remote import Target

LEVELS = ('none', 'anonymous', 'full')
_GENDERS = {'M': 'male', 'F': 'female', 'O': 'other'}
# XNAT_CLI_Toolkit has custom fields of these names
_CUSTOM = 'xnat:subjectData/fields/field[name={}]/field'
_BIRTH = ('dob', 'yob', 'age')


@dataclass(frozen=True)
class Demographics:
    """What XNAT knows of a subject (xnat.xsd, *demographicData*)

    All are texts, empty where nothing is known: ``gender`` is male, female or other;
    ``dob`` an ISO date; ``yob`` a year; ``age`` whole years. Of the last three XNAT
    has one.
    """

    gender: str = ''
    dob: str = ''
    yob: str = ''
    age: str = ''

    # values of patients stay out of logs and messages
    def __repr__(self) -> str:
        known = [one.name for one in fields(self) if getattr(self, one.name)]
        return f'{type(self).__name__}({", ".join(known)})'

    def items(self) -> dict[str, str]:
        """What is known, by name"""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: value for name, value in found.items() if value}


def build_demographics(
    sex: str, birth_date: str, age: str, *, anonymous: bool, every: bool = False
) -> Demographics:
    """Make them of values of DICOM attributes

    Parameters
    ----------
    sex, birth_date, age
        *Patient's Sex* (0010,0040), *Patient's Birth Date* (0010,0030) and *Patient's
        Age* (0010,1010). What is no such value counts as nothing.
    anonymous
        Whether to take the year of birth in place of its date.
    every
        Whether to keep the age beside the birth, for custom fields.

    Examples
    --------
    >>> build_demographics('F', '19820301', '042Y', anonymous=True).items()
    {'gender': 'female', 'yob': '1982'}
    >>> build_demographics('', '', '006M', anonymous=False).items()
    {'age': '0'}
    """
    gender = _GENDERS.get(sex.strip().upper(), '')
    born = _parse_date(birth_date)
    years = parse_age(age) if every or born is None else None
    old = '' if years is None else str(years)
    if born is None:
        return Demographics(gender, age=old)
    if anonymous:
        return Demographics(gender, yob=str(born.year), age=old)
    return Demographics(gender, dob=born.isoformat(), age=old)


def parse_age(value: str) -> int | None:
    """Whole years of an *Age String* (PS3.5, 6.2), also of one without a unit

    Examples
    --------
    >>> parse_age('042Y'), parse_age('42'), parse_age('018M'), parse_age('006M')
    (42, 42, 1, 0)
    >>> parse_age('') is None
    True
    """
    found = re.fullmatch(r'(\d{1,3})([DWMY]?)', value.strip().upper())
    if not found:
        return None
    number, unit = int(found.group(1)), found.group(2)
    return int(number / {'D': 365.25, 'W': 52.18, 'M': 12}.get(unit, 1))


def _parse_date(value: str) -> date | None:
    # with dots it is of ACR-NEMA
    found = re.fullmatch(r'(\d{4})\.?(\d{2})\.?(\d{2})', value.strip())
    try:
        return date(*map(int, found.groups())) if found else None
    except ValueError:
        return None


def put_demographics(
    client: XnatClient,
    target: Target,
    wanted: Demographics,
    *,
    force: bool = False,
    custom: bool = False,
    dry_run: bool = False,
) -> list[str]:
    """Write what is known of a subject, and not what is there already

    Parameters
    ----------
    client, target
        Where the subject is.
    wanted
        What is known.
    force
        Replace what is there and differs.
    custom
        Write the custom fields ``subject_age``, ``subject_dob`` and ``subject_gender``
        of XNAT_CLI_Toolkit in place of XNAT's own demographics.
    dry_run
        Only find out what would be written.

    Returns
    -------
    list of str
        Names of what was written; none if all is there.

    Raises
    ------
    XnatConflictError
        If something else is there, and ``force`` is not set. Nothing is written then.
    """
    found = client.item(target.subject_path)
    if found is None:
        msg = f'there is no subject {target.subject!r} in project {target.project!r}'
        raise XnatError(msg, 404)
    values = wanted.items()
    current = _read(found, custom=custom)
    if custom:
        # dates as in DICOM, as the toolkit has them
        values = {
            f'subject_{name}': value.replace('-', '') for name, value in values.items()
        }
    else:
        values = _choose_birth(values, current, force=force)
    changes = {k: v for k, v in values.items() if current.get(k, '') != v}
    differing = [name for name in changes if current.get(name) and changes[name]]
    if differing and not force:
        msg = (
            f'subject {target.subject!r} of project {target.project!r} has another '
            f'{" and ".join(differing)} than its DICOM files; --force replaces it'
        )
        raise XnatConflictError(msg)
    if changes and not dry_run:
        names = {name: _CUSTOM.format(name) if custom else name for name in changes}
        # NULL is XNAT's word for "remove"
        query = {names[name]: value or 'NULL' for name, value in changes.items()}
        client.call('PUT', target.subject_path, query=query)
    return [name for name, value in changes.items() if value]


def _read(item: Mapping[str, object], *, custom: bool) -> dict[str, str]:
    found: dict[str, str] = {}
    children = item.get('children')
    for child in children if isinstance(children, list) else []:
        for one in child.get('items', []):
            values = one.get('data_fields', {})
            if custom and child.get('field') == 'fields/field':
                found[str(values.get('name', '')).lower()] = str(
                    values.get('field', '')
                )
            elif not custom and child.get('field') == 'demographics':
                found.update({k: str(v) for k, v in values.items()})
    return {k: v.lower() if k.endswith('gender') else v for k, v in found.items()}


def _choose_birth(
    wanted: dict[str, str], current: dict[str, str], *, force: bool
) -> dict[str, str]:
    """Of date and year of birth and age XNAT has one; leave the one that is there"""
    (name,) = [one for one in _BIRTH if one in wanted] or ['']
    others = [one for one in _BIRTH if one != name and current.get(one)]
    if not name or not others:
        return wanted
    if force:
        return {**wanted, **dict.fromkeys(others, '')}
    kept = {k: v for k, v in wanted.items() if k != name}
    # the year is all that can be compared; a contradiction is told as one
    known = current.get('dob') or current.get('yob')
    if known and name != 'age' and known[:4] != wanted[name][:4]:
        return {**kept, others[0]: wanted[name]}
    return kept
