"""``icf-dicomweb``, from Python and from a shell"""

from __future__ import annotations

import json
import os

import datalad.api
import pytest
from datalad_next.constraints.exceptions import CommandParametrizationError

from datalad_icf.dicom import archive_visit, deposit_metadata
from datalad_icf.dicomweb.tree import BOUNDARY
from datalad_icf.store import Visit, VisitPaths

COMMAND = ['icf-dicomweb', '--id', 'S1', 'V01', '-o', 'store']
ALL = ['icf-dicomweb', '--id', 'S1', '*', '-o', 'store']
NAME = 'Zwetschgenmus^Ottilie'


@pytest.fixture
def convert(paths):
    """The command ``icf_dicomweb`` of Python, whose records are returned"""

    def call(visit_id='V01', **arguments):
        return datalad.api.icf_dicomweb(
            id=('S1', visit_id),
            store_dir=paths.store_dir,
            result_renderer='disabled',
            on_failure='ignore',
            return_type='list',
            **{'thumbnails': False, **arguments},
        )

    return call


@pytest.fixture
def damaged(put_tarball, tar, image):
    """A visit of an image, and of three that are damaged"""
    return put_tarball(
        tar(
            ('S1_V01/a.dcm', image()),
            ('S1_V01/b.dcm', image(PatientName=NAME)[:350]),
            ('S1_V01/c.dcm', image(without=['StudyInstanceUID'], PatientName=NAME)),
            ('S1_V01/d.dcm', image(SOPInstanceUID='1.2', PatientName=NAME)[:-3]),
        )
    )


@pytest.fixture
def visits(paths, tar, image):
    """Visits V01 to V03 of a DICOM study each"""
    from hashlib import md5

    from datalad_icf.store import format_md5sum

    made = [VisitPaths(paths.store_dir, Visit('S1', f'V0{n}')) for n in (1, 2, 3)]
    paths.study_dir.mkdir(parents=True)
    for number, visit in enumerate(made, 1):
        uids = {'StudyInstanceUID': f'1.{number}', 'SeriesInstanceUID': f'1.{number}.1'}
        content = tar(('S1/a.dcm', image(**uids)))
        visit.tarball.write_bytes(content)
        digest = md5(content).hexdigest()
        visit.md5sum.write_text(format_md5sum(digest, visit.tarball.name))
    return made


def statuses(records):
    return {record['visit_id']: record['status'] for record in records}


def listed(paths):
    records = json.loads((paths.dicomweb_dir / 'studies' / 'index.json').read_bytes())
    return [record['0020000D']['Value'][0] for record in records]


def test_a_record_says_what_was_converted(archived, convert):
    (record,) = convert()
    assert record['action'] == 'icf_dicomweb'
    assert (record['status'], record['type']) == ('ok', 'directory')
    assert record['path'] == str(archived.dicomweb_dir)
    assert (record['study_id'], record['visit_id']) == ('S1', 'V01')
    numbers = [record[name] for name in ('instances', 'series', 'frames')]
    assert numbers == [5, 2, 5]
    assert (record['other_files'], record['failed']) == (1, 0)
    assert record['studies'] == listed(archived)
    assert (record['problems'], record['warnings']) == ([], [])
    assert record['message'] == 'V01: 5 images in 2 series, 1 other file'


def test_a_record_is_json_in_a_shell(archived, run_datalad):
    done = run_datalad(*COMMAND)
    assert (done.code, done.stderr) == (0, '')
    assert done.record['instances'] == 5
    again = run_datalad(*COMMAND)
    assert (again.code, again.record['status']) == (0, 'notneeded')


def test_with_metadata_the_tree_is_the_same(archived, convert):
    convert()
    tree = archived.dicomweb_dir
    before = {p: p.read_bytes() for p in tree.rglob('*') if p.is_file()}
    deposit_metadata(archived)
    convert(gzip=True)
    convert()
    assert {p: p.read_bytes() for p in tree.rglob('*') if p.is_file()} == before


