"""How well footprints agree with the truth: areas, buildings found, corners."""

from __future__ import annotations

import os
from dataclasses import dataclass

import geopandas
import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize

from building_segmenter.geo.ground import GroundFrame, local_frame
from building_segmenter.geo.vectors import read_polygons

Polygons = NDArray[np.object_]

_EDGE_M = 0.001
"""Rounding of coordinates on their way to ground metres, with room to spare."""


@dataclass(frozen=True)
class Accuracy:
    """Agreement of found buildings with the true ones.

    Attributes:
        pixel_iou: Intersection over union of the covered pixels, 0..1.
        found: Number of footprints that were found.
        true: Number of true footprints.
        matched: Number of pairs of the two with an IoU of at least 0.5.
        found_corners: Mean number of corners of the matched footprints; NaN if there are none.
        true_corners: The same of their true counterparts.
    """

    pixel_iou: float
    found: int
    true: int
    matched: int
    found_corners: float
    true_corners: float

    @property
    def precision(self) -> float:
        """Share of the found buildings that are true; 0 if none was found."""
        return self.matched / self.found if self.found else 0.0

    @property
    def recall(self) -> float:
        """Share of the true buildings that were found; 0 if there are none."""
        return self.matched / self.true if self.true else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.matched / (self.found + self.true) if self.found + self.true else 0.0


def measure(
    raster: str | os.PathLike[str],
    footprints: str | os.PathLike[str],
    truth: str | os.PathLike[str],
    min_area_m2: float = 0.0,
) -> Accuracy:
    """Compare footprints with the truth inside a raster's extent.

    Args:
        raster: Gives extent and pixels. It needs a CRS.
        footprints: Polygon layer in any CRS.
        truth: Polygon layer in any CRS.
        min_area_m2: Buildings of less ground area than this inside the raster are not counted; their pixels are.

    Raises:
        BuildingSegmenterError: A file cannot be read.
    """
    with rasterio.open(raster) as source:
        shape, transform, crs, bounds = source.shape, source.transform, source.crs, source.bounds
    height, width = shape
    corners = [transform * corner for corner in ((0, 0), (width, 0), (width, height), (0, height))]
    frame = local_frame(crs, tuple(bounds))
    view = frame.geometry_to_ground(shapely.Polygon(corners))
    layers = [_polygons(read_polygons(str(path), what).to_crs(crs)) for path, what in
              ((footprints, "footprints"), (truth, "truth"))]  # fmt: skip
    masks = [_mask(layer, shape, transform) for layer in layers]
    found, true = (_inside(layer, frame, view, min_area_m2) for layer in layers)
    pairs = match(_clipped(found, view), _clipped(true, view))
    # A building that the raster's edge cuts has corners of the cut, so it says nothing of corners.
    room = view.buffer(_EDGE_M)
    whole = [(f, t) for f, t in pairs if shapely.covers(room, found[f]) and shapely.covers(room, true[t])]
    return Accuracy(
        pixel_iou=mask_iou(*masks),
        found=len(found),
        true=len(true),
        matched=len(pairs),
        found_corners=_mean_corners(found[[f for f, _ in whole]]),
        true_corners=_mean_corners(true[[t for _, t in whole]]),
    )


def match(found: Polygons, true: Polygons, min_iou: float = 0.5) -> list[tuple[int, int]]:
    """Pair footprints with true ones, best pairs first, each at most once.

    Args:
        found: Valid polygons.
        true: Valid polygons in the same CRS.
        min_iou: Least intersection over union of a pair.

    Returns:
        Indices into `found` and `true`.
    """
    if len(found) == 0 or len(true) == 0:
        return []
    first, second = shapely.STRtree(true).query(found, predicate="intersects")
    shared = shapely.area(shapely.intersection(found[first], true[second]))
    iou = shared / (shapely.area(found[first]) + shapely.area(true[second]) - shared)
    pairs: list[tuple[int, int]] = []
    used: tuple[set[int], set[int]] = (set(), set())
    for at in np.argsort(-iou, kind="stable"):
        f, t = int(first[at]), int(second[at])
        if iou[at] >= min_iou and f not in used[0] and t not in used[1]:
            pairs.append((f, t))
            used[0].add(f)
            used[1].add(t)
    return pairs


def mask_iou(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    """Return intersection over union of two masks; 1 if both are empty."""
    union = int(np.count_nonzero(found | true))
    return int(np.count_nonzero(found & true)) / union if union else 1.0


def count_corners(polygon: shapely.Geometry) -> int:
    """Return the number of vertices of all rings, the closing ones not counted."""
    return int(shapely.get_num_coordinates(polygon)) - sum(
        int(shapely.get_num_interior_rings(part)) + 1 for part in shapely.get_parts(polygon)
    )


def _polygons(layer: geopandas.GeoDataFrame) -> Polygons:
    geometries = layer.geometry.dropna().to_numpy()
    made = np.where(shapely.is_valid(geometries), geometries, shapely.make_valid(geometries))
    return np.asarray([g for g in made if g.geom_type in ("Polygon", "MultiPolygon") and not g.is_empty], object)


def _mask(layer: Polygons, shape: tuple[int, int], transform: rasterio.Affine) -> NDArray[np.bool_]:
    if len(layer) == 0:
        return np.zeros(shape, bool)
    mask: NDArray[np.uint8] = rasterize(layer.tolist(), out_shape=shape, transform=transform, dtype="uint8")
    return mask.astype(bool)


def _inside(layer: Polygons, frame: GroundFrame, view: shapely.Polygon, min_area_m2: float) -> Polygons:
    """Return in ground metres the polygons that show enough of themselves in the view."""
    ground: Polygons = np.asarray(frame.geometry_to_ground(layer), object)
    seen = shapely.area(shapely.intersection(ground, view))
    return ground[(seen > 0) & (seen >= min_area_m2)]


def _clipped(layer: Polygons, view: shapely.Polygon) -> Polygons:
    return np.asarray(shapely.intersection(layer, view), object)


def _mean_corners(polygons: Polygons) -> float:
    return float(np.mean([count_corners(polygon) for polygon in polygons])) if len(polygons) else float("nan")
