"""Records are what datalad-catalog takes, and say what the metadata say"""

from __future__ import annotations

import json
import re
import uuid
from datetime import timezone
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datalad_icf.catalog.records import (
    build_file_records,
    build_study_record,
    build_visit_link,
    build_visit_record,
    page_link,
    study_uuid,
    visit_uuid,
)
from datalad_icf.catalog.summary import summarise_visit
from datalad_icf.store import InstanceMetadata, TarballMetadata, Visit, VisitPaths

TEXTS = st.none() | st.integers() | st.text(st.characters(), max_size=200)
ATTRIBUTES = st.fixed_dictionaries(
    {},
    optional={
        'SeriesNumber': TEXTS,
        'SeriesDescription': TEXTS | st.lists(TEXTS, max_size=3),
        'ProtocolName': TEXTS,
        'Modality': TEXTS,
        'PatientName': TEXTS,
    },
)


@pytest.fixture(scope='module')
def validate(web_catalog, tmp_path_factory):
    """Checks a record against the schema of datalad-catalog"""
    return web_catalog(tmp_path_factory.mktemp('none')).schema_validator.validate


@pytest.fixture(scope='module')
def make_record(tmp_path_factory):
    """Makes the record of a visit from the attributes of its images"""
    store_dir = tmp_path_factory.mktemp('store')

    def make(*images, visit=('S1', 'V01'), source_time=1, files_digest='', **tarball):
        paths = VisitPaths(store_dir, Visit(*visit))
        summary = summarise_visit(
            paths,
            TarballMetadata(
                **{'size': 9, 'md5': '0' * 32, 'dspath': 'a', 'storepath': 'a'}
                | tarball
            ),
            [
                InstanceMetadata(f'a/{i}', '0' * 32, 5, None, attributes)
                for i, attributes in enumerate(images)
            ],
            store_url='https://example.org',
            zone=timezone.utc,
        )
        return build_visit_record(
            summary,
            facility='ICF',
            source_time=source_time,
            files_digest=files_digest,
        )

    return make


@given(st.lists(ATTRIBUTES, max_size=8))
def test_any_visit_makes_a_record_that_datalad_catalog_takes(
    make_record, validate, images
):
    validate(make_record(*images))


@given(st.lists(ATTRIBUTES, max_size=8))
def test_a_record_has_one_row_for_each_series(make_record, images):
    record = make_record(*images)
    shown = {d['name']: d['value'] for d in record['top_display']}
    rows = record['additional_display'][0]['content']
    assert len(rows) == max(1, int(shown['Series']))


def test_a_file_record_is_one_that_datalad_catalog_takes(make_record, validate):
    instance = InstanceMetadata('a/\udcffb/\u202e\n/c', '0' * 32, 5, None, {})
    (record,) = build_file_records(make_record(), [instance])
    validate(record)
    assert record['path'] == 'a/b/_/c'
    assert record['contentbytesize'] == 5


def test_a_study_record_is_one_that_datalad_catalog_takes(make_record, validate):
    link = build_visit_link('V01', make_record())
    validate(build_study_record('S1', facility='ICF', visits=[link], source_time=1))


def test_ids_depend_on_study_and_visit_alone(make_record):
    record = make_record({'Modality': 'MR'})
    assert record['dataset_id'] == visit_uuid('S1', 'V01')
    assert uuid.UUID(record['dataset_id']).version == 5
    assert make_record()['dataset_id'] == record['dataset_id']


def test_ids_of_studies_and_visits_differ():
    ids = {study_uuid('S1'), study_uuid('S2')} | {
        visit_uuid(s, v) for s in ('S1', 'S2') for v in ('V1', 'V2')
    }
    assert len(ids) == 6


@pytest.mark.parametrize(
    'change',
    [{'size': 10}, {'md5': 'f' * 32}, {'mtime': 1e9}, {'files_digest': 'x'}],
)
def test_a_version_changes_with_the_content(make_record, change):
    former = make_record()['dataset_version']
    assert make_record(**change)['dataset_version'] != former


def test_a_version_does_not_change_with_the_time_of_the_file(make_record):
    former = make_record()['dataset_version']
    assert make_record(source_time=2)['dataset_version'] == former


def test_the_source_time_is_that_of_the_file(make_record):
    (source,) = make_record(source_time=7)['metadata_sources']['sources']
    assert source['source_time'] == 7


@given(st.text(st.characters(), min_size=1, max_size=30))
def test_any_identifier_makes_a_plain_name_of_a_directory(make_record, name):
    try:
        visit = Visit(name, name)
    except ValueError:
        return
    record = make_record(visit=(visit.study_id, visit.visit_id))
    assert re.fullmatch('[0-9a-f-]{36}', record['dataset_id'])
    assert re.fullmatch('[0-9a-f]{32}', record['dataset_version'])


def test_links_to_the_tarball_are_relative_and_encoded(make_record):
    access = make_record(visit=('S1', 'a #?%&é'))['additional_display'][1]['content']
    for name, suffix in (('tarball', ''), ('MD5', '.md5sum')):
        url = access[name]['url']
        assert unquote(url) == f'../a #?%&é_dicom.tar{suffix}'
        assert not set(url) & set('#?& é')


def test_a_page_is_named_by_id_and_version(make_record):
    record = make_record()
    link = page_link(record)
    assert link.split('/')[1:] == [
        'dataset',
        record['dataset_id'],
        record['dataset_version'],
    ]


def test_keywords_are_modalities_and_protocols_without_repeats(make_record):
    one = {'Modality': 'MR', 'ProtocolName': 'MR', 'SeriesNumber': 1}
    two = {'Modality': 'MR', 'ProtocolName': 'bold', 'SeriesNumber': 2}
    assert make_record(one, two)['keywords'] == ['MR', 'bold']


def test_there_are_at_most_five_values_at_the_top(make_record):
    assert len(make_record(mtime=1e9)['top_display']) <= 5


def test_series_with_the_same_name_are_told_apart(make_record):
    images = [
        {'SeriesNumber': 1, 'SeriesDescription': 'a', 'ProtocolName': p} for p in 'xyz'
    ]
    rows = make_record(*images)['additional_display'][0]['content']
    assert list(rows) == ['1 a', '1 a (2)', '1 a (3)']


def test_a_series_that_was_named_to_look_like_another_is_told_apart(make_record):
    images = [
        {'SeriesNumber': 1, 'SeriesDescription': d, 'ProtocolName': p}
        for d, p in (('a', 'x'), ('a', 'y'), ('a (2)', 'z'))
    ]
    assert len(make_record(*images)['additional_display'][0]['content']) == 3


@pytest.mark.parametrize('description', ['@context', '@type', '7', '__proto__'])
def test_no_description_alone_is_the_name_of_a_row(make_record, description):
    """Some names mean something to the page, and digits change the order"""
    rows = make_record({'SeriesDescription': description})['additional_display'][0]
    assert description not in rows['content']


def test_very_many_values_are_cut(make_record):
    images = [{'EchoTime': n} for n in range(1000)]
    values = make_record(*images)['additional_display'][2]['content']['EchoTime']
    assert len(values) <= 51
    assert values[-1] == '…'


def test_a_visit_without_images_has_no_empty_tab(make_record, validate):
    record = make_record()
    validate(record)
    assert all(tab['content'] for tab in record['additional_display'])


def test_a_small_record_stays_small(make_record):
    images = [
        {'SeriesNumber': n, 'SeriesDescription': f's{n}', 'Modality': 'MR'}
        for n in range(15)
    ]
    assert len(json.dumps(make_record(*images))) < 4000
