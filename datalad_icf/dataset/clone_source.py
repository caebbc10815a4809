"""What a store has to be cloned, asked over the network or seen in a directory"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin

from datalad_icf.dataset.ranges import StoreClient
from datalad_icf.errors import (
    IdentifierError,
    MissingInputError,
    PreconditionError,
    StoreReadError,
)
from datalad_icf.store import (
    Visit,
    VisitPaths,
    build_clone_url,
    build_tarball_url,
    find_store_dir,
    find_visits,
)

_REF = re.compile(r'([0-9a-f]{40}|[0-9a-f]{64}) (refs/\S+)|@refs/\S+ HEAD')
_MAX_REFS = 1 << 16
_MAX_LIST = 1 << 28
_NOWHERE = Path('.')


@dataclass(frozen=True)
class Deposit:
    """The dataset of a visit, as a store offers it

    Attributes
    ----------
    visit
        The visit.
    clone_url
        The address for ``datalad clone``.
    refs
        Full name of the ref to commit id.
    tarball_url
        Where the tarball is by the address of the store; nothing if there is none in
        a store in the file system.
    tarball_path
        Where the tarball is in the dataset.
    """

    visit: Visit
    clone_url: str
    refs: dict[str, str]
    tarball_url: str
    tarball_path: str


def find_deposits(
    store_url: str, visit: Visit, client: StoreClient, *, store_dir: Path | None = None
) -> list[Visit]:
    """Find the visits that an identifier or a shell pattern stands for

    Parameters
    ----------
    store_url
        Base URL of the store.
    visit
        The study, and an identifier or a pattern. An identifier is taken as it is.
    client
        Reads from the store.
    store_dir
        Root directory of a store in the file system.

    Raises
    ------
    PreconditionError
        If the store does not list its visits, or none of them matches.
    """
    if not visit.is_pattern:
        return [visit]
    store_dir = store_dir or find_store_dir(store_url)
    if store_dir is not None:
        return [p.visit for p in find_visits(store_dir, visit, having='refs')]
    found = []
    for visit_id in sorted(_list_visits(store_url, visit.study_id, client)):
        if not fnmatchcase(visit_id, visit.visit_id):
            continue
        try:
            found.append(Visit(visit.study_id, visit_id))
        except IdentifierError:
            continue
    if not found:
        msg = f'no visit of the study {visit.study_id} at {store_url} matches'
        raise MissingInputError(f'{msg} {visit.visit_id!r}')
    return found


def _list_visits(store_url: str, study_id: str, client: StoreClient) -> set[str]:
    """List the visits of the catalog, else those of the server's own page"""
    paths = VisitPaths(_NOWHERE, Visit(study_id, 'x'))
    catalog = f'{paths.catalog_dir.as_posix()}/overview.json'
    page = f'{study_id}/'
    try:
        overview = _read(build_tarball_url(store_url, catalog), client, _MAX_LIST)
        return {str(visit['id']) for visit in json.loads(overview)['visits']}
    except MissingInputError:
        pass
    except (ValueError, KeyError, TypeError) as e:
        msg = f'the catalog of the study at {store_url} cannot be read: {e}'
        raise PreconditionError(msg) from e
    url = build_tarball_url(store_url, page)
    try:
        return _list_page(url, _read(url, client, _MAX_LIST))
    except PreconditionError as e:
        msg = (
            f'{store_url} tells neither by a catalog nor by a page which visits the '
            f'study {study_id} has; name a visit instead of a pattern ({e})'
        )
        raise MissingInputError(msg) from e


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [v for k, v in attrs if tag == 'a' and k == 'href' and v]


def _list_page(url: str, text: bytes) -> set[str]:
    """Visits of a page that lists files, by their tarballs and datasets"""
    parser = _Links()
    parser.feed(text.decode(errors='replace'))
    suffixes = [
        name.name[1:]
        for paths in [VisitPaths(_NOWHERE, Visit('x', 'x'))]
        for name in (paths.refs, paths.tarball)
    ]
    found = set()
    for link in parser.links:
        place = urljoin(url, link)
        name = unquote(place.removeprefix(url))
        if place.startswith(url) and '/' not in name:
            found |= {name[: -len(s)] for s in suffixes if name.endswith(s)}
    return found - {''}


def find_deposit(
    store_url: str, visit: Visit, client: StoreClient, *, store_dir: Path | None = None
) -> Deposit:
    """Look what a store has of a visit

    Raises
    ------
    MissingInputError
        If there is no dataset of the visit.
    PreconditionError
        If the store cannot be reached, refuses, or has something else there.
    """
    store_dir = store_dir or find_store_dir(store_url)
    paths = VisitPaths(store_dir or _NOWHERE, visit)
    url = build_tarball_url(store_url, f'{visit.study_id}/{paths.refs.name}')
    text = _read(url, client, _MAX_REFS).decode(errors='replace')
    refs = {}
    for line in text.splitlines():
        match = _REF.fullmatch(line)
        if not match:
            msg = f'{url} is no dataset, but something else, perhaps a page for people'
            raise PreconditionError(msg)
        if match[2]:
            refs[match[2]] = match[1]
    if not refs:
        msg = f'{url} is empty: the dataset of the visit is not complete'
        raise PreconditionError(msg)
    tarball_url = build_tarball_url(store_url, paths.store_path)
    if store_dir is not None:
        tarball_url = paths.tarball.as_uri() if paths.tarball.exists() else ''
    return Deposit(
        visit,
        build_clone_url(store_url, paths.deposit_prefix),
        refs,
        tarball_url,
        paths.dataset_path,
    )


def _read(url: str, client: StoreClient, limit: int) -> bytes:
    try:
        return client.read_file(url, limit=limit)
    except StoreReadError as e:
        reason = str(e)
        if e.status_code in (404, 410):
            msg = (
                f'there is no {url}: look for a mistake in the identifiers and the '
                'address of the store, or ask the facility for the dataset'
            )
            raise MissingInputError(msg) from e
        if e.status_code == 401:
            reason = f'{reason}; {client.explain_login()}'
        elif e.status_code == 403:
            reason = f'{reason}; ask the facility for the right to read this study'
        raise PreconditionError(reason) from e
