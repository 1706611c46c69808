"""Outlines in any CRS: regularized in ground metres, and what is told of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from building_segmenter.errors import InputUnreadableError
from building_segmenter.footprints.fields import MEASURES, OUTCOME, RATIO
from building_segmenter.footprints.measures import vertex_counts
from building_segmenter.footprints.regularize import Offered, Regularized, Settings, regularize_polygons
from building_segmenter.footprints.regularize.heights import heights_from, with_heights
from building_segmenter.geo.strips import NOWHERE, Ground, Strips
from building_segmenter.progress import Progress

Regularize = Callable[[NDArray[np.object_], Settings, Progress | None, Offered | None], Regularized]
"""`regularize_polygons`, or what regularizes polygons with regard to each other."""

_NUMBERS = ("area_m2", "perim_m", "angle_deg", "max_dev_m", "iou", RATIO)


@dataclass
class Outcome:
    """What became of outlines; arrays (n,).

    Args:
        geometry: Outlines in the layer's CRS, new ones where `status` is 0.
        status: 0 regularized, 1 original kept.
        reason: Empty, or a key of `REASONS`.
        method: What made the new outline; empty where the original was kept.
        vertices: Corners of all rings.
        numbers: The other fields by name, NaN where there is nothing to tell.
    """

    geometry: NDArray[np.object_]
    status: NDArray[np.int32]
    reason: NDArray[np.object_]
    method: NDArray[np.object_]
    vertices: NDArray[np.int32]
    numbers: dict[str, NDArray[np.float64]]

    @classmethod
    def none(cls, outlines: NDArray[np.object_]) -> Outcome:
        """Return the outcome where nothing is regularized."""
        count = len(outlines)
        reason = np.full(count, "not-finite", object)
        reason[shapely.is_missing(outlines) | shapely.is_empty(outlines)] = "empty"
        numbers = {name: np.full(count, np.nan) for name in _NUMBERS}
        method = np.full(count, "", object)
        return cls(outlines.copy(), np.ones(count, np.int32), reason, method, vertex_counts(outlines), numbers)

    def column(self, name: str) -> NDArray[Any]:
        """Return the values of a field."""
        return self.numbers[name] if name in self.numbers else getattr(self, name)


def fields_of(settings: Settings) -> tuple[str, ...]:
    """Return the fields that a layer gets, in order."""
    ratio = (RATIO,) if settings.tolerance_type == "area-ratio" else ()
    return (*MEASURES, *OUTCOME, *ratio)


def regularize_outlines(
    outlines: NDArray[np.object_],
    ground: Ground,
    settings: Settings,
    *,
    strips: Strips | None = None,
    offered: Offered | None = None,
    progress: Progress | None = None,
    regularize: Regularize = regularize_polygons,
) -> Outcome:
    """Regularize outlines in ground metres.

    Args:
        outlines: Array (n,) of polygons in the layer's CRS; null, empty and invalid ones are let through.
        ground: The way to ground metres and back.
        settings: What to do.
        strips: Strip (n,) in which each lies, or None for that of the middle of its bounds.
        offered: Directions for each in its strip, tried first.
        progress: Told after each batch, and asked whether to stop.
        regularize: What does it in ground metres.

    Raises:
        CancelledError: The caller asked to stop.
    """
    outcome = Outcome.none(outlines)
    bounds = shapely.bounds(outlines)
    strips = ground.strips(bounds) if strips is None else strips
    members = np.flatnonzero(strips != NOWHERE)
    outcome.reason[(strips == NOWHERE) & np.isfinite(bounds).all(axis=1)] = "outside-crs"
    originals = outlines[members]
    plane = ground.to_ground(originals, strips[members])
    found = regularize(plane, settings, progress, None if offered is None else offered.taken(members))
    # Outlines that were kept may have got points where walls of their neighbours end.
    changed = [geometry is not old for geometry, old in zip(found.geometry, plane, strict=True)]
    new = np.flatnonzero(changed)
    if len(new):
        in_layer = ground.to_layer(found.geometry[new], strips[members][new])
        for k in np.flatnonzero(shapely.has_z(originals[new])):
            heights = heights_from(originals[new[k]], plane[new[k]], found.geometry[new[k]])
            in_layer[k] = with_heights(in_layer[k], heights)
        outcome.geometry[members[new]] = in_layer
    _note(outcome, members, found, found.geometry)
    return outcome


def check_somewhere(reasons: Sequence[str] | set[str]) -> None:
    """Raise `InputUnreadableError` if all features with a geometry lie where their CRS is not defined.

    Args:
        reasons: Of all features, empty for regularized ones; each at least once.
    """
    if "outside-crs" in reasons and set(reasons) <= {"outside-crs", "empty", "not-finite"}:
        raise InputUnreadableError(
            "All features lie where the coordinate reference system of their layer is not defined.",
            "The layer probably carries a wrong CRS: check it in QGIS and assign the right one.",
        )


def _note(outcome: Outcome, members: NDArray[np.intp], found: Regularized, plane: NDArray[np.object_]) -> None:
    for name in ("status", "reason", "method", "vertices"):
        getattr(outcome, name)[members] = getattr(found, name)
    outcome.numbers["area_m2"][members] = shapely.area(plane)
    outcome.numbers["perim_m"][members] = shapely.length(plane)
    for name in ("angle_deg", "max_dev_m", "iou", RATIO):
        outcome.numbers[name][members] = getattr(found, name)
