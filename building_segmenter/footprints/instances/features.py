"""Merged instances as features of a layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import geopandas
import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray

from building_segmenter.footprints.instances.outlines import outlines
from building_segmenter.footprints.instances.views import Merged
from building_segmenter.footprints.measures import vertex_counts
from building_segmenter.geo.ground import GroundFrame
from building_segmenter.geo.strips import ground_of

FIELDS = ("score", "area_m2", "perim_m", "vertices")
CLASS_FIELDS = ("class", "class_name")


@dataclass(frozen=True)
class Place:
    """Where a grid lies.

    Args:
        transform: From pixels of the grid to the CRS.
        crs: CRS of the layer, or None.
        pixel: Width and height of a pixel in ground metres.
        ground: The ground frame where there is no CRS.
    """

    transform: Affine
    crs: Any
    pixel: tuple[float, float]
    ground: GroundFrame | None = None


def features(
    merged: Sequence[Merged],
    place: Place,
    *,
    classes: Mapping[int, tuple[int, str]] | None = None,
    min_area: float = 4.0,
    min_hole_area: float = 4.0,
) -> geopandas.GeoDataFrame:
    """Return instances as polygons with sub-pixel outlines.

    Outlines lie where the probability, interpolated between pixel centres, is one half. Outlines of neighbours may
    overlap a little: each is its own.

    Args:
        merged: Of `merging`, in the order that is wanted.
        place: Where their grid lies.
        classes: Value and name of the class of each label, where there are several.
        min_area: Polygons with less area, holes taken off, are left out; ground m2.
        min_hole_area: Holes with less area are filled; ground m2.

    Returns:
        Valid polygons in the CRS with `score` (0..100), `area_m2`, `perim_m` (holes included) and `vertices`, before
        them `class` and `class_name` if there are `classes`; the same fields for no instance.

    Raises:
        MissingCrsError: There is neither a CRS nor a ground frame.
    """
    pixels = outlines([one.patch for one in merged], min_hole_area / (place.pixel[0] * place.pixel[1]))
    polygons = _on_map(pixels, place.transform)
    area, perimeter = _sizes(polygons, place)
    kept = np.flatnonzero(area >= min_area).tolist()
    labels = [merged[k].label for k in kept]
    columns: dict[str, Any] = {}
    if classes is not None:
        columns["class"] = np.array([classes[label][0] for label in labels], np.int32)
        columns["class_name"] = np.array([classes[label][1] for label in labels], object)
    columns["score"] = np.array([100 * merged[k].score for k in kept], np.float64)
    columns |= {"area_m2": area[kept], "perim_m": perimeter[kept], "vertices": vertex_counts(polygons[kept])}
    return geopandas.GeoDataFrame(columns, geometry=polygons[kept], crs=place.crs)


def _on_map(polygons: NDArray[Any], transform: Affine) -> NDArray[Any]:
    step = transform
    matrix, shift = np.array([[step.a, step.d], [step.b, step.e]]), np.array([step.c, step.f])
    there: NDArray[Any] = shapely.orient_polygons(shapely.transform(polygons, lambda points: points @ matrix + shift))
    return there


def _sizes(polygons: NDArray[Any], place: Place) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return areas and lengths of all rings in ground metres; 0 of what is missing."""
    ground = ground_of(place.crs, place.ground)
    plane = ground.to_ground(polygons, ground.strips(shapely.bounds(polygons)))
    return np.nan_to_num(shapely.area(plane)), np.nan_to_num(shapely.length(plane))
