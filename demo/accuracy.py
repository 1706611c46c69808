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

from building_segmenter.assessment.objects import object_accuracy
from building_segmenter.geo.vectors import read_polygons

Polygons = NDArray[np.object_]


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
        shape, transform, crs = source.shape, source.transform, source.crs
    height, width = shape
    corners = [transform * corner for corner in ((0, 0), (width, 0), (width, height), (0, height))]
    found, true = (
        read_polygons(str(path), what).to_crs(crs) for path, what in ((footprints, "footprints"), (truth, "truth"))
    )
    objects = object_accuracy(found, true, shapely.Polygon(corners), min_area_m2)
    return Accuracy(
        pixel_iou=mask_iou(*(_mask(_polygons(layer), shape, transform) for layer in (found, true))),
        found=objects.matches.predicted_count,
        true=objects.matches.reference_count,
        matched=len(objects.matches),
        found_corners=objects.predicted_corners,
        true_corners=objects.reference_corners,
    )


def mask_iou(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    """Return intersection over union of two masks; 1 if both are empty."""
    union = int(np.count_nonzero(found | true))
    return int(np.count_nonzero(found & true)) / union if union else 1.0


def _polygons(layer: geopandas.GeoDataFrame) -> Polygons:
    geometries = layer.geometry.dropna().to_numpy()
    made = np.where(shapely.is_valid(geometries), geometries, shapely.make_valid(geometries))
    return np.asarray([g for g in made if g.geom_type in ("Polygon", "MultiPolygon") and not g.is_empty], object)


def _mask(layer: Polygons, shape: tuple[int, int], transform: rasterio.Affine) -> NDArray[np.bool_]:
    if len(layer) == 0:
        return np.zeros(shape, bool)
    mask: NDArray[np.uint8] = rasterize(layer.tolist(), out_shape=shape, transform=transform, dtype="uint8")
    return mask.astype(bool)
