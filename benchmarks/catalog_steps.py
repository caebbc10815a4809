"""Steps with catalogs, each in a process of its own that measures itself

Usage: ``python benchmarks/catalog_steps.py STEP ARGUMENT ...``. The last line that
is printed is JSON; times are in seconds and without that of imports.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from threading import Thread
from time import perf_counter, process_time
from typing import Any

if not __package__:
    # in place of this directory
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.synthetic import write_metadata

_NO_FILES = 0
_CHROMIUM = [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
]
# when the first row was painted, as the page itself has seen it
_WATCH = """
new MutationObserver((_, observer) => {
  if (!document.querySelector('#rows tr')) return;
  observer.disconnect();
  requestAnimationFrame(() => setTimeout(() => {
    window.firstRows = performance.now();
  }));
}).observe(document, {childList: true, subtree: true});
"""
_FIRST = """
() => new Promise((resolve) => {
  const ask = () => {
    if (window.firstRows) resolve(window.firstRows);
    else setTimeout(ask, 20);
  };
  ask();
})
"""
_FILTER = """
(word) => new Promise((resolve) => {
  const start = performance.now();
  const observer = new MutationObserver(() => {
    observer.disconnect();
    requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - start)));
  });
  observer.observe(document.getElementById('rows'), {childList: true});
  const field = document.getElementById('q');
  field.value = word;
  field.dispatchEvent(new Event('input', {bubbles: true}));
})
"""


def add_files(study: Path, visit: str) -> dict[str, float]:
    """Add a visit with the records of its files to an empty catalog"""
    from datalad_icf.catalog import update_catalog

    # the first time is a warm-up
    for _ in range(2):
        paths, settings = _prepare(study, visit, max_files=sys.maxsize)
        with _timed() as times, update_catalog(paths, settings) as catalog:
            catalog.add(paths)
            catalog.commit()
    return times


def add_records(study: Path, visit: str) -> dict[str, float]:
    """The same, record by record with datalad-catalog"""
    from datalad_catalog.webcatalog import WebCatalog

    from datalad_icf.catalog.site import build_config, create_catalog

    for _ in range(2):
        paths, settings = _prepare(study, visit, max_files=sys.maxsize)
        create_catalog(paths.catalog_dir, build_config(None), None)
        with _timed() as times:
            catalog = WebCatalog(paths.catalog_dir)
            for record in _build_records(paths, settings):
                # which it wants to have been done
                catalog.schema_validator.validate(record)
                catalog.add_record(record)
    return times


def add_visits(few: Path, other: str) -> dict[str, float]:
    """Bring two studies into empty catalogs, each by one command"""
    import datalad.api as dl

    seconds = {}
    for name, study in (('few', few), ('many', Path(other))):
        visits = len(list(study.glob('*_metadata_tarball.json')))
        _prepare(study, 'V00001', max_files=_NO_FILES)
        with _timed() as times:
            records = _run(dl, study, '*')
        assert len(records) == visits
        seconds[name] = times['wall'] / visits
        seconds[f'{name}_cpu'] = times['cpu'] / visits
    return seconds


def add_one(
    empty: Path, other: str, images: str, max_files: str, rounds: str
) -> dict[str, float]:
    """Add a visit to an empty catalog, and to one with many visits, in turn"""
    import datalad.api as dl

    seconds: dict[str, list[float]] = {}
    for number in range(int(rounds)):
        # one that an earlier process has not added
        visit = f'W{os.getpid()}-{number}'
        _prepare(empty, visit, max_files=_NO_FILES)
        for name, study in (('empty', empty), ('many', Path(other))):
            write_metadata(int(images), study / visit, series=15)
            with _timed() as times:
                records = _run(dl, study, visit, int(max_files))
            assert [r['status'] for r in records] == ['ok']
            for path in study.glob(f'{visit}_metadata_*'):
                path.unlink()
            # the first round is a warm-up
            if number:
                seconds.setdefault(name, []).append(times['wall'])
                seconds.setdefault(f'{name}_cpu', []).append(times['cpu'])
    return {name: median(values) for name, values in seconds.items()}


def open_overview(catalog: Path, rounds: str) -> dict[str, Any]:
    """Open the overview in a browser and filter it"""
    executable = shutil.which('chromium')
    if not executable:
        return {'missing': 'there is no chromium on the PATH'}
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return {'missing': 'playwright is not installed'}
    first, filters = [], []
    with sync_playwright() as playwright, _serve(catalog) as url:
        browser = playwright.chromium.launch(executable_path=executable, args=_CHROMIUM)
        for _ in range(int(rounds)):
            # a fresh profile has nothing in its cache
            context = browser.new_context(viewport={'width': 1360, 'height': 850})
            context.add_init_script(_WATCH)
            page = context.new_page()
            page.goto(f'{url}/overview.html')
            first.append(page.evaluate(_FIRST) / 1000)
            for word in ('V000', 'run-1', 'rest run-7', ''):
                filters.append(page.evaluate(_FILTER, word) / 1000)
                page.wait_for_timeout(100)
            context.close()
        version = browser.version
        browser.close()
    return {
        'first': median(first),
        'filter': median(filters),
        'filter_max': max(filters),
        'version': version,
        'size': (catalog / 'overview.json').stat().st_size,
    }


def _prepare(study: Path, visit: str, *, max_files: int) -> tuple[Any, Any]:
    """Remove the catalog of a study"""
    from datalad_icf.catalog import CatalogSettings, update_catalog
    from datalad_icf.store import Visit, VisitPaths

    paths = VisitPaths(study.parent, Visit(study.name, visit))
    settings = CatalogSettings(max_files=max_files)
    shutil.rmtree(paths.catalog_dir, ignore_errors=True)
    # also imports what is slow to import
    with update_catalog(paths, settings):
        pass
    return paths, settings


def _build_records(paths: Any, settings: Any) -> Iterator[dict[str, Any]]:
    from datalad_icf.catalog import summarise_visit
    from datalad_icf.catalog.records import build_file_records, build_visit_record
    from datalad_icf.store import read_instances, read_tarball_metadata

    tarball = read_tarball_metadata(paths.tarball_metadata)
    instances = read_instances(paths.dicoms_metadata, tarball.dicoms_md5)
    summary = summarise_visit(
        paths, tarball, instances, store_url=settings.store_url, zone=settings.zone
    )
    record = build_visit_record(
        summary, facility='Facility', source_time=0, files_digest=''
    )
    yield record
    yield from build_file_records(record, instances)


def _run(
    dl: Any, study: Path, visit: str, max_files: int = _NO_FILES
) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = dl.icf_catalog(
        id=(study.name, visit),
        store_dir=study.parent,
        max_files=max_files,
        result_renderer='disabled',
    )
    return records


@contextmanager
def _timed() -> Iterator[dict[str, float]]:
    times: dict[str, float] = {}
    cpu, wall = process_time(), perf_counter()
    yield times
    times.update(cpu=process_time() - cpu, wall=perf_counter() - wall)


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Print nothing: what is printed is the result"""


@contextmanager
def _serve(directory: Path) -> Iterator[str]:
    handler = partial(_QuietHandler, directory=str(directory))
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f'http://127.0.0.1:{server.server_address[1]}'
        server.shutdown()


_STEPS: dict[str, Callable[..., dict[str, Any]]] = {
    'add-files': add_files,
    'add-records': add_records,
    'add-visits': add_visits,
    'add-one': add_one,
    'open-overview': open_overview,
}

if __name__ == '__main__':
    step, place, *others = sys.argv[1:]
    print(json.dumps(_STEPS[step](Path(place), *others)))
