"""Polygons of several classes: each where it is the most probable, with boundaries in common."""

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from contact_scenes import in_pixels, write_planes
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from building_segmenter import tasks
from building_segmenter.errors import InputUnreadableError
from building_segmenter.footprints.contours.classes import class_segments
from building_segmenter.footprints.contours.nesting import nested
from building_segmenter.footprints.contours.rings import contour_rings
from building_segmenter.footprints.polygonize import polygonize_mask, polygonize_raster, trace_raster
from building_segmenter.footprints.tracing import TraceRule
from building_segmenter.progress import Progress

COLUMNS = ["class", "class_name", "score", "area_m2", "perim_m", "vertices", "geometry"]


def write_classes(path, planes, values=(1, 2, 5), names=("building", "road", "tree"), **profile):
    write_planes(path, planes, names=names, **profile)
    with rasterio.open(path, "r+") as dataset:
        for band, (value, name) in enumerate(zip(values, names, strict=True), start=1):
            dataset.update_tags(band, CLASS_VALUE=str(value))
            dataset.set_band_description(band, name)
    return str(path)


def three_fields(shape=(60, 90)):
    """A building (left), a road (right) and a tree (a disc over both), on no background but along the top."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]] + 0.5
    disc = np.hypot(x - 45, y - 35) < 15
    winner = np.where(disc, 3, np.where(x < 45, 1, 2))
    winner[:10] = 0
    hot = np.stack([winner == k for k in (1, 2, 3)]).astype(float)
    return np.stack([gaussian_filter(plane, 1.0) for plane in hot])


def traced(planes, bands=7):
    """Return the polygons of each plane, in pixels, the field cut into bands of some rows."""
    parts = [planes[:, top : top + bands] for top in range(0, planes.shape[1], bands)]
    areas = []
    for number in range(len(planes)):
        rings = contour_rings(parts, planes.shape[1:], class_segments(number))
        areas.append(np.concatenate([one.polygons for one in nested(rings, in_square_pixels, 0.0, 0.0)]))
    return areas


def in_square_pixels(rings):
    points = np.split(rings.points, rings.starts[1:])
    made = [shapely.Polygon(ring) for ring in points if len(ring)]
    return shapely.area(np.array(made, object)), shapely.length(np.array(made, object))


def check_partition(planes, areas):
    """The classes fill the raster without gaps and overlaps, and hold the pixels that they win."""
    polygons = np.concatenate(areas)
    assert shapely.is_valid(polygons).all()
    assert shapely.area(polygons).sum() == pytest.approx(planes.shape[1] * planes.shape[2], rel=1e-9)
    assert shapely.area(shapely.union_all(polygons)) == pytest.approx(planes.shape[1] * planes.shape[2], rel=1e-9)
    winner = planes.argmax(axis=0)
    y, x = np.mgrid[0 : planes.shape[1], 0 : planes.shape[2]] + 0.5
    for number, own in enumerate(areas):
        held = shapely.contains_xy(shapely.union_all(own), x, y) if len(own) else np.zeros(x.shape, bool)
        assert (held == (winner == number)).all()


def test_boundaries_are_common_and_sub_pixel(tmp_path):
    layer = polygonize_raster(write_classes(tmp_path / "p.tif", three_fields()))
    assert list(layer.columns) == COLUMNS
    assert list(zip(layer["class"], layer["class_name"], strict=True)) == [(1, "building"), (2, "road"), (5, "tree")]
    polygons = in_pixels(layer)
    assert shapely.coverage_is_valid(polygons)
    building, road, tree = polygons
    assert tree.area == pytest.approx(np.pi * 15**2, rel=0.02)
    assert building.intersection(road).length == pytest.approx(10 + 10, abs=1.5)
    # The straight boundary lies between the pixels 44 and 45.
    assert shapely.intersection(building, road).bounds[::2] == pytest.approx((45, 45), abs=0.02)
    assert layer.score.between(80, 100).all()
    assert layer.area_m2.sum() == pytest.approx(50 * 90 * 0.15**2, rel=0.02)


kinds = st.sampled_from(["noise", "smooth", "hard", "ties"])


@settings(max_examples=60)
@given(seed=st.integers(0, 10_000), kind=kinds, height=st.integers(2, 14), width=st.integers(2, 14))
def test_any_field_is_parted_without_gaps_and_overlaps(seed, kind, height, width):
    rng = np.random.default_rng(seed)
    planes = rng.random((4, height, width)).astype(np.float32)
    if kind == "smooth":
        planes = np.stack([gaussian_filter(plane, 1.2) for plane in planes])
    elif kind == "hard":
        planes = (planes == planes.max(axis=0)).astype(np.float32)
    elif kind == "ties":
        planes = np.round(planes * 2) / 2
    areas = traced(planes, bands=int(rng.integers(1, 8)))
    check_partition(planes, areas)
    again = traced(planes, bands=height)
    for some, others in zip(areas, again, strict=True):
        assert shapely.to_wkb(some).tolist() == shapely.to_wkb(others).tolist()


def test_nodata_belongs_to_no_class(tmp_path):
    valid = np.ones((60, 90), bool)
    valid[30:, :20] = False
    layer = polygonize_raster(write_classes(tmp_path / "p.tif", three_fields(), valid=valid))
    hole = shapely.box(1, 31, 19, 60)
    assert shapely.union_all(in_pixels(layer)).intersection(hole).area == 0
    assert shapely.coverage_is_valid(in_pixels(layer))


def test_small_polygons_go_and_nothing_overlaps(tmp_path):
    rng = np.random.default_rng(4)
    planes = np.stack([gaussian_filter(plane, 1.0) for plane in rng.random((4, 80, 80))])
    planes = planes[1:] / planes.sum(axis=0)
    path = write_classes(tmp_path / "p.tif", planes)
    layer = polygonize_raster(path, TraceRule(min_area=0.5, min_hole_area=4.0))
    assert 3 < len(layer) < len(polygonize_raster(path, TraceRule(min_area=0.0)))
    assert layer.area_m2.min() >= 0.5
    polygons = in_pixels(layer)
    assert shapely.area(polygons).sum() == pytest.approx(shapely.union_all(polygons).area, rel=1e-9)


def test_a_band_that_is_named_is_traced_by_its_threshold(tmp_path):
    path = write_classes(tmp_path / "p.tif", three_fields())
    layer = polygonize_raster(path, TraceRule(band=3, threshold=0.9))
    assert "class" not in layer
    assert in_pixels(layer)[0].area < np.pi * 15**2
    assert not trace_raster(path).is_parted


@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".parquet"])
def test_the_task_writes_class_fields(tmp_path, suffix):
    path = write_classes(tmp_path / "p.tif", three_fields(), names=("Gebäude", "Weg", "Baum"))
    output = tmp_path / f"classes{suffix}"
    result = polygonize_mask(tasks.PolygonizeMask(input=path, output=str(output)), Progress())
    assert result["features"] == 3
    layer = geopandas.read_parquet(output) if suffix == ".parquet" else geopandas.read_file(output)
    assert layer["class"].tolist() == [1, 2, 5]
    assert layer["class_name"].tolist() == ["Gebäude", "Weg", "Baum"]


def test_no_polygon_has_the_same_columns(tmp_path):
    path = write_classes(tmp_path / "p.tif", np.zeros((3, 20, 20)))
    layer = polygonize_raster(path)
    assert (len(layer), list(layer.columns)) == (0, COLUMNS)


def test_a_value_that_is_no_number(tmp_path):
    path = write_classes(tmp_path / "p.tif", three_fields(), values=("1", "two", "5"))
    with pytest.raises(InputUnreadableError, match="CLASS_VALUE=two"):
        polygonize_raster(path)
