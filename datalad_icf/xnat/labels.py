"""Names of subjects and sessions in XNAT"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from string import Formatter

from datalad_icf.errors import PreconditionError

# How XNAT_CLI_Toolkit calls sessions.
TOOLKIT_TEMPLATE = '{subject}_{StudyDate}T{StudyTime}_{Modality}'
# Ready choices in place of a template.
TEMPLATES = {'toolkit': TOOLKIT_TEMPLATE}
# What a template may have in braces.
FIELDS = (
    'study',
    'visit',
    'subject',
    'session',
    'PatientID',
    'StudyDate',
    'StudyTime',
    'Modality',
)


class LabelError(PreconditionError):
    """A template is none, or what it needs is not in the DICOM files"""


def clean_label(value: str) -> str:
    """What XNAT accepts as a label: letters of ASCII, digits, ``_`` and ``-``

    XNAT replaces all else on its own (XnatImagesessiondata.cleanValue), but the
    label has to be known before.

    Examples
    --------
    >>> clean_label(' sub 01^a.b ')
    'sub_01_a_b'
    """
    return re.sub(r'[^A-Za-z0-9_-]', '_', value.strip())


def check_template(template: str, fields: Collection[str] = FIELDS) -> str:
    """Check a template, or look up a ready one

    Parameters
    ----------
    template
        The template, or the name of a ready one.
    fields
        Those of `FIELDS` that there are.

    Raises
    ------
    LabelError
        If it has a field that is not known, or is empty.

    Examples
    --------
    >>> check_template('toolkit')
    '{subject}_{StudyDate}T{StudyTime}_{Modality}'
    """
    found = TEMPLATES.get(template, template)
    try:
        parts = list(Formatter().parse(found))
    except ValueError:
        parts = []
    if not found.strip() or not parts:
        msg = f'{template!r} is no template of a label'
        raise LabelError(msg)
    for _, name, form, conversion in parts:
        if name is not None and (name not in fields or form or conversion):
            known = ', '.join(f'{{{field}}}' for field in fields)
            msg = f'{{{name}}} is nothing that a label can have; there are {known}'
            raise LabelError(msg)
    return found


def build_label(template: str, fields: Mapping[str, str]) -> str:
    """Fill a template in, and make a label of it

    Parameters
    ----------
    template
        As `check_template` gives it.
    fields
        Values by the names in `FIELDS`. Fractions of a second of *StudyTime* are cut.

    Raises
    ------
    LabelError
        If a field has no value.

    Examples
    --------
    >>> fields = {'subject': '007', 'StudyDate': '20240229', 'Modality': 'MR'}
    >>> build_label(TOOLKIT_TEMPLATE, {**fields, 'StudyTime': '141500.5'})
    '007_20240229T141500_MR'
    """
    used = [name for _, name, _, _ in Formatter().parse(template) if name]
    for name in used:
        if not fields.get(name, '').strip():
            msg = (
                f'{name} is needed for the label {template!r}, and is not in the DICOM '
                'files; give another template'
            )
            raise LabelError(msg)
    values = {name: fields[name].strip() for name in used}
    if 'StudyTime' in values:
        values['StudyTime'] = values['StudyTime'].partition('.')[0]
    return clean_label(template.format(**values))
