"""Parts of features, batch by batch: which method is tried with how much reach, checked, retried and compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from building_segmenter.footprints.measures import vertex_counts
from building_segmenter.footprints.regularize import solve
from building_segmenter.footprints.regularize.circle import circle_ring, circle_sides, fitted_circles
from building_segmenter.footprints.regularize.overlap import shared_areas
from building_segmenter.footprints.regularize.settings import Method, Offered, Settings

Geometries = NDArray[np.object_]

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

_ROUND, _SURELY_ROUND = 0.065, 0.04
"""Mean radial deviation (root of the mean square) of a round outline, in radii, and of one that needs no comparison
with straight walls. A square has 0.13 about its best circle; small houses in rough outlines come down to 0.066."""

_ROUND_CORNERS = 4
"""Corners that a circle counts as when it is compared with straight walls."""

_WALLS: dict[Method, int] = {
    "right-angles": solve.SQUARE,
    "right-angles-and-diagonals": solve.DIAGONAL,
    "any-angle": solve.ANY,
}


@dataclass
class Parts:
    """Results for single polygons, one element each.

    `score` compares results for one polygon: corners, plus a weight for the mean squared deviation. `slant` is the
    longest stretch of the outline off the axes, in metres, and `free` the corners that walls of any direction need.
    `unroundness` is the mean radial deviation of the worst of its rings from its circle, in radii.
    """

    geometry: Geometries
    reason: Geometries
    method: Geometries
    angle: NDArray[np.float64]
    deviation: NDArray[np.float64]
    iou: NDArray[np.float64]
    area_ratio: NDArray[np.float64]
    score: NDArray[np.float64]
    slant: NDArray[np.float64]
    free: NDArray[np.float64]
    unroundness: NDArray[np.float64]

    @classmethod
    def none(cls, count: int, method: str = "") -> Parts:
        """Return `count` results that are none yet."""
        return cls(
            np.full(count, None, object),
            np.full(count, "no-outline", object),
            np.full(count, method, object),
            angle=np.full(count, np.nan),
            deviation=np.full(count, np.nan),
            iou=np.full(count, np.nan),
            area_ratio=np.full(count, np.nan),
            score=np.full(count, np.inf),
            slant=np.full(count, np.inf),
            free=np.full(count, np.inf),
            unroundness=np.full(count, np.inf),
        )

    def put(self, where: Any, other: Parts) -> None:
        """Set the elements at these places."""
        for name, values in vars(self).items():
            values[where] = getattr(other, name)

    def taken(self, where: Any) -> Parts:
        """Return the elements at these places."""
        return Parts(*(values[where] for values in vars(self).values()))

    def improved_by(self, where: NDArray[np.intp], other: Parts) -> None:
        """Take the results at these places that are accepted where there was none, or have the lower score."""
        here = self.taken(where)
        better = (other.reason == "") & ((here.reason != "") | (other.score < here.score))
        self.put(where[better], other.taken(better))


@dataclass(frozen=True)
class Outlines:
    """Polygons to regularize, with what is known of them.

    Args:
        polygons: Valid polygons (p,).
        masses: Weight of each coordinate, as `shapely.get_coordinates` gives them; None: all alike.
        offered: Directions for each.
    """

    polygons: Geometries
    masses: NDArray[np.float64] | None
    offered: Offered

    def taken(self, members: NDArray[np.intp]) -> Outlines:
        """Return those at these places."""
        masses = self.masses
        if masses is not None:
            _, owner = shapely.get_coordinates(self.polygons, return_index=True)
            starts = np.searchsorted(owner, np.arange(len(self.polygons) + 1))
            counts = np.diff(starts)[members]
            first = np.repeat(starts[:-1][members] - np.concatenate(([0], np.cumsum(counts)[:-1])), counts)
            masses = masses[first + np.arange(counts.sum())]
        return Outlines(self.polygons[members], masses, self.offered.taken(members))

    def offered_first(self, angles: NDArray[np.float64]) -> Outlines:
        """Return them with one direction each in place of those offered, none where it is NaN."""
        there = np.isfinite(angles)
        ends = np.concatenate(([0], np.cumsum(there))).astype(np.int64)
        return Outlines(self.polygons, self.masses, Offered(angles[there], ends))

    def ragged(self) -> tuple[Any, Any, Any, Any]:
        """Return coordinates (n, 2), masses (n,), and offsets of rings and of polygons."""
        coordinates, rings, polygons = _ragged(self.polygons)
        masses = np.ones(len(coordinates)) if self.masses is None else self.masses
        return coordinates, masses, rings, polygons


def _ragged(polygons: Geometries) -> tuple[Any, Any, Any]:
    """Return coordinates (n, 2), and offsets of rings into them and of polygons into the rings."""
    _, coordinates, (rings, ends) = shapely.to_ragged_array(polygons)
    return np.ascontiguousarray(coordinates), rings.astype(np.int64), ends.astype(np.int64)


def regularized_batch(outlines: Outlines, settings: Settings) -> Parts:
    """Regularize polygons by the method of the settings."""
    if settings.method == "circle":
        return _circles(outlines, settings)
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
    circles = _circles(outlines, settings)
    circles.reason[circles.unroundness > _ROUND] = "not-round"
    found = circles.taken(np.arange(len(outlines.polygons)))
    rest = np.flatnonzero((found.reason != "") | (found.unroundness > _SURELY_ROUND))
    if len(rest) == 0:
        return found
    found.put(rest, _straight(outlines.taken(rest), settings, "right-angles", any_direction=False))
    found.improved_by(rest, circles.taken(rest))
    doubtful = np.flatnonzero(_worth_another_try(found.reason) | _looks_slanted(found, settings))
    if len(doubtful):
        # The direction of the right angles serves the other walls too.
        known = outlines.taken(doubtful).offered_first(found.angle[doubtful])
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
    outcomes, figures, points, ring_ends = solve.regularized_batch(
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
    result.iou[solved], changed = _compared(old, new, shared, settings)
    reason[valid & changed] = "area-changed"
    reason[valid & ~changed & _is_staircase(new, result.free[solved])] = "staircase"
    result.reason[solved] = reason


def _compared(
    old: Geometries, new: Geometries, shared: NDArray[np.float64], settings: Settings
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the intersection over union of each pair, from the area it shares, and where too much is changed."""
    low, high = settings.area_ratio
    old_area, new_area = shapely.area(old), shapely.area(new)
    # By rounding the same outline may get a little more than 1.
    iou = np.minimum(shared / (old_area + new_area - shared), 1.0)
    ratio = new_area / old_area
    return iou, ~((ratio >= low) & (ratio <= high) & (iou >= settings.min_iou))


