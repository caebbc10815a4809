"""Stored values of a frame into a picture (PS3.4, N.2; PS3.3, C.11)"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut

from datalad_icf.dicomweb.pictures_decode import Pixels, iter_numbers

_QUALITY = 85
# as many values tell percentiles well enough
_SAMPLE = 256
# as many different ones are labels, not intensities
_LABELS = 8
_LOW, _HIGH = 0.01, 0.995


def render(pixels: Pixels) -> NDArray[np.uint8]:
    """Render a frame

    Returns
    -------
    ndarray
        (rows, columns) in gray or (rows, columns, 3) in RGB, 0 to 255.
    """
    values = pixels.values
    if values.ndim == 3:
        return _render_color(values[..., :3], pixels.dataset)
    if pixels.photometric_interpretation == 'PALETTE COLOR':
        colored = _apply_palette(values, pixels.dataset)
        if colored is not None:
            return colored
    return _render_gray(pixels)


def encode_jpeg(picture: NDArray[np.uint8], aspect: float, size: int) -> bytes:
    """Scale a picture down and encode it

    Parameters
    ----------
    picture
        From `render`.
    aspect
        Height divided by width of its pixels.
    size
        Largest width and height of the result, in pixels. A smaller picture is
        not enlarged, but for its pixels to become square.
    """
    height, width = float(picture.shape[0]), float(picture.shape[1])
    if aspect > 1:
        height *= aspect
    else:
        width /= aspect
    scale = min(1.0, size / max(height, width))
    shape = max(1, round(width * scale)), max(1, round(height * scale))
    image = Image.fromarray(np.ascontiguousarray(picture))
    if shape != image.size:
        image = image.resize(shape, Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, 'JPEG', quality=_QUALITY)
    return file.getvalue()


def _render_color(values: NDArray[Any], dataset: Dataset) -> NDArray[np.uint8]:
    if values.dtype == np.uint8:
        return values.astype(np.uint8, copy=False)
    if values.dtype.kind == 'f':
        return _scale(np.nan_to_num(values.astype(np.float64)), 0.0, 1.0)
    bits = next(iter_numbers(dataset, 'BitsStored'), 8.0 * values.dtype.itemsize)
    return _scale(values.astype(np.float64), 0.0, 2.0**bits - 1)


def _apply_palette(values: NDArray[Any], dataset: Dataset) -> NDArray[np.uint8] | None:
    try:
        colored = apply_color_lut(values, _with_little_endian_palette(dataset))
    except Exception:  # noqa: BLE001 of a broken palette, pydicom raises anything
        return None
    descriptor = list(iter_numbers(dataset, 'RedPaletteColorLookupTableDescriptor'))
    is_deep = colored.dtype.itemsize == 2 and (
        # 8 bits in words of 16, as some write it
        descriptor[2:] == [16.0] or colored.max(initial=0) > 255
    )
    if is_deep:
        colored = colored >> 8
    result: NDArray[np.uint8] = colored[..., :3].astype(np.uint8)
    return result


def _with_little_endian_palette(dataset: Dataset) -> Dataset:
    if dataset.original_encoding[1] is not False:
        return dataset
    # pydicom leaves the words as they are
    swapped = Dataset()
    swapped.update(dataset)
    for color in ('Red', 'Green', 'Blue'):
        name = f'{color}PaletteColorLookupTable'
        data = dataset.get(f'{name}Data')
        if data and len(data) == 2 * (dataset[f'{name}Descriptor'].value[0] or 65536):
            table = np.frombuffer(data, '>u2').astype('<u2')
            setattr(swapped, f'{name}Data', table.tobytes())
    return swapped


def _render_gray(pixels: Pixels) -> NDArray[np.uint8]:
    stored = pixels.values
    if pixels.dataset.get('BitsAllocated') == 1:
        is_white = (stored == 0) if _is_inverse(pixels) else (stored > 0)
        return np.where(is_white, 255, 0).astype(np.uint8)
    values = _apply_modality_lut(pixels)
    shown = np.isfinite(values)
    values = np.where(shown, values, 0.0)
    shown &= ~_find_padding(pixels)
    gray_or_none = _apply_voi(values, shown, pixels)
    if gray_or_none is None:
        low, high = _choose_window(values, shown)
        gray_or_none = _scale(values, low, high)
    gray = 255 - gray_or_none if _is_inverse(pixels) else gray_or_none
    gray[~shown] = 0
    return gray


def _is_inverse(pixels: Pixels) -> bool:
    return pixels.photometric_interpretation == 'MONOCHROME1'


def _apply_modality_lut(pixels: Pixels) -> NDArray[np.float64]:
    values = pixels.values
    if 'ModalityLUTSequence' in pixels.dataset:
        try:
            return np.asarray(apply_modality_lut(values, pixels.dataset), np.float64)
        except Exception:  # noqa: BLE001 of a broken table, pydicom raises anything
            return values.astype(np.float64)
    where = pixels.find('RescaleSlope', 'PixelValueTransformationSequence')
    slope = next(iter_numbers(where, 'RescaleSlope'), 1.0) or 1.0
    intercept = next(iter_numbers(where, 'RescaleIntercept'), 0.0)
    result: NDArray[np.float64] = values.astype(np.float64) * slope + intercept
    return result


def _find_padding(pixels: Pixels) -> NDArray[np.bool_]:
    """Where there is no image (PS3.3, C.7.5.1.1.2)"""
    stored, dataset = pixels.values, pixels.dataset
    is_float = stored.dtype.kind == 'f'
    names = (
        ('FloatPixelPaddingValue', 'FloatPixelPaddingRangeLimit'),
        ('DoubleFloatPixelPaddingValue', 'DoubleFloatPixelPaddingRangeLimit'),
    )
    for name, limit in (
        names if is_float else (('PixelPaddingValue', 'PixelPaddingRangeLimit'),)
    ):
        first = next(iter_numbers(dataset, name), None)
        if first is not None:
            last = next(iter_numbers(dataset, limit), first)
            if stored.dtype.kind == 'i':
                first, last = (_as_signed(v, stored.dtype) for v in (first, last))
            found: NDArray[np.bool_] = (stored >= min(first, last)) & (
                stored <= max(first, last)
            )
            return found
    return np.zeros(stored.shape, np.bool_)


def _as_signed(value: float, dtype: np.dtype[Any]) -> float:
    """A signed value that was written as an unsigned one"""
    limit = 2.0 ** (8 * dtype.itemsize - 1)
    return value - 2 * limit if value >= limit else value


def _apply_voi(
    values: NDArray[np.float64], shown: NDArray[np.bool_], pixels: Pixels
) -> NDArray[np.uint8] | None:
    """Apply the VOI LUT or the first window, if it leaves something to be seen"""
    gray = _apply_voi_lut(values, pixels.dataset)
    if gray is None:
        gray = _apply_stored_window(values, pixels)
    if gray is None:
        return None
    seen, given = gray[shown], values[shown]
    is_blank = seen.size and seen.min() == seen.max() and given.min() < given.max()
    return None if is_blank else gray


def _apply_voi_lut(
    values: NDArray[np.float64], dataset: Dataset
) -> NDArray[np.uint8] | None:
    if 'VOILUTSequence' not in dataset:
        return None
    try:
        # the window beside it must not be taken in its place
        table = Dataset()
        table.VOILUTSequence = dataset.VOILUTSequence
        bits = float(table.VOILUTSequence[0].LUTDescriptor[2])
        table.file_meta = dataset.file_meta
        table.set_original_encoding(*dataset.original_encoding)
        result = apply_voi_lut(np.rint(values).astype(np.int64), table)
    except Exception:  # noqa: BLE001 of a broken table, pydicom raises anything
        return None
    return _scale(np.asarray(result, np.float64), 0.0, 2.0**bits - 1)


def _apply_stored_window(
    values: NDArray[np.float64], pixels: Pixels
) -> NDArray[np.uint8] | None:
    """Apply the first window (PS3.3, C.11.2.1.2)"""
    where = pixels.find('WindowCenter', 'FrameVOILUTSequence')
    center = next(iter_numbers(where, 'WindowCenter'), None)
    width = next(iter_numbers(where, 'WindowWidth'), None)
    if where is None or center is None or width is None or width <= 0:
        return None
    function = str(where.get('VOILUTFunction') or 'LINEAR')
    if function == 'SIGMOID':
        slope = np.clip(-4 * (values - center) / width, -500, 500)
        return _scale(1 / (1 + np.exp(slope)), 0.0, 1.0)
    if function == 'LINEAR' and width >= 1:
        center, width = center - 0.5, width - 1
        if not width:
            return np.where(values > center, 255, 0).astype(np.uint8)
    return _scale(values, center - width / 2, center + width / 2)


def _choose_window(
    values: NDArray[np.float64], shown: NDArray[np.bool_]
) -> tuple[float, float]:
    """Choose a window: no outliers, no padding that nothing has declared"""
    step_y, step_x = (-(-n // _SAMPLE) for n in values.shape)
    sample = np.sort(values[::step_y, ::step_x][shown[::step_y, ::step_x]])
    if sample.size == 0 or sample[0] == sample[-1]:
        sample = np.sort(values[shown])
    if sample.size == 0:
        return 0.0, 0.0
    first, last = float(sample[0]), float(sample[-1])
    if np.count_nonzero(np.diff(sample)) < _LABELS:
        return first, last
    # background and padding are most often one value, the smallest
    rest = sample[np.searchsorted(sample, first, side='right') :]
    low, high = (float(rest[int(q * (rest.size - 1))]) for q in (_LOW, _HIGH))
    return (low, high) if low < high else (first, last)


def _scale(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.uint8]:
    """Bring ``low`` to 0 and ``high`` to 255; all is black if they are equal"""
    if not high > low:
        return np.zeros(values.shape, np.uint8)
    scaled = (values - low) * (255 / (high - low))
    return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
