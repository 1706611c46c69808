"""Bad input through the whole task, on files: nothing crashes, no feature is dropped or moved to another place."""

import json
import math
import struct
from pathlib import Path

import geopandas
import numpy as np
import pyarrow as pa
import pyogrio
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shapely.affinity import rotate, translate

from building_segmenter import tasks
from building_segmenter.errors import InputUnreadableError
from building_segmenter.footprints.regularize import REASONS
from building_segmenter.footprints.streaming import regularize_footprints
from building_segmenter.progress import Progress

UTM = "EPSG:32616"
EAST, NORTH = 741_000.0, 3_731_000.0


def house(east=0.0, north=0.0, angle=20.0, seed=1):
    ring = np.array([(0, 0), (12, 0), (12, 8), (0, 8)], float)
    ring += np.random.default_rng(seed).uniform(-0.2, 0.2, ring.shape)
    return translate(rotate(shapely.Polygon(ring), angle), EAST + east, NORTH + north)


def ring_of(*points):
    return [(EAST + x, NORTH + y) for x, y in points]


HOUSE = house()
YARD = rotate(shapely.box(EAST, NORTH, EAST + 30, NORTH + 20).difference(HOUSE.buffer(-1)), 10)
BAD = {
    "null": None,
    "empty": shapely.Polygon(),
    "empty parts": shapely.MultiPolygon(),
    "a part empty": shapely.MultiPolygon([HOUSE, shapely.Polygon()]),
    "not a number": shapely.Polygon([*ring_of((0, 0), (9, 0)), (EAST + 9, math.nan)]),
    "infinite": shapely.Polygon([*ring_of((0, 0), (9, 0)), (math.inf, NORTH + 9)]),
    "line": shapely.Polygon(ring_of((0, 0), (9, 0), (0, 0))),
    "point": shapely.Polygon(ring_of((1, 1), (1, 1), (1, 1), (1, 1))),
    "repeated points": shapely.Polygon([point for point in HOUSE.exterior.coords for _ in range(3)]),
    "collinear points": shapely.segmentize(HOUSE, 0.05),
    "spike": shapely.Polygon(ring_of((0, 0), (12, 0), (12, 8), (6, 8), (6, 30), (6, 8), (0, 8))),
    "bow tie": shapely.Polygon(ring_of((0, 0), (10, 10), (10, 0), (0, 10))),
    "hole outside": shapely.Polygon(HOUSE.exterior, [ring_of((90, 0), (95, 0), (95, 5))]),
    "hole on the shell": shapely.Polygon(
        ring_of((0, 0), (20, 0), (20, 15), (0, 15)), [ring_of((0, 3), (8, 3), (8, 9))]
    ),
    "hole over all": shapely.Polygon(HOUSE.exterior, [HOUSE.exterior.coords]),
    "yard": YARD,
    "island in a yard": shapely.MultiPolygon([YARD, HOUSE.buffer(-3)]),
    "parts over each other": shapely.MultiPolygon([HOUSE, translate(HOUSE, 3, 2)]),
    "the same part twice": shapely.MultiPolygon([HOUSE, HOUSE]),
    "collection": shapely.GeometryCollection([HOUSE, shapely.Point(EAST, NORTH)]),
    "point feature": shapely.Point(EAST, NORTH),
    "tiny": translate(shapely.box(0, 0, 1e-4, 1e-4), EAST, NORTH),
    "sliver": translate(shapely.box(0, 0, 200, 0.01), EAST, NORTH),
    "smaller than the tolerance": translate(shapely.box(0, 0, 0.6, 0.4), EAST, NORTH),
    "far away": translate(HOUSE, 1e7, 0),
    "with heights": shapely.force_3d(HOUSE, 5.0),
    "heights that are no numbers": shapely.Polygon([(*point, math.nan) for point in HOUSE.exterior.coords]),
    "good": HOUSE,
}


def write(path, shapes, crs=UTM):
    wkb = [
        shape if shape is None or isinstance(shape, bytes) else shapely.to_wkb(shape, flavor="iso") for shape in shapes
    ]
    table = pa.table({"number": pa.array(range(len(shapes)), pa.int64()), "g": pa.array(wkb, pa.binary())})
    pyogrio.write_arrow(table, path, geometry_name="g", geometry_type="Unknown", crs=crs)
    return str(path)


