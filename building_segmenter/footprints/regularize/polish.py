"""After the optimisation: refit walls and main direction, and restore the area.

A *solution* of one ring or chain is the outline index of each corner, and kind, unit and offset of the wall that
follows it (see `optimum`), in ground axes. The corners of a ring are the crossings of neighbouring walls.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from building_segmenter.compiled import kernel
from building_segmenter.footprints.regularize.optimum import FREE
from building_segmenter.footprints.regularize.outline import length_of, signed_area

_SAME_BEARING = math.radians(6.0)
_QUARTER = math.pi / 2


@kernel
def corner_points(units: Any, offsets: Any) -> Any:
    """Return x and y (s,) of the corners of a ring at which its walls begin."""
    s = len(offsets)
    x, y = np.empty(s), np.empty(s)
    for k in range(s):
        x[k], y[k] = crossing(units[k - 1], offsets[k - 1], units[k], offsets[k])
    return x, y


@kernel
def crossing(unit_a: Any, offset_a: float, unit_b: Any, offset_b: float) -> Any:
    """Return x and y of the point at which two lines cross; not finite where they are parallel."""
    cross = unit_a[0] * unit_b[1] - unit_a[1] * unit_b[0]
    return (offset_a * unit_b[0] - offset_b * unit_a[0]) / cross, (offset_a * unit_b[1] - offset_b * unit_a[1]) / cross


@kernel
def wall_units(angle: float, kinds: Any, units: Any) -> Any:
    """Return the units of walls in ground axes at this main direction; free walls keep theirs.

    Right angles are exact: all come from one sine and cosine.
    """
    c, s = math.cos(angle), math.sin(angle)
    half = math.sqrt(0.5)
    result = units.copy()
    for k in range(len(kinds)):
        kind = kinds[k]
        if kind == FREE:
            continue
        ux, uy = (c, s) if kind % 2 == 0 else (half * (c - s), half * (c + s))
        for _ in range(kind // 2):
            ux, uy = -uy, ux
        result[k, 0], result[k, 1] = ux, uy
    return result


@kernel
def into_ground(angle: float, kinds: Any, units: Any) -> Any:
    """Return units of turned axes in ground axes."""
    c, s = math.cos(angle), math.sin(angle)
    turned_back = np.empty_like(units)
    for k in range(len(units)):
        turned_back[k, 0], turned_back[k, 1] = c * units[k, 0] - s * units[k, 1], s * units[k, 0] + c * units[k, 1]
    return wall_units(angle, kinds, turned_back)


@kernel
def wall_moments(outline: Any, at: Any, units: Any, offsets: Any, trim: float) -> Any:
    """Return the sums (s, 6) of 1, x, y, xx, xy, yy over the middles of each run's steps, fading out to the corners.

    Outlines from rasters are round at corners, which would pull walls inwards: within `trim` of a corner (at most
    a quarter of the wall) points count less.
    """
    x, y, mass = outline[0], outline[1], outline[2]
    s, points = len(at), len(x)
    corner_x, corner_y = corner_points(units, offsets)
    sums = np.zeros((s, 6))
    for k in range(s):
        following = (k + 1) % s
        ax, ay = units[k, 0], units[k, 1]
        begin = ax * corner_x[k] + ay * corner_y[k]
        end = ax * corner_x[following] + ay * corner_y[following]
        fade = max(min(trim, (end - begin) / 4), 1e-12)
        w = sx = sy = sxx = sxy = syy = 0.0
        p = at[k]
        while p != at[following]:
            q = p + 1 if p + 1 < points else 0
            mx, my = (x[p] + x[q]) / 2, (y[p] + y[q]) / 2
            t = ax * mx + ay * my
            weight = min(max((t - begin) / fade, 1e-3), 1.0) * min(max((end - t) / fade, 1e-3), 1.0)
            weight *= (mass[p] + mass[q]) / 2 * length_of(x[q] - x[p], y[q] - y[p])
            w, sx, sy = w + weight, sx + weight * mx, sy + weight * my
            sxx, sxy, syy = sxx + weight * mx * mx, sxy + weight * mx * my, syy + weight * my * my
            p = q
        sums[k, 0], sums[k, 1], sums[k, 2], sums[k, 3], sums[k, 4], sums[k, 5] = w, sx, sy, sxx, sxy, syy
    return sums


@kernel
def scatter_of(sums: Any) -> Any:
    """Return the scatter of one wall's run about its mean as (xx - yy, 2 xy)."""
    w = sums[0]
    if w <= 0.0:
        return 0.0, 0.0
    xx = sums[3] - sums[1] * sums[1] / w
    yy = sums[5] - sums[2] * sums[2] / w
    return xx - yy, 2 * (sums[4] - sums[1] * sums[2] / w)


