from __future__ import annotations

import logging

import pytest


@pytest.fixture
def bars(monkeypatch, archive, describe, visit_files):
    """The progress messages of two commands, as (bar, attributes)"""
    # slow enough for none, else
    monkeypatch.setattr('datalad_icf.commands.visits._SECONDS_BETWEEN_UPDATES', 0)
    seen = []

    class Watch(logging.Filter):
        def filter(self, record):
            if hasattr(record, 'dlm_progress'):
                seen.append((record.dlm_progress, vars(record)))
            return True

    watch = Watch()
    loggers = [
        logging.getLogger(f'datalad.icf.{n}') for n in ('archive', 'deposit_metadata')
    ]
    for logger in loggers:
        logger.addFilter(watch)
    archive(visit_files)
    describe()
    for logger in loggers:
        logger.removeFilter(watch)
    return seen


def test_each_step_has_a_bar_with_the_path_in_its_name(bars, paths):
    names = list(dict.fromkeys(name for name, _ in bars))
    assert [name.split()[0] for name in names] == ['Scan', 'Pack', 'Read']
    assert all(str(paths.study_dir) in name for name in names)


def test_each_bar_has_a_start_and_an_end(bars):
    for name in {name for name, _ in bars}:
        records = [record for other, record in bars if other == name]
        assert records[0]['dlm_progress_total'] > 0
        # what has neither a total nor an update is the end
        known = [
            {'dlm_progress_total', 'dlm_progress_update'} & r.keys() for r in records
        ]
        assert all(known[:-1])
        assert not known[-1]


def test_each_bar_comes_to_its_total(bars, paths):
    updates = [r.get('dlm_progress_update') for n, r in bars if n.startswith('Read')]
    assert sum(u for u in updates if u) == paths.tarball.stat().st_size


def test_a_bar_ends_where_its_step_fails(paths, describe, put_tarball, tar, caplog):
    put_tarball(tar(('a', b'x'))[:1024])
    with caplog.at_level(logging.INFO, 'datalad.icf'):
        describe()
    assert any('done' in r.getMessage() for r in caplog.records)
