"""Walk over the data elements of a DICOM data set (PS3.5, 7)"""

from __future__ import annotations

from collections.abc import Callable

from datalad_icf.dicomweb.dictionary import public_vrs
from datalad_icf.dicomweb.encoding import (
    EXPLICIT_BIG,
    IMPLICIT_LITTLE,
    Encoding,
    guess_header,
)
from datalad_icf.dicomweb.model import (
    DOUBLE_FLOAT_PIXEL_DATA,
    FLOAT_PIXEL_DATA,
    PIXEL_DATA,
    PIXELS_LOST,
    UNDEFINED_LENGTH,
    Element,
    Item,
    Problem,
    Span,
    format_tag,
)
from datalad_icf.dicomweb.source import ByteSource
from datalad_icf.dicomweb.vr import (
    AMBIGUOUS_VRS,
    STORED_VRS,
    find_pixel_representation,
    find_vr,
    is_guess,
    resolve_vr,
)
from datalad_icf.dicomweb.window import (
    BUFFER,
    ITEM,
    ITEM_END,
    MAX_PARTS,
    SEQUENCE_END,
    Malformed,
    Window,
)

# A value that is longer stays where it is: twice 64 kB and two bytes, the
# longest that a data element with an implicit VR and 16-bit words should need.
MAX_VALUE = 131_074
# what a data set can have: no group 0 padding, no delimiters
_FIRST_TAG = 0x00000001
_LAST_TAG = 0xFFFDFFFF
_PIXELS = frozenset((PIXEL_DATA, FLOAT_PIXEL_DATA, DOUBLE_FLOAT_PIXEL_DATA))
# as in pydicom, a longer UN stays UN
_MAX_UNKNOWN = 0xFFFF
# deeper than any real data set, and far below the limit of the interpreter
_MAX_DEPTH = 64
_MAX_PROBLEMS = 1000

_new: Callable[[type[Element], tuple[object, ...]], Element] = tuple.__new__


