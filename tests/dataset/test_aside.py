"""A directory is at its place whole or not at all, and belongs to one process"""

from __future__ import annotations

import os
import threading

import pytest

from datalad_icf.dataset import aside
from datalad_icf.dataset.aside import is_free, put_in_place, work_aside
from datalad_icf.errors import ConflictError


@pytest.fixture(params=['nothing', 'empty directory', 'link'])
def target(request, tmp_path):
    place = tmp_path / 'place'
    place.mkdir()
    if request.param == 'nothing':
        return place / 'new'
    if request.param == 'link':
        (tmp_path / 'elsewhere').mkdir()
        (place / 'new').symlink_to(tmp_path / 'elsewhere')
    else:
        (place / 'new').mkdir(mode=0o700)
    return place / 'new'


def fill(directory):
    (directory / '.git' / 'objects').mkdir(parents=True)
    (directory / 'a').write_text('')
    (directory / '.git' / 'objects').chmod(0o500)


def list_names(directory):
    return sorted(path.name for path in directory.iterdir())


def test_a_directory_appears_at_its_place(target):
    assert is_free(target)
    was_there = target.exists() and os.stat(target).st_ino
    with work_aside(target) as work:
        assert work.name == target.name
        fill(work)
        # for others, while this one is at work
        assert is_free(target)
        put_in_place(work, target)
    assert not is_free(target)
    assert list_names(target) == ['.git', 'a']
    assert list_names(target.parent) == ['new']
    if was_there:
        assert os.stat(target).st_ino == was_there


def test_nothing_is_left_of_what_was_interrupted(target):
    before = target.exists()

    def interrupted():
        with work_aside(target) as work:
            fill(work)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert target.exists() == before
    assert list_names(target.parent) == (['new'] if before else [])
    assert is_free(target)


def test_directories_above_go_unless_somebody_uses_them(tmp_path):
    def fails(directory):
        with work_aside(directory / 'b' / 'new'):
            (tmp_path / 'used' / 'own').write_text('')
            raise OSError('test')

    for name in ('a', 'used'):
        (tmp_path / 'used').mkdir(exist_ok=True)
        with pytest.raises(OSError, match='test'):
            fails(tmp_path / name)
    assert list_names(tmp_path) == ['used']
    assert list_names(tmp_path / 'used') == ['own']


def test_what_comes_to_the_place_meanwhile_stays(target):
    def other_is_quicker():
        with work_aside(target) as work:
            fill(work)
            target.mkdir(exist_ok=True)
            (target / 'a').write_text('other')
            put_in_place(work, target)

    with pytest.raises(ConflictError):
        other_is_quicker()
    assert list_names(target) == ['a']
    assert (target / 'a').read_text() == 'other'
    assert list_names(target.parent) == ['new']


@pytest.mark.parametrize('moved', range(3))
def test_what_was_killed_while_it_moved_is_moved_on(tmp_path, monkeypatch, moved):
    target = tmp_path / 'new'
    target.mkdir()
    place = target / '.icf-clone'
    fill(place / 'finished')
    (place / 'lock').write_text('')
    for name in ['a', '.git'][:moved]:
        os.rename(place / 'finished' / name, target / name)
    assert is_free(target)
    with work_aside(target):
        assert list_names(target) == ['.git', '.icf-clone', 'a']
    assert list_names(target) == ['.git', 'a']


def test_one_process_is_at_work_at_a_time(target):
    is_at_work = threading.Event()
    may_end = threading.Event()
    seen = []

    def first():
        with work_aside(target) as work:
            fill(work)
            is_at_work.set()
            may_end.wait(10)
            put_in_place(work, target)

    def second():
        with work_aside(target):
            seen.append(list_names(target))

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    threads[0].start()
    assert is_at_work.wait(10)
    threads[1].start()
    threads[1].join(0.2)
    assert not seen
    may_end.set()
    for thread in threads:
        thread.join()
    assert seen == [['.git', 'a']]
    assert list_names(target.parent) == ['new']


def test_a_place_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / 'dangling').symlink_to('nowhere')
    with pytest.raises(FileNotFoundError), work_aside(tmp_path / 'dangling' / 'new'):
        pass
    assert aside.is_free(tmp_path / 'new')
