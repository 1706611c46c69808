"""The direction of the line, a road or a parcel's edge, that an outline lies along."""

from __future__ import annotations

from typing import Any

import geopandas
import numpy as np
import shapely
from numpy.typing import NDArray

from building_segmenter.geo.strips import NOWHERE, Ground, Strips

_TIE = 0.01
"""Metres by which segments of the nearest line may be farther than its nearest one and still count as nearest."""
_MARGIN = 1.01
"""Boxes in the layer's CRS are this much larger than on the ground, since they bend on the way."""


class Alignment:
    """Segments of lines, found by place.

    Args:
        lines: Lines, or polygons for their outlines, in the layer's CRS.
        ground: Of the layer.
        tolerance: Metres from an outline to the line that it follows, at most.
    """

    def __init__(self, lines: geopandas.GeoSeries, ground: Ground, tolerance: float) -> None:
        self._ground, self._tolerance = ground, tolerance
        self._segments, self._line = _segments(np.asarray(lines.to_numpy(), object))
        self._tree = shapely.STRtree(self._segments)

    def directions(self, outlines: NDArray[np.object_], strips: Strips) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Return the directions of the nearest segments of the line nearest to each outline.

        Where segments of one line meet at the nearest point, as at a bend, all of them count.

        Args:
            outlines: Array (n,) of polygons in the layer's CRS.
            strips: Strip (n,) in which each lies.

        Returns:
            Places (m,) in `outlines`, ascending, and an angle (m,) for each in degrees, counter-clockwise from east
            in the outline's strip. Outlines without a line within the tolerance are not among them.
        """
        there = np.flatnonzero((strips != NOWHERE) & ~shapely.is_empty(outlines) & ~shapely.is_missing(outlines))
        plane = self._ground.to_ground(outlines[there], strips[there])
        near, segment = self._tree.query(self._boxes(plane, strips[there]))
        on_ground = self._ground.to_ground(self._segments[segment], strips[there][near])
        distance = _distances(plane[near], on_ground)
        # Of several that an outline touches, the one along its middle.
        middle = shapely.distance(shapely.centroid(plane[near]), on_ground)
        order = np.lexsort((middle, distance, near))
        order = order[distance[order] <= self._tolerance]
        near, segment, distance = near[order], segment[order], distance[order]
        first = np.flatnonzero(np.diff(near, prepend=-1))
        which = np.cumsum(np.diff(near, prepend=-1) > 0) - 1
        nearest = first[which] if len(first) else first
        chosen = (self._line[segment] == self._line[segment[nearest]]) & (distance <= distance[nearest] + _TIE)
        # Outlines that touch a line at distance zero touch many of its segments: the middle one decides.
        chosen &= (distance > 0) | (np.arange(len(near)) == nearest)
        return there[near[chosen]], _angles(on_ground[order][chosen])

    def _boxes(self, plane: NDArray[np.object_], strips: Strips) -> NDArray[np.object_]:
        """Return what lies within the tolerance of outlines, in the layer's CRS, and a little more."""
        bounds = shapely.bounds(plane)
        reach = _MARGIN * self._tolerance + 0.01 * np.abs(bounds[:, 2:] - bounds[:, :2]).max(axis=1, initial=0.0)
        boxes = shapely.box(bounds[:, 0] - reach, bounds[:, 1] - reach, bounds[:, 2] + reach, bounds[:, 3] + reach)
        around: NDArray[np.object_] = shapely.envelope(self._ground.to_layer(boxes, strips))
        return around


def _segments(lines: NDArray[np.object_]) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """Return single segments and the line that each is of."""
    kinds = shapely.get_dimensions(lines)
    bare = np.where(kinds == 2, shapely.boundary(lines), lines)[kinds > 0]
    parts, owner = shapely.get_parts(bare, return_index=True)
    points, part = shapely.get_coordinates(parts, return_index=True)
    whole = (part[1:] == part[:-1]) & (points[1:] != points[:-1]).any(axis=1)
    whole &= np.isfinite(points[1:]).all(axis=1) & np.isfinite(points[:-1]).all(axis=1)
    ends = np.stack((points[:-1], points[1:]), axis=1)[whole]
    return shapely.linestrings(ends), owner[part[:-1][whole]]


def _distances(plane: NDArray[np.object_], segments: NDArray[np.object_]) -> NDArray[np.float64]:
    """Return the distance of each segment to an outline, and infinity to what is no outline."""
    distance = shapely.distance(plane, segments)
    return np.where(np.isfinite(distance), distance, np.inf)


def _angles(segments: NDArray[np.object_]) -> NDArray[np.float64]:
    ends: Any = shapely.get_coordinates(segments).reshape(-1, 2, 2)
    steps = ends[:, 1] - ends[:, 0]
    angles: NDArray[np.float64] = np.degrees(np.arctan2(steps[:, 1], steps[:, 0]))
    return angles