def test_what_cannot_be_converted_is_an_error_again_and_again(damaged, run_datalad):
    for prefix in ('', 'there already: '):
        done = run_datalad(*COMMAND)
        assert done.code == 1
        record = done.record
        assert (record['status'], record['failed']) == ('error', 3)
        assert (record['instances'], record['frames']) == (2, 1)
        assert record['message'].startswith(
            f'{prefix}V01: 2 images in 1 series, 3 files not converted as a '
            "whole, of which the first is 'S1_V01/b.dcm': "
        )
        problems = {(p['path'], p['tag'], p['failed']) for p in record['problems']}
        assert ('S1_V01/c.dcm', '0020000D', True) in problems
        assert ('S1_V01/d.dcm', '7FE00010', True) in problems
        assert 'Zwetschgenmus' not in done.stdout + done.stderr


def test_a_minor_problem_alone_is_a_warning(put_tarball, tar, image, run_datalad):
    put_tarball(tar(('S1_V01/d.dcm', image(NumberOfFrames=b'1A'))))
    done = run_datalad(*COMMAND)
    assert (done.code, done.record['status'], done.record['failed']) == (0, 'ok', 0)
    (problem,) = {p['path'] for p in done.record['problems']}
    assert problem == 'S1_V01/d.dcm'
    assert 'S1_V01/d.dcm' in done.stderr


def test_a_long_list_of_problems_is_cut_in_a_record(put_tarball, tar, image, convert):
    cut = image()[:350]
    put_tarball(tar(*((f'S1_V01/{n}.dcm', cut) for n in range(120))))
    (record,) = convert()
    assert (record['failed'], len(record['problems'])) == (120, 100)


def test_all_visits_have_one_record_each(visits, convert):
    assert statuses(convert('*')) == dict.fromkeys(('V01', 'V02', 'V03'), 'ok')
    assert statuses(convert('*')) == dict.fromkeys(('V01', 'V02', 'V03'), 'notneeded')
    assert listed(visits[0]) == ['1.1', '1.2', '1.3']


def test_a_pattern_converts_the_visits_that_match_and_drops_none(visits, convert):
    convert('*')
    visits[0].tarball.unlink()
    assert statuses(convert('V0[23]')) == dict.fromkeys(('V02', 'V03'), 'notneeded')
    assert listed(visits[0]) == ['1.1', '1.2', '1.3']


def test_all_visits_drop_those_that_are_gone(visits, convert):
    convert('*')
    visits[1].tarball.unlink()
    records = convert('*')
    assert statuses(records) == {'V02': 'ok', 'V01': 'notneeded', 'V03': 'notneeded'}
    assert 'dropped' in records[0]['message']
    assert listed(visits[0]) == ['1.1', '1.3']


def test_all_visits_drop_the_last_one(visits, convert):
    convert('*')
    for visit in visits:
        visit.tarball.unlink()
    assert statuses(convert('*')) == dict.fromkeys(('V01', 'V02', 'V03'), 'ok')
    assert listed(visits[0]) == []
    (record,) = convert('*')
    assert record['status'] == 'impossible'


def test_a_visit_with_another_name_keeps_its_images(visits, convert):
    convert('*')
    new = VisitPaths(visits[0].store_dir, Visit('S1', 'V04'))
    visits[0].tarball.rename(new.tarball)
    visits[0].md5sum.rename(new.md5sum)
    assert statuses(convert('*'))['V04'] == 'ok'
    assert listed(new) == ['1.1', '1.2', '1.3']


def test_one_bad_visit_does_not_stop_the_others(visits, run_datalad):
    visits[1].tarball.write_bytes(b'no tarball')
    done = run_datalad(*ALL)
    assert done.code == 1
    assert statuses(done.records) == {'V01': 'ok', 'V02': 'impossible', 'V03': 'ok'}


def test_a_visit_that_is_not_there_names_the_step_before(paths, convert):
    (record,) = convert()
    assert record['status'] == 'impossible'
    assert str(paths.tarball) in record['message']
    assert 'icf-archive' in record['message']


