"""What stands on the branches, of odd metadata too"""

from __future__ import annotations

import pytest

from datalad_icf.dataset.keys import build_key, log_path
from datalad_icf.errors import MetadataError


@pytest.fixture
def logs(deposit, branches):
    """Deposit, and read the logs of an image by its metadata"""

    def logs(record, suffix):
        deposit()
        key = build_key(record['md5'], record['size'], record['path'])
        return branches()[1][f'{log_path(key)}{suffix}'][1].decode()

    return logs


def symlinks(files):
    return {path for path, (mode, _) in files.items() if mode == '120000'}


def test_the_tarball_and_every_image_are_files(visit, paths, deposit, branches):
    deposit()
    assert symlinks(branches()[0]) == {
        paths.dataset_path,
        'S1_V01/0001.dcm',
        'S1_V01/0002.dcm',
        'S1_V01/a/0001.dcm',
    }


@pytest.mark.parametrize(
    ('name', 'path'),
    [
        ('S1/new\nline.dcm', 'S1/new\nline.dcm'),
        ('S1/latin\udcff.dcm', 'S1/latin\udcff.dcm'),
        ('S1/"quoted"\\\t.dcm', 'S1/"quoted"\\\t.dcm'),
        (' S1 / a ', ' S1 / a '),
        ('./S1/a.dcm', 'S1/a.dcm'),
        ('S1//a/./b', 'S1/a/b'),
    ],
    ids=ascii,
)
def test_a_name_is_kept_byte_by_byte(describe, deposit, branches, name, path):
    describe(name)
    deposit()
    assert path in symlinks(branches()[0])


@pytest.mark.parametrize(
    'name',
    [
        '.git/config',
        'S1/.git/config',
        'S1/.GIT/config',
        '.git',
        './.git/a',
        '.datalad/config',
        '.gitattributes',
        '.gitmodules',
        'icf/V01_dicom.tar',
        'icf/V01_dicom.tar/a',
        'icf',
        # names that git refuses to check out, so that nobody could clone
        'S1/.gitmodules',
        'S1/GITMOD~2',
        'S1/git~1/a',
        'S1\\.git\\a',
        'S1/.git /a',
        'S1/.git./a',
        'S1/.git::$INDEX_ALLOCATION/a',
        'S1/.g\u200cit/a',
    ],
    ids=ascii,
)
def test_a_name_that_cannot_be_in_a_dataset_is_refused(
    describe, deposit, paths, files_in, name
):
    describe('S1_V01/0001.dcm', name)
    before = files_in(paths.store_dir)
    with pytest.raises(MetadataError):
        deposit()
    assert files_in(paths.store_dir) == before


@pytest.mark.parametrize(
    'name', ['/a', '../a', 'S1/../../a', 'S1/..', '', '.', 'S1/a\0b']
)
def test_a_name_that_is_no_path_below_the_dataset_is_refused(
    describe, deposit, paths, files_in, name
):
    describe('S1_V01/0001.dcm', name)
    before = files_in(paths.store_dir)
    with pytest.raises(MetadataError):
        deposit()
    assert files_in(paths.store_dir) == before


def test_a_file_that_would_be_a_directory_as_well_is_refused(describe, deposit):
    describe('S1/a', 'S1/a/b')
    with pytest.raises(MetadataError, match=r"'S1/a'"):
        deposit()


@pytest.mark.parametrize('other', ['S1/a.dcm', './S1/a.dcm', 'S1//a.dcm'])
def test_of_two_images_with_the_same_name_the_last_counts(
    describe, describe_image, deposit, branches, other
):
    first, last = describe_image('S1/a.dcm'), describe_image(other, md5='1' * 32)
    describe(first, last)
    deposit()
    main, annex = branches()
    assert f'--{"1" * 32}.dcm'.encode() in main['S1/a.dcm'][1]
    assert not any(first['md5'] in path for path in annex)


def test_images_with_the_same_content_have_all_locators(describe, describe_image, logs):
    twins = [describe_image(f'S1/{n}.dcm', md5='1' * 32, offset=n) for n in (1, 2)]
    describe(*twins)
    web = logs(twins[0], '.log.web').splitlines()
    assert [line.partition('#')[2] for line in web] == [
        'path=S1/1.dcm&size=5&atype=tar&offset=1',
        'path=S1/2.dcm&size=5&atype=tar&offset=2',
    ]


