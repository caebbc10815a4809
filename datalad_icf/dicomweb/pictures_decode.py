"""One frame of a DICOM file as an array, without reading the others"""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from struct import unpack
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.filereader import read_dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import as_pixel_options
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

from datalad_icf.errors import PictureError

_KEYWORDS = {
    0x7FE00008: 'FloatPixelData',
    0x7FE00009: 'DoubleFloatPixelData',
    0x7FE00010: 'PixelData',
}
_VRS = frozenset({'OB', 'OW', 'OF', 'OD', 'UN'})
_META_END = 132
# inflated, it is in memory as a whole
_MAX_INFLATED = 256 << 20
# of one decoded frame: a slide of 16k x 16k in colour
_MAX_FRAME = 768 << 20


@dataclass(frozen=True)
class Pixels:
    """A frame, with what tells how to show it

    Attributes
    ----------
    values
        Stored values, (rows, columns) or (rows, columns, samples) in RGB. Fewer
        rows and columns than the image has, if it is large.
    photometric_interpretation
        (0028,0004), after decoding.
    groups
        Where attributes of this frame can be: its functional groups, the shared
        ones, then the data set itself (PS3.3, C.7.6.16).
    aspect
        Height divided by width of a value in `values`.
    """

    values: NDArray[Any]
    photometric_interpretation: str
    groups: tuple[Dataset, ...]
    aspect: float

    @property
    def dataset(self) -> Dataset:
        """The data set itself"""
        return self.groups[-1]

    def find(self, keyword: str, sequence: str = '') -> Dataset | None:
        """Find what has an attribute, in a functional group first"""
        return _find(self.groups, keyword, sequence)


