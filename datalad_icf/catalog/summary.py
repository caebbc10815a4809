"""What a visit has, by series: the base of all pages"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from datalad_icf.catalog.text import clean_text
from datalad_icf.store import (
    InstanceMetadata,
    SeriesImages,
    TarballMetadata,
    VisitImages,
    VisitPaths,
    build_clone_url,
)

_NUMBER = re.compile('([0-9]+)')


@dataclass(frozen=True)
class SeriesSummary:
    """A series of a visit

    Attributes
    ----------
    number
        *Series Number*, a text where it is none.
    description, protocol, modality
        The attributes, as one line of text.
    images
        Number of DICOM files.
    size
        Their size in bytes.
    thumbnail, viewer
        Addresses of a picture and in a viewer, relative to the catalog, if any.
    """

    number: int | str | None
    description: str
    protocol: str
    modality: str
    images: int
    size: int
    thumbnail: str | None = None
    viewer: str | None = None


@dataclass(frozen=True)
class VisitSummary:
    """A visit, as far as pages show it

    Attributes
    ----------
    paths
        Where it is.
    tarball
        Metadata of its tarball.
    date
        Day of the scan, like ``2013-07-17``, if known.
    images
        Number of DICOM files.
    series
        The series in the order of their numbers.
    tags
        Keyword to the different values in the visit, sorted.
    clone_url
        URL for ``datalad clone``, if there is a dataset.
    viewer
        Address in a viewer, relative to the catalog, if there is one.
    """

    paths: VisitPaths
    tarball: TarballMetadata
    date: str | None
    images: int
    series: list[SeriesSummary]
    tags: dict[str, list[str]]
    clone_url: str | None
    viewer: str | None = None

    @property
    def visit_id(self) -> str:
        """Identifier of the visit"""
        return self.paths.visit.visit_id

    @property
    def clone_command(self) -> str | None:
        """Command to be pasted into a shell"""
        if not self.clone_url:
            return None
        return shlex.join(['datalad', 'clone', self.clone_url, self.visit_id])


def natural_key(text: str) -> tuple[list[tuple[int, int, str]], str]:
    """Key to sort text so that numbers in it count as numbers

    Examples
    --------
    >>> sorted(['P10', 'P9', 'P1'], key=natural_key)
    ['P1', 'P9', 'P10']
    """
    parts = [
        (0, int(p), '') if p.isdecimal() else (1, 0, p.casefold())
        for p in _NUMBER.split(text)
    ]
    # what is alike but for case or zeros is always in the same order, too
    return parts, text


def summarise_visit(
    paths: VisitPaths,
    tarball: TarballMetadata,
    instances: Iterable[InstanceMetadata],
    *,
    store_url: str,
    zone: tzinfo,
    images: VisitImages | None = None,
) -> VisitSummary:
    """Group the images of a visit by series

    Parameters
    ----------
    paths
        The visit.
    tarball, instances
        Its metadata.
    store_url
        Base URL of the store.
    zone
        Time zone in which the times of the tarball are days.
    images
        Where its images can be seen. Those of another tarball do not count.
    """
    if images and images.tarball_md5 != tarball.md5:
        images = None
    groups: dict[tuple[Any, ...], list[int]] = {}
    values: dict[str, set[Any]] = {}
    seen: dict[tuple[Any, ...], SeriesImages] = {}
    shown = images.series if images else {}
    total = 0
    for instance in instances:
        attributes = instance.attributes
        key = (
            _series_number(attributes.get('SeriesNumber')),
            clean_text(attributes.get('SeriesDescription')),
            clean_text(attributes.get('ProtocolName')),
            clean_text(attributes.get('Modality')),
        )
        group = groups.setdefault(key, [0, 0])
        group[0] += 1
        group[1] += instance.size
        total += 1
        found = shown.get(instance.path)
        # rather one with a picture, where several series look alike
        if found and not (key in seen and (seen[key].thumbnail or not found.thumbnail)):
            seen[key] = found
        for keyword, value in attributes.items():
            if text := clean_text(value):
                values.setdefault(clean_text(keyword), set()).add(text)
    series = [
        SeriesSummary(*key, *group, **(vars(seen[key]) if key in seen else {}))
        for key, group in groups.items()
    ]
    series.sort(key=lambda s: (*_number_key(s.number), s.description, s.protocol))
    return VisitSummary(
        paths=paths,
        tarball=tarball,
        date=_find_date(tarball.mtime, zone),
        images=total,
        series=series,
        tags={k: sorted(values[k], key=natural_key) for k in sorted(values)},
        clone_url=build_clone_url(store_url, paths.deposit_prefix)
        if paths.refs.exists() and paths.repo_export.exists()
        else None,
        viewer=images.viewer if images else None,
    )


def _series_number(value: Any) -> int | str | None:
    if isinstance(value, int):
        return value
    return clean_text(value) or None


def _number_key(number: int | str | None) -> tuple[int, int, str]:
    if isinstance(number, int):
        return 0, number, ''
    return (2, 0, '') if number is None else (1, 0, number)


def _find_date(mtime: float | None, zone: tzinfo) -> str | None:
    # the beginning of 1970 stands for a visit without any time
    epoch = datetime(1970, 1, 1, tzinfo=zone).timestamp()
    if mtime is None or mtime == epoch:
        return None
    try:
        return datetime.fromtimestamp(mtime, zone).date().isoformat()
    except (OverflowError, ValueError, OSError):
        return None
