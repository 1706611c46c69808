"""Regularize layers of any size from disk to disk, in batches and in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from building_segmenter import tasks
from building_segmenter.footprints.fields import room_for_ours
from building_segmenter.footprints.gradient import ProbabilityGradient, probability_gradient
from building_segmenter.footprints.grouping import Rows, close_groups, in_order, strips_of_groups, whole_groups
from building_segmenter.footprints.orientation import Orientation, orientation_of
from building_segmenter.footprints.outcome import (
    Outcome,
    Regularize,
    check_somewhere,
    fields_of,
    regularize_outlines,
)
from building_segmenter.footprints.regularize import Settings, regularize_polygons
from building_segmenter.footprints.shared_walls import regularize_together
from building_segmenter.geo.strips import NOWHERE, Ground, Strips, ground_of
from building_segmenter.geo.vectors import (
    FEATURES,
    Batch,
    LayerSchema,
    PolygonLayer,
    ahead,
    check_vector_output,
    free_name,
    open_polygons,
    write_batches,
)
from building_segmenter.progress import Progress

_GAP = 0.1
"""Metres between the boxes of features that touch, at most: far more than between their walls, which also covers that
a metre is more degrees farther from the equator."""
_TYPES = {"vertices": pa.int32(), "status": pa.int32(), "reason": pa.string(), "method": pa.string()}


def regularize_footprints(options: tasks.RegularizeFootprints, progress: Progress) -> dict[str, Any]:
    """Regularize a layer of footprints into a new one.

    Reading, regularizing and writing overlap; memory holds some batches of some thousand features.

    Returns:
        `output`, `features`, `regularized`, `kept`, and `reasons` with the number of features for each reason.

    Raises:
        BuildingSegmenterError: The input cannot be read or the output not written.
    """
    check_vector_output(options.output)
    progress.update(0.0, "Reading")
    layer = open_polygons(options.input, "footprints", progress)
    ground = ground_of(layer.crs)
    orientation = orientation_of(options, layer, ground, progress.part(0.0, 0.1))
    together = regularize_together if options.shared_walls else None
    run = Run(layer, ground, settings_of(options), orientation, options.output, together)
    raster = probability_gradient(options.probability, layer.crs) if options.probability else nullcontext()
    with raster as gradient:
        run.gradient, run.probability_use = gradient, options.probability_use
        with ahead(layer.batches()) as read, ahead(run.results(read, progress.part(0.1, 0.97))) as made:
            write_batches(made, options.output, run.schema, progress.part(0.97, 1.0))
    return {"output": options.output} | run.told(progress)


def settings_of(options: tasks.RegularizeFootprints) -> Settings:
    """Return a task's options as the settings of regularization."""
    return Settings(
        method=options.method,  # type: ignore[arg-type]  # the task checked the choice
        tolerance=options.tolerance,
        densification=options.densification,
        precision=options.precision,
        diagonal_penalty=options.diagonal_penalty,
        tolerance_type=options.tolerance_type,  # type: ignore[arg-type]  # the same
        min_radius=options.min_radius,
        max_radius=options.max_radius,
    )


