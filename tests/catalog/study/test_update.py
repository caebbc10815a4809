"""Each visit once, as its metadata are now"""

from __future__ import annotations

import itertools
import json
import os
import shutil

import pytest

from datalad_icf.catalog import CatalogSettings, update_catalog
from datalad_icf.errors import CatalogError, MetadataError, MissingInputError


def test_a_visit_that_was_added_is_listed(deposit, catalog):
    deposit('V01')
    (report,) = catalog.update('V01')
    assert (report.is_new, report.images, report.series) == (True, 4, 2)
    assert catalog.listed == ['V01']
    catalog.assert_consistent()


def test_a_visit_that_is_added_again_changes_nothing(deposit, catalog):
    deposit('V01')
    catalog.update('V01')
    before = catalog.files()
    (report,) = catalog.update('V01')
    assert not report.is_new
    assert catalog.files() == before


def test_the_order_of_adding_does_not_matter(deposit, catalog):
    names = ['V1', 'V01', 'v1', 'V10']
    for name in names:
        deposit(name)
    made = set()
    for order in itertools.permutations(names):
        shutil.rmtree(catalog.location, ignore_errors=True)
        for name in order:
            catalog.update(name)
        made.add(str(sorted(catalog.files().items())))
    assert len(made) == 1


def test_one_by_one_and_all_at_once_make_the_same_catalog(deposit, catalog):
    names = [f'V{number}' for number in range(5)]
    for name in names:
        deposit(name)
    catalog.update(*names)
    together = catalog.files()
    shutil.rmtree(catalog.location)
    for name in names:
        catalog.update(name)
    assert catalog.files() == together


def test_visits_are_listed_so_that_numbers_count(deposit, catalog):
    for name in ('P10', 'P9', 'P1'):
        deposit(name)
        catalog.update(name)
    assert catalog.listed == ['P1', 'P9', 'P10']
    assert [v['id'] for v in catalog.overview['visits']] == catalog.listed
    assert [c['name'] for c in catalog.study['children']] == catalog.listed


@pytest.fixture
def changed(deposit, catalog):
    """A visit that was added, and then got other metadata"""
    deposit('V01')
    catalog.update('V01')
    former = catalog.visit()['dataset_version']
    one = {'SeriesNumber': 3, 'SeriesDescription': 'new', 'Modality': 'CT'}
    deposit('V01', (one,), copies=1, size=9, md5='f' * 32, mtime=1_400_000_000)
    assert catalog.update('V01')[0].is_new
    return former


def test_changed_metadata_replace_the_values_on_the_page(changed, catalog):
    visit = catalog.visit()
    assert visit['keywords'] == ['CT']
    assert {d['name']: d['value'] for d in visit['top_display']} == {
        'Images': '1',
        'Series': '1',
        'Size': '9 bytes',
        'Scanned': '2014-05-13',
    }
    assert catalog.tab('series') == {'3 new': '1 image, 1.0 kB, CT'}
    assert catalog.tab('DICOM')['SeriesNumber'] == ['3']
    assert catalog.tab('access')['MD5']['description'] == 'f' * 32


def test_changed_metadata_leave_each_tab_once(changed, catalog):
    names = [tab['name'] for tab in catalog.visit()['additional_display']]
    assert names == ['series', 'access', 'DICOM']


def test_changed_metadata_leave_no_former_version(changed, catalog):
    versions = os.listdir(catalog.visit_directory('V01'))
    assert changed not in versions
    assert len(versions) == 1


def test_changed_metadata_are_listed_once(changed, catalog):
    assert catalog.listed == ['V01']
    version = catalog.visit()['dataset_version']
    assert catalog.study['subdatasets'][0]['dataset_version'] == version
    assert catalog.study['children'][0]['dataset_version'] == version
    (line,) = catalog.overview['visits']
    assert line['page'].endswith(version)
    assert (line['size'], line['images'], line['md5']) == (9, 1, 'f' * 32)
    catalog.assert_consistent()


