"""What a visit has, by series"""

from __future__ import annotations

import sys
from datetime import datetime, timezone
from random import Random
from zoneinfo import ZoneInfo

import pytest

from datalad_icf.catalog.summary import natural_key, summarise_visit
from datalad_icf.store import InstanceMetadata, TarballMetadata

BERLIN = ZoneInfo('Europe/Berlin')


@pytest.fixture
def summarise(paths):
    """Summarises images, given by their attributes"""

    def make(*images, mtime=None, zone=timezone.utc):
        return summarise_visit(
            paths,
            TarballMetadata(10_240, '0' * 32, 'icf/a', 'S1/a', mtime=mtime),
            [
                InstanceMetadata(f'S1_V01/{i}', '0' * 32, 100 + i, None, attributes)
                for i, attributes in enumerate(images)
            ],
            store_url='https://example.org',
            zone=zone,
        )

    return make


def image(number, description='d', protocol='p', modality='MR'):
    return {
        'SeriesNumber': number,
        'SeriesDescription': description,
        'ProtocolName': protocol,
        'Modality': modality,
    }


def test_images_with_the_same_number_and_texts_are_one_series(summarise):
    (series,) = summarise(*[image(1)] * 3).series
    assert (series.number, series.images, series.size) == (1, 3, 303)


def test_the_images_of_all_series_are_counted(summarise):
    assert summarise(image(1), image(2), image(1)).images == 3


@pytest.mark.parametrize(
    'other', [image(2), image(1, 'x'), image(1, 'd', 'x'), image(1, 'd', 'p', 'CT')]
)
def test_images_that_differ_in_one_of_them_are_two_series(summarise, other):
    assert len(summarise(image(1), other).series) == 2


def test_series_are_in_the_order_of_their_numbers(summarise):
    numbers = [10, 9, None, 401, 1, 'x', -1]
    series = summarise(*(image(number) for number in numbers)).series
    assert [s.number for s in series] == [-1, 1, 9, 10, 401, 'x', None]


@pytest.mark.parametrize('value', [None, '', [], '\0', [None]])
def test_a_number_without_a_value_is_unknown(summarise, value):
    assert summarise(image(value)).series[0].number is None


def test_a_list_in_place_of_a_number_is_a_text(summarise):
    assert summarise(image([3, 4])).series[0].number == '3, 4'


def test_an_image_without_attributes_is_a_series(summarise):
    (series,) = summarise({}).series
    assert series.number is None
    assert (series.description, series.protocol, series.modality) == ('', '', '')


def test_a_visit_without_images_has_no_series(summarise):
    summary = summarise()
    assert (summary.images, summary.series, summary.tags) == (0, [], {})


def test_the_different_values_of_an_attribute_are_sorted_as_numbers(summarise):
    tags = summarise(image(10), image(9), image(10), image(1)).tags
    assert tags['SeriesNumber'] == ['1', '9', '10']


def test_an_attribute_without_any_value_is_left_out(summarise):
    assert 'ProtocolName' not in summarise(image(1, protocol=None)).tags


def test_keywords_are_in_alphabetical_order(summarise):
    assert list(summarise(image(1)).tags) == [
        'Modality',
        'ProtocolName',
        'SeriesDescription',
        'SeriesNumber',
    ]


@pytest.mark.parametrize('values', [('A', 'a'), ('1', '01', '001'), ('T1 b', 't1 B')])
def test_values_that_sort_alike_are_always_in_the_same_order(run, values):
    """A set of texts has another order in each process"""
    program = (
        'import sys; from datalad_icf.catalog.summary import natural_key; '
        'print(sorted(set(sys.argv[1:]), key=natural_key))'
    )
    seen = {
        run(
            sys.executable, '-c', program, *values, env={'PYTHONHASHSEED': str(seed)}
        ).stdout
        for seed in range(8)
    }
    assert len(seen) == 1


def test_identifiers_are_sorted_so_that_numbers_count():
    names = ['P1', 'P2', 'P9', 'P10', 'P100', 'Q', 'Q1a', 'Q1b', 'ä', 'ä2', '²']
    shuffled = Random(0).sample(names, len(names))
    assert sorted(shuffled, key=natural_key) == sorted(
        sorted(shuffled), key=natural_key
    )
    assert sorted(['P10', 'P9', 'P1'], key=natural_key) == ['P1', 'P9', 'P10']


def test_a_time_that_nobody_knows_is_no_date(summarise):
    assert summarise(mtime=None).date is None


@pytest.mark.parametrize('zone', [timezone.utc, BERLIN, ZoneInfo('America/New_York')])
def test_the_beginning_of_1970_is_no_date(summarise, zone):
    start = datetime(1970, 1, 1, tzinfo=zone).timestamp()
    assert summarise(mtime=start, zone=zone).date is None


@pytest.mark.parametrize(
    ('zone', 'date'), [(timezone.utc, '2013-07-17'), (BERLIN, '2013-07-18')]
)
def test_the_date_is_the_day_in_the_time_zone(summarise, zone, date):
    late = datetime(2013, 7, 17, 23, 30, tzinfo=timezone.utc).timestamp()
    assert summarise(mtime=late, zone=zone).date == date


@pytest.mark.parametrize('mtime', [-1, 253402300799, -62135596800, -253402300799])
def test_any_time_that_metadata_can_have_is_summarised(summarise, mtime):
    assert summarise(mtime=mtime, zone=BERLIN) is not None


def test_a_visit_without_a_dataset_has_no_clone_command(summarise):
    assert summarise().clone_command is None


@pytest.mark.parametrize('missing', ['refs', 'repo_export'])
def test_half_a_dataset_is_none(summarise, paths, missing):
    paths.study_dir.mkdir(parents=True)
    for name in {'refs', 'repo_export'} - {missing}:
        getattr(paths, name).touch()
    assert summarise().clone_command is None


def test_the_clone_command_is_quoted_for_a_shell(summarise, paths, run):
    paths.study_dir.mkdir(parents=True)
    paths.refs.touch()
    paths.repo_export.touch()
    summary = summarise()
    shown = run('bash', '-c', f'printf "%s\\n" {summary.clone_command}').stdout
    assert shown.splitlines() == ['datalad', 'clone', summary.clone_url, 'V01']
