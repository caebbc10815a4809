"""From DICOM files to dicomweb-client, through the commands of this package

How servers differ is in `test_servers`; here it is about what they serve.
"""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from hashlib import md5
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from dicomweb_client import DICOMwebClient
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.tag import Tag
from pydicom.uid import ImplicitVRLittleEndian

from datalad_icf.dicomweb import TreeOptions, TreeReport, convert_visit
from datalad_icf.store import Visit, VisitPaths, format_md5sum
from demo.phantom import write_phantom
from tests.dicomweb.dicom_bytes import bundled_files
from tests.integration.web_servers import RUNNERS

PIXELS = ('PixelData', 'FloatPixelData', 'DoubleFloatPixelData')


class Served:
    """A study that is served, and its files"""

    def __init__(
        self, url: str, files: dict[str, bytes], tree: Path, report: TreeReport
    ) -> None:
        self.client = DICOMwebClient(f'{url}{tree.parent.name}/dicomweb')
        self.files = files
        self.tree = tree
        self.report = report

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

    def name(self, uids: tuple[str, str, str]) -> str:
        """Name of the member that an instance was made of"""
        study, series, uid = uids
        directory = self.tree / 'studies' / study / 'series' / series
        info = json.loads((directory / 'instances' / uid / 'info').read_bytes())
        return str(info['member']['name'])

    def source(self, uids: tuple[str, str, str]) -> bytes:
        """The file that an instance was made of"""
        return self.files[self.name(uids).partition('/')[2]]

    def told(self, uids: tuple[str, str, str]) -> dict[str, str]:
        """What was told of the elements of an instance, by tag"""
        name = self.name(uids)
        problems = self.report.state.problems
        return {p['tag']: p['text'] for p in problems if p['path'] == name}


@pytest.fixture(scope='module', params=['icf-serve', 'nginx', 'apache'])
def serve(request, place, tar):
    """Converts files, and serves the store, by each of the servers"""
    with ExitStack() as stack:

        def start(files: dict[str, bytes]) -> list[Served]:
            # without a prefix, the tests of DataLad lead to another directory
            work = Path(tempfile.mkdtemp(prefix='visit-', dir=place))
            work.chmod(0o755)
            store = work / 'store'
            converted = []
            left = files
            # what has the UID of another image is the same visit of the next study
            while left:
                paths = VisitPaths(store, Visit(f'S{len(converted) + 1}', 'V01'))
                paths.study_dir.mkdir(parents=True)
                content = tar(*((f'visit/{n}', c) for n, c in left.items()))
                paths.tarball.write_bytes(content)
                digest = md5(content, usedforsecurity=False).hexdigest()
                paths.md5sum.write_text(format_md5sum(digest, paths.tarball.name))
                options = TreeOptions(part10=True, thumbnails=False)
                report = convert_visit(paths, options)
                converted.append((paths.dicomweb_dir, report))
                left = {
                    name: left[name]
                    for problem in report.failed
                    for name in (problem['path'].removeprefix('visit/'),)
                    if 'another image' in problem['text']
                }
            run = RUNNERS[request.param]
            url = stack.enter_context(run(store, work, password=False))
            return [Served(url, files, tree, report) for tree, report in converted]

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
def studies(request, serve):
    """Of the phantom, of the files of pydicom, and of some of a real visit"""
    return request.getfixturevalue(request.param)


def iter_instances(
    studies: list[Served],
) -> Iterator[tuple[Served, tuple[str, str, str]]]:
    for served in studies:
        for uids in served.uids():
            yield served, uids


def read_quietly(content: bytes) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return dcmread(BytesIO(content), force=True)


def test_all_instances_are_found(studies):
    for served in studies:
        found = served.uids()
        assert len(found) == len(set(found)) == len(list(served.tree.rglob('info')))
        for study in {study for study, _, _ in found}:
            assert len(served.client.search_for_instances(study)) == sum(
                uid[0] == study for uid in found
            )


def test_all_files_but_those_without_uids_are_found(bundled):
    """Whatever their encoding is"""
    found = [served.source(uids) for served, uids in iter_instances(bundled)]
    assert len(found) > 160
    missing = {*bundled[0].files.values()} - {*found}
    for content in missing:
        data_set = read_quietly(content)
        assert not data_set.get('StudyInstanceUID') or 'FileSetID' in data_set


def test_metadata_of_a_series_are_those_of_its_instances(studies):
    for served, study, series in {
        (served, *uids[:2]) for served, uids in iter_instances(studies)
    }:
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


def test_files_are_found_as_they_are(studies):
    for served, uids in iter_instances(studies):
        url = served.tree.joinpath(
            'studies', uids[0], 'series', uids[1], 'instances', uids[2], 'index.mht'
        )
        assert served.source(uids) in url.read_bytes()
    for served, uids in islice(iter_instances(studies), 3):
        found = served.client.retrieve_instance(*uids)
        assert found == read_quietly(served.source(uids))


def test_frames_are_found_byte_by_byte(studies):
    for served, uids in iter_instances(studies):
        frames = served.tree.joinpath(
            'studies', uids[0], 'series', uids[1], 'instances', uids[2], 'frames'
        )
        numbers = range(1, len(list(frames.glob('*'))) + 1)
        found = [
            served.client.retrieve_instance_frames(*uids, [number])[0]
            for number in numbers
        ]
        data_set = read_quietly(served.source(uids))
        has_more = 'bytes' in served.told(uids).get('7FE00010', '')
        assert found == list_frames(data_set, len(found), has_more), uids


def list_frames(data_set: Dataset, number: int, has_more: bool) -> list[bytes]:
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
    assert has_more or len(pixels) - size * number in (0, 1)
    return [pixels[n * size : (n + 1) * size] for n in range(number)]


def swap(data: bytes, size: int) -> bytes:
    return b''.join(data[i : i + size][::-1] for i in range(0, len(data), size))


def test_bulk_data_are_found(bundled):
    found = 0
    for served, uids in iter_instances(bundled):
        metadata = served.client.retrieve_instance_metadata(*uids)
        for tag, element in metadata.items():
            uri = element.get('BulkDataURI', '')
            if '/bulkdata/' not in uri:
                continue
            name = uri.rpartition('/')[2]
            url = f'{served.client.base_url}/studies/{uids[0]}/bulkdata/{name}'
            (content,) = served.client.retrieve_bulkdata(url)
            data_set = read_quietly(served.source(uids))
            assert content == data_set[tag].value, tag
            found += 1
    assert found > 0


def test_metadata_have_all_elements_that_pydicom_finds(studies):
    for served, uids in iter_instances(studies):
        metadata = served.client.retrieve_instance_metadata(*uids)
        data_set = read_quietly(served.source(uids))
        expected = {f'{tag:08X}' for tag in map(Tag, data_set.keys()) if tag.element}
        # pydicom keeps a part of a sequence that is cut
        told = served.told(uids).items()
        lost = {tag for tag, text in told if text.startswith('data elements are lost')}
        assert metadata.keys() == expected - lost


def test_metadata_are_what_pydicom_reads(studies):
    compared = 0
    for served, uids in iter_instances(studies):
        metadata = served.client.retrieve_instance_metadata(*uids)
        data_set = read_quietly(served.source(uids))
        for tag, found in metadata.items():
            with warnings.catch_warnings():
                warnings.simplefilter('ignore')
                compare(tag, found, data_set)
        compared += bool(metadata)
    assert compared


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
