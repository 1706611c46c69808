"""Polygons in ground metres: which can be regularized, in batches over threads, retried, checked, put together."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from building_segmenter.footprints.measures import vertex_counts
from building_segmenter.footprints.regularize.attempts import regularized_batch
from building_segmenter.footprints.regularize.parts import Geometries, Outlines, Parts
from building_segmenter.footprints.regularize.settings import Offered, Regularized, Settings
from building_segmenter.progress import Progress

_BATCH_FEATURES, _BATCH_POINTS = 500, 50_000


def regularize_polygons(
    geometries: Any,
    settings: Settings | None = None,
    progress: Progress | None = None,
    offered: Offered | None = None,
    masses: Any = None,
) -> Regularized:
    """Regularize polygons; none is dropped or moved to another place in the array.

    The boundary of a result is within the tolerance of the input's boundary and the other way round (circles by area
    ratio excepted), it is valid, has the holes of the input, and about its area. Holes share the main direction of
    their outer ring. A feature of several parts is regularized if all its parts are. Invalid polygons are repaired
    (GEOS' structure method) where that changes nothing about the number of parts; what is said of the input then
    goes for the repaired one.

    Args:
        geometries: Array of shapely polygons, multi-polygons or None, in ground metres. Z is dropped where the
            geometry is changed.
        settings: What to do; by default right angles within 1 m.
        progress: Told after each batch of some hundred features, and asked whether to stop.
        offered: Main directions to try first, for each geometry.
        masses: Weight of each coordinate of `geometries`, in the order of `shapely.get_coordinates`. None: all alike.

    Returns:
        Arrays with one element for each geometry.

    Raises:
        CancelledError: The caller asked to stop.
    """
    settings = settings or Settings()
    progress = progress or Progress()
    originals = np.atleast_1d(np.asarray(geometries, dtype=object))
    usable, reason = usable_polygons(originals)
    parts, owner = shapely.get_parts(usable, return_index=True)
    offers = (offered or Offered.to_all((), len(originals))).taken(owner)
    weights = None if masses is None else _masses_of(parts, owner, usable, originals, masses)
    found = regularized_parts(Outlines(parts, weights, offers), settings, progress)
    return assembled(originals, usable, reason, found, owner)


def _masses_of(parts: Geometries, owner: Any, usable: Geometries, originals: Geometries, masses: Any) -> Any:
    """Return the weights of the parts' coordinates; those of repaired geometries are all one."""
    all_owners = shapely.get_coordinates(originals, return_index=True)[1]
    part_owners = owner[shapely.get_coordinates(parts, return_index=True)[1]]
    same = shapely.get_num_coordinates(originals) == shapely.get_num_coordinates(usable)
    weights = np.ones(len(part_owners))
    weights[same[part_owners]] = np.asarray(masses, np.float64)[np.isin(all_owners, part_owners) & same[all_owners]]
    return weights


def usable_polygons(originals: Geometries) -> tuple[Geometries, Geometries]:
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


def regularized_parts(outlines: Outlines, settings: Settings, progress: Progress) -> Parts:
    """Regularize single valid polygons, in batches over threads."""
    found = Parts.none(len(outlines.polygons))
    batches = list(_batches(outlines.polygons))
    threads = min(settings.threads or os.cpu_count() or 1, max(len(batches), 1))
    if threads == 1:
        for done, batch in enumerate(batches):
            progress.update(done / len(batches), "Regularizing")
            found.put(batch, regularized_batch(outlines.taken(batch), settings))
        return found
    executor = ThreadPoolExecutor(threads)
    try:
        waiting = iter(batches)
        running: dict[Future[Parts], NDArray[np.intp]] = {}
        done = 0
        while done < len(batches):
            for batch in islice(waiting, 2 * threads - len(running)):
                running[executor.submit(regularized_batch, outlines.taken(batch), settings)] = batch
            finished, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in finished:
                found.put(running.pop(future), future.result())
                done += 1
            progress.update(done / len(batches), "Regularizing")
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
    return found


def _batches(parts: Geometries) -> Iterator[NDArray[np.intp]]:
    """Yield the places of parts that take about the same short time."""
    ends = np.cumsum(shapely.get_num_coordinates(parts)) if len(parts) else np.zeros(0, int)
    start = 0
    while start < len(parts):
        before = ends[start - 1] if start else 0
        stop = int(np.searchsorted(ends, before + _BATCH_POINTS))
        stop = min(max(stop, start + 1), start + _BATCH_FEATURES, len(parts))
        yield np.arange(start, stop)
        start = stop


def assembled(originals: Geometries, usable: Geometries, reason: Geometries, found: Parts, owner: Any) -> Regularized:
    """Put results for parts together to results for features.

    Args:
        originals: Features (n,).
        usable: Of `usable_polygons`.
        reason: The same; completed here.
        found: Results for the parts of the usable polygons.
        owner: Feature of each part.
    """
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
    result = _kept(geometry, reason)
    _add_figures(result, usable, found, owner, np.flatnonzero(good))
    return result


def _kept(geometry: Geometries, reason: Geometries) -> Regularized:
    count = len(geometry)
    angle, worst, iou, ratio = (np.full(count, np.nan) for _ in range(4))
    status = (reason != "").astype(np.int32)
    method = np.full(count, "", object)
    return Regularized(geometry, status, reason, method, angle, worst, iou, ratio, vertex_counts(geometry))


def _add_figures(result: Regularized, usable: Geometries, found: Parts, owner: Any, parts: NDArray[np.intp]) -> None:
    # Of the parts of a feature the largest comes last, and so is the one that stays.
    by_size = parts[np.argsort(shapely.area(found.geometry[parts]), kind="stable")]
    result.angle_deg[owner[by_size]] = found.angle[by_size]
    result.method[owner[by_size]] = found.method[by_size]
    np.fmax.at(result.max_dev_m, owner[parts], found.deviation[parts])
    np.fmax.at(result.area_ratio, owner[parts], found.area_ratio[parts])
    result.iou[owner[parts]] = found.iou[parts]
    several = np.flatnonzero(np.bincount(owner[parts], minlength=len(usable)) > 1)
    if len(several):
        old, new = usable[several], result.geometry[several]
        shared = shapely.area(shapely.intersection(old, new))
        # Far from the origin rounding gives the same outline a little more than 1.
        result.iou[several] = np.minimum(shared / (shapely.area(old) + shapely.area(new) - shared), 1.0)
