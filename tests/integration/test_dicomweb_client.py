"""From DICOM files to dicomweb-client, through the commands of this package

How servers differ is in `test_servers`; here it is about what they serve.
"""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from dicomweb_client import DICOMwebClient
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.tag import Tag
from pydicom.uid import ImplicitVRLittleEndian

from datalad_icf.dicomweb import TreeOptions, convert_visit
from datalad_icf.store import Visit, VisitPaths
from demo.phantom import write_phantom
from tests.dicomweb.dicom_bytes import bundled_files
from tests.integration.web_servers import RUNNERS

PIXELS = ('PixelData', 'FloatPixelData', 'DoubleFloatPixelData')


class Served:
    """A visit that is served, and its files"""

    def __init__(self, url: str, files: dict[str, bytes], tree: Path) -> None:
        self.client = DICOMwebClient(f'{url}S1/dicomweb')
        self.files = files
        self.tree = tree

    def uids(self) -> list[tuple[str, str, str]]:
        """Study, series and instance, as a client finds them"""
        found = []
        for study in self.client.search_for_studies():
            study_uid = study['0020000D']['Value'][0]
            for series in self.client.search_for_series(study_uid):
                series_uid = series['0020000E']['Value'][0]
                for each in self.client.search_for_instances(study_uid, series_uid):
                    uid = each['00080018']['Value'][0]
                    found.append((study_uid, series_uid, uid))
        return found

    def source(self, uids: tuple[str, str, str]) -> bytes:
        """The file that an instance was made of"""
        study, series, uid = uids
        directory = self.tree / 'studies' / study / 'series' / series
        info = json.loads((directory / 'instances' / uid / 'info').read_bytes())
        return self.files[info['member']['name'].partition('/')[2]]


@pytest.fixture(scope='module', params=['icf-serve', 'nginx', 'apache'])
def serve(request, place, tar):
    """Converts files, and serves the store, by each of the servers"""
    from hashlib import md5

    from datalad_icf.store import format_md5sum

    with ExitStack() as stack:

        def start(files: dict[str, bytes]) -> Served:
            # without a prefix, the tests of DataLad lead to another directory
            work = Path(tempfile.mkdtemp(prefix='visit-', dir=place))
            work.chmod(0o755)
            store = work / 'store'
            paths = VisitPaths(store, Visit('S1', 'V01'))
            paths.study_dir.mkdir(parents=True)
            content = tar(*((f'S1_V01/{n}', c) for n, c in files.items()))
            paths.tarball.write_bytes(content)
            digest = md5(content, usedforsecurity=False).hexdigest()
            paths.md5sum.write_text(format_md5sum(digest, paths.tarball.name))
            convert_visit(paths, TreeOptions(part10=True, thumbnails=False))
            run = RUNNERS[request.param]
            url = stack.enter_context(run(store, work, password=False))
            return Served(url, files, paths.dicomweb_dir)

        yield start


@pytest.fixture(scope='module')
def phantom(serve, tmp_path_factory):
    root = tmp_path_factory.mktemp('phantom')
    files = write_phantom(root, rows=8, columns=8)
    return serve({p.relative_to(root).as_posix(): p.read_bytes() for p in files})


@pytest.fixture(scope='module')
def bundled(serve):
    return serve({'/'.join(p.parts[-2:]): p.read_bytes() for p in bundled_files()})


@pytest.fixture(scope='module')
def example(serve):
    if 'ICF_EXAMPLE_VISIT' not in os.environ:
        pytest.skip('no example visit')
    root = Path(os.environ['ICF_EXAMPLE_VISIT'])
    return serve({p.name: p.read_bytes() for p in sorted(root.rglob('*.dcm'))[:40]})


@pytest.fixture(scope='module', params=['phantom', 'bundled', 'example'])
def served(request, serve):
    """The phantom, the files of pydicom, and some of a real visit"""
    return request.getfixturevalue(request.param)


def read_quietly(content: bytes) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return dcmread(BytesIO(content), force=True)


def test_all_instances_are_found(served):
    found = served.uids()
    assert len(found) == len(set(found)) == len(list(served.tree.rglob('info')))
    for study in {study for study, _, _ in found}:
        assert len(served.client.search_for_instances(study)) == sum(
            uid[0] == study for uid in found
        )


def test_metadata_of_a_series_are_those_of_its_instances(served):
    for study, series in {uids[:2] for uids in served.uids()}:
        together = served.client.retrieve_series_metadata(study, series)
        for each in together:
            uid = each['00080018']['Value'][0]
            alone = served.client.retrieve_instance_metadata(study, series, uid)
            assert drop_addresses(each) == drop_addresses(alone)


