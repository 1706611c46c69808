"""The optimisation where walls may be diagonal or free: laps of closed rings, and open chains.

Rules and terms of `optimum`. A wall that is free follows the total-least-squares line of its run; its cost is that
of a corner and a penalty, so that free walls come only where the axes do not serve.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from building_segmenter.compiled import kernel
from building_segmenter.footprints.regularize.optimum import (
    ALONG,
    EAST,
    FREE,
    HIGH,
    KINDS,
    LENGTH,
    LOW,
    NORTH,
    OPEN,
    SOUTH,
    SUM_U,
    SUM_UU,
    SUM_UV,
    SUM_V,
    SUM_VV,
    WEST,
    WORTH_A_LAP,
    U,
    V,
    outermost,
)

_FAR = 1e30
# Walls meet at 20 to 130 degrees: flatter corners are none, and sharper ones spikes.
_FLATTEST, _SHARPEST = math.sin(math.radians(20.0)), math.cos(math.radians(130.0))

_HALF = math.sqrt(0.5)
_UNITS = np.array(
    [
        [1.0, 0.0],
        [_HALF, _HALF],
        [0.0, 1.0],
        [-_HALF, _HALF],
        [-1.0, 0.0],
        [-_HALF, -_HALF],
        [0.0, -1.0],
        [_HALF, -_HALF],
    ]
)

COST, OFFSET, UNIT_U, UNIT_V, BEGIN, REACH = range(6)
"""Columns of a state: cost; line of the last wall; where along it it begins, and how far its run goes."""


@kernel
def kind_unit(kind: int) -> Any:
    """Return the unit of a wall of kind 0..7 in turned axes."""
    return _UNITS[kind, 0], _UNITS[kind, 1]


@kernel
def any_lap(ring: Any, n: int, start: int, limits: Any, prices: Any, states: Any, links: Any) -> Any:
    """Solve one lap (or an open chain) from the states that the caller has put in row 0.

    Args:
        ring: Outline of `turned` with `slanted`.
        n: Steps from break point to break point.
        start: Break point at which the lap starts.
        limits: As in `optimum.square_lap`.
        prices: Cost (9,) of a wall of each kind; infinite for kinds that are not allowed.
        states: Work space (n + 1, KINDS, 6) with columns as named above, row 0 filled.
        links: Result (n + 1, KINDS, 2): break point and kind that the best way to a state comes from.

    Returns:
        Number of runs looked at.
    """
    tolerance, shortest_run, shortest_wall, way_back = limits[0], limits[1], limits[2], limits[4]
    for r in range(1, n + 1):
        for kind in range(KINDS):
            states[r, kind, COST] = np.inf
    step = 1 if prices[1] < np.inf else 2
    span, cone = np.empty((4, 6)), np.empty(5)
    alive, befores = np.empty(5, np.bool_), np.empty(KINDS, np.int64)
    work = 0
    for q in range(n):
        known, least = 0, np.inf
        for kind in range(KINDS):
            if states[q, kind, COST] < np.inf:
                befores[known] = kind
                known, least = known + 1, min(least, states[q, kind, COST])
        if known == 0:
            continue
        i = start + q
        here_u, here_v = ring[i, U], ring[i, V]
        for axis in range(4):
            alive[axis] = axis % step == 0
            span[axis, 0] = span[axis, 1] = ring[i, ALONG + (axis + 2) % 4]
            span[axis, 2] = span[axis, 3] = ring[i, ALONG + axis]
            span[axis, 4] = span[axis, 5] = 0.0
        alive[4], cone[0] = prices[FREE] < np.inf, 0.0
        r, going = q, True
        while r < n and going:
            r += 1
            j = start + r
            weight = ring[j, LENGTH] - ring[i, LENGTH]
            mean_u, mean_v = (ring[j, SUM_U] - ring[i, SUM_U]) / weight, (ring[j, SUM_V] - ring[i, SUM_V]) / weight
            uu = ring[j, SUM_UU] - ring[i, SUM_UU] - mean_u * mean_u * weight
            vv = ring[j, SUM_VV] - ring[i, SUM_VV] - mean_v * mean_v * weight
            uv = ring[j, SUM_UV] - ring[i, SUM_UV] - mean_u * mean_v * weight if step == 1 or alive[4] else 0.0
            going = False
            for axis in range(0, 5, step):
                if not alive[axis]:
                    continue
                if axis < 4:
                    # Coordinates across the axis are along the one two further on.
                    other = (axis + 2) % 4
                    low = span[axis, 0] = min(span[axis, 0], ring[j - 1, LOW + other])
                    high = span[axis, 1] = max(span[axis, 1], ring[j - 1, HIGH + other])
                    near = span[axis, 2] = min(span[axis, 2], ring[j - 1, LOW + axis])
                    far = span[axis, 3] = max(span[axis, 3], ring[j - 1, HIGH + axis])
                    t = ring[j, ALONG + axis]
                    back = span[axis, 4] = max(span[axis, 4], far - t)
                    forth = span[axis, 5] = max(span[axis, 5], t - near)
                    alive[axis] = high - low <= 2 * tolerance and min(back, forth) <= way_back
                    if not alive[axis]:
                        continue
                    going = True
                    du, dv = _UNITS[axis, 0], _UNITS[axis, 1]
                    offset = du * mean_v - dv * mean_u
                    across = offset if axis < 2 else -offset
                    if high - across > tolerance or across - low > tolerance:
                        continue
                    along = t - ring[i, ALONG + axis]
                    if along >= shortest_run and back <= way_back:
                        kind = axis
                    elif -along >= shortest_run and forth <= way_back:
                        kind, du, dv, offset, near, far = axis + 4, -du, -dv, -offset, -far, -near
                    else:
                        continue
                    price = prices[kind] + max(dv * dv * uu - 2 * du * dv * uv + du * du * vv, 0.0)
                    if not least + price < states[r, kind, COST]:
                        continue
                else:
                    kind = FREE
                    run_u, run_v = ring[j, U] - here_u, ring[j, V] - here_v
                    alive[4] = _cone_open(run_u, run_v, 2 * tolerance, cone)
                    going |= alive[4]
                    long_enough = run_u * run_u + run_v * run_v >= max(shortest_run, 2 * tolerance) ** 2
                    if not (alive[4] and long_enough and least + prices[FREE] < states[r, FREE, COST]):
                        continue
                    du, dv, energy = principal_axis(uu, uv, vv, run_u, run_v)
                    offset, price = du * mean_v - dv * mean_u, prices[FREE] + energy
                    if not (energy <= tolerance * tolerance * weight and least + price < states[r, FREE, COST]):
                        continue
                    work += r - q
                    fits, near, far = _run_fits(ring, i, j, du, dv, offset, tolerance, way_back)
                    if not fits or du * run_u + dv * run_v < shortest_run:
                        continue
                for place in range(known):
                    before = befores[place]
                    cost = states[q, before, COST] + price
                    if not cost < states[r, kind, COST]:
                        continue
                    if before == OPEN:
                        # The chain begins where its first point falls on the wall.
                        aside = here_v * du - here_u * dv - offset
                        if abs(aside) > tolerance:
                            continue
                        begin = here_u * du + here_v * dv
                    else:
                        bu, bv, line = states[q, before, UNIT_U], states[q, before, UNIT_V], states[q, before, OFFSET]
                        cross = bu * dv - bv * du
                        if abs(cross) < _FLATTEST or bu * du + bv * dv < _SHARPEST:
                            continue
                        corner_u, corner_v = (line * du - offset * bu) / cross, (line * dv - offset * bv) / cross
                        if (corner_u - here_u) ** 2 + (corner_v - here_v) ** 2 > tolerance * tolerance:
                            continue
                        end = corner_u * bu + corner_v * bv
                        if end - states[q, before, BEGIN] < shortest_wall or states[q, before, REACH] - end > tolerance:
                            continue
                        begin = corner_u * du + corner_v * dv
                    if begin - near > tolerance:
                        continue
                    states[r, kind, COST], states[r, kind, OFFSET] = cost, offset
                    states[r, kind, UNIT_U], states[r, kind, UNIT_V] = du, dv
                    states[r, kind, BEGIN], states[r, kind, REACH] = begin, far
                    links[r, kind, 0], links[r, kind, 1] = q, before
        work += r - q
    return work


@kernel
def _cone_open(dx: float, dy: float, radius: float, cone: Any) -> Any:
    """Narrow the cone of directions that pass all points within `radius`; tell whether one is left.

    `cone` holds a flag and the two sides. A line within the tolerance of all points passes within twice that of all
    when it is moved into the first (Williams 1978).
    """
    distance = math.hypot(dx, dy)
    if distance <= radius:
        return True
    sine = radius / distance
    cosine = math.sqrt(1 - sine * sine)
    left_x, left_y = cosine * dx - sine * dy, sine * dx + cosine * dy
    right_x, right_y = cosine * dx + sine * dy, cosine * dy - sine * dx
    if cone[0] == 0.0:
        cone[0], cone[1], cone[2], cone[3], cone[4] = 1.0, left_x, left_y, right_x, right_y
        return True
    if cone[1] * left_y - cone[2] * left_x < 0:
        cone[1], cone[2] = left_x, left_y
    if cone[3] * right_y - cone[4] * right_x > 0:
        cone[3], cone[4] = right_x, right_y
    return cone[3] * cone[2] - cone[4] * cone[1] > 0


@kernel
def principal_axis(uu: float, uv: float, vv: float, run_u: float, run_v: float) -> Any:
    """Return the unit along which a scatter about its mean is longest, turned the way a run goes, and what is across.

    The line through the mean along it is the total-least-squares line, and the scatter across its squared deviation.
    """
    # The eigenvector of the larger eigenvalue, without trigonometry.
    half, root = (uu - vv) / 2, math.sqrt((uu - vv) ** 2 / 4 + uv * uv)
    du, dv = (half + root, uv) if half >= 0 else (uv, root - half)
    length = math.sqrt(du * du + dv * dv)
    if length == 0.0:
        du, dv, length = run_u, run_v, max(math.sqrt(run_u * run_u + run_v * run_v), 1e-300)
    if du * run_u + dv * run_v < 0:
        length = -length
    return du / length, dv / length, max((uu + vv) / 2 - root, 0.0)


@kernel
def _run_fits(ring: Any, i: int, j: int, du: float, dv: float, offset: float, tolerance: float, way_back: float) -> Any:
    """Tell whether break points i..j follow a line, and return the lowest and highest coordinate along it."""
    near = top = far = ring[i, U] * du + ring[i, V] * dv
    for k in range(i, j + 1):
        across, t = ring[k, V] * du - ring[k, U] * dv - offset, ring[k, U] * du + ring[k, V] * dv
        top = max(top, t)
        near, far = min(near, t), max(far, t)
        if abs(across) > tolerance or top - t > way_back:
            return False, near, far
    return True, near, far


@kernel
def put_start(states: Any, kind: int, unit_u: float, unit_v: float, offset: float) -> None:
    """Fill row 0 with the one wall that ends at the start."""
    states[0, :, COST] = np.inf
    states[0, kind, COST], states[0, kind, OFFSET] = 0.0, offset
    states[0, kind, UNIT_U], states[0, kind, UNIT_V] = unit_u, unit_v
    states[0, kind, BEGIN], states[0, kind, REACH] = -_FAR, -_FAR


@kernel
def any_ring(ring: Any, n: int, limits: Any, prices: Any, budget: int) -> Any:
    """Solve a closed ring with walls of all kinds that have a price.

    Args:
        ring: Outline of `turned` with `slanted`.
        n: Number of break points.
        limits: As in `optimum.square_lap`.
        prices: As in `any_lap`.
        budget: Runs that may be looked at.

    Returns:
        As `optimum.square_ring`.
    """
    states, links = np.empty((n + 1, KINDS, 6)), np.empty((n + 1, KINDS, 2), np.int64)
    best = np.inf
    corners, kinds = np.empty(0, np.int64), np.empty(0, np.int64)
    units, offsets = np.empty((0, 2)), np.empty(0)
    work = 0
    for attempt in range(8 if prices[FREE] < np.inf else 4):
        turn = (NORTH, WEST, SOUTH, EAST)[attempt % 4]
        start, into = outermost(ring, n, turn), turn
        unit_u, unit_v = kind_unit(turn)
        offset = ring[start, V] * unit_u - ring[start, U] * unit_v
        if attempt >= 4:
            into = FREE
            unit_u, unit_v, offset = _line_before(ring, n, start, limits[0])
        for _ in range(4):
            put_start(states, into, unit_u, unit_v, offset)
            work += any_lap(ring, n, start, limits, prices, states, links)
            cost = states[n, into, COST]
            if not cost < best:
                break
            gain, best = best - cost, cost
            corners, kinds, units, offsets = traced(start, n, into, n, states, links)
            last = np.argmin(np.abs((corners - start) % n - n / 2))
            start, into = corners[last], kinds[last - 1]
            unit_u, unit_v, offset = units[last - 1, 0], units[last - 1, 1], offsets[last - 1]
            if work > budget or gain < WORTH_A_LAP * limits[3]:
                break
        if best < np.inf or work > budget:
            break
    return best, corners, kinds, units, offsets, work


@kernel
def _line_before(ring: Any, n: int, start: int, tolerance: float) -> Any:
    """Return the line of the outline just before a break point, over three tolerances."""
    end = start + n
    begin = end - 2
    while begin > start + 1 and ring[end, LENGTH] - ring[begin, LENGTH] < 3 * tolerance:
        begin -= 1
    weight = ring[end, LENGTH] - ring[begin, LENGTH]
    mean_u = (ring[end, SUM_U] - ring[begin, SUM_U]) / weight
    mean_v = (ring[end, SUM_V] - ring[begin, SUM_V]) / weight
    du, dv, _ = principal_axis(
        ring[end, SUM_UU] - ring[begin, SUM_UU] - mean_u * mean_u * weight,
        ring[end, SUM_UV] - ring[begin, SUM_UV] - mean_u * mean_v * weight,
        ring[end, SUM_VV] - ring[begin, SUM_VV] - mean_v * mean_v * weight,
        ring[end, U] - ring[begin, U],
        ring[end, V] - ring[begin, V],
    )
    return du, dv, du * mean_v - dv * mean_u


@kernel
def traced(start: int, end: int, kind: int, lap: int, states: Any, links: Any) -> Any:
    """Return corners (modulo `lap`), kinds, units and offsets of the best way to state (end, kind)."""
    count, q, k = 0, end, kind
    while q > 0:
        q, k = links[q, k, 0], links[q, k, 1]
        count += 1
    corners, kinds = np.empty(count, np.int64), np.empty(count, np.int64)
    units, offsets = np.empty((count, 2)), np.empty(count)
    q, k = end, kind
    for place in range(count - 1, -1, -1):
        kinds[place], offsets[place] = k, states[q, k, OFFSET]
        units[place, 0], units[place, 1] = states[q, k, UNIT_U], states[q, k, UNIT_V]
        q, k = links[q, k, 0], links[q, k, 1]
        corners[place] = (start + q) % lap
    return corners, kinds, units, offsets
