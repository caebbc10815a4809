"""The steps of ``datalad icf-deposit`` for one visit"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from datalad_icf.commands.results import Outcome, count
from datalad_icf.dicom import Attribute
from datalad_icf.errors import IcfError, SourceError
from datalad_icf.progress import Progress
from datalad_icf.store import Visit, VisitPaths

if TYPE_CHECKING:
    from datalad_icf.dicomweb import TreeReport

Result = TypeVar('Result')


@dataclass
class Steps:
    """What to do with visits

    Parameters
    ----------
    sources
        Directories with the files of the visits.
    store_url, zone, follow_symlinks, keywords, config_file
        Parameters of the steps.
    dicomweb
        Whether to make a DICOMweb tree.
    is_study
        Whether the directories were found in another one, and not named.
    """

    sources: dict[Visit, Path]
    store_url: str
    zone: tzinfo
    follow_symlinks: bool
    keywords: tuple[Attribute, ...]
    config_file: Path | None
    dicomweb: bool
    is_study: bool = False

    def _find_source(self, visit: Visit) -> Path:
        source = self.sources[visit]
        if self.is_study and source.is_symlink():
            if not source.exists():
                msg = f'{source} is a symbolic link to what is not there'
                raise SourceError(msg)
            if not self.follow_symlinks:
                msg = (
                    f'{source} is a symbolic link; --follow-symlinks lets it be packed'
                )
                raise SourceError(msg)
        return source

    def measure(self, paths: VisitPaths) -> tuple[int, int]:
        """Number and bytes of the files of a visit; it is refused here if ever"""
        from datalad_icf.dicom import list_files

        source = self._find_source(paths.visit)
        names = list_files(source, follow_symlinks=self.follow_symlinks)
        return len(names), sum(os.stat(source / name).st_size for name in names)

    def run(self, paths: VisitPaths, progress: Progress) -> Outcome:
        """Do all steps for a visit

        Raises
        ------
        IcfError
            Of the first step that fails; what was done before stays. Images that
            cannot be shown fail last.
        """
        from datalad_icf.dataset import deposit_dataset
        from datalad_icf.dicom import DEFAULT_ATTRIBUTES, deposit_visit

        archived, described = deposit_visit(
            paths,
            self._find_source(paths.visit),
            zone=self.zone,
            follow_symlinks=self.follow_symlinks,
            attributes=tuple(dict.fromkeys((*DEFAULT_ATTRIBUTES, *self.keywords))),
            progress=progress,
        )
        dataset = _name(
            'icf-deposit-dataset',
            lambda: deposit_dataset(paths, store_url=self.store_url, progress=progress),
        )
        parts = {
            'archive': archived.is_new or bool(archived.restored),
            'metadata': described.is_new or bool(described.restored),
            'dataset': dataset.is_new or bool(dataset.restored),
        }
        warnings = [*archived.warnings, *described.warnings, *dataset.warnings]
        lost: dict[str, str] = {}
        if self.dicomweb:
            tree = _name('icf-dicomweb', lambda: self._convert(paths, progress))
            parts['dicomweb'] = tree.is_new
            for problem in tree.failed:
                lost.setdefault(problem['path'], problem['text'])
            if minor := len(tree.state.problems) - len(tree.failed):
                what = count(minor, 'data element')
                warnings.append(f'{what} not converted as they stand; see icf-dicomweb')
        # last, as it shows the others
        parts['catalog'] = _name('icf-catalog', lambda: self._show(paths))
        if lost:
            # all else is there, and this is so whenever it is tried again
            name, reason = next(iter(lost.items()))
            msg = (
                f'deposited, but icf-dicomweb: {count(len(lost), "file")} not '
                f'converted as a whole, of which the first is {name!r}: {reason}'
            )
            raise IcfError(msg)
        made = [name for name, is_new in parts.items() if is_new]
        message = (
            f'{count(archived.instances, "image")}, {archived.size / 1e6:.1f} MB; '
            f'clone from {dataset.clone_url!r}'
        )
        return Outcome(
            bool(made),
            f'{", ".join(made)}: {message}' if made else message,
            warnings,
            fields={
                'size': archived.size,
                'md5': archived.md5,
                'files': archived.files,
                'instances': archived.instances,
                'clone_url': dataset.clone_url,
                'made': made,
            },
        )

    def _convert(self, paths: VisitPaths, progress: Progress) -> TreeReport:
        from datalad_icf.dicomweb import (
            PictureWorker,
            TreeOptions,
            can_make_pictures,
            convert_visit,
        )

        # what was left out of the tree once must not get into it by this
        options = TreeOptions.of_tree(paths)
        if not can_make_pictures():
            options = replace(options, thumbnails=False)
        with PictureWorker() as pictures:
            return convert_visit(paths, options, pictures=pictures, progress=progress)

    def _show(self, paths: VisitPaths) -> bool:
        from datalad_icf.catalog import CatalogSettings, update_catalog
        from datalad_icf.commands.catalog import find_visit_images

        settings: Any = CatalogSettings(
            self.store_url, self.zone, self.config_file, find_images=find_visit_images
        )
        with update_catalog(paths, settings) as catalog:
            report = catalog.add(paths)
            catalog.commit()
        return bool(report.is_new)


def _name(step: str, work: Callable[[], Result]) -> Result:
    """Do a step, and let its error say which one it is of

    The archive is there by then, so that no error means that nothing was touched.
    """
    try:
        return work()
    except IcfError as e:
        msg = f'archived, but {step}: {e}'
        raise IcfError(msg) from e