def test_metadata_that_change_back_are_as_they_were(deposit, catalog):
    deposit('V01')
    catalog.update('V01')
    before = catalog.files()
    deposit('V01', md5='f' * 32)
    catalog.update('V01')
    deposit('V01')
    catalog.update('V01')
    assert catalog.files().keys() == before.keys()


def test_a_later_time_of_the_file_is_no_change(deposit, catalog):
    paths = deposit('V01')
    catalog.update('V01')
    before = catalog.files()
    os.utime(paths.tarball_metadata, (2_000_000_000, 2_000_000_000))
    assert not catalog.update('V01')[0].is_new
    assert catalog.files() == before


def test_a_dataset_that_comes_later_adds_the_clone_command(deposit, catalog):
    paths = deposit('V01')
    catalog.update('V01')
    assert catalog.overview['visits'][0]['clone'] is None
    paths.refs.touch()
    paths.repo_export.touch()
    assert catalog.update('V01')[0].is_new
    clone = catalog.overview['visits'][0]['clone']
    assert clone.startswith("datalad clone 'datalad-annex::")
    assert catalog.tab('access')['clone'] == clone


def test_all_visits_that_are_gone_are_dropped(deposit, catalog):
    for name in ('V01', 'V02', 'V03'):
        deposit(name)
    catalog.update('V01', 'V02', 'V03')
    assert catalog.rebuild('V02') == ['V01', 'V03']
    assert catalog.listed == ['V02']
    assert [v['id'] for v in catalog.overview['visits']] == ['V02']
    for name in ('V01', 'V03'):
        assert not catalog.visit_directory(name).exists()
    catalog.assert_consistent()


def test_a_study_whose_last_visit_is_dropped_is_empty(deposit, catalog):
    deposit('V01')
    catalog.update('V01')
    catalog.rebuild()
    assert catalog.listed == []
    assert catalog.overview['visits'] == []


def test_a_visit_that_was_dropped_can_come_back(deposit, catalog):
    time = int(deposit('V01').tarball_metadata.stat().st_mtime)
    catalog.update('V01')
    before = catalog.files()
    catalog.rebuild()
    os.utime(deposit('V01').tarball_metadata, (time, time))
    catalog.update('V01')
    assert catalog.files() == before


def test_a_visit_that_is_added_twice_in_one_update_is_there_once(deposit, catalog):
    deposit('V01')
    catalog.update('V01', 'V01')
    assert catalog.listed == ['V01']
    names = [tab['name'] for tab in catalog.visit()['additional_display']]
    assert names == ['series', 'access', 'DICOM']


def test_what_was_not_committed_is_forgotten(deposit, catalog):
    from datalad_icf.catalog import CatalogSettings, update_catalog

    deposit('V01')
    deposit('V02')
    catalog.update('V01')
    before = catalog.files()
    with update_catalog(catalog.paths, CatalogSettings()) as update:
        update.add(catalog.visit_paths('V02'))
    assert catalog.files() == before
    assert sorted(p.name for p in catalog.paths.study_dir.glob('.*')) == [
        '.catalog.lock'
    ]


@pytest.mark.parametrize(
    ('name', 'content'),
    [
        ('tarball_metadata', None),
        ('dicoms_metadata', None),
        ('tarball_metadata', b'{"size": 1'),
        ('dicoms_metadata', b'[{}]'),
        ('dicoms_metadata', b''),
        ('tarball_metadata', b'[]'),
    ],
)
def test_metadata_that_cannot_be_used_leave_the_catalog_as_it_is(
    deposit, catalog, name, content
):
    paths = deposit('V01')
    catalog.update('V01')
    before = catalog.files()
    path = getattr(paths, name)
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises((MissingInputError, MetadataError)) as info:
        catalog.update('V01')
    assert str(path) in str(info.value)
    assert 'icf-deposit-metadata' in str(info.value)
    assert catalog.files() == before


