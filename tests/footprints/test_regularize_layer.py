"""Whole layers: any CRS, what goes through unchanged, the fields that are added, and the file that comes out."""

import math
import threading

import geopandas
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from pyproj import Transformer
from shapely.affinity import rotate, translate

from building_segmenter import tasks
from building_segmenter.errors import CancelledError, MissingCrsError
from building_segmenter.footprints.layer import regularize_layer
from building_segmenter.footprints.orientation import Orientation
from building_segmenter.footprints.regularize import REASONS, Settings, regularize_polygons
from building_segmenter.footprints.streaming import Run, regularize_footprints
from building_segmenter.geo.ground import local_frame, scaled_frame
from building_segmenter.geo.strips import ground_of
from building_segmenter.geo.vectors import joined, open_polygons
from building_segmenter.progress import Progress, SilentSink

LON, LAT = -84.4, 33.7
UTM = "EPSG:32616"
ADDED = ["area_m2", "perim_m", "vertices", "status", "reason", "method", "angle_deg", "max_dev_m", "iou"]
EAST, NORTH = 741_000.0, 3_731_000.0


def house(east=0.0, north=0.0, angle=20.0, seed=1):
    """A house of 12 x 8 m in UTM, with corners up to 0.2 m off."""
    corners = np.array([(0, 0), (12, 0), (12, 8), (0, 8)], float)
    ring = corners + np.random.default_rng(seed).uniform(-0.2, 0.2, corners.shape)
    return translate(rotate(shapely.Polygon(ring), angle), EAST + east, NORTH + north)


def hut(east=0.0):
    """A circle, which has no outline of right angles within a few centimetres."""
    return shapely.Point(EAST + east, NORTH + 100).buffer(30, quad_segs=32)


def layer(geometries, crs=UTM, **fields):
    return geopandas.GeoDataFrame(fields, geometry=geometries, crs=crs)


def ground_frame():
    return local_frame("EPSG:4326", (LON, LAT, LON, LAT))


def drawn_town():
    """Houses, Ls, one with a yard, one of two parts, at all angles within a kilometre, in ground metres."""
    random = np.random.default_rng(3)
    ell = np.array([(0, 0), (20, 0), (20, 8), (9, 8), (9, 18), (0, 18)], float)
    box = np.array([(0, 0), (14, 0), (14, 9), (0, 9)], float)
    town = []
    for k in range(24):
        ring = ell if k % 2 else box
        body = shapely.Polygon(ring + random.uniform(-0.25, 0.25, ring.shape))
        town.append(translate(rotate(body, random.uniform(0, 90)), *random.uniform(-500, 500, 2)))
    yard = shapely.box(0, 0, 30, 25).difference(rotate(shapely.box(9, 8, 20, 16), 1))
    town.append(translate(rotate(yard, 33), 700, 0))
    town.append(shapely.MultiPolygon([translate(town[0], 800, 0), translate(town[1], 900, 0)]))
    return town


@pytest.fixture(scope="module")
def town_on_the_ground():
    """The town and its regularized footprints in ground metres."""
    town = geopandas.GeoDataFrame(geometry=drawn_town())
    found = regularize_layer(town, ground=scaled_frame(1.0))
    assert list(found["status"]) == [0] * len(town)
    return town, found


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857", UTM, "EPSG:2240"])
def test_same_footprints_on_the_ground_to_a_centimetre(town_on_the_ground, crs):
    town, wanted = town_on_the_ground
    frame = ground_frame()
    degrees = geopandas.GeoSeries(frame.geometry_to_layer(town.geometry.to_numpy()), crs="EPSG:4326")
    found = regularize_layer(geopandas.GeoDataFrame(geometry=degrees.to_crs(crs)))
    assert found.crs == crs
    assert list(found["status"]) == [0] * len(town)
    ground = frame.geometry_to_ground(found.geometry.to_crs("EPSG:4326").to_numpy())
    for one, other in zip(ground, wanted.geometry, strict=True):
        assert shapely.hausdorff_distance(one, other) < 0.01
    np.testing.assert_allclose(found["area_m2"], wanted["area_m2"], rtol=1e-4)
    np.testing.assert_allclose(found["perim_m"], wanted["perim_m"], rtol=1e-4)
    np.testing.assert_allclose(found["max_dev_m"], wanted["max_dev_m"], atol=0.01)
    np.testing.assert_allclose(found["iou"], wanted["iou"], atol=1e-3)
    assert list(found["vertices"]) == list(wanted["vertices"])


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857", "EPSG:2240"])
def test_angles_are_right_on_the_ground_not_in_the_layer(town_on_the_ground, crs):
    degrees = geopandas.GeoSeries(ground_frame().geometry_to_layer(town_on_the_ground[0].geometry), crs="EPSG:4326")
    found = regularize_layer(geopandas.GeoDataFrame(geometry=degrees.to_crs(crs)))
    in_layer = max(crookedness(part) for part in found.geometry.explode())
    ground = ground_frame().geometry_to_ground(found.geometry.to_crs("EPSG:4326").to_numpy())
    assert max(crookedness(part) for part in geopandas.GeoSeries(ground).explode()) < 0.01
    if crs != "EPSG:2240":
        # The test would see it: web-mercator and degrees bend right angles.
        assert in_layer > 0.1


