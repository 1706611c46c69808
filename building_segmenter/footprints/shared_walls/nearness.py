"""How far two boundaries lie from each other, as an upper bound that is as sharp as asked."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import shapely

from building_segmenter.compiled import kernel


@kernel
def _to_segment(x: float, y: float, ax: float, ay: float, bx: float, by: float) -> float:
    dx, dy = bx - ax, by - ay
    squared = dx * dx + dy * dy
    share = 0.0 if squared == 0.0 else min(max(((x - ax) * dx + (y - ay) * dy) / squared, 0.0), 1.0)
    return math.hypot(ax + share * dx - x, ay + share * dy - y)


@kernel
def farthest(a: Any, b: Any, sharpness: float, limit: float) -> float:
    """Return an upper bound of the greatest distance of a point of segments `a` to segments `b`.

    The distance to one segment is convex along another, so the greater of the distances of both ends to the same
    segment bounds all between; where that is not sharp enough, the segment is halved.

    Args:
        a: Array (n, 4) of segments.
        b: Array (m, 4) of segments.
        sharpness: How much the bound may be too great.
        limit: Beyond it the search ends, with infinity.
    """
    worst = 0.0
    stack = np.empty((64, 4))
    for k in range(len(a)):
        stack[0], depth = a[k], 1
        while depth > 0:
            depth -= 1
            px, py, qx, qy = stack[depth, 0], stack[depth, 1], stack[depth, 2], stack[depth, 3]
            from_p = from_q = both = np.inf
            for m in range(len(b)):
                p = _to_segment(px, py, b[m, 0], b[m, 1], b[m, 2], b[m, 3])
                q = _to_segment(qx, qy, b[m, 0], b[m, 1], b[m, 2], b[m, 3])
                from_p, from_q, both = min(from_p, p), min(from_q, q), min(both, max(p, q))
            lowest = max(from_p, from_q)
            if lowest > limit:
                return np.inf
            if both <= worst or both - lowest <= sharpness or depth > 60:
                worst = max(worst, both)
                continue
            middle_x, middle_y = (px + qx) / 2, (py + qy) / 2
            stack[depth, 0], stack[depth, 1], stack[depth, 2], stack[depth, 3] = px, py, middle_x, middle_y
            stack[depth + 1, 0], stack[depth + 1, 1] = middle_x, middle_y
            stack[depth + 1, 2], stack[depth + 1, 3] = qx, qy
            depth += 2
    return worst


def boundary_distance(one: Any, other: Any, limit: float) -> float:
    """Return an upper bound, at most a thousandth of `limit` too great, of the Hausdorff distance of two boundaries.

    Infinite where it is greater than `limit`.
    """
    a, b = _segments(one), _segments(other)
    origin = np.tile(a[0, :2], 2)
    a, b = a - origin, b - origin
    there = float(farthest(a, b, limit / 1000, limit))
    # What is found to be too far is not looked at to its end.
    worst = max(there, float(farthest(b, a, limit / 1000, limit))) if there <= limit else there
    return worst if worst <= limit else math.inf


def _segments(polygon: Any) -> Any:
    points, ring = shapely.get_coordinates(shapely.get_rings(polygon), return_index=True)
    segments = np.column_stack((points[:-1], points[1:]))
    return np.ascontiguousarray(segments[ring[1:] == ring[:-1]])
