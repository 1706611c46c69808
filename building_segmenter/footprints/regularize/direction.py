"""Candidates for the main direction of a ring, as angles in radians modulo a right angle.

Directions of single pixel edges say nothing (each is parallel to the raster), so chords are used throughout.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from building_segmenter.compiled import kernel
from building_segmenter.footprints.regularize.outline import break_points, length_of

QUARTER = math.pi / 2
_OFF_AXIS = math.radians(15.0)


@kernel
def folded(angle: float) -> Any:
    """Return an angle modulo a right angle, in -45..45 degrees (radians)."""
    return angle - QUARTER * math.floor(angle / QUARTER + 0.5)


@kernel
def chord_direction(x: Any, y: Any, chord: float) -> Any:
    """Return the mean direction of chords of about this length, each weighted by its length and straightness.

    The angles are multiplied by four before the mean is taken, so that all four sides of a rectangle agree.
    """
    n = len(x)
    arc = np.zeros(2 * n + 1)
    for k in range(2 * n):
        a, b = k % n, (k + 1) % n
        arc[k + 1] = arc[k] + length_of(x[b] - x[a], y[b] - y[a])
    sine = cosine = 0.0
    end = 1
    for k in range(n):
        end = max(end, k + 1)
        while end < k + n - 1 and arc[end] - arc[k] < chord * (1 - 1e-6):
            end += 1
        dx, dy = x[end % n] - x[k], y[end % n] - y[k]
        length = length_of(dx, dy)
        straight = (length / (arc[end] - arc[k])) ** 2 if arc[end] > arc[k] else 0.0
        if length == 0.0:
            continue
        # Twice squared as a complex number, the chord's angle is taken four times.
        twice_x, twice_y = (dx * dx - dy * dy) / length, 2 * dx * dy / length
        weight = straight**8 * (arc[k + 1] - arc[k]) / length
        sine += weight * 2 * twice_x * twice_y
        cosine += weight * (twice_x * twice_x - twice_y * twice_y)
    return folded(math.atan2(sine, cosine) / 4)


@kernel
def longest_wall(x: Any, y: Any, deviation: float) -> Any:
    """Return the direction of the longest chord after simplification within `deviation`."""
    corners = break_points(x, y, deviation, np.inf)
    n = len(corners)
    longest, angle = 0.0, 0.0
    for k in range(n):
        a, b = corners[k], corners[(k + 1) % n]
        length = length_of(x[b] - x[a], y[b] - y[a])
        if length > longest:
            longest, angle = length, math.atan2(y[b] - y[a], x[b] - x[a])
    return folded(angle)


@kernel
def longest_slant(x: Any, y: Any, angle: float, tolerance: float) -> Any:
    """Return the length of the longest chord, after simplification within half the tolerance, off a direction.

    Off the axes by more than 15 degrees: what right angles can only follow by stairs.
    """
    corners = break_points(x, y, tolerance / 2, np.inf)
    n = len(corners)
    longest = 0.0
    for k in range(n):
        a, b = corners[k], corners[(k + 1) % n]
        dx, dy = x[b] - x[a], y[b] - y[a]
        if abs(folded(math.atan2(dy, dx) - angle)) > _OFF_AXIS:
            longest = max(longest, length_of(dx, dy))
    return longest


@kernel
def tightest_rectangle(x: Any, y: Any) -> Any:
    """Return the direction of the smallest rectangle around the points: one side lies on the convex hull."""
    hull = convex_hull(x, y)
    n = len(hull)
    best, angle = np.inf, 0.0
    for k in range(n):
        a, b = hull[k], hull[(k + 1) % n]
        dx, dy = x[b] - x[a], y[b] - y[a]
        length = length_of(dx, dy)
        if length == 0.0:
            continue
        dx, dy = dx / length, dy / length
        low_u = low_v = np.inf
        high_u = high_v = -np.inf
        for p in hull:
            u, v = x[p] * dx + y[p] * dy, y[p] * dx - x[p] * dy
            low_u, high_u, low_v, high_v = min(low_u, u), max(high_u, u), min(low_v, v), max(high_v, v)
        area = (high_u - low_u) * (high_v - low_v)
        if area < best:
            best, angle = area, math.atan2(dy, dx)
    return folded(angle)


@kernel
def convex_hull(x: Any, y: Any) -> Any:
    """Return indices of the points on the convex hull, counter-clockwise (Andrew's monotone chain, 1979)."""
    order = np.argsort(y, kind="mergesort")
    order = order[np.argsort(x[order], kind="mergesort")]
    n = len(order)
    hull = np.empty(2 * n + 1, np.int64)
    m = 0
    for k in range(n):
        m = _pushed(hull, m, 0, order[k], x, y)
    floor = m - 1
    for k in range(n - 2, -1, -1):
        m = _pushed(hull, m, floor, order[k], x, y)
    return hull[: max(m - 1, 1)]


@kernel
def _pushed(hull: Any, m: int, floor: int, point: int, x: Any, y: Any) -> Any:
    while m - floor >= 2:
        a, b = hull[m - 2], hull[m - 1]
        if (x[b] - x[a]) * (y[point] - y[a]) - (y[b] - y[a]) * (x[point] - x[a]) > 0:
            break
        m -= 1
    hull[m] = point
    return m + 1
