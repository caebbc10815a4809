"""A scanner export is compared with what was archived of it"""

from __future__ import annotations

from shutil import copytree

import pytest

from datalad_icf.errors import PreconditionError
from datalad_icf.verify import StudyViews, verify_visit
from demo.phantom import T1W, build_instance, encode


@pytest.fixture
def export(phantom_files, tmp_path):
    """The export from which the visit was archived"""
    return copytree(phantom_files, tmp_path / 'again')


@pytest.fixture
def compare(paths, export):
    return lambda: verify_visit(paths, StudyViews(paths), export=export)


def test_the_same_export_is_whole(compare):
    report = compare()
    assert (report.findings, report.warnings) == ([], [])


def test_an_image_that_came_late_is_found(compare, export):
    late = encode(build_instance(T1W, 77, visit='late', rows=4, columns=4))
    (export / 'late.dcm').write_bytes(late)
    (finding,) = compare().findings
    assert finding.code == 'image-not-archived'
    assert "'late.dcm'" in finding.message


def test_an_image_that_has_changed_is_found(compare, export):
    image = next(export.rglob('*.dcm'))
    image.write_bytes(image.read_bytes() + b'\0')
    (finding,) = compare().findings
    assert finding.code == 'image-changed'
    assert image.name in finding.message


def test_an_image_under_another_name_is_the_same(compare, export):
    image = next(export.rglob('*.dcm'))
    image.rename(export / 'elsewhere.dcm')
    report = compare()
    assert (report.findings, report.warnings) == ([], [])


def test_what_the_export_has_no_more_is_told_and_is_no_damage(compare, export):
    image = next(export.rglob('*.dcm'))
    image.unlink()
    report = compare()
    assert report.findings == []
    assert image.name in report.warnings[0]


def test_an_export_is_not_compared_without_reading(paths, export):
    with pytest.raises(PreconditionError, match='--fast'):
        verify_visit(paths, StudyViews(paths), export=export, fast=True)