def crookedness(polygon):
    """Return the largest difference of an angle from a right angle, in degrees."""
    worst = 0.0
    for ring in (polygon.exterior, *polygon.interiors):
        sides = np.diff(np.array(ring.coords)[:, :2], axis=0)
        ways = np.degrees(np.arctan2(sides[:, 1], sides[:, 0]))
        worst = max(worst, np.abs((ways - np.roll(ways, 1) + 45) % 90 - 45).max())
    return worst


def test_attributes_order_index_crs_and_parts_survive():
    parts = shapely.MultiPolygon([house(), house(40, seed=2)])
    frame = layer(
        [house(100, seed=3), parts, hut()],
        name=["Schüle", None, "hut"],
        floors=pd.array([3, None, 1], dtype="Int64"),
        built=pd.to_datetime(["1990-01-02", "2001-03-04", None]),
    ).set_index(pd.Index([7, 3, 11], name="key"))
    before = frame.copy(deep=True)
    found = regularize_layer(frame, Settings(tolerance=0.25))
    pd.testing.assert_frame_equal(frame, before)
    pd.testing.assert_frame_equal(
        pd.DataFrame(found[["name", "floors", "built"]]), pd.DataFrame(frame[["name", "floors", "built"]])
    )
    assert list(found.index) == [7, 3, 11] and found.index.name == "key"
    assert found.crs == frame.crs
    assert list(found.geom_type) == ["Polygon", "MultiPolygon", "Polygon"]
    assert list(found["status"]) == [0, 0, 1]


def test_columns_and_types():
    found = regularize_layer(layer([house(), hut(), None], name=["a", "b", "c"]), Settings(tolerance=0.1))
    assert list(found.columns) == ["name", "geometry", *ADDED]
    kinds = {name: found[name].dtype for name in ADDED}
    assert kinds["vertices"] == kinds["status"] == np.int32
    assert all(kinds[name] == np.float64 for name in ("area_m2", "perim_m", "angle_deg", "max_dev_m", "iou"))
    assert list(found["reason"]) == ["", "not-rectilinear", "empty"]
    assert list(found["method"]) == ["right-angles", "", ""]
    assert all(len(name) <= 10 for name in ADDED) and set(found["reason"][1:]) <= set(REASONS)
    assert list(found["vertices"]) == [4, 128, 0]
    assert found["area_m2"][0] == pytest.approx(96, rel=0.1) and found["perim_m"][0] == pytest.approx(40, rel=0.1)
    # Of what is kept, the ground area and length are told too; there is nothing to compare.
    assert found["area_m2"][1] == pytest.approx(math.pi * 30**2, rel=0.01)
    assert found.loc[1:, ["angle_deg", "max_dev_m", "iou"]].isna().all(axis=None)
    assert math.isnan(found["area_m2"][2])


def test_another_name_of_the_geometry_column_stays():
    frame = layer([house()]).rename_geometry("outline")
    found = regularize_layer(frame)
    assert found.geometry.name == "outline" and found["status"][0] == 0


