"""What the catalog and the DICOMweb tree of a study show of a visit"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from datalad_icf.catalog import CatalogEntry, find_lost_pages, read_entries
from datalad_icf.dicomweb import TreeState, find_foreign, find_missing
from datalad_icf.errors import CatalogError
from datalad_icf.store import VisitPaths
from datalad_icf.verify.archive import ArchiveFacts
from datalad_icf.verify.findings import Finding, NameList

# so many problems of a visit in the tree are told, as it may have many series
_SHOWN = 5


class StudyViews:
    """Catalog and DICOMweb tree of a study, read once for all its visits

    Parameters
    ----------
    paths
        Any of its visits.
    """

    def __init__(self, paths: VisitPaths) -> None:
        self._catalog_dir = paths.catalog_dir
        self._tree_dir = paths.dicomweb_dir
        self._tree = TreeState(self._tree_dir)
        self._catalog: dict[str, CatalogEntry] = {}
        self._problems: list[Finding] = []
        try:
            self._catalog = read_entries(self._catalog_dir, paths.visit.study_id)
        except CatalogError as e:
            self._note_catalog(f'{e}')
        lost = NameList()
        for name in find_lost_pages(self._catalog_dir, paths.visit.study_id):
            lost.add(name)
        if lost:
            self._note_catalog(f'{self._catalog_dir}: lost, empty or damaged: {lost}')
        self._in_tree = set(self._tree.visits()) if self._tree_dir.is_dir() else set()

    def _note_catalog(self, problem: str) -> None:
        message = f"{problem}; run icf-catalog with the visit '*'"
        self._problems.append(Finding('catalog-damaged', self._catalog_dir, message))

    def check_study(self, visit_ids: Collection[str] | None) -> Iterator[Finding]:
        """Check what is about no visit, or about one that is not there

        Parameters
        ----------
        visit_ids
            All visits that are in the store.
        """
        yield from self._problems
        if visit_ids is None:
            return
        for code, shown, place, command in (
            (
                'catalog-without-visit',
                self._catalog.keys(),
                self._catalog_dir,
                "icf-catalog with the visit '*'",
            ),
            (
                'dicomweb-without-visit',
                self._in_tree,
                self._tree_dir,
                "icf-dicomweb with the visit '*'",
            ),
        ):
            gone = NameList()
            for visit_id in sorted(shown - set(visit_ids)):
                gone.add(visit_id)
            if gone:
                yield Finding(
                    code,
                    place,
                    f'{place} has {gone}, which have no tarball; get them back from a '
                    f'backup, or run {command}',
                )

    def check_visit(self, paths: VisitPaths, facts: ArchiveFacts) -> Iterator[Finding]:
        """Check what is shown of a visit"""
        entry = self._catalog.get(paths.visit.visit_id)
        if entry:
            yield from self._check_entry(paths, facts, entry)
        if paths.visit.visit_id in self._in_tree:
            yield from self._check_tree(paths, facts)

    def has(self, paths: VisitPaths) -> dict[str, bool]:
        """Whether a visit is in the catalog, and in the tree"""
        visit_id = paths.visit.visit_id
        return {
            'catalog': visit_id in self._catalog,
            'dicomweb': visit_id in self._in_tree,
        }

    def _check_entry(
        self, paths: VisitPaths, facts: ArchiveFacts, entry: CatalogEntry
    ) -> Iterator[Finding]:
        again = 'run icf-catalog for it'
        if not entry.has_page or not entry.in_overview:
            what = 'sound page' if not entry.has_page else 'line in the table of series'
            yield Finding(
                'catalog-damaged',
                self._catalog_dir,
                f'{self._catalog_dir} has no {what} of this visit; {again}',
            )
        elif facts.metadata and (entry.size, entry.md5, entry.images) != (
            facts.metadata.size,
            facts.metadata.md5,
            len(facts.instances),
        ):
            yield Finding(
                'catalog-differs',
                self._catalog_dir,
                f'{self._catalog_dir} shows another state of this visit; {again}',
            )
        if entry.clone and not paths.refs.exists() and not paths.repo_export.exists():
            yield Finding(
                'catalog-differs',
                self._catalog_dir,
                f'{self._catalog_dir} shows how to clone this visit, whose dataset is '
                'gone; run icf-deposit-dataset, or icf-catalog if none is wanted',
            )

    def _check_tree(self, paths: VisitPaths, facts: ArchiveFacts) -> Iterator[Finding]:
        place = self._tree_dir
        again = 'run icf-dicomweb for it'
        visit_id = paths.visit.visit_id
        state = self._tree.read(visit_id)
        if state is None:
            yield Finding(
                'dicomweb-damaged',
                place,
                f'{place} has a part of this visit, and does not say of what; {again}',
            )
            return
        # where the two differ, that is a finding of its own
        known = {facts.md5, facts.metadata.md5 if facts.metadata else ''} - {''}
        if not known and facts.recorded:
            known = {facts.recorded}
        if known and state.tarball_md5 not in known:
            yield Finding(
                'dicomweb-differs',
                place,
                f'{place} is of another tarball of this visit; {again}',
            )
            return
        problems = list(find_missing(place, visit_id, state))
        if facts.md5 and not problems:
            # documents are read where images are, too; of these, it is known by the
            # metadata what they were
            known_images = {one.path: one.md5 for one in facts.instances.values()}
            digests = {**facts.members, **known_images}
            problems += find_foreign(place, visit_id, state, digests)
            again = 'run icf-dicomweb --force for it'
        if not problems and not self._tree.has(visit_id, state):
            problems.append('its lists are not finished')
        if problems:
            more = len(problems) - _SHOWN
            shown = [*problems[:_SHOWN], *([f'and {more} more'] if more > 0 else [])]
            yield Finding(
                'dicomweb-damaged', place, f'{place}: {"; ".join(shown)}; {again}'
            )
