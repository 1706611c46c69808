"""Areas and lengths of outlines of a raster, in ground metres."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
from affine import Affine
from rasterio.io import DatasetReader

from building_segmenter.footprints.contours.marching import Floats
from building_segmenter.footprints.contours.nesting import Measure
from building_segmenter.footprints.contours.rings import Rings, neighbours
from building_segmenter.geo.ground import GroundFrame, local_frame
from building_segmenter.rasters.source import pixel_on_ground

# Width of the ground that shares one frame; the scale is then true to 1e-5 everywhere.
_FRAME_METRES = 50_000.0


def ground_measure(dataset: DatasetReader, ground: GroundFrame | None) -> Measure:
    """Return the function that measures rings of a raster on the ground."""
    frame_at, cell = _frames(dataset, ground)

    def measure(rings: Rings) -> tuple[Floats, Floats]:
        area, length = np.zeros(len(rings)), np.zeros(len(rings))
        if len(rings) == 0:
            return area, length
        cells = _middle(rings) // cell
        for column, row in np.unique(cells, axis=0):
            which = np.flatnonzero((cells == (column, row)).all(axis=1))
            area[which], length[which] = _sizes(rings.take(which), dataset.transform, frame_at(int(column), int(row)))
        return area, length

    return measure


def on_map(points: Floats, transform: Affine) -> tuple[Floats, Floats]:
    """Return pixels from a raster's corner (n, 2) as x and y of its CRS."""
    x, y = points[:, 0], points[:, 1]
    return transform.a * x + transform.b * y + transform.c, transform.d * x + transform.e * y + transform.f


def pixel_in(dataset: DatasetReader, ground: GroundFrame | None) -> tuple[float, float]:
    """Return the width and height of a pixel in ground metres, in the middle of a raster or in a frame."""
    if ground is None:
        return pixel_on_ground(dataset, None)
    step = dataset.transform
    east, north = ground.to_ground([0.0, step.a, step.b], [0.0, step.d, step.e])
    width, height = np.hypot(east[1:] - east[0], north[1:] - north[0]).tolist()
    return width, height


def _frames(dataset: DatasetReader, ground: GroundFrame | None) -> tuple[Callable[[int, int], GroundFrame], float]:
    """Return the ground frame by square of the raster, and the side of the squares in pixels.

    The squares belong to the raster, not to a batch of rings, so that a measure does not depend on the batches.
    """
    if ground is not None:
        return lambda column, row: ground, math.inf
    step, (height, width) = dataset.transform, dataset.shape
    cell = max(1.0, _FRAME_METRES // max(pixel_on_ground(dataset, None)))

    @cache
    def frame_at(column: int, row: int) -> GroundFrame:
        stop = min((column + 1) * cell, width), min((row + 1) * cell, height)
        middle = (np.array([[column, row]]) * cell + stop) / 2
        there = np.concatenate(on_map(middle, step)).tolist()
        return local_frame(dataset.crs, (*there, *there))

    return frame_at, cell


def _middle(rings: Rings) -> Floats:
    low = np.minimum.reduceat(rings.points, rings.starts)
    middle: Floats = (low + np.maximum.reduceat(rings.points, rings.starts)) / 2
    return middle


def _sizes(rings: Rings, transform: Affine, frame: GroundFrame) -> tuple[Floats, Floats]:
    """Return areas and lengths of rings in ground metres."""
    place = np.column_stack(frame.to_ground(*on_map(rings.points, transform)))
    place -= np.repeat(place[rings.starts], rings.lengths, axis=0)
    _, after = neighbours(rings)
    ahead = place[after]
    double = place[:, 0] * ahead[:, 1] - place[:, 1] * ahead[:, 0]
    area = np.abs(np.add.reduceat(double, rings.starts)) / 2
    return area, np.add.reduceat(np.hypot(*(ahead - place).T), rings.starts)
