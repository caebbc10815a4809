"""Small pictures of images, for people who look for a series

What is needed to decode images is optional: the extra ``pictures``. Nothing of
it is imported before the first picture is made.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from typing import BinaryIO

from datalad_icf.errors import PictureError

_NEEDED = ('numpy', 'PIL')
EXTRA = "pip install 'datalad-icf[pictures]'"


def can_make_pictures() -> bool:
    """Whether the packages are installed that pictures need"""
    return all(find_spec(name) for name in _NEEDED)


def make_thumbnail(
    p10: BinaryIO | bytes | bytearray | memoryview,
    frame: int | None = None,
    size: int = 128,
) -> bytes | None:
    """Make a small picture of an instance, as a viewer would show it at first

    The grayscale pipeline is that of PS3.4, N.2: modality LUT, VOI LUT or the
    first window. Where the file has none, the window is made of the values of
    the image, without padding and background. Distances between pixels are
    heeded (PS3.3, 10.7). The same image makes the same bytes, with the same
    versions of Pillow and of the decoders.

    Parameters
    ----------
    p10
        A DICOM file, in memory or open. Of an open one, no more is read than the
        attributes and one frame.
    frame
        Number of the frame, from 1 as in ``frames/1``; otherwise the one in the
        middle, or the first where that cannot be decoded.
    size
        Largest width and height of the picture, in pixels.

    Returns
    -------
    bytes or None
        A JPEG; nothing if the instance has no pixel data, such as a report.

    Raises
    ------
    PictureError
        If the packages are not installed, if there is no decoder for the
        transfer syntax, or if the image is damaged.
    """
    if not can_make_pictures():
        msg = f'pictures need packages that are not installed: {EXTRA}'
        raise PictureError(msg)
    # late, because both are slow to import
    from datalad_icf.dicomweb.pictures_decode import ImageFile
    from datalad_icf.dicomweb.pictures_render import encode_jpeg, render

    if isinstance(p10, (bytes, bytearray, memoryview)):
        p10 = io.BytesIO(p10)
    with warnings.catch_warnings():
        # pydicom warns of every attribute that is not as it has to be
        warnings.simplefilter('ignore')
        image = ImageFile.read(p10)
        if image is None:
            return None
        middle = image.number_of_frames // 2 + 1
        try:
            pixels = image.decode(middle if frame is None else frame, 8 * size)
        except PictureError:
            if frame is not None or middle == 1:
                raise
            pixels = image.decode(1, 8 * size)
        try:
            return encode_jpeg(render(pixels), pixels.aspect, size)
        except Exception as e:
            # whatever stands in an attribute of the image, it is about one picture
            msg = f'the image cannot be shown ({type(e).__name__})'
            raise PictureError(msg) from e


def pick_middle(instances: Sequence[tuple[int | None, str]]) -> str:
    """Pick the instance of a series that is likely to show most

    Parameters
    ----------
    instances
        *Instance Number* (0020,0013), if there is one, and *SOP Instance UID*
        (0008,0018), in any order. At least one.

    Returns
    -------
    str
        SOP Instance UID of the one in the middle, in the order of the numbers,
        then of the UIDs. Those without a number are not taken if others have one.

    Examples
    --------
    >>> pick_middle([(10, '1.1'), (9, '1.2'), (None, '1.0'), (2, '1.3')])
    '1.2'
    """
    numbered = [(n, uid) for n, uid in instances if n is not None]
    in_order = sorted(numbered or [(0, uid) for _, uid in instances])
    return in_order[len(in_order) // 2][1]
