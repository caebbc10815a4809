"""Several tasks at once, told about in one thread"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager

import pytest

from datalad_icf.commands import parallel
from datalad_icf.commands.parallel import InterruptedTask, run_parallel


@pytest.fixture
def shown():
    """What progress was shown, and in which threads"""
    return []


@pytest.fixture
def run(shown):
    """Runs tasks, and shows their progress"""

    def progress(task):
        @contextmanager
        def step(label, total, unit):
            def tell(*what):
                shown.append((task, *what, threading.current_thread()))

            tell('start', total)
            yield lambda count: tell('more', count)
            tell('end')

        return step

    def run(tasks, work, jobs=2):
        return run_parallel(tasks, work, jobs=jobs, progress=progress)

    return run


@pytest.mark.parametrize('jobs', [1, 2, 9])
def test_each_task_has_its_result(run, jobs):
    results = run(range(5), lambda task, _: task * 10, jobs)
    assert sorted(results) == [0, 10, 20, 30, 40]


def test_no_task_has_no_result(run):
    assert list(run([], lambda task, _: task)) == []


def test_tasks_overlap(run):
    meet = threading.Barrier(3, timeout=20)
    results = run(range(3), lambda task, _: meet.wait() * 0 + task, jobs=3)
    assert sorted(results) == [0, 1, 2]


def test_one_job_does_them_in_order(run):
    assert list(run(range(9), lambda task, _: task, jobs=1)) == list(range(9))


def test_a_result_is_there_when_its_task_is_done(run):
    go_on = threading.Event()

    def work(task, _):
        if task == 'slow':
            go_on.wait(20)
        return task

    results = run(['slow', 'fast'], work)
    assert next(results) == 'fast'
    go_on.set()
    assert list(results) == ['slow']


def test_progress_is_shown_by_the_caller_before_the_result(run, shown):
    def work(task, progress):
        with progress('Send', 3, ' bytes') as advance:
            advance(1)
            advance(2)
        return task

    for task in run('ab', work):
        mine = [one[1:-1] for one in shown if one[0] == task]
        assert mine == [('start', 3), ('more', 1), ('more', 2), ('end',)]
    assert {one[-1] for one in shown} == {threading.current_thread()}


def test_what_nobody_foresaw_is_raised_by_the_caller(run):
    def work(task, _):
        raise ZeroDivisionError(task)

    with pytest.raises(ZeroDivisionError, match='7'):
        list(run([7], work))


def test_a_task_that_nobody_waits_for_is_told_to_stop(run, shown):
    began, ended = threading.Event(), []

    def work(task, progress):
        if task == 'first':
            began.wait(20)
            return task
        try:
            with progress('Send', 1, '') as advance:
                while True:
                    advance(0)
                    began.set()
                    time.sleep(0.001)
        except InterruptedTask:
            ended.append(task)

    results = run(['first', 'second', 'third'], work)
    assert next(results) == 'first'
    results.close()
    assert 'second' in ended
    # and what was shown of it comes to an end
    assert ('second', 'end') in [one[:2] for one in shown]


def test_a_task_that_does_not_stop_is_not_waited_for(run, monkeypatch):
    monkeypatch.setattr(parallel, '_SECONDS_TO_STOP', 0.05)
    go_on = threading.Event()

    def work(task, _):
        return task or go_on.wait(20)

    results = run([1, 0], work)
    next(results)
    start = time.monotonic()
    results.close()
    assert time.monotonic() - start < 5
    go_on.set()


def test_what_was_not_begun_is_not_begun_after_the_end(run):
    begun = []

    def work(task, _):
        begun.append(task)
        return task

    results = run(range(1000), work, jobs=1)
    next(results)
    results.close()
    count = len(begun)
    time.sleep(0.02)
    assert len(begun) == count
