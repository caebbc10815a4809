"""The git-annex special remote ``icf-archivist``

Reads an image at its offset in the tarball, which makes names reachable that
the URLs of datalad-next's ``archivist`` cannot express. It is for clones of those
who have this package, and changes nothing for others: a clone asks for it by
``git config remote.archivist.annex-externaltype icf-archivist``.
"""

from __future__ import annotations

from pathlib import Path

from datalad_next.annexremotes import RemoteError, super_main
from datalad_next.annexremotes.archivist import ArchivistRemote
from datalad_next.runners import CommandError

from datalad_icf.dataset.keys import parse_locator

_CHUNK = 1 << 20


class IcfArchivistRemote(ArchivistRemote):  # type: ignore[misc]
    """Like ``archivist``, but finds members by offset where that is known"""

    def transfer_retrieve(self, key: str, localfilename: str) -> None:
        """Write an image to a file

        The tarball is got first, if it is not there. An URL without an offset,
        as older tools made them, is left to ``archivist``.

        Raises
        ------
        RemoteError
            If the tarball cannot be had, or is too short.
        """
        for url in self._get_key_dlarchive_urls(key):
            if place := parse_locator(url):
                tar_key, size, offset = place
                _copy_part(self._get_tarball(tar_key), offset, size, localfilename)
                return
        super().transfer_retrieve(key, localfilename)

    def _get_tarball(self, key: str) -> Path:
        try:
            try:
                location = self.repo.call_annex_oneline(['contentlocation', key])
            except CommandError:
                self.repo.call_annex(['get', '--key', key])
                location = self.repo.call_annex_oneline(['contentlocation', key])
        except CommandError as e:
            msg = f'could not get the tarball, {key}: {e.stderr or e.stdout}'
            raise RemoteError(msg) from e
        return Path(self.repo.dot_git, location)


def _copy_part(tarball: Path, offset: int, size: int, target: str) -> None:
    with tarball.open('rb') as source, Path(target).open('wb') as sink:
        source.seek(offset)
        while size:
            part = source.read(min(size, _CHUNK))
            if not part:
                msg = f'{tarball.name} ends before the image does'
                raise RemoteError(msg)
            sink.write(part)
            size -= len(part)


def main() -> None:
    """Run the special remote, installed as ``git-annex-remote-icf-archivist``"""
    super_main(
        cls=IcfArchivistRemote,
        remote_name='icf-archivist',
        description='access to the images in the tarball of a visit',
    )