def _is_staircase(new: Geometries, free: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell where the walls allowed need many more corners than free angles do within the same tolerance."""
    verdict: NDArray[np.bool_] = vertex_counts(new) > _STAIRS * free + 4 * (shapely.get_num_interior_rings(new) + 1)
    return verdict


def _circles(outlines: Outlines, settings: Settings) -> Parts:
    """Fit a circle to every ring."""
    coordinates, masses, rings, polygons = outlines.ragged()
    limit = np.finfo(float).max if settings.tolerance_type == "area-ratio" else settings.tolerance
    circles = fitted_circles(coordinates, masses, rings, limit)
    result = Parts.none(len(outlines.polygons), "circle")
    result.slant[:] = 0.0
    farthest = np.maximum.reduceat(circles[:, 3], polygons[:-1])
    result.reason[:] = "not-round"
    for k in np.flatnonzero(farthest <= limit):
        found = circles[polygons[k] : polygons[k + 1]]
        if not ((found[:, 2] >= settings.min_radius) & (found[:, 2] <= settings.max_radius)).all():
            result.reason[k] = "radius"
        else:
            result.reason[k] = ""
            spread = (found[:, 4] * found[:, 2]).sum() / found[:, 2].sum() / settings.tolerance**2
            result.score[k] = _ROUND_CORNERS * len(found) + solve.CORNERS_FOR_SPREAD * spread
            result.unroundness[k] = (np.sqrt(found[:, 4]) / found[:, 2]).max()
            result.geometry[k], result.deviation[k] = _round_polygon(found, settings)
    _check_circles(outlines.polygons, result, settings)
    return result


def _round_polygon(circles: NDArray[np.float64], settings: Settings) -> tuple[Any, float]:
    rings: list[NDArray[np.float64]] = []
    worst = 0.0
    for x, y, radius, deviation, _ in circles:
        precise = settings.tolerance if settings.tolerance_type == "distance" else settings.tolerance * radius
        ring, departure = circle_ring(x, y, radius, circle_sides(radius, precise))
        rings.append(ring if not rings else ring[::-1])
        worst = max(worst, deviation + departure)
    return shapely.Polygon(rings[0], rings[1:]), worst


def _check_circles(parts: Geometries, result: Parts, settings: Settings) -> None:
    done = np.flatnonzero(result.reason == "")
    if len(done) == 0:
        return
    old, new = parts[done], result.geometry[done]
    valid = shapely.is_valid(new)
    shared = shared_areas(*_ragged(old), *_ragged(new))
    result.iou[done], changed = _compared(old, new, shared, settings)
    if settings.tolerance_type == "area-ratio":
        result.area_ratio[done] = (shapely.area(old) - 2 * shared) / shapely.area(new) + 1
        far = ~(result.area_ratio[done] <= settings.tolerance)
        changed[:] = False
    else:
        far = ~(result.deviation[done] <= settings.tolerance)
    result.reason[done[changed]] = "area-changed"
    result.reason[done[far]] = "not-round"
    result.reason[done[~valid]] = "hole-lost"
