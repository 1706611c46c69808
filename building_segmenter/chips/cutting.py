"""Cutting a chip from a raster and its footprints."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.io import DatasetReader
from scipy.ndimage import maximum_filter, minimum_filter

from building_segmenter.chips.chip import BUILDING, CONTACT_REACH_M, IGNORE, Chip, ChipObject, Split
from building_segmenter.rasters.grid import ModelGrid, read_grid
from building_segmenter.rasters.overlay import PixelPolygons, Window

CLASS_NAME = "building"


def cut_chip(
    dataset: DatasetReader,
    grid: ModelGrid,
    bands: tuple[int, ...],
    footprints: PixelPolygons,
    area: PixelPolygons | None,
    window: Window,
    number: int,
    split: Split,
) -> Chip | None:
    """Cut one chip; None where no pixel of the window is known.

    Args:
        dataset: The open raster.
        grid: Its grid of model pixels.
        bands: Bands counted from 1.
        footprints: Buildings on the grid.
        area: Where the buildings are complete, or None for everywhere.
        window: (column, row, width, height). What sticks out of the grid is 0 in the image and unknown.
        number: Of the chip in the export.
        split: What the chip is for.
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
    instances[~known] = 0
    transform = grid.transform @ Affine.translation(window[0], window[1])
    objects = _objects(footprints, window, np.unique(instances[instances > 0]))
    return Chip(image, label, contact, instances, objects, transform, grid.crs, number, split)


def _objects(footprints: PixelPolygons, window: Window, ids: NDArray[np.int32]) -> tuple[ChipObject, ...]:
    column, row, width, height = window
    box = shapely.box(column, row, column + width, row + height)
    wholes = footprints.geometries[ids - 1]
    inside = shapely.intersection(wholes, box)
    shares = shapely.area(inside) / shapely.area(wholes)
    moved = shapely.transform(inside, lambda xy: xy - np.array([column, row]))
    return tuple(
        ChipObject(int(number), BUILDING, CLASS_NAME, polygon, float(share))
        for number, polygon, share in zip(ids, moved, shares, strict=True)
    )


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
