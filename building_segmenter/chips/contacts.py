"""Where buildings meet: the pixels near two of them, which networks learn to keep apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter

from building_segmenter.chips.chip import CONTACT_REACH_M
from building_segmenter.rasters.overlay import Window

_NO_ID = np.iinfo(np.int32).max
_PART = 512


class Contacts:
    """Finds the pixels within reach of two footprints, and quickly where there are none.

    Args:
        geometries: Footprints in pixels.
        gsd: Width and height of a pixel in ground metres.
    """

    def __init__(self, geometries: NDArray[Any], gsd: tuple[float, float]) -> None:
        self.reach = max(1, round(CONTACT_REACH_M / min(gsd)))
        far = 2 * (self.reach + 1) * 2**0.5
        one, other = shapely.STRtree(geometries).query(geometries, predicate="dwithin", distance=far)
        pairs = one < other
        near = [_grown(shapely.bounds(geometries[side[pairs]]), far) for side in (one, other)]
        self._zones = shapely.STRtree(shapely.box(*_common(*near).T))

    def possible(self, window: Window) -> bool:
        """Tell whether two footprints come near each other in a window (column, row, width, height)."""
        column, row, width, height = window
        return len(self._zones.query(shapely.box(column, row, column + width, row + height))) > 0

    def mark(self, ids: NDArray[np.int32]) -> NDArray[np.uint8]:
        """Return 1 where two footprints lie within reach, 0 elsewhere.

        Args:
            ids: (height + 2 reach, width + 2 reach): the footprint of each pixel, 0 on ground.

        Returns:
            (height, width), without the margin.
        """
        size = 2 * self.reach + 1
        highest = maximum_filter(ids, size)
        lowest = minimum_filter(np.where(ids > 0, ids, _NO_ID), size)
        core = slice(self.reach, -self.reach)
        marked: NDArray[np.uint8] = ((highest > 0) & (lowest < highest))[core, core].astype(np.uint8)
        return marked

    def mark_window(self, ids: NDArray[np.int32], window: Window) -> NDArray[np.uint8]:
        """Do as `mark` for a window of the grid, but look only where two footprints come near each other.

        Args:
            ids: As in `mark`.
            window: (column, row, width, height) of the result.
        """
        column, row, width, height = window
        marked = np.zeros((height, width), np.uint8)
        for left in range(0, width, _PART):
            part = (column + left, row, min(_PART, width - left), height)
            for x, y, across, down in self._near(part):
                x, y = x - column, y - row
                piece = ids[y : y + down + 2 * self.reach, x : x + across + 2 * self.reach]
                marked[y : y + down, x : x + across] = self.mark(piece)
        return marked

    def _near(self, window: Window) -> list[Window]:
        """Return the parts of a window in which footprints come near each other; the whole if they are most of it."""
        column, row, width, height = window
        zones = self._zones.geometries[self._zones.query(shapely.box(column, row, column + width, row + height))]
        if len(zones) == 0:
            return []
        bounds = shapely.bounds(zones)
        low = np.clip(np.floor(bounds[:, :2]), (column, row), (column + width, row + height)).astype(int)
        high = np.clip(np.ceil(bounds[:, 2:]), (column, row), (column + width, row + height)).astype(int)
        sizes = high - low
        if (sizes + 2 * self.reach).prod(axis=1).sum() > width * height / 2:
            return [window]
        return [(*corner, *size) for corner, size in zip(low.tolist(), sizes.tolist(), strict=True) if min(size) > 0]


def _grown(bounds: NDArray[np.float64], distance: float) -> NDArray[np.float64]:
    grown: NDArray[np.float64] = bounds + np.array([-distance, -distance, distance, distance])
    return grown


def _common(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.hstack([np.maximum(one[:, :2], other[:, :2]), np.minimum(one[:, 2:], other[:, 2:])])
