"""Regularize layers in memory, in any CRS, with fields that say what happened."""

from __future__ import annotations

from typing import cast

import geopandas
import numpy as np
import shapely
from numpy.typing import NDArray

from building_segmenter.footprints.fields import room_for_ours
from building_segmenter.footprints.grouping import strips_of_groups
from building_segmenter.footprints.outcome import Outcome, Regularize, check_somewhere, fields_of, regularize_outlines
from building_segmenter.footprints.regularize import Offered, Settings, regularize_polygons
from building_segmenter.footprints.shared_walls import regularize_together
from building_segmenter.geo.ground import GroundFrame
from building_segmenter.geo.strips import Ground, ground_of
from building_segmenter.progress import Progress


def regularize_layer(
    frame: geopandas.GeoDataFrame,
    settings: Settings | None = None,
    *,
    ground: GroundFrame | None = None,
    offered: Offered | None = None,
    regions: NDArray[np.int64] | None = None,
    progress: Progress | None = None,
) -> geopandas.GeoDataFrame:
    """Regularize the polygons of a layer in ground metres.

    Index, order, attributes, CRS, parts and Z stay. Fields are added: `area_m2`, `perim_m` (ground), `vertices`,
    `status` (0 regularized, 1 original kept), `reason` (empty, or a key of `REASONS`), `method` (empty where the
    original was kept), `angle_deg`, `max_dev_m` and `iou` (null there), and `area_ratio` where circles are accepted
    by it. Those of an earlier run are replaced; a field of the user's with one of these names is kept as `NAME_1`.

    Args:
        frame: Polygons in any CRS; null, empty and invalid geometries are let through with status 1.
        settings: What to do; by default right angles within 1 m.
        ground: Frame in which to work. None: that of the layer's CRS at each feature.
        offered: Directions for each feature in its frame, tried first.
        regions: Region (n,) that each feature is (a piece) of; where pieces share one, touching features keep common
            walls. None: each by itself.
        progress: Told after each batch, and asked whether to stop.

    Raises:
        MissingCrsError: There is neither a CRS nor a frame.
        InputUnreadableError: The CRS is not defined where the layer lies.
        CancelledError: The caller asked to stop.
    """
    settings = settings or Settings()
    found = regularize_some(
        frame, settings, ground_of(frame.crs, ground), regions=regions, offered=offered, progress=progress
    )
    check_somewhere(set(found["reason"]))
    return found


def regularize_some(
    frame: geopandas.GeoDataFrame,
    settings: Settings,
    ground: Ground,
    *,
    regions: NDArray[np.int64] | None = None,
    offered: Offered | None = None,
    progress: Progress | None = None,
) -> geopandas.GeoDataFrame:
    """Do as `regularize_layer`, which see, with a part of a layer: all of it may lie where the CRS is not defined.

    Args:
        frame: Some features of the layer.
        settings: What to do.
        ground: Of the whole layer.
        regions: As in `regularize_layer`.
        offered: The same.
        progress: The same.
    """
    outlines = np.asarray(frame.geometry.to_numpy(), dtype=object)
    strips, regularize = ground.strips(shapely.bounds(outlines)), cast(Regularize, regularize_polygons)
    if regions is not None and len(np.unique(regions)) < len(regions):
        strips, regularize = strips_of_groups(strips, regions), regularize_together
    outcome = regularize_outlines(
        outlines, ground, settings, strips=strips, offered=offered, progress=progress, regularize=regularize
    )
    return _with_fields(frame, outcome, fields_of(settings))


def _with_fields(frame: geopandas.GeoDataFrame, outcome: Outcome, fields: tuple[str, ...]) -> geopandas.GeoDataFrame:
    stay = room_for_ours(frame.columns, fields)
    result = frame[list(stay)].rename(columns=stay)
    name = stay[frame.geometry.name]
    if result.geometry.name != name:
        result = result.set_geometry(name)
    result[name] = geopandas.GeoSeries(outcome.geometry, index=frame.index, crs=frame.crs)
    for field in fields:
        result[field] = outcome.column(field)
    return result
