"""Extract buildings: from an image to regularized footprints in one run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from building_segmenter import scratch
from building_segmenter.footprints.layer import regularize_layer
from building_segmenter.footprints.polygonize import trace_raster
from building_segmenter.footprints.regularize import Settings
from building_segmenter.footprints.splitting import SplitRule
from building_segmenter.geo.ground import GroundFrame
from building_segmenter.geo.vectors import check_vector_output, write_polygons
from building_segmenter.inference.segment import predict_to
from building_segmenter.progress import Progress
from building_segmenter.rasters.source import frame_of, open_raster
from building_segmenter.tasks import ExtractBuildings

SMALLEST_TOLERANCE_M = 1.0
TOLERANCE_IN_PIXELS = 4.0


def extract_buildings(options: ExtractBuildings, progress: Progress) -> dict[str, Any]:
    """Extract regularized building footprints from a raster.

    The steps are those of `segment`, `polygonize` and `regularize`; the probability raster is scratch unless the
    user names a place for it. Regions that the model's contacts part into buildings which touch are regularized piece
    by piece, and together only where shared walls are asked for. A model of several classes gives polygons of each
    class, with `class` and `class_name`, regularized each by itself: boundaries that classes have in common part within
    the tolerance (those of `polygonize` do not).

    Returns:
        `output`, `features`, `regularized`, `kept` (outlines that stayed as predicted), `tolerance`, `threshold`
        and, where it is kept, `probability`.

    Raises:
        BuildingSegmenterError: The raster, the model or an output cannot be used; see `errors`.
    """
    check_vector_output(options.output)
    with _probability_path(options) as path:
        facts = predict_to(options, path, progress.part(0.0, 0.9))
        threshold = facts["threshold"] if options.threshold is None else options.threshold
        tolerance = options.tolerance or max(SMALLEST_TOLERANCE_M, TOLERANCE_IN_PIXELS * max(facts["gsd"]))
        ground = _ground_of(options)
        traced = trace_raster(
            str(path),
            threshold=threshold,
            min_area=options.min_area,
            min_hole_area=options.min_area,
            split=SplitRule(options.contact_threshold) if options.split else None,
            ground=ground,
            progress=progress.part(0.9, 0.94),
        )
        settings = Settings(options.method, tolerance)  # type: ignore[arg-type]  # the task checked the choice
        regions = traced.regions if options.shared_walls else None
        footprints = regularize_layer(
            traced.polygons, settings, ground=ground, regions=regions, progress=progress.part(0.94, 0.99)
        )
        progress.update(0.99, "Writing")
        write_polygons(footprints, options.output)
    if "class" in footprints:
        progress.log(
            "Polygons of all classes were regularized each by itself; Polygonize mask keeps common boundaries."
        )
    kept = int((footprints["status"] == 1).sum())
    progress.log(
        f"{len(footprints)} footprints at threshold {threshold:.2f}: {len(footprints) - kept} regularized within"
        f" {tolerance:.2f} m, {kept} kept as predicted."
    )
    result = {"output": options.output, "features": len(footprints), "regularized": len(footprints) - kept}
    result |= {"kept": kept, "tolerance": tolerance, "threshold": threshold}
    return result | ({"probability": options.probability} if options.probability else {})


@contextmanager
def _probability_path(options: ExtractBuildings) -> Iterator[Path]:
    """Give a scratch path for the probability raster: put in place afterwards if the user wants it, else removed."""
    if options.probability:
        with scratch.new_output(options.probability) as path:
            yield path
    else:
        with scratch.side_folder(options.output) as folder:
            yield folder / "probability.tif"


def _ground_of(options: ExtractBuildings) -> GroundFrame | None:
    with open_raster(options.input) as dataset:
        return frame_of(dataset, options.gsd)
