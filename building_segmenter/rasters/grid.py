"""The grid of model pixels over a raster: where they lie, and reading the raster through them.

A network was trained at one ground pixel; a raster has another. The grid's pixels are the raster's own where those
are near the model's (within 15 %), a whole number of them where such a number is near, and otherwise the raster's
pixel times a power of 2 in steps of 1/32, so that files cut from one mosaic get the same grid although their
ground pixels differ a little with latitude.

Model pixels and tile lines lie on a world lattice, counted from the origin of the CRS, so that abutting files and
a mosaic of them agree. An axis along which the raster is no longer than a tile has one tile, which begins where the
raster does; so has a rotated raster, which no other abuts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.io import DatasetReader
from rasterio.windows import Window

from building_segmenter.rasters.source import is_fully_valid

_NEAR = 1.15
_STEPS_PER_OCTAVE = 32
# Where between two whole pixels an origin goes over to the next one. Origins lie on whole pixels, halves and quarters,
# give or take the last digit, and all that abut must go the same way: rounding takes 0.5 down and 1.5 up.
_TURN = 0.71
# Places that are the middle of two lattice lines but for the last digits.
_TIE = 1e-6
# Model pixels read around a window where the kernel needs neighbours.
_MARGIN = 4


@dataclass(frozen=True)
class Axis:
    """One axis of a model grid.

    Args:
        size: Model pixels along the axis.
        factor: Raster pixels in a model pixel.
        offset: Raster pixels from the raster's edge to the grid's, negative where the grid begins before it.
        index: Position of the grid's first pixel on the world lattice, in model pixels.
        length: Raster pixels along the axis.
    """

    size: int
    factor: float
    offset: float
    index: int
    length: int


@dataclass(frozen=True)
class ModelGrid:
    """Model pixels over a raster, north-up in the sense that the picture is never mirrored.

    Args:
        columns: The axis along rows.
        rows: The axis along columns; counted from the raster's last row where the raster is mirrored (south-up).
        transform: From model pixels to the CRS.
        crs: CRS of the raster, or None.
        mirrored: The raster's rows run the other way.
        gsd: Width and height of a model pixel in ground metres.
    """

    columns: Axis
    rows: Axis
    transform: Affine
    crs: Any
    mirrored: bool
    gsd: tuple[float, float]

    @property
    def width(self) -> int:
        """Model pixels in a row."""
        return self.columns.size

    @property
    def height(self) -> int:
        """Rows of model pixels."""
        return self.rows.size


def model_grid(dataset: DatasetReader, pixel: tuple[float, float], gsd: float | None, tile_size: int) -> ModelGrid:
    """Return the grid of model pixels over a raster.

    Args:
        dataset: The open raster.
        pixel: Width and height of its pixels in ground metres, from `source.pixel_on_ground`.
        gsd: The model's ground pixel in metres, or None to keep the raster's pixels.
        tile_size: Side of a tile in model pixels.
    """
    step = dataset.transform
    # A picture without any georeference counts its rows downwards and is no mirror image of the ground.
    mirrored = step.determinant > 0 and not (dataset.crs is None and step.is_identity)
    aligned = step.b == 0 and step.d == 0 and step.a > 0 and not step.is_identity
    fx, fy = (1.0, 1.0) if gsd is None else (resampling_factor(gsd / pixel[0]), resampling_factor(gsd / pixel[1]))
    left, top = dataset.bounds.left, max(dataset.bounds.top, dataset.bounds.bottom)
    columns = _axis(dataset.width, fx, left / step.a if aligned else None, tile_size)
    rows = _axis(dataset.height, fy, -top / abs(step.e) if aligned else None, tile_size)
    upright = step @ Affine.translation(0, dataset.height) @ Affine.scale(1, -1) if mirrored else step
    transform = upright @ Affine.translation(columns.offset, rows.offset) @ Affine.scale(fx, fy)
    return ModelGrid(columns, rows, transform, dataset.crs, mirrored, (pixel[0] * fx, pixel[1] * fy))


def resampling_factor(ratio: float) -> float:
    """Return the raster pixels that make a model pixel, given the ratio of their ground sizes.

    The nearest whole number if that changes the ground pixel by at most 15 %, otherwise the nearest power of
    2 ** (1 / 32).
    """
    whole = max(1, round(ratio))
    if 1 / _NEAR <= whole / ratio <= _NEAR:
        return float(whole)
    return float(2 ** (round(math.log2(ratio) * _STEPS_PER_OCTAVE) / _STEPS_PER_OCTAVE))


def read_grid(
    dataset: DatasetReader,
    grid: ModelGrid,
    bands: tuple[int, ...],
    window: tuple[int, int, int, int],
    *,
    soft: bool = False,
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Read a window of model pixels as an image (height, width, bands); otherwise as `read_bands`."""
    image, valid = _read(dataset, grid, bands, window, soft=soft, bands_last=True)
    return np.ascontiguousarray(np.moveaxis(image, 0, -1)), valid


