"""Circles: the least-squares fit to an outline, and the polygon that stands for it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from building_segmenter.compiled import kernel
from building_segmenter.footprints.regularize.outline import cleaned, densified, length_of, perimeter

_FEWEST_SIDES, _MOST_SIDES = 72, 720
_ROUNDS = 6


@kernel
def fitted_circles(points: Any, masses: Any, rings: Any, limit: float) -> Any:
    """Return centre x and y, radius, largest and mean squared radial deviation (r, 5) of the circle of each ring.

    The algebraic fit (Kasa 1976) is refined by Gauss-Newton steps on the radial deviations. Infinite deviations where
    there is no circle. A ring around the centre whose radial deviation is at most d lies within d of the circle, and
    the circle of it.

    Args:
        points: Corners (n, 2) of closed rings.
        masses: Weight (n,) of each point.
        rings: Offsets (r + 1,) of rings into the corners.
        limit: Largest deviation of interest: where the algebraic fit has twice as much, it is not refined.
    """
    count = len(rings) - 1
    circles = np.full((count, 5), np.inf)
    for k in range(count):
        begin, end = rings[k], rings[k + 1]
        x0, y0 = points[begin, 0], points[begin, 1]
        ring = cleaned(points[begin:end, 0] - x0, points[begin:end, 1] - y0, masses[begin:end])
        if ring.shape[1] < 3:
            continue
        if _certainly_not_round(ring, limit):
            continue
        ring = densified(ring, perimeter(ring[0], ring[1]) / 64, True)
        x, y, weights = ring[0], ring[1], _weights(ring)
        cx, cy, radius = _algebraic(x, y, weights)
        if not radius < np.inf:
            continue
        if _deviations(x, y, weights, cx, cy, radius)[0] > 2 * limit:
            continue
        cx, cy, radius = _refined(x, y, weights, cx, cy, radius)
        circles[k, 0], circles[k, 1], circles[k, 2] = cx + x0, cy + y0, radius
        circles[k, 3], circles[k, 4] = _deviations(x, y, weights, cx, cy, radius)
    return circles


@kernel
def _certainly_not_round(ring: Any, limit: float) -> Any:
    """Tell by the distances from the middle of its box whether no circle lies within the limit of a ring.

    The middle of the box of a ring within the limit of a circle lies within the limit (in x and in y) of its centre.
    """
    x, y = ring[0], ring[1]
    cx, cy = (x.min() + x.max()) / 2, (y.min() + y.max()) / 2
    nearest, farthest = np.inf, 0.0
    for k in range(len(x)):
        distance = (x[k] - cx) ** 2 + (y[k] - cy) ** 2
        nearest, farthest = min(nearest, distance), max(farthest, distance)
    return math.sqrt(farthest) - math.sqrt(nearest) > 2 * limit * (1 + math.sqrt(2.0))


@kernel
def _weights(ring: Any) -> Any:
    n = ring.shape[1]
    weights = np.empty(n)
    for k in range(n):
        after = (k + 1) % n
        before = length_of(ring[0, k] - ring[0, k - 1], ring[1, k] - ring[1, k - 1])
        behind = length_of(ring[0, after] - ring[0, k], ring[1, after] - ring[1, k])
        weights[k] = ring[2, k] * (before + behind) / 2
    return weights / weights.sum()


@kernel
def _algebraic(x: Any, y: Any, weights: Any) -> Any:
    mx, my = (weights * x).sum(), (weights * y).sum()
    u, v = x - mx, y - my
    uu, uv, vv = (weights * u * u).sum(), (weights * u * v).sum(), (weights * v * v).sum()
    z = u * u + v * v
    zu, zv = (weights * z * u).sum() / 2, (weights * z * v).sum() / 2
    determinant = uu * vv - uv * uv
    if not determinant > 1e-12 * (uu + vv) ** 2:
        return 0.0, 0.0, np.inf
    a, b = (zu * vv - zv * uv) / determinant, (zv * uu - zu * uv) / determinant
    return mx + a, my + b, math.sqrt(a * a + b * b + uu + vv)


@kernel
def _refined(x: Any, y: Any, weights: Any, cx: float, cy: float, radius: float) -> Any:
    for _ in range(_ROUNDS):
        distance = np.sqrt((x - cx) ** 2 + (y - cy) ** 2)
        ux, uy = (x - cx) / np.maximum(distance, 1e-12), (y - cy) / np.maximum(distance, 1e-12)
        mean = (weights * distance).sum()
        ax, ay = ux - (weights * ux).sum(), uy - (weights * uy).sum()
        rest = distance - mean
        xx, xy, yy = (weights * ax * ax).sum(), (weights * ax * ay).sum(), (weights * ay * ay).sum()
        bx, by = (weights * ax * rest).sum(), (weights * ay * rest).sum()
        determinant = xx * yy - xy * xy
        if not determinant > 1e-12:
            break
        # More weight cannot be had from a step that leaves the outline.
        step_x, step_y = (bx * yy - by * xy) / determinant, (by * xx - bx * xy) / determinant
        cx, cy = cx + step_x, cy + step_y
        distance = np.sqrt((x - cx) ** 2 + (y - cy) ** 2)
        radius = (weights * distance).sum()
        if abs(step_x) + abs(step_y) < 1e-9 * radius:
            break
    return cx, cy, radius


@kernel
def _deviations(x: Any, y: Any, weights: Any, cx: float, cy: float, radius: float) -> Any:
    """Return the largest (over edges, not just points) and the mean squared radial deviation."""
    n = len(x)
    worst, squares, turns = 0.0, 0.0, 0.0
    for k in range(n):
        ax, ay = x[k - 1] - cx, y[k - 1] - cy
        bx, by = x[k] - cx, y[k] - cy
        turns += math.atan2(ax * by - ay * bx, ax * bx + ay * by)
        dx, dy = bx - ax, by - ay
        length = dx * dx + dy * dy
        share = min(max(-(ax * dx + ay * dy) / length, 0.0), 1.0) if length > 0 else 0.0
        nearest = length_of(ax + share * dx, ay + share * dy)
        farthest = length_of(bx, by)
        worst = max(worst, abs(farthest - radius), abs(nearest - radius))
        squares += weights[k] * (farthest - radius) ** 2
    if abs(turns) < math.pi:
        return np.inf, squares
    return worst, squares


def circle_sides(radius: float, tolerance: float) -> int:
    """Return the number of sides of the polygon for a circle: it departs by a twentieth of the tolerance at most."""
    sagitta = min(tolerance / 20, radius)
    needed = math.pi / math.acos(1 - sagitta / radius) if sagitta < radius else _FEWEST_SIDES
    return int(4 * math.ceil(min(max(needed, _FEWEST_SIDES), _MOST_SIDES) / 4))


def circle_ring(x: float, y: float, radius: float, sides: int) -> tuple[NDArray[np.float64], float]:
    """Return the closed ring (sides + 1, 2), counter-clockwise, with the area of the circle, and its departure."""
    step = 2 * math.pi / sides
    outer = radius * math.sqrt(step / math.sin(step))
    angles = np.arange(sides + 1) % sides * step
    ring = np.column_stack((x + outer * np.cos(angles), y + outer * np.sin(angles)))
    return ring, max(outer - radius, radius - outer * math.cos(step / 2))
