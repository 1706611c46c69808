"""Parts of features, batch by batch: which method is tried with how much reach, checked, retried and compared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from building_segmenter.footprints.measures import vertex_counts
from building_segmenter.footprints.regularize import solve
from building_segmenter.footprints.regularize.batch import regularized_rings
from building_segmenter.footprints.regularize.overlap import shared_areas
from building_segmenter.footprints.regularize.parts import Geometries, Outlines, Parts, compared
from building_segmenter.footprints.regularize.rounding import ROUND, SURELY_ROUND, circles_of
from building_segmenter.footprints.regularize.settings import Method, Settings

_SPACING = 4.0
"""Between places where walls may end, in tolerances and precisions: the tolerance by default."""

_ARM = 1.5
"""Tolerances over which the turn of an outline is seen."""

_SCALES = (1.0, 0.6, 0.35)
"""Shares of the tolerance that the optimisation may use, one after the other, until a result is accepted: with less
to move in, corners near walls and narrow parts come out as they were. Narrower ones get half of the last, and so on."""

_STAIRS = 1.5
"""Corners of the walls allowed for one of free angles from which an outline is stairs, not walls."""

_SLANT = 1.8
"""Tolerances that a wall off the axes must be long for `auto` to look beyond right angles."""

_WALLS: dict[Method, int] = {
    "right-angles": solve.SQUARE,
    "right-angles-and-diagonals": solve.DIAGONAL,
    "any-angle": solve.ANY,
}


def regularized_batch(outlines: Outlines, settings: Settings) -> Parts:
    """Regularize polygons by the method of the settings."""
    if settings.method == "circle":
        return circles_of(outlines, settings)
    if settings.method == "auto":
        return _automatic(outlines, settings)
    found = _straight(outlines, settings, settings.method, any_direction=False)
    failed = np.flatnonzero(_worth_another_try(found.reason))
    if len(failed):
        # A direction that the outline does not show is the last resort: closer walls at the true one come before.
        found.put(failed, _straight(outlines.taken(failed), settings, settings.method, any_direction=True))
    return found


def _automatic(outlines: Outlines, settings: Settings) -> Parts:
    """Take the circle where the outline is round, else the simplest of the methods that is accepted.

    Where right angles serve badly, one optimisation over walls of all directions decides, in which diagonals cost
    more than right angles, and free walls more than diagonals.
    """
    circles = circles_of(outlines, settings)
    circles.reason[circles.unroundness > ROUND] = "not-round"
    found = circles.taken(np.arange(len(outlines.polygons)))
    rest = np.flatnonzero((found.reason != "") | (found.unroundness > SURELY_ROUND))
    if len(rest) == 0:
        return found
    found.put(rest, _straight(outlines.taken(rest), settings, "right-angles", any_direction=False))
    found.improved_by(rest, circles.taken(rest))
    doubtful = np.flatnonzero(_worth_another_try(found.reason) | _looks_slanted(found, settings))
    if len(doubtful):
        # The direction of right angles that serve is that of the other walls too; stairs have any.
        trusted = np.where(found.reason[doubtful] == "", found.angle[doubtful], np.nan)
        known = outlines.taken(doubtful).offered_first(trusted)
        found.improved_by(doubtful, _straight(known, settings, "any-angle", any_direction=False))
    failed = np.flatnonzero(_worth_another_try(found.reason))
    if len(failed):
        found.improved_by(failed, _straight(outlines.taken(failed), settings, "right-angles", any_direction=True))
    return found


def _looks_slanted(found: Parts, settings: Settings) -> NDArray[np.bool_]:
    """Tell where accepted straight walls need more corners than free ones and have a long slant to follow."""
    slanted: NDArray[np.bool_] = (
        (found.slant > _SLANT * settings.tolerance) & (found.method != "circle") & (found.reason == "")
    )
    slanted[slanted] = vertex_counts(found.geometry[slanted]) > found.free[slanted]
    return slanted


def _straight(outlines: Outlines, settings: Settings, method: Method, *, any_direction: bool) -> Parts:
    """Try one kind of straight walls with less and less reach, until a result is accepted."""
    found = Parts.none(len(outlines.polygons), method)
    left, width = np.arange(len(outlines.polygons)), _widths(outlines.polygons)
    for scale in _scales():
        found.put(left, _attempt(outlines.taken(left), settings, method, scale, any_direction))
        # With less reach there are only more stairs.
        left = left[_worth_another_try(found.reason[left]) & (found.reason[left] != "staircase")]
        if scale <= _SCALES[-1]:
            # What is narrower than the reach can be folded flat, which is no ring: so on with less.
            left = left[width[left] < scale * settings.tolerance]
        if len(left) == 0:
            break
    return found


def _worth_another_try(reason: Geometries) -> NDArray[np.bool_]:
    return ~np.isin(reason, ("", "too-small", "too-complex"))


def _scales() -> Iterator[float]:
    yield from _SCALES
    scale = _SCALES[-1]
    while True:
        scale /= 2
        yield scale


def _widths(parts: Geometries) -> NDArray[np.float64]:
    """Return twice the area over perimeter of each polygon's narrowest ring: the width where it is long and thin."""
    rings, owner = shapely.get_rings(parts, return_index=True)
    narrowest = np.full(len(parts), np.inf)
    np.minimum.at(narrowest, owner, 2 * shapely.area(shapely.polygons(rings)) / shapely.length(rings))
    return narrowest


