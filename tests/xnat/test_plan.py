"""What is to be sent, and under which names; no server is needed"""

from __future__ import annotations

from itertools import count

import pytest

from datalad_icf.errors import MissingInputError, SourceError
from datalad_icf.xnat import (
    DirectorySource,
    Exclusions,
    Naming,
    build_plan,
    read_exclusions,
)
from datalad_icf.xnat.labels import LabelError
from demo.phantom import LOCALIZER, T1W
from tests.xnat.server.uploads import make_study, sop_uids, write_files

NAMING = Naming('{subject}', '{subject}_{session}')


@pytest.fixture
def plan(tmp_path):
    """Plans for files, in a directory of their own"""
    numbers = count()

    def plan(files, naming=NAMING, **exclude):
        root = write_files(tmp_path / str(next(numbers)), files)
        source = DirectorySource(root, 'A', '1')
        with source.open() as contents:
            return build_plan(contents, source.fields, naming, Exclusions(**exclude))

    return plan


def named(files, prefix):
    return {f'{prefix}/{name}': content for name, content in files.items()}


def test_a_study_is_a_session_with_all_its_images(plan, study):
    made = plan(study)
    (session,) = made.sessions
    assert (session.subject, session.label) == ('A', 'A_1')
    assert set(session.instances) == sop_uids(study)
    assert session.total_size == sum(map(len, study.values()))
    assert (made.excluded, made.is_whole, made.warnings) == (0, True, [])


@pytest.mark.parametrize(
    ('exclude', 'left'),
    [
        ({}, 4),
        ({'series': (LOCALIZER.description,)}, 2),
        ({'series': (LOCALIZER.description.upper(),)}, 2),
        ({'series': ('*',)}, 0),
        ({'series': ('local*', 'ANAT-*')}, 0),
        ({'series': ('ocal',)}, 4),
        ({'folders': (LOCALIZER.directory[2:6].upper(),)}, 2),
        ({'folders': ('no-such-word',)}, 4),
        # of the files only; no other part of the name counts
        ({'folders': ('0001.dcm',)}, 4),
        ({'folders': (LOCALIZER.directory,), 'series': (T1W.description,)}, 0),
    ],
)
def test_series_and_folders_are_excluded(plan, study, exclude, left):
    made = plan(study, **exclude)
    assert sum(len(one.instances) for one in made.sessions) == left
    assert made.excluded == 4 - left
    assert made.is_whole is (left == 4)


def test_a_series_is_excluded_by_its_uid(plan, study):
    (session,) = plan(study).sessions
    made = plan(study, series=(session.series.series_instance_uid,))
    assert made.excluded == 2


def test_what_is_excluded_makes_no_session(plan, study):
    other = named(make_study(visit='V02', SeriesDescription='other'), 'x')
    made = plan({**study, **other}, series=('other',))
    assert [one.label for one in made.sessions] == ['A_1']
    assert not made.is_whole


def test_several_studies_are_several_sessions_with_a_warning(plan, study):
    made = plan({**study, **named(make_study(visit='V02'), 'x')})
    assert {one.label for one in made.sessions} == {'A_1', 'A_1_2'}
    assert {len(one.instances) for one in made.sessions} == {4}
    assert 'it has 2 DICOM studies' in made.warnings[0]
    assert not made.is_whole


@pytest.mark.parametrize('late', ['V02', 'V03', 'V04'])
def test_a_study_that_comes_later_does_not_rename_the_first(plan, study, late):
    more = named(make_study(visit=late, StudyTime='230000'), '0')
    labels = {
        one.study_instance_uid: one.label for one in plan({**study, **more}).sessions
    }
    (first,) = plan(study).sessions
    assert labels[first.study_instance_uid] == first.label


def test_studies_with_their_own_labels_keep_these(plan, study):
    files = {**study, **named(make_study(visit='V02', StudyTime='120000.0'), 'x')}
    made = plan(files, Naming('{subject}', '{subject}_{StudyTime}'))
    assert [one.label for one in made.sessions] == ['A_101500', 'A_120000']


def test_a_label_that_is_made_does_not_meet_one_that_is_there(plan):
    files = {
        **named(make_study(1, StudyDate='20200101', Modality='MR'), 'a'),
        **named(make_study(1, visit='b', StudyDate='20200102', Modality='MR_2'), 'b'),
        **named(make_study(1, visit='c', StudyDate='20200103', Modality='MR'), 'c'),
    }
    made = plan(files, Naming('x', '{Modality}'))
    assert [one.label for one in made.sessions] == ['MR', 'MR_2', 'MR_3']


def test_the_same_image_twice_is_sent_once_with_a_warning(plan, study):
    made = plan({**study, **named(dict(list(study.items())[:1]), 'copy')})
    (session,) = made.sessions
    assert len(session.instances) == 4
    assert len(made.warnings) == 1
    assert 'is the same image as' in made.warnings[0]


@pytest.mark.parametrize('size', ['same', 'other'])
def test_two_images_of_one_uid_are_refused(plan, study, size):
    name, content = next(iter(study.items()))
    changed = content[:-1] + bytes([content[-1] ^ 1]) + b'\0\0' * (size == 'other')
    with pytest.raises(SourceError, match='different images with the same SOP'):
        plan({**study, f'copy/{name}': changed})


def test_one_of_two_images_of_one_uid_can_be_excluded(plan, study):
    name, content = next(iter(study.items()))
    changed = content[:-1] + bytes([content[-1] ^ 1])
    made = plan({**study, f'copy/{name}': changed}, folders=('copy',))
    assert set(made.sessions[0].instances) == sop_uids(study)


@pytest.mark.parametrize('files', [{}, {'notes.txt': b'no image'}])
def test_no_image_at_all_is_refused(plan, tmp_path, files):
    with pytest.raises(SourceError, match='no DICOM images'):
        plan({'x.txt': b'', **files})


def test_other_files_mean_that_the_source_is_not_sent_whole(plan, study):
    assert not plan({**study, 'notes.txt': b'no image'}).is_whole


def test_a_label_needs_what_the_images_say(plan):
    with pytest.raises(LabelError, match='StudyTime is needed'):
        plan(make_study(StudyTime=''), Naming('x', 'toolkit{StudyTime}'))


@pytest.mark.parametrize('content', ['{"Exclude": ["a", "B c"]}', '{"Exclude": []}'])
def test_exclusions_are_read_as_those_of_dicom_upload(tmp_path, content):
    path = tmp_path / 'Exclusions.json'
    path.write_text(content)
    assert read_exclusions(path) == (('a', 'B c') if 'a' in content else ())


@pytest.mark.parametrize(
    'content',
    [
        '',
        '[]',
        '{}',
        '{"Exclude": "a"}',
        '{"Exclude": [""]}',
        '{"Exclude": [1]}',
        '\xff',
    ],
)
def test_a_file_of_exclusions_that_is_none_is_refused(tmp_path, content):
    path = tmp_path / 'Exclusions.json'
    path.write_text(content, encoding='latin-1')
    with pytest.raises(SourceError, match='is no JSON file like'):
        read_exclusions(path)


def test_a_file_of_exclusions_must_be_there(tmp_path):
    with pytest.raises(MissingInputError, match=r'cannot read .*no-such'):
        read_exclusions(tmp_path / 'no-such.json')


def test_exclusions_are_none_unless_there_are_some():
    assert not Exclusions()
    assert Exclusions(folders=('a',))
    assert Exclusions(series=('a',))