def read_bands(
    dataset: DatasetReader,
    grid: ModelGrid,
    bands: tuple[int, ...],
    window: tuple[int, int, int, int],
    *,
    soft: bool = False,
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Read a window of model pixels, band by band.

    Args:
        dataset: The open raster.
        grid: Its grid.
        bands: Bands counted from 1, in the order wanted.
        window: (column, row, width, height) in model pixels, inside the grid.
        soft: Where model pixels are the coarser ones, weigh what lies within one of them of their middle by a
            triangle, instead of taking the mean of what they cover.

    Returns:
        The image (bands, height, width) in the raster's own type, and where it is valid (height, width): not
        nodata, not masked, not transparent, not NaN.
    """
    image, valid = _read(dataset, grid, bands, window, soft=soft, bands_last=False)
    return np.ascontiguousarray(image), valid


def _read(
    dataset: DatasetReader,
    grid: ModelGrid,
    bands: tuple[int, ...],
    window: tuple[int, int, int, int],
    *,
    soft: bool,
    bands_last: bool,
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Read as `read_bands`; with `bands_last` the image's memory is that of one with its bands last."""
    x = _Span.of(grid.columns, window[0], window[2], mirrored=False, soft=soft)
    y = _Span.of(grid.rows, window[1], window[3], mirrored=grid.mirrored, soft=soft)
    source = Window(x.start, y.start, x.length, y.length)
    down = grid.columns.factor >= 1 and grid.rows.factor >= 1
    how = Resampling.average if down and not soft else Resampling.bilinear
    shape = (y.pixels, x.pixels)
    dtype = dataset.dtypes[bands[0] - 1]
    # GDAL puts pixels where they are wanted while it copies them; NumPy would have to go over them again.
    image = (
        np.empty((*shape, len(bands)), dtype).transpose(2, 0, 1)
        if bands_last
        else np.empty((len(bands), *shape), dtype)
    )
    dataset.read(list(bands), window=source, out=image, resampling=how)
    if is_fully_valid(dataset):
        valid = np.ones(image.shape[1:], np.bool_)
    else:
        # Half of a model pixel decides, so that single transparent pixels do not bite holes.
        valid = dataset.dataset_mask(window=source, out_shape=shape, resampling=Resampling.average) >= 128
    if image.dtype.kind == "f":
        valid &= np.isfinite(image).all(axis=0)
    if grid.mirrored:
        image, valid = image[:, ::-1], valid[::-1]
    return _cut(image, x, y), np.ascontiguousarray(_cut(valid, x, y))


def _axis(length: int, factor: float, origin: float | None, tile_size: int) -> Axis:
    whole = max(1, round(length / factor))
    if origin is None or whole <= tile_size:
        return Axis(whole, factor, 0.0, 0, length)
    # The raster keeps the phase of its own pixels: its start is moved to the lattice of those.
    start = math.floor(origin + 1 - _TURN)
    index = _line(start / factor)
    return Axis(max(1, _line((start + length) / factor) - index), factor, index * factor - start, index, length)


def _line(place: float) -> int:
    """Return the lattice line nearest to a place: in the middle of two always the first, so that neighbours meet."""
    return math.ceil(place - 0.5 - _TIE)


@dataclass(frozen=True)
class _Span:
    """The raster pixels under a run of model pixels, clipped to the raster.

    `before` and `after` are the model pixels to cut off again (positive: margin) or to repeat (negative: the run
    sticks out of the raster, by less than a model pixel).
    """

    start: float
    length: float
    pixels: int
    before: int
    after: int

    @staticmethod
    def of(axis: Axis, first: int, count: int, *, mirrored: bool, soft: bool) -> _Span:
        alone = axis.factor == 1 or (axis.factor == int(axis.factor) and not soft)
        margin = 0 if alone else _MARGIN
        inside_first = math.ceil(-axis.offset / axis.factor - 1e-6)
        inside_last = math.floor((axis.length - axis.offset) / axis.factor + 1e-6)
        low = min(max(first - margin, inside_first), max(inside_last - 1, 0))
        high = max(min(first + count + margin, inside_last), low + 1)
        start = max(axis.offset + low * axis.factor, 0.0)
        stop = min(axis.offset + high * axis.factor, float(axis.length))
        if mirrored:
            start, stop = axis.length - stop, axis.length - start
        return _Span(start, stop - start, high - low, first - low, high - (first + count))


def _cut(array: NDArray[Any], x: _Span, y: _Span) -> NDArray[Any]:
    repeat = [(max(-span.before, 0), max(-span.after, 0)) for span in (y, x)]
    if any(any(pair) for pair in repeat):
        array = np.pad(array, [(0, 0)] * (array.ndim - 2) + repeat, mode="edge")
    rows = slice(max(y.before, 0), array.shape[-2] - max(y.after, 0))
    columns = slice(max(x.before, 0), array.shape[-1] - max(x.after, 0))
    return array[..., rows, columns]