def test_a_study_that_does_not_exist_is_told(catalog):
    with pytest.raises(MissingInputError, match='no study directory'):
        catalog.update('V01')
    assert not catalog.paths.store_dir.exists()


def lose(path):
    path.unlink()


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def cut_late(path):
    path.write_bytes(path.read_bytes()[:-30])


def empty(path):
    path.write_bytes(b'')


def scramble(path):
    path.write_bytes(b'\xff\xfe[1, {"id": "V01", \x00')


def other_json(path):
    path.write_bytes(b'{"subdatasets": [1], "visits": 7}')


@pytest.mark.parametrize('damage', [lose, cut, cut_late, empty, scramble, other_json])
@pytest.mark.parametrize('file', ['overview', 'home', 'study'])
@pytest.mark.parametrize('added', ['V01', 'V02', 'V03'])
def test_what_is_lost_or_damaged_is_healed_by_adding_any_visit(
    deposit, catalog, damage, file, added
):
    for name in ('V01', 'V02', 'V03'):
        deposit(name)
    catalog.update('V01', 'V02')
    damage(
        {
            'overview': catalog.location / 'overview.json',
            'home': catalog.metadata / 'super.json',
            'study': catalog.study_file,
        }[file]
    )
    catalog.update(added)
    names = sorted({'V01', 'V02', added})
    assert catalog.listed == names
    assert [v['id'] for v in catalog.overview['visits']] == names
    home = json.loads((catalog.metadata / 'super.json').read_bytes())
    assert home['dataset_id'] == catalog.study['dataset_id']
    catalog.assert_consistent()


@pytest.mark.parametrize('text', ['{', '[]', '{"a": 1}'])
def test_a_damaged_schema_is_told_and_can_be_removed(deposit, catalog, text):
    deposit('V01')
    catalog.update('V01')
    before = catalog.files()
    schema = catalog.location / 'schema'
    (schema / 'jsonschema_dataset.json').write_text(text)
    with pytest.raises(CatalogError, match=f'{schema} is damaged; remove it'):
        catalog.update('V01')
    shutil.rmtree(schema)
    catalog.update('V01')
    assert catalog.files() == before


@pytest.mark.parametrize('damage', [lose, cut, empty])
def test_a_damaged_record_of_a_visit_is_made_again(deposit, catalog, damage):
    deposit('V01')
    catalog.update('V01')
    (path,) = (
        p
        for p in catalog.visit_directory('V01').rglob('*.json')
        if b'"dataset_version"' in p.read_bytes()
        and b'"top_display": [{"' in p.read_bytes()
    )
    before = path.read_bytes()
    damage(path)
    catalog.update('V01')
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    'lost', ['index.html', 'overview.html', 'config.json', 'assets', 'templates']
)
def test_a_lost_part_of_the_page_is_made_again_and_no_visit_is_lost(
    deposit, catalog, lost
):
    deposit('V01')
    deposit('V02')
    catalog.update('V01')
    path = catalog.location / lost
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    catalog.update('V02')
    assert path.exists()
    assert catalog.listed == ['V01', 'V02']
    catalog.assert_consistent()


def test_a_directory_that_is_no_catalog_is_not_removed(deposit, catalog):
    deposit('V01')
    catalog.location.mkdir()
    note = catalog.location / 'notes.txt'
    note.write_text('of somebody else')
    with pytest.raises(CatalogError, match='no catalog'):
        catalog.update('V01')
    assert note.read_text() == 'of somebody else'


def test_other_files_in_the_catalog_stay(deposit, catalog):
    deposit('V01')
    catalog.update('V01')
    (catalog.location / 'notes.txt').write_text('x')
    deposit('V01', md5='f' * 32)
    catalog.update('V01')
    assert (catalog.location / 'notes.txt').read_text() == 'x'


