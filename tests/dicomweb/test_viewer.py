"""A build of the viewer in a store: whole or not at all, and changed as it must be"""

from __future__ import annotations

import io
import json
import re
import tarfile
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest

from datalad_icf.dicomweb import viewer, viewer_build
from datalad_icf.dicomweb.viewer import install_viewer, read_installed, viewer_link
from datalad_icf.errors import (
    ConflictError,
    MissingInputError,
    StoreWriteError,
    ViewerError,
)

INLINE = 'function browserImportFunction(n){return import(n)}window.PUBLIC_URL="/"'
PAGE = (
    '<!doctype html><html lang="en"><head><meta charset="UTF-8">'
    '<link rel="manifest" href="/manifest.json">'
    '<link rel="icon" href="/assets/favicon.ico">'
    '<script rel="preload" as="script" src="/app-config.js"></script>'
    '<script rel="preload" type="module" src="/init-service-worker.js"></script>'
    f'<script>{INLINE}</script><script defer src="/app.bundle.js"></script>'
    '<link href="/app.bundle.css" rel="stylesheet"></head><body></body></html>'
)
BUILD = {
    'index.html': PAGE,
    'app-config.js': 'window.config = {};',
    'app.bundle.js': '(() => {\n__webpack_require__.p = "/";\n})();\n'
    "const models = 'https://huggingface.co/model.onnx';",
    'worker.js': '(()=>{var n={};n.p="/",n.u=1})();let basename = "/";',
    'app.bundle.css': '@font-face{src:url(/font.woff2)} a{b:url("/x.png")}',
    'font.woff2': 'font',
    'assets/favicon.ico': 'icon',
    'sw.js': 'service worker',
    'init-service-worker.js': 'service worker',
    'app.bundle.js.map': 'map',
    'ort/ort.wasm': 'models',
}


@pytest.fixture
def store(tmp_path) -> Path:
    directory = tmp_path / 'store'
    directory.mkdir()
    return directory


@pytest.fixture
def make_build(tmp_path) -> Callable[..., Path]:
    """Makes the directory that ``npm pack`` packs"""

    def make(name: str = 'package', version: str = '3.0.0', **files: str) -> Path:
        directory = tmp_path / name
        for path, text in {**BUILD, **files}.items():
            file = directory / 'dist' / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        package = {'name': '@ohif/app', 'version': version}
        (directory / 'package.json').write_text(json.dumps(package))
        return directory

    return make


@pytest.fixture
def pack(tmp_path) -> Callable[..., Path]:
    """Packs a directory as ``npm pack`` does, and members that it never would"""

    def make(directory: Path | None, *members: tarfile.TarInfo) -> Path:
        path = tmp_path / 'build.tgz'
        with tarfile.open(path, 'w:gz') as archive:
            if directory:
                archive.add(directory, 'package')
            for member in members:
                archive.addfile(member, io.BytesIO(bytes(member.size)))
        return path

    return make


def installed_files(store: Path) -> set[str]:
    root = store / 'viewer'
    return {p.relative_to(root).as_posix() for p in root.rglob('*') if p.is_file()}


def test_a_package_is_installed(make_build, pack, store):
    report = install_viewer(pack(make_build()), store)
    assert (report.path, report.version) == (store / 'viewer', '3.0.0')
    assert report.is_new
    assert installed_files(store) == {
        'app-config.js',
        'app.bundle.css',
        'app.bundle.js',
        'assets/favicon.ico',
        'font.woff2',
        'icf-viewer.json',
        'index.html',
        'viewer/index.html',
        'worker.js',
    }
    assert sorted(p.name for p in store.iterdir()) == ['.viewer.lock', 'viewer']


@pytest.mark.parametrize('part', ['.', 'dist'])
def test_a_directory_makes_the_same_viewer_as_a_package(make_build, pack, store, part):
    build = make_build()
    install_viewer(pack(build), store)
    packed = {n: (store / 'viewer' / n).read_bytes() for n in installed_files(store)}
    install_viewer(build / part, store)
    for name in installed_files(store) - {'icf-viewer.json'}:
        assert (store / 'viewer' / name).read_bytes() == packed[name]
    assert read_installed(store)['version'] == '3.0.0'


def test_no_address_of_the_page_depends_on_where_the_store_is_served(make_build, store):
    install_viewer(make_build(), store)
    page = (store / 'viewer/viewer/index.html').read_text()
    addresses = re.findall(r'(?:href|src)="([^"]*)"', page)
    assert addresses == [
        '../assets/favicon.ico',
        '../app-config.js',
        '../app.bundle.js',
        '../app.bundle.css',
    ]
    assert 'PUBLIC_URL="/"' not in page
    bundle = (store / 'viewer/app.bundle.js').read_text()
    assert '__webpack_require__.p = (self.PUBLIC_URL||' in bundle
    worker = (store / 'viewer/worker.js').read_text()
    assert 'n.p=(self.PUBLIC_URL||' in worker
    assert worker.endswith('let basename = "/";')
    style = (store / 'viewer/app.bundle.css').read_text()
    assert style == '@font-face{src:url(./font.woff2)} a{b:url("./x.png")}'


