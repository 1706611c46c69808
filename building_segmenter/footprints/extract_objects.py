"""Extract buildings with a model that finds them one by one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from typing import Any

import geopandas

from building_segmenter import tasks
from building_segmenter.errors import InvalidParameterError
from building_segmenter.footprints.detect import DetectedBuildings, opened
from building_segmenter.footprints.frames import batch_of, schema_of
from building_segmenter.footprints.straightened import Straightened
from building_segmenter.geo.strips import Ground, ground_of
from building_segmenter.geo.vectors import ahead, write_batches
from building_segmenter.networks.model_file import has_facts, read_facts
from building_segmenter.progress import Progress

_OF_PIXELS = tuple(
    field.name
    for field in fields(tasks.SegmentationTask)
    if field.name not in {one.name for one in fields(tasks.PredictionTask)}
)
_NOT_KNOWN = (*_OF_PIXELS, "shared_walls", "probability")


def is_detector(model: str | None) -> bool:
    """Tell whether a model file finds objects one by one; one that is none is judged by whoever uses it."""
    if not model or Path(model).suffix.lower() != ".keras" or not Path(model).is_file():
        return False
    return has_facts(model) and read_facts(model).is_detector


def extract_objects(options: tasks.ExtractBuildings, progress: Progress) -> dict[str, Any]:
    """Extract regularized footprints with a Mask R-CNN: the steps of `detect` and `regularize`, batch by batch.

    Returns:
        As of `extract_buildings`; `threshold` is the least score of a building.

    Raises:
        InvalidParameterError: An option is given that means nothing to such a model.
        BuildingSegmenterError: The raster, the model or the output cannot be used; see `errors`.
    """
    _check(options)
    with ExitStack() as kept:
        detection = _detection_of(options)
        rasters = opened(detection, kept)
        found = DetectedBuildings(detection, rasters, progress.part(0.0, 0.05), kept)
        straightened = Straightened.of(options, found.gsd)
        schema = schema_of(straightened.fields_after(found.fields), rasters.first)
        ground = ground_of(rasters.first.crs, found.ground)
        with (
            ahead(found.batches(progress.part(0.05, 0.95))) as frames,
            ahead(_regularized(frames, straightened, ground, Progress(None, progress.cancelled))) as regularized,
        ):
            batches = (batch_of(one, schema) for one in regularized)
            write_batches(batches, options.output, schema, progress.part(0.95, 1.0))
    return straightened.outcome(options.output, found.min_score, progress)


def _regularized(
    frames: Iterator[geopandas.GeoDataFrame], straightened: Straightened, ground: Ground, progress: Progress
) -> Iterator[geopandas.GeoDataFrame]:
    for frame in frames:
        yield straightened.batch(frame, ground, progress)
    straightened.check_somewhere()


def _detection_of(options: tasks.ExtractBuildings) -> tasks.DetectBuildings:
    common = {field.name: getattr(options, field.name) for field in fields(tasks.PredictionTask)}
    return tasks.DetectBuildings(**common, min_score=options.threshold, min_area=options.min_area)


def _check(options: tasks.ExtractBuildings) -> None:
    """Refuse what only models of segmentation know, instead of leaving it out of account."""
    for name in _NOT_KNOWN:
        if getattr(options, name) != tasks.default_of(tasks.ExtractBuildings, name):
            raise InvalidParameterError(
                f"{name.upper()} is given, but {options.model} finds buildings one by one and does not know it.",
                f"Leave {name.upper()} as it is by default, or choose a model of segmentation.",
            )
