"""From a ring of coordinates to what the optimisation reads: points, break points and moments.

An *outline* is the ring with points put in so that none are farther apart than the densification. Every point has a
mass, by which it counts in all fits. *Break points* are those of its points where a wall may end. Kernels take and
return plain float arrays.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from building_segmenter.compiled import kernel

_SAME_POINT = 1e-6
_NEARLY = 1 - 1e-6


@kernel
def length_of(dx: float, dy: float) -> Any:
    """Return the length of a vector; `math.hypot` guards against overflow, at several times the cost."""
    return math.sqrt(dx * dx + dy * dy)


@kernel
def cleaned(x: Any, y: Any, mass: Any) -> Any:
    """Return a closed ring (n, first point repeated or not) as an open one, counter-clockwise, without repeats."""
    n = len(x)
    kept = np.empty((3, n))
    kept_x, kept_y = kept[0], kept[1]
    m = 0
    for k in range(n):
        if m == 0 or abs(x[k] - kept_x[m - 1]) > _SAME_POINT or abs(y[k] - kept_y[m - 1]) > _SAME_POINT:
            kept_x[m], kept_y[m], kept[2, m] = x[k], y[k], mass[k]
            m += 1
    while m > 1 and abs(kept_x[0] - kept_x[m - 1]) <= _SAME_POINT and abs(kept_y[0] - kept_y[m - 1]) <= _SAME_POINT:
        m -= 1
    if signed_area(kept_x[:m], kept_y[:m]) < 0:
        return kept[:, :m][:, ::-1].copy()
    return kept[:, :m].copy()


@kernel
def signed_area(x: Any, y: Any) -> Any:
    """Return the area inside an open ring; positive if counter-clockwise."""
    total = 0.0
    for k in range(len(x)):
        total += x[k - 1] * y[k] - x[k] * y[k - 1]
    return total / 2


@kernel
def perimeter(x: Any, y: Any) -> Any:
    """Return the length of an open ring, its closing edge included."""
    total = 0.0
    for k in range(len(x)):
        total += length_of(x[k] - x[k - 1], y[k] - y[k - 1])
    return total


@kernel
def started_at_corner(ring: Any) -> Any:
    """Return the ring (3, n) starting at its point farthest from its mean: results do not depend on the start."""
    x, y = ring[0], ring[1]
    n = len(x)
    mean_x, mean_y = x.mean(), y.mean()
    far, start = -1.0, 0
    for k in range(n):
        distance = (x[k] - mean_x) ** 2 + (y[k] - mean_y) ** 2
        if distance > far * (1 + 1e-9):
            far, start = distance, k
    return np.concatenate((ring[:, start:], ring[:, :start]), axis=1)


@kernel
def densified(ring: Any, step: float, closed: bool) -> Any:
    """Return the outline (3, n) with points put into every edge longer than `step`.

    From both ends of an edge on, the points are one step apart, then two, four and so on: walls end near corners of an
    outline, not in the middle of its long straight edges.
    """
    n = ring.shape[1]
    edges = n if closed else n - 1
    counts = np.empty(edges, np.int64)
    for k in range(edges):
        following = (k + 1) % n
        counts[k] = _points_within(length_of(ring[0, following] - ring[0, k], ring[1, following] - ring[1, k]), step)
    out = np.empty((3, counts.sum() + n))
    m = 0
    for k in range(edges):
        following = (k + 1) % n
        length = length_of(ring[0, following] - ring[0, k], ring[1, following] - ring[1, k])
        for place in range(counts[k] + 1):
            share = _place_of(place, counts[k], length, step) / length if place > 0 else 0.0
            for row in range(3):
                out[row, m] = ring[row, k] + (ring[row, following] - ring[row, k]) * share
            m += 1
    if not closed:
        out[:, m] = ring[:, n - 1]
    return out


@kernel
def _points_within(length: float, step: float) -> Any:
    """Return how many points are put into an edge: one in its middle, and on both sides of it as many as there fit."""
    # A length that is a whole number of steps must not change by rounding from one CRS to another.
    if length <= step * (1 + 1e-3):
        return 0
    return 2 * _doublings(length, step) + 1


@kernel
def _doublings(length: float, step: float) -> Any:
    """Return how many points at one, three, seven... steps lie half a step or more before the middle of an edge."""
    count = 0
    while (2.0 ** (count + 1) - 1) * step < (length / 2 - step / 2) * (1 + 1e-3):
        count += 1
    return count


@kernel
def _place_of(place: int, count: int, length: float, step: float) -> Any:
    """Return where along an edge point number `place`, 1..count, lies."""
    half = (count + 1) // 2
    if place == half:
        return length / 2
    if place < half:
        return (2.0**place - 1) * step
    return length - (2.0 ** (count + 1 - place) - 1) * step


@kernel
def break_points(x: Any, y: Any, deviation: float, gap: float) -> Any:
    """Return indices of outline points so that the outline stays near the chords between them.

    One pass with the cone of directions that pass every point since the last break within `deviation` (Williams
    1978; Sklansky & Gonzalez 1980); breaks are at most `gap` apart where points allow.
    """
    n = len(x)
    found = np.empty(n, np.int64)
    m, anchor = 1, 0
    found[0] = 0
    left_x = left_y = right_x = right_y = 0.0
    open_cone = True
    k = 1
    while k < n:
        dx, dy = x[k] - x[anchor], y[k] - y[anchor]
        distance = length_of(dx, dy)
        outside = distance > gap
        if not open_cone and not outside and distance > deviation:
            outside = left_x * dy - left_y * dx > 0 or right_x * dy - right_y * dx < 0
        if outside and k - 1 > anchor:
            anchor = k - 1
            found[m] = anchor
            m += 1
            open_cone = True
            continue
        if distance > deviation:
            sine = deviation / distance
            cosine = math.sqrt(1 - sine * sine)
            to_left_x, to_left_y = cosine * dx - sine * dy, sine * dx + cosine * dy
            to_right_x, to_right_y = cosine * dx + sine * dy, cosine * dy - sine * dx
            if open_cone or left_x * to_left_y - left_y * to_left_x < 0:
                left_x, left_y = to_left_x, to_left_y
            if open_cone or right_x * to_right_y - right_y * to_right_x > 0:
                right_x, right_y = to_right_x, to_right_y
            open_cone = False
        k += 1
    return found[:m].copy()


@kernel
def corner_places(x: Any, y: Any, arm: float, spacing: float) -> Any:
    """Return indices of the points of a ring at which a wall may end: where it turns most, and between.

    How much a ring turns at a point is seen from the points an arm's length before and after. Places are the points
    that turn more than all others within half the spacing, and points between them wherever they are farther apart
    than the spacing.
    """
    n = len(x)
    # Two laps and a half of running lengths spare all questions of where the ring begins.
    arc = np.empty(3 * n + 1)
    arc[0] = 0.0
    for k in range(n):
        after = k + 1 if k + 1 < n else 0
        arc[k + 1] = arc[k] + length_of(x[after] - x[k], y[after] - y[k])
    length = arc[n]
    for k in range(1, 2 * n + 1):
        arc[n + k] = arc[k] + length
    turn = _turns(x, y, arc, min(arm, length / 8))
    peaks = _peaks(turn, arc, spacing / 2 / _NEARLY)
    places = np.empty(n, np.int64)
    count, m = 0, len(peaks)
    for k in range(m):
        first, last = peaks[k], peaks[k + 1] if k + 1 < m else peaks[0] + n
        apart = arc[last] - arc[first]
        step = apart / max(math.ceil(apart / spacing - 1e-6), 1)
        reached = arc[first]
        for point in range(first, last):
            if point == first or (arc[point] >= reached + 0.99 * step and arc[last] - arc[point] >= 0.499 * step):
                places[count] = point if point < n else point - n
                count += 1
                reached = arc[point]
    return np.sort(places[:count])


@kernel
def _turns(x: Any, y: Any, arc: Any, arm: float) -> Any:
    """Return how much the ring turns at each point, between the chords of an arm's length to both sides.

    One minus the cosine of the turn, in whole millionths.
    """
    n = len(x)
    turn = np.empty(n)
    back, ahead = 0, n
    for k in range(n, 2 * n):
        # Points of traced outlines are often a whole number of pixels apart, and so may the arm be: what is as long as
        # it but for rounding is as long.
        while arc[k] - arc[back + 1] >= arm * _NEARLY:
            back += 1
        while ahead <= k or arc[ahead] - arc[k] < arm * _NEARLY:
            ahead += 1
        here = k - n
        before, after = back if back < n else back - n, ahead - n if ahead < 2 * n else ahead - 2 * n
        ax, ay, bx, by = x[here] - x[before], y[here] - y[before], x[after] - x[here], y[after] - y[here]
        cosine = (ax * bx + ay * by) / math.sqrt(max((ax * ax + ay * ay) * (bx * bx + by * by), 1e-30))
        # Points on both sides of a corner that turn alike must do so whatever the rounding.
        turn[here] = math.floor((1 - cosine) * 1e6 + 0.5)
    return turn


@kernel
def _peaks(turn: Any, arc: Any, reach: float) -> Any:
    """Return the points that turn more than all others within reach along the ring, the first of equals; never none."""
    n = len(turn)
    found = np.empty(n, np.int64)
    m = 0
    for k in range(n):
        highest = True
        other, place = k, k + n
        while highest and arc[place - 1] > 0 and arc[k + n] - arc[place - 1] <= reach:
            place -= 1
            other = other - 1 if other > 0 else n - 1
            if other == k:
                break
            highest = turn[other] < turn[k]
        other, place = k, k + n
        while highest and arc[place + 1] - arc[k + n] <= reach:
            place += 1
            other = other + 1 if other + 1 < n else 0
            if other == k:
                break
            highest = turn[other] <= turn[k]
        if highest:
            found[m] = k
            m += 1
    if m == 0:
        found[0] = np.argmax(turn)
        m = 1
    return found[:m]


@kernel
def moments(x: Any, y: Any, mass: Any, breaks: Any, closed: bool) -> Any:
    """Return running line integrals along the outline up to each break point, over two laps of a ring.

    Returns:
        Array (6, 2 n + 1) for n breaks, (6, n) for those of an open outline: the integrals of 1, x, y, xx, xy, yy,
        each weighed by the mass of the points, from the first break on.
    """
    points, n = len(x), len(breaks)
    steps = n if closed else n - 1
    sums = np.zeros((6, (2 * n if closed else steps) + 1))
    w = sx = sy = sxx = sxy = syy = 0.0
    for step in range(steps):
        k = breaks[step]
        end = breaks[step + 1] if step + 1 < n else breaks[0]
        while True:
            following = k + 1 if k + 1 < points else 0
            ax, ay, bx, by = x[k], y[k], x[following], y[following]
            length = (mass[k] + mass[following]) / 2 * length_of(bx - ax, by - ay)
            w, sx, sy = w + length, sx + length * (ax + bx) / 2, sy + length * (ay + by) / 2
            sxx += length * (ax * ax + ax * bx + bx * bx) / 3
            sxy += length * (2 * ax * ay + 2 * bx * by + ax * by + bx * ay) / 6
            syy += length * (ay * ay + ay * by + by * by) / 3
            k = following
            if k == end:
                break
        sums[0, step + 1], sums[1, step + 1], sums[2, step + 1] = w, sx, sy
        sums[3, step + 1], sums[4, step + 1], sums[5, step + 1] = sxx, sxy, syy
    if closed:
        for row in range(6):
            for step in range(1, n + 1):
                sums[row, n + step] = sums[row, step] + sums[row, n]
    return sums