def test_what_is_no_outline_goes_through():
    bow_tie = translate(shapely.Polygon([(0, 0), (10, 10), (10, 0), (0, 10)]), EAST, NORTH)
    broken = shapely.Polygon([(EAST, NORTH), (EAST + 9, math.nan), (EAST + 9, NORTH + 9)])
    rows = [None, house(), shapely.Polygon(), bow_tie, broken, shapely.MultiPolygon()]
    found = regularize_layer(layer(rows))
    assert list(found["reason"]) == ["empty", "", "empty", "invalid", "not-finite", "empty"]
    assert found.geometry[0] is None
    for k in (2, 3, 5):
        assert found.geometry[k].equals_exact(rows[k], 0)
    assert shapely.to_wkb(found.geometry[4]) == shapely.to_wkb(broken)


@pytest.mark.parametrize("empty", [layer([]), layer([], name=[]), layer([None, None])])
def test_a_layer_of_nothing(empty):
    found = regularize_layer(empty)
    assert len(found) == len(empty)
    assert set(ADDED) <= set(found.columns)
    assert found["vertices"].dtype == np.int32 and found["iou"].dtype == np.float64
    assert (found["status"] == 1).all()


def test_a_constant_height_stays():
    found = regularize_layer(layer([shapely.force_3d(house(), 231.5)])).geometry[0]
    assert found.has_z
    assert set(shapely.get_coordinates(found, include_z=True)[:, 2]) == {231.5}


def test_corners_take_the_height_of_the_nearest_old_one():
    flat = house()
    heights = dict(zip(map(tuple, flat.exterior.coords), [1.0, 2.0, 3.0, 4.0, 1.0], strict=True))
    sloped = shapely.Polygon([(*corner, heights[corner]) for corner in flat.exterior.coords])
    found = regularize_layer(layer([sloped], crs=UTM))
    assert found["status"][0] == 0
    for x, y, z in found.geometry[0].exterior.coords:
        nearest = min(heights, key=lambda corner: math.dist(corner, (x, y)))
        assert z == heights[nearest]


def test_plane_polygons_get_no_height():
    found = regularize_layer(layer([house(), shapely.force_3d(house(30, seed=2), 5.0)]))
    assert list(found.has_z) == [False, True]


def test_fields_of_the_users_with_our_names_are_kept_as_name_1():
    frame = layer([house()], status=["listed"], Reason=["tax"], score=[70], iou_1=["x"], iou=[0.5])
    found = regularize_layer(frame)
    assert found["status_1"][0] == "listed" and found["Reason_1"][0] == "tax" and found["iou_2"][0] == 0.5
    assert found["iou_1"][0] == "x" and found["score"][0] == 70
    assert found["status"][0] == 0 and found["reason"][0] == ""
    assert len({name.lower() for name in found.columns}) == len(found.columns)


def test_running_again_replaces_our_fields():
    once = regularize_layer(layer([house()], name=["a"]))
    twice = regularize_layer(once)
    assert sorted(twice.columns) == sorted(once.columns)
    assert shapely.hausdorff_distance(twice.geometry[0], once.geometry[0]) < 1e-6


def test_the_index_may_repeat():
    found = regularize_layer(
        layer([house(), hut(), house(50, seed=5)]).set_index(pd.Index([1, 1, 2])), Settings(tolerance=0.5)
    )
    assert list(found.index) == [1, 1, 2]
    assert found["iou"].notna().tolist() == [status == 0 for status in found["status"]]


def test_a_layer_without_crs_is_an_error_with_a_hint():
    with pytest.raises(MissingCrsError) as raised:
        regularize_layer(layer([house()], crs=None))
    assert raised.value.hint


def test_features_on_two_continents():
    here = geopandas.GeoSeries([house()], crs=UTM).to_crs("EPSG:4326")[0]
    there = translate(here, 120.0, -60.0)
    found = regularize_layer(layer([here, there, here], crs="EPSG:4326"))
    assert list(found["status"]) == [0, 0, 0]
    assert shapely.hausdorff_distance(found.geometry[0], found.geometry[2]) < 1e-9
    lon, lat = there.centroid.coords[0]
    ground = local_frame("EPSG:4326", (lon, lat, lon, lat)).geometry_to_ground(found.geometry[1])
    assert crookedness(ground) < 0.01
    assert ground.area == pytest.approx(found["area_m2"][1], rel=1e-6)


