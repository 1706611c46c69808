"""Figures of polygons that every step reports in the same sense."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray


def vertex_counts(geometries: NDArray[np.object_]) -> NDArray[np.int32]:
    """Return the corners of all rings of each geometry, without the repeated last ones."""
    parts, owner = shapely.get_parts(geometries, return_index=True)
    rings = np.where(shapely.get_type_id(parts) == 3, shapely.get_num_interior_rings(parts) + 1, 0)
    closings = np.bincount(owner, rings * ~shapely.is_empty(parts), minlength=len(geometries))
    counts: NDArray[np.int32] = (shapely.get_num_coordinates(geometries) - closings).astype(np.int32)
    return counts
