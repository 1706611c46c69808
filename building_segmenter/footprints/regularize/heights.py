"""Z of regularized polygons: a constant is kept, otherwise a new corner takes the Z of the nearest old one."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from scipy.spatial import KDTree


def heights_from(old: Any, old_plane: Any, new_plane: Any) -> Any:
    """Return the Z of each corner of a new polygon.

    Args:
        old: Geometry with Z, in any CRS.
        old_plane: The same geometry in ground metres.
        new_plane: The new geometry in ground metres.

    Returns:
        Array with an element for each coordinate of `new_plane`.
    """
    z = shapely.get_coordinates(old, include_z=True)[:, 2]
    corners = shapely.get_coordinates(new_plane)
    if np.all(z == z[0]) or np.isnan(z).all():
        return np.full(len(corners), z[0])
    _, nearest = KDTree(shapely.get_coordinates(old_plane)).query(corners)
    return z[nearest]


def with_heights(geometry: Any, heights: Any) -> Any:
    """Return a plane geometry with these Z at its coordinates."""
    coordinates = np.column_stack((shapely.get_coordinates(geometry), heights))
    return shapely.set_coordinates(shapely.force_3d(geometry), coordinates)