def test_only_the_scripts_of_the_page_run_and_nothing_leaves_the_server(
    make_build, store
):
    install_viewer(make_build(), store)
    page = (store / 'viewer/viewer/index.html').read_text()
    (policy,) = re.findall(r'Security-Policy" content="([^"]*)"', page)
    rules = dict(rule.split(' ', 1) for rule in policy.split('; '))
    script = INLINE.replace('window.PUBLIC_URL="/"', 'void 0')
    digest = b64encode(sha256(script.encode()).digest()).decode()
    assert f'<script>{script}</script>' in page
    assert rules['script-src'] == f"'self' 'unsafe-eval' 'sha256-{digest}'"
    assert rules['default-src'] == "'self'"
    assert not re.search(r'https?:|\*', policy)
    assert 'huggingface' not in (store / 'viewer/app.bundle.js').read_text()


def test_the_configuration_is_ours(make_build, store):
    install_viewer(make_build(), store)
    config = (store / 'viewer/app-config.js').read_text()
    assert 'useCPURendering: true' in config
    # nothing could draw them
    assert 'isDynamicVolume = false' in config
    assert 'http://' not in config
    assert 'https://' not in config


def test_the_same_build_is_installed_once(make_build, store):
    build = make_build()
    install_viewer(build, store)
    before = (store / 'viewer').stat().st_ino
    again = install_viewer(build, store)
    assert (again.is_new, again.version) == (False, '3.0.0')
    assert (store / 'viewer').stat().st_ino == before


def test_another_build_replaces_all_of_the_first_one(make_build, store):
    install_viewer(make_build(**{'old.bundle.js': ''}), store)
    assert 'old.bundle.js' in installed_files(store)
    report = install_viewer(make_build('second', '3.1.0'), store)
    assert (report.is_new, report.version) == (True, '3.1.0')
    assert 'old.bundle.js' not in installed_files(store)
    assert sorted(p.name for p in store.iterdir()) == ['.viewer.lock', 'viewer']


def test_a_build_that_differs_in_one_byte_replaces_the_viewer(make_build, store):
    install_viewer(make_build(), store)
    assert install_viewer(make_build('second', **{'font.woff2': 'fonT'}), store).is_new


def test_a_new_configuration_replaces_the_viewer(make_build, store, monkeypatch):
    build = make_build()
    install_viewer(build, store)
    monkeypatch.setattr(viewer_build, '_FORMAT', 99)
    assert install_viewer(build, store).is_new


def test_a_full_disk_leaves_the_former_viewer(make_build, store, monkeypatch):
    install_viewer(make_build(), store)
    before = installed_files(store)

    def fail(name: str, content: bytes) -> bytes:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(viewer, 'mend_file', fail)
    with pytest.raises(StoreWriteError, match='No space left'):
        install_viewer(make_build('second', '3.1.0'), store)
    assert installed_files(store) == before
    assert read_installed(store)['version'] == '3.0.0'
    assert sorted(p.name for p in store.iterdir()) == ['.viewer.lock', 'viewer']


def test_a_failed_rename_leaves_the_former_viewer(make_build, store, monkeypatch):
    install_viewer(make_build(), store)
    rename = viewer.os.rename

    def fail(source: Path, target: Path) -> None:
        if source.parent.name == '.viewer.part':
            raise OSError(5, 'Input/output error')
        rename(source, target)

    monkeypatch.setattr(viewer.os, 'rename', fail)
    with pytest.raises(StoreWriteError):
        install_viewer(make_build('second', '3.1.0'), store)
    assert read_installed(store)['version'] == '3.0.0'


@pytest.mark.parametrize('moved', [False, True])
def test_a_process_that_was_killed_does_no_harm(make_build, store, moved):
    build = make_build()
    install_viewer(build, store)
    (store / '.viewer.part').mkdir()
    (store / '.viewer.part' / 'half').write_text('')
    if moved:
        (store / 'viewer').rename(store / '.viewer.old')
    # what was there is there again, and need not be made
    assert not install_viewer(build, store).is_new
    assert install_viewer(make_build('second', '3.1.0'), store).is_new
    assert read_installed(store)['version'] == '3.1.0'
    assert sorted(p.name for p in store.iterdir()) == ['.viewer.lock', 'viewer']


def test_a_study_of_that_name_is_not_replaced(make_build, store):
    (store / 'viewer').mkdir()
    (store / 'viewer' / 'V01_dicom.tar').write_text('images')
    with pytest.raises(ConflictError, match='no viewer'):
        install_viewer(make_build(), store)
    assert [p.name for p in (store / 'viewer').iterdir()] == ['V01_dicom.tar']


