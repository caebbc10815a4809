"""DICOM attributes of scans that are on the server"""

from __future__ import annotations

from collections.abc import Iterable

from datalad_icf.xnat.client import XnatClient

# What demographics and labels are made of.
FIELDS = {
    '(0010,0040)': 'PatientSex',
    '(0010,0030)': 'PatientBirthDate',
    '(0010,1010)': 'PatientAge',
    '(0008,0020)': 'StudyDate',
    '(0008,0030)': 'StudyTime',
    '(0008,0060)': 'Modality',
}


def read_attributes(
    client: XnatClient, scan: str, keywords: Iterable[str]
) -> dict[str, str]:
    """Read attributes of one image of a scan (services/dicomdump)

    Parameters
    ----------
    client
        The connection.
    scan
        Path of the scan, in the archive or the prearchive, without ``/data``.
    keywords
        DICOM keywords, of those in `FIELDS`.

    Returns
    -------
    dict
        Values by keyword, without those that the image does not have.
    """
    wanted = list(keywords)
    rows = client.rows('/data/services/dicomdump', src=scan, field=wanted)
    found = {}
    for row in rows:
        keyword = FIELDS.get(row.get('tag1', ''))
        # with a second tag it is an element of a sequence
        if keyword in wanted and not row.get('tag2'):
            value = row.get('value', '').strip(' \0')
            if value:
                found[keyword] = value
    return found
