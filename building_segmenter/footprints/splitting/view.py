"""The part of a raster around one outline, at full or at reduced resolution."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.windows import Window

from building_segmenter.footprints.splitting.burning import burnt
from building_segmenter.footprints.splitting.strips import Strips

_STRIP_PIXELS = 1 << 24


@dataclass(frozen=True)
class View:
    """A window of a raster, which may reach beyond its edge, of which every nth pixel of every nth row is looked at.

    Args:
        column: First column of the raster, 0 at its edge.
        row: First row.
        width: Columns of the view.
        height: Rows of the view.
        step: Pixels of the raster from one of the view to the next.
    """

    column: int
    row: int
    width: int
    height: int
    step: int

    @classmethod
    def around(cls, polygon: shapely.Polygon, most: int) -> View:
        """Return the view of a polygon, in pixels of the raster, with a margin of a pixel.

        Args:
            polygon: What to look at.
            most: Pixels of the view, about; the step is the smallest that keeps to them.
        """
        left, top, right, bottom = shapely.bounds(polygon).tolist()
        column, row = math.floor(left), math.floor(top)
        across, down = math.ceil(right) - column, math.ceil(bottom) - row
        step = max(1, math.ceil(math.sqrt(across * down / most)))
        width, height = -(-across // step) + 2, -(-down // step) + 2
        return cls(column - step, row - step, width, height, step)

    def into(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return places (n, 2) in the raster's pixels as places in those of the view."""
        return (points - (self.column, self.row)) / self.step

    def back(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return places (n, 2) in pixels of the view as places in the raster's."""
        return points * self.step + (self.column, self.row)

    def burnt(self, polygons: NDArray[Any]) -> NDArray[np.int32]:
        """Return for each pixel the number, from 1, of the polygon that holds its middle, 0 where none does."""
        return burnt(shapely.transform(polygons, self.into), self.height, self.width)

    def read(self, strips: Strips) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return the stored values (height, width) of a band, and where they are valid: nowhere beyond the edge."""
        stored = np.zeros((self.height, self.width), strips.dtype)
        valid = np.zeros((self.height, self.width), np.bool_)
        columns = self.column + self.step * np.arange(self.width) + self.step // 2
        rows = self.row + self.step * np.arange(self.height) + self.step // 2
        across = np.flatnonzero((columns >= 0) & (columns < strips.width))
        down = np.flatnonzero((rows >= 0) & (rows < strips.height))
        each = max(1, _STRIP_PIXELS // (self.width * self.step * self.step))
        for part in np.split(down, range(each, len(down), each)):
            window, inside = _window(rows[part], columns[across], self.step)
            # A run of pixels is copied faster by its ends than by its members.
            place = np.s_[part[0] : part[-1] + 1, across[0] : across[-1] + 1]
            values, known = strips.read(window)
            stored[place] = values[inside]
            valid[place] = True if known is None else known[inside]
        return stored, valid


def _window(rows: NDArray[np.intp], columns: NDArray[np.intp], step: int) -> tuple[Window, Any]:
    """Return the window of every nth row and column of a raster, and where they are in it."""
    top, left = int(rows[0]), int(columns[0])
    window = Window(left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1)
    return window, np.s_[::step, ::step]
