"""Identifiers of studies and visits may have any character that a URL may not"""

from __future__ import annotations

import pytest


@pytest.mark.parametrize('scheme', ['http', 'file'])
def test_a_visit_with_odd_identifiers_can_be_cloned_and_got(
    reader, deposit_visit, phantom, digest, server, store, scheme
):
    content = phantom.paths.tarball.read_bytes()
    url = server.url if scheme == 'http' else store.as_uri()
    deposited = deposit_visit(
        f"S 1 ü%41'{{0}} {scheme}", 'V&1 ä#b?c+d=e', content, store_url=url
    )
    clone = reader.clone(deposited.dataset.clone_url, f'odd identifiers by {scheme}')
    image = deposited.instances[0]
    reader.run('datalad', 'get', image.path, cwd=clone)
    assert digest(clone / image.path) == image.md5
    assert digest(clone / deposited.paths.dataset_path) == digest(phantom.paths.tarball)


def test_a_visit_without_images_can_be_cloned_and_its_tarball_got(
    reader, deposit_visit, tar, digest
):
    deposited = deposit_visit('S1', 'notes', tar(('S1_notes/notes.txt', b'nothing\n')))
    clone = reader.clone(deposited.dataset.clone_url, 'notes')
    reader.run('datalad', 'get', '.', cwd=clone)
    names = {
        p.relative_to(clone).as_posix() for p in clone.rglob('*') if p.is_symlink()
    }
    assert names == {deposited.paths.dataset_path}
    assert digest(clone / names.pop()) == digest(deposited.paths.tarball)
