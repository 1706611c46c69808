"""Extract buildings: from an image to regularized footprints in one run."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from functools import partial
from typing import Any

import geopandas

from building_segmenter import scratch
from building_segmenter.footprints.extract_objects import extract_objects, is_detector
from building_segmenter.footprints.frames import batch_of, schema_of
from building_segmenter.footprints.splitting import SplitRule
from building_segmenter.footprints.straightened import Straightened
from building_segmenter.footprints.tracing import Traced, TraceRule, Tracing, joined_traced
from building_segmenter.geo.strips import Ground, ground_of
from building_segmenter.geo.vectors import ahead, check_vector_output, write_batches
from building_segmenter.inference.beside import predicted_beside
from building_segmenter.progress import Progress, Sink
from building_segmenter.rasters.growing import GrowingRaster
from building_segmenter.rasters.source import frame_of
from building_segmenter.tasks import ExtractBuildings

_PREDICTED = 0.95
"""Share of the work when all is predicted, and most of that is regularized."""


def extract_buildings(options: ExtractBuildings, progress: Progress) -> dict[str, Any]:
    """Extract regularized building footprints from a raster.

    The steps are those of `segment`, `polygonize` and `regularize`, all at the same time: what is predicted is traced
    while what follows is predicted, and regularized batch by batch. The probability raster is scratch unless the user
    names a place for it. Regions that the model's contacts part into buildings which touch are regularized piece by
    piece, and together only where shared walls are asked for. A model of several classes gives polygons of each class,
    with `class` and `class_name`, regularized each by itself: boundaries that classes have in common part within the
    tolerance (those of `polygonize` do not).

    What is predicted is kept until the footprints are written: a run that is stopped goes on from there, also with
    other options of what is made of it.

    A model that finds objects one by one takes the way of `extract_objects`.

    Returns:
        `output`, `features`, `regularized`, `kept` (outlines that stayed as predicted), `tolerance`, `threshold`
        and, where it is kept, `probability`.

    Raises:
        BuildingSegmenterError: The raster, the model or an output cannot be used; see `errors`.
    """
    check_vector_output(options.output)
    if is_detector(options.model):
        return extract_objects(options, progress)
    with (
        ExitStack() as kept,
        scratch.side_folder(options.output) as folder,
        scratch.new_output(options.probability) if options.probability else nullcontext() as copy,
        predicted_beside(options, folder, copy, progress.part(0.0, _PREDICTED), kept) as predicted,
    ):
        gsd = predicted.facts["gsd"]
        threshold = predicted.facts["threshold"] if options.threshold is None else options.threshold
        straightened = Straightened.of(options, gsd)
        run = _Footprints(options, straightened, math.sqrt(math.prod(gsd)))
        run.write(predicted.raster, threshold, _after(predicted.raster, progress).part(_PREDICTED, 1.0))
    result = straightened.outcome(options.output, threshold, progress)
    return result | ({"probability": options.probability} if options.probability else {})


class _Footprints:
    """The footprints of one probability raster: traced, regularized and written at the same time, in batches.

    Args:
        options: Of the task.
        straightened: Regularizes them.
        gsd: Ground pixel of the raster in metres, for one without CRS.
    """

    def __init__(self, options: ExtractBuildings, straightened: Straightened, gsd: float) -> None:
        self._options, self._straightened, self._gsd = options, straightened, gsd

    def write(self, probability: GrowingRaster, threshold: float, progress: Progress) -> None:
        """Write the footprints of a raster; memory: some batches, or all features where walls are shared."""
        options = self._options
        split = SplitRule(options.contact_threshold) if options.split else None
        rule = TraceRule(None, threshold, None, options.min_area, options.min_area, split)
        with probability.reader(progress.check) as dataset:
            frame = frame_of(dataset, self._gsd)
            second = partial(probability.reader, progress.check)
            tracing = Tracing(dataset, rule, frame, progress, second, known_as=options.input)
            schema = schema_of(self._straightened.fields_after(tracing.fields), dataset)
            ground = ground_of(dataset.crs, frame)
            # Tracing waits for regularization, and tells how far both are, unless all features are needed at once.
            share = progress.part(0.0, 0.4 if options.shared_walls else 0.9)
            with (
                ahead(tracing.batches(share)) as traced,
                ahead(self._regularized(traced, ground, progress.part(0.4, 0.9))) as found,
                probability.stopped_by_errors(),
            ):
                made = (batch_of(one, schema) for one in found)
                write_batches(made, options.output, schema, progress.part(0.9, 1.0))
        if "class" in tracing.fields:
            progress.log(
                "Polygons of all classes were regularized each by itself; Polygonize mask keeps common boundaries."
            )

    def _regularized(
        self, batches: Iterator[Traced], ground: Ground, progress: Progress
    ) -> Iterator[geopandas.GeoDataFrame]:
        if self._options.shared_walls:
            # Walls may be near those of any other building.
            whole = joined_traced(batches)
            yield self._straightened.batch(whole.polygons, ground, progress, whole.regions)
        else:
            silent = Progress(None, progress.cancelled)
            for batch in batches:
                yield self._straightened.batch(batch.polygons, ground, silent)
        self._straightened.check_somewhere()


def _after(raster: GrowingRaster, progress: Progress) -> Progress:
    """Return the progress of what follows a prediction, which is not shown until that has ended."""
    return Progress(_Following(progress.sink, raster), progress.cancelled)


class _Following:
    """Passes everything on, but how far the work is only when a raster is finished."""

    def __init__(self, sink: Sink, raster: GrowingRaster) -> None:
        self._sink, self._raster = sink, raster
        self.log, self.warning = sink.log, sink.warning

    def progress(self, fraction: float, stage: str, eta_s: float | None) -> None:
        if self._raster.is_finished:
            self._sink.progress(fraction, stage, eta_s)