class ImageFile:
    """A DICOM file with pixel data; made by `read`"""

    def __init__(
        self, file: BinaryIO, dataset: Dataset, options: dict[str, Any], start: int
    ) -> None:
        self._file = file
        self._dataset = dataset
        self._options = options
        self._start = start
        self.number_of_frames: int = options['number_of_frames']

    @classmethod
    def read(cls, file: BinaryIO) -> ImageFile | None:
        """Read everything before the pixel data

        Returns
        -------
        ImageFile or None
            Nothing if there is no pixel data.

        Raises
        ------
        PictureError
            If it is no DICOM file, or its attributes make no image.
        """
        try:
            file.seek(0)
            dataset: Dataset = dcmread(file, stop_before_pixels=True, force=True)
            syntax = dataset.file_meta.get('TransferSyntaxUID')
            implicit, little = map(bool, dataset.original_encoding)
            if syntax == DeflatedExplicitVRLittleEndian:
                file = _inflate(file)
                meta = dataset.file_meta
                dataset = read_dataset(file, False, True, stop_when=_is_pixel_data)
                dataset.file_meta = meta
                implicit, little = False, True
            if not syntax:
                syntax = ImplicitVRLittleEndian
            keyword, vr = _read_element(file, implicit, little)
            if keyword is None:
                return None
            _mend(dataset)
            options = as_pixel_options(dataset, pixel_keyword=keyword, pixel_vr=vr)
            options['transfer_syntax_uid'] = syntax
            return cls(file, dataset, options, file.tell())
        except PictureError:
            raise
        except Exception as e:
            # pydicom raises about anything on broken input
            msg = f'the attributes of the image cannot be read ({type(e).__name__})'
            raise PictureError(msg) from e

    def decode(self, number: int, longest: int) -> Pixels:
        """Decode one frame

        Parameters
        ----------
        number
            Number of the frame, from 1.
        longest
            Largest number of rows and columns that is wanted. Of more, only
            every second, third, ... is kept.

        Raises
        ------
        PictureError
            If it cannot be decoded, also because a decoder is not installed.
        """
        if not 1 <= number <= self.number_of_frames:
            msg = f'there is no frame {number}'
            raise PictureError(msg)
        syntax = self._options['transfer_syntax_uid']
        try:
            decoder = get_decoder(syntax)
        except NotImplementedError as e:
            msg = f'there is no decoder for transfer syntax {syntax}'
            raise PictureError(msg) from e
        if decoder.is_encapsulated and not decoder.is_available:
            msg = (
                f'no decoder for {syntax.name} is installed: '
                "pip install 'datalad-icf[pictures]'"
            )
            raise PictureError(msg)
        try:
            self._check_size()
            self._file.seek(self._start)
            if self._options['bits_allocated'] == 1 and decoder.is_native:
                values = self._read_bits(number)
                properties: dict[str, Any] = self._options
            else:
                values, properties = decoder.as_array(
                    self._file,
                    index=number - 1,
                    **{'view_only': decoder.is_native, **self._options},
                )
        except PictureError:
            raise
        except Exception as e:
            msg = f'frame {number} cannot be decoded ({type(e).__name__})'
            if decoder.is_encapsulated:
                msg += f', with the decoders that are installed for {syntax.name}'
            raise PictureError(msg) from e
        groups = _list_groups(self._dataset, number)
        step_y, step_x = (-(-n // longest) for n in values.shape[:2])
        aspect = _pixel_aspect(groups) * step_y / step_x
        return Pixels(
            values[::step_y, ::step_x],
            str(properties['photometric_interpretation']),
            groups,
            aspect,
        )

    def _check_size(self) -> None:
        options = self._options
        if missing := {'rows', 'columns', 'bits_allocated'} - set(options):
            msg = f'the image does not tell its {", ".join(sorted(missing))}'
            raise PictureError(msg)
        pixels = options['rows'] * options['columns'] * options['samples_per_pixel']
        if not 0 < pixels * options['bits_allocated'] / 8 <= _MAX_FRAME:
            msg = 'a frame is empty, or too large for a picture'
            raise PictureError(msg)

    def _read_bits(self, number: int) -> NDArray[np.uint8]:
        """Read a frame of single bits, which need not start at a byte"""
        shape = self._options['rows'], self._options['columns']
        n_bits = math.prod(shape)
        first = (number - 1) * n_bits
        self._file.seek(self._start + first // 8)
        data = self._file.read((first % 8 + n_bits + 7) // 8)
        bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder='little')
        return bits[first % 8 :][:n_bits].reshape(shape)


def _is_pixel_data(tag: int, _vr: str | None, _length: int) -> bool:
    return tag in _KEYWORDS


def _inflate(file: BinaryIO) -> BinaryIO:
    file.seek(_META_END)
    group, element, _vr, _size, length = unpack('<HH2sHL', file.read(12))
    if (group, element) != (2, 0):
        msg = 'the length of the file meta information is missing'
        raise PictureError(msg)
    file.seek(length, io.SEEK_CUR)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    data = inflater.decompress(file.read(_MAX_INFLATED), _MAX_INFLATED)
    if inflater.unconsumed_tail:
        msg = 'the deflated data set is too large for a picture'
        raise PictureError(msg)
    return io.BytesIO(data)


def _read_element(
    file: BinaryIO, implicit: bool, little: bool
) -> tuple[str | None, str | None]:
    """Read the header of the pixel data; the file is then at its value"""
    header = file.read(8)
    if len(header) < 8:
        return None, None
    order = '<' if little else '>'
    group, element = unpack(f'{order}HH', header[:4])
    vr = header[4:6].decode('latin-1')
    if implicit or vr not in _VRS:
        # also where the transfer syntax says that it is explicit
        return _KEYWORDS.get(group << 16 | element), None
    file.read(4)
    return _KEYWORDS.get(group << 16 | element), vr


def _mend(dataset: Dataset) -> None:
    """Set attributes without which nothing can be decoded, as far as it is clear"""
    frames = dataset.get_item('NumberOfFrames')
    if frames is not None:
        text = frames.value
        text = text.decode('latin-1') if isinstance(text, bytes) else str(text)
        digits = text.strip('\0 ')
        # '1A' is one frame at least
        dataset.NumberOfFrames = max(1, int(digits)) if digits.isdecimal() else 1
    dataset.setdefault('SamplesPerPixel', 1)
    is_color = dataset.SamplesPerPixel == 3
    dataset.setdefault(
        'PhotometricInterpretation', 'RGB' if is_color else 'MONOCHROME2'
    )
    dataset.setdefault('PixelRepresentation', 0)
    if is_color:
        dataset.setdefault('PlanarConfiguration', 0)
    if 'BitsAllocated' in dataset:
        dataset.setdefault('BitsStored', dataset.BitsAllocated)


def _list_groups(dataset: Dataset, number: int) -> tuple[Dataset, ...]:
    groups: list[Dataset] = []
    try:
        per_frame = dataset.get('PerFrameFunctionalGroupsSequence')
        if per_frame and number <= len(per_frame):
            groups.append(per_frame[number - 1])
        if shared := dataset.get('SharedFunctionalGroupsSequence'):
            groups.append(shared[0])
    except Exception:  # noqa: BLE001 pydicom raises about anything on broken input
        groups.clear()
    return (*groups, dataset)


def _find(groups: tuple[Dataset, ...], keyword: str, sequence: str) -> Dataset | None:
    for group in groups[:-1] if sequence else ():
        if (items := group.get(sequence)) and keyword in items[0]:
            found: Dataset = items[0]
            return found
    return groups[-1] if keyword in groups[-1] else None


def iter_numbers(dataset: Dataset | None, keyword: str) -> Iterator[float]:
    """The values of an attribute that are finite numbers, up to the first other"""
    if dataset is None:
        return
    try:
        value = dataset[keyword].value
        values = [value] if isinstance(value, (str, int, float)) else list(value)
        for item in values:
            number = float(item)
            if not math.isfinite(number):
                return
            yield number
    except (KeyError, ValueError, TypeError, OverflowError, AttributeError):
        return


def _pixel_aspect(groups: tuple[Dataset, ...]) -> float:
    """Height of a pixel divided by its width (PS3.3, 10.7 and C.7.6.3.1.7)"""
    for keyword, sequence in (
        ('PixelSpacing', 'PixelMeasuresSequence'),
        ('ImagerPixelSpacing', ''),
        ('NominalScannedPixelSpacing', ''),
        ('PixelAspectRatio', ''),
    ):
        numbers = list(iter_numbers(_find(groups, keyword, sequence), keyword))
        if len(numbers) == 2 and min(numbers) > 0:
            aspect = numbers[0] / numbers[1]
            # beyond it, it is a mistake
            return aspect if 0.02 < aspect < 50 else 1.0
    return 1.0
