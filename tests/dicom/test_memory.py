"""Memory does not grow with the size of a file"""

from __future__ import annotations

import tracemalloc

import pytest

from datalad_icf.dicom import archive_visit, deposit_metadata

MB = 1_000_000


@pytest.fixture
def large_image(export, image):
    """An image of 300 MB, which needs no space on disk"""
    content = image()
    with (export / 'large').open('wb') as f:
        f.write(content)
        f.truncate(300 * MB)
    return export


@pytest.fixture
def peak():
    """Tells the peak of the memory since the start of the test, in MB"""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1] / MB
    tracemalloc.stop()


def test_a_large_image_is_archived_and_described_in_little_memory(
    paths, large_image, peak
):
    archive_visit(paths, large_image)
    assert peak() < 20
    assert deposit_metadata(paths).tarball.instances == 1
    assert peak() < 20


def test_a_large_header_is_read_in_little_memory(paths, export, image, peak):
    """Elements that nobody asked for are passed over, however long they are"""
    content = image()
    start = content.index(b'\x08\x00\x20\x00DA')
    # of the group before that of the study date, and of 100 MB
    odd = b'\x07\x00\x10\x10OB\0\0' + (100 * MB).to_bytes(4, 'little')
    charset = content.index(b'\x08\x00\x05\x00CS')
    with (export / 'large').open('wb') as f:
        f.write(content[:charset] + odd)
        f.seek(100 * MB, 1)
        f.write(content[charset:])
    assert start > charset
    made = archive_visit(paths, export)
    assert (made.instances, made.warnings) == (1, [])
    assert peak() < 20
