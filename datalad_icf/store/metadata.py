"""The two metadata files of a visit

Names and types of the fields are those of the tools before this one, so that
either can read what the other wrote. Fields that only this package writes may
be absent.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datalad_icf.errors import MetadataError, MissingInputError
from datalad_icf.store.read import read_regular

# seconds since 1970; beyond the year 9999 in any time zone, and what git takes
MAX_TIME = 1 << 40
_MD5 = re.compile('[0-9a-f]{32}')
_INSTANCE_FIELDS = ('path', 'md5', 'size', 'offset')


@dataclass(frozen=True)
class TarballMetadata:
    """Metadata of a tarball

    Attributes
    ----------
    size
        Size of the tarball in bytes.
    md5
        MD5 of the tarball, 32 hexadecimal digits.
    dspath
        POSIX path of the tarball inside the dataset of the visit.
    storepath
        POSIX path of the tarball relative to the root of the store.
    mtime
        Newest modification time of the members, in seconds since 1970.
    instances
        Number of DICOM files.
    dicoms_md5
        MD5 of the file with the metadata of the instances, which tells whether
        the two files are of one run.
    """

    size: int
    md5: str
    dspath: str
    storepath: str
    mtime: float | None = None
    instances: int | None = None
    dicoms_md5: str | None = None

    def to_json(self) -> str:
        """Text of the file, a JSON object"""
        present = {k: v for k, v in vars(self).items() if v is not None}
        return json.dumps(present, indent=1) + '\n'


@dataclass(frozen=True, slots=True)
class InstanceMetadata:
    """Metadata of a DICOM file of a tarball

    Attributes
    ----------
    path
        Name of the member; bytes that are no UTF-8 as lone surrogates.
    md5
        MD5 of the file, 32 hexadecimal digits.
    size
        Size of the file in bytes.
    offset
        Position of the first byte of the file in the tarball.
    attributes
        DICOM keyword to value. A value is a text, a number, nothing, or a list.
    """

    path: str
    md5: str
    size: int
    offset: int | None
    attributes: dict[str, Any]

    def to_json(self) -> str:
        """A JSON object in one line"""
        fields: dict[str, Any] = {
            'path': self.path,
            'md5': self.md5,
            'size': self.size,
            **self.attributes,
        }
        if self.offset is not None:
            fields['offset'] = self.offset
        return json.dumps(fields, allow_nan=False)


def iter_instances_json(instances: Iterable[InstanceMetadata]) -> Iterator[bytes]:
    """Write the metadata of instances, a line each, as parts of a JSON array

    Examples
    --------
    >>> b''.join(iter_instances_json([]))
    b'[\\n]\\n'
    """
    separator = '[\n'
    for instance in instances:
        yield f'{separator}{instance.to_json()}'.encode()
        separator = ',\n'
    yield b'[\n]\n' if separator == '[\n' else b'\n]\n'


def read_tarball_metadata(path: Path) -> TarballMetadata:
    """Read the metadata of a tarball

    Raises
    ------
    MissingInputError
        If there is no such file.
    MetadataError
        If it is damaged, or lacks a field.
    """
    record = _load(path)[0]
    if not isinstance(record, dict):
        raise _damaged(path, 'it is no JSON object')
    for name, kind in (
        ('size', int),
        ('md5', str),
        ('dspath', str),
        ('storepath', str),
    ):
        if not isinstance(record.get(name), kind):
            raise _damaged(path, f'the field {name!r} is absent or of a wrong type')
    if not _MD5.fullmatch(record['md5']):
        raise _damaged(path, "the field 'md5' is no digest")
    for name in ('dspath', 'storepath'):
        if not _is_inside(record[name]):
            raise _damaged(path, f'the field {name!r} is no relative path')
    if record['size'] < 0:
        raise _damaged(path, "the field 'size' is negative")
    mtime = record.get('mtime', 0)
    if not isinstance(mtime, (int, float)) or not abs(mtime) < MAX_TIME:
        raise _damaged(path, "the field 'mtime' is no time")
    known = TarballMetadata.__dataclass_fields__
    return TarballMetadata(**{k: v for k, v in record.items() if k in known})


def read_instances(
    path: Path, expected_md5: str | None = None
) -> list[InstanceMetadata]:
    """Read the metadata of the instances of a tarball

    Parameters
    ----------
    path
        The file.
    expected_md5
        What the metadata of the tarball say is the digest of the file.

    Returns
    -------
    list of InstanceMetadata
        In the order of the file; of several with the same path the last.

    Raises
    ------
    MissingInputError
        If there is no such file.
    MetadataError
        If it is damaged, or has another digest.
    """
    records, md5 = _load(path)
    if expected_md5 is not None and md5 != expected_md5:
        raise _damaged(path, 'it is not the one of the metadata of the tarball')
    if not isinstance(records, list):
        raise _damaged(path, 'it is no JSON array')
    found: dict[str, InstanceMetadata] = {}
    for index, record in enumerate(records):
        try:
            instance = InstanceMetadata(
                path=record['path'],
                md5=record['md5'],
                size=record['size'],
                offset=record.get('offset'),
                attributes={
                    k: v for k, v in record.items() if k not in _INSTANCE_FIELDS
                },
            )
            sound = (
                isinstance(instance.path, str)
                and _is_encodable(instance.path)
                and _MD5.fullmatch(instance.md5)
                and isinstance(instance.size, int)
                and instance.size >= 0
                and (
                    instance.offset is None
                    or (isinstance(instance.offset, int) and instance.offset >= 0)
                )
            )
        except (TypeError, KeyError, AttributeError):
            sound = False
        if not sound:
            raise _damaged(path, f'item {index} has not path, md5 and size')
        if not _is_inside(instance.path):
            raise _damaged(path, f'item {index} has a path that is not safe')
        found.pop(instance.path, None)
        found[instance.path] = instance
    return list(found.values())


def _is_encodable(path: str) -> bool:
    try:
        path.encode('utf-8', 'surrogateescape')
    except UnicodeEncodeError:
        return False
    return True


def _is_inside(path: str) -> bool:
    parts = path.split('/')
    return (
        path not in ('', '.')
        and not path.startswith('/')
        and '..' not in parts
        and '\0' not in path
    )


def _load(path: Path) -> tuple[Any, str]:
    try:
        data = read_regular(path)
    except FileNotFoundError as e:
        msg = f'{path} is not there; run icf-deposit-metadata first'
        raise MissingInputError(msg) from e
    except OSError as e:
        msg = f'cannot read {path}: {e.strerror}'
        raise MetadataError(msg) from e
    try:
        loaded = json.loads(data)
    except (ValueError, RecursionError) as e:
        raise _damaged(path, 'it is no complete JSON') from e
    return loaded, hashlib.md5(data, usedforsecurity=False).hexdigest()


def _damaged(path: Path, why: str) -> MetadataError:
    return MetadataError(
        f'{path} is damaged: {why}; run icf-deposit-metadata --existing replace'
    )
