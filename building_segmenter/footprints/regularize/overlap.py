"""The area that two polygons share, exactly and without topology.

At a place u the boundary of a polygon crosses the vertical line at heights v_i, in turn entering and leaving, so what
lies inside is the sum of the half-lines below the v_i with signs. Of two polygons, what both hold is then the sum over
pairs of crossings of the half-lines below the lower of the two. Integrated over u, every pair of edges adds the area
under the lower of the two where both run.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from building_segmenter.compiled import kernel


@kernel
def shared_areas(points_a: Any, rings_a: Any, polygons_a: Any, points_b: Any, rings_b: Any, polygons_b: Any) -> Any:
    """Return the shared area (p,) of polygons pair by pair.

    Args:
        points_a: Corners (n, 2) of closed rings; the first ring of a polygon is its outer one.
        rings_a: Offsets (r + 1,) of rings into the corners.
        polygons_a: Offsets (p + 1,) of polygons into the rings.
        points_b: The same of the other polygons.
        rings_b: The same.
        polygons_b: The same.
    """
    count = len(polygons_a) - 1
    areas = np.zeros(count)
    for p in range(count):
        if polygons_b[p + 1] == polygons_b[p] or polygons_a[p + 1] == polygons_a[p]:
            continue
        origin = points_a[rings_a[polygons_a[p]]].copy()
        a = _edges(points_a, rings_a, polygons_a[p], polygons_a[p + 1], origin)
        b = _edges(points_b, rings_b, polygons_b[p], polygons_b[p + 1], origin)
        areas[p] = abs(_shared(a, b))
    return areas


@kernel
def _edges(points: Any, rings: Any, first: int, last: int, origin: Any) -> Any:
    """Return u0, v0, u1, v1, sign (e, 5) of the edges, each from left to right, without upright ones."""
    edges = np.empty((rings[last] - rings[first], 5))
    m = 0
    for r in range(first, last):
        start, turning = m, 0.0
        for k in range(rings[r], rings[r + 1] - 1):
            u0, v0 = points[k, 0] - origin[0], points[k, 1] - origin[1]
            u1, v1 = points[k + 1, 0] - origin[0], points[k + 1, 1] - origin[1]
            turning += (u1 - u0) * (v0 + v1)
            if u0 == u1:
                continue
            forward = u0 < u1
            edges[m, 0], edges[m, 1] = (u0, v0) if forward else (u1, v1)
            edges[m, 2], edges[m, 3] = (u1, v1) if forward else (u0, v0)
            edges[m, 4] = 1.0 if forward else -1.0
            m += 1
        # Upper edges of an outer ring count, and lower edges of a hole, whichever way round the ring is written.
        if (turning < 0) == (r == first):
            edges[start:m, 4] *= -1.0
    return edges[:m]


@kernel
def _shared(a: Any, b: Any) -> Any:
    total = 0.0
    for i in range(len(a)):
        a_left, a_right = a[i, 0], a[i, 2]
        slope_a = (a[i, 3] - a[i, 1]) / (a_right - a_left)
        for j in range(len(b)):
            left, right = max(a_left, b[j, 0]), min(a_right, b[j, 2])
            if left >= right:
                continue
            slope_b = (b[j, 3] - b[j, 1]) / (b[j, 2] - b[j, 0])
            a0, b0 = a[i, 1] + slope_a * (left - a_left), b[j, 1] + slope_b * (left - b[j, 0])
            a1, b1 = a[i, 1] + slope_a * (right - a_left), b[j, 1] + slope_b * (right - b[j, 0])
            before, after = a0 - b0, a1 - b1
            under = (min(a0, b0) + min(a1, b1)) / 2
            if (before < 0) != (after < 0):
                # They cross: up to there one is lower, from there the other.
                share = before / (before - after)
                crossing = a0 + (a1 - a0) * share
                under = (min(a0, b0) + crossing) / 2 * share + (crossing + min(a1, b1)) / 2 * (1 - share)
            total += a[i, 4] * b[j, 4] * under * (right - left)
    return total