def drop_addresses(element: Any) -> Any:
    if isinstance(element, list):
        return [drop_addresses(each) for each in element]
    if not isinstance(element, dict):
        return element
    return {k: drop_addresses(v) for k, v in element.items() if k != 'BulkDataURI'}


def test_files_are_found_as_they_are(served):
    for uids in served.uids():
        url = served.tree.joinpath(
            'studies', uids[0], 'series', uids[1], 'instances', uids[2], 'index.mht'
        )
        assert served.source(uids) in url.read_bytes()
    for uids in served.uids()[:3]:
        found = served.client.retrieve_instance(*uids)
        assert found == read_quietly(served.source(uids))


def test_frames_are_found_byte_by_byte(served):
    for uids in served.uids():
        frames = served.tree.joinpath(
            'studies', uids[0], 'series', uids[1], 'instances', uids[2], 'frames'
        )
        numbers = range(1, len(list(frames.glob('*'))) + 1)
        found = [
            served.client.retrieve_instance_frames(*uids, [number])[0]
            for number in numbers
        ]
        data_set = read_quietly(served.source(uids))
        assert found == list_frames(data_set, len(found)), uids


def list_frames(data_set: Dataset, number: int) -> list[bytes]:
    """The frames of a file, with nothing but pydicom, in little endian"""
    keyword = next((k for k in PIXELS if k in data_set), None)
    if number == 0 or keyword is None:
        return []
    pixels = data_set[keyword].value
    syntax = data_set.file_meta.get('TransferSyntaxUID', ImplicitVRLittleEndian)
    if syntax.is_compressed and not syntax.is_deflated:
        return list(generate_frames(pixels, number_of_frames=number))
    if not syntax.is_little_endian and data_set[keyword].VR == 'OW':
        pixels = swap(pixels, max(2, data_set.BitsAllocated // 8))
    size = data_set.Rows * data_set.Columns * data_set.get('SamplesPerPixel', 1)
    if 'PixelData' in data_set:
        size = size * data_set.BitsAllocated // 8
    else:
        size *= 8 if 'DoubleFloatPixelData' in data_set else 4
    if data_set.PhotometricInterpretation == 'YBR_FULL_422':
        size = size // 3 * 2
    assert len(pixels) - size * number in (0, 1)
    return [pixels[n * size : (n + 1) * size] for n in range(number)]


def swap(data: bytes, size: int) -> bytes:
    return b''.join(data[i : i + size][::-1] for i in range(0, len(data), size))


def test_bulk_data_are_found(bundled):
    found = 0
    for uids in bundled.uids():
        metadata = bundled.client.retrieve_instance_metadata(*uids)
        for tag, element in metadata.items():
            uri = element.get('BulkDataURI', '')
            if '/bulkdata/' not in uri:
                continue
            name = uri.rpartition('/')[2]
            url = f'{bundled.client.base_url}/studies/{uids[0]}/bulkdata/{name}'
            (content,) = bundled.client.retrieve_bulkdata(url)
            data_set = read_quietly(bundled.source(uids))
            assert content == data_set[tag].value, tag
            found += 1
    assert found > 0


def test_metadata_have_all_elements_that_pydicom_finds(served):
    for uids in served.uids():
        metadata = served.client.retrieve_instance_metadata(*uids)
        data_set = read_quietly(served.source(uids))
        expected = {f'{tag:08X}' for tag in map(Tag, data_set.keys()) if tag.element}
        assert metadata.keys() == expected


def test_metadata_are_what_pydicom_reads(served):
    for uids in served.uids():
        metadata = served.client.retrieve_instance_metadata(*uids)
        data_set = read_quietly(served.source(uids))
        for tag, found in metadata.items():
            with warnings.catch_warnings():
                warnings.simplefilter('ignore')
                compare(tag, found, data_set)


def compare(tag: str, found: dict[str, Any], data_set: Dataset) -> None:
    """Compare texts and numbers; the rest is in the tests of the JSON model"""
    element = data_set[tag]
    if found['vr'] not in ('CS', 'DA', 'LO', 'SH', 'UI', 'US', 'FD', 'TM', 'ST', 'AE'):
        return
    if found['vr'] != element.VR:
        return
    value = element.value
    values = [] if value in (None, '') else value
    if not isinstance(values, (list, tuple)) and element.VM <= 1:
        values = [values]
    theirs = [str(v).strip() for v in values]
    ours = ['' if v is None else str(v).strip() for v in found.get('Value', [])]
    assert ours == theirs, tag
