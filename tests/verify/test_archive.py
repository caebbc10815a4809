"""Damage of the tarball, its digest file and its metadata is found"""

from __future__ import annotations

import json
from datetime import tzinfo
from hashlib import md5
from zoneinfo import ZoneInfo

import pytest

from datalad_icf.dicom import archive_visit, deposit_metadata
from datalad_icf.store import Visit, VisitPaths, format_md5sum, read_instances
from datalad_icf.verify import StudyViews, verify_visit
from tests.verify.conftest import flip


def member_of(paths):
    """Metadata of an image in the middle of the tarball"""
    instances = read_instances(paths.dicoms_metadata)
    return instances[len(instances) // 2]


def rewrite(path, **fields):
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, **fields}))


def rewrite_first(paths, **fields):
    """Change the metadata of the first image, as somebody with an editor would"""
    records = json.loads(paths.dicoms_metadata.read_text())
    records[0].update(fields)
    paths.dicoms_metadata.write_text(json.dumps(records))
    tarball = json.loads(paths.tarball_metadata.read_text())
    del tarball['dicoms_md5']
    paths.tarball_metadata.write_text(json.dumps(tarball))


@pytest.mark.parametrize('fast', [False, True])
def test_a_whole_visit_has_no_findings(find, fast):
    assert find(fast=fast) == []


def test_a_tarball_alone_is_whole(tmp_path, phantom_files):
    alone = VisitPaths(tmp_path / 'other', Visit('S1', 'V01'))
    archive_visit(alone, phantom_files)
    report = verify_visit(alone, StudyViews(alone))
    assert report.findings == []
    assert not any(report.parts.values())


def test_a_flipped_bit_of_an_image_is_found(paths, find):
    member = member_of(paths)
    flip(paths.tarball, member.offset + member.size - 1)
    findings = {finding.code: finding for finding in find()}
    assert findings.keys() == {'image-damaged', 'tarball-differs', 'metadata-differs'}
    assert member.path in findings['image-damaged'].message


def test_a_flipped_bit_of_a_member_header_is_found(paths, codes):
    flip(paths.tarball, member_of(paths).offset - 512)
    assert codes() == {'tarball-damaged'}


def test_a_flipped_bit_between_members_is_found(paths, codes):
    member = member_of(paths)
    assert member.size % 512
    flip(paths.tarball, member.offset + member.size)
    assert codes() == {'tarball-differs', 'metadata-differs'}


def test_a_flipped_bit_of_a_file_that_is_no_image_is_found(paths, codes):
    content = paths.tarball.read_bytes()
    flip(paths.tarball, content.index(b'no image'))
    assert codes() == {'tarball-differs', 'metadata-differs'}


def test_a_tarball_cut_between_members_is_found(paths, codes):
    member = member_of(paths)
    end = member.offset + member.size + -member.size % 512
    with paths.tarball.open('r+b') as f:
        f.truncate(end)
    assert codes() == {'tarball-damaged'}
    assert codes(fast=True) == {'tarball-damaged'}


def test_a_tarball_that_ends_early_and_is_closed_again_is_found(paths, codes):
    member = member_of(paths)
    end = member.offset + member.size + -member.size % 512
    with paths.tarball.open('r+b') as f:
        f.truncate(end)
        f.seek(end)
        f.write(bytes(1024 + -(end + 1024) % 10240))
    assert {'image-missing', 'metadata-differs', 'tarball-differs'} <= codes()
    assert {'image-missing', 'metadata-differs'} <= codes(fast=True)


def test_a_lost_tarball_is_found(paths, codes):
    paths.tarball.unlink()
    assert codes() == {'tarball-missing'}


def test_a_lost_tarball_of_which_only_the_dataset_is_left_is_found(paths, codes):
    for path in (paths.tarball, paths.md5sum):
        path.unlink()
    for path in (paths.tarball_metadata, paths.dicoms_metadata):
        path.unlink()
    assert codes() == {
        'tarball-missing',
        'metadata-missing',
        'catalog-without-visit',
        'dicomweb-without-visit',
    }


def test_swapped_digest_files_are_found(paths, codes):
    other = VisitPaths(paths.store_dir, Visit('S1', 'V02'))
    other.md5sum.write_bytes(paths.md5sum.read_bytes())
    paths.md5sum.write_text(format_md5sum('0' * 32, paths.tarball.name))
    assert {'tarball-differs', 'tarball-missing', 'md5sum-damaged'} <= codes()


@pytest.mark.parametrize(
    ('text', 'code'),
    [
        (None, 'md5sum-missing'),
        ('', 'md5sum-damaged'),
        ('rubbish', 'md5sum-damaged'),
        (format_md5sum('0' * 32, 'V02_dicom.tar'), 'md5sum-damaged'),
    ],
)
def test_a_digest_file_that_is_lost_or_damaged_is_found(paths, codes, text, code):
    if text is None:
        paths.md5sum.unlink()
    else:
        paths.md5sum.write_text(text)
    assert code in codes()


