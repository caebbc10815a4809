"""Take a DICOM file apart (PS3.10, 7, and PS3.5, 7)"""

from __future__ import annotations

from struct import unpack_from

from datalad_icf.dicomweb.dictionary import public_vrs
from datalad_icf.dicomweb.encoding import EXPLICIT_LITTLE, Encoding, find_encoding
from datalad_icf.dicomweb.inflate import inflate
from datalad_icf.dicomweb.model import (
    ELEMENTS_LOST,
    Element,
    Instance,
    Problem,
    Span,
    format_tag,
)
from datalad_icf.dicomweb.source import ByteSource
from datalad_icf.dicomweb.vr import STORED_VRS
from datalad_icf.dicomweb.walk import Walker
from datalad_icf.dicomweb.window import BUFFER, Malformed
from datalad_icf.errors import DicomError

_PREAMBLE = 128
_META_FIRST = 0x00020000
_META_LAST = 0x0002FFFF
_TRANSFER_SYNTAX_UID = 0x00020010
# the data set is deflated (PS3.5, A.5, A.6, and JPIP with HTJ2K)
_DEFLATED = frozenset(
    (
        '1.2.840.10008.1.2.1.99',
        '1.2.840.10008.1.2.4.95',
        '1.2.840.10008.1.2.4.205',
    )
)


def read_instance(source: ByteSource) -> Instance:
    """Take a DICOM file apart

    What is read is what stands in the file: an encoding other than the transfer
    syntax tells is found out. Values of more than `walk.MAX_VALUE` bytes and
    Pixel Data in fragments are not read, so memory does not grow with them.

    Parameters
    ----------
    source
        The file. It must stay readable as long as the instance is used.

    Returns
    -------
    Instance
        The data elements up to the first that cannot be read. The bytes from
        there on are `Instance.trailing`, and a problem tells of it, unless it
        is padding with zeros. Pixel Data that are cut are kept: a span shorter
        than ``length``, or fragments that the end of the sequence does not
        follow. Then `Instance.trailing` starts right after the last fragment.

    Raises
    ------
    DicomError
        If it is no DICOM file, or if it has no data element that can be read.
    OSError
        If the source cannot be read.
    """
    head = source.read(0, BUFFER)
    preamble, start = b'', 0
    if head[_PREAMBLE : _PREAMBLE + 4] == b'DICM':
        preamble, start = head[:_PREAMBLE], _PREAMBLE + 4
    elif not _starts_data_set(head, source.size):
        msg = 'is no DICOM file'
        raise DicomError(msg)
    walker = Walker(source, head)
    file_meta: list[Element] = []
    position, problem = _walk(walker, file_meta, start, EXPLICIT_LITTLE, meta=True)
    syntax = _find_transfer_syntax(file_meta)
    problems = list(walker.problems)
    inflated, deflated = source, None
    if problem is None and syntax in _DEFLATED:
        deflated = Span(position, source.size - position)
        inflated, complete = inflate(source, position)
        if not complete:
            text = f'{ELEMENTS_LOST}the deflated data set is damaged'
            problems.append(Problem('', text))
        walker, position = Walker(inflated), 0
    encoding = find_encoding(inflated.read(position, 8), syntax)
    elements: list[Element] = []
    if problem is None:
        walker.problems = []
        position, problem = _walk(walker, elements, position, encoding)
        problems += walker.problems
    if problem is not None:
        problems.append(problem)
    elif _has_more(inflated, position):
        problems.append(Problem('', f'nothing can be read from byte {position} on'))
    if not elements and not file_meta:
        msg = 'is no DICOM file: it has no data element that can be read'
        raise DicomError(msg)
    return Instance(
        source=inflated,
        file=source,
        preamble=preamble,
        file_meta=tuple(file_meta),
        transfer_syntax_uid=syntax,
        explicit=encoding.explicit,
        little_endian=encoding.little_endian,
        elements=tuple(elements),
        trailing=Span(position, inflated.size - position),
        problems=tuple(problems),
        deflated=deflated,
    )


def _walk(
    walker: Walker,
    elements: list[Element],
    position: int,
    encoding: Encoding,
    *,
    meta: bool = False,
) -> tuple[int, Problem | None]:
    """Append all elements that can be read, return where it stopped and why"""
    end = walker.source.size
    try:
        if meta:
            position = walker.read_elements(
                elements, position, end, encoding, first=_META_FIRST, last=_META_LAST
            )
        else:
            position = walker.read_elements(elements, position, end, encoding)
    except Malformed as e:
        text = f'{ELEMENTS_LOST}the file is cut or damaged at byte {e.offset}: {e}'
        return e.offset, Problem(_find_tag(walker.source, e.offset, encoding), text)
    return position, None


def _find_tag(source: ByteSource, position: int, encoding: Encoding) -> str:
    """Tag of an element that cannot be read, if it is one of the dictionary

    Others could be what stands in a value.
    """
    data = source.read(position, 4)
    if len(data) < 4:
        return ''
    group, number = unpack_from('<HH' if encoding.little_endian else '>HH', data)
    tag = group << 16 | number
    return format_tag(tag) if tag in public_vrs() else ''


def _find_transfer_syntax(file_meta: list[Element]) -> str:
    for element in file_meta:
        if element.tag == _TRANSFER_SYNTAX_UID and element.value is not None:
            return element.value.decode('latin-1').strip(' \0')
    return ''


def _starts_data_set(head: bytes, size: int) -> bool:
    """Whether a file without a preamble starts as a data set does"""
    if len(head) < 8:
        return False
    (group, number, length), (big_group, big_number, _) = (
        unpack_from(f'{order}HHL', head) for order in '<>'
    )
    tags = (group << 16 | number, big_group << 16 | big_number)
    if head[4:6] in STORED_VRS:
        return any(_is_first(tag) for tag in tags)
    return _is_first(tags[0]) and length <= size - 8 and length % 2 == 0


def _is_first(tag: int) -> bool:
    """Whether a data set may start with a tag: a group up to 0008"""
    return tag < 0x00090000 and (tag in public_vrs() or not tag & 0xFFFF)


def _has_more(source: ByteSource, position: int) -> bool:
    """Whether there is something else than zeros"""
    while position < source.size:
        data = source.read(position, 1 << 20)
        if not data or data.strip(b'\0'):
            return True
        position += len(data)
    return False
