"""Write a scene as GeoTIFF and GeoPackage in any CRS, its pixel exact on the ground."""

from __future__ import annotations

import os
from typing import NamedTuple

import geopandas
import numpy as np
import pyproj
import rasterio
import shapely
from affine import Affine

from building_segmenter.geo.ground import local_frame
from building_segmenter.geo.vectors import write_polygons
from demo.scene.draw import Scene


class Corner(NamedTuple):
    """Longitude and latitude of a scene's upper left corner, WGS84 degrees."""

    longitude: float
    latitude: float


def place_scene(width_px: int, height_px: int, gsd: float, crs: str, corner: Corner) -> Affine:
    """Return the transform from pixels to a CRS under which a pixel is `gsd` ground metres in both directions.

    Ground metres and CRS units differ by an affine map to about 1e-5 over some hundred metres, so it is fitted on
    the scene's corners, with north up on the ground at the place. In a CRS that is turned against true north, as
    every UTM zone but at its meridian, the raster is turned too.

    Args:
        width_px: Width in pixels.
        height_px: Height in pixels.
        gsd: Ground pixel in metres.
        crs: Any CRS that pyproj reads.
        corner: Where the upper left corner is put.
    """
    to_crs = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    left, top = to_crs.transform(*corner)
    frame = local_frame(crs, (left, top, left, top))
    east, south = frame.to_ground(left, top)
    columns = np.array([0.0, width_px, 0.0, width_px])
    rows = np.array([0.0, 0.0, height_px, height_px])
    x, y = frame.to_layer(east + columns * gsd, south - rows * gsd)
    design = np.column_stack([columns, rows, np.ones(4)])
    (a, d), (b, e), (c, f) = np.linalg.lstsq(design, np.column_stack([x - left, y - top]), rcond=None)[0]
    return Affine(a, b, c + left, d, e, f + top)


def write_scene(
    scene: Scene,
    raster: str | os.PathLike[str],
    footprints: str | os.PathLike[str],
    crs: str = "EPSG:32636",
    corner: Corner = Corner(32.5825, 0.3476),  # noqa: B008 (a tuple never changes)
) -> None:
    """Write a scene's image as GeoTIFF and its footprints as a polygon layer.

    Args:
        scene: What to write.
        raster: GeoTIFF to write.
        footprints: GeoPackage, or another format by ending. Its one field, `area_m2`, is exact.
        crs: CRS of both.
        corner: Where the scene's upper left corner is put.

    Raises:
        BuildingSegmenterError: A file cannot be written.
    """
    height, width = scene.image.shape[:2]
    transform = place_scene(width, height, scene.gsd, crs, corner)
    profile = {"driver": "GTiff", "height": height, "width": width, "count": 3, "dtype": "uint8", "crs": crs}
    tiling = {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate", "photometric": "rgb"}
    with rasterio.open(raster, "w", transform=transform, **profile, **tiling) as target:
        target.write(np.moveaxis(scene.image, 2, 0))
        target.update_tags(TIFFTAG_IMAGEDESCRIPTION="Drawn scene, not a photograph; Building Segmenter demo")
    areas = [footprint.area * scene.gsd**2 for footprint in scene.footprints]
    placed = [to_map(footprint, transform) for footprint in scene.footprints]
    write_polygons(geopandas.GeoDataFrame({"area_m2": areas}, geometry=placed, crs=crs), footprints)


def to_map(footprint: shapely.Polygon, transform: Affine) -> shapely.Polygon:
    """Return a polygon in pixels as one in the coordinates of a transform."""
    return shapely.transform(footprint, lambda points: np.column_stack(transform * (points[:, 0], points[:, 1])))
