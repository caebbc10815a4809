from __future__ import annotations

import json

import pytest
from datalad_next.constraints.exceptions import CommandParametrizationError


def load(path):
    return json.loads(path.read_text())


def test_the_record_of_new_metadata_has_all_fields(describe, archived):
    (record,) = describe()
    metadata = load(archived.tarball_metadata)
    assert record.pop('message') == '5 images described, 1 other file'
    assert record.pop('other_files') == 1
    assert record == {
        'action': 'icf_deposit_metadata',
        'status': 'ok',
        'path': str(archived.tarball_metadata),
        'type': 'file',
        'study_id': 'S1',
        'visit_id': 'V01',
        'size': metadata['size'],
        'md5': metadata['md5'],
        'instances': 5,
        'warnings': [],
    }


def test_equal_metadata_are_not_needed(describe, archived):
    describe()
    (record,) = describe()
    assert record['status'] == 'notneeded'
    assert record['instances'] == 5


@pytest.mark.parametrize('name', ['dicoms_metadata', 'tarball_metadata'])
def test_one_lost_file_is_restored(describe, archived, name):
    describe()
    lost = getattr(archived, name)
    lost.unlink()
    (record,) = describe()
    assert record['status'] in ('ok', 'notneeded')
    assert record['restored'] == [lost.name]
    assert lost.exists()


def test_a_tarball_that_is_not_there_is_impossible(describe, paths):
    (record,) = describe()
    assert record['status'] == 'impossible'
    assert 'icf-archive' in record['message']
    assert not paths.store_dir.exists()


@pytest.fixture
def changed(describe, archived, put_tarball, tar, image):
    """Metadata of another tarball than the one that is there"""
    describe()
    put_tarball(tar(('S1_V01/a', image())))


def test_other_metadata_are_impossible(describe, changed):
    (record,) = describe()
    assert record['status'] == 'impossible'
    assert '--existing replace' in record['message']
    assert record['exception'].name == 'ConflictError'


def test_other_metadata_are_replaced_on_request(describe, archived, changed):
    (record,) = describe(existing='replace')
    assert (record['status'], record['instances']) == ('ok', 1)
    assert len(load(archived.dicoms_metadata)) == 1


def test_equal_metadata_are_not_replaced(describe, archived):
    describe()
    (record,) = describe(existing='replace')
    assert record['status'] == 'notneeded'


def test_a_way_with_existing_metadata_that_is_unknown_is_refused(describe, archived):
    with pytest.raises(CommandParametrizationError):
        describe(existing='ignore')


def test_keywords_are_recorded_besides_the_usual_ones(describe, archived):
    describe(keywords=['EchoTime', 'FlipAngle', 'Modality'])
    record = load(archived.dicoms_metadata)[0]
    assert (record['EchoTime'], record['FlipAngle']) == (4.0, 20.0)
    assert record['SeriesNumber'] == 1


@pytest.mark.parametrize(
    'value', ['EchoTime FlipAngle', 'EchoTime,FlipAngle', ' EchoTime, FlipAngle ']
)
def test_configured_keywords_are_recorded(describe, archived, configure, value):
    configure('datalad.icf.metadata-keywords', value)
    describe()
    record = load(archived.dicoms_metadata)[0]
    assert (record['EchoTime'], record['FlipAngle']) == (4.0, 20.0)
    assert record['SeriesNumber'] == 1


def test_given_keywords_have_precedence_over_configuration(
    describe, archived, configure
):
    configure('datalad.icf.metadata-keywords', 'FlipAngle')
    describe(keywords=['EchoTime'])
    record = load(archived.dicoms_metadata)[0]
    assert 'EchoTime' in record
    assert 'FlipAngle' not in record


def test_other_keywords_than_those_recorded_are_impossible(describe, archived):
    describe()
    assert describe(keywords=['EchoTime'])[0]['status'] == 'impossible'
    assert describe(keywords=['EchoTime'], existing='replace')[0]['status'] == 'ok'


@pytest.mark.parametrize(
    'keyword', ['NoSuch', 'TransferSyntaxUID', '', '{x}', '0018,0081']
)
def test_what_is_no_keyword_is_refused(describe, archived, keyword):
    with pytest.raises(CommandParametrizationError) as caught:
        describe(keywords=[keyword])
    assert 'no DICOM keyword' in str(caught.value)


def test_a_configured_keyword_that_is_none_is_refused(describe, archived, configure):
    configure('datalad.icf.metadata-keywords', 'EchoTime NoSuch')
    with pytest.raises(CommandParametrizationError) as caught:
        describe()
    assert 'NoSuch' in str(caught.value)


def test_a_pattern_gives_a_record_for_each_visit(describe, three_visits):
    records = describe(id=('S1', '*'))
    assert [(r['visit_id'], r['status']) for r in records] == [
        ('V01', 'ok'),
        ('V02', 'impossible'),
        ('V03', 'ok'),
    ]


def test_a_pattern_selects_visits(describe, three_visits):
    assert [r['visit_id'] for r in describe(id=('S1', 'V0[13]'))] == ['V01', 'V03']


def test_a_pattern_without_a_match_is_impossible(describe, three_visits, paths):
    (record,) = describe(id=('S1', 'X*'))
    assert record['status'] == 'impossible'
    assert (record['path'], record['type']) == (str(paths.study_dir), 'directory')


def test_a_pattern_in_a_study_that_is_not_there_is_impossible(describe):
    (record,) = describe(id=('S9', '*'))
    assert (record['status'], record['study_id']) == ('impossible', 'S9')


def test_a_study_is_never_a_pattern(describe, three_visits):
    (record,) = describe(id=('S*', 'V01'))
    assert record['status'] == 'impossible'


def test_an_unforeseen_error_of_the_system_does_not_stop_the_others(
    describe, three_visits, paths
):
    digest = paths.store_dir / 'S1' / 'V02_dicom.tar.md5sum'
    digest.unlink()
    digest.mkdir()
    records = describe(id=('S1', '*'))
    assert [r['status'] == 'ok' for r in records] == [True, False, True]


def test_the_shell_command_describes_all_visits(run_datalad, three_visits):
    done = run_datalad('icf-deposit-metadata', '--id', 'S1', '*', '-o', 'store')
    assert done.code == 1
    assert [r['status'] for r in done.records] == ['ok', 'impossible', 'ok']
    assert 'Traceback' not in done.stderr
    again = run_datalad('icf-deposit-metadata', '--id', 'S1', 'V03', '-o', 'store')
    assert (again.code, again.record['status']) == (0, 'notneeded')


def test_the_shell_command_takes_several_keywords(run_datalad, archived):
    done = run_datalad(
        *('icf-deposit-metadata', '--id', 'S1', 'V01', '-o', 'store'),
        *('--keywords', 'EchoTime', 'FlipAngle'),
    )
    assert done.code == 0
    record = load(archived.dicoms_metadata)[0]
    assert (record['EchoTime'], record['FlipAngle']) == (4.0, 20.0)


def test_the_configuration_of_the_shell_command_is_that_of_git(run_datalad, archived):
    done = run_datalad(
        *('-c', f'datalad.icf.store-dir={archived.store_dir}'),
        *('-c', 'datalad.icf.metadata-keywords=EchoTime'),
        *('icf-deposit-metadata', '--id', 'S1', 'V01'),
    )
    assert done.code == 0
    assert load(archived.dicoms_metadata)[0]['EchoTime'] == 4.0