def test_a_failing_first_visit_makes_no_catalog(deposit, catalog):
    catalog.paths.study_dir.mkdir(parents=True)
    with pytest.raises(MissingInputError):
        catalog.update('V01')
    assert not catalog.location.exists()


def test_what_the_catalog_had_of_a_damaged_visit_is_missed_with_a_warning(
    deposit, catalog, caplog
):
    for name in ('V01', 'V02'):
        deposit(name)
    catalog.update('V01', 'V02')
    (catalog.location / 'overview.json').unlink()
    catalog.visit_paths('V02').tarball_metadata.write_text('{')
    with caplog.at_level('WARNING', 'datalad.icf.catalog'):
        catalog.update('V01')
    assert 'visit V02 is not in the table of series' in caplog.text
    assert catalog.listed == ['V01', 'V02']


def test_a_table_of_an_earlier_version_is_read(deposit, catalog):
    for name in ('V01', 'V02'):
        deposit(name)
    catalog.update('V01', 'V02')
    path = catalog.location / 'overview.json'
    lines = path.read_text().splitlines()
    spaced = [
        json.dumps(json.loads(line.rstrip(','))) + line[len(line.rstrip(',')) :]
        if line.startswith('{"id"')
        else line
        for line in lines
    ]
    path.write_text('\n'.join(spaced) + '\n')
    catalog.visit_paths('V02').tarball_metadata.write_text('{')
    deposit('V03')
    catalog.update('V03')
    assert [v['id'] for v in catalog.overview['visits']] == ['V01', 'V02', 'V03']


def test_a_visit_that_has_lost_one_of_its_files_is_not_dropped(deposit, catalog):
    for name in ('V01', 'V02'):
        deposit(name)
    catalog.update('V01', 'V02')
    catalog.visit_paths('V02').tarball_metadata.unlink()
    assert catalog.rebuild('V01', 'V02') == []
    assert catalog.listed == ['V01', 'V02']


def test_a_lost_record_of_a_directory_is_written_again(deposit, catalog):
    deposit('V01', directory='a/b')
    catalog.update('V01')
    before = catalog.files()
    records = sorted(catalog.visit_directory('V01').rglob('*/*/*.json'))
    assert len(records) > 2
    for record in records:
        if b'"type": "directory"' in record.read_bytes():
            record.unlink()
    assert catalog.files() != before
    catalog.update('V01')
    assert catalog.files() == before


@pytest.mark.parametrize('name', ['index.html', 'assets/style.css'])
@pytest.mark.parametrize('is_lost', [True, False], ids=['lost', 'empty'])
def test_a_lost_or_empty_page_is_made_again(deposit, catalog, name, is_lost):
    deposit('V01')
    catalog.update('V01')
    before = catalog.files()
    (catalog.location / name).unlink()
    if not is_lost:
        (catalog.location / name).touch()
    catalog.update('V01')
    assert catalog.files() == before


def test_records_of_others_stay(deposit, catalog):
    deposit('V01')
    catalog.update('V01')
    record = catalog.location / 'metadata' / 'theirs' / '1' / 'abc' / 'def.json'
    record.parent.mkdir(parents=True)
    record.write_text('{"type": "dataset"}')
    catalog.rebuild('V01')
    assert record.exists()


def test_nothing_is_made_for_a_first_visit_that_is_damaged(deposit, catalog):
    deposit('V01').tarball_metadata.write_text('{')
    with pytest.raises(MetadataError):
        catalog.update('V01')
    with update_catalog(catalog.paths, CatalogSettings()) as update:
        update.commit()
    assert not catalog.location.exists()


def test_the_time_of_a_study_never_goes_back(deposit, catalog):
    for name, time in (('V01', 2_000_000_000), ('V02', 1_000_000_000)):
        os.utime(deposit(name).tarball_metadata, (time, time))
    catalog.update('V01')
    catalog.update('V02')
    (source,) = catalog.study['metadata_sources']['sources']
    assert source['source_time'] == 2_000_000_000
