"""Where the images of a visit can be seen"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class SeriesImages:
    """Where the images of a series can be seen

    Attributes
    ----------
    thumbnail
        Address of a picture, if there is one.
    viewer
        Address at which a viewer shows the series, if there is a viewer.
    """

    thumbnail: str | None
    viewer: str | None


@dataclass(frozen=True)
class VisitImages:
    """Where the images of a visit can be seen

    Attributes
    ----------
    tarball_md5
        MD5 of the tarball whose images they are.
    viewer
        Address at which a viewer shows the visit, if there is a viewer.
    series
        Path of one file of each series in the tarball, and where its images are.
        All addresses are relative to the catalog of the study.
    """

    tarball_md5: str
    viewer: str | None
    series: Mapping[str, SeriesImages]
