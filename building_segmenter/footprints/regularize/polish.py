"""After the optimisation: refit walls and main direction, restore the area, and check the guarantees.

A *solution* of one ring is the outline index of each corner, and direction and offset of the wall that follows
it. Its corners are the crossings of neighbouring walls.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from building_segmenter.footprints.regularize.compiled import kernel
from building_segmenter.footprints.regularize.outline import add_segment, signed_area


@kernel
def corner_points(ways: Any, offsets: Any) -> Any:
    """Return u and v (s,) of the corners at which the walls begin."""
    s = len(ways)
    u, v = np.empty(s), np.empty(s)
    for k in range(s):
        if ways[k] % 2 == 0:
            u[k], v[k] = offsets[k - 1], offsets[k]
        else:
            u[k], v[k] = offsets[k], offsets[k - 1]
    return u, v


@kernel
def wall_moments(x: Any, y: Any, angle: float, at: Any, ways: Any, offsets: Any, trim: float) -> Any:
    """Return the integrals (s, 6) of 1, x, y, xx, xy, yy over each wall's run, fading out towards its corners.

    Outlines from rasters are round at corners, which would pull walls inwards: within `trim` of a corner (at most
    a quarter of the wall) points count less.
    """
    s, points = len(ways), len(x)
    corner_u, corner_v = corner_points(ways, offsets)
    c, sn = math.cos(angle), math.sin(angle)
    sums = np.zeros((s, 6))
    for k in range(s):
        following = (k + 1) % s
        sign = 1.0 if ways[k] < 2 else -1.0
        if ways[k] % 2 == 0:
            begin, end = sign * corner_u[k], sign * corner_u[following]
            ax, ay = sign * c, sign * sn
        else:
            begin, end = sign * corner_v[k], sign * corner_v[following]
            ax, ay = -sign * sn, sign * c
        fade = max(min(trim, (end - begin) / 4), 1e-12)
        p = at[k]
        while p != at[following]:
            q = p + 1 if p + 1 < points else 0
            t = ax * (x[p] + x[q]) / 2 + ay * (y[p] + y[q]) / 2
            weight = min(max((t - begin) / fade, 1e-3), 1.0) * min(max((end - t) / fade, 1e-3), 1.0)
            add_segment(sums[k], x[p], y[p], x[q], y[q], weight)
            p = q
    return sums


@kernel
def add_scatter(scatter: Any, sums: Any, ways: Any) -> None:
    """Add the scatter of walls about their means to `scatter` (xx - yy, xy), walls along v turned by a right angle."""
    for k in range(len(ways)):
        w = sums[k, 0]
        if w <= 0.0:
            continue
        xx = sums[k, 3] - sums[k, 1] * sums[k, 1] / w
        xy = sums[k, 4] - sums[k, 1] * sums[k, 2] / w
        yy = sums[k, 5] - sums[k, 2] * sums[k, 2] / w
        sign = 1.0 if ways[k] % 2 == 0 else -1.0
        scatter[0] += sign * (xx - yy)
        scatter[1] += sign * xy


@kernel
def refitted(sums: Any, ways: Any, angle: float, offsets: Any) -> Any:
    """Return the least-squares offsets of walls at this main direction."""
    c, s = math.cos(angle), math.sin(angle)
    result = offsets.copy()
    for k in range(len(ways)):
        w, mx, my = sums[k, 0], sums[k, 1], sums[k, 2]
        if w > 0.0:
            result[k] = (c * my - s * mx) / w if ways[k] % 2 == 0 else (c * mx + s * my) / w
    return result


@kernel
def nearest_to_corners(x: Any, y: Any, angle: float, at: Any, ways: Any, offsets: Any) -> Any:
    """Return the outline index nearest to each corner, looked for half-way to the corners before and after."""
    s, points = len(ways), len(x)
    corner_u, corner_v = corner_points(ways, offsets)
    c, sn = math.cos(angle), math.sin(angle)
    result = at.copy()
    for k in range(s):
        before = (at[k] - at[k - 1]) % points
        after = (at[(k + 1) % s] - at[k]) % points
        qx, qy = c * corner_u[k] - sn * corner_v[k], sn * corner_u[k] + c * corner_v[k]
        nearest = np.inf
        for step in range(-((before - 1) // 2), (after - 1) // 2 + 1):
            p = (at[k] + step) % points
            distance = (x[p] - qx) ** 2 + (y[p] - qy) ** 2
            if distance < nearest:
                nearest, result[k] = distance, p
    return result


@kernel
def area_restored(x: Any, y: Any, ways: Any, offsets: Any, most: float) -> Any:
    """Return offsets with all walls moved out or in alike, so that the ring encloses the outline's area."""
    u, v = corner_points(ways, offsets)
    length = 0.0
    for k in range(len(u)):
        length += abs(u[k] - u[k - 1]) + abs(v[k] - v[k - 1])
    move = (signed_area(x, y) - signed_area(u, v)) / length
    move = min(max(move, -most), most)
    result = offsets.copy()
    for k in range(len(ways)):
        result[k] += move if ways[k] in (1, 2) else -move
    return result


@kernel
def deviation(x: Any, y: Any, angle: float, at: Any, ways: Any, offsets: Any, shortest_wall: float) -> Any:
    """Return an upper bound of the Hausdorff distance between outline and solution, infinite if a wall is too short.

    Each run is compared with its own wall. Both are convex along a segment, so points suffice: outline to wall
    because distance to a segment is convex; wall to outline because a wall between the feet of its run's ends has
    a point of the run over every place, and from there to the corner the run's end is near.
    """
    s, points = len(ways), len(x)
    corner_u, corner_v = corner_points(ways, offsets)
    c, sn = math.cos(angle), math.sin(angle)
    worst = 0.0
    for k in range(s):
        following = (k + 1) % s
        sign = 1.0 if ways[k] < 2 else -1.0
        flat = ways[k] % 2 == 0
        begin = sign * (corner_u[k] if flat else corner_v[k])
        end = sign * (corner_u[following] if flat else corner_v[following])
        if end - begin < shortest_wall or at[k] == at[following]:
            return np.inf
        p = at[k]
        worst = max(worst, (c * x[p] + sn * y[p] - corner_u[k]) ** 2 + (c * y[p] - sn * x[p] - corner_v[k]) ** 2)
        while True:
            u, v = c * x[p] + sn * y[p], c * y[p] - sn * x[p]
            t = sign * (u if flat else v)
            across = (v if flat else u) - offsets[k]
            beyond = max(begin - t, t - end, 0.0)
            worst = max(worst, across * across + beyond * beyond)
            if p == at[following]:
                break
            p = p + 1 if p + 1 < points else 0
    return math.sqrt(worst)


@kernel
def crosses_itself(ways: Any, offsets: Any) -> Any:
    """Tell whether two walls of the ring that are not neighbours touch or cross."""
    s = len(ways)
    u, v = corner_points(ways, offsets)
    for a in range(s):
        a_end = (a + 1) % s
        low_u, high_u = min(u[a], u[a_end]), max(u[a], u[a_end])
        low_v, high_v = min(v[a], v[a_end]), max(v[a], v[a_end])
        for b in range(a + 2, s - (1 if a == 0 else 0)):
            b_end = (b + 1) % s
            if min(u[b], u[b_end]) > high_u or max(u[b], u[b_end]) < low_u:
                continue
            if min(v[b], v[b_end]) > high_v or max(v[b], v[b_end]) < low_v:
                continue
            return True
    return False
