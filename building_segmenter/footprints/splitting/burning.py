"""Polygons onto pixels, for many small windows: GDAL takes a millisecond to begin with each."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray


def burnt(polygons: NDArray[Any], height: int, width: int) -> NDArray[np.int32]:
    """Return for each pixel the number, from 1, of the polygon that holds its middle, 0 where none does.

    Each edge adds the polygon's number to all pixels of the rows that it crosses, to its right, or takes it off,
    by its direction; what lies outside has as many of one as of the other. A middle on a line that two polygons
    share belongs to the right one.

    Args:
        polygons: Valid polygons (n,) that do not overlap, in pixels, 0 at the corner of the first.
        height: Rows of the window.
        width: Columns of the window.
    """
    rings, owner = shapely.get_rings(shapely.orient_polygons(polygons), return_index=True)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    edge = np.flatnonzero(ring[:-1] == ring[1:])
    x0, y0, x1, y1 = points[edge, 0], points[edge, 1], points[edge + 1, 0], points[edge + 1, 1]
    # Rows whose middle lies in the half-open span of the edge.
    first = np.clip(np.ceil(np.minimum(y0, y1) - 0.5), 0, height).astype(np.int64)
    last = np.clip(np.ceil(np.maximum(y0, y1) - 0.5), 0, height).astype(np.int64)
    counts = last - first
    which = np.repeat(np.arange(len(edge)), counts)
    row = first[which] + np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    x = x0[which] + (row + 0.5 - y0[which]) * ((x1 - x0)[which] / (y1 - y0)[which])
    column = np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)
    added = np.where(y1 < y0, 1, -1)[which] * (owner[ring[edge]] + 1)[which]
    sums = np.bincount(row * (width + 1) + column, added, height * (width + 1)).reshape(height, width + 1)
    return np.rint(np.cumsum(sums, axis=1)[:, :width]).astype(np.int32)
