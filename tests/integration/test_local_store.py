"""A user indexes a tarball of the facility in a store of their own"""

from __future__ import annotations


def test_a_local_store_needs_no_tarball_once_the_dataset_is_made(
    reader, phantom, server, digest
):
    local = reader.directory / 'local store'
    (local / 'S1').mkdir(parents=True)
    paths = phantom.paths
    tarball = local / paths.store_path
    reader.run('datalad', 'download', f'{server.url}/{paths.store_path} {tarball}')
    assert digest(tarball) == digest(paths.tarball)
    steps = ('--id', 'S1', 'V01', '-o', str(local))
    reader.run('datalad', 'icf-deposit-metadata', *steps)
    outcome = reader.run(
        *('datalad', '-f', 'json', 'icf-deposit-dataset', *steps),
        *('--store-url', server.url),
    )
    assert outcome.records[0]['commit'] == phantom.dataset.commit
    for path in (local / 'S1').iterdir():
        if 'XDLRA' not in path.name:
            path.unlink()
    here = outcome.records[0]['clone_url'].replace(
        server.url, f'file://{local}'.replace(' ', '%2520')
    )
    clone = reader.clone(here, 'from local store')
    image = phantom.instances[0]
    reader.run('datalad', 'get', image.path, cwd=clone)
    assert digest(clone / image.path) == image.md5
