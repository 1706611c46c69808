"""The guarantees of a solution: how far it lies from the outline, and that its walls do not touch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from building_segmenter.compiled import kernel
from building_segmenter.footprints.regularize.polish import corner_points


@kernel
def deviation(outline: Any, at: Any, units: Any, offsets: Any, shortest_wall: float) -> Any:
    """Return an upper bound of the Hausdorff distance between outline and ring, infinite if a wall is too short.

    Each run is compared with its own wall. Both are convex along a segment, so points suffice: outline to wall
    because distance to a segment is convex; wall to outline because a wall between the feet of its run's ends has
    a point of the run over every place, and from there to the corner the run's end is near.
    """
    x, y = outline[0], outline[1]
    s, points = len(at), len(x)
    corner_x, corner_y = corner_points(units, offsets)
    worst = 0.0
    for k in range(s):
        following = (k + 1) % s
        ax, ay = units[k, 0], units[k, 1]
        begin = ax * corner_x[k] + ay * corner_y[k]
        end = ax * corner_x[following] + ay * corner_y[following]
        if not end - begin >= shortest_wall or at[k] == at[following]:
            return np.inf
        p = at[k]
        worst = max(worst, (x[p] - corner_x[k]) ** 2 + (y[p] - corner_y[k]) ** 2)
        while True:
            t, across = ax * x[p] + ay * y[p], ax * y[p] - ay * x[p] - offsets[k]
            beyond = max(begin - t, t - end, 0.0)
            worst = max(worst, across * across + beyond * beyond)
            if p == at[following]:
                break
            p = p + 1 if p + 1 < points else 0
    return math.sqrt(worst)


@kernel
def crosses_itself(units: Any, offsets: Any) -> Any:
    """Tell whether two walls of a ring that are not neighbours touch or cross."""
    s = len(offsets)
    x, y = corner_points(units, offsets)
    for a in range(s):
        a_end = (a + 1) % s
        for b in range(a + 2, s - (1 if a == 0 else 0)):
            b_end = (b + 1) % s
            if min(x[b], x[b_end]) > max(x[a], x[a_end]) or max(x[b], x[b_end]) < min(x[a], x[a_end]):
                continue
            if min(y[b], y[b_end]) > max(y[a], y[a_end]) or max(y[b], y[b_end]) < min(y[a], y[a_end]):
                continue
            if _apart(x[a], y[a], x[a_end], y[a_end], x[b], y[b], x[b_end], y[b_end]):
                continue
            if _apart(x[b], y[b], x[b_end], y[b_end], x[a], y[a], x[a_end], y[a_end]):
                continue
            return True
    return False


@kernel
def _apart(ax: float, ay: float, bx: float, by: float, px: float, py: float, qx: float, qy: float) -> Any:
    """Tell whether p and q lie strictly on one side of the line from a to b."""
    side_p = (bx - ax) * (py - ay) - (by - ay) * (px - ax)
    side_q = (bx - ax) * (qy - ay) - (by - ay) * (qx - ax)
    return (side_p > 0 and side_q > 0) or (side_p < 0 and side_q < 0)