def member(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, '/etc/passwd'
    return info


@pytest.mark.parametrize(
    'odd',
    [
        member('../escaped'),
        member('package/../../escaped'),
        member('/tmp/escaped'),
        member('package/dist/link', tarfile.SYMTYPE),
        member('package/dist/link', tarfile.LNKTYPE),
        member('package/dist/fifo', tarfile.FIFOTYPE),
        member('package/dist/tty', tarfile.CHRTYPE),
    ],
    ids=lambda m: f'{m.name} {m.type!r}',
)
def test_a_member_that_is_not_safe_is_refused(make_build, pack, store, odd):
    build = pack(make_build(), odd)
    with pytest.raises(ViewerError, match='not safe'):
        install_viewer(build, store)
    assert [p.name for p in store.iterdir()] == ['.viewer.lock']
    assert not list(store.parent.rglob('escaped'))


def test_a_member_that_stands_there_twice_is_refused(make_build, pack, store):
    build = pack(make_build(), member('package/dist/index.html'))
    with pytest.raises(ViewerError, match='damaged'):
        install_viewer(build, store)


@pytest.mark.parametrize('limit', ['_MAX_BYTES', '_MAX_FILES'])
def test_a_package_that_fills_the_disk_is_refused(
    make_build, pack, store, monkeypatch, limit
):
    build = pack(make_build(), member('package/dist/large', size=5000))
    monkeypatch.setattr(viewer_build, limit, 5)
    with pytest.raises(ViewerError, match='too large'):
        install_viewer(build, store)
    assert [p.name for p in store.iterdir()] == ['.viewer.lock']


@pytest.mark.parametrize('cut', [0, 40, -20])
def test_a_damaged_package_is_refused(make_build, pack, store, cut):
    build = pack(make_build())
    build.write_bytes(build.read_bytes()[:cut])
    with pytest.raises(ViewerError):
        install_viewer(build, store)
    assert [p.name for p in store.iterdir()] == ['.viewer.lock']


def test_a_package_with_a_wrong_checksum_is_refused(make_build, pack, store):
    build = pack(make_build())
    content = bytearray(build.read_bytes())
    content[-8] ^= 1
    build.write_bytes(content)
    with pytest.raises(ViewerError, match='damaged'):
        install_viewer(build, store)


def test_a_link_in_a_directory_is_not_followed(make_build, store, tmp_path):
    build = make_build()
    (tmp_path / 'secret').mkdir()
    (tmp_path / 'secret/key.js').write_text('key')
    (build / 'dist/linked').symlink_to(tmp_path / 'secret')
    (build / 'dist/linked.js').symlink_to(tmp_path / 'secret/key.js')
    install_viewer(build, store)
    assert not [name for name in installed_files(store) if 'linked' in name]


@pytest.mark.parametrize(
    ('files', 'message'),
    [
        ({'app-config.js': None}, 'no build of the OHIF viewer'),
        ({'index.html': PAGE.replace('app-config', 'other')}, 'its configuration'),
        ({'index.html': '<script src="/app-config.js"></script>'}, 'no head'),
    ],
)
def test_what_is_no_build_is_refused(make_build, store, files, message):
    build = make_build(**{k: v for k, v in files.items() if v})
    for name in (k for k, v in files.items() if v is None):
        (build / 'dist' / name).unlink()
    with pytest.raises(ViewerError, match=message):
        install_viewer(build, store)
    assert not (store / 'viewer').exists()


def test_a_package_of_something_else_is_named_in_the_message(make_build, pack, store):
    build = make_build()
    (build / 'dist/app-config.js').unlink()
    package = pack(build)
    with pytest.raises(ViewerError, match='npm pack') as caught:
        install_viewer(package, store)
    assert str(caught.value).startswith(f'{package} ')
    assert '.part' not in str(caught.value)


def test_a_page_that_is_no_text_is_refused(make_build, store):
    build = make_build()
    (build / 'dist/index.html').write_bytes(b'\xff\xfe')
    with pytest.raises(ViewerError, match='no text'):
        install_viewer(build, store)


def test_a_build_that_is_not_there_is_missing(store):
    with pytest.raises(MissingInputError):
        install_viewer(store / 'nothing.tgz', store)


def test_files_have_the_rights_of_new_files(make_build, store):
    build = make_build()
    (build / 'dist/font.woff2').chmod(0o700)
    install_viewer(build, store)
    new = store / 'new'
    new.write_text('')
    for name in installed_files(store):
        mode = (store / 'viewer' / name).stat().st_mode
        assert mode == new.stat().st_mode


@pytest.mark.parametrize('study_id', ['S1', 'a study', 'Ä&b=c#d?e%2f+', 'x\'"<>'])
def test_a_link_leads_from_the_catalog_to_the_study(study_id):
    link = viewer_link(study_id, ['1.2.3', '1.2.4'], '1.2.3.4', '1.2.3.4.5')
    url = urlsplit(urljoin('https://host/some/store/S/catalog/overview.html', link))
    assert (url.path, url.fragment) == ('/some/store/viewer/viewer/', '')
    assert parse_qs(url.query) == {
        'icf': [study_id],
        'StudyInstanceUIDs': ['1.2.3,1.2.4'],
        'initialSeriesInstanceUID': ['1.2.3.4'],
        'initialSopInstanceUID': ['1.2.3.4.5'],
    }


def test_a_link_names_a_visit_alone():
    assert viewer_link('S', '1.2') == '../../viewer/viewer/?icf=S&StudyInstanceUIDs=1.2'