def test_a_tarball_without_its_digest_names_the_step_before(archived, convert):
    archived.md5sum.unlink()
    (record,) = convert()
    assert record['status'] == 'impossible'
    assert 'icf-archive' in record['message']
    assert not archived.dicomweb_dir.exists()


def test_metadata_of_another_tarball_name_the_step_before(archived, convert, export):
    deposit_metadata(archived)
    archived.tarball.unlink()
    archived.md5sum.unlink()
    (export / 'more').write_text('more')
    archive_visit(archived, export)
    (record,) = convert()
    assert record['status'] == 'impossible'
    assert 'icf-deposit-metadata' in record['message']


@pytest.mark.skipif(os.geteuid() == 0, reason='root may write anywhere')
def test_a_store_that_cannot_be_written_to_is_impossible(archived, convert):
    archived.study_dir.chmod(0o555)
    (record,) = convert()
    archived.study_dir.chmod(0o755)
    assert record['status'] == 'impossible'


def test_options_of_a_shell_reach_the_tree(archived, run_datalad):
    options = ['--gzip', '--stock', '--deduplicate', '--instances', '--part10']
    done = run_datalad(
        *COMMAND, *options, '--study-metadata', '--no-thumbnails', '--strip-private'
    )
    assert done.code == 0
    names = {p.name for p in archived.dicomweb_dir.rglob('*')}
    assert names >= {
        *('index.json.gz', 'index.html', 'metadata.gz', 'deduplicated.gz', 'info.gz'),
        *('index.mht', '1.gz'),
    }
    assert not names & {'1', 'metadata', 'thumbnail', 'index.json'}


def test_pictures_are_made_where_they_can_be(archived, convert):
    pytest.importorskip('PIL')
    convert(thumbnails=None)
    assert len(list(archived.dicomweb_dir.rglob('thumbnail'))) == 2


def test_no_pictures_without_the_packages(archived, convert, monkeypatch):
    monkeypatch.setattr('datalad_icf.dicomweb.can_make_pictures', lambda: False)
    assert convert(thumbnails=None)[0]['status'] == 'ok'
    assert not list(archived.dicomweb_dir.rglob('thumbnail'))


def test_sizes_of_bulk_data_reach_the_tree(put_tarball, tar, image, convert):
    paths = put_tarball(tar(('S1_V01/a.dcm', image())))
    convert(public_bulk_size=0, private_bulk_size=1)
    options = json.loads(next(paths.dicomweb_dir.glob('.icf/visits/*')).read_bytes())
    assert options['options']['public_bulk_size'] == 0
    assert options['options']['private_bulk_size'] == 1


@pytest.mark.parametrize('name', ['private_bulk_size', 'public_bulk_size'])
@pytest.mark.parametrize('size', [-1, 'x'])
def test_sizes_that_are_none_are_refused(archived, convert, name, size):
    with pytest.raises(CommandParametrizationError, match=name):
        convert(**{name: size})


def test_frames_are_there_under_the_boundary_that_servers_tell(archived, convert):
    convert()
    for frame in archived.dicomweb_dir.rglob('frames/1'):
        assert frame.read_bytes().startswith(f'--{BOUNDARY}\r\n'.encode())


def test_a_viewer_that_is_none_is_an_error_and_the_visit_is_converted(
    archived, convert, tmp_path
):
    (tmp_path / 'viewer').mkdir()
    records = convert(viewer=tmp_path / 'viewer')
    assert [record['status'] for record in records] == ['error', 'ok']
    with pytest.raises(CommandParametrizationError, match='there is no'):
        convert(viewer=tmp_path / 'nothing')


def test_help_tells_what_the_options_do(run):
    done = run('datalad', 'icf-dicomweb', '--help')
    assert done.code == 0
    for text in (
        '--no-thumbnails',
        '--public-bulk-size BYTES',
        'STORE/STUDY-ID/dicomweb/',
    ):
        assert text in done.stdout
