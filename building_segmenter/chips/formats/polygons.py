"""Polygons as lists of numbers, and back to rasters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import rasterio.features
import shapely
from affine import Affine
from numpy.typing import NDArray

Ring = NDArray[np.float64]
"""(n, 2): x, y of the corners, the first not repeated."""


def parts_of(polygon: Any) -> list[tuple[Ring, list[Ring]]]:
    """Return the outer ring and the holes of each part of a polygon."""
    return [
        (_ring(part.exterior), [_ring(hole) for hole in part.interiors])
        for part in shapely.get_parts(polygon)
        if part.geom_type == "Polygon" and not part.is_empty
    ]


def one_ring(polygon: Any) -> Ring:
    """Return a polygon as one ring: holes and further parts hang on bridges of no width, there and back.

    For formats with one ring an object. Filled by the even-odd rule, the bridges vanish and the holes are open.
    """
    rings = [ring for outer, holes in parts_of(polygon) for ring in (outer, *holes)]
    # All one way round, as GDAL turns rings: an edge on pixel centres is drawn by its direction.
    joined, *rest = (ring[::-1] if _signed_area(ring) < 0 else ring for ring in rings)
    while rest:
        pairs = [_bridge(joined, ring) for ring in rest]
        nearest = min(range(len(rest)), key=lambda index: pairs[index][0])
        _, start, end = pairs[nearest]
        joined = _inserted(joined, start, rest.pop(nearest), end)
    return joined


def burn(shapes: Sequence[Sequence[Ring]], size: tuple[int, int]) -> NDArray[np.int32]:
    """Return a raster (height, width) that numbers shapes from 1 where they hold a pixel's centre, later ones over.

    Args:
        shapes: The rings of each, outer ones and holes alike: the even-odd rule tells them apart.
        size: Width and height in pixels.
    """
    width, height = size
    raster = np.zeros((height, width), np.int32)
    numbered = [(_geometry(rings), index) for index, rings in enumerate(shapes, 1) if rings]
    if numbered:
        rasterio.features.rasterize(numbered, out=raster, transform=Affine.identity())
    return raster


def _ring(line: Any) -> Ring:
    corners: Ring = shapely.get_coordinates(line)[:-1]
    return corners


def _signed_area(ring: Ring) -> float:
    following = np.roll(ring, -1, axis=0)
    return float((ring[:, 0] * following[:, 1] - ring[:, 1] * following[:, 0]).sum() / 2)


def _geometry(rings: Sequence[Ring]) -> dict[str, Any]:
    closed = [np.concatenate([ring, ring[:1]]).tolist() for ring in rings]
    return {"type": "Polygon", "coordinates": closed}


def _bridge(joined: Ring, ring: Ring) -> tuple[float, int, int]:
    """Return length, start and end of the shortest bridge; level ones only where there is no other.

    A level line through pixel centres would be filled by itself.
    """
    steps = joined[:, None] - ring
    lengths = np.hypot(steps[..., 0], steps[..., 1])
    lengths[steps[..., 1] == 0] += 1e9
    start, end = np.unravel_index(int(lengths.argmin()), lengths.shape)
    return float(lengths[start, end]), int(start), int(end)


def _inserted(joined: Ring, start: int, ring: Ring, end: int) -> Ring:
    turned = np.roll(ring, -end, axis=0)
    return np.concatenate([joined[: start + 1], turned, turned[:1], joined[start:]])