def run(source, output, **options):
    found = regularize_footprints(tasks.RegularizeFootprints(str(source), str(output), **options), Progress())
    with pyogrio.open_arrow(output, use_pyarrow=True) as (meta, reader):
        table = reader.read_all()
    assert found["features"] == len(table) == found["regularized"] + found["kept"]
    assert set(table["reason"].to_pylist()) <= {"", *REASONS}
    return table, table[meta["geometry_name"] or "wkb_geometry"].to_pylist()


def check_kept(shapes, table, wkb):
    """What is kept is what it was, what is new is valid, and all is in its place."""
    assert table["number"].to_pylist() == list(range(len(shapes)))
    for shape, status, found in zip(shapes, table["status"].to_pylist(), wkb, strict=True):
        if status == 0:
            assert shapely.from_wkb(found).is_valid
        elif shape is None or shape.is_empty:
            assert found is None or shapely.from_wkb(found).is_empty
        else:
            np.testing.assert_array_equal(
                shapely.get_coordinates(shapely.from_wkb(found)), shapely.get_coordinates(shape)
            )


@pytest.mark.parametrize(
    ("ending", "tolerance"), [("gpkg", 0.05), ("gpkg", 1.0), ("gpkg", 50.0), ("geojson", 1.0), ("fgb", 1.0)]
)
def test_no_bad_feature_is_lost_or_moved(tmp_path, ending, tolerance):
    shapes = list(BAD.values())
    if ending == "geojson":
        # It has no words for these.
        shapes = [None if name in ("not a number", "infinite") else shape for name, shape in BAD.items()]
    source = write(tmp_path / f"in.{ending}", shapes) if ending == "gpkg" else write(tmp_path / "in.gpkg", shapes)
    table, wkb = run(source, tmp_path / f"out.{ending}", tolerance=tolerance)
    if ending == "gpkg":
        check_kept(shapes, table, wkb)
    assert table["number"].to_pylist() == list(range(len(shapes)))
    named = dict(zip(BAD, zip(table["status"].to_pylist(), table["reason"].to_pylist(), strict=True), strict=True))
    assert named["null"] == named["empty"] == named["empty parts"] == (1, "empty")
    assert named["collection"] == named["point feature"] == (1, "not-polygon")
    if tolerance == 1.0:
        assert named["good"] == named["repeated points"] == named["collinear points"] == (0, "")
        assert named["with heights"] == (0, "") and named["bow tie"] == (1, "invalid")


def test_one_method_after_the_other(tmp_path):
    source = write(tmp_path / "in.gpkg", list(BAD.values()))
    for method in tasks.options_of(tasks.RegularizeFootprints)["method"].choices:
        table, wkb = run(source, tmp_path / f"{method}.gpkg", method=method, neighbor_distance=30.0, directions="20")
        check_kept(list(BAD.values()), table, wkb)


def broken_ring(count):
    points = b"".join(struct.pack("<dd", EAST + k, NORTH) for k in range(count))
    return struct.pack("<BIII", 1, 3, 1, count) + points


def test_rings_of_one_or_two_points_are_kept(tmp_path):
    shapes = [broken_ring(1), HOUSE, broken_ring(2), broken_ring(3)]
    table, wkb = run(write(tmp_path / "in.gpkg", shapes), tmp_path / "out.gpkg")
    assert table["status"].to_pylist() == [1, 0, 1, 1]
    assert table["reason"].to_pylist()[:3] == ["invalid", "", "invalid"]
    # GDAL closes the ring of two.
    assert wkb[0] == shapes[0] and wkb[2][13:45] == shapes[2][13:45]


