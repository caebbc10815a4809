"""Age, birth and gender, from DICOM into XNAT"""

from __future__ import annotations

import pytest

from datalad_icf.errors import XnatAccessError, XnatConflictError, XnatError
from datalad_icf.xnat import (
    Demographics,
    Target,
    find_subjects,
    put_demographics,
    read_demographics,
)
from datalad_icf.xnat.demographics import build_demographics, parse_age
from tests.xnat.server.uploads import as_zip, make_study

ADA = Target('P1', 'Ada', '')


@pytest.fixture
def subject(fake):
    """A subject without demographics"""
    return fake.server.state.new_subject('P1', 'Ada')


@pytest.fixture
def archive(fake):
    """Puts a session of Ada into the archive"""

    def put(session='S1', **attributes):
        files = make_study(1, visit=session, **attributes)
        fake.upload(
            as_zip(files), subject='Ada', session=session, dest='/archive/projects/P1'
        )

    return put


@pytest.mark.parametrize(
    ('value', 'years'),
    [
        ('042Y', 42),
        ('42', 42),
        ('42Y', 42),
        (' 042y ', 42),
        ('100Y', 100),
        ('006M', 0),
        ('018M', 1),
        ('024M', 2),
        ('104W', 1),
        ('105W', 2),
        ('730D', 1),
        ('731D', 2),
        ('000Y', 0),
        ('', None),
        ('Y', None),
        ('4.5', None),
        ('-01Y', None),
        ('old', None),
        ('1000Y', None),
    ],
)
def test_ages_are_whole_years(value, years):
    assert parse_age(value) == years


@pytest.mark.parametrize(
    ('sex', 'gender'),
    [
        ('M', 'male'),
        ('F', 'female'),
        ('O', 'other'),
        (' f ', 'female'),
        ('', ''),
        ('x', ''),
    ],
)
def test_gender_is_one_of_xnat(sex, gender):
    assert build_demographics(sex, '', '', anonymous=False).gender == gender


@pytest.mark.parametrize(
    ('born', 'age', 'anonymous', 'known'),
    [
        ('19660606', '042Y', False, {'dob': '1966-06-06'}),
        ('19660606', '042Y', True, {'yob': '1966'}),
        ('1966.06.06', '', False, {'dob': '1966-06-06'}),
        ('', '042Y', False, {'age': '42'}),
        ('', '042Y', True, {'age': '42'}),
        ('19661306', '042Y', False, {'age': '42'}),
        ('00000000', '', False, {}),
        ('1966', '', True, {}),
        ('', '', False, {}),
    ],
)
def test_one_of_date_year_and_age_is_known(born, age, anonymous, known):
    assert build_demographics('', born, age, anonymous=anonymous).items() == known


def test_no_representation_has_values():
    known = Demographics('male', dob='1966-06-06')
    assert repr(known) == 'Demographics(gender, dob)'


@pytest.mark.parametrize('custom', [False, True])
def test_what_is_known_is_written_once(client, subject, custom):
    known = Demographics('female', yob='1966')
    names = ['subject_gender', 'subject_yob'] if custom else ['gender', 'yob']
    assert put_demographics(client, ADA, known, custom=custom) == names
    assert (subject.fields if custom else subject.demographics) == dict(
        zip(names, ('female', '1966'))
    )
    assert put_demographics(client, ADA, known, custom=custom) == []


def test_custom_fields_leave_the_demographics_alone(client, subject):
    put_demographics(client, ADA, Demographics('male', age='42'), custom=True)
    assert subject.demographics == {}
    assert subject.fields == {'subject_gender': 'male', 'subject_age': '42'}


@pytest.mark.parametrize('custom', [False, True])
def test_a_value_that_differs_stays_and_is_no_part_of_the_message(
    client, subject, custom
):
    name = 'subject_dob' if custom else 'dob'
    place = subject.fields if custom else subject.demographics
    place[name] = '1966-06-06'
    new = '19770707' if custom else '1977-07-07'
    known = Demographics('male', dob='1977-07-07')
    with pytest.raises(XnatConflictError, match=f'another {name} than') as caught:
        put_demographics(client, ADA, known, custom=custom)
    assert place == {name: '1966-06-06'}
    assert '1966' not in str(caught.value)
    assert '1977' not in str(caught.value)
    assert put_demographics(client, ADA, known, custom=custom, force=True)
    assert place[name] == new


