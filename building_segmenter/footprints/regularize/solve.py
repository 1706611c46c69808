"""One polygon from outline to checked rings, and batches of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from building_segmenter.compiled import kernel
from building_segmenter.footprints.regularize.checks import crosses_itself, deviation
from building_segmenter.footprints.regularize.direction import (
    QUARTER,
    chord_direction,
    folded,
    longest_wall,
    tightest_rectangle,
)
from building_segmenter.footprints.regularize.optimum import FREE, square_ring, turned
from building_segmenter.footprints.regularize.outline import (
    cleaned,
    corner_places,
    densified,
    moments,
    perimeter,
    signed_area,
    started_at_corner,
)
from building_segmenter.footprints.regularize.polish import (
    add_scatter,
    area_restored,
    free_refitted,
    into_ground,
    nearest_to_corners,
    refitted,
    wall_moments,
    wall_units,
)
from building_segmenter.footprints.regularize.slanted import any_ring

DONE, NOT_FOUND, SELF_TOUCHING, TOO_SMALL, TOO_COMPLEX = 0, 1, 2, 3, 4
SQUARE, DIAGONAL, ANY = 0, 1, 2
"""Which walls are allowed: right angles only; diagonals of the axes too; free directions too."""

# Runs looked at for a polygon: some seconds, of right angles and of all walls.
_BUDGET, _SLANTED_BUDGET = 40_000_000, 10_000_000
_MOST_BREAKS = 20_000
# Candidates that lie so close settle at one direction; in the sweep they would leave gaps if it were more.
_SAME_ANGLE, _SAME_IN_SWEEP = math.radians(5.0), math.radians(2.0)
# The main direction is settled on a solution within this share of the tolerance.
_FINE = 0.5
_FAR_BETTER = 0.6
# Of the mean squared deviation at one direction at least this share is taken to remain at any other.
_LEAST_SPREAD = 0.75
_SWEEP_STEP = math.radians(6.0)
# Between main directions, a corner weighs as much as a fortieth of the squared tolerance in mean squared deviation:
# an outline that wobbles may need a corner more at its true direction than at a wrong one, but lies closer to it.
CORNERS_FOR_SPREAD = 40.0
# Up to this many corners a ring, the first candidates are trusted; a staircase has more, and all directions are tried.
_FEW = 6
# How many walls more a diagonal and a free wall count for each unit of penalty: two and three walls and a quarter by
# default.
_DIAGONAL, _FREE = 2 / 3, 1.5
_ROUNDS = 2


@kernel
def outline_of(x: Any, y: Any, mass: Any, gap: float, arm: float) -> Any:
    """Return outline points (3, n) with masses, break points and moments of a ring."""
    ring = started_at_corner(cleaned(x, y, mass))
    length = perimeter(ring[0], ring[1])
    gap = max(min(gap, length / 32), length / _MOST_BREAKS)
    ring = densified(ring, gap, True)
    breaks = corner_places(ring[0], ring[1], arm, gap)
    return ring, breaks, moments(ring[0], ring[1], ring[2], breaks, True)


@kernel
def limits_of(width: float, tolerance: float, corner_cost: float) -> Any:
    """Return the limits that the optimisation takes, for a ring of this area over perimeter."""
    # A thin polygon has walls that are as short as it is wide.
    shortest_wall = min(tolerance / 2, width)
    return np.array([tolerance, shortest_wall / 2, shortest_wall, corner_cost, tolerance])


@kernel
def prices_of(walls: int, corner_cost: float, penalty: float) -> Any:
    """Return the cost (9,) of a wall of each kind, infinite for those that are not allowed."""
    prices = np.full(9, np.inf)
    prices[0:8:2] = corner_cost
    if walls >= DIAGONAL:
        prices[1:8:2] = corner_cost * (1 + _DIAGONAL * penalty)
    if walls == ANY:
        prices[FREE] = corner_cost * (1 + _FREE * penalty)
    return prices


@kernel
def no_solutions() -> Any:
    """Return an empty list of solutions."""
    return [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 2)), np.empty(0))][:0]


@kernel
def solved(outlines: Any, limits: Any, angle: float, walls: int, penalty: float, budget: int) -> Any:
    """Solve all rings of a polygon at one main direction; the cost is infinite if one has no solution."""
    cost, work = 0.0, 0
    solutions = no_solutions()
    for k in range(len(outlines)):
        points, breaks, sums = outlines[k]
        ring = turned(points[0], points[1], breaks, sums, angle, walls != SQUARE, True)
        found = square_ring(ring, len(breaks), limits[k], budget - work)
        if walls != SQUARE:
            # The best way to a state need not be on the best way round, so right angles may still be the better find.
            more = any_ring(ring, len(breaks), limits[k], prices_of(walls, limits[k][3], penalty), budget - work)
            work += found[5]
            if more[0] <= found[0]:
                found = more
        ring_cost, corners, kinds, units, offsets, ring_work = found
        cost, work = cost + ring_cost, work + ring_work
        if not cost < np.inf or work > budget:
            return np.inf, solutions, work
        solutions.append((breaks[corners], kinds, into_ground(angle, kinds, units), offsets))
    return cost, solutions, work


@kernel
def polished(outlines: Any, solutions: Any, angle: float, trim: float, turning: bool) -> Any:
    """Refit all walls and, if `turning`, the common main direction by least squares, a few times round.

    Returns:
        The main direction and the solutions at it.
    """
    for _ in range(_ROUNDS):
        scatter = np.zeros(2)
        all_sums = [np.empty((0, 6))][:0]
        for k in range(len(outlines)):
            at, kinds, units, offsets = solutions[k]
            sums = wall_moments(outlines[k][0], at, units, offsets, trim)
            add_scatter(scatter, sums, kinds)
            all_sums.append(sums)
        turn = math.atan2(scatter[1], scatter[0]) / 2 - angle
        turn -= math.pi * math.floor(turn / math.pi + 0.5)
        if turning and abs(turn) < QUARTER / 2 and (scatter[0] != 0.0 or scatter[1] != 0.0):
            angle += turn
        refit = no_solutions()
        for k in range(len(outlines)):
            at, kinds, units, offsets = solutions[k]
            units = wall_units(angle, kinds, free_refitted(all_sums[k], kinds, units))
            offsets = refitted(all_sums[k], units, offsets)
            at = nearest_to_corners(outlines[k][0], at, units, offsets)
            refit.append((at, kinds, units, offsets))
        solutions = refit
    return angle, solutions


@kernel
def settled(outlines: Any, limits: Any, angle: float, walls: int, penalty: float, budget: int) -> Any:
    """Return the main direction turned to fit a closely following solution, and the number of runs looked at.

    Walls that follow the outline closely show the direction better than the few long ones of the result, which a
    step that they level out would turn.
    """
    _, solutions, work = solved(outlines, limits, angle, walls, penalty, budget)
    if len(solutions) == len(outlines):
        angle, _ = polished(outlines, solutions, angle, limits[0][0] / 2, True)
    return angle, work


@kernel
def with_area(outlines: Any, solutions: Any, most: float) -> Any:
    """Return the solutions with the area of every outline restored."""
    moved = no_solutions()
    for k in range(len(outlines)):
        at, kinds, units, offsets = solutions[k]
        offsets = area_restored(outlines[k][0], units, offsets, most)
        at = nearest_to_corners(outlines[k][0], at, units, offsets)
        moved.append((at, kinds, units, offsets))
    return moved


@kernel
def checked(outlines: Any, limits: Any, solutions: Any, tolerance: float) -> Any:
    """Return the outcome of the checks of a solution (`DONE` or what is wrong) and its deviation."""
    worst = 0.0
    for k in range(len(outlines)):
        at, _, units, offsets = solutions[k]
        worst = max(worst, deviation(outlines[k][0], at, units, offsets, limits[k][2]))
    if not worst <= tolerance:
        return NOT_FOUND, worst
    for k in range(len(outlines)):
        if crosses_itself(solutions[k][2], solutions[k][3]):
            return SELF_TOUCHING, worst
    return DONE, worst


@kernel
def finished(outlines: Any, limits: Any, solutions: Any, angle: float, tolerance: float) -> Any:
    """Polish a solution and return the best form of it that passes the checks.

    Returns:
        Outcome, deviation, main direction, solutions.
    """
    _, fine = polished(outlines, solutions, angle, limits[0][0] / 2, False)
    for form in (with_area(outlines, fine, limits[0][0] / 4), fine):
        outcome, worst = checked(outlines, limits, form, tolerance)
        if outcome == DONE:
            return outcome, worst, angle, form
    outcome, worst = checked(outlines, limits, solutions, tolerance)
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
    points, breaks, _ = outlines[0]
    x, y = points[0], points[1]
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
def regularized_polygon(
    outlines: Any,
    tolerance: float,
    scale: float,
    walls: int,
    penalty: float,
    directions: Any,
    any_direction: bool,
) -> Any:
    """Find the best rings of a polygon among the candidate directions.

    The first candidate is what the outline itself shows. An unsteady outline may happen to need a corner less at a
    wrong direction, so another one is taken only where it is far better, or if `any_direction`.

    Args:
        outlines: List of `outline_of` each ring, the outer one first.
        tolerance: Metres, kept by the result.
        scale: Share of the tolerance that the optimisation may use; less follows the outline more closely.
        walls: `SQUARE`, `DIAGONAL` or `ANY`.
        penalty: Of walls off the preferred directions, as ArcGIS counts it (1.5 by default).
        directions: Radians (d,), tried first, and not turned.
        any_direction: Go on where the first candidate has no solution, and then take the best of all.

    Returns:
        Outcome, deviation, main direction, solutions, and the score: corners, those of penalized walls counting
        more, plus the mean squared deviation as `CORNERS_FOR_SPREAD` weighs it.
    """
    lengths = np.array([perimeter(points[0], points[1]) for points, _, _ in outlines])
    widths = np.array([signed_area(points[0], points[1]) for points, _, _ in outlines]) / lengths
    total = lengths.sum()
    budget = _BUDGET if walls == SQUARE else _SLANTED_BUDGET
    reach = tolerance * scale
    spread = total * reach * reach
    limits = [limits_of(width, reach, 2 * spread) for width in widths]
    fine_limits = [limits_of(width, reach * _FINE, 2 * spread) for width in widths]
    usual = len(directions) + 3
    # With slanted walls a wrong direction costs little: all candidates are compared.
    compare = any_direction or walls != SQUARE
    tried = np.full(2 * (usual + 16), np.inf)
    count, work = 0, 0
    best, fewest = np.inf, 0
    convincing = False
    found = (NOT_FOUND, np.inf, 0.0, no_solutions())
    failure = NOT_FOUND
    for which in range(usual + 15 if any_direction else usual):
        # With slanted walls nearly every direction has a solution, so an offered one is not put in question.
        trusted = walls != SQUARE and 0 < len(directions) <= which
        if best < np.inf and (convincing or trusted or (which >= usual and fewest <= _FEW * len(outlines))):
            break
        angle = candidate(outlines, directions, which, reach)
        same = _SAME_ANGLE if which < usual and walls == SQUARE else _SAME_IN_SWEEP
        if count > 0 and np.min(np.abs((tried[:count] - angle + QUARTER / 2) % QUARTER - QUARTER / 2)) < same:
            continue
        tried[count] = angle
        if which >= len(directions):
            angle, done = settled(outlines, fine_limits, angle, walls, penalty, budget - work)
            work += done
        tried[count + 1] = angle
        count += 2
        cost, solutions, more = solved(outlines, limits, angle, walls, penalty, budget - work)
        work += more
        if work > budget:
            break
        if cost < np.inf:
            score = score_of(solutions, cost, limits[0][3], walls, penalty, CORNERS_FOR_SPREAD / spread)
            if score < best * (1.0 if compare else _FAR_BETTER) or best == np.inf:
                result = finished(outlines, limits, solutions, angle, tolerance)
                if result[0] == DONE:
                    best, fewest, found = score, corner_count(solutions), result
                    # No ring has fewer than four corners, and an unsteady outline is unsteady at every direction.
                    least = 4 * len(outlines) + _LEAST_SPREAD * (score - fewest)
                    few = fewest == 4 * len(outlines) or (not any_direction and _FAR_BETTER * score <= least)
                    convincing = walls == SQUARE and few
                else:
                    failure = result[0]
        if which == len(directions) and best == np.inf and not any_direction:
            break
    if best < np.inf:
        # Scores of different reaches are compared, so the deviation counts against the tolerance itself.
        whole = score_of(found[3], 0.0, 0.0, walls, penalty, 0.0)
        return found[0], found[1], found[2], found[3], whole + (best - whole) * scale * scale
    return (TOO_COMPLEX if work > budget else failure), found[1], found[2], found[3], np.inf


@kernel
def score_of(solutions: Any, cost: float, corner_cost: float, walls: int, penalty: float, weight: float) -> Any:
    """Return corners, penalized walls counting more, plus `weight` times the energy within `cost`."""
    corners = 0.0
    prices = prices_of(walls, 1.0, penalty)
    for _, kinds, _, _ in solutions:
        for kind in kinds:
            corners += prices[kind]
    return corners + weight * max(cost - corners * corner_cost, 0.0)
