"""Without the password there is a failure, and neither content nor a wait for it"""

from __future__ import annotations

import shutil

import pytest


@pytest.fixture(scope='module')
def impostor(server, make_person):
    """Somebody with a wrong password"""
    impostor = make_person('impostor')
    impostor.set_password(server, 'guessed')
    return impostor


@pytest.mark.parametrize('who', ['stranger', 'impostor'])
def test_nobody_clones_without_the_password(request, phantom, who):
    person = request.getfixturevalue(who)
    outcome = person.try_run('datalad', 'clone', phantom.dataset.clone_url, 'mine')
    assert outcome.code != 0
    assert 'deposit does not exist, or is inaccessible' in outcome.text
    assert not (person.directory / 'mine').exists()


@pytest.mark.parametrize('who', ['stranger', 'impostor'])
def test_nobody_gets_an_image_without_the_password(
    request, pristine_clone, phantom, tmp_path, who
):
    person = request.getfixturevalue(who)
    clone = shutil.copytree(pristine_clone, tmp_path / 'clone', symlinks=True)
    image = phantom.instances[0].path
    outcome = person.try_run('datalad', 'get', image, cwd=clone)
    assert outcome.code != 0
    assert image in outcome.text
    assert not (clone / image).exists()
    assert not list(clone.glob('.git/annex/objects/**/*.tar'))


def test_the_password_stands_in_no_file_of_a_clone(clone, reader, phantom, password):
    reader.run('datalad', 'get', phantom.instances[0].path, cwd=clone)
    for path in clone.rglob('*'):
        if path.is_file():
            assert password.encode() not in path.read_bytes()
