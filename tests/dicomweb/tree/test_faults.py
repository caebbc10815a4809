"""Whatever happens to an update: what is served fits together, and heals

Processes are real, and so are their deaths.
"""

from __future__ import annotations

import shutil
import signal
from functools import partial

import pytest

from datalad_icf.errors import StoreWriteError
from tests.dicomweb.tree import tree_reader, worker
from tests.dicomweb.tree.conftest import SERIES, STUDY, Study, make

OTHER = '1.2.2'
KINDS = pytest.mark.parametrize('kind', ['add', 'replace', 'drop'])


def fill(study, kind):
    """Two visits in the tree that share a study, and a change of one of them"""
    bulk = {'RedPaletteColorLookupTableData': bytes(200_000)}
    study.put(make(1, **bulk))
    first = (
        make(1, series='1.2.1.2', **bulk),
        make(1, study=OTHER, series='1.2.2.1'),
        make(1, study='1.2.3', series='1.2.3.1'),
    )
    study.put(*first, visit_id='V02')
    study.convert('V01')
    if kind != 'add':
        study.convert('V02')
    if kind == 'replace':
        second = (
            make(2, series='1.2.1.2'),
            make(3, series='1.2.1.2'),
            make(3, study=OTHER, series='1.2.2.2'),
            make(1, study='1.2.4', series='1.2.4.1'),
        )
        study.put(*second, visit_id='V02')


@pytest.fixture
def changing(study, tmp_path, request):
    """A study before a change, with a copy of it, and the tree that is to come"""

    def prepare(kind):
        fill(study, kind)
        study.backup = tmp_path / 'backup'
        shutil.copytree(study.directory, study.backup)
        worker.change(study.store_dir, 'V02', kind == 'drop')
        study.expected = study.files(hidden=True)
        reset(study)
        return study

    return prepare


def reset(study):
    shutil.rmtree(study.directory)
    shutil.copytree(study.backup, study.directory)


def die(study, kind, moment, *, fallback=False, everything=False):
    """Whether the process died, of the change that it was told to"""
    code = worker.run(
        worker.change_until,
        *(study.store_dir, 'V02', kind == 'drop', moment, fallback, everything),
    )
    assert code in (0, -signal.SIGKILL)
    return code != 0


@pytest.mark.parametrize('fallback', [False, True], ids=['exchange', 'rename'])
@KINDS
def test_a_kill_before_any_change_leaves_what_fits_together_and_heals(
    changing, kind, fallback
):
    study = changing(kind)
    moment = 0
    while die(study, kind, moment, fallback=fallback):
        study.assert_consistent(counts=False)
        worker.change(study.store_dir, 'V02', kind == 'drop')
        assert study.files(hidden=True) == study.expected, f'after kill {moment}'
        assert not list(study.directory.glob('.dicomweb.*.part'))
        reset(study)
        moment += 1
    assert moment >= 6
    assert study.files(hidden=True) == study.expected


@pytest.mark.parametrize('fallback', [False, True], ids=['exchange', 'rename'])
@KINDS
def test_a_kill_heals_when_another_visit_is_converted(changing, kind, fallback):
    study = changing(kind)
    moment = 0
    while die(study, kind, moment, fallback=fallback):
        study.put(make(7, study='1.2.9', series='1.2.9.1'), visit_id='V03')
        study.convert('V03')
        study.assert_consistent()
        assert {STUDY, '1.2.9'} <= set(study.listed)
        assert not list(study.directory.glob('.dicomweb.*.part'))
        # and the change is not taken for one that was made
        worker.change(study.store_dir, 'V02', kind == 'drop')
        study.drop('V03')
        left = study.files(hidden=True)
        assert left == study.expected, f'after kill {moment}'
        reset(study)
        moment += 1
    assert moment >= 6


@KINDS
def test_a_kill_while_the_part_of_a_visit_is_made_is_not_seen(changing, kind):
    study = changing(kind)
    before = study.files(hidden=True)
    for moment in range(0, 10_000, 9):
        if not die(study, kind, moment, everything=True):
            break
        if not (study.tree / '.icf' / 'unfinished').exists():
            found = study.files(hidden=True)
            assert found in (before, study.expected)
        study.assert_consistent(counts=False)
        worker.change(study.store_dir, 'V02', kind == 'drop')
        assert study.files(hidden=True) == study.expected
        reset(study)
    assert moment >= 30


