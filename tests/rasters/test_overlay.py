import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer

from building_segmenter.errors import NoDataError
from building_segmenter.rasters.grid import model_grid
from building_segmenter.rasters.overlay import lay_over
from building_segmenter.rasters.reprojection import moved_to, wrapped_onto


@pytest.fixture
def grid_of(tmp_path):
    def make(transform, width, height, crs):
        path = tmp_path / "raster.tif"
        profile = {"width": width, "height": height, "count": 1, "dtype": "uint8", "sparse_ok": True}
        with rasterio.open(path, "w", driver="GTiff", crs=crs, transform=transform, **profile):
            pass
        with rasterio.open(path) as dataset:
            return model_grid(dataset, (0.1, 0.1), None, 512)

    return make


def layer(polygons, crs):
    return geopandas.GeoDataFrame({"n": range(len(polygons))}, geometry=list(polygons), crs=crs)


def in_pixels(grid, polygon):
    return shapely.transform(polygon, lambda x, y: ~grid.transform @ (x, y), interleaved=False)


@given(st.floats(-60, 60), st.floats(-170, 170), st.floats(0.001, 0.3))
def test_long_edges_lie_where_they_were_drawn(latitude, longitude, size):
    zone = f"EPSG:{32600 + int((longitude + 180) // 6) + 1}" if latitude >= 0 else "EPSG:3857"
    pixel = 0.1
    drawn = shapely.box(longitude, latitude, longitude + size, latitude + size / 2)
    moved = moved_to(np.array([drawn]), "EPSG:4326", zone, Affine.scale(pixel, -pixel))[0]
    exact = shapely.segmentize(drawn, size / 500)
    to_zone = Transformer.from_crs("EPSG:4326", zone, always_xy=True)
    points = shapely.points(*to_zone.transform(*shapely.get_coordinates(exact).T))
    assert shapely.distance(shapely.boundary(moved), points).max() < 0.1 * pixel


def test_short_edges_get_no_points():
    house = shapely.box(-84.4, 33.7, -84.3999, 33.7001)
    moved = moved_to(np.array([house]), "EPSG:4326", "EPSG:32616", Affine.scale(0.1, -0.1))[0]
    assert shapely.get_num_coordinates(moved) == 5


EAST = shapely.box(179.9990, 10.0, 179.9995, 10.0005)
WEST = shapely.box(-179.9995, 10.0, -179.9990, 10.0005)
ACROSS = shapely.box(179.9998, 10.0, 180.0002, 10.0005)
SPLIT = shapely.MultiPolygon([shapely.box(179.9998, 10, 180, 10.0005), shapely.box(-180, 10, -179.9998, 10.0005)])
UNSPLIT = shapely.Polygon([(179.9998, 10), (-179.9998, 10), (-179.9998, 10.0005), (179.9998, 10.0005)])


@pytest.mark.parametrize(
    ("transform", "crs"),
    [
        (Affine(1e-5, 0, 179.998, 0, -1e-5, 10.001), "EPSG:4326"),
        (Affine(1e-5, 0, -180.002, 0, -1e-5, 10.001), "EPSG:4326"),
        (Affine(1, 0, 20037508.34 - 200, 0, -1, 1118889.97 + 150), "EPSG:3857"),
        (Affine(1, 0, -20037508.34 - 200, 0, -1, 1118889.97 + 150), "EPSG:3857"),
        (Affine(1, 0, 828728, 0, -1, 1107100), "EPSG:32660"),
    ],
)
def test_a_raster_across_the_antimeridian(grid_of, transform, crs):
    grid = grid_of(transform, 400, 300, crs)
    laid, _ = lay_over(layer([EAST, WEST, ACROSS, SPLIT, UNSPLIT], "EPSG:4326"), grid, "footprints")
    assert laid.rows.tolist() == [0, 1, 2, 3, 4]
    east, west, across, split, unsplit = laid.geometries
    columns = [shapely.bounds(polygon)[[0, 2]] for polygon in (east, across, west)]
    assert columns[0][1] < columns[1][0] < columns[1][1] < columns[2][0]
    for same in (split, unsplit):
        assert shapely.symmetric_difference(across, same).area < 1e-3 * across.area
    unit = across.area / shapely.area(ACROSS)
    assert east.area / shapely.area(EAST) == pytest.approx(unit, rel=1e-3)


def test_an_area_of_the_whole_world_stays_whole():
    world = shapely.box(-180, -90, 180, 90)
    for bounds in ((179.9, 10, 180.1, 11), (0, 10, 1, 11)):
        assert shapely.covers(wrapped_onto(np.array([world]), "EPSG:4326", bounds)[0], shapely.box(*bounds))


def test_what_lies_where_the_crs_ends_is_left_out(grid_of):
    grid = grid_of(Affine(1, 0, 741000, 0, -1, 3732000), 400, 300, "EPSG:32616")
    there = shapely.box(*grid.transform @ (10, 50), *grid.transform @ (50, 10))
    near = layer([there], "EPSG:32616").to_crs(4326).geometry[0]
    far = shapely.box(95.6, 0.0, 95.7, 0.1)
    laid, _ = lay_over(layer([far, near], "EPSG:4326"), grid, "footprints")
    assert laid.rows.tolist() == [1]
    assert shapely.symmetric_difference(laid.geometries[0], in_pixels(grid, there)).area < 0.1


@pytest.mark.parametrize("geometries", [[], [None, shapely.Polygon()]], ids=["no-features", "no-geometries"])
def test_a_layer_without_polygons_is_told(grid_of, geometries):
    grid = grid_of(Affine(1, 0, 741000, 0, -1, 3732000), 40, 30, "EPSG:32616")
    with pytest.raises(NoDataError, match=f"No polygon in the layer of footprints: {len(geometries)} features"):
        lay_over(layer(geometries, "EPSG:32616"), grid, "footprints")