def test_arcs_are_straightened_where_they_stay_too(tmp_path):
    arcs = [(0, 0), (20, 20), (40, 0), (20, -20), (0, 0)]
    circle = f"CURVEPOLYGON(CIRCULARSTRING({','.join(f'{EAST + x} {NORTH + y}' for x, y in arcs)}))"
    (tmp_path / "in.csv").write_text(f'number,WKT\n0,"{circle}"\n1,"{HOUSE.wkt}"\n2,\n')
    (tmp_path / "in.vrt").write_text(
        f'<OGRVRTDataSource><OGRVRTLayer name="in"><SrcDataSource>{tmp_path / "in.csv"}</SrcDataSource>'
        f"<LayerSRS>{UTM}</LayerSRS></OGRVRTLayer></OGRVRTDataSource>"
    )
    table, wkb = run(tmp_path / "in.vrt", tmp_path / "out.gpkg", tolerance=0.3, method="right-angles")
    assert table["status"].to_pylist() == [1, 0, 1]
    assert shapely.from_wkb(wkb[0]).area == pytest.approx(math.pi * 400, rel=1e-2)


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857", "EPSG:2240", "EPSG:3035", "EPSG:4807"])
def test_any_crs_with_millimetres_at_large_coordinates(tmp_path, crs):
    place = translate(HOUSE, 0, 0) if crs != "EPSG:3035" and crs != "EPSG:4807" else None
    shapes = geopandas.GeoSeries([HOUSE, shapely.segmentize(house(50, seed=3), 0.001)], crs=UTM)
    if place is None:
        shapes = geopandas.GeoSeries(
            [translate(shape, -EAST + 450_000, -NORTH + 5_411_000) for shape in shapes], crs="EPSG:32631"
        )
    table, _ = run(write(tmp_path / "in.gpkg", list(shapes.to_crs(crs)), crs), tmp_path / "out.gpkg")
    assert table["status"].to_pylist() == [0, 0] and table["vertices"].to_pylist() == [4, 4]
    assert table["area_m2"].to_pylist() == pytest.approx([96, 96], rel=0.05)


def test_features_where_the_crs_is_not_defined(tmp_path):
    here = geopandas.GeoSeries([HOUSE], crs=UTM).to_crs("EPSG:4326")[0]
    there = shapely.box(500_000, 4_000_000, 500_010, 4_000_010)
    table, _ = run(write(tmp_path / "some.gpkg", [there, here], "EPSG:4326"), tmp_path / "out.gpkg")
    assert table["reason"].to_pylist() == ["outside-crs", ""]
    with pytest.raises(InputUnreadableError, match="not defined"):
        run(write(tmp_path / "all.gpkg", [there, None], "EPSG:4326"), tmp_path / "none.gpkg")
    assert not (tmp_path / "none.gpkg").exists()


def test_across_the_antimeridian(tmp_path):
    shapes = [shapely.box(179.9999, -17, 180.0001, -16.9999), shapely.box(-180.0001, -17, -179.9999, -16.9999)]
    table, wkb = run(write(tmp_path / "in.gpkg", shapes, "EPSG:4326"), tmp_path / "out.gpkg")
    assert table["status"].to_pylist() == [0, 0]
    for shape, found in zip(shapes, wkb, strict=True):
        assert shapely.hausdorff_distance(shape, shapely.from_wkb(found)) < 1e-8
    fiji = geopandas.GeoSeries([shapes[0]], crs="EPSG:4326").to_crs("EPSG:3832")
    table, _ = run(write(tmp_path / "pacific.gpkg", list(fiji), "EPSG:3832"), tmp_path / "out.gpkg")
    assert table["status"].to_pylist() == [0] and table["area_m2"].to_pylist()[0] == pytest.approx(
        21.3 * 11.06, rel=0.01
    )


def test_geojson_without_ids_with_mixed_properties(tmp_path):
    features = [
        {
            "type": "Feature",
            "properties": {"a": 1},
            "geometry": shapely.geometry.mapping(shapely.box(0, 0, 1e-4, 1e-4)),
        },
        {"type": "Feature", "properties": {"b": [1, 2], "c": {"d": None}}, "geometry": None},
        {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": []}},
    ]
    (tmp_path / "in.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    found = regularize_footprints(
        tasks.RegularizeFootprints(str(tmp_path / "in.geojson"), str(tmp_path / "out.geojson")), Progress()
    )
    assert found["reasons"] == {"empty": 2}
    written = json.loads(Path(tmp_path / "out.geojson").read_text())["features"]
    assert written[0]["properties"]["a"] == 1 and written[1]["properties"]["b"] == [1, 2]


@settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10_000), st.integers(0, 40), st.sampled_from([3, 17, 8192]))
def test_random_bad_layers_however_they_are_cut(tmp_path, seed, count, size):
    random = np.random.default_rng(seed)
    shapes = []
    for _ in range(count):
        shape = list(BAD.values())[random.integers(len(BAD))]
        move = random.uniform(-300, 300, 2)
        shapes.append(None if shape is None else shapely.transform(shape, lambda points, by=move: points + by))
    source = tmp_path / "in.gpkg"
    source.unlink(missing_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("building_segmenter.geo.vectors.reading.PolygonLayer.batches.__defaults__", (size,))
        table, wkb = run(write(source, shapes), tmp_path / "out.gpkg")
    check_kept(shapes, table, wkb)