@pytest.mark.parametrize(
    ('current', 'known', 'after'),
    [
        # XNAT has one of them, and what is there is left, unless it contradicts
        ({'dob': '1966-06-06'}, {'yob': '1966'}, {'dob': '1966-06-06'}),
        ({'yob': '1966'}, {'dob': '1966-06-06'}, {'yob': '1966'}),
        ({'age': '42'}, {'dob': '1966-06-06'}, {'age': '42'}),
        ({'dob': '1966-06-06'}, {'age': '42'}, {'dob': '1966-06-06'}),
        ({'dob': '1966-06-06'}, {'yob': '1977'}, None),
        ({'yob': '1977'}, {'dob': '1966-06-06'}, None),
        ({'age': '42'}, {'age': '43'}, None),
        ({'gender': 'male'}, {'gender': 'female'}, None),
        ({'gender': 'Male'}, {'gender': 'male'}, {'gender': 'Male'}),
        ({'gender': 'male'}, {'age': '42'}, {'gender': 'male', 'age': '42'}),
        ({'gender': 'male'}, {}, {'gender': 'male'}),
    ],
)
def test_what_is_there_is_completed_and_never_contradicted(
    client, subject, current, known, after
):
    subject.demographics.update(current)
    if after is None:
        with pytest.raises(XnatConflictError, match='--force replaces it'):
            put_demographics(client, ADA, Demographics(**known))
        assert subject.demographics == current
    else:
        put_demographics(client, ADA, Demographics(**known))
        assert subject.demographics == after


@pytest.mark.parametrize(
    'current', [{'dob': '1966-06-06'}, {'yob': '1966'}, {'age': '9'}]
)
def test_force_leaves_one_of_date_year_and_age(client, subject, current):
    subject.demographics.update(current)
    put_demographics(client, ADA, Demographics(yob='1970'), force=True)
    assert subject.demographics == {'yob': '1970'}


def test_a_dry_run_writes_nothing(client, subject):
    known = Demographics('male')
    assert put_demographics(client, ADA, known, dry_run=True) == ['gender']
    assert subject.demographics == {}


def test_demographics_need_a_subject(client):
    with pytest.raises(XnatError, match="no subject 'Ada'"):
        put_demographics(client, ADA, Demographics('male'))


def test_images_on_the_server_say_it(client, archive):
    archive(PatientSex='F', PatientBirthDate='19660606', PatientAge='042Y')
    assert read_demographics(client, ADA, anonymous=False).items() == {
        'gender': 'female',
        'dob': '1966-06-06',
    }


def test_each_is_taken_where_it_is_first_found(client, archive):
    archive('S1', PatientSex='F', PatientBirthDate='', PatientAge='')
    archive('S2', PatientSex='M', PatientBirthDate='19660606', PatientAge='042Y')
    assert read_demographics(client, ADA, anonymous=True).items() == {
        'gender': 'female',
        'yob': '1966',
    }


def test_images_may_say_nothing(client, archive, subject):
    archive(PatientSex='', PatientBirthDate='')
    assert read_demographics(client, ADA, anonymous=False) == Demographics()


def test_a_subject_may_have_no_images(client, subject):
    assert read_demographics(client, ADA, anonymous=False) == Demographics()


def test_a_session_may_have_no_scans(client, fake, subject, archive):
    fake.call('PUT', '/data/projects/P1/subjects/Ada/experiments/empty')
    archive(PatientSex='F', PatientBirthDate='')
    assert read_demographics(client, ADA, anonymous=False).gender == 'female'


def test_subjects_of_a_project_are_found_in_order(client, fake, subject):
    fake.server.state.new_subject('P1', 'Abe')
    fake.server.state.new_subject('P2', 'Eve').shared['P1'] = 'Eve'
    assert find_subjects(client, 'P1') == [Target('P1', 'Abe', ''), ADA]
    assert find_subjects(client, 'P1', ['Ada']) == [ADA]


@pytest.mark.parametrize(
    ('project', 'subjects'), [('NoSuch', []), ('Closed', []), ('P1', ['Ada', 'Bob'])]
)
def test_what_is_not_there_is_an_error(client, subject, project, subjects):
    with pytest.raises(XnatAccessError):
        find_subjects(client, project, subjects)


def test_who_may_only_read_is_told(client, fake):
    fake.server.state.new_subject('ReadOnly', 'Ada')
    with pytest.raises(XnatAccessError, match='privileges'):
        put_demographics(client, Target('ReadOnly', 'Ada', ''), Demographics('male'))
