"""The same scene in every CRS and orientation: the same polygons on the ground to 1 cm."""

import numpy as np
import pyproj
import pytest
import rasterio
import shapely
from affine import Affine
from shapely.affinity import affine_transform

from building_segmenter.footprints.polygonize import polygonize_raster
from building_segmenter.footprints.tracing import TraceRule
from building_segmenter.geo.ground import local_frame, scaled_frame

LONGITUDE, LATITUDE = -84.4, 33.7
SHAPE = (220, 260)
ORIENTATIONS = {
    "north-up": Affine.scale(0.1, -0.1),
    "rotated": Affine.rotation(17) @ Affine.scale(0.1, -0.1),
    "south-up": Affine.scale(0.1, 0.1),
    "non-square": Affine.scale(0.1, -0.16),
    "rotated, south-up, non-square": Affine.rotation(-40) @ Affine.scale(0.13, 0.1),
}


def soft_scene():
    """A disc with a hole, an ellipse, and a hall that the raster's edge cuts."""
    y, x = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]] + 0.5
    disc = np.abs(np.hypot(x - 80, y - 90) - 35) - 18
    ellipse = np.hypot((x - 180) / 2, y - 150) - 25
    hall = np.maximum(np.abs(x - 190) - 30, np.abs(y - 10) - 30)
    return (1 / (1 + np.exp(np.minimum(np.minimum(disc, ellipse), hall) / 1.5))).astype(np.float32)


def ground_of(orientation):
    """Return pixels -> ground metres around the place, with the raster's middle on it."""
    middle = Affine.translation(-SHAPE[1] / 2, -SHAPE[0] / 2)
    return ORIENTATIONS[orientation] * middle


def georeferenced(path, orientation, crs):
    """Write the scene in a CRS, with the affine transform that fits the ground best at its middle."""
    frame, ground = ground_frame(), ground_of(orientation)
    corners = np.array([ground * point for point in ((0, 0), (SHAPE[1], 0), (0, SHAPE[0]), SHAPE[::-1])])
    to_crs = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(*frame.to_layer(*corners.T))
    (x0, x1, x2, x3), (y0, y1, y2, y3) = to_crs
    column = ((x1 - x0 + x3 - x2) / 2 / SHAPE[1], (y1 - y0 + y3 - y2) / 2 / SHAPE[1])
    row = ((x2 - x0 + x3 - x1) / 2 / SHAPE[0], (y2 - y0 + y3 - y1) / 2 / SHAPE[0])
    start = np.mean(to_crs, axis=1) - np.array(column) * SHAPE[1] / 2 - np.array(row) * SHAPE[0] / 2
    transform = Affine(column[0], row[0], start[0], column[1], row[1], start[1])
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=SHAPE[0],
        width=SHAPE[1],
        count=1,
        dtype="float32",
        crs=crs,
        transform=transform,
    ) as dataset:
        dataset.write(soft_scene(), 1)
    return str(path)


def ground_frame():
    return local_frame("EPSG:4326", (LONGITUDE, LATITUDE, LONGITUDE, LATITUDE))


@pytest.fixture(scope="module")
def in_pixels(tmp_path_factory):
    """The polygons in pixels: those of the raster without georeference."""
    path = tmp_path_factory.mktemp("scene") / "scene.tif"
    with rasterio.open(path, "w", driver="GTiff", height=SHAPE[0], width=SHAPE[1], count=1, dtype="float32") as dataset:
        dataset.write(soft_scene(), 1)
    return polygonize_raster(str(path), ground=scaled_frame(1.0)).geometry.to_numpy()


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857", "EPSG:32616", "EPSG:2240"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_same_polygons_on_the_ground_to_a_centimetre(tmp_path, in_pixels, crs, orientation):
    frame = polygonize_raster(
        georeferenced(tmp_path / "p.tif", orientation, crs), TraceRule(min_area=1.0, min_hole_area=1.0)
    )
    assert len(frame) == 3
    there = frame.to_crs("EPSG:4326").geometry.to_numpy()
    ground = ground_of(orientation)
    expected = [affine_transform(polygon, ground.to_shapely()) for polygon in in_pixels]
    for found, wanted, row in zip(ground_frame().geometry_to_ground(there), expected, frame.itertuples(), strict=True):
        assert shapely.hausdorff_distance(found, wanted) < 0.01
        assert row.area_m2 == pytest.approx(wanted.area, rel=1e-3)
        assert row.perim_m == pytest.approx(wanted.length, rel=1e-3)
        assert row.vertices == len(shapely.get_coordinates(wanted)) - 1 - len(wanted.interiors)
    assert [shapely.is_ccw(polygon.exterior) for polygon in frame.geometry] == [True] * 3
    assert sorted(len(polygon.interiors) for polygon in frame.geometry) == [0, 0, 1]


def test_disc_has_its_area(in_pixels):
    disc = in_pixels[np.argmax(shapely.get_num_interior_rings(in_pixels))]
    assert disc.area == pytest.approx(np.pi * (53**2 - 17**2), rel=1e-3)


def test_wide_rasters_are_measured_close_by(tmp_path):
    # Six degrees wide: one frame for all would be wrong by a thousandth at the ends.
    array = np.zeros((40, 6000), np.uint8)
    for column in (5, 3000, 5975):
        array[10:30, column : column + 20] = 1
    path = tmp_path / "wide.tif"
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=40,
        width=6000,
        count=1,
        dtype="uint8",
        crs="EPSG:4326",
        transform=Affine(0.001, 0, LONGITUDE, 0, -0.001, LATITUDE),
    ) as dataset:
        dataset.write(array, 1)
    area = polygonize_raster(str(path)).area_m2
    assert len(area) == 3
    assert area.max() / area.min() - 1 < 1e-5
