"""The optimisation for open lines: between two ends on lines already solved, walls in a few given directions.

The same rules as for rings (`regularize.optimum`): the fewest corners, and of those the least squared deviation.
A line is cut into runs, each run is a wall in one of the directions with the mean offset of its run, every point
lies within the tolerance of its wall, and walls meet within the tolerance of the point where their runs meet. At its
ends the line meets one of the walls that it is offered, again within the tolerance of its own end.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from building_segmenter.compiled import kernel

# Two lines meet only if they are at least this far from parallel.
# A line may end a little farther from its own end than the tolerance: the corner there lies near both boundaries if it
# lies along one of them from where they met. The polygons are checked at last.
_END = 1.4
_LEAST_SINE = math.sin(math.radians(4.0))


@kernel
def with_points(x: Any, y: Any, step: float) -> Any:
    """Return an open line with equally spaced points put into every edge longer than `step`."""
    total = 1
    for k in range(1, len(x)):
        total += max(1, math.ceil(math.hypot(x[k] - x[k - 1], y[k] - y[k - 1]) / step - 1e-3))
    out_x, out_y = np.empty(total), np.empty(total)
    out_x[0], out_y[0] = x[0], y[0]
    m = 1
    for k in range(1, len(x)):
        pieces = max(1, math.ceil(math.hypot(x[k] - x[k - 1], y[k] - y[k - 1]) / step - 1e-3))
        for piece in range(1, pieces + 1):
            share = piece / pieces
            out_x[m] = x[k - 1] + (x[k] - x[k - 1]) * share
            out_y[m] = y[k - 1] + (y[k] - y[k - 1]) * share
            m += 1
    return out_x, out_y


@kernel
def breaks_along(x: Any, y: Any, spacing: float) -> Any:
    """Return indices of points about `spacing` apart where walls may end, the first and the last included."""
    found = np.empty(len(x), np.int64)
    found[0] = 0
    m, since = 1, 0.0
    for k in range(1, len(x)):
        since += math.hypot(x[k] - x[k - 1], y[k] - y[k - 1])
        if since >= spacing or k == len(x) - 1:
            found[m] = k
            m, since = m + 1, 0.0
    return found[:m].copy()


@kernel
def _turned(x: Any, y: Any, breaks: Any, angles: Any) -> Any:
    """Return along and across at the breaks, running moments of across, and its range between breaks; by direction.

    Returns:
        Array (7, directions, breaks): along, across, length, sum, sum of squares, lowest, highest.
    """
    count, n = len(angles), len(breaks)
    table = np.zeros((7, count, n))
    for k in range(count):
        c, s = math.cos(angles[k]), math.sin(angles[k])
        length = total = squares = 0.0
        for b in range(n):
            p = breaks[b]
            table[0, k, b], table[1, k, b] = c * x[p] + s * y[p], c * y[p] - s * x[p]
            table[2, k, b], table[3, k, b], table[4, k, b] = length, total, squares
            if b == n - 1:
                break
            low = high = table[1, k, b]
            for q in range(p + 1, breaks[b + 1] + 1):
                before, here = c * y[q - 1] - s * x[q - 1], c * y[q] - s * x[q]
                w = math.hypot(x[q] - x[q - 1], y[q] - y[q - 1])
                length, total = length + w, total + w * (before + here) / 2
                squares += w * (before * before + before * here + here * here) / 3
                low, high = min(low, here), max(high, here)
            table[5, k, b], table[6, k, b] = low, high
    return table


@kernel
def crossing(c: float, s: float, offset: float, ax: float, ay: float, bx: float, by: float) -> Any:
    """Return where the line of unit (c, s) and offset meets the line through a and b, and how far from a to b.

    NaN where they are nearly parallel.
    """
    dx, dy = bx - ax, by - ay
    length = math.hypot(dx, dy)
    sine = c * dy - s * dx
    if length == 0.0 or abs(sine) < _LEAST_SINE * length:
        return np.nan, np.nan, np.nan
    share = (offset - (c * ay - s * ax)) / sine
    return ax + share * dx, ay + share * dy, share


@kernel
def meeting(c: float, s: float, offset: float, x: float, y: float, walls: Any, reach: float) -> Any:
    """Return the place nearest to (x, y) where a line meets one of some walls (n, 4), NaN if farther than `reach`.

    A wall may be a third of `reach` too short.
    """
    nearest, found_x, found_y = reach, np.nan, np.nan
    for k in range(len(walls)):
        ax, ay, bx, by = walls[k, 0], walls[k, 1], walls[k, 2], walls[k, 3]
        cross_x, cross_y, share = crossing(c, s, offset, ax, ay, bx, by)
        if not np.isfinite(share):
            continue
        over = max(-share, share - 1.0, 0.0) * math.hypot(bx - ax, by - ay)
        distance = math.hypot(cross_x - x, cross_y - y)
        if over <= reach / 3 and distance <= nearest:
            nearest, found_x, found_y = distance, cross_x, cross_y
    return found_x, found_y


@kernel
def straightened(
    x: Any, y: Any, breaks: Any, angles: Any, costs: Any, widest: float, reach: float, starts: Any, ends: Any
) -> Any:
    """Find the best walls for an open line.

    Args:
        x: Points of the line, dense.
        y: Points of the line.
        breaks: Indices of the points where walls may end.
        angles: Directions (k,) of walls in radians, modulo a half turn.
        costs: Cost (k,) of a wall in each direction, in corners.
        widest: The sharpest turn between walls, radians.
        reach: Tolerance in metres.
        starts: Walls (n, 4) of which the first wall must meet one; none: it begins anywhere.
        ends: The same for the last wall.

    Returns:
        Cost (infinite without solution), and for each wall its direction 0..2 k - 1 (from k on backwards), its offset,
        how far it may be moved sideways, and its first break.
    """
    count, n = len(angles), len(breaks) - 1
    table = _turned(x, y, breaks, angles)
    length = table[2, 0, n]
    # One corner costs more than all deviation can.
    corner = 2 * length * reach * reach
    shortest = min(reach / 2, length / 4)
    units = np.empty((2 * count, 2))
    for k in range(count):
        units[k, 0], units[k, 1] = math.cos(angles[k]), math.sin(angles[k])
        units[k + count] = -units[k]
    states = np.full((4, n + 1, 2 * count), np.inf)
    links = np.full((2, n + 1, 2 * count), -1)
    live = np.empty(count, np.bool_)
    low, high, top, bottom = np.empty(count), np.empty(count), np.empty(count), np.empty(count)
    ahead, back = np.empty(count), np.empty(count)
    for q in range(n):
        if q > 0 and not np.isfinite(states[0, q].min()):
            continue
        live[:] = True
        for k in range(count):
            low[k] = high[k] = table[1, k, q]
            top[k] = bottom[k] = table[0, k, q]
        ahead[:], back[:] = 0.0, 0.0
        for r in range(q + 1, n + 1):
            if not live.any():
                break
            for k in range(count):
                if not live[k]:
                    continue
                low[k], high[k] = min(low[k], table[5, k, r - 1]), max(high[k], table[6, k, r - 1])
                along = table[0, k, r]
                top[k], bottom[k] = max(top[k], along), min(bottom[k], along)
                ahead[k], back[k] = max(ahead[k], top[k] - along), max(back[k], along - bottom[k])
                if high[k] - low[k] > 2 * reach or min(ahead[k], back[k]) > reach:
                    live[k] = False
                    continue
                weight = table[2, k, r] - table[2, k, q]
                mean = (table[3, k, r] - table[3, k, q]) / weight
                if high[k] - mean > reach or mean - low[k] > reach:
                    continue
                run = along - table[0, k, q]
                if run >= shortest / 2 and ahead[k] <= reach:
                    way = k
                elif -run >= shortest / 2 and back[k] <= reach:
                    way = k + count
                else:
                    continue
                energy = max(table[4, k, r] - table[4, k, q] - mean * mean * weight, 0.0)
                cost = energy + corner * costs[k]
                begin = breaks[q]
                if q == 0:
                    _begin(x[begin], y[begin], units, way, mean, cost, reach, starts, r, states, links)
                else:
                    _turn(x[begin], y[begin], q, r, units, way, mean, cost, reach, shortest, widest, states, links)
    best, last = np.inf, -1
    for way in range(2 * count):
        if states[0, n, way] < best and _ends_well(x[-1], y[-1], units, way, states[:, n, way], reach, ends, shortest):
            best, last = states[0, n, way], way
    return _traced(best, last, n, links, states, table)


@kernel
def _begin(
    x: float,
    y: float,
    units: Any,
    way: int,
    mean: float,
    cost: float,
    reach: float,
    starts: Any,
    r: int,
    states: Any,
    links: Any,
) -> None:
    if not cost < states[0, r, way]:
        return
    count = len(units) // 2
    c, s = units[way % count, 0], units[way % count, 1]
    if len(starts):
        begin_x, begin_y = meeting(c, s, mean, x, y, starts, _END * reach)
        if not np.isfinite(begin_x):
            return
    else:
        across = c * y - s * x - mean
        begin_x, begin_y = x + s * across, y - c * across
    states[0, r, way], states[1, r, way], states[2, r, way], states[3, r, way] = cost, mean, begin_x, begin_y
    links[0, r, way], links[1, r, way] = 0, -1


@kernel
def _turn(
    x: float,
    y: float,
    q: int,
    r: int,
    units: Any,
    way: int,
    mean: float,
    cost: float,
    reach: float,
    shortest: float,
    widest: float,
    states: Any,
    links: Any,
) -> None:
    count = len(units) // 2
    k = way % count
    c, s = units[k, 0], units[k, 1]
    for before in range(2 * count):
        total = states[0, q, before] + cost
        if before % count == k or not total < states[0, r, way]:
            continue
        if units[before, 0] * units[way, 0] + units[before, 1] * units[way, 1] < math.cos(widest) - 1e-9:
            continue
        bc, bs = units[before % count, 0], units[before % count, 1]
        sine = bc * s - bs * c
        offset = states[1, q, before]
        corner_x, corner_y = (offset * c - mean * bc) / sine, (offset * s - mean * bs) / sine
        if (corner_x - x) ** 2 + (corner_y - y) ** 2 > reach * reach:
            continue
        wall = (corner_x - states[2, q, before]) * units[before, 0] + (corner_y - states[3, q, before]) * units[
            before, 1
        ]
        if wall < shortest:
            continue
        states[0, r, way], states[1, r, way], states[2, r, way], states[3, r, way] = total, mean, corner_x, corner_y
        links[0, r, way], links[1, r, way] = q, before


@kernel
def _ends_well(x: float, y: float, units: Any, way: int, state: Any, reach: float, ends: Any, shortest: float) -> Any:
    count = len(units) // 2
    c, s = units[way % count, 0], units[way % count, 1]
    end_x, end_y = x, y
    if len(ends):
        end_x, end_y = meeting(c, s, state[1], x, y, ends, _END * reach)
    wall = (end_x - state[2]) * units[way, 0] + (end_y - state[3]) * units[way, 1]
    return wall >= shortest / 2


@kernel
def _traced(best: float, last: int, n: int, links: Any, states: Any, table: Any) -> Any:
    ways, offsets, room, begins = np.empty(n, np.int64), np.empty(n), np.empty(n), np.empty(n, np.int64)
    m, r, way = n, n, last
    while way >= 0:
        q, k = links[0, r, way], way % (states.shape[2] // 2)
        m -= 1
        ways[m], offsets[m], begins[m] = way, states[1, r, way], q
        room[m] = max(table[6, k, q:r].max() - offsets[m], offsets[m] - table[5, k, q:r].min())
        way, r = links[1, r, way], q
    return best, ways[m:].copy(), offsets[m:].copy(), room[m:].copy(), begins[m:].copy()
