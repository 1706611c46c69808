"""The demo's accuracy on cases that can be counted by hand."""

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from rasterio.transform import from_origin
from shapely import box

from demo.accuracy import mask_iou, measure

WEST, NORTH = 500000.0, 40000.0


@pytest.fixture
def files(tmp_path):
    """An empty raster of 100 x 100 px of 1 m, and a way to write layers in its pixels."""
    raster = tmp_path / "image.tif"
    profile = {"driver": "GTiff", "width": 100, "height": 100, "count": 1, "dtype": "uint8", "crs": "EPSG:32636"}
    with rasterio.open(raster, "w", transform=from_origin(WEST, NORTH, 1, 1), **profile) as target:
        target.write(np.ones((1, 100, 100), np.uint8))

    def layer(name, polygons, crs="EPSG:32636"):
        moved = [shapely.transform(p, lambda xy: xy * (1, -1) + (WEST, NORTH)) for p in polygons]
        frame = geopandas.GeoDataFrame(geometry=moved, crs="EPSG:32636").to_crs(crs)
        frame.to_file(tmp_path / f"{name}.gpkg")
        return tmp_path / f"{name}.gpkg"

    return raster, layer


def counts(result):
    matches = result.objects.matches
    return matches.predicted_count, matches.reference_count, len(matches)


def corners(result):
    return result.objects.predicted_corners, result.objects.reference_corners


def test_the_truth_itself_is_perfect(files):
    raster, layer = files
    truth = layer("truth", [box(10, 10, 30, 20), box(50, 50, 60, 60)])
    result = measure(raster, truth, truth)
    matches = result.objects.matches
    assert (result.pixel_iou, matches.precision, matches.recall, matches.f1) == (1, 1, 1, 1)
    assert corners(result) == (4, 4)


def test_counts_and_areas_by_hand(files):
    raster, layer = files
    truth = layer("truth", [box(0, 0, 10, 10), box(20, 0, 30, 10), box(40, 0, 50, 10)])
    bent = shapely.Polygon([(20, 0), (30, 0), (30, 8), (25, 8), (25, 10), (20, 10)])
    found = layer("found", [box(0, 0, 10, 10), bent, box(44, 0, 60, 10), box(70, 70, 80, 80)])
    result = measure(raster, found, truth)
    # Shared 100 + 90 + 60 of 100 + 100 + 200 + 100; the third pair has an IoU of 60 / 200.
    assert result.pixel_iou == pytest.approx(250 / 500)
    matches = result.objects.matches
    assert counts(result) == (4, 3, 2)
    assert matches.precision == pytest.approx(2 / 4)
    assert matches.recall == pytest.approx(2 / 3)
    assert matches.f1 == pytest.approx(4 / 7)
    assert corners(result) == (5, 4)


def test_a_building_on_the_edge_counts_by_what_shows_but_not_for_corners(files):
    raster, layer = files
    truth = layer("truth", [box(-10, 40, 10, 50), box(60, 60, 70, 70), box(-9, 0, 1, 2), box(200, 200, 210, 210)])
    notched = shapely.Polygon([(0, 40), (10, 40), (10, 49), (9, 49), (9, 50), (0, 50)])
    found = layer("found", [notched, box(60, 60, 70, 70)])
    result = measure(raster, found, truth, min_area_m2=4.0)
    assert counts(result) == (2, 2, 2)
    assert corners(result) == (4, 4)


def test_layers_in_another_crs_are_moved(files):
    raster, layer = files
    polygons = [box(10, 10, 30, 20), box(50, 50, 60, 60)]
    result = measure(raster, layer("found", polygons), layer("truth", polygons, "EPSG:4326"))
    assert counts(result) == (2, 2, 2)
    assert result.pixel_iou == pytest.approx(1, abs=0.01)


def test_nothing_found_is_no_error(files):
    raster, layer = files
    empty = geopandas.GeoDataFrame({"score": np.zeros(0)}, geometry=[], crs="EPSG:32636")
    path = raster.parent / "none.gpkg"
    empty.to_file(path, geometry_type="Polygon")
    result = measure(raster, path, layer("truth", [box(0, 0, 10, 10)]))
    matches = result.objects.matches
    assert (result.pixel_iou, matches.precision, matches.recall, matches.f1) == (0, 0, 0, 0)
    assert np.isnan(corners(result)[0])


def test_masks():
    one, two = np.array([1, 1, 0, 0], bool), np.array([0, 1, 1, 0], bool)
    assert mask_iou(one, two) == pytest.approx(1 / 3)
    assert mask_iou(one & False, two & False) == 1
