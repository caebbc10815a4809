"""Addresses of a clone are compared by what they say, not by how it is written"""

from __future__ import annotations

import pytest

from datalad_icf.dataset.address import is_same_address
from datalad_icf.store import build_clone_url

START = 'datalad-annex::?type=external&externaltype=uncurl'
KEY = '_{{annex_key}}'


@pytest.mark.parametrize(
    'other',
    [
        f'{START}&encryption=none&url=http://a.test/S%201/V{KEY}',
        f'{START}&url=http://a.test/S%25201/V{KEY}&encryption=none',
        f'{START}&encryption=none&url=HTTP://A.test:80/S%201/V{KEY}',
    ],
)
def test_an_address_may_be_written_in_other_ways(other):
    assert is_same_address(build_clone_url('http://a.test', 'S 1/V_'), other)


@pytest.mark.parametrize(
    'other',
    [
        f'{START}&encryption=none&url=http://a.test/S%201/W{KEY}',
        f'{START}&encryption=none&url=https://a.test/S%201/V{KEY}',
        f'{START}&encryption=none&url=http://a.test:81/S%201/V{KEY}',
        f'{START}&encryption=none&url=http://b.test/S%201/V{KEY}',
        f'{START}&encryption=none',
        f'{START}&encryption=none&url=http://a.test:x/[',
        'http://a.test/S%201/V',
        'datalad-annex::',
        '',
    ],
)
def test_another_dataset_has_another_address(other):
    assert not is_same_address(build_clone_url('http://a.test', 'S 1/V_'), other)


def test_a_directory_may_have_several_paths(tmp_path):
    (tmp_path / 'store').mkdir()
    (tmp_path / 'link').symlink_to('store')
    first, *others = (
        build_clone_url(f'file://{tmp_path}/{path}', 'S1/V_')
        for path in ('store', 'link', 'link/../store', '../x')
    )
    assert [is_same_address(first, other) for other in others] == [True, True, False]
