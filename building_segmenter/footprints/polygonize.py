"""Polygons with sub-pixel outlines from a raster of probabilities or a mask."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import geopandas

from building_segmenter import tasks
from building_segmenter.footprints.frames import batch_of, schema_of
from building_segmenter.footprints.splitting import SplitRule
from building_segmenter.footprints.tracing import Traced, TraceRule, Tracing, joined_traced
from building_segmenter.geo.ground import GroundFrame
from building_segmenter.geo.vectors import ahead, check_vector_output, write_batches
from building_segmenter.progress import Progress
from building_segmenter.rasters.source import open_raster


def polygonize_mask(options: tasks.PolygonizeMask, progress: Progress) -> dict[str, Any]:
    """Write the outlines of a raster's inside as a polygon layer.

    Tracing and writing overlap, batch by batch, so that memory does not depend on the number of polygons.

    Returns:
        `output`, the path, and `features`, their number. No polygon is a success with an empty layer.

    Raises:
        BuildingSegmenterError: As `polygonize_raster` and `write_batches`.
    """
    check_vector_output(options.output)
    rule = TraceRule(
        options.band,
        options.threshold,
        options.value,
        options.min_area,
        options.min_hole_area,
        SplitRule(options.contact_threshold) if options.split else None,
    )
    with open_raster(options.input, "raster") as dataset:
        tracing = Tracing(dataset, rule, None, progress)
        schema = schema_of(tracing.fields, dataset)
        with (
            closing(tracing.batches(progress.part(0.0, 0.95))) as traced,
            ahead(batch_of(one.polygons, schema) for one in traced) as made,
        ):
            count = write_batches(made, options.output, schema, progress.part(0.95, 1.0))
    return {"output": options.output, "features": count}


def polygonize_raster(
    path: str, rule: TraceRule | None = None, *, ground: GroundFrame | None = None, progress: Progress | None = None
) -> geopandas.GeoDataFrame:
    """Trace sub-pixel outlines around all that is inside in a raster.

    Outlines lie where the probability, interpolated between pixel centres, crosses the threshold; at nodata and at
    the raster's edge they follow the pixels' edges. Pixels that touch at a corner only are joined where the bilinear
    surface joins them. All points are kept but those exactly on a line. Where a band tells the probability of contact,
    regions of several buildings are parted: the pieces keep the outer outline and have one line in common.

    Args:
        path: Raster of probabilities (floats 0..1, or integers with a GDAL scale) or an integer mask; any affine
            georeference.
        rule: What to trace and what of it to keep; None for the defaults.
        ground: The ground frame of a raster without CRS.
        progress: Receives progress and warnings.

    Returns:
        Valid polygons in the raster's CRS, with `score` (mean probability of the pixels inside, 0..100; 100 for a
        mask), `area_m2`, `perim_m` (holes included) and `vertices`; those of classes begin with `class`, its value,
        and `class_name`. Their order is that of the rows in which regions end, then of those in which they begin,
        however the raster is cut into blocks.

    Raises:
        InputNotFoundError: There is no such raster.
        InputUnreadableError: GDAL cannot open it, or reading breaks off.
        BandsError: There is no such band.
        MissingCrsError: The raster has no CRS and `ground` is not given.
        InvalidParameterError: The values are no probabilities and no VALUE was named, or VALUE is nodata.
        CancelledError: The user asked to stop.
    """
    return trace_raster(path, rule, ground=ground, progress=progress).polygons


def trace_raster(
    path: str, rule: TraceRule | None = None, *, ground: GroundFrame | None = None, progress: Progress | None = None
) -> Traced:
    """Do as `polygonize_raster`, which see, and also tell which polygons are pieces of one region."""
    progress = progress or Progress()
    with open_raster(path, "raster") as dataset:
        return joined_traced(Tracing(dataset, rule or TraceRule(), ground, progress).batches(progress))
