from __future__ import annotations

from datetime import timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from datalad_next.constraints import ConstraintError

from datalad_icf.commands import params
from datalad_icf.store import Visit


def test_two_identifiers_become_a_visit():
    assert params.EnsureVisit(pattern=False)(['S1', 'V01']) == Visit('S1', 'V01')


def test_a_pattern_is_a_visit_where_it_is_allowed():
    assert params.EnsureVisit(pattern=True)(('S1', '*')).is_pattern
    with pytest.raises(ConstraintError, match='must not have any of'):
        params.EnsureVisit(pattern=False)(Visit('S1', '*'))


@pytest.mark.parametrize('value', [None, 'S1', ('S1',), ('S1', None), {'S1': 'V01'}])
def test_what_are_not_two_identifiers_is_refused(value):
    with pytest.raises(ConstraintError, match='are needed'):
        params.EnsureVisit(pattern=False)(value)


@pytest.mark.parametrize('value', ['{', '{}/', '{0}/', '{__value__}/..', '%s/'])
def test_an_identifier_with_braces_is_shown_as_it_is(value):
    with pytest.raises(ConstraintError) as caught:
        params.EnsureVisit(pattern=False)((value + '/', 'V01'))
    assert value in str(caught.value)


def test_a_store_is_an_absolute_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert params.EnsureStoreDir()('store') == tmp_path / 'store'
    assert params.EnsureStoreDir()(None) == tmp_path


def test_the_path_of_a_store_has_no_way_up(tmp_path, monkeypatch):
    (tmp_path / 'a' / 'b').mkdir(parents=True)
    (tmp_path / 'link').symlink_to('a/b')
    monkeypatch.chdir(tmp_path / 'a')
    for path, found in {
        '../store': 'store',
        'b/../../store/.': 'store',
        # the parent of what it points to, as for the system
        '../link/../store': 'a/store',
        # its name may last longer than what it points to
        '../link/store': 'link/store',
        '../link/c/../store': 'link/store',
    }.items():
        assert params.EnsureStoreDir()(path) == tmp_path / found
        url = f'file://{tmp_path}/a/{path}'
        assert params.EnsureStoreUrl()(url) == f'file://{tmp_path}/{found}'


def test_a_store_may_be_in_the_home_directory(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    assert params.EnsureStoreDir()('~/store') == tmp_path / 'store'


def test_of_several_configured_stores_the_last_counts(monkeypatch):
    import datalad

    values = ('/one', '/other')
    monkeypatch.setattr(datalad.cfg, 'get', lambda name: values)
    assert params.EnsureStoreDir()(None) == Path('/other')


def test_the_url_of_the_store_has_a_default():
    assert params.EnsureStoreUrl()(None) == 'https://data.inm-icf.de'


def test_the_url_of_the_store_is_the_configured_one(configure):
    configure('datalad.icf.store-url', 'https://store.example.org')
    assert params.EnsureStoreUrl()(None) == 'https://store.example.org'
    assert params.EnsureStoreUrl()('https://other.org') == 'https://other.org'


def test_a_password_in_the_url_is_refused_and_not_shown():
    with pytest.raises(ConstraintError) as caught:
        params.EnsureStoreUrl()('https://user:geheim@store.example.org')
    assert 'geheim' not in str(caught.value)
    assert 'geheim' not in repr(caught.value.value)


def test_a_zone_is_looked_up():
    assert params.EnsureTimeZone()(None) is timezone.utc
    assert params.EnsureTimeZone()('Europe/Berlin') == ZoneInfo('Europe/Berlin')
    assert params.EnsureTimeZone()(ZoneInfo('Asia/Tokyo')) == ZoneInfo('Asia/Tokyo')


def test_all_constraints_tell_what_they_want():
    for constraint in (
        params.EnsureVisit(pattern=False),
        params.EnsureStoreDir(),
        params.EnsureStoreUrl(),
        params.EnsureTimeZone(),
        params.EnsureAttributes(),
    ):
        assert constraint.input_synopsis.isupper()