def test_a_kill_of_the_first_update_of_a_tree_heals(study):
    study.put(make(1))
    study.convert()
    expected = study.files(hidden=True)
    moment = 0
    while True:
        shutil.rmtree(study.tree)
        code = worker.run(
            worker.change_until, study.store_dir, 'V01', False, moment, False, False
        )
        if code == 0:
            break
        study.assert_consistent(counts=False)
        study.convert()
        assert study.files(hidden=True) == expected
        moment += 1
    assert moment >= 4


# --- a full disk


@pytest.mark.parametrize('limit', [0, 100, 1000, 3000])
@pytest.mark.parametrize('kind', ['add', 'replace'])
def test_a_full_disk_leaves_the_tree_as_it_is(changing, kind, limit):
    study = changing(kind)
    study.put(make(1, series='1.2.1.2', PatientComments='x' * 3000), visit_id='V02')
    before = study.files(hidden=True)
    assert worker.run(try_with_limit, study.store_dir, limit) == 0
    assert study.files(hidden=True) == before
    assert not list(study.directory.glob('.dicomweb.*.part'))
    study.convert('V02')
    study.assert_consistent()


def try_with_limit(store, limit):
    with pytest.raises(StoreWriteError, match='File too large'):
        worker.change_with_full_disk(store, 'V02', limit)


@KINDS
def test_any_change_that_fails_is_an_error_and_heals(changing, kind):
    study = changing(kind)
    check = partial(check_failure, study, kind, study.files(hidden=True))
    code = worker.run(
        worker.change_with_failures, study.store_dir, 'V02', kind == 'drop', check
    )
    assert code == 0


def check_failure(study, kind, before, moment, event, is_told):
    found = study.files(hidden=True)
    assert is_told or found == study.expected, (moment, event)
    if (study.tree / '.icf' / 'unfinished').exists():
        # names need no space: something else is wrong there
        assert event in ('os.rename', 'os.remove')
    else:
        assert found in (before, study.expected), (moment, event)
    tree_reader.assert_consistent(study.tree, counts=False)
    worker.change(study.store_dir, 'V02', kind == 'drop')
    assert study.files(hidden=True) == study.expected, (moment, event)
    reset(study)


# --- several processes


def test_of_many_processes_at_once_all_visits_are_in(study):
    visits = [f'V{n:02d}' for n in range(12)]
    for n, visit_id in enumerate(visits):
        shared = make(n, series=f'1.2.1.{n + 1}')
        alone = make(n, study=f'1.3.{n}', series=f'1.3.{n}.1')
        study.put(shared, alone, visit_id=visit_id)
    running = [
        worker.start(worker.convert, study.store_dir, *visits[n::4]) for n in range(4)
    ]
    for process in running:
        process.join()
        assert process.exitcode == 0
    assert study.listed == sorted([STUDY, *(f'1.3.{n}' for n in range(12))])
    assert len(tree_reader.names(study.path('series'))) == 12
    study.assert_consistent()
    assert not list(study.directory.glob('.dicomweb.*.part'))


def test_who_reads_meanwhile_misses_nothing_of_what_stays(study):
    study.put(make(1))
    study.put(make(1, series='1.2.1.2'), make(1, study=OTHER, series='1.2.2.1'))
    study.put(make(1), make(2), visit_id='V02')
    study.put(make(1), visit_id='V01')
    study.convert('V01')
    process = worker.start(keep_changing, study.store_dir)
    names = [
        'index.json',
        'series/index.json',
        f'series/{SERIES}/metadata',
        f'series/{SERIES}/instances/{SERIES}.1/frames/1',
    ]
    reads = 0
    try:
        while process.is_alive():
            assert STUDY in study.listed
            for name in names:
                assert study.path(name).read_bytes()
            reads += 1
    finally:
        process.join()
    assert process.exitcode == 0
    assert reads > 20


def keep_changing(store):
    study = Study(store)
    # not for a time, in which a busy machine does little
    for number in range(30):
        study.put(make(1, PatientComments=f'{number}'), make(2 + number % 3))
        study.convert('V01')