@pytest.mark.parametrize('name', ['tarball_metadata', 'dicoms_metadata'])
def test_a_lost_metadata_file_is_found(paths, find, name):
    path = getattr(paths, name)
    path.unlink()
    (finding,) = find()
    assert (finding.code, finding.path) == ('metadata-missing', path)


@pytest.mark.parametrize('name', ['tarball_metadata', 'dicoms_metadata'])
def test_a_flipped_bit_of_metadata_is_found(paths, find, name):
    path = getattr(paths, name)
    flip(path, path.read_bytes().index(b'"md5": "') + 10)
    found = find()
    assert found
    assert path in {finding.path for finding in found}
    assert str(path) in ' '.join(finding.message for finding in found)


@pytest.mark.parametrize(
    ('fields', 'code'),
    [
        ({'md5': '0' * 32}, 'image-damaged'),
        ({'size': 5}, 'image-damaged'),
        ({'offset': 1024}, 'image-misdescribed'),
        ({'Modality': 'CT'}, 'image-misdescribed'),
        ({'SeriesNumber': '2'}, 'image-misdescribed'),
        ({'path': 'S1_V01/other.dcm'}, 'image-missing'),
    ],
)
def test_metadata_that_the_image_does_not_say_are_found(paths, codes, fields, code):
    rewrite_first(paths, **fields)
    assert code in codes()


def test_an_image_without_metadata_is_found(paths, find):
    records = json.loads(paths.dicoms_metadata.read_text())
    lost = records.pop()
    paths.dicoms_metadata.write_text(json.dumps(records))
    rewrite(paths.tarball_metadata, dicoms_md5=None, instances=None)
    found = {finding.code: finding for finding in find()}
    assert lost['path'] in found['image-not-described'].message


def test_metadata_of_another_visit_are_found(paths, codes):
    rewrite(paths.tarball_metadata, storepath='S1/V02_dicom.tar')
    assert codes() == {'metadata-differs'}


def test_a_deposit_of_another_visit_is_found(paths, codes, tmp_path, phantom_files):
    other = VisitPaths(tmp_path / 'other', Visit('S1', 'V01'))
    (phantom_files / 'more.txt').write_text('more')
    try:
        archive_visit(other, phantom_files)
    finally:
        (phantom_files / 'more.txt').unlink()
    for name in ('tarball', 'md5sum'):
        getattr(paths, name).write_bytes(getattr(other, name).read_bytes())
    assert codes() == {'metadata-differs'}


@pytest.mark.parametrize('fast', [False, True])
def test_a_whole_tarball_of_another_visit_is_found(tmp_path, phantom_files, fast):
    """Under the name of this visit, with a digest file that fits"""
    here, other = (VisitPaths(tmp_path / 'o', Visit('S1', v)) for v in ('V01', 'V02'))
    archive_visit(other, phantom_files)
    other.tarball.rename(here.tarball)
    here.md5sum.write_text(other.md5sum.read_text().replace('V02', 'V01'))
    (finding,) = verify_visit(here, StudyViews(here), fast=fast).findings
    assert (finding.code, finding.path) == ('tarball-differs', here.tarball)
    assert 'S1_V02/' in finding.message


@pytest.fixture
def in_zone(paths, phantom_files):
    """Puts in place of the tarball one that was made in another time zone"""

    def put(zone: tzinfo) -> None:
        other = VisitPaths(paths.store_dir.parent / 'other', Visit('S1', 'V01'))
        archive_visit(other, phantom_files, zone=zone)
        paths.tarball.write_bytes(other.tarball.read_bytes())

    return put


def test_the_time_zone_that_explains_a_mismatch_is_named(paths, find, in_zone):
    in_zone(ZoneInfo('America/New_York'))
    found = {finding.code: finding.message for finding in find()}
    # what is recorded is that of UTC
    assert 'times of members read in UTC' in found['tarball-differs']
    assert 'times of members read in UTC' in found['metadata-differs']
    assert 'image-damaged' not in found


def test_a_healthy_visit_of_another_time_zone_is_whole(paths, codes, in_zone):
    in_zone(ZoneInfo('Europe/Berlin'))
    for name in ('tarball_metadata', 'dicoms_metadata', 'refs', 'repo_export'):
        getattr(paths, name).unlink()
    digest = md5(paths.tarball.read_bytes(), usedforsecurity=False).hexdigest()
    paths.md5sum.write_text(format_md5sum(digest, paths.tarball.name))
    deposit_metadata(paths)
    # the views are of the former
    assert codes() == {'catalog-differs', 'dicomweb-differs'}


def test_no_time_zone_is_named_where_none_explains(paths, find):
    paths.md5sum.write_text(format_md5sum('0' * 32, paths.tarball.name))
    (finding,) = find()
    assert finding.code == 'tarball-differs'
    assert 'times' not in finding.message
