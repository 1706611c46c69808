"""The optimisation: the ring with fewest corners, and of those the one with least squared deviation.

A solution cuts the outline into runs. Each run is one wall, along an axis of the main direction, a diagonal of the
axes, or, where that is allowed, along the least-squares line of its run; its offset is the mean of its run. A wall
may cover a run if

- every point of the run lies within the tolerance of the wall's line,
- the run does not go backwards along the wall by more than the tolerance (so no wing is folded flat), nor farther
  than that beyond the corners at its ends,
- the corner with the wall before lies within the tolerance of the break point, and walls are long enough.

Then old and new boundary lie within the tolerance of each other. Cost and test of a run along an axis take constant
time from running integrals, so a lap costs (break points) x (longest run). Dynamic programming after the formulation
of Gribov & Bodansky (DAS 2006) for orthogonal polylines, with walls in place of grid nodes, so that no grid limits
the precision. The corner tests look at the best way to a state only.

A ring is closed by fixing one corner and solving one lap, then fixing the corner that came out opposite, until
the cost falls no more. Two forms of the lap give the same rings where both apply: `square_lap` for right angles only,
by far the most frequent and written for speed, and `any_lap` (module `slanted`) for all walls.

Directions are counted in eighths of a full turn from the main direction, counter-clockwise: 0 is east along the main
direction, 2 north, 1 between them. `FREE` walls have a direction of their own. A wall's *unit* points along it, and
its *offset* is the coordinate of its points along the left normal of its unit.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from building_segmenter.compiled import kernel

EAST, NORTH, WEST, SOUTH = 0, 2, 4, 6
FREE = 8
"""Kind of a wall with a direction of its own."""

OPEN = 9
"""Kind of the missing wall before the first of an open chain."""

KINDS = 10

WORTH_A_LAP = 0.005
"""Share of the cost of a corner that a lap must have gained for one more to be tried."""

_NOWHERE = 1e30
_HALF = math.sqrt(0.5)

ALONG, LOW, HIGH = 0, 4, 8
LENGTH, SUM_U, SUM_V, SUM_UU, SUM_VV, SUM_UV = range(12, 18)
U, V, LOW_U, LOW_V, HIGH_U, HIGH_V = ALONG, ALONG + 2, LOW, LOW + 2, HIGH, HIGH + 2
"""Columns of a turned outline: see `turned`."""


@kernel
def turned(x: Any, y: Any, breaks: Any, sums: Any, angle: float, slanted: bool, closed: bool) -> Any:
    """Return the outline in axes turned by `angle`, over two laps, as the optimisation reads it.

    Args:
        x: Outline points.
        y: Outline points.
        breaks: Indices (n,) of break points.
        sums: `moments` of the outline.
        angle: Radians.
        slanted: Whether to give what only walls off the axes need.
        closed: Whether the outline is a ring; otherwise there is one lap, of n - 1 steps.

    Returns:
        Array (2 n + 1, 18), a row for each break point. From `ALONG`, `LOW` and `HIGH` on there are four columns, for
        the axis u, the diagonal, the axis v, and the other diagonal: the coordinate along it, and the lowest and
        highest of the outline between the break point and the next. Then the running integrals of 1, u, v, uu, vv
        and uv. What only slanted walls need is left out without `slanted`.
    """
    points, n = len(x), len(breaks)
    c, s = math.cos(angle), math.sin(angle)
    laps = 2 * n + 1 if closed else n
    ring = np.empty((laps, 18))
    for k in range(laps):
        p = breaks[k % n]
        u, v = c * x[p] + s * y[p], c * y[p] - s * x[p]
        w, sx, sy, sxx, sxy, syy = sums[0, k], sums[1, k], sums[2, k], sums[3, k], sums[4, k], sums[5, k]
        ring[k, U], ring[k, V], ring[k, LENGTH] = u, v, w
        ring[k, SUM_U], ring[k, SUM_V] = c * sx + s * sy, c * sy - s * sx
        ring[k, SUM_UU] = c * c * sxx + 2 * c * s * sxy + s * s * syy
        ring[k, SUM_VV] = c * c * syy - 2 * c * s * sxy + s * s * sxx
        if slanted:
            ring[k, SUM_UV] = (c * c - s * s) * sxy + c * s * (syy - sxx)
            ring[k, ALONG + 1], ring[k, ALONG + 3] = _HALF * (u + v), _HALF * (v - u)
    for k in range(n if closed else n - 1):
        low_u = low_v = low_1 = low_3 = np.inf
        high_u = high_v = high_1 = high_3 = -np.inf
        p, end = breaks[k], breaks[(k + 1) % n]
        while True:
            u, v = c * x[p] + s * y[p], c * y[p] - s * x[p]
            low_u, high_u, low_v, high_v = min(low_u, u), max(high_u, u), min(low_v, v), max(high_v, v)
            if slanted:
                low_1, high_1 = min(low_1, _HALF * (u + v)), max(high_1, _HALF * (u + v))
                low_3, high_3 = min(low_3, _HALF * (v - u)), max(high_3, _HALF * (v - u))
            if p == end:
                break
            p = p + 1 if p + 1 < points else 0
        for lap in range(k, min(k + n + 1, laps), n):
            ring[lap, LOW_U], ring[lap, HIGH_U], ring[lap, LOW_V], ring[lap, HIGH_V] = low_u, high_u, low_v, high_v
            if slanted:
                ring[lap, LOW + 1], ring[lap, HIGH + 1] = low_1, high_1
                ring[lap, LOW + 3], ring[lap, HIGH + 3] = low_3, high_3
    return ring


@kernel
def square_lap(ring: Any, n: int, start: int, into: int, offset: float, limits: Any, states: Any, links: Any) -> Any:
    """Solve one lap of right angles that starts and ends at the corner at break point `start`.

    Inside this function a wall's line is told by its v (walls along u) or its u (walls along v).

    Args:
        ring: Outline of `turned`.
        n: Number of break points.
        start: Break point of the fixed corner, 0..n-1.
        into: Kind of the wall that ends at the fixed corner.
        offset: Its v or u.
        limits: Tolerance, shortest run, shortest wall, cost of a corner, longest way back.
        states: Work space (n + 1, 4, 4): for each break point and direction of the last wall the cost, the line of
            that wall and of the one before, and how far the outline goes along the wall.
        links: Result (n + 1, 4, 2): break point and direction that the best way to a state comes from.

    Returns:
        Number of runs looked at. The cost of the lap is then in `states[n, into // 2, 0]`.
    """
    tolerance, shortest_run, way_back = limits[0], limits[1], limits[4]
    for k in range(n + 1):
        for way in range(4):
            states[k, way, 0] = np.inf
    states[0, into // 2, 0], states[0, into // 2, 1] = 0.0, offset
    states[0, into // 2, 2] = -_NOWHERE if into < WEST else _NOWHERE
    states[0, into // 2, 3] = -_NOWHERE
    work = 0
    for q in range(n):
        i = start + q
        along_u = states[q, 1, 0] < np.inf or states[q, 3, 0] < np.inf
        along_v = states[q, 0, 0] < np.inf or states[q, 2, 0] < np.inf
        if not (along_u or along_v):
            continue
        first_u, first_v = ring[i, U], ring[i, V]
        low_u = high_u = top_u = bottom_u = first_u
        low_v = high_v = top_v = bottom_v = first_v
        back_east = back_north = back_west = back_south = 0.0
        r = q
        while r < n and (along_u or along_v):
            j = start + r
            low_u, high_u = min(low_u, ring[j, LOW_U]), max(high_u, ring[j, HIGH_U])
            low_v, high_v = min(low_v, ring[j, LOW_V]), max(high_v, ring[j, HIGH_V])
            r, j = r + 1, j + 1
            u, v = ring[j, U], ring[j, V]
            top_u, bottom_u, top_v, bottom_v = max(top_u, u), min(bottom_u, u), max(top_v, v), min(bottom_v, v)
            if along_u:
                back_east, back_west = max(back_east, top_u - u), max(back_west, u - bottom_u)
                along_u = high_v - low_v <= 2 * tolerance and min(back_east, back_west) <= way_back
            if along_v:
                back_north, back_south = max(back_north, top_v - v), max(back_south, v - bottom_v)
                along_v = high_u - low_u <= 2 * tolerance and min(back_north, back_south) <= way_back
            if along_u:
                weight = ring[j, LENGTH] - ring[i, LENGTH]
                mean = (ring[j, SUM_V] - ring[i, SUM_V]) / weight
                if high_v - mean <= tolerance and mean - low_v <= tolerance:
                    energy = ring[j, SUM_VV] - ring[i, SUM_VV] - mean * mean * weight
                    if u - first_u >= shortest_run and back_east <= way_back:
                        _relax(first_u, first_v, q, r, 0, mean, energy, low_u, high_u, limits, states, links)
                    elif first_u - u >= shortest_run and back_west <= way_back:
                        _relax(first_u, first_v, q, r, 2, mean, energy, -high_u, -low_u, limits, states, links)
            if along_v:
                weight = ring[j, LENGTH] - ring[i, LENGTH]
                mean = (ring[j, SUM_U] - ring[i, SUM_U]) / weight
                if high_u - mean <= tolerance and mean - low_u <= tolerance:
                    energy = ring[j, SUM_UU] - ring[i, SUM_UU] - mean * mean * weight
                    if v - first_v >= shortest_run and back_north <= way_back:
                        _relax(first_u, first_v, q, r, 1, mean, energy, low_v, high_v, limits, states, links)
                    elif first_v - v >= shortest_run and back_south <= way_back:
                        _relax(first_u, first_v, q, r, 3, mean, energy, -high_v, -low_v, limits, states, links)
        work += r - q
    return work


@kernel
def _relax(
    u: float,
    v: float,
    q: int,
    r: int,
    way: int,
    mean: float,
    energy: float,
    near: float,
    far: float,
    limits: Any,
    states: Any,
    links: Any,
) -> None:
    """Reach state (r, way) from the better of the two walls that may end at break point q, which lies at (u, v)."""
    tolerance, shortest_wall = limits[0], limits[2]
    cost_here = limits[3] + max(energy, 0.0)
    flat = way % 2 == 0
    for before in (1 - way % 2, 3 - way % 2):
        cost = states[q, before, 0] + cost_here
        if not cost < states[r, way, 0]:
            continue
        line = states[q, before, 1]
        corner_a = line - (u if flat else v)
        corner_b = mean - (v if flat else u)
        if corner_a * corner_a + corner_b * corner_b > tolerance * tolerance:
            continue
        sign = 1.0 if before < 2 else -1.0
        if sign * (mean - states[q, before, 2]) < shortest_wall or states[q, before, 3] - sign * mean > tolerance:
            continue
        if (line if way < 2 else -line) - near > tolerance:
            continue
        states[r, way, 0], states[r, way, 1], states[r, way, 2], states[r, way, 3] = cost, mean, line, far
        links[r, way, 0], links[r, way, 1] = q, before


@kernel
def square_ring(ring: Any, n: int, limits: Any, budget: int) -> Any:
    """Solve a closed ring with right angles.

    Args:
        ring: Outline of `turned`.
        n: Number of break points.
        limits: As in `square_lap`.
        budget: Runs that may be looked at.

    Returns:
        Cost (infinite without solution), break points (s,) of the corners in order, kinds (s,), units (s, 2) in the
        turned axes and offsets (s,) of the walls that follow them, and the runs looked at.
    """
    states, links = np.empty((n + 1, 4, 4)), np.empty((n + 1, 4, 2), np.int64)
    best = np.inf
    corners, ways, lines = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    work = 0
    for first_into in (NORTH, WEST, SOUTH, EAST):
        into = first_into
        start = outermost(ring, n, into)
        line = ring[start, U] if into % 4 == 2 else ring[start, V]
        for _ in range(4):
            work += square_lap(ring, n, start, into, line, limits, states, links)
            cost = states[n, into // 2, 0]
            if not cost < best:
                break
            gain, best = best - cost, cost
            corners, ways, lines = _traced(start, n, into // 2, states, links)
            opposite = np.argmin(np.abs((corners - start) % n - n / 2))
            start, into, line = corners[opposite], 2 * ways[opposite - 1], lines[opposite - 1]
            if work > budget or gain < WORTH_A_LAP * limits[3]:
                break
        if best < np.inf or work > budget:
            break
    units, offsets = np.zeros((len(ways), 2)), np.empty(len(ways))
    for k in range(len(ways)):
        sign = 1.0 if ways[k] < 2 else -1.0
        units[k, ways[k] % 2] = sign
        offsets[k] = sign * (lines[k] if ways[k] % 2 == 0 else -lines[k])
    return best, corners, 2 * ways, units, offsets, work


@kernel
def outermost(ring: Any, n: int, into: int) -> Any:
    """Return the break point farthest out where a counter-clockwise ring turns left from direction `into`."""
    sign_u = 1.0 if into in (EAST, NORTH) else -1.0
    sign_v = 1.0 if into in (NORTH, WEST) else -1.0
    farthest, found = -np.inf, 0
    for k in range(n):
        out = sign_u * ring[k, U] + sign_v * ring[k, V]
        if out > farthest:
            farthest, found = out, k
    return found


@kernel
def _traced(start: int, n: int, into: int, states: Any, links: Any) -> Any:
    """Return corners, ways and lines of the best way, in order from `start`."""
    count, q, way = 0, n, into
    while q > 0:
        q, way = links[q, way, 0], links[q, way, 1]
        count += 1
    corners, ways, lines = np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count)
    q, way = n, into
    for k in range(count - 1, -1, -1):
        ways[k], lines[k] = way, states[q, way, 1]
        q, way = links[q, way, 0], links[q, way, 1]
        corners[k] = (start + q) % n
    return corners, ways, lines
