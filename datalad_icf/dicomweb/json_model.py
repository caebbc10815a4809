"""The DICOM JSON Model of an instance (PS3.18, Annex F)"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from datalad_icf.dicomweb.bulk import BulkItem, make_bulk
from datalad_icf.dicomweb.charset import (
    DEFAULT_ENCODINGS,
    SPECIFIC_CHARACTER_SET,
    Encodings,
    find_encodings,
)
from datalad_icf.dicomweb.json_values import (
    BINARY_VRS,
    INLINE_VRS,
    WORD_SIZES,
    UnfitValue,
    encode_value,
    read_document,
    write_value,
)
from datalad_icf.dicomweb.model import (
    DOUBLE_FLOAT_PIXEL_DATA,
    FLOAT_PIXEL_DATA,
    PIXEL_DATA,
    Element,
    Instance,
    Problem,
    Span,
    format_tag,
)
from datalad_icf.dicomweb.source import ByteSource
from datalad_icf.dicomweb.tree import INSTANCE_MARK, STUDY_MARK
from datalad_icf.dicomweb.vr import is_guess

_PIXELS = frozenset((PIXEL_DATA, FLOAT_PIXEL_DATA, DOUBLE_FLOAT_PIXEL_DATA))
# A series repeats most of its values, and one that is seen for the first time
# costs far more than one that is known. Together, some 10 MB.
_MAX_ENTRIES = 1 << 14
_MAX_ENTRY = 1024


class Notes(NamedTuple):
    """What a JSON text of a data element does not tell

    Attributes
    ----------
    raw
        Bytes of the value, if the JSON text does not give them back.
    stored_vr
        VR in the file, if it is another than in JSON.
    bulk
        The value, if it is not in the JSON text.
    problem
        What is wrong with it.
    """

    raw: bytes | None = None
    stored_vr: str | None = None
    bulk: BulkItem | None = None
    problem: str | None = None


_CLEAN = Notes()
_Entry: TypeAlias = bytes | tuple[bytes, Notes]
_Memo: TypeAlias = dict[Element, _Entry]


@dataclass(frozen=True)
class InstanceJson:
    """The JSON object of an instance, in parts

    A path is a tag like ``00100020``, or for an element in a sequence one like
    ``00081115/1/00081199``, as in `Problem.tag`.

    Attributes
    ----------
    parts
        Tags of the top level in ascending order, each with its member of the JSON
        object: ``"00100020":{"vr":"LO","Value":["P1"]}``. STUDY_MARK and
        INSTANCE_MARK stand for what depends on the place of the document.
    bulk
        Paths, each with the value behind a ``BulkDataURI`` that is STUDY_MARK and
        ``bulkdata/``, followed by the name. A name can be there more than once.
    inexact
        By path: bytes of those values that `json_values.encode_value` does not
        give back. Also of elements that JSON must not have, which are group
        lengths (gggg,0000): they are nowhere else.
    vrs
        By path: the stored VR where it is another than the JSON text has, and
        that of all group lengths; ``''`` for an element with implicit VR in a
        data set with explicit VR. Nothing in a data set with implicit VR, nor
        within a sequence that is stored as UN, where that is the rule. Then the
        exception, an element with a stored VR, is there.
    problems
        What was not converted as it stands.
    """

    parts: dict[int, bytes]
    bulk: tuple[tuple[str, BulkItem], ...]
    inexact: dict[str, bytes]
    vrs: dict[str, str]
    problems: tuple[Problem, ...]

    @property
    def document(self) -> bytes:
        """The whole JSON object"""
        return b'{%b}' % b','.join(self.parts.values())


class JsonBuilder:
    """Makes JSON of instances; quick if these are like each other

    Parameters
    ----------
    private_bulk_size, public_bulk_size
        Longer values of private and of other data elements are bulk data, if they
        are binary (VR OB, OD, OF, OL, OV, OW, UN). In bytes.
    """

    def __init__(
        self, private_bulk_size: int = 64, public_bulk_size: int = 131_074
    ) -> None:
        self._bulk_sizes = public_bulk_size, private_bulk_size
        self._memos: dict[tuple[Encodings, bool, bool], _Memo] = {}
        self._count = 0

    def build(self, instance: Instance, n_frames: int = 1) -> InstanceJson:
        """Make the JSON object of an instance

        Parameters
        ----------
        instance
            As it is read; its own problems are not repeated.
        n_frames
            Number of frames of its pixel data: with one, the URI is that of the
            frame, otherwise that of all frames.
        """
        builder = _Builder(self, instance, n_frames)
        parts = builder.build_elements(
            instance.elements, DEFAULT_ENCODINGS, explicit=instance.explicit
        )
        return InstanceJson(
            parts,
            tuple(builder.bulk),
            builder.inexact,
            builder.vrs,
            tuple(builder.problems),
        )

    def is_bulk(self, tag: int, vr: str, length: int) -> bool:
        """Whether a value is long enough to be bulk data"""
        return vr in BINARY_VRS and length > self._bulk_sizes[tag >> 16 & 1]

    def memo(self, encodings: Encodings, explicit: bool, little_endian: bool) -> _Memo:
        """The entries made so far of elements in such a data set"""
        key = encodings, explicit, little_endian
        memo = self._memos.get(key)
        if memo is None:
            memo = self._memos[key] = {}
        return memo

    def keep(self, memo: _Memo, element: Element, entry: _Entry) -> None:
        """Keep an entry that may be wanted again"""
        if self._count >= _MAX_ENTRIES:
            for old in self._memos.values():
                old.clear()
            self._count = 0
        memo[element] = entry
        self._count += 1


class _Builder:
    """Makes JSON of one instance"""

    def __init__(self, owner: JsonBuilder, instance: Instance, n_frames: int) -> None:
        self._owner = owner
        self._source: ByteSource = instance.source
        self._little_endian = instance.little_endian
        # without a whole frame, the value is bulk data as any other
        self._frames = {0: b'', 1: b'frames/1'}.get(n_frames, b'frames')
        self.bulk: list[tuple[str, BulkItem]] = []
        self.inexact: dict[str, bytes] = {}
        self.vrs: dict[str, str] = {}
        self.problems: list[Problem] = []

    def build_elements(
        self,
        elements: tuple[Element, ...],
        encodings: Encodings,
        *,
        explicit: bool,
        path: str = '',
    ) -> dict[int, bytes]:
        """Make the members of a JSON object, in ascending order of their tags"""
        for element in elements:
            if element[0] == SPECIFIC_CHARACTER_SET:
                encodings, known = find_encodings(element.value or b'')
                if not known:
                    self._problem(path, element.tag, 'is no character set of DICOM')
        memo = self._owner.memo(encodings, explicit, self._little_endian)
        parts: dict[int, bytes] = {}
        last = -1
        ascending = True
        for element in elements:
            tag = element[0]
            entry = memo.get(element)
            if entry is None or (tag in _PIXELS and not path):
                entry = self._make_entry(memo, element, encodings, explicit, path)
            if tag <= last:
                ascending = False
            # what JSON must not have, group lengths, are noted alone
            if not ascending and (
                tag in parts or path + format_tag(tag) in self.inexact
            ):
                self._problem(path, tag, 'is there twice, and the last is taken')
            last = tag
            if isinstance(entry, bytes):
                parts[tag] = entry
                continue
            text, notes = entry
            if text:
                parts[tag] = text
            self._take_notes(path, tag, notes)
        return parts if ascending else dict(sorted(parts.items()))

    def _take_notes(self, path: str, tag: int, notes: Notes) -> None:
        place = path + format_tag(tag)
        raw, stored_vr, bulk, problem = notes
        if raw is not None:
            self.inexact[place] = raw
        if stored_vr is not None:
            self.vrs[place] = stored_vr
        if bulk is not None:
            self.bulk.append((place, bulk))
        if problem is not None:
            self.problems.append(Problem(place, problem))

    def _problem(self, path: str, tag: int, text: str) -> None:
        self.problems.append(Problem(path + format_tag(tag), text))

    def _make_entry(
        self,
        memo: _Memo,
        element: Element,
        encodings: Encodings,
        explicit: bool,
        path: str,
    ) -> _Entry:
        tag, vr, stored_vr, _, value, span, items, fragments = element
        head = b'"%08X":{"vr":"' % tag
        size = span.length if span else len(value or fragments or b'')
        if tag & 0xFFFF == 0:
            # F.2.2: not in JSON
            stored = stored_vr if explicit else None
            if value is None:
                return b'', Notes(problem='is no group length', stored_vr=stored)
            return b'', Notes(raw=value, stored_vr=stored)
        if items is not None:
            text, clean = self._write_items(element, encodings, explicit, path)
            notes = _note_vr(_CLEAN, 'SQ', stored_vr, explicit)
            if not clean or path:
                return b'%bSQ"%b}' % (head, text), notes
        elif tag in _PIXELS and not path and size and self._frames:
            vr = vr if vr in BINARY_VRS else 'UN'
            uri = INSTANCE_MARK + self._frames
            text = b',"BulkDataURI":"%b"' % uri
            return b'%b%b"%b}' % (head, vr.encode(), text), _note_vr(
                _CLEAN, vr, stored_vr, explicit
            )
        elif span or fragments or (value and self._owner.is_bulk(tag, vr, size)):
            return self._write_bulk(element, explicit)
        else:
            vr, text, notes = self._write_value(element, encodings)
            notes = _note_vr(notes, vr, stored_vr, explicit)
        member = b'%b%b"%b}' % (head, vr.encode(), text)
        entry = member if notes is _CLEAN else (member, notes)
        if len(member) <= _MAX_ENTRY:
            self._owner.keep(memo, element, entry)
        return entry

    def _write_items(
        self, element: Element, encodings: Encodings, explicit: bool, path: str
    ) -> tuple[bytes, bool]:
        """Return the JSON text, and whether there is nothing to be noted"""
        before = self._count_notes()
        explicit = explicit and element.stored_vr != 'UN'
        objects = []
        for number, item in enumerate(element.items or (), start=1):
            parts = self.build_elements(
                item.elements,
                encodings,
                explicit=explicit,
                path=f'{path}{format_tag(element.tag)}/{number}/',
            )
            objects.append(b'{%b}' % b','.join(parts.values()))
        text = b',"Value":[%b]' % b','.join(objects) if objects else b''
        return text, before == self._count_notes()

    def _count_notes(self) -> int:
        notes: Iterable[object] = (self.bulk, self.inexact, self.vrs, self.problems)
        return sum(map(len, notes))  # type: ignore[arg-type]

    def _write_bulk(self, element: Element, explicit: bool) -> _Entry:
        tag, vr, stored_vr, _, value, span, _, fragments = element
        problem = None
        if fragments:
            # within an item: as they stand, with the headers of the fragments
            start = fragments[0].offset - 8
            span = Span(start, sum(fragments[-1]) - start)
            vr = vr if vr in BINARY_VRS else 'UN'
        elif vr in INLINE_VRS:
            # F.2.6: not elsewhere, and much too long for its VR
            problem = f'has {span.length if span else 0} bytes, and is UN therefore'
            vr = 'UN'
        is_swapped = not self._little_endian and not fragments
        word_size = WORD_SIZES.get(vr, 1) if is_swapped else 1
        bulk = make_bulk(self._source, value, span, word_size)
        entry = b'"%08X":{"vr":"%b","BulkDataURI":"%bbulkdata/%b"}' % (
            tag,
            vr.encode(),
            STUDY_MARK,
            bulk.name.encode(),
        )
        notes = Notes(bulk=bulk, problem=problem)
        return entry, _note_vr(notes, vr, stored_vr, explicit)

    def _write_value(
        self, element: Element, encodings: Encodings
    ) -> tuple[str, bytes, Notes]:
        """Return the VR in JSON, the rest of the JSON text, and what is to be noted"""
        tag, vr, stored_vr, _, value, *_ = element
        if not value:
            return vr, b'', _CLEAN
        text: bytes | None = None
        problem = ''
        try:
            text, fits = write_value(
                vr,
                value,
                encodings=encodings,
                little_endian=self._little_endian,
                tag=tag,
            )
            if not fits:
                problem = 'has characters that Specific Character Set does not have'
        except UnfitValue as e:
            problem = f'{e}, and is UN therefore'
        if problem and is_guess(tag, stored_vr):
            # it is no fault of the file that it is none of this VR
            text, problem = None, ''
        if text is None:
            text, _ = write_value('UN', value, encodings=encodings, little_endian=True)
            vr = 'UN'
        if vr in BINARY_VRS:
            return vr, text, Notes(problem=problem) if problem else _CLEAN
        try:
            back = encode_value(
                vr,
                read_document(b'{%b}' % text[1:]),
                encodings=encodings,
                little_endian=self._little_endian,
            )
        except UnfitValue:
            back = b''
        if back == value and not problem:
            return vr, text, _CLEAN
        raw = None if back == value else value
        return vr, text, Notes(raw, problem=problem or None)


def _note_vr(notes: Notes, vr: str, stored_vr: str, explicit: bool) -> Notes:
    """Note the stored VR, if it is not what one expects from the JSON text"""
    if stored_vr == (vr if explicit else ''):
        return notes
    return notes._replace(stored_vr=stored_vr)
