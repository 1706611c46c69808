"""A training chip in memory, and cutting one from a raster and its footprints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.io import DatasetReader
from scipy.ndimage import maximum_filter, minimum_filter

from building_segmenter.rasters.grid import ModelGrid, read_grid
from building_segmenter.rasters.overlay import PixelPolygons, Window

BUILDING = 1
IGNORE = 255
CONTACT_REACH_M = 0.4
"""Two buildings are in contact where a pixel lies within this ground distance of both."""


@dataclass(frozen=True)
class Chip:
    """An image with its labels.

    Args:
        image: (height, width, bands) in the raster's own type.
        label: (height, width) uint8: 0 ground, 1 building, 255 unknown (nodata, or outside the labelled area).
        contact: (height, width) uint8: 1 where two buildings meet.
        transform: From the chip's pixels to `crs`.
        crs: CRS of the raster, or None.
    """

    image: NDArray[Any]
    label: NDArray[np.uint8]
    contact: NDArray[np.uint8]
    transform: Affine
    crs: Any


def cut_chip(
    dataset: DatasetReader,
    grid: ModelGrid,
    bands: tuple[int, ...],
    footprints: PixelPolygons,
    area: PixelPolygons | None,
    window: Window,
) -> Chip | None:
    """Cut one chip; None where no pixel of the window is known.

    Args:
        dataset: The open raster.
        grid: Its grid of model pixels.
        bands: Bands counted from 1.
        footprints: Buildings on the grid.
        area: Where the buildings are complete, or None for everywhere.
        window: (column, row, width, height). What sticks out of the grid is 0 in the image and unknown.
    """
    known = np.ones(window[3:1:-1], np.bool_) if area is None else _inside(area, window)
    if not known.any():
        return None
    image, valid = _read_padded(dataset, grid, bands, window)
    known &= valid
    if not known.any():
        return None
    instances, contact = _instances(footprints, grid, window)
    label = np.where(instances > 0, np.uint8(BUILDING), np.uint8(0))
    label[~known] = IGNORE
    contact[~known] = 0
    transform = grid.transform @ Affine.translation(window[0], window[1])
    return Chip(image, label, contact, transform, grid.crs)


def _inside(area: PixelPolygons, window: Window) -> NDArray[np.bool_]:
    indices = area.in_window(window)
    return area.burn(window, indices, np.ones(len(indices), np.int32)) > 0


def _read_padded(
    dataset: DatasetReader, grid: ModelGrid, bands: tuple[int, ...], window: Window
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    column, row, width, height = window
    inside = (column, row, min(width, grid.width - column), min(height, grid.height - row))
    image, valid = read_grid(dataset, grid, bands, inside)
    missing = ((0, height - inside[3]), (0, width - inside[2]))
    return np.pad(image, (*missing, (0, 0))), np.pad(valid, missing)


def _instances(
    footprints: PixelPolygons, grid: ModelGrid, window: Window
) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Return building numbers (from 1) and contacts; both are the same however chips are cut."""
    reach = max(1, round(CONTACT_REACH_M / min(grid.gsd)))
    column, row, width, height = window
    wider = (column - reach, row - reach, width + 2 * reach, height + 2 * reach)
    indices = footprints.in_window(wider)
    numbers = footprints.burn(wider, indices, indices + 1)
    size = 2 * reach + 1
    highest = maximum_filter(numbers, size)
    lowest = minimum_filter(np.where(numbers > 0, numbers, np.iinfo(np.int32).max), size)
    contact = ((highest > 0) & (lowest < highest)).astype(np.uint8)
    core = (slice(reach, reach + height), slice(reach, reach + width))
    return numbers[core], contact[core]