def test_a_locator_has_path_size_type_and_offset(describe, describe_image, logs):
    record = describe_image('S1/a b.dcm', size=7, offset=2048)
    describe(record)
    locator = logs(record, '.log.web')
    assert locator.endswith('.tar#path=S1/a b.dcm&size=7&atype=tar&offset=2048\n')


def test_an_offset_that_is_not_known_is_left_out(describe, describe_image, logs):
    record = describe_image('S1/a.dcm', offset=...)
    describe(record)
    assert logs(record, '.log.web').endswith('#path=S1/a.dcm&size=5&atype=tar\n')


def test_a_name_that_needs_an_offset_is_refused_without_one(
    describe, describe_image, deposit, paths
):
    # there would be no way to get the image
    describe(describe_image('S1/a&b.dcm', offset=...))
    with pytest.raises(MetadataError, match=r"'S1/a&b\.dcm'.*icf-deposit-metadata"):
        deposit()
    assert not paths.refs.exists()


@pytest.mark.parametrize(
    ('value', 'written'),
    [
        ('plain', '+plain'),
        (7, '+7'),
        (1.5, '+1.5'),
        (0, '+0'),
        ('a b', '+!YSBi'),
        ('a\nb', '+!YQpi'),
        ('!a', '+!IWE='),
        ('größe', '+größe'),
        ('+-=,&', '++-=,&'),
        (['a', 'b'], '+a +b'),
        (['a', '', None, 'a'], '+a'),
        ([1, 'x y'], '+!eCB5 +1'),
    ],
)
def test_a_value_is_metadata(describe, describe_image, logs, value, written):
    record = describe_image('S1/a.dcm', ProtocolName=value)
    describe(record)
    line = logs(record, '.log.met')
    found = line.split(' ProtocolName ')[1].split(' size ')[0]
    assert sorted(found.split(' ')) == sorted(written.split(' '))


@pytest.mark.parametrize('value', ['', None, [], [''], [None, ''], ' '])
def test_an_attribute_without_value_is_no_metadata(
    describe, describe_image, logs, value
):
    record = describe_image('S1/a.dcm', ProtocolName=value)
    describe(record)
    assert 'ProtocolName' not in logs(record, '.log.met')


def test_a_field_that_git_annex_cannot_name_is_left_out(describe, describe_image, logs):
    record = describe_image('S1/a.dcm', **{'a b': 1, 'x\ny': 2, 'ü': 3, '_a': 4})
    describe(record)
    fields = logs(record, '.log.met').split(' ')[1::2]
    assert fields == ['md5', 'path', 'size']


def test_a_dataset_without_images_has_the_tarball(describe, deposit, paths, branches):
    describe()
    report = deposit()
    assert symlinks(branches()[0]) == {paths.dataset_path}
    assert report.instances == 0
    assert report.warnings


def test_an_image_with_the_content_of_the_tarball_is_found_in_both(
    describe, describe_image, deposit, branches
):
    # of a tarball whose only member is a tarball there is no such thing, but
    # nothing may be lost if metadata say so
    twin = describe_image('S1/twin.tar', md5='1' * 32, size=10240)
    describe(twin, md5='1' * 32)
    deposit()
    assert 'S1/twin.tar' in symlinks(branches()[0])


def test_remotes_are_the_same_for_all_datasets_of_an_address(
    describe, deposit, branches
):
    describe('S1/a.dcm')
    first = deposit().dataset_id
    before = branches()[1]['uuid.log']
    describe('S1/b.dcm')
    assert deposit(replace=True).dataset_id == first
    remotes = {line.split()[0] for line in branches()[1]['uuid.log'][1].splitlines()}
    assert remotes == {line.split()[0] for line in before[1].splitlines()}


def test_another_address_is_another_dataset(visit, deposit):
    first = deposit()
    other = deposit(store_url='https://example.org', replace=True)
    assert other.dataset_id != first.dataset_id