def _attempt(outlines: Outlines, settings: Settings, method: Method, scale: float, any_direction: bool) -> Parts:
    """Regularize parts with this share of the tolerance, and check what comes out."""
    reach = settings.tolerance * scale
    coordinates, masses, rings, polygons = outlines.ragged()
    outcomes, figures, points, ring_ends = regularized_rings(
        coordinates,
        masses,
        rings,
        polygons,
        settings.tolerance,
        scale,
        min(settings.densification or _SPACING * settings.precision * reach, reach),
        _ARM * reach,
        _WALLS[method],
        settings.diagonal_penalty,
        np.radians(outlines.offered.angles),
        outlines.offered.ends,
        any_direction,
    )
    result = Parts.none(len(outlines.polygons), method)
    result.angle, result.deviation = np.degrees(figures[:, 0]), figures[:, 1]
    result.score, result.slant, result.free = figures[:, 2], figures[:, 3], figures[:, 4]
    if method == "any-angle" and settings.method == "auto":
        used = np.nan_to_num(figures[:, 5], nan=solve.ANY).astype(int)
        result.method = np.array(list(_WALLS), object)[used]
    result.reason = np.array([_outcome(outcome, method) for outcome in outcomes], object)
    solved = np.flatnonzero(outcomes == solve.DONE)
    if len(solved):
        result.geometry[solved] = _polygons_of(points, ring_ends, polygons, solved)
        shared = shared_areas(coordinates, rings, polygons, points, ring_ends, polygons)
        _check(outlines.polygons, result, solved, shared[solved], settings)
    return result


def _outcome(outcome: int, method: Method) -> str:
    if outcome == solve.NOT_FOUND:
        return "not-rectilinear" if method == "right-angles" else "no-outline"
    return {solve.SELF_TOUCHING: "self-touching", solve.TOO_SMALL: "too-small", solve.TOO_COMPLEX: "too-complex"}.get(
        outcome, ""
    )


def _polygons_of(points: Any, ring_ends: Any, polygons: Any, solved: Any) -> Geometries:
    sizes = (polygons[1:] - polygons[:-1])[solved]
    first = np.repeat(polygons[:-1][solved] - np.concatenate(([0], np.cumsum(sizes)[:-1])), sizes)
    rings = first + np.arange(sizes.sum())
    # Rings of unsolved polygons are empty, so those of the solved ones follow each other in `points`.
    ends = np.concatenate(([0], ring_ends[rings + 1]))
    built: Geometries = shapely.from_ragged_array(
        shapely.GeometryType.POLYGON, points, (ends, np.concatenate(([0], np.cumsum(sizes))))
    )
    return built


def _check(parts: Geometries, result: Parts, solved: Any, shared: NDArray[np.float64], settings: Settings) -> None:
    old, new = parts[solved], result.geometry[solved]
    valid = shapely.is_valid(new)
    reason = result.reason[solved]
    reason[~valid] = np.where(shapely.get_num_interior_rings(new[~valid]) > 0, "hole-lost", "self-touching")
    result.iou[solved], changed = compared(old, new, shared, settings)
    reason[valid & changed] = "area-changed"
    reason[valid & ~changed & _is_staircase(new, result.free[solved])] = "staircase"
    result.reason[solved] = reason


def _is_staircase(new: Geometries, free: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell where the walls allowed need many more corners than free angles do within the same tolerance."""
    verdict: NDArray[np.bool_] = vertex_counts(new) > _STAIRS * free + 4 * (shapely.get_num_interior_rings(new) + 1)
    return verdict