@kernel
def add_scatter(scatter: Any, sums: Any, kinds: Any) -> None:
    """Add the scatter (2,) of all walls with an axis, each turned back to the main direction."""
    for k in range(len(kinds)):
        if kinds[k] == FREE:
            continue
        a, b = scatter_of(sums[k])
        # A turn by an eighth turns the doubled angle of the scatter by a quarter.
        for _ in range(kinds[k] % 4):
            a, b = b, -a
        scatter[0] += a
        scatter[1] += b


@kernel
def free_refitted(sums: Any, kinds: Any, units: Any) -> Any:
    """Return units with those of free walls fitted anew; free walls about parallel or square share one direction."""
    s = len(kinds)
    result = units.copy()
    done = np.zeros(s, np.bool_)
    for k in range(s):
        if kinds[k] != FREE or done[k]:
            continue
        bearing = math.atan2(units[k, 1], units[k, 0])
        a = b = 0.0
        for m in range(k, s):
            quarters, rest = _quarters(bearing, units[m])
            if kinds[m] == FREE and not done[m] and abs(rest) < _SAME_BEARING:
                da, db = scatter_of(sums[m])
                sign = 1.0 if quarters % 2 == 0 else -1.0
                a, b = a + sign * da, b + sign * db
        turn = math.atan2(b, a) / 2
        turn += math.pi * math.floor((bearing - turn) / math.pi + 0.5)
        if a * a + b * b == 0.0 or abs(turn - bearing) > 2 * _SAME_BEARING:
            done[k] = True
            continue
        for m in range(k, s):
            quarters, rest = _quarters(bearing, units[m])
            if kinds[m] == FREE and not done[m] and abs(rest) < _SAME_BEARING:
                ux, uy = math.cos(turn), math.sin(turn)
                for _ in range(quarters % 4):
                    ux, uy = -uy, ux
                result[m, 0], result[m, 1] = ux, uy
                done[m] = True
    return result


@kernel
def _quarters(bearing: float, unit: Any) -> Any:
    """Return by how many quarter turns, and what rest, a unit is turned from a bearing."""
    turn = math.atan2(unit[1], unit[0]) - bearing
    quarters = math.floor(turn / _QUARTER + 0.5)
    return int(quarters), turn - quarters * _QUARTER


@kernel
def refitted(sums: Any, units: Any, offsets: Any) -> Any:
    """Return the least-squares offsets of walls of these units."""
    result = offsets.copy()
    for k in range(len(offsets)):
        w = sums[k, 0]
        if w > 0.0:
            result[k] = (units[k, 0] * sums[k, 2] - units[k, 1] * sums[k, 1]) / w
    return result


@kernel
def nearest_to_corners(outline: Any, at: Any, units: Any, offsets: Any) -> Any:
    """Return the outline index nearest to each corner, looked for half-way to the corners before and after."""
    x, y = outline[0], outline[1]
    s, points = len(at), len(x)
    corner_x, corner_y = corner_points(units, offsets)
    result = at.copy()
    for k in range(s):
        before = (at[k] - at[k - 1]) % points
        after = (at[(k + 1) % s] - at[k]) % points
        nearest = np.inf
        for step in range(-((before - 1) // 2), (after - 1) // 2 + 1):
            p = (at[k] + step) % points
            distance = (x[p] - corner_x[k]) ** 2 + (y[p] - corner_y[k]) ** 2
            if distance < nearest:
                nearest, result[k] = distance, p
    return result


@kernel
def area_restored(outline: Any, units: Any, offsets: Any, most: float) -> Any:
    """Return offsets with all walls moved out or in alike, so that the ring encloses the outline's area."""
    x, y = corner_points(units, offsets)
    length = 0.0
    for k in range(len(x)):
        length += length_of(x[k] - x[k - 1], y[k] - y[k - 1])
    move = (signed_area(outline[0], outline[1]) - signed_area(x, y)) / length
    # Left normals of a counter-clockwise ring point inwards.
    return offsets - min(max(move, -most), most)
