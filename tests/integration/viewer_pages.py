"""Images that OHIF is to show, how to start it, and what it shows

Not tests, but what several of them share.
"""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from demo.phantom import T1W, Series, build_instance, encode, make_uid
from tests.chromium import start_chromium

STUDY, VISIT = 'Stüdy 1&x', 'V01'
ROWS, COLUMNS, SLICES = 96, 128, 5
LOW, HIGH = -600, 1400
SERIES = {
    'native': None,
    'JPEG-LS': JPEGLSLossless,
    'JPEG 2000': JPEG2000Lossless,
    'RLE': RLELossless,
}
ARGUMENTS = [
    '--headless',
    '--no-sandbox',
    '--no-first-run',
    '--disable-dev-shm-usage',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    # OHIF does not start without WebGL, though it draws without it
    '--use-gl=angle',
    '--use-angle=swiftshader',
    '--enable-unsafe-swiftshader',
]
# in ms: what is cold on a busy machine needs long
PATIENCE = 90_000


def give_up(reason: str) -> None:
    """Skip, or fail where the viewer must be"""
    if os.environ.get('ICF_REQUIRE_VIEWER'):
        pytest.fail(f'ICF_REQUIRE_VIEWER is set, but {reason}')
    pytest.skip(reason)


def find_build() -> Path:
    """A build of OHIF"""
    path = os.environ.get('ICF_OHIF')
    if not path:
        give_up('ICF_OHIF does not name a build of OHIF (npm pack @ohif/app)')
    return Path(path).absolute()


@contextmanager
def open_browser() -> Iterator[Any]:
    """Start the Chromium of this machine, so that OHIF runs in it"""
    with start_chromium(ARGUMENTS, give_up) as browser:
        yield browser


def build_pixels(series: int, index: int) -> np.ndarray:
    """A signed image like no other one, unlike itself when flipped or inverted"""
    down, across = np.mgrid[0:ROWS, 0:COLUMNS]
    pixels = -500 + 4 * down + 6 * across
    pixels[10 : 30 + 3 * index, 8:40] = 1300
    pixels[60:80, 20 + 15 * series : 34 + 15 * series] = -900
    return pixels.astype('<i2')


def build_image(
    name: str, number: int, index: int, pixels: np.ndarray, kind: Series = T1W
) -> Dataset:
    """An image of the series with a name"""
    uid = make_uid(f'viewer/{name}/{index}')
    image = build_instance(
        kind,
        index,
        rows=ROWS,
        columns=COLUMNS,
        SeriesInstanceUID=make_uid(f'viewer/{name}'),
        SeriesNumber=number,
        SeriesDescription=name,
        SOPInstanceUID=uid,
        PixelSpacing=[1, 1],
        BitsStored=16,
        HighBit=15,
        PixelRepresentation=1,
        WindowCenter=(LOW + HIGH) / 2,
        WindowWidth=HIGH - LOW,
    )
    image.file_meta.MediaStorageSOPInstanceUID = uid
    image.PixelData = pixels.tobytes()
    return image


def build_images() -> Iterator[tuple[str, int, Dataset]]:
    """Images of all series: name of the series, index, image"""
    for number, (name, syntax) in enumerate(SERIES.items()):
        for index in range(SLICES):
            image = build_image(name, number + 1, index, build_pixels(number, index))
            if syntax:
                image.compress(syntax, generate_instance_uid=False)
            yield name, index, image


def expect(pixels: np.ndarray) -> np.ndarray:
    """Grays of an image, in its window"""
    return np.clip((pixels.astype(float) - LOW) / (HIGH - LOW), 0, 1) * 255