def test_a_feature_where_the_crs_is_not_defined_is_let_through():
    lost = translate(house(), 1e9, 1e9)
    frame = layer([geopandas.GeoSeries([house()], crs=UTM).to_crs(4326)[0], shapely.box(0, 500, 1, 501)], crs=4326)
    found = regularize_layer(frame)
    assert list(found["reason"]) == ["", "outside-crs"]
    assert found.geometry[1].equals(frame.geometry[1])
    assert regularize_layer(layer([house(), lost]))["reason"][0] == ""


def run(source, output, **options):
    return regularize_footprints(tasks.RegularizeFootprints(str(source), str(output), **options), Progress())


def test_the_task_writes_a_layer_and_counts(tmp_path):
    layer([house(), hut(), house(50, seed=2)], name=["a", "b", "c"]).to_file(tmp_path / "in.gpkg")
    sink = SilentSink()
    options = tasks.RegularizeFootprints(str(tmp_path / "in.gpkg"), str(tmp_path / "out.gpkg"), tolerance=0.4)
    found = regularize_footprints(options, Progress(sink))
    written = pyogrio.read_dataframe(tmp_path / "out.gpkg")
    assert list(written["name"]) == ["a", "b", "c"]
    assert set(ADDED) <= set(written.columns)
    assert found["features"] == 3 and found["regularized"] == int((written["status"] == 0).sum())
    assert found["kept"] == sum(found["reasons"].values()) == 3 - found["regularized"]
    assert written["iou"].isna().tolist() == (written["status"] == 1).tolist()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.gpkg", "out.gpkg"]


@pytest.mark.parametrize("name", ["out.shp", "out.geojson", "out.fgb", "out.parquet"])
def test_other_formats_hold_the_fields(tmp_path, name):
    layer([house(), house(50, seed=2)], name=["a", "b"]).to_file(tmp_path / "in.gpkg")
    run(tmp_path / "in.gpkg", tmp_path / name)
    read = geopandas.read_parquet if name.endswith("parquet") else pyogrio.read_dataframe
    assert set(ADDED) <= set(read(tmp_path / name).columns)


def test_feature_ids_of_a_geopackage_are_kept(tmp_path):
    pyogrio.write_dataframe(layer([house(), house(50, seed=2)], fid=[5, 42], name=["a", "b"]), tmp_path / "in.gpkg")
    run(tmp_path / "in.gpkg", tmp_path / "out.gpkg")
    written = pyogrio.read_dataframe(tmp_path / "out.gpkg", fid_as_index=True)
    assert list(written.index) == [5, 42] and list(written["name"]) == ["a", "b"]
    assert "fid" not in written.columns and "fid_1" not in written.columns


@pytest.mark.parametrize("field", ["fid", "FID"])
def test_a_unique_field_fid_becomes_the_key(tmp_path, field):
    layer([house(), house(50, seed=2)], **{field: [17, 4]}, name=["a", "b"]).to_file(tmp_path / "in.shp")
    run(tmp_path / "in.shp", tmp_path / "out.gpkg")
    written = pyogrio.read_dataframe(tmp_path / "out.gpkg", fid_as_index=True)
    assert dict(zip(written["name"], written.index, strict=True)) == {"a": 17, "b": 4}
    assert "fid_1" not in written.columns


@pytest.mark.parametrize("values", [[3, 3], ["x", "y"], [0.5, 1.5], [-1, 2]])
def test_a_field_fid_that_cannot_be_the_key_is_kept_as_fid_1(tmp_path, values):
    layer([house(), house(50, seed=2)], fid=values).to_file(tmp_path / "in.fgb", driver="FlatGeobuf")
    run(tmp_path / "in.fgb", tmp_path / "out.gpkg")
    written = pyogrio.read_dataframe(tmp_path / "out.gpkg").sort_values("fid_1")
    assert list(written["fid_1"]) == sorted(values)


