"""Batches of polygons in ragged form: from coordinates to outlines, through `solve`, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from building_segmenter.compiled import kernel
from building_segmenter.footprints.regularize.direction import folded, longest_slant
from building_segmenter.footprints.regularize.optimum import FREE
from building_segmenter.footprints.regularize.outline import break_points, signed_area
from building_segmenter.footprints.regularize.polish import corner_points
from building_segmenter.footprints.regularize.solve import (
    ANY,
    DONE,
    SQUARE,
    TOO_SMALL,
    corner_count,
    outline_of,
    regularized_polygon,
)


@kernel
def walls_of(solutions: Any) -> Any:
    """Return which walls solutions have: `SQUARE`, `DIAGONAL` or `ANY`."""
    most = SQUARE
    for _, kinds, _, _ in solutions:
        for kind in kinds:
            most = max(most, ANY if kind == FREE else kind % 2)
    return most


@kernel
def regularized_rings(
    coordinates: Any,
    masses: Any,
    rings: Any,
    polygons: Any,
    tolerance: float,
    scale: float,
    gap: float,
    arm: float,
    walls: int,
    penalty: float,
    offered: Any,
    offered_ends: Any,
    any_direction: bool,
) -> Any:
    """Regularize polygons in the ragged form of `shapely.to_ragged_array`.

    Args:
        coordinates: Array (n, 2), ground metres.
        masses: Weight (n,) of each point.
        rings: Offsets (r + 1,) of rings into `coordinates`.
        polygons: Offsets (p + 1,) of polygons into `rings`.
        tolerance: Metres.
        scale: As in `regularized_polygon`.
        gap: Longest distance between break points, metres.
        arm: Distance over which the turn of an outline is seen, metres.
        walls: As in `regularized_polygon`.
        penalty: The same.
        offered: Main directions (d,) to try first, radians.
        offered_ends: Offsets (p + 1,) of polygons into `offered`.
        any_direction: As in `regularized_polygon`.

    Returns:
        Outcome (p,); main direction, deviation, score, longest slant, the corners that free angles need, and the walls
        used (p, 6); closed rings in the same ragged form, with the rings of polygons whose outcome is not `DONE`
        empty.
    """
    count = len(polygons) - 1
    outcomes, figures = np.empty(count, np.int64), np.full((count, 6), np.nan)
    points, filled = np.empty((16 * (len(rings) - 1) + 16, 2)), 0
    ring_ends = np.zeros(len(rings), np.int64)
    for p in range(count):
        first, last = polygons[p], polygons[p + 1]
        outlines, origin = _outlines_of(coordinates, masses, rings, first, last, gap, arm)
        outcome = TOO_SMALL
        if len(outlines) > 0:
            ways = offered[offered_ends[p] : offered_ends[p + 1]]
            found = regularized_polygon(outlines, tolerance, scale, walls, penalty, ways, any_direction)
            outcome, worst, angle, solutions, score = found
            if outcome == DONE:
                slant = longest_slant(outlines[0][0][0], outlines[0][0][1], angle, tolerance)
                figures[p, 0], figures[p, 1], figures[p, 2], figures[p, 3] = folded(angle), worst, score, slant
                figures[p, 4], figures[p, 5] = 0.0, walls_of(solutions)
                for ring, _, _ in outlines:
                    figures[p, 4] += len(break_points(ring[0], ring[1], tolerance, np.inf))
                while filled + corner_count(solutions) + len(solutions) > len(points):
                    points = np.concatenate((points, np.empty_like(points)))
                filled = _write_rings(points, filled, ring_ends, first, solutions, origin)
        outcomes[p] = outcome
        if outcome != DONE:
            ring_ends[first + 1 : last + 1] = filled
    return outcomes, figures, points[:filled].copy(), ring_ends


@kernel
def _outlines_of(coordinates: Any, masses: Any, rings: Any, first: int, last: int, gap: float, arm: float) -> Any:
    """Return the outlines of a polygon's rings about an origin near by; none if one of them encloses nothing."""
    outlines = [(np.empty((3, 0)), np.empty(0, np.int64), np.empty((6, 1)))][:0]
    origin = coordinates[rings[first]].copy() if last > first else np.zeros(2)
    for r in range(first, last):
        begin, end = rings[r], rings[r + 1]
        x, y = coordinates[begin:end, 0] - origin[0], coordinates[begin:end, 1] - origin[1]
        if abs(signed_area(x, y)) < 1e-4:
            return outlines[:0], origin
        outlines.append(outline_of(x, y, masses[begin:end], gap, arm))
    return outlines, origin


@kernel
def _write_rings(points: Any, filled: int, ring_ends: Any, first: int, solutions: Any, origin: Any) -> Any:
    for k in range(len(solutions)):
        x, y = corner_points(solutions[k][2], solutions[k][3])
        n = len(x)
        for m in range(n + 1):
            corner = m % n if k == 0 else (n - m) % n
            points[filled, 0], points[filled, 1] = origin[0] + x[corner], origin[1] + y[corner]
            filled += 1
        ring_ends[first + k + 1] = filled
    return filled
