"""Links from the catalog of a study into its DICOMweb tree"""

from __future__ import annotations

import os

from datalad_icf.dicomweb.state import (
    SeriesShare,
    TreeState,
    read_share,
    series_address,
)
from datalad_icf.dicomweb.tree import THUMBNAIL, StudyTree
from datalad_icf.dicomweb.viewer import has_viewer, viewer_link
from datalad_icf.store import SeriesImages, VisitImages, VisitPaths


def find_images(paths: VisitPaths) -> VisitImages | None:
    """Find out where the images of a visit can be seen

    Returns
    -------
    VisitImages or None
        Nothing if the visit is not in the tree, or what is known of it is damaged.
    """
    root, visit = paths.dicomweb_dir, paths.visit
    state = TreeState(root).read(visit.visit_id)
    if state is None:
        return None
    study_id = visit.study_id
    shown = has_viewer(paths.store_dir)
    base = os.path.relpath(root, paths.catalog_dir)
    found: dict[str, SeriesImages] = {}
    first: str | None = None
    for study_uid in state.studies:
        try:
            share = read_share(StudyTree(root, study_uid), visit.visit_id)
        except (ValueError, TypeError, OSError):
            share = None
        if share is None:
            # damaged, or just being replaced
            return None
        by_number = sorted(share.series.items(), key=_series_number)
        for series_uid, series in by_number:
            if shown and series.middle and first is None:
                # OHIF takes the window of an image that it shows first, if the images
                # have none, and those at the ends are often empty
                first = viewer_link(study_id, state.studies, series_uid, series.middle)
            picture = f'{base}/{series_address(study_uid, series_uid)}/{THUMBNAIL}'
            found[series.first] = SeriesImages(
                thumbnail=picture if series.has_thumbnail else None,
                viewer=viewer_link(study_id, study_uid, series_uid, series.middle)
                if shown and series.middle
                else None,
            )
    return VisitImages(
        tarball_md5=state.tarball_md5,
        viewer=first,
        series=found,
    )


def _series_number(item: tuple[str, SeriesShare]) -> float:
    number = item[1].number
    return float('inf') if number is None else number
