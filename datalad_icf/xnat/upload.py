"""Images into the prearchive, in one request"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import unquote

from datalad_icf.errors import XnatAccessError, XnatError
from datalad_icf.xnat.client import XnatClient
from datalad_icf.xnat.remote import UNASSIGNED, PrearchiveRow, Target
from datalad_icf.xnat.source import LocalInstance, Whole
from datalad_icf.xnat.zip_stream import ZipEntry, iter_zip

# Called with the number of bytes that were sent since the last call; may raise.
Sent = Callable[[int], None]

_ROW = re.compile(r'(?:/data)?/prearchive/projects/([^/]+)/([^/]+)/([^/]+)/?')


class _Sized:
    """A body of known length, which is then not sent in chunks"""

    def __init__(self, size: int, blocks: Iterable[bytes]) -> None:
        self._size = size
        self._blocks = blocks

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._blocks)


def upload_whole(
    client: XnatClient, target: Target, study: str, whole: Whole, sent: Sent
) -> PrearchiveRow:
    """Send a file as it is

    Parameters
    ----------
    client, target
        Where to send it.
    study
        Study Instance UID of its images.
    whole
        The file.
    sent
        Is told how much was sent.
    """

    def body() -> Iterable[bytes]:
        return _Sized(whole.size, _count(whole.blocks(), sent))

    return _upload(client, target, study, body, whole.content_type)


def upload_instances(
    client: XnatClient,
    target: Target,
    study: str,
    instances: Iterable[LocalInstance],
    sent: Sent,
    *,
    deflate: bool,
) -> PrearchiveRow:
    """Send images as a zip that is made meanwhile

    Parameters
    ----------
    client, target, study, sent
        As for `upload_whole`.
    instances
        The images.
    deflate
        Whether to compress it.
    """
    entries = [
        # names are of no meaning to XNAT, and may be of some to people
        ZipEntry(f'{number:07d}.dcm', one.size, one.blocks)
        for number, one in enumerate(instances, 1)
    ]

    def body() -> Iterable[bytes]:
        return _count(iter_zip(entries, deflate=deflate), sent)

    return _upload(client, target, study, body, 'application/zip')


def _upload(
    client: XnatClient,
    target: Target,
    study: str,
    body: Callable[[], Iterable[bytes]],
    content_type: str,
) -> PrearchiveRow:
    """Send to services/import; again after a cut, which XNAT joins with the first

    Raises
    ------
    XnatAccessError
        If the images are somewhere else now.
    """
    answer = client.call(
        'POST',
        '/data/services/import',
        query={
            'import-handler': 'DICOM-zip',
            'dest': f'/prearchive/projects/{target.project}',
            'project': target.project,
            'subject': target.subject,
            'session': target.session,
            # a part must not be archived because its connection broke off
            'prevent_auto_commit': 'true',
            # what it cannot read is found missing, and does not keep the rest out
            'Ignore-Unparsable': 'true',
            'inbody': 'true',
        },
        body=body,
        headers={'Content-Type': content_type},
    )
    uris = answer.text.split()
    rows = [_ROW.fullmatch(uri) for uri in uris]
    if len(rows) != 1 or rows[0] is None:
        msg = (
            f'{client.url} has made {len(uris)} sessions of session '
            f'{target.session!r}; look for them in its prearchive'
        )
        raise XnatError(msg)
    project, _, session = map(unquote, rows[0].groups())
    if project != target.project:
        where = 'that is not assigned' if project == UNASSIGNED else f'of {project!r}'
        msg = (
            f'{client.url} took the images, but not for project {target.project!r}: '
            f'they are in its prearchive, as a session {where}. The user may not '
            'create sessions in the project; an administrator has to move or delete it'
        )
        raise XnatAccessError(msg)
    path = rows[0].group(0).rstrip('/')
    path = path if path.startswith('/data') else f'/data{path}'
    return PrearchiveRow(project, target.subject, session, study, 'READY', path)


def _count(blocks: Iterable[bytes], sent: Sent) -> Iterator[bytes]:
    for block in blocks:
        yield block
        sent(len(block))
