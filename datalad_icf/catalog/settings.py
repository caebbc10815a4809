"""How a catalog is made, and what became of a visit"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timezone, tzinfo
from pathlib import Path

from datalad_icf.store import DEFAULT_STORE_URL, VisitImages, VisitPaths

DEFAULT_MAX_FILES = 2000


@dataclass(frozen=True)
class CatalogSettings:
    """How a catalog is made

    Attributes
    ----------
    store_url
        Base URL of the store, for the clone commands.
    zone
        Time zone of the dates.
    config_file
        Configuration of datalad-catalog with name, logo and colours.
    max_files
        Up to how many images the files of a visit are listed.
    find_images
        Finds out where the images of a visit can be seen.
    """

    store_url: str = DEFAULT_STORE_URL
    zone: tzinfo = timezone.utc
    config_file: Path | None = None
    max_files: int = DEFAULT_MAX_FILES
    find_images: Callable[[VisitPaths], VisitImages | None] = lambda _paths: None


@dataclass
class CatalogReport:
    """What `CatalogUpdate.add` did with a visit

    Attributes
    ----------
    is_new
        Whether the visit was added or changed, or was there and is the same.
    images, series
        Their numbers.
    page
        The page of the visit, relative to the catalog.
    """

    is_new: bool
    images: int
    series: int
    page: str
