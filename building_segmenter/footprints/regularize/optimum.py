"""The optimisation: the right-angle ring with fewest corners, and of those the one with least squared deviation.

In axes turned by the main direction, a solution cuts the outline into runs. Each run is one wall, alternately
along u and along v, whose offset is the mean of its run (the least-squares line of fixed direction). A wall may
cover a run if

- every point of the run lies within the tolerance of the wall's line,
- the run does not go backwards along the wall by more than the tolerance (so no wing is folded flat),
- the corner with the wall before lies within the tolerance of the break point, and walls are long enough.

Then old and new boundary lie within the tolerance of each other. Cost and test of a run take constant time from
running integrals, so a lap costs (break points) x (longest run). Dynamic programming after the formulation of
Gribov & Bodansky (DAS 2006) for orthogonal polylines, with walls in place of grid nodes, so that no grid limits
the precision. The corner tests look at the best way to a state only.

A ring is closed by fixing one corner and solving one lap, then fixing the corner that came out opposite, until
the cost falls no more.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from building_segmenter.footprints.regularize.compiled import kernel

EAST, NORTH, WEST, SOUTH = 0, 1, 2, 3
_NOWHERE = 1e300


@kernel
def turned(x: Any, y: Any, breaks: Any, sums: Any, angle: float) -> Any:
    """Return the outline in axes turned by `angle`, over two laps, as the optimisation reads it.

    Args:
        x: Outline points.
        y: Outline points.
        breaks: Indices (n,) of break points.
        sums: `moments` of the outline.
        angle: Radians.

    Returns:
        Array (11, 2 n + 1): u and v of break points; running integrals of 1, u, v, uu, vv; lowest and highest u
        and v of the outline between a break point and the next.
    """
    points, n = len(x), len(breaks)
    c, s = math.cos(angle), math.sin(angle)
    ring = np.empty((11, 2 * n + 1))
    for k in range(2 * n + 1):
        p = breaks[k % n]
        ring[0, k], ring[1, k] = c * x[p] + s * y[p], c * y[p] - s * x[p]
        w, sx, sy, sxx, sxy, syy = sums[0, k], sums[1, k], sums[2, k], sums[3, k], sums[4, k], sums[5, k]
        ring[2, k] = w
        ring[3, k], ring[4, k] = c * sx + s * sy, c * sy - s * sx
        ring[5, k] = c * c * sxx + 2 * c * s * sxy + s * s * syy
        ring[6, k] = c * c * syy - 2 * c * s * sxy + s * s * sxx
    for k in range(n):
        low_u = low_v = np.inf
        high_u = high_v = -np.inf
        p, end = breaks[k], breaks[(k + 1) % n]
        while True:
            u, v = c * x[p] + s * y[p], c * y[p] - s * x[p]
            low_u, high_u, low_v, high_v = min(low_u, u), max(high_u, u), min(low_v, v), max(high_v, v)
            if p == end:
                break
            p = p + 1 if p + 1 < points else 0
        for lap in (k, k + n):
            ring[7, lap], ring[8, lap], ring[9, lap], ring[10, lap] = low_u, high_u, low_v, high_v
    return ring


@kernel
def one_lap(ring: Any, n: int, start: int, into: int, offset: float, limits: Any, states: Any, links: Any) -> Any:
    """Solve one lap that starts and ends at the corner at break point `start`.

    Args:
        ring: Outline of `turned`.
        n: Number of break points.
        start: Break point of the fixed corner, 0..n-1.
        into: Direction of the wall that ends at the fixed corner.
        offset: Offset of that wall.
        limits: Tolerance, shortest run, shortest wall, cost of a corner, longest way back.
        states: Work space (3, n + 1, 4): cost, offset of the last wall and of the one before, by break point and
            direction of the last wall.
        links: Result (2, n + 1, 4): break point and direction that the best way to a state comes from.

    Returns:
        Number of runs looked at. The cost of the lap is then in `states[0, n, into]`.
    """
    tolerance, shortest_run, way_back = limits[0], limits[1], limits[4]
    states[0, : n + 1] = np.inf
    states[0, 0, into], states[1, 0, into] = 0.0, offset
    states[2, 0, into] = -_NOWHERE if into < 2 else _NOWHERE
    work = 0
    for q in range(n):
        i = start + q
        along_u = states[0, q, 1] < np.inf or states[0, q, 3] < np.inf
        along_v = states[0, q, 0] < np.inf or states[0, q, 2] < np.inf
        low_u = high_u = top_u = bottom_u = ring[0, i]
        low_v = high_v = top_v = bottom_v = ring[1, i]
        back_east = back_north = back_west = back_south = 0.0
        r = q
        while r < n and (along_u or along_v):
            j = start + r
            low_u, high_u = min(low_u, ring[7, j]), max(high_u, ring[8, j])
            low_v, high_v = min(low_v, ring[9, j]), max(high_v, ring[10, j])
            r, j = r + 1, j + 1
            u, v = ring[0, j], ring[1, j]
            top_u, bottom_u, top_v, bottom_v = max(top_u, u), min(bottom_u, u), max(top_v, v), min(bottom_v, v)
            back_east, back_west = max(back_east, top_u - u), max(back_west, u - bottom_u)
            back_north, back_south = max(back_north, top_v - v), max(back_south, v - bottom_v)
            along_u &= high_v - low_v <= 2 * tolerance and min(back_east, back_west) <= way_back
            along_v &= high_u - low_u <= 2 * tolerance and min(back_north, back_south) <= way_back
            weight = ring[2, j] - ring[2, i]
            if along_u:
                mean = (ring[4, j] - ring[4, i]) / weight
                if high_v - mean <= tolerance and mean - low_v <= tolerance:
                    energy = ring[6, j] - ring[6, i] - mean * mean * weight
                    if u - ring[0, i] >= shortest_run and back_east <= way_back:
                        _relax(ring, i, q, r, EAST, mean, energy, limits, states, links)
                    elif ring[0, i] - u >= shortest_run and back_west <= way_back:
                        _relax(ring, i, q, r, WEST, mean, energy, limits, states, links)
            if along_v:
                mean = (ring[3, j] - ring[3, i]) / weight
                if high_u - mean <= tolerance and mean - low_u <= tolerance:
                    energy = ring[5, j] - ring[5, i] - mean * mean * weight
                    if v - ring[1, i] >= shortest_run and back_north <= way_back:
                        _relax(ring, i, q, r, NORTH, mean, energy, limits, states, links)
                    elif ring[1, i] - v >= shortest_run and back_south <= way_back:
                        _relax(ring, i, q, r, SOUTH, mean, energy, limits, states, links)
        work += r - q
    return work


@kernel
def _relax(
    ring: Any, i: int, q: int, r: int, way: int, mean: float, energy: float, limits: Any, states: Any, links: Any
) -> None:
    """Reach state (r, way) from the better of the two walls that may end at break point q."""
    tolerance, shortest_wall, corner_cost = limits[0], limits[2], limits[3]
    across, along = (0, 1) if way % 2 == 0 else (1, 0)
    for before in (1 - way % 2, 3 - way % 2):
        cost = states[0, q, before] + corner_cost + max(energy, 0.0)
        if not cost < states[0, r, way]:
            continue
        corner_a = states[1, q, before] - ring[across, i]
        corner_b = mean - ring[along, i]
        if corner_a * corner_a + corner_b * corner_b > tolerance * tolerance:
            continue
        wall = mean - states[2, q, before]
        if (wall if before < 2 else -wall) < shortest_wall:
            continue
        states[0, r, way], states[1, r, way], states[2, r, way] = cost, mean, states[1, q, before]
        links[0, r, way], links[1, r, way] = q, before


@kernel
def closed_ring(ring: Any, n: int, limits: Any, budget: int) -> Any:
    """Solve a closed ring.

    Args:
        ring: Outline of `turned`.
        n: Number of break points.
        limits: As in `one_lap`.
        budget: Runs that may be looked at.

    Returns:
        Cost (infinite without solution), break points (s,) of the corners in order, directions (s,) and offsets (s,)
        of the walls that follow them, and the runs looked at.
    """
    states, links = np.empty((3, n + 1, 4)), np.empty((2, n + 1, 4), np.int64)
    best = np.inf
    corners, ways, offsets = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    work = 0
    for into in (NORTH, WEST, SOUTH, EAST):
        start = _outermost(ring, n, into)
        offset = ring[0, start] if into % 2 == 1 else ring[1, start]
        for _ in range(4):
            work += one_lap(ring, n, start, into, offset, limits, states, links)
            cost = states[0, n, into]
            if not cost < best - 1e-9 * limits[3]:
                break
            best = cost
            corners, ways, offsets = _traced(start, n, into, states, links)
            opposite = np.argmin(np.abs((corners - start) % n - n / 2))
            start, into, offset = corners[opposite], ways[opposite - 1], offsets[opposite - 1]
            if work > budget:
                break
        if best < np.inf or work > budget:
            break
    return best, corners, ways, offsets, work


@kernel
def _outermost(ring: Any, n: int, into: int) -> Any:
    """Return the break point farthest out where a counter-clockwise ring turns left from direction `into`."""
    sign_u = 1.0 if into in (EAST, NORTH) else -1.0
    sign_v = 1.0 if into in (NORTH, WEST) else -1.0
    farthest, found = -np.inf, 0
    for k in range(n):
        out = sign_u * ring[0, k] + sign_v * ring[1, k]
        if out > farthest:
            farthest, found = out, k
    return found


@kernel
def _traced(start: int, n: int, into: int, states: Any, links: Any) -> Any:
    """Return corners, directions and offsets of the best way, in order from `start`."""
    count, q, way = 0, n, into
    while q > 0:
        q, way = links[0, q, way], links[1, q, way]
        count += 1
    corners, ways, offsets = np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count)
    q, way = n, into
    for k in range(count - 1, -1, -1):
        ways[k], offsets[k] = way, states[1, q, way]
        q, way = links[0, q, way], links[1, q, way]
        corners[k] = (start + q) % n
    return corners, ways, offsets