class Run:
    """The regularization of one layer, batch by batch.

    Args:
        layer: Footprints.
        ground: Of the layer.
        settings: What to do.
        orientation: Directions to offer.
        output: Where they will be written; a GeoPackage keeps feature ids.
        together: What regularizes features that touch with regard to each other; those of a group are then handed to
            it together, in one plane. None: each by itself.

    Attributes:
        schema: What the result is like.
        gradient: Of a probability raster, to be heeded where features are regularized each by itself.
        probability_use: What of it: `weights`, `directions` or `both`.
    """

    gradient: ProbabilityGradient | None = None
    probability_use: str = "weights"

    def __init__(
        self,
        layer: PolygonLayer,
        ground: Ground,
        settings: Settings,
        orientation: Orientation,
        output: str,
        together: Regularize | None = None,
    ) -> None:
        self._layer, self._together = layer, together
        self._settings, self._ours = settings, fields_of(settings)
        self._ground, self._orientation = ground, orientation
        self._count, self._reasons = layer.survey.count, Counter[str]()
        self._adds_key, stay = _names(layer, self._ours, output)
        self._stay = [layer.fields.get_field_index(name) for name in stay]
        fields = [pa.field("fid", pa.int64())] if self._adds_key else []
        fields += [layer.fields.field(k).with_name(name) for k, name in zip(self._stay, stay.values(), strict=True)]
        fields += [pa.field(name, _TYPES.get(name, pa.float64())) for name in self._ours]
        survey = layer.survey
        zones = {stay[name]: zones for name, zones in survey.zones.items() if name in stay}
        self.schema = LayerSchema(pa.schema(fields), layer.crs, survey.geometry_type, survey.missing, zones)

    def results(self, batches: Iterable[Batch], progress: Progress) -> Iterator[Batch]:
        """Yield the regularized batches in their order.

        Raises:
            InputUnreadableError: No feature lies where the layer's CRS is defined, or reading failed.
            CancelledError: The caller asked to stop.
        """
        yield from self._each(batches, progress) if self._together is None else self._groups(batches, progress)
        check_somewhere(set(self._reasons))

    def _each(self, batches: Iterable[Batch], progress: Progress) -> Iterator[Batch]:
        done = 0
        for batch in batches:
            rows = np.arange(done, done + len(batch))
            strips = self._ground.strips(shapely.bounds(batch.geometry))
            yield self._regularized(rows, batch, strips, self._share(progress, done, len(batch)))
            done += len(batch)

    def _groups(self, batches: Iterable[Batch], progress: Progress) -> Iterator[Batch]:
        bounds = self._layer.bounds(progress.part(0.0, 0.1))
        strips = self._ground.strips(bounds)
        groups = close_groups(bounds, self._gap(bounds, strips))
        strips = strips_of_groups(strips, groups)

        def regularized() -> Iterator[tuple[Rows, Batch]]:
            done = 0
            for rows, batch in whole_groups(batches, groups, FEATURES):
                share = self._share(progress.part(0.1, 1.0), done, len(batch))
                yield rows, self._regularized(rows, batch, strips[rows], share)
                done += len(batch)

        yield from in_order(regularized(), FEATURES)

    def _regularized(self, rows: Rows, batch: Batch, strips: Strips, progress: Progress) -> Batch:
        offered = self._orientation.offered(rows, batch.geometry, strips)
        regularize = self._together or regularize_polygons
        if self.gradient is not None:
            there = strips[strips != NOWHERE]
            regularize = self.gradient.regularizing(self.probability_use, self._ground, there)
        outcome = regularize_outlines(
            batch.geometry,
            self._ground,
            self._settings,
            strips=strips,
            offered=offered,
            progress=progress,
            regularize=regularize,
        )
        return self._result(batch, outcome)

    def _gap(self, bounds: NDArray[np.float64], strips: Strips) -> float:
        """Return the distance of features that touch in units of the layer, at its first feature."""
        there = np.flatnonzero(strips != NOWHERE)[:1]
        if len(there) == 0:
            return 0.0
        middle = shapely.points((bounds[there, :2] + bounds[there, 2:]) / 2)
        around = shapely.buffer(self._ground.to_ground(middle, strips[there]), _GAP)
        box = shapely.bounds(self._ground.to_layer(around, strips[there]))[0]
        return float(max(box[2] - box[0], box[3] - box[1]) / 2)

    def _share(self, progress: Progress, done: int, count: int) -> Progress:
        # Of a layer that changes while it is read there may be more than were counted.
        return progress.part(min(done / self._count, 1.0), min((done + count) / self._count, 1.0))

    def told(self, progress: Progress) -> dict[str, Any]:
        """Return the figures of the run, and log what was kept."""
        reasons = {reason: count for reason, count in self._reasons.most_common() if reason}
        kept, features = sum(reasons.values()), self._reasons.total()
        if kept:
            counts = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
            progress.log(f"{kept} of {features} outlines were kept as they were: {counts}.")
        return {"features": features, "regularized": features - kept, "kept": kept, "reasons": reasons}

    def _result(self, batch: Batch, outcome: Outcome) -> Batch:
        # Rings of one or two points and the like: as invalid as can be, and yet the user's.
        outcome.reason[list(batch.odd)] = "invalid"
        self._reasons.update(outcome.reason.tolist())
        columns = [pa.array(batch.keys)] if self._adds_key else []
        columns += [batch.fields.column(k) for k in self._stay]
        columns += [_column(outcome, name) for name in self._ours]
        return Batch(outcome.geometry, pa.record_batch(columns, self.schema.fields), None, batch.odd)


def _column(outcome: Outcome, name: str) -> pa.Array:
    values: np.ndarray[Any, Any] = outcome.column(name)
    return pa.array(values, _TYPES.get(name, pa.float64()), from_pandas=True)


def _names(layer: PolygonLayer, ours: tuple[str, ...], output: str) -> tuple[bool, dict[str, str]]:
    """Return whether feature ids become the key, and the new names of the user's fields by their old ones.

    A GeoPackage's key is a column `fid`. Ids of the input are kept as such where they can be; a field of the name
    that cannot be the key is kept as `fid_1`.
    """
    stay = room_for_ours(layer.fields.names, ours)
    if not output.lower().endswith(".gpkg"):
        return False, stay
    for name, can_be_key in layer.survey.key_fields.items():
        if not can_be_key:
            stay[name] = free_name(name, [*stay.values(), *ours])
    return not layer.survey.key_fields and layer.survey.keys, stay
