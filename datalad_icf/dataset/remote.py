"""The git-annex special remote ``icf-archivist``

Reads an image at its offset in the tarball: from the tarball of the clone, or by
one range request to the store. It is for clones of those who have this package, and
changes nothing for others: a clone asks for it by
``git config remote.archivist.annex-externaltype icf-archivist``.

What an image does not need is imported late: that takes longer than the image.
"""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any

from annexremote import Master, RemoteError, SpecialRemote, UnsupportedRequest

from datalad_icf.dataset.image_source import Advance, ImageSource
from datalad_icf.dataset.keys import (
    Locator,
    key_file_name,
    parse_locator,
)
from datalad_icf.dataset.login import DataladLogin
from datalad_icf.dataset.places import PLACES_FILE
from datalad_icf.dataset.ranges import StoreClient
from datalad_icf.errors import (
    IcfError,
    ReplacedTarballError,
    StoreReadError,
)

# often enough for the eye, and for annex.stalldetection
_SECONDS_BETWEEN_UPDATES = 0.2


class IcfArchivistRemote(SpecialRemote):  # type: ignore[misc]
    """Like datalad-next's ``archivist``, but reads parts of tarballs

    What it cannot do itself is left to ``archivist``: other archives than plain
    tarballs, and URLs that it does not know.

    Parameters
    ----------
    annex
        git-annex at the other end of the pipe.
    """

    def __init__(self, annex: Any) -> None:
        super().__init__(annex)
        self._login = DataladLogin(self._make_config)
        self._client = StoreClient(self._login)
        self._sources: dict[str, ImageSource] = {}
        self._urls: dict[str, list[str]] = {}
        self._paths: dict[str, list[Path]] = {}
        # tarballs that could not be got as a whole, and why
        self._missing: dict[str, str] = {}
        # those in whose place the store has another one
        self._replaced: set[str] = set()
        self._archivist: Any = None
        self._git_dir = Path('.git')

    @property
    def uses_archivist(self) -> bool:
        """Whether datalad-next was needed, which may have something to clean up"""
        return self._archivist is not None

    def initremote(self) -> None:
        """Do nothing: there is nothing to set up"""

    def prepare(self) -> None:
        """Look where the clone is"""
        self._git_dir = Path(self.annex.getgitdir())
        self._login.note = self._own_file('key-ring')

    def transfer_retrieve(self, key: str, filename: str) -> None:
        """Write an image to a file

        Raises
        ------
        RemoteError
            If it cannot be had, or another tarball is there.
        """
        errors: list[str] = []
        replaced: dict[str, ReplacedTarballError] = {}
        locators = self._find_locators(key)
        for locator in locators:
            places = self._find_places(locator.tar_key)
            try:
                self._copy(key, locator, filename, places)
            except ReplacedTarballError as e:
                # a visit that was deposited anew has the image in another tarball, too
                self._replaced.add(locator.tar_key)
                replaced[locator.tar_key] = e
            except OSError as e:
                raise _tell(f'cannot write the image: {e.strerror}') from e
            except IcfError as e:
                # a large download is no help for what may pass in a moment
                if isinstance(e, StoreReadError) and e.is_passing:
                    raise _tell(str(e)) from e
                errors.append(str(e))
            else:
                return
        rest = [one for one in locators if one.tar_key not in replaced]
        if replaced and not rest:
            # the whole tarball would be another one as well
            raise _tell('; '.join(map(str, replaced.values())))
        self._retrieve_by_tarball(key, rest, filename, errors)

    def _retrieve_by_tarball(
        self, key: str, locators: list[Locator], filename: str, errors: list[str]
    ) -> None:
        """Get the whole tarball, as archivist does, and read the image there"""
        for reason in errors:
            self.annex.debug(_one_line(reason))
        for locator in locators:
            tar_key = locator.tar_key
            try:
                tarball = self._get_tarball(tar_key)
                self._copy(key, locator, filename, [tarball.as_uri()])
            except (IcfError, RemoteError, OSError) as e:
                errors.append(str(e))
            else:
                return
        if locators:
            raise _tell('; '.join(dict.fromkeys(errors)))
        self._load_archivist().transfer_retrieve(key, filename)

    def _copy(
        self, key: str, locator: Locator, filename: str, places: list[str]
    ) -> None:
        source = self._find_source(locator.tar_key)
        source.copy(key, locator, Path(filename), places, self._report())

    def _report(self) -> Advance:
        last = monotonic()

        def advance(count: int) -> None:
            nonlocal last
            if monotonic() - last >= _SECONDS_BETWEEN_UPDATES:
                self.annex.progress(count)
                last = monotonic()

        return advance

    def _find_locators(self, key: str) -> list[Locator]:
        urls = self.annex.geturls(key, 'dl+archive:')
        found = [locator for url in urls if (locator := parse_locator(url))]
        found.sort(key=lambda one: (one.tar_key in self._replaced, one.offset is None))
        return found

    def _find_source(self, tar_key: str) -> ImageSource:
        if tar_key not in self._sources:
            index = self._own_file(f'{key_file_name(tar_key)}.members')
            self._sources[tar_key] = ImageSource(tar_key, self._client, index)
        return self._sources[tar_key]

    def _find_places(self, tar_key: str) -> list[str]:
        """URLs of a tarball that can be read in parts, the nearest first"""
        if tar_key not in self._urls:
            urls = [
                url
                for url in self.annex.geturls(tar_key, '')
                if url.startswith(('http:', 'https:', 'file:'))
            ]
            urls.sort(key=lambda url: not url.startswith('file:'))
            self._urls[tar_key] = [*self._read_near_places(), *urls]
        here = self._find_content(tar_key)
        return [*([here.as_uri()] if here else []), *self._urls[tar_key]]

    def _read_near_places(self) -> list[str]:
        """URLs that `icf-clone` found nearer than those of the dataset"""
        try:
            return (self._git_dir / PLACES_FILE).read_text().split()
        except OSError:
            return []

    def _find_content(self, key: str) -> Path | None:
        """Path of the content of a tarball, if it is in the clone"""
        if key not in self._paths:
            name = key_file_name(key)
            objects = self._git_dir.absolute() / 'annex' / 'objects'
            hashed = (self.annex.dirhash(key), self.annex.dirhash_lower(key))
            self._paths[key] = [objects / d / name / name for d in hashed]
        return next((path for path in self._paths[key] if path.exists()), None)

    def _own_file(self, name: str) -> Path:
        return self._git_dir / 'icf' / name

    def _get_tarball(self, key: str) -> Path:
        with self._lock(f'{key_file_name(key)}.lock'):
            # another process may have got it
            if path := self._find_content(key):
                return path
            if key not in self._missing:
                self.annex.debug(f'getting the whole tarball, {key}')
                reason = _get_key(key)
                if path := self._find_content(key):
                    return path
                self._missing[key] = reason
        msg = f'could not get the tarball, {key}: {self._missing[key]}'
        raise RemoteError(msg)

    @contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        path = self._own_file(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open('wb') as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            yield

    def checkpresent(self, key: str) -> bool:
        """Whether the store has an image: by a byte of it, or by its tarball"""
        for locator in self._find_locators(key):
            places = self._find_places(locator.tar_key)
            if self._find_source(locator.tar_key).is_there(locator, places):
                return True
        return bool(self._load_archivist().checkpresent(key))

    def claimurl(self, url: str) -> bool:
        """Whether an URL is one of a member of an archive"""
        return url.startswith('dl+archive:')

    def checkurl(self, url: str) -> bool:
        """Whether an URL can be read; its archive is not looked at"""
        return parse_locator(url) is not None or bool(
            self._load_archivist().checkurl(url)
        )

    def transfer_store(self, _key: str, _filename: str) -> None:
        """Refuse: nothing can be stored here"""
        raise UnsupportedRequest('This remote cannot store content')

    def remove(self, _key: str) -> None:
        """Refuse: nothing can be removed here"""
        raise UnsupportedRequest('This remote cannot remove content')

    def _make_config(self) -> Any:
        """Load DataLad's configuration, but not what is committed in the dataset

        Whoever made the dataset must not choose to whom a password goes.
        """
        from datalad.config import ConfigManager
        from datalad.ui import ui
        from datalad_next.datasets import Dataset

        # stdin and stdout are for git-annex
        ui.set_backend('annex')
        return ConfigManager(Dataset(os.getcwd()), source='local')

    def _load_archivist(self) -> Any:
        if self._archivist is None:
            from datalad.ui import ui
            from datalad_next.annexremotes.archivist import ArchivistRemote

            ui.set_backend('annex')
            self._archivist = ArchivistRemote(self.annex)
            self._archivist.prepare()
        return self._archivist


def _get_key(key: str) -> str:
    """Let git-annex get a key; returns what it said"""
    import json
    import subprocess

    command = ['git', 'annex', 'get', '--json', '--json-error-messages', '--key', key]
    done = subprocess.run(
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors='replace',
    )
    reasons = []
    with suppress(ValueError, AttributeError, TypeError):
        for line in done.stdout.splitlines():
            reasons += json.loads(line).get('error-messages', [])
    return _one_line(' '.join([*reasons, done.stderr]))


def _one_line(text: str) -> str:
    # a line is a message of the protocol
    return ' '.join(text.split())


def _tell(text: str) -> RemoteError:
    return RemoteError(_one_line(text))


def main() -> None:
    """Run the special remote, installed as ``git-annex-remote-icf-archivist``"""
    master = Master()
    remote = IcfArchivistRemote(master)
    master.LinkRemote(remote)
    master.Listen()
    if not remote.uses_archivist:
        # git-annex waits for the end, and Python takes its time to tidy up
        sys.stdout.flush()
        os._exit(0)
