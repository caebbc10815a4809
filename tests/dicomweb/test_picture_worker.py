"""Pictures that are made in another process"""

from __future__ import annotations

import os
import signal

import pytest

from datalad_icf.dicomweb.picture_worker import PictureWorker
from datalad_icf.dicomweb.pictures import make_thumbnail
from datalad_icf.errors import PictureError
from demo.phantom import build_instance, encode


@pytest.fixture
def worker():
    with PictureWorker() as worker:
        yield worker


@pytest.fixture
def file(tmp_path):
    """A file with an image in its middle, and where that is"""
    content = encode(build_instance(rows=32, columns=32))
    path = tmp_path / 'visit.tar'
    path.write_bytes(bytes(512) + content + bytes(512))
    return path, 512, len(content)


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_picture_is_that_of_this_process(worker, file):
    path, offset, size = file
    picture = make_thumbnail(path.read_bytes()[offset : offset + size])
    assert picture
    assert worker.make(*file) == picture


def test_one_process_makes_many_pictures(worker, file):
    worker.make(*file)
    first = worker.pid
    worker.make(*file)
    assert worker.pid == first


def test_what_is_no_image_has_no_picture(worker, tmp_path):
    dataset = build_instance(rows=4, columns=4)
    del dataset.PixelData
    path = tmp_path / 'report.dcm'
    path.write_bytes(encode(dataset))
    assert worker.make(path, 0, path.stat().st_size) is None


def test_an_error_is_told_and_the_next_picture_is_made(worker, file, tmp_path):
    with pytest.raises(PictureError) as error:
        worker.make(file[0], file[1], file[2] // 2)
    assert 'crashed' not in str(error.value)
    assert worker.make(*file)


@pytest.mark.parametrize('is_gone', [False, True])
def test_a_crash_is_told_and_the_next_picture_is_made(worker, file, is_gone):
    worker.make(*file)
    os.kill(worker.pid, signal.SIGSEGV)
    # it is gone when it is asked, or not yet
    if is_gone:
        os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(PictureError, match='has crashed'):
        worker.make(*file)
    assert worker.make(*file)


def test_no_process_is_left(file):
    with PictureWorker() as worker:
        worker.make(*file)
        pid = worker.pid
        assert is_alive(pid)
    assert worker.pid is None
    assert not is_alive(pid)
