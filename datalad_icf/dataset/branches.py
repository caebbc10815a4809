"""What stands on the main and on the git-annex branch of a visit

Sources: git-annex's page *internals*; the files of the main branch are those
that ``datalad create`` makes.
"""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from datalad_icf.dataset.keys import (
    build_key,
    build_locator,
    dataset_path,
    encode_name,
    log_path,
    object_path,
)
from datalad_icf.errors import MetadataError
from datalad_icf.store import InstanceMetadata, TarballMetadata, build_tarball_url

# recorded on behalf of the instance, besides its attributes
_FIELDS = ('path', 'md5', 'size')
_FIELD_NAME = re.compile('[A-Za-z0-9][A-Za-z0-9_.-]*')
_PLAIN_VALUE = re.compile(r'(?!!)[^\s\0-\x1f\ud800-\udfff]+')
_NAME_MAX = 255
_RESERVED = ('.datalad', '.gitattributes')
# what git checks out nowhere, as some file system takes it for one of its own
# files (git's path.c and utf8.c, *is_ntfs_dotgit* and *is_hfs_dotgit*)
_REFUSED_BY_GIT = re.compile(
    r'(?:\.git|git~\d|\.gitmodules|gitmod~\d|gi7eba~\d)[ .]*(?::.*)?',
    re.IGNORECASE | re.DOTALL,
)
_IGNORED_BY_HFS = re.compile('[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]')


@dataclass(frozen=True)
class Entry:
    """A file of a branch: its path, content, and whether it is a symlink"""

    path: bytes
    content: bytes
    is_symlink: bool = False


class VisitDataset:
    """The content of the dataset of a visit

    Parameters
    ----------
    tarball, instances
        Metadata of the tarball and its DICOM files.
    store_url
        Base URL of the store.
    timestamp
        Time of all records, in whole seconds since 1970.

    Attributes
    ----------
    dataset_id
        DataLad's id, the same for the same address of the visit.
    only_by_offset
        Names of the images that datalad-next's ``archivist`` cannot find.

    Raises
    ------
    MetadataError
        If an image would have the path of another file of the dataset.
    """

    def __init__(
        self,
        tarball: TarballMetadata,
        instances: list[InstanceMetadata],
        *,
        store_url: str,
        timestamp: int,
    ) -> None:
        self._tarball = tarball
        self._store_url = store_url
        self._time = timestamp
        url = build_tarball_url(store_url, tarball.storepath)
        self.dataset_id = uuid.uuid5(uuid.NAMESPACE_URL, url)
        self._uncurl = uuid.uuid5(self.dataset_id, 'uncurl')
        self._archivist = uuid.uuid5(self.dataset_id, 'archivist')
        self._tar_key = build_key(tarball.md5, tarball.size, tarball.dspath)
        self._tar_url = url
        self._by_path = _check_paths(tarball, instances)
        unusual = [i for i in self._by_path.values() if not self._locate(i)[1]]
        self.only_by_offset = [i.path for i in unusual]
        for instance in unusual:
            if instance.offset is None:
                msg = (
                    f'{instance.path!r} can only be found by its offset, and there is '
                    'none; run icf-deposit-metadata --existing replace'
                )
                raise MetadataError(msg)

    def _locate(self, instance: InstanceMetadata) -> tuple[str, bool]:
        return build_locator(
            self._tar_key, instance.path, instance.size, instance.offset
        )

    def iter_main(self) -> Iterator[Entry]:
        """Files of the main branch, in the order of their paths"""
        yield Entry(b'.datalad/.gitattributes', b'config annex.largefiles=nothing\n')
        yield Entry(
            b'.datalad/config',
            f'[datalad "dataset"]\n\tid = {self.dataset_id}\n'.encode(),
        )
        yield Entry(
            b'.gitattributes',
            b'* annex.backend=MD5E\n**/.git* annex.largefiles=nothing\n',
        )
        annexed = {self._tarball.dspath: self._tar_key}
        for path, instance in self._by_path.items():
            annexed[path] = build_key(instance.md5, instance.size, path)
        for path in sorted(annexed, key=encode_name):
            up = '../' * path.count('/')
            target = f'{up}.git/annex/objects/{object_path(annexed[path])}'
            yield Entry(encode_name(path), encode_name(target), is_symlink=True)

    def iter_annex(self) -> Iterator[Entry]:
        """Files of the git-annex branch, in the order of their paths"""
        located = f'{self._time}s 1 {{}}\n'
        here = located.format(self._archivist).encode()
        by_log: dict[str, list[InstanceMetadata]] = {}
        for path, instance in self._by_path.items():
            key = build_key(instance.md5, instance.size, path)
            by_log.setdefault(log_path(key), []).append(instance)
        tar_log = log_path(self._tar_key)
        by_log.setdefault(tar_log, [])
        for path in sorted(by_log, key=encode_name):
            log = encode_name(path)
            instances = by_log[path]
            if path == tar_log:
                fields = {
                    k: vars(self._tarball)[k]
                    for k in ('dspath', 'md5', 'size', 'storepath')
                }
                urls = [self._tar_url]
                uuids = located.format(self._uncurl).encode()
                met = self._format_metadata([fields])
            else:
                urls = [self._locate(i)[0] for i in instances]
                uuids = here
                met = self._format_metadata(
                    {**i.attributes, **{k: getattr(i, k) for k in _FIELDS}}
                    for i in instances
                )
            yield Entry(log + b'.log', uuids)
            yield Entry(log + b'.log.met', met)
            lines = (f'{self._time}s 1 :{url}\n' for url in sorted(urls))
            yield Entry(log + b'.log.web', encode_name(''.join(lines)))
        remotes = sorted([(self._archivist, 'archivist'), (self._uncurl, 'uncurl')])
        yield Entry(
            b'remote.log',
            ''.join(
                f'{identity} autoenable=true encryption=none externaltype={name} '
                f'name={name} type=external timestamp={self._time}s\n'
                for identity, name in remotes
            ).encode(),
        )
        yield Entry(
            b'uuid.log',
            ''.join(
                f'{identity} {name} timestamp={self._time}s\n'
                for identity, name in remotes
            ).encode(),
        )

    def _format_metadata(self, records: Iterable[dict[str, Any]]) -> bytes:
        """Format metadata fields, those of equal files together"""
        fields: dict[str, set[bytes]] = {}
        for record in records:
            for name, value in record.items():
                if not _FIELD_NAME.fullmatch(name):
                    continue
                for item in value if isinstance(value, list) else [value]:
                    if item is not None and (text := str(item).strip()):
                        fields.setdefault(name, set()).add(_format_value(text))
        line = b' '.join(
            b'%s %s' % (name.encode(), b' '.join(sorted(fields[name])))
            for name in sorted(fields, key=str.casefold)
        )
        return b'%ds %s\n' % (self._time, line)


