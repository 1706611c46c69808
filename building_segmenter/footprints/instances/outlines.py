"""Sub-pixel outlines of many patches at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from building_segmenter.footprints.contours.marching import Excess, Floats
from building_segmenter.footprints.contours.nesting import nested
from building_segmenter.footprints.contours.rings import Rings, contour_rings, neighbours
from building_segmenter.footprints.instances.patch import FULL, INSIDE, Patch

_SHEET_PIXELS = 1 << 20


def outlines(patches: Sequence[Patch], min_hole_area: float) -> NDArray[Any]:
    """Trace around the pixels inside of patches; see `contours` for how.

    Args:
        patches: Any number; they may lie over each other.
        min_hole_area: Holes of less area are filled; square pixels.

    Returns:
        The largest piece of each as a polygon (n,) in pixels of the grid; None where nothing is inside. Smaller pieces
        are left out: in masks they are specks, and a building is one polygon.
    """
    found = np.full(len(patches), None, object)
    for sheet in _sheets(patches):
        polygons, owner = _traced([patches[index] for index in sheet], min_hole_area)
        # Ascending by area, so that the largest is the last to be written.
        for k in np.argsort(shapely.area(polygons), kind="stable").tolist():
            found[sheet[owner[k]]] = polygons[k]
    return found


def _sheets(patches: Sequence[Patch]) -> Iterator[list[int]]:
    """Yield indices of patches of similar width that are traced together, one below the other."""
    sheet: list[int] = []
    height = 0
    for index in sorted(range(len(patches)), key=lambda k: patches[k].values.shape[1]):
        rows, columns = patches[index].values.shape
        if sheet and (height + rows) * columns > _SHEET_PIXELS:
            yield sheet
            sheet, height = [], 0
        sheet.append(index)
        height += rows + 2
    if sheet:
        yield sheet


def _traced(patches: list[Patch], min_hole_area: float) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return polygons in pixels of the grid, and the patch that each is a piece of."""
    tops = np.cumsum([0] + [len(patch.values) + 2 for patch in patches])
    sheet = _sheet(patches, tops)
    traced = list(nested(contour_rings([sheet], sheet.shape), _in_pixels, 0.0, min_hole_area))
    polygons = np.concatenate([batch.polygons for batch in traced])
    owner = np.searchsorted(tops, shapely.bounds(polygons)[:, 1], side="right") - 1
    places = np.array([(patch.column - 1, patch.row - 1 - top) for patch, top in zip(patches, tops, strict=False)])
    points = np.repeat(places[owner], shapely.get_num_coordinates(polygons), axis=0)
    return shapely.set_coordinates(polygons, shapely.get_coordinates(polygons) + points), owner


def _sheet(patches: list[Patch], tops: NDArray[np.int64]) -> Excess:
    """Return patches as excess over the level one below the other, nothing inside for a pixel around each."""
    level = (INSIDE - 0.5) / FULL
    width = max(patch.values.shape[1] for patch in patches) + 2
    sheet = np.full((int(tops[-1]), width), -level, np.float32)
    for patch, top in zip(patches, tops.tolist(), strict=False):
        rows, columns = patch.values.shape
        sheet[top + 1 : top + 1 + rows, 1 : 1 + columns] = patch.values * np.float32(1 / FULL) - np.float32(level)
    return sheet


def _in_pixels(rings: Rings) -> tuple[Floats, Floats]:
    """Return areas and lengths of rings in pixels."""
    if len(rings) == 0:
        return np.zeros(0), np.zeros(0)
    _, after = neighbours(rings)
    # Relative to each ring's first point, so that far from the corner no digit is lost.
    place = rings.points - np.repeat(rings.points[rings.starts], rings.lengths, axis=0)
    ahead = place[after]
    double = place[:, 0] * ahead[:, 1] - place[:, 1] * ahead[:, 0]
    length: Floats = np.add.reduceat(np.hypot(*(ahead - place).T), rings.starts)
    return np.abs(np.add.reduceat(double, rings.starts)) / 2, length
