"""Polygons in ground metres: which can be regularized, in batches over threads, retried, checked, put together."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from building_segmenter.footprints.measures import vertex_counts
from building_segmenter.footprints.regularize import solve
from building_segmenter.footprints.regularize.settings import Regularized, Settings
from building_segmenter.progress import Progress

Geometries = NDArray[np.object_]

_FOLLOW = 0.4
_SCALES = (1.0, 0.6, 0.35)
"""Shares of the tolerance that the optimisation may use, one after the other, until a result is accepted: with less
to move in, corners near walls and narrow parts come out as they were. Narrower ones get half of the last, and so on."""

_STAIRS = 2
"""Corners of right angles for one of free angles from which an outline is stairs, not walls."""

_BATCH_FEATURES, _BATCH_POINTS = 500, 50_000
_OUTCOMES = {
    solve.NOT_RECTILINEAR: "not-rectilinear",
    solve.SELF_TOUCHING: "self-touching",
    solve.TOO_SMALL: "too-small",
    solve.TOO_COMPLEX: "too-complex",
}


def regularize_polygons(
    geometries: Any, settings: Settings | None = None, progress: Progress | None = None
) -> Regularized:
    """Regularize polygons; none is dropped or moved to another place in the array.

    Every ring of a result has only right angles, its boundary is within the tolerance of the input's boundary and
    the other way round, it is valid, has the holes of the input, and about its area. A feature of several parts
    is regularized if all its parts are. Invalid polygons are repaired (GEOS' structure method) where that changes
    nothing about the number of parts; what is said of the input then goes for the repaired one.

    Args:
        geometries: Array of shapely polygons, multi-polygons or None, in ground metres. Z is dropped where the
            geometry is changed.
        settings: What to do; by default right angles within 1 m.
        progress: Told after each batch of some hundred features, and asked whether to stop.

    Returns:
        Arrays with one element for each geometry.

    Raises:
        CancelledError: The caller asked to stop.
    """
    settings = settings or Settings()
    progress = progress or Progress()
    originals = np.atleast_1d(np.asarray(geometries, dtype=object))
    usable, reason = _usable(originals)
    parts, owner = shapely.get_parts(usable, return_index=True)
    found = _regularized_parts(parts, settings, progress)
    return _assembled(originals, usable, reason, found, owner)


def warm_up() -> None:
    """Compile the kernels, or load them from the user's cache: some 20 s the first time, then well under one."""
    regularize_polygons([shapely.box(0, 0, 10, 10).difference(shapely.box(3, 3, 7, 7))], Settings(threads=1))


@dataclass
class _Parts:
    geometry: Geometries
    reason: Geometries
    angle: NDArray[np.float64]
    deviation: NDArray[np.float64]
    iou: NDArray[np.float64]

    @classmethod
    def none(cls, count: int) -> _Parts:
        return cls(
            np.full(count, None, object),
            np.full(count, "not-rectilinear", object),
            *(np.full(count, np.nan) for _ in range(3)),
        )

    def put(self, where: Any, other: _Parts) -> None:
        for name, values in vars(self).items():
            values[where] = getattr(other, name)


def _usable(originals: Geometries) -> tuple[Geometries, Geometries]:
    """Return valid plane polygons where there are such, else None, and the reasons for None."""
    usable = shapely.force_2d(originals)
    reason = np.full(len(usable), "", object)
    reason[shapely.is_missing(usable) | shapely.is_empty(usable)] = "empty"
    kind = shapely.get_type_id(usable)
    reason[(reason == "") & (kind != 3) & (kind != 6)] = "not-polygon"
    coordinates, owner = shapely.get_coordinates(usable, return_index=True)
    reason[owner[~np.isfinite(coordinates).all(axis=1)]] = "not-finite"
    for k in np.flatnonzero((reason == "") & ~shapely.is_valid(usable)):
        usable[k], reason[k] = _repaired(usable[k])
    usable[reason != ""] = None
    return usable, reason


def _repaired(geometry: Any) -> tuple[Any, str]:
    repaired = shapely.make_valid(geometry, method="structure", keep_collapsed=False)
    whole = repaired.geom_type in ("Polygon", "MultiPolygon") and not repaired.is_empty
    if whole and shapely.get_num_geometries(repaired) == shapely.get_num_geometries(geometry):
        return repaired, ""
    return None, "invalid"


def _regularized_parts(parts: Geometries, settings: Settings, progress: Progress) -> _Parts:
    found = _Parts.none(len(parts))
    batches = list(_batches(parts))
    threads = min(settings.threads or os.cpu_count() or 1, max(len(batches), 1))
    if threads == 1:
        for done, batch in enumerate(batches):
            progress.update(done / len(batches), "Regularizing")
            found.put(batch, _regularized_batch(parts[batch], settings))
        return found
    executor = ThreadPoolExecutor(threads)
    try:
        waiting = iter(batches)
        running: dict[Future[_Parts], slice] = {}
        done = 0
        while done < len(batches):
            for batch in islice(waiting, 2 * threads - len(running)):
                running[executor.submit(_regularized_batch, parts[batch], settings)] = batch
            finished, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in finished:
                found.put(running.pop(future), future.result())
                done += 1
            progress.update(done / len(batches), "Regularizing")
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
    return found


def _batches(parts: Geometries) -> Iterator[slice]:
    """Yield slices of parts that take about the same short time."""
    ends = np.cumsum(shapely.get_num_coordinates(parts)) if len(parts) else np.zeros(0, int)
    start = 0
    while start < len(parts):
        before = ends[start - 1] if start else 0
        stop = int(np.searchsorted(ends, before + _BATCH_POINTS))
        stop = min(max(stop, start + 1), start + _BATCH_FEATURES, len(parts))
        yield slice(start, stop)
        start = stop


def _regularized_batch(parts: Geometries, settings: Settings) -> _Parts:
    found = _Parts.none(len(parts))
    pending, width = np.arange(len(parts)), _widths(parts)
    # A direction that the outline does not show is the last resort: closer walls at the true one come before.
    for any_direction in (False, True):
        left = pending
        for scale in _scales():
            found.put(left, _attempt(parts[left], settings, scale, any_direction))
            left = left[_worth_another_try(found.reason[left])]
            if scale <= _SCALES[-1]:
                # What is narrower than the reach can be folded flat, which is no ring: so on with less.
                left = left[width[left] < scale * settings.tolerance]
            if len(left) == 0:
                break
        pending = pending[_worth_another_try(found.reason[pending])]
        if len(pending) == 0:
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


def _attempt(parts: Geometries, settings: Settings, scale: float, any_direction: bool) -> _Parts:
    """Regularize parts with this share of the tolerance, and check what comes out."""
    reach = settings.tolerance * scale
    _, coordinates, (rings, polygons) = shapely.to_ragged_array(parts)
    outcomes, angles, deviations, points, ring_ends = solve.regularized_batch(
        np.ascontiguousarray(coordinates),
        rings.astype(np.int64),
        polygons.astype(np.int64),
        settings.tolerance,
        scale,
        min(settings.densification or reach / 2, reach),
        _FOLLOW * settings.precision * reach,
        np.radians(np.asarray(settings.directions, np.float64)),
        any_direction,
    )
    result = _Parts.none(len(parts))
    result.angle, result.deviation = np.degrees(angles), deviations
    result.reason = np.array([_OUTCOMES.get(outcome, "") for outcome in outcomes], object)
    solved = np.flatnonzero(outcomes == solve.DONE)
    if len(solved):
        result.geometry[solved] = _polygons_of(points, ring_ends, polygons, solved)
        _check(parts, result, solved, settings)
    return result


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


def _check(parts: Geometries, result: _Parts, solved: Any, settings: Settings) -> None:
    old, new = parts[solved], result.geometry[solved]
    valid = shapely.is_valid(new)
    holes = shapely.get_num_interior_rings(new) > 0
    result.iou[solved] = _iou(old, np.where(valid, new, None))
    low, high = settings.area_ratio
    ratio = shapely.area(new) / shapely.area(old)
    changed = valid & ~((ratio >= low) & (ratio <= high) & (result.iou[solved] >= settings.min_iou))
    reason = result.reason[solved]
    reason[~valid & holes] = "hole-lost"
    reason[~valid & ~holes] = "self-touching"
    reason[changed] = "area-changed"
    reason[valid & ~changed & _is_staircase(old, new, settings.tolerance)] = "staircase"
    result.reason[solved] = reason


def _is_staircase(old: Geometries, new: Geometries, tolerance: float) -> NDArray[np.bool_]:
    """Tell where right angles need many more corners than free angles do within the same tolerance."""
    corners, rings = vertex_counts(new), shapely.get_num_interior_rings(old) + 1
    # A ring of free angles has three corners at least, which spares most outlines the look.
    verdict: NDArray[np.bool_] = corners > (3 * _STAIRS + 4) * rings
    free = vertex_counts(shapely.simplify(old[verdict], tolerance))
    verdict[verdict] = corners[verdict] > _STAIRS * free + 4 * rings[verdict]
    return verdict


def _assembled(originals: Geometries, usable: Geometries, reason: Geometries, found: _Parts, owner: Any) -> Regularized:
    count = len(originals)
    geometry = originals.copy()
    failed = np.flatnonzero(found.reason != "")
    # The first failing part names the reason of its feature.
    reason[owner[failed[::-1]]] = found.reason[failed[::-1]]
    good = reason[owner] == ""
    single = good & (shapely.get_type_id(usable)[owner] == 3)
    geometry[owner[single]] = found.geometry[single]
    several = good & ~single
    if several.any():
        members, which = np.unique(owner[several], return_inverse=True)
        geometry[members] = shapely.multipolygons(found.geometry[several], indices=which)
        overlapping = members[~shapely.is_valid(geometry[members])]
        reason[overlapping] = "parts-overlap"
        geometry[overlapping] = originals[overlapping]
        good &= reason[owner] == ""
    angle, worst, iou = _feature_figures(count, usable, geometry, found, owner, good)
    status = (reason != "").astype(np.int32)
    return Regularized(geometry, status, reason, angle, worst, iou, vertex_counts(geometry))


def _feature_figures(
    count: int, usable: Geometries, geometry: Geometries, found: _Parts, owner: Any, good: Any
) -> tuple[Any, Any, Any]:
    angle, worst, iou = (np.full(count, np.nan) for _ in range(3))
    parts = np.flatnonzero(good)
    # Of the parts of a feature the largest comes last, and so is the one that stays.
    by_size = parts[np.argsort(shapely.area(found.geometry[parts]), kind="stable")]
    angle[owner[by_size]] = found.angle[by_size]
    np.fmax.at(worst, owner[parts], found.deviation[parts])
    iou[owner[parts]] = found.iou[parts]
    several = np.flatnonzero(np.bincount(owner[parts], minlength=count) > 1)
    if len(several):
        iou[several] = _iou(usable[several], geometry[several])
    return angle, worst, iou


def _iou(old: Any, new: Any) -> Any:
    common = shapely.area(shapely.intersection(old, new))
    # Far from the origin rounding gives the same outline a little more than 1.
    return np.minimum(common / (shapely.area(old) + shapely.area(new) - common), 1.0)
