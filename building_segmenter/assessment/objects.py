"""How many buildings were found, and with how many corners."""

from __future__ import annotations

from dataclasses import dataclass

import geopandas
import numpy as np
import shapely

from building_segmenter.assessment.matching import Matches, Polygons, match_footprints
from building_segmenter.footprints.measures import vertex_counts
from building_segmenter.geo.ground import GroundFrame, local_frame

_EDGE_M = 0.001
"""Rounding of coordinates on their way to ground metres, with room to spare."""


@dataclass(frozen=True)
class ObjectAccuracy:
    """Agreement of predicted footprints with the reference, building by building.

    Args:
        matches: Which is which, among the buildings that count.
        predicted_corners: Mean number of corners of the matched predicted footprints that the area's edge does not
            cut; NaN if there are none.
        reference_corners: The same of their counterparts.
    """

    matches: Matches
    predicted_corners: float
    reference_corners: float


def object_accuracy(
    predicted: geopandas.GeoDataFrame,
    reference: geopandas.GeoDataFrame,
    area: shapely.Geometry,
    min_area: float = 20.0,
    min_iou: float = 0.5,
) -> ObjectAccuracy:
    """Compare two layers of footprints inside an area, in ground metres.

    Args:
        predicted: Footprints in any CRS.
        reference: Footprints in any CRS.
        area: Polygon in the CRS of `predicted`; what of a footprint lies outside does not count. At most some 50 km
            wide.
        min_area: Buildings with less ground area than this inside the area are not counted; m2.
        min_iou: Least intersection over union of a pair, 0..1.

    Raises:
        MissingCrsError: `predicted` has no CRS.
    """
    crs = predicted.crs
    frame = local_frame(crs, tuple(area.bounds))
    view = frame.geometry_to_ground(area)
    layers = [_inside(layer.to_crs(crs), frame, view, min_area) for layer in (predicted, reference)]
    found, true = layers
    matches = match_footprints(shapely.intersection(found, view), shapely.intersection(true, view), min_iou)
    # A building that the area's edge cuts has corners of the cut, so it says nothing of corners.
    room = view.buffer(_EDGE_M)
    one, other = found[matches.predicted], true[matches.reference]
    whole = shapely.covers(room, one) & shapely.covers(room, other)
    return ObjectAccuracy(matches, _mean_corners(one[whole]), _mean_corners(other[whole]))


def _inside(layer: geopandas.GeoDataFrame, frame: GroundFrame, view: shapely.Geometry, min_area: float) -> Polygons:
    """Return in ground metres the polygons that show enough of themselves in the view."""
    geometries = layer.geometry.dropna().to_numpy()
    made = np.where(shapely.is_valid(geometries), geometries, shapely.make_valid(geometries))
    areal = (shapely.get_dimensions(made) == 2) & ~shapely.is_empty(made) & (shapely.get_type_id(made) != 7)
    ground: Polygons = np.asarray(frame.geometry_to_ground(made[areal]), object)
    seen = shapely.area(shapely.intersection(ground, view))
    there: Polygons = ground[(seen > 0) & (seen >= min_area)]
    return there


def _mean_corners(polygons: Polygons) -> float:
    return float(np.mean(vertex_counts(polygons))) if len(polygons) else float("nan")