def run_datalad(*argv: object) -> list[dict[str, Any]]:
    done = subprocess.run(
        ['datalad', '-f', 'json', *map(str, argv)],
        check=False,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def write_images(export: Path) -> None:
    """Write the images of all series"""
    for name, index, image in build_images():
        (export / f'{name} {index}.dcm').write_bytes(encode(image))


@dataclass
class Viewer:
    """A page of the browser, and what it asked for"""

    page: Any
    root: str
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def watch(self, profile: Any) -> None:
        """Note what the page asks for and logs; it gets nothing of other servers"""

        def handle(route: Any) -> None:
            url = route.request.url
            self.requests.append(url)
            if url.startswith((self.root, 'data:', 'blob:')):
                route.continue_()
            else:
                route.abort()

        profile.route('**/*', handle)
        self.page.on('pageerror', lambda e: self.errors.append(str(e)))
        self.page.on(
            'console',
            lambda m: self.errors.append(m.text) if m.type == 'error' else None,
        )

    def open(self, link: str, study: str = STUDY) -> None:
        """Follow a link of the catalog of a study"""
        catalog = f'{self.root}{quote(study)}/catalog/overview.html'
        self.page.goto(urljoin(catalog, link), timeout=PATIENCE)

    def read_canvas(self) -> np.ndarray | None:
        """Grays of the first image that is shown, if there is one yet"""
        url = self.page.evaluate(
            "document.querySelector('canvas.cornerstone-canvas')?.toDataURL()"
        )
        content = base64.b64decode((url or '').partition(',')[2])
        if not content:
            return None
        image = Image.open(io.BytesIO(content)).convert('L')
        return np.asarray(image) if min(image.size) > 50 else None

    def show(
        self,
        expected: np.ndarray,
        *,
        least: float,
        aspect: float = 1,
        may_move: bool = False,
    ) -> np.ndarray:
        """Wait until the expected image is seen; returns what is

        It fills the height or the width of the canvas. OHIF moves the image of a large
        series a little, of which nothing but black is cut, when all others are there.
        """
        correlation, seen = 0.0, np.zeros(expected.shape)
        for _ in range(PATIENCE // 500):
            canvas = self.read_canvas()
            if canvas is not None and canvas.std() > 1:
                seen = fit(canvas, expected.shape, aspect)
                if may_move:
                    seen = align(seen, expected)
                correlation = np.corrcoef(seen.ravel(), expected.ravel())[0, 1]
                if correlation >= least:
                    return seen
            # not with time.sleep(), in which the page would stand still
            self.page.wait_for_timeout(500)
        self.save_screenshot('wrong')
        raise AssertionError(f'the correlation is {correlation}; {self.errors}')

    def save_screenshot(self, name: str, **options: Any) -> None:
        """Keep a picture of the page where ``ICF_SCREENSHOTS`` names a directory"""
        directory = os.environ.get('ICF_SCREENSHOTS')
        if directory:
            Path(directory).mkdir(parents=True, exist_ok=True)
            path = Path(directory) / f'viewer-{name}.png'
            self.page.screenshot(path=path, **options)


def fit(canvas: np.ndarray, shape: tuple[int, ...], aspect: float) -> np.ndarray:
    """Cut the image out of the canvas, and scale it to the size that it has"""
    scale = min(canvas.shape[0] / shape[0] / aspect, canvas.shape[1] / shape[1])
    height, width = scale * shape[0] * aspect, scale * shape[1]
    top, left = (canvas.shape[0] - height) / 2, (canvas.shape[1] - width) / 2
    # never beyond it by a rounding error
    box = max(left, 0), max(top, 0), left + width - 1e-6, top + height - 1e-6
    size = shape[1], shape[0]
    image = Image.fromarray(canvas).resize(size, Image.Resampling.BOX, box=box)
    return np.asarray(image).astype(float)


def align(seen: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Move an image to where it fits best, by a tenth of its size at most"""
    spectra = [np.fft.fft2(image - image.mean()) for image in (expected, seen)]
    fits = np.fft.ifft2(spectra[0] * spectra[1].conj()).real
    for axis, size in enumerate(fits.shape):
        moved = np.abs(np.fft.fftfreq(size)) > 0.1
        np.moveaxis(fits, axis, 0)[moved] = -np.inf
    best = np.unravel_index(fits.argmax(), fits.shape)
    return np.roll(seen, best, axis=(0, 1))
