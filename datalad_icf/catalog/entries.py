"""What the catalog of a study shows of its visits, as it stands in its files"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from datalad_icf.catalog import overview
from datalad_icf.catalog.listing import Listed, read_listing
from datalad_icf.catalog.pages import find_lost
from datalad_icf.catalog.records import STUDY_VERSION, study_uuid
from datalad_icf.catalog.render import has_page, has_record, read_object, record_file
from datalad_icf.errors import CatalogError


@dataclass(frozen=True)
class CatalogEntry:
    """A visit in a catalog

    Attributes
    ----------
    has_page
        Whether its page is listed, with a record of this visit.
    in_overview
        Whether it is in the table of series.
    size, md5
        Of its tarball, as the table has them; nothing if it has not.
    images
        Number of its images there.
    clone
        Command to clone its dataset, if it had one when the line was made.
    """

    has_page: bool
    in_overview: bool
    size: int | None = None
    md5: str | None = None
    images: int | None = None
    clone: str | None = None


def read_entries(catalog_dir: Path, study_id: str) -> dict[str, CatalogEntry]:
    """Read the visits of a catalog, by identifier

    Returns
    -------
    dict
        Nothing if there is no catalog of this package.

    Raises
    ------
    CatalogError
        If it is damaged, which the message says where.
    """
    study = study_uuid(study_id)
    file = record_file(catalog_dir, study, STUDY_VERSION)
    table = catalog_dir / overview.FILE_NAME
    if not file.exists() and not table.exists():
        return {}
    listed: Listed = read_listing(file)
    if not has_record(catalog_dir, study, STUDY_VERSION):
        msg = f'{file} is not the record of the study'
        raise CatalogError(msg)
    lines = overview.read_lines(table)
    if not lines and listed:
        msg = f'{table} is damaged, or not there'
        raise CatalogError(msg)
    entries = {}
    for visit_id in listed.keys() | lines.keys():
        identity = listed.get(visit_id)
        line = lines.get(visit_id)
        try:
            known = json.loads(line) if line else {}
        except ValueError as e:
            msg = f'{table} is damaged'
            raise CatalogError(msg) from e
        entries[visit_id] = CatalogEntry(
            has_page=identity is not None and has_page(catalog_dir, *identity),
            in_overview=line is not None and overview.is_about(line, identity),
            size=known.get('size'),
            md5=known.get('md5'),
            images=known.get('images'),
            clone=known.get('clone'),
        )
    return entries


def find_lost_pages(catalog_dir: Path, study_id: str) -> list[str]:
    """Find the files of a catalog that are lost, and of no visit

    Returns
    -------
    list of str
        Their names; nothing if there is no catalog of this package.
    """
    study = study_uuid(study_id)
    file = record_file(catalog_dir, study, STUDY_VERSION)
    if not file.exists() and not (catalog_dir / overview.FILE_NAME).exists():
        return []
    home = read_object(catalog_dir / 'metadata' / 'super.json')
    lost = [] if home and home.get('dataset_id') == study else ['metadata/super.json']
    return [*find_lost(catalog_dir), *lost]
