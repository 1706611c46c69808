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

from building_segmenter.assessment.objects import ObjectAccuracy, object_accuracy
from building_segmenter.geo.vectors import read_polygons


@dataclass(frozen=True)
class Accuracy:
    """Agreement of found buildings with the true ones.

    Args:
        pixel_iou: Intersection over union of the covered pixels, 0..1.
        objects: Building by building, at an IoU of at least 0.5.
    """

    pixel_iou: float
    objects: ObjectAccuracy


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
    pixel_iou = mask_iou(*(covered(layer, shape, transform) for layer in (found, true)))
    return Accuracy(pixel_iou, object_accuracy(found, true, shapely.Polygon(corners), min_area_m2))


def mask_iou(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    """Return intersection over union of two masks; 1 if both are empty."""
    union = int(np.count_nonzero(found | true))
    return int(np.count_nonzero(found & true)) / union if union else 1.0


def covered(layer: geopandas.GeoDataFrame, shape: tuple[int, int], transform: rasterio.Affine) -> NDArray[np.bool_]:
    """Return the pixels (height, width) whose middle a layer in the raster's CRS covers; invalid polygons are mended.

    Args:
        layer: Polygons; rows without one are passed over.
        shape: Height and width of the raster.
        transform: From its pixels to the layer's CRS.
    """
    geometries = layer.geometry.dropna().to_numpy()
    made = np.where(shapely.is_valid(geometries), geometries, shapely.make_valid(geometries))
    polygons = [one for one in made if one.geom_type in ("Polygon", "MultiPolygon") and not one.is_empty]
    if not polygons:
        return np.zeros(shape, bool)
    mask: NDArray[np.uint8] = rasterize(polygons, out_shape=shape, transform=transform, dtype="uint8")
    return mask.astype(bool)
