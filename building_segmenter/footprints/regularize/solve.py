"""One polygon from outline to checked right-angle rings, and batches of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from building_segmenter.footprints.regularize.compiled import kernel
from building_segmenter.footprints.regularize.direction import (
    QUARTER,
    chord_direction,
    folded,
    longest_wall,
    tightest_rectangle,
)
from building_segmenter.footprints.regularize.optimum import closed_ring, turned
from building_segmenter.footprints.regularize.outline import (
    break_points,
    cleaned,
    densified,
    moments,
    perimeter,
    signed_area,
    started_at_corner,
)
from building_segmenter.footprints.regularize.polish import (
    add_scatter,
    area_restored,
    corner_points,
    crosses_itself,
    deviation,
    nearest_to_corners,
    refitted,
    wall_moments,
)

DONE, NOT_RECTILINEAR, SELF_TOUCHING, TOO_SMALL, TOO_COMPLEX = 0, 1, 2, 3, 4

_BUDGET = 40_000_000
_MOST_BREAKS = 20_000
_SAME_ANGLE = math.radians(2.0)
# The main direction is settled on a solution within this share of the tolerance.
_FINE = 0.5
_FAR_BETTER = 0.6
_SWEEP_STEP = math.radians(6.0)
# Between main directions, a corner weighs as much as a fortieth of the squared tolerance in mean squared deviation:
# an outline that wobbles may need a corner more at its true direction than at a wrong one, but lies closer to it.
_CORNERS_FOR_SPREAD = 40.0
# Up to this many corners a ring, the first candidates are trusted; a staircase has more, and all directions are tried.
_FEW = 6


@kernel
def outline_of(x: Any, y: Any, gap: float, follow: float) -> Any:
    """Return outline points x and y, break points and moments of a ring."""
    x, y = cleaned(x, y)
    x, y = started_at_corner(x, y)
    length = perimeter(x, y)
    gap = max(min(gap, length / 32), length / _MOST_BREAKS)
    x, y = densified(x, y, gap)
    breaks = break_points(x, y, min(follow, length / 100), gap)
    return x, y, breaks, moments(x, y, breaks)


@kernel
def limits_of(outline: Any, tolerance: float, corner_cost: float) -> Any:
    """Return the limits that the optimisation takes, for one ring."""
    x, y = outline[0], outline[1]
    # A thin polygon has walls that are as short as it is wide: half its area over perimeter.
    shortest_wall = min(tolerance / 2, signed_area(x, y) / perimeter(x, y))
    return np.array([tolerance, shortest_wall / 2, shortest_wall, corner_cost, tolerance])


@kernel
def solved(outlines: Any, limits: Any, angle: float, budget: int) -> Any:
    """Solve all rings of a polygon at one main direction; the cost is infinite if one has no solution."""
    cost, work = 0.0, 0
    solutions = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))][:0]
    for k in range(len(outlines)):
        x, y, breaks, sums = outlines[k]
        ring = turned(x, y, breaks, sums, angle)
        ring_cost, corners, ways, offsets, ring_work = closed_ring(ring, len(breaks), limits[k], budget - work)
        cost, work = cost + ring_cost, work + ring_work
        if not cost < np.inf or work > budget:
            return np.inf, solutions, work
        solutions.append((breaks[corners], ways, offsets))
    return cost, solutions, work


@kernel
def polished(outlines: Any, solutions: Any, angle: float, trim: float, turning: bool) -> Any:
    """Refit all walls and, if `turning`, the common main direction by least squares, three times round.

    Returns:
        The main direction and solutions in the axes it turns.
    """
    for _ in range(3):
        scatter = np.zeros(2)
        all_sums = [np.empty((0, 6))][:0]
        for k in range(len(outlines)):
            at, ways, offsets = solutions[k]
            sums = wall_moments(outlines[k][0], outlines[k][1], angle, at, ways, offsets, trim)
            add_scatter(scatter, sums, ways)
            all_sums.append(sums)
        turn = math.atan2(2 * scatter[1], scatter[0]) / 2 - angle
        turn -= math.pi * math.floor(turn / math.pi + 0.5)
        if turning and abs(turn) < QUARTER / 2:
            angle += turn
        refit = [solutions[0]][:0]
        for k in range(len(outlines)):
            at, ways, offsets = solutions[k]
            offsets = refitted(all_sums[k], ways, angle, offsets)
            at = nearest_to_corners(outlines[k][0], outlines[k][1], angle, at, ways, offsets)
            refit.append((at, ways, offsets))
        solutions = refit
    return angle, solutions


@kernel
def settled(outlines: Any, limits: Any, angle: float, budget: int) -> Any:
    """Return the main direction turned to fit a closely following solution, and the number of runs looked at.

    Walls that follow the outline closely show the direction better than the few long ones of the result, which a
    step that they level out would turn.
    """
    _, solutions, work = solved(outlines, limits, angle, budget)
    if len(solutions) == len(outlines):
        angle, _ = polished(outlines, solutions, angle, limits[0][0] / 2, True)
    return angle, work


@kernel
def with_area(outlines: Any, solutions: Any, angle: float, most: float) -> Any:
    """Return the solutions with the area of every outline restored."""
    moved = [solutions[0]][:0]
    for k in range(len(outlines)):
        at, ways, offsets = solutions[k]
        offsets = area_restored(outlines[k][0], outlines[k][1], ways, offsets, most)
        at = nearest_to_corners(outlines[k][0], outlines[k][1], angle, at, ways, offsets)
        moved.append((at, ways, offsets))
    return moved


@kernel
def checked(outlines: Any, limits: Any, solutions: Any, angle: float, tolerance: float) -> Any:
    """Return the outcome of the checks of a solution (`DONE` or what is wrong) and its deviation."""
    worst = 0.0
    for k in range(len(outlines)):
        at, ways, offsets = solutions[k]
        worst = max(worst, deviation(outlines[k][0], outlines[k][1], angle, at, ways, offsets, limits[k][2]))
    if not worst <= tolerance:
        return NOT_RECTILINEAR, worst
    for k in range(len(outlines)):
        if crosses_itself(solutions[k][1], solutions[k][2]):
            return SELF_TOUCHING, worst
    return DONE, worst


@kernel
def finished(outlines: Any, limits: Any, solutions: Any, angle: float, tolerance: float) -> Any:
    """Polish a solution and return the best form of it that passes the checks.

    Returns:
        Outcome, deviation, main direction, solutions.
    """
    _, fine = polished(outlines, solutions, angle, limits[0][0] / 2, False)
    for form in (with_area(outlines, fine, angle, limits[0][0] / 4), fine):
        outcome, worst = checked(outlines, limits, form, angle, tolerance)
        if outcome == DONE:
            return outcome, worst, angle, form
    outcome, worst = checked(outlines, limits, solutions, angle, tolerance)
    return outcome, worst, angle, solutions


@kernel
def corner_count(solutions: Any) -> Any:
    """Return the number of corners of all rings."""
    total = 0
    for solution in solutions:
        total += len(solution[1])
    return total


@kernel
def candidate(outlines: Any, directions: Any, which: int, tolerance: float) -> Any:
    """Return main direction number `which` to try: given ones, chords, smallest rectangle, longest wall, a sweep."""
    x, y, breaks, _ = outlines[0]
    if which < len(directions):
        return folded(directions[which])
    which -= len(directions)
    bx, by = x[breaks], y[breaks]
    length = perimeter(bx, by)
    if which == 0:
        return chord_direction(bx, by, min(3 * tolerance, length / 12))
    if which == 1:
        return tightest_rectangle(bx, by)
    if which == 2:
        return longest_wall(bx, by, min(tolerance / 3, length / 50))
    return folded((which - 2) * _SWEEP_STEP)


@kernel
def regularized_polygon(outlines: Any, tolerance: float, scale: float, directions: Any, any_direction: bool) -> Any:
    """Find the best right-angle rings of a polygon among the candidate directions.

    The first candidate is what the outline itself shows. An unsteady outline may happen to need a corner less at a
    wrong direction, so another one is taken only where it is far better, or if `any_direction`.

    Args:
        outlines: List of `outline_of` each ring, the outer one first.
        tolerance: Metres, kept by the result.
        scale: Share of the tolerance that the optimisation may use; less follows the outline more closely.
        directions: Radians (d,), tried first.
        any_direction: Go on where the first candidate has no solution, and then take the best of all.

    Returns:
        Outcome, deviation, main direction, solutions.
    """
    total = 0.0
    for outline in outlines:
        total += perimeter(outline[0], outline[1])
    reach = tolerance * scale
    spread = total * reach * reach
    limits = [limits_of(outline, reach, 2 * spread) for outline in outlines]
    fine_limits = [limits_of(outline, reach * _FINE, 2 * spread) for outline in outlines]
    usual = len(directions) + 3
    tried = np.full(2 * (usual + 16), np.inf)
    count, work = 0, 0
    best, fewest = np.inf, 0
    found = (NOT_RECTILINEAR, np.inf, 0.0, [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))][:0])
    failure = NOT_RECTILINEAR
    for which in range(usual + 15 if any_direction else usual):
        if best < np.inf and (fewest == 4 * len(outlines) or (which >= usual and fewest <= _FEW * len(outlines))):
            break
        angle = candidate(outlines, directions, which, reach)
        if count > 0 and np.min(np.abs((tried[:count] - angle + QUARTER / 2) % QUARTER - QUARTER / 2)) < _SAME_ANGLE:
            continue
        tried[count] = angle
        angle, done = settled(outlines, fine_limits, angle, _BUDGET - work)
        tried[count + 1] = angle
        count += 2
        cost, solutions, more = solved(outlines, limits, angle, _BUDGET - work - done)
        work += done + more
        if work > _BUDGET:
            break
        if cost < np.inf:
            corners = corner_count(solutions)
            score = corners + _CORNERS_FOR_SPREAD * (cost - corners * limits[0][3]) / spread
            if score < best * (1.0 if any_direction else _FAR_BETTER) or best == np.inf:
                result = finished(outlines, limits, solutions, angle, tolerance)
                if result[0] == DONE:
                    best, fewest, found = score, corners, result
                else:
                    failure = result[0]
        if which == 0 and best == np.inf and not any_direction:
            break
    if best < np.inf:
        return found
    return (TOO_COMPLEX if work > _BUDGET else failure), found[1], found[2], found[3]


@kernel
def regularized_batch(
    coordinates: Any,
    rings: Any,
    polygons: Any,
    tolerance: float,
    scale: float,
    gap: float,
    follow: float,
    ways: Any,
    any_direction: bool,
) -> Any:
    """Regularize polygons in the ragged form of `shapely.to_ragged_array`.

    Args:
        coordinates: Array (n, 2), ground metres.
        rings: Offsets (r + 1,) of rings into `coordinates`.
        polygons: Offsets (p + 1,) of polygons into `rings`.
        tolerance: Metres.
        scale: As in `regularized_polygon`.
        gap: Longest distance between break points, metres.
        follow: How closely break points follow the outline, metres.
        ways: Main directions (d,) to try first, radians.
        any_direction: As in `regularized_polygon`.

    Returns:
        Outcome (p,), main direction (p,), deviation (p,), and closed rings in the same ragged form, with the
        rings of polygons whose outcome is not `DONE` empty.
    """
    count = len(polygons) - 1
    outcomes, angles, deviations = np.empty(count, np.int64), np.full(count, np.nan), np.full(count, np.nan)
    points, filled = np.empty((16 * (len(rings) - 1) + 16, 2)), 0
    ring_ends = np.zeros(len(rings), np.int64)
    for p in range(count):
        first, last = polygons[p], polygons[p + 1]
        origin = coordinates[rings[first]].copy() if last > first else np.zeros(2)
        outlines = [(np.empty(0), np.empty(0), np.empty(0, np.int64), np.empty((6, 1)))][:0]
        outcome = DONE if last > first else TOO_SMALL
        for r in range(first, last):
            x = coordinates[rings[r] : rings[r + 1], 0] - origin[0]
            y = coordinates[rings[r] : rings[r + 1], 1] - origin[1]
            if abs(signed_area(x, y)) < 1e-4:
                outcome = TOO_SMALL
                break
            outlines.append(outline_of(x, y, gap, follow))
        if outcome == DONE:
            outcome, worst, angle, solutions = regularized_polygon(outlines, tolerance, scale, ways, any_direction)
            if outcome == DONE:
                angles[p], deviations[p] = folded(angle), worst
                while filled + corner_count(solutions) + len(solutions) > len(points):
                    points = np.concatenate((points, np.empty_like(points)))
                filled = _write_rings(points, filled, ring_ends, first, solutions, angle, origin)
        outcomes[p] = outcome
        if outcome != DONE:
            ring_ends[first + 1 : last + 1] = filled
    return outcomes, angles, deviations, points[:filled].copy(), ring_ends


@kernel
def _write_rings(
    points: Any, filled: int, ring_ends: Any, first: int, solutions: Any, angle: float, origin: Any
) -> Any:
    c, s = math.cos(angle), math.sin(angle)
    for k in range(len(solutions)):
        u, v = corner_points(solutions[k][1], solutions[k][2])
        n = len(u)
        for m in range(n + 1):
            corner = m % n if k == 0 else (n - m) % n
            points[filled, 0] = origin[0] + c * u[corner] - s * v[corner]
            points[filled, 1] = origin[1] + s * u[corner] + c * v[corner]
            filled += 1
        ring_ends[first + k + 1] = filled
    return filled