class Walker(Window):
    """Reads the data elements of one source, in order

    Parameters
    ----------
    source
        What is read. Positions are offsets in it.
    head
        Its first bytes, if they were read already.

    Attributes
    ----------
    problems
        What was wrong with elements that are kept nevertheless.
    """

    def __init__(self, source: ByteSource, head: bytes = b'') -> None:
        super().__init__(source, head)
        self.problems: list[Problem] = []
        self._count = 0
        # tags of the open sequences, each with the number of the item
        self._path: list[list[int]] = []
        # a VR in an item depends on an enclosing data set
        self._unresolved = False
        self._public = public_vrs()

    def read_elements(
        self,
        elements: list[Element],
        position: int,
        end: int,
        encoding: Encoding,
        *,
        first: int = _FIRST_TAG,
        last: int = _LAST_TAG,
        delimited: bool = False,
    ) -> int:
        """Read the elements of a data set or item

        Parameters
        ----------
        elements
            Gets the elements, also those before something malformed.
        position, end
            Where they start and where, at the latest, they end.
        encoding
            How they are encoded.
        first, last
            The range of the tags. On the top level, any other ends the reading.
        delimited
            Whether they are in an item of undefined length.

        Returns
        -------
        int
            Where the reading ended.

        Raises
        ------
        Malformed
            If it does not go on, at `Malformed.offset`.
        """
        explicit, little_endian, header, long, explicit_header = encoding
        creators: dict[int, str] = {}
        # indices of elements whose VR depends on others
        pending: list[int] = []
        append = elements.append
        size = self._size
        before = len(elements)
        try:
            while position < end:
                data = self._data
                start = position - self._base
                if start < 0 or (
                    start + 12 > len(data) and self._base + len(data) < size
                ):
                    if self._count + len(elements) - before > MAX_PARTS:
                        raise Malformed('has too many data elements')
                    data = self._fill(position)
                    start = 0
                if start + 8 > len(data) or position + 8 > end:
                    raise Malformed('ends within a data element')
                stored = vr = ''
                value_start = position + 8
                if explicit:
                    group, number, raw_vr, length = explicit_header(data, start)
                    known = STORED_VRS.get(raw_vr)
                    if known is not None:
                        stored = vr = known[0]
                        if known[1]:
                            if start + 12 > len(data):
                                raise Malformed('ends within a data element')
                            length = long(data, start + 8)[0]
                            value_start += 4
                    elif group != 0xFFFE:
                        stored, length, value_start = guess_header(
                            data, start, position, end, encoding
                        )
                        vr = 'UN' if stored else ''
                    else:
                        length = long(data, start + 4)[0]
                else:
                    group, number, length = header(data, start)
                tag = group << 16 | number
                if not first <= tag <= last:
                    if (
                        tag == 0
                        and not elements
                        and first == _FIRST_TAG
                        and length == 4
                    ):
                        pass  # a command set (PS3.7, 6.3)
                    elif tag == ITEM_END and delimited:
                        return value_start
                    elif tag == SEQUENCE_END and delimited:
                        self._problem('an item has no end')
                        return position
                    elif tag in (ITEM_END, SEQUENCE_END) and not length:
                        self._problem(f'{format_tag(tag)} where there is nothing open')
                        position = value_start
                        continue
                    elif self._path or tag >= 0xFFFE0000:
                        raise Malformed('there is no data element')
                    else:
                        return position
                if not vr or (vr == 'UN' and length < _MAX_UNKNOWN and little_endian):
                    # of UN, too, the value is known if the tag is (PS3.5, 6.2.2)
                    vr = self._public.get(tag) or self._find_vr(tag, creators)
                    if vr in AMBIGUOUS_VRS:
                        pending.append(len(elements))
                after = value_start + length
                if vr == 'SQ' or length == UNDEFINED_LENGTH or after > end:
                    element, position = self._read_other(
                        tag, vr, stored, length, value_start, end, encoding
                    )
                    if self._unresolved:
                        self._unresolved = False
                        pending.append(len(elements))
                    append(element)
                    continue
                if length > MAX_VALUE:
                    span = Span(value_start, length)
                    append(
                        _new(
                            Element,
                            (tag, vr, stored, length, None, span, None, None),
                        )
                    )
                    position = after
                    continue
                start = value_start - self._base
                if start + length > len(data):
                    data = self._fill(value_start, max(length, BUFFER))
                    start = 0
                    if len(data) < length:
                        raise Malformed('ends within a value')
                value = data[start : start + length]
                if group & 1 and 0x10 <= number <= 0xFF:
                    creators[group << 8 | number] = value.decode('latin-1').strip(' \0')
                append(
                    _new(Element, (tag, vr, stored, length, value, None, None, None))
                )
                position = after
            if delimited:
                self._at_missing_end(end, 'an item has no end')
            return position
        except Malformed as e:
            e.offset = position
            raise
        finally:
            self._count += len(elements) - before
            if pending:
                self._resolve(elements, pending, little_endian)

    def _find_vr(self, tag: int, creators: dict[int, str]) -> str:
        block = (tag >> 16 << 8) | (tag >> 8 & 0xFF)
        return find_vr(tag, creators.get(block, ''))

    def _read_other(
        self,
        tag: int,
        vr: str,
        stored: str,
        length: int,
        position: int,
        end: int,
        encoding: Encoding,
    ) -> tuple[Element, int]:
        """Read a sequence, a value of undefined length, or one that is cut"""
        undefined = length == UNDEFINED_LENGTH
        if undefined and tag == PIXEL_DATA:
            return self._read_encapsulated(tag, vr, stored, position, end, encoding)
        if not undefined and position + length > end:
            if tag in _PIXELS and not self._path:
                # what is there of an image is better than nothing
                self._problem(f'{PIXELS_LOST}the file is cut', tag)
                span = Span(position, end - position)
                return Element(tag, vr, stored, length, span=span), end
            raise Malformed('a data element is longer than what is left')
        if undefined and vr != 'SQ' and not self._is_sequence(vr, stored, position):
            stop = self.find_end(position, end, encoding)
            return self._make(tag, vr, stored, length, position, stop), stop + 8
        if stored == 'UN':
            encoding = self._find_encoding(position)
        mark = len(self.problems), len(self._path)
        try:
            items, after = self._read_items(tag, length, position, end, encoding)
        except Malformed as e:
            if undefined:
                raise
            del self.problems[mark[0] :]
            del self._path[mark[1] :]
            self._unresolved = False
            if not is_guess(tag, stored):
                self._problem(f'is no sequence of items, and kept as UN: {e}', tag)
            after = position + length
            return self._make(tag, 'UN', stored, length, position, after), after
        return Element(tag, 'SQ', stored, length, items=items), after

    def _make(
        self, tag: int, vr: str, stored: str, length: int, start: int, stop: int
    ) -> Element:
        if stop - start > MAX_VALUE:
            return Element(tag, vr, stored, length, span=Span(start, stop - start))
        value = self.source.read(start, stop - start)
        return Element(tag, vr, stored, length, value)

    def _find_encoding(self, position: int) -> Encoding:
        """Return the encoding of the items of a UN element (PS3.5, 6.2.2)"""
        big = self.peek(position) == b'\xff\xfe\xe0\x00'
        return EXPLICIT_BIG if big else IMPLICIT_LITTLE

    def _is_sequence(self, vr: str, stored: str, position: int) -> bool:
        """Whether a value of undefined length, and not of VR SQ, has items"""
        return vr == 'UN' and (bool(stored) or self.has_items(position))

    def _read_items(
        self, tag: int, length: int, position: int, end: int, encoding: Encoding
    ) -> tuple[tuple[Item, ...], int]:
        """Return the items of a sequence, and where it ends (PS3.5, 7.5)"""
        if len(self._path) >= _MAX_DEPTH:
            raise Malformed('has too many sequences within each other')
        undefined = length == UNDEFINED_LENGTH
        if not undefined:
            end = position + length
        place = [tag, 0]
        self._path.append(place)
        items: list[Item] = []
        while position < end:
            item_tag, item_length = self.read_header(position, end, encoding)
            if item_tag == ITEM:
                position += 8
                place[1] += 1
                self._count += 1
                if self._count > MAX_PARTS:
                    raise Malformed('has too many items')
                elements: list[Element] = []
                delimited = item_length == UNDEFINED_LENGTH
                stop = end if delimited else position + item_length
                if stop > end:
                    raise Malformed('an item is longer than what is left')
                after = self.read_elements(
                    elements, position, stop, encoding, delimited=delimited
                )
                position = after if delimited else stop
                items.append(Item(tuple(elements), item_length))
                continue
            if item_tag not in (ITEM_END, SEQUENCE_END):
                raise Malformed('there is no item')
            position += 8
            if item_tag == SEQUENCE_END and undefined:
                break
            self._problem(f'{format_tag(item_tag)} where there is nothing open')
        else:
            if undefined:
                self._at_missing_end(end, 'a sequence has no end')
        self._path.pop()
        return tuple(items), position

    def _at_missing_end(self, end: int, text: str) -> None:
        """Tolerate a missing delimiter, but not at the end of the file"""
        if end >= self._size:
            raise Malformed(text)
        self._problem(text)

    def _read_encapsulated(
        self,
        tag: int,
        vr: str,
        stored: str,
        position: int,
        end: int,
        encoding: Encoding,
    ) -> tuple[Element, int]:
        """Read encapsulated Pixel Data (PS3.5, A.4)"""
        fragments: list[Span] = []
        try:
            after = self.read_fragments(fragments, position, end, encoding)
        except Malformed as e:
            if self._path:
                raise
            self._problem(f'{PIXELS_LOST}{e}', tag)
            # no delimiter: what follows the last fragment cannot be understood
            after = sum(fragments[-1]) if fragments else position
        element = Element(tag, vr, stored, UNDEFINED_LENGTH, fragments=tuple(fragments))
        return element, after

    def _resolve(
        self, elements: list[Element], pending: list[int], little_endian: bool
    ) -> None:
        """Decide on ambiguous VRs, once all of a data set is known"""
        siblings = {element.tag: element for element in elements}
        signed = find_pixel_representation(siblings, little_endian=little_endian)
        if signed is None and self._path:
            # an enclosing data set may have it
            self._unresolved = True
            return
        for index in pending:
            if index == len(elements):
                break  # the one that could not be read
            elements[index] = resolve_vr(
                elements[index], siblings, signed or 0, little_endian
            )

    def _problem(self, text: str, tag: int | None = None) -> None:
        if len(self.problems) >= _MAX_PROBLEMS:
            raise Malformed('has too many problems')
        path = [part for t, item in self._path for part in (format_tag(t), str(item))]
        if tag is not None:
            path.append(format_tag(tag))
        self.problems.append(Problem('/'.join(path), text))