def _format_value(text: str) -> bytes:
    try:
        value = encode_name(text)
    except UnicodeEncodeError:
        # half of a pair of surrogates, which is no character
        value = text.encode('utf-8', 'replace')
    if _PLAIN_VALUE.fullmatch(text):
        return b'+' + value
    return b'+!' + base64.b64encode(value)


def _check_paths(
    tarball: TarballMetadata, instances: list[InstanceMetadata]
) -> dict[str, InstanceMetadata]:
    """Map the paths in the dataset to the instances, of two equal ones the last"""
    by_path = {dataset_path(i.path): i for i in instances}
    directories = {tarball.dspath.rpartition('/')[0]}
    for path in by_path:
        parts = path.split('/')
        if (
            not path
            or parts[0] in _RESERVED
            or _is_refused_by_git(path)
            or any(len(encode_name(part)) > _NAME_MAX for part in parts)
        ):
            msg = (
                f'{path!r} cannot be a file of a dataset; rename it, and archive again'
            )
            raise MetadataError(msg)
        directories.update('/'.join(parts[:n]) for n in range(1, len(parts)))
    files = {tarball.dspath, *by_path}
    for path in sorted(files & directories):
        msg = f'{path!r} would be a file and a directory in the dataset'
        raise MetadataError(msg)
    if tarball.dspath in by_path:
        msg = f'{tarball.dspath!r} would be the tarball and an image in the dataset'
        raise MetadataError(msg)
    return by_path


def _is_refused_by_git(path: str) -> bool:
    plain = _IGNORED_BY_HFS.sub('', path)
    return any(_REFUSED_BY_GIT.fullmatch(part) for part in re.split(r'[/\\]', plain))
