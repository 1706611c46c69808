"""Rasters seen through the grid of an export."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import MaskFlags, Resampling
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds
from rasterio.windows import Window as RasterWindow

from building_segmenter.chips.chip import ImageFacts
from building_segmenter.errors import MissingCrsError, NoOverlapError
from building_segmenter.rasters.grid import ModelGrid, read_bands
from building_segmenter.rasters.overlay import Window
from building_segmenter.rasters.source import image_bands, is_fully_valid, open_raster, pixel_on_ground

_NEAR = 1.5
"""A second raster with pixels that much finer is averaged, not interpolated."""


class View(Protocol):
    """A raster whose pixels are those of a grid."""

    facts: ImageFacts

    def read(self, window: Window) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return the image (bands, height, width) of a window inside the grid, and where it is valid."""


class RasterView:
    """The raster that the grid was made for, or one with the same pixels.

    Args:
        dataset: The open raster.
        grid: The grid.
        bands: Bands counted from 1.
    """

    def __init__(self, dataset: DatasetReader, grid: ModelGrid, bands: tuple[int, ...]) -> None:
        self._dataset, self._grid, self._bands = dataset, grid, bands
        self.facts = image_facts(dataset, bands)

    def read(self, window: Window) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """See `View`."""
        return read_bands(self._dataset, self._grid, self._bands, window)

    def has_image(self, window: Window) -> bool:
        """Tell whether any pixel of a window inside the grid is valid."""
        if is_fully_valid(self._dataset):
            return True
        return bool(read_bands(self._dataset, self._grid, self._bands[:1], window)[1].any())


class WarpedView:
    """A raster of any CRS and pixel, resampled to the grid.

    Args:
        warped: The raster, warped to the grid.
        bands: Bands counted from 1.
        has_alpha: Its last band was added to tell where it ends.
    """

    def __init__(self, warped: WarpedVRT, bands: tuple[int, ...], has_alpha: bool) -> None:
        self._warped, self._bands, self._has_alpha = warped, bands, has_alpha
        self._half = _opaque(warped.dtypes[-1] if has_alpha else "uint8") / 2
        self.facts = image_facts(warped, bands)

    def read(self, window: Window) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """See `View`."""
        source = RasterWindow(*window)
        image = self._warped.read(list(self._bands), window=source)
        # GDAL does not count an alpha band that it added itself as the mask of the others.
        mask = self._warped.read(self._warped.count, window=source) if self._has_alpha else None
        valid = (self._warped.dataset_mask(window=source) if mask is None else mask) >= self._half
        if image.dtype.kind == "f":
            valid &= np.isfinite(image).all(axis=0)
        return image, valid


def image_facts(dataset: Any, bands: tuple[int, ...]) -> ImageFacts:
    """Return what all images cut from a raster have in common."""
    names = tuple(dataset.descriptions[band - 1] or f"Band_{band}" for band in bands)
    nodata = dataset.nodatavals[bands[0] - 1]
    return ImageFacts(dataset.dtypes[bands[0] - 1], names, None if nodata is None else float(nodata))


def blank_value(facts: ImageFacts) -> Any:
    """Return the value of pixels without image, in the type of the images."""
    return np.array(0 if facts.nodata is None else facts.nodata).astype(facts.dtype)


@contextmanager
def second_view(path: str | None, dataset: DatasetReader, grid: ModelGrid) -> Iterator[View | None]:
    """Open the second raster of an export, or give None where there is none.

    Raises:
        InputUnreadableError: It cannot be read.
        MissingCrsError: It has no CRS.
        NoOverlapError: It does not lie over the first one.
    """
    if path is None:
        yield None
        return
    with open_raster(path, "second image") as other:
        bands = image_bands(other, None)
        if _same_pixels(other, dataset):
            yield RasterView(other, grid, bands)
            return
        if other.crs is None:
            raise MissingCrsError(f"The second image {path} has no CRS.", "Assign its CRS and run again.")
        _check_overlap(other, grid, path)
        # Without it the ground beside the raster would pass for black image.
        has_alpha = all(MaskFlags.all_valid in flags for flags in other.mask_flag_enums)
        with _warped(other, grid, has_alpha) as warped:
            yield WarpedView(warped, bands, has_alpha)


def _same_pixels(one: DatasetReader, other: DatasetReader) -> bool:
    return bool(
        one.shape == other.shape and one.crs == other.crs and one.transform.almost_equals(other.transform, 1e-9)
    )


def _opaque(dtype: str) -> float:
    """Return the value of an alpha band where it hides nothing."""
    return float(np.iinfo(dtype).max) if np.dtype(dtype).kind in "iu" else 255.0


def _warped(dataset: DatasetReader, grid: ModelGrid, add_alpha: bool) -> WarpedVRT:
    finer = pixel_on_ground(dataset, None)[0] < grid.gsd[0] / _NEAR
    return WarpedVRT(
        dataset,
        crs=grid.crs,
        transform=grid.transform,
        width=grid.width,
        height=grid.height,
        resampling=Resampling.average if finer else Resampling.bilinear,
        add_alpha=add_alpha,
    )


def _check_overlap(dataset: DatasetReader, grid: ModelGrid, path: str) -> None:
    left, bottom, right, top = transform_bounds(dataset.crs, grid.crs, *dataset.bounds)
    corners = [~grid.transform @ corner for corner in ((left, bottom), (left, top), (right, bottom), (right, top))]
    columns, rows = zip(*corners, strict=True)
    if max(columns) <= 0 or max(rows) <= 0 or min(columns) >= grid.width or min(rows) >= grid.height:
        raise NoOverlapError(
            f"The second image {path} does not lie over the first one.",
            "Check that both lie at the same place and carry the right CRS.",
        )
