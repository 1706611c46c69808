"""The optimisation where walls may be diagonal or free: laps of closed rings, and open chains.

Rules and terms of `optimum`. A wall that is free follows the total-least-squares line of its run; its cost is that
of a corner and a penalty, so that free walls come only where the axes do not serve.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from building_segmenter.footprints.regularize.compiled import kernel
from building_segmenter.footprints.regularize.optimum import (
    D1,
    D3,
    EAST,
    FREE,
    HIGH_D1,
    HIGH_D3,
    HIGH_U,
    HIGH_V,
    KINDS,
    LENGTH,
    LOW_D1,
    LOW_D3,
    LOW_U,
    LOW_V,
    NORTH,
    OPEN,
    SOUTH,
    SUM_U,
    SUM_UU,
    SUM_UV,
    SUM_V,
    SUM_VV,
    WEST,
    U,
    V,
    outermost,
)

_FAR = 1e30
# Walls meet at 20 to 130 degrees: flatter corners are none, and sharper ones spikes.
_FLATTEST, _SHARPEST = math.sin(math.radians(20.0)), math.cos(math.radians(130.0))

COST, OFFSET, UNIT_U, UNIT_V, BEGIN_U, BEGIN_V, REACH = range(7)
"""Columns of a state: cost; line of the last wall; the corner at which it begins; how far its run goes along it."""


@kernel
def kind_unit(kind: int) -> Any:
    """Return the unit of a wall of kind 0..7 in turned axes."""
    half = math.sqrt(0.5)
    if kind % 2 == 0:
        return float((kind == EAST) - (kind == WEST)), float((kind == NORTH) - (kind == SOUTH))
    return (half if kind in (1, 7) else -half), (half if kind in (1, 3) else -half)


@kernel
def any_lap(ring: Any, n: int, start: int, limits: Any, prices: Any, states: Any, links: Any) -> Any:
    """Solve one lap (or an open chain) from the states that the caller has put in row 0.

    Args:
        ring: Outline of `turned` with `slanted`.
        n: Steps from break point to break point.
        start: Break point at which the lap starts.
        limits: As in `optimum.square_lap`.
        prices: Cost (9,) of a wall of each kind; infinite for kinds that are not allowed.
        states: Work space (n + 1, KINDS, 7) with columns as named above, row 0 filled.
        links: Result (n + 1, KINDS, 2): break point and kind that the best way to a state comes from.

    Returns:
        Number of runs looked at.
    """
    states[1:, :, COST] = np.inf
    tolerance, shortest_run, way_back = limits[0], limits[1], limits[4]
    span = np.empty((4, 6))
    along = np.array([U, D1, V, D3])
    lows, highs = np.array([LOW_U, LOW_D1, LOW_V, LOW_D3]), np.array([HIGH_U, HIGH_D1, HIGH_V, HIGH_D3])
    diagonal, free = prices[1] < np.inf, prices[FREE] < np.inf
    step = 1 if diagonal else 2
    alive = np.empty(4, np.bool_)
    cone = np.empty(5)
    befores = np.empty(KINDS, np.int64)
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
        before = befores[:known]
        for axis in range(0, 4, step):
            span[axis, :4] = ring[i, along[axis]]
            span[axis, 4:] = 0.0
            alive[axis] = True
        cone[0] = 0.0
        free_alive = free
        going = True
        r = q
        while r < n and going:
            j = start + r
            for axis in range(0, 4, step):
                span[axis, 0] = min(span[axis, 0], ring[j, lows[axis]])
                span[axis, 1] = max(span[axis, 1], ring[j, highs[axis]])
            r, j = r + 1, j + 1
            going = False
            for axis in range(0, 4, step):
                if not alive[axis]:
                    continue
                t = ring[j, along[axis]]
                span[axis, 2], span[axis, 3] = min(span[axis, 2], t), max(span[axis, 3], t)
                span[axis, 4] = max(span[axis, 4], span[axis, 3] - t)
                span[axis, 5] = max(span[axis, 5], t - span[axis, 2])
                other = (axis + 2) % 4
                wide = span[other, 1] - span[other, 0] > 2 * tolerance
                alive[axis] = not wide and min(span[axis, 4], span[axis, 5]) <= way_back
                if alive[axis]:
                    going = True
                    price = least + prices[axis]
                    if price < states[r, axis, COST] or price < states[r, axis + 4, COST]:
                        _wall_on_axis(ring, i, j, q, r, axis, span, limits, prices, before, states, links)
            if free_alive:
                free_alive = _cone_open(ring[j, U] - ring[i, U], ring[j, V] - ring[i, V], 2 * tolerance, cone)
                if free_alive:
                    going = True
                    dx, dy = ring[j, U] - ring[i, U], ring[j, V] - ring[i, V]
                    far_enough = dx * dx + dy * dy >= max(shortest_run, 2 * tolerance) ** 2
                    if far_enough and least + prices[FREE] < states[r, FREE, COST]:
                        _free_wall(ring, i, j, q, r, limits, prices, before, states, links)
        work += r - q
    return work


@kernel
def _wall_on_axis(
    ring: Any,
    i: int,
    j: int,
    q: int,
    r: int,
    axis: int,
    span: Any,
    limits: Any,
    prices: Any,
    befores: Any,
    states: Any,
    links: Any,
) -> None:
    """Try the wall over the run i..j along an axis, in the direction in which the run goes."""
    tolerance, shortest_run, way_back = limits[0], limits[1], limits[4]
    weight = ring[j, LENGTH] - ring[i, LENGTH]
    du, dv = kind_unit(axis)
    mean_u, mean_v = (ring[j, SUM_U] - ring[i, SUM_U]) / weight, (ring[j, SUM_V] - ring[i, SUM_V]) / weight
    offset = du * mean_v - dv * mean_u
    # The coordinate along the left normal is that along the axis two further on.
    other = (axis + 2) % 4
    high = span[other, 1] if axis < 2 else -span[other, 0]
    low = span[other, 0] if axis < 2 else -span[other, 1]
    if high - offset > tolerance or offset - low > tolerance:
        return
    uu, vv = ring[j, SUM_UU] - ring[i, SUM_UU], ring[j, SUM_VV] - ring[i, SUM_VV]
    uv = ring[j, SUM_UV] - ring[i, SUM_UV]
    energy = dv * dv * uu - 2 * du * dv * uv + du * du * vv - offset * offset * weight
    along = (ring[j, U] - ring[i, U]) * du + (ring[j, V] - ring[i, V]) * dv
    if along >= shortest_run and span[axis, 4] <= way_back:
        _relax(
            ring,
            i,
            q,
            r,
            axis,
            du,
            dv,
            offset,
            energy,
            span[axis, 0],
            span[axis, 1],
            limits,
            prices,
            befores,
            states,
            links,
        )
    elif -along >= shortest_run and span[axis, 5] <= way_back:
        near, far = -span[axis, 1], -span[axis, 0]
        _relax(ring, i, q, r, axis + 4, -du, -dv, -offset, energy, near, far, limits, prices, befores, states, links)


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
def fitted_line(ring: Any, i: int, j: int) -> Any:
    """Return unit, offset and squared deviation of the total-least-squares line of the run i..j."""
    weight = ring[j, LENGTH] - ring[i, LENGTH]
    mu, mv = (ring[j, SUM_U] - ring[i, SUM_U]) / weight, (ring[j, SUM_V] - ring[i, SUM_V]) / weight
    uu = ring[j, SUM_UU] - ring[i, SUM_UU] - mu * mu * weight
    vv = ring[j, SUM_VV] - ring[i, SUM_VV] - mv * mv * weight
    uv = ring[j, SUM_UV] - ring[i, SUM_UV] - mu * mv * weight
    turn = math.atan2(2 * uv, uu - vv) / 2
    du, dv = math.cos(turn), math.sin(turn)
    if du * (ring[j, U] - ring[i, U]) + dv * (ring[j, V] - ring[i, V]) < 0:
        du, dv = -du, -dv
    energy = max(dv * dv * uu - 2 * du * dv * uv + du * du * vv, 0.0)
    return du, dv, du * mv - dv * mu, energy, weight


@kernel
def _free_wall(
    ring: Any, i: int, j: int, q: int, r: int, limits: Any, prices: Any, befores: Any, states: Any, links: Any
) -> None:
    """Try the wall over the run i..j along its own line."""
    tolerance, shortest_run, way_back = limits[0], limits[1], limits[4]
    du, dv, offset, energy, weight = fitted_line(ring, i, j)
    if energy > tolerance * tolerance * weight:
        return
    near = top = far = ring[i, U] * du + ring[i, V] * dv
    for k in range(i, j + 1):
        across, t = ring[k, V] * du - ring[k, U] * dv - offset, ring[k, U] * du + ring[k, V] * dv
        top = max(top, t)
        near, far = min(near, t), max(far, t)
        if abs(across) > tolerance or top - t > way_back:
            return
    if (ring[j, U] - ring[i, U]) * du + (ring[j, V] - ring[i, V]) * dv >= shortest_run:
        _relax(ring, i, q, r, FREE, du, dv, offset, energy, near, far, limits, prices, befores, states, links)


@kernel
def _relax(
    ring: Any,
    i: int,
    q: int,
    r: int,
    kind: int,
    du: float,
    dv: float,
    offset: float,
    energy: float,
    near: float,
    far: float,
    limits: Any,
    prices: Any,
    befores: Any,
    states: Any,
    links: Any,
) -> None:
    """Reach state (r, kind) from the best of the walls, of kinds `befores`, that may end at break point i."""
    tolerance, shortest_wall = limits[0], limits[2]
    here_u, here_v = ring[i, U], ring[i, V]
    price = prices[kind] + max(energy, 0.0)
    for before in befores:
        cost = states[q, before, COST] + price
        if not cost < states[r, kind, COST]:
            continue
        bu, bv, line = states[q, before, UNIT_U], states[q, before, UNIT_V], states[q, before, OFFSET]
        if before == OPEN:
            # The chain begins where its first point falls on the wall.
            across = here_v * du - here_u * dv - offset
            corner_u, corner_v = here_u + across * dv, here_v - across * du
            if abs(across) > tolerance:
                continue
        else:
            cross = bu * dv - bv * du
            if abs(cross) < _FLATTEST or bu * du + bv * dv < _SHARPEST:
                continue
            corner_u, corner_v = (line * du - offset * bu) / cross, (line * dv - offset * bv) / cross
            if (corner_u - here_u) ** 2 + (corner_v - here_v) ** 2 > tolerance * tolerance:
                continue
            end = corner_u * bu + corner_v * bv
            begin = states[q, before, BEGIN_U] * bu + states[q, before, BEGIN_V] * bv
            if end - begin < shortest_wall or states[q, before, REACH] - end > tolerance:
                continue
        if corner_u * du + corner_v * dv - near > tolerance:
            continue
        state = states[r, kind]
        state[COST], state[OFFSET], state[UNIT_U], state[UNIT_V] = cost, offset, du, dv
        state[BEGIN_U], state[BEGIN_V], state[REACH] = corner_u, corner_v, far
        links[r, kind, 0], links[r, kind, 1] = q, before


@kernel
def put_start(states: Any, kind: int, unit_u: float, unit_v: float, offset: float) -> None:
    """Fill row 0 with the one wall that ends at the start."""
    states[0, :, COST] = np.inf
    state = states[0, kind]
    state[COST], state[OFFSET], state[UNIT_U], state[UNIT_V] = 0.0, offset, unit_u, unit_v
    state[BEGIN_U], state[BEGIN_V], state[REACH] = -_FAR * unit_u, -_FAR * unit_v, -_FAR


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
    states, links = np.empty((n + 1, KINDS, 7)), np.empty((n + 1, KINDS, 2), np.int64)
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
            if not cost < best - 1e-9 * limits[3]:
                break
            best = cost
            corners, kinds, units, offsets = traced(start, n, into, n, states, links)
            last = np.argmin(np.abs((corners - start) % n - n / 2))
            start, into = corners[last], kinds[last - 1]
            unit_u, unit_v, offset = units[last - 1, 0], units[last - 1, 1], offsets[last - 1]
            if work > budget:
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
    du, dv, offset, _, _ = fitted_line(ring, begin, end)
    return du, dv, offset


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