def test_null_and_empty_rows_of_a_file_stay_in_place(tmp_path):
    layer([house(), None, house(50, seed=2), shapely.Polygon()], name=list("abcd")).to_file(tmp_path / "in.gpkg")
    found = run(tmp_path / "in.gpkg", tmp_path / "out.gpkg")
    written = pyogrio.read_dataframe(tmp_path / "out.gpkg")
    assert found["reasons"] == {"empty": 2}
    assert list(written["name"]) == list("abcd") and list(written["status"]) == [0, 1, 0, 1]


def test_a_file_without_features_gives_one_without_features(tmp_path):
    pyogrio.write_dataframe(layer([], name=pd.Series([], dtype=str)), tmp_path / "in.gpkg", geometry_type="Polygon")
    found = run(tmp_path / "in.gpkg", tmp_path / "out.gpkg")
    assert found["features"] == found["kept"] == 0
    written = pyogrio.read_dataframe(tmp_path / "out.gpkg")
    assert len(written) == 0 and {"name", *ADDED} <= set(written.columns) and written.crs == UTM


def test_a_file_without_crs_is_an_error_and_writes_nothing(tmp_path):
    layer([house()], crs=None).to_file(tmp_path / "in.shp")
    with pytest.raises(MissingCrsError) as raised:
        run(tmp_path / "in.shp", tmp_path / "out.gpkg")
    assert raised.value.hint and "in.shp" in raised.value.message
    assert not (tmp_path / "out.gpkg").exists()


class CancelAt(SilentSink):
    """Cancels when the task has come so far."""

    def __init__(self, fraction, cancelled):
        super().__init__()
        self.fraction, self.cancelled = fraction, cancelled

    def progress(self, fraction, stage, eta_s):
        if fraction >= self.fraction:
            self.cancelled.set()


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5, 0.9])
def test_cancel_ends_the_task_without_an_output(tmp_path, fraction):
    layer([house(15 * k, seed=k) for k in range(1600)]).to_file(tmp_path / "in.gpkg")
    cancelled = threading.Event()
    options = tasks.RegularizeFootprints(str(tmp_path / "in.gpkg"), str(tmp_path / "out.gpkg"))
    with pytest.raises(CancelledError):
        regularize_footprints(options, Progress(CancelAt(fraction, cancelled), cancelled))
    assert [path.name for path in tmp_path.iterdir()] == ["in.gpkg"]


def test_a_task_cancelled_before_it_begins_does_nothing(tmp_path):
    cancelled = threading.Event()
    cancelled.set()
    options = tasks.RegularizeFootprints(str(tmp_path / "in.gpkg"), str(tmp_path / "out.gpkg"))
    with pytest.raises(CancelledError):
        regularize_footprints(options, Progress(cancelled=cancelled))
    assert list(tmp_path.iterdir()) == []


def test_features_that_touch_are_handed_over_together_and_in_one_plane(tmp_path):
    """Rows of houses strewn over a file, one row across the border of two strips: groups are whole, order stays."""
    rows = [(row, k) for row in range(40) for k in range(5)]
    border = Transformer.from_crs("EPSG:4326", UTM, always_xy=True).transform(-84.35, 33.7)
    houses = {
        (row, k): shapely.box(
            border[0] - 30 + 12 * k, border[1] + 40 * row, border[0] - 18 + 12 * k, border[1] + 40 * row + 9
        )
        for row, k in rows
    }
    order = np.random.default_rng(2).permutation(len(rows))
    names = [rows[k] for k in order]
    layer([houses[name] for name in names], row=[row for row, _ in names]).to_file(tmp_path / "in.gpkg")
    seen = []

    def together(plane, settings, progress, offered):
        seen.append(plane)
        return regularize_polygons(plane, settings, progress, offered)

    source = open_polygons(str(tmp_path / "in.gpkg"))
    run = Run(source, ground_of(source.crs), Settings(), Orientation(), "out.shp", together)
    made = joined(list(run.results(source.batches(16), Progress())))
    assert made.fields["row"].to_pylist() == [row for row, _ in names]
    assert [shape.distance(houses[name]) for shape, name in zip(made.geometry, names, strict=True)] == [0] * len(names)
    for plane in seen:
        joints = sum(len(shapely.STRtree(plane).query(shape, predicate="dwithin", distance=1e-6)) for shape in plane)
        assert joints == len(plane) // 5 * 13, "a row was cut, or lies in two planes"
