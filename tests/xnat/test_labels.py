from __future__ import annotations

import pytest

from datalad_icf.errors import PreconditionError
from datalad_icf.xnat import Naming, check_template
from datalad_icf.xnat.labels import TOOLKIT_TEMPLATE, LabelError, build_label

FIELDS = {
    'study': 'S1',
    'visit': 'V01',
    'subject': '007',
    'session': 'mon day',
    'PatientID': 'PAT.7',
    'StudyDate': '20240229',
    'StudyTime': '101500.123456',
    'Modality': 'MR',
}


@pytest.mark.parametrize(
    ('template', 'label'),
    [
        ('{study}_{visit}', 'S1_V01'),
        ('{subject}_{session}', '007_mon_day'),
        (TOOLKIT_TEMPLATE, '007_20240229T101500_MR'),
        ('{PatientID}', 'PAT_7'),
        ('fixed', 'fixed'),
        ('a/../b', 'a____b'),
        ('{{{visit}}}', '_V01_'),
        ('Ä{visit}%', '_V01_'),
    ],
)
def test_a_label_has_letters_digits_underscores_and_hyphens(template, label):
    assert build_label(check_template(template), FIELDS) == label


def test_the_template_of_the_toolkit_has_a_name():
    assert check_template('toolkit') == TOOLKIT_TEMPLATE


@pytest.mark.parametrize('time', ['101500', '101500.5', ' 101500.000000 '])
def test_fractions_of_a_second_make_no_other_label(time):
    label = build_label(TOOLKIT_TEMPLATE, {**FIELDS, 'StudyTime': time})
    assert label == '007_20240229T101500_MR'


@pytest.mark.parametrize(
    'template',
    [
        '',
        ' ',
        '{',
        '}',
        '{}',
        '{0}',
        '{Subject}',
        '{visit!r}',
        '{visit:>99}',
        '{visit.__class__}',
        '{PatientName}',
    ],
)
def test_what_is_no_template_is_refused(template):
    with pytest.raises(LabelError):
        check_template(template)


@pytest.mark.parametrize('value', [None, '', '  '])
def test_a_field_that_has_no_value_is_named(value):
    fields = {k: v for k, v in {**FIELDS, 'StudyTime': value}.items() if v is not None}
    with pytest.raises(LabelError, match='StudyTime is needed'):
        build_label(TOOLKIT_TEMPLATE, fields)


def test_an_error_never_has_the_value_of_a_field():
    with pytest.raises(LabelError) as caught:
        build_label('{PatientID}_{StudyTime}', {'PatientID': 'PAT.7'})
    assert 'PAT' not in str(caught.value)
    assert isinstance(caught.value, PreconditionError)


@pytest.mark.parametrize(
    ('tree', 'naming'),
    [
        (False, Naming('{visit}', '{study}_{visit}')),
        (True, Naming('{subject}', '{subject}_{session}')),
    ],
)
def test_there_are_templates_for_visits_and_for_directories(tree, naming):
    assert Naming.make(None, None, tree=tree) == naming
    assert Naming.make('{PatientID}', 'toolkit', tree=tree) == Naming(
        '{PatientID}', TOOLKIT_TEMPLATE
    )
