"""Turned chips: their image resampled once, their labels drawn from turned polygons."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.warp import reproject
from scipy.ndimage import distance_transform_edt

from building_segmenter.chips.frames import Frame
from building_segmenter.chips.truth import Labels, Truth, labelled
from building_segmenter.rasters.overlay import PixelPolygons

# Source and target are pixels of one grid; GDAL wants any projected CRS for both.
_ANY_CRS = CRS.from_epsg(3857)


def quarter_turned(array: NDArray[Any], quarters: int) -> NDArray[Any]:
    """Return an array (..., height, width) of the grid's pixels as a chip turned by so many quarters shows them."""
    return np.rot90(array, quarters, axes=(-2, -1))


def turned_image(
    image: NDArray[Any], valid: NDArray[np.bool_], corner: tuple[int, int], frame: Frame, blank: Any
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Resample a piece of the grid, by cubic convolution, to a turned chip.

    Args:
        image: (bands, height, width), the pixels of `frame.window`.
        valid: (height, width): where there is an image.
        corner: Column and row of the first pixel of `image` in the grid.
        frame: The chip.
        blank: Value of pixels without image.

    Returns:
        The chip's image (bands, height, width), and where most of a pixel is valid.
    """
    # GDAL counts y upwards; a piece and its chip are mirrored alike, so nothing else changes.
    to_grid = Affine.translation(-corner[0], -corner[1]) @ frame.to_grid
    made = np.zeros((image.shape[0], frame.height, frame.width), image.dtype)
    _resample(image if valid.all() else _filled(image, valid), made, to_grid, Resampling.cubic)
    if valid.all():
        return made, np.ones(made.shape[1:], np.bool_)
    share = np.zeros(made.shape[1:], np.uint8)
    _resample(valid.astype(np.uint8) * 255, share, to_grid, Resampling.bilinear)
    # Half of a pixel decides, as when the raster is read.
    known = share >= 128
    made[:, ~known] = blank
    return made, known


def _filled(image: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[Any]:
    """Return the image with its nearest valid pixel where a pixel is not, so that nodata does not bleed into others."""
    if not valid.any():
        return image
    rows, columns = distance_transform_edt(~valid, return_distances=False, return_indices=True)
    filled: NDArray[Any] = image[:, rows, columns]
    return filled


def turned_labels(truth: Truth, frame: Frame, valid: NDArray[np.bool_]) -> Labels:
    """Draw the labels of a turned chip from polygons turned with it, exact to the pixel's centre.

    Args:
        truth: Footprints and area.
        frame: The chip.
        valid: (height, width): where there is an image.
    """
    reach = truth.contacts.reach
    window = (0, 0, frame.width, frame.height)
    wider = (-reach, -reach, frame.width + 2 * reach, frame.height + 2 * reach)
    near = truth.polygons.touching_polygon(frame.outline.buffer(2 * reach))
    turned = PixelPolygons(in_chip(truth.polygons.geometries[near], frame))
    everything = turned.burn(wider, np.arange(len(near)), truth.ids[near])
    core = everything[reach:-reach, reach:-reach]
    contact = np.zeros(core.shape, np.uint8)
    if truth.contacts.possible(frame.window):
        contact = truth.contacts.mark(everything)
    known = valid
    if truth.area is not None:
        there = truth.area.touching_polygon(frame.outline)
        area = PixelPolygons(in_chip(truth.area.geometries[there], frame))
        known = valid & (area.burn(window, np.arange(len(there)), np.ones(len(there), np.int32)) > 0)
    return labelled(core, contact, truth.values, known)


def in_chip(geometries: NDArray[Any], frame: Frame) -> NDArray[Any]:
    """Return geometries of the grid in pixels of a chip."""
    to_chip = ~frame.to_grid
    moved: NDArray[Any] = shapely.transform(geometries, lambda x, y: to_chip @ (x, y), interleaved=False)
    return moved


def _resample(source: NDArray[Any], target: NDArray[Any], to_source: Affine, how: Resampling) -> None:
    reproject(
        source,
        target,
        src_transform=Affine.identity(),
        dst_transform=to_source,
        src_crs=_ANY_CRS,
        dst_crs=_ANY_CRS,
        resampling=how,
        tolerance=0,
        # Otherwise GDAL takes a turned picture, which covers less than its bounds, for a smaller one and blurs it.
        XSCALE=1,
        YSCALE=1,
    )
