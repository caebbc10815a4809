"""A head made of ellipsoids, and its image in any plane"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil, floor, sqrt

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid along the axes of the patient coordinate system

    Parameters
    ----------
    tissue
        Name by which a contrast gives it a signal.
    centre, radii
        In mm, in the order of *Image Position (Patient)*: x increases to the
        left, y to the back, z to the head (DICOM PS3.3, C.7.6.2.1.1).
    """

    tissue: str
    centre: Vector
    radii: Vector


# from outside to inside: what comes later covers what came before
HEAD = (
    # a nose and a neck tell front from back and top from bottom
    Ellipsoid('scalp', (0, -98, -16), (10, 14, 16)),
    Ellipsoid('scalp', (0, 20, -90), (38, 44, 60)),
    Ellipsoid('scalp', (0, 0, 0), (78, 98, 92)),
    Ellipsoid('skull', (0, 0, 0), (72, 92, 86)),
    Ellipsoid('grey', (0, 0, 0), (68, 88, 82)),
    Ellipsoid('white', (0, 0, 0), (54, 72, 66)),
    Ellipsoid('grey', (0, 44, -44), (36, 26, 20)),
    Ellipsoid('fluid', (12, 0, 8), (6, 30, 14)),
    Ellipsoid('fluid', (-12, 0, 8), (6, 30, 14)),
    Ellipsoid('active', (20, 72, 4), (14, 10, 16)),
    # a capsule on the left ear, without which left and right look the same
    Ellipsoid('marker', (86, 0, 0), (6, 6, 6)),
)

T1_CONTRAST = {
    'scalp': 900,
    'skull': 60,
    'grey': 420,
    'white': 650,
    'fluid': 120,
    'active': 420,
    'marker': 1000,
}
T2S_CONTRAST = {
    'scalp': 150,
    'skull': 30,
    'grey': 700,
    'white': 520,
    'fluid': 950,
    'active': 700,
    'marker': 800,
}


def render(
    shapes: Iterable[Ellipsoid],
    contrast: Mapping[str, int],
    *,
    origin: Vector,
    across: Vector,
    down: Vector,
    rows: int,
    columns: int,
) -> array[int]:
    """Draw a plane through ellipsoids

    Parameters
    ----------
    shapes
        What is there; a later one covers an earlier one.
    contrast
        Signal of each tissue.
    origin
        Centre of the first pixel, in mm.
    across, down
        From one pixel to the next in a row and in a column, in mm.
    rows, columns
        Size of the image in pixels.

    Returns
    -------
    array of int
        ``rows * columns`` values of 16 bits, row by row.

    Examples
    --------
    >>> image = render(
    ...     [Ellipsoid('ball', (0, 0, 0), (1, 1, 1))],
    ...     {'ball': 7},
    ...     origin=(-2, 0, 0),
    ...     across=(1, 0, 0),
    ...     down=(0, 1, 0),
    ...     rows=2,
    ...     columns=5,
    ... )
    >>> image.tolist()
    [0, 7, 7, 7, 0, 0, 0, 7, 0, 0]
    """
    image = array('H', bytes(2 * rows * columns))
    for shape in shapes:
        signal = array('H', [contrast[shape.tissue]])
        # In units of the radii the ellipsoid is a sphere of radius 1 around 0.
        # A row is a straight line, and where it is inside has a closed form:
        # orders of magnitude faster than a look at every pixel.
        step = [s / r for s, r in zip(across, shape.radii)]
        a = sum(s * s for s in step)
        for row in range(rows):
            start = [
                (o + row * d - c) / r
                for o, d, c, r in zip(origin, down, shape.centre, shape.radii)
            ]
            b = sum(s * t for s, t in zip(start, step))
            discriminant = b * b - a * (sum(s * s for s in start) - 1)
            if discriminant < 0:
                continue
            half = sqrt(discriminant)
            first = max(0, ceil((-b - half) / a))
            stop = min(columns, floor((-b + half) / a) + 1)
            if first < stop:
                offset = row * columns
                image[offset + first : offset + stop] = signal * (stop - first)
    return image
