"""Predicted outlines without what a network adds to them: spikes, slits and threads between neighbours."""

from __future__ import annotations

from typing import Any

import geopandas
import numpy as np
import shapely
from numpy.typing import NDArray

from building_segmenter.geo.ground import GroundFrame, frames_by_place

_SEGMENTS = 4


def without_thin_parts(
    frame: geopandas.GeoDataFrame, width: float, min_area: float, ground: GroundFrame | None
) -> geopandas.GeoDataFrame:
    """Return footprints without parts and gaps that are thinner than a width.

    Opening takes spikes off and cuts threads, after which a footprint may be several; closing fills slits. Straight
    walls stay where they are; corners are rounded to half the width, which is less than prediction rounds them.

    Args:
        frame: Polygons in the CRS of the raster, each valid.
        width: Ground metres.
        min_area: Ground m2 under which a piece is dropped.
        ground: Frame in which to work. None: local frames from the layer's CRS.
    """
    outlines = frame.geometry.to_numpy()
    groups = [(np.arange(len(outlines)), ground)] if ground else frames_by_place(frame.crs, shapely.bounds(outlines))
    pieces, owners = [np.empty(0, object)], [np.empty(0, np.intp)]
    for members, place in groups:
        parts, owner = shapely.get_parts(
            _tidied(place.geometry_to_ground(outlines[members]), width / 2), return_index=True
        )
        large = shapely.area(parts) >= min_area
        pieces.append(place.geometry_to_layer(parts[large]))
        owners.append(members[owner[large]])
    order = np.argsort(np.concatenate(owners), kind="stable")
    result = frame.iloc[np.concatenate(owners)[order]].reset_index(drop=True)
    return result.set_geometry(geopandas.GeoSeries(np.concatenate(pieces)[order], crs=frame.crs))


def _tidied(polygons: NDArray[Any], reach: float) -> NDArray[Any]:
    opened = shapely.buffer(polygons, -reach, quad_segs=_SEGMENTS)
    closed = shapely.buffer(opened, 2 * reach, quad_segs=_SEGMENTS)
    result: NDArray[Any] = shapely.buffer(closed, -reach, quad_segs=_SEGMENTS)
    return result
