"""Layers in batches: what goes in comes out, in every format, however it is cut."""

import datetime as dt
import decimal
import json
import sqlite3
import struct
import threading
import time
from contextlib import closing

import geopandas
import numpy as np
import pyarrow as pa
import pyogrio
import pyproj
import pytest
import shapely
from pyarrow import parquet

from building_segmenter.errors import CancelledError, InputNotFoundError, InputUnreadableError, MissingCrsError
from building_segmenter.geo.vectors import Batch, LayerSchema, ahead, joined, open_polygons, write_batches
from building_segmenter.progress import Progress

UTM = "EPSG:32636"
BOXES = [shapely.box(20 * k, 0, 20 * k + 10, 10) for k in range(3)]
COLUMNS = {
    "flag": pa.array([True, None, False]),
    "small": pa.array([1, None, 3], pa.int16()),
    "long": pa.array([2**60 + 1, None, -(2**62) - 1], pa.int64()),
    "number": pa.array([0.1, None, -2.5e-300]),
    "text": pa.array(["Ünter", None, ""]),
    "bytes": pa.array([b"a\0b", None, b""], pa.binary()),
    "day": pa.array([dt.date(1990, 1, 2), None, dt.date(1600, 2, 3)]),
    "time": pa.array([dt.time(1, 2, 3, 4000), None, dt.time(0, 0)], pa.time32("ms")),
    "when": pa.array(
        [dt.datetime(1990, 1, 2, 3, 4, 5, 6000), None, dt.datetime(2000, 1, 1)], pa.timestamp("ms", "UTC")
    ),
    "several": pa.array([[1, 2**60], None, []], pa.list_(pa.int64())),
    "words": pa.array([["a", "b"], None, []], pa.list_(pa.string())),
}


def write_ogr(path, columns, geometries=BOXES, crs=UTM, kind="Polygon", **options):
    wkb = pa.array(shapely.to_wkb(np.array(geometries, object), flavor="iso"), pa.binary())
    table = pa.table({**columns, "wkb here": wkb})
    pyogrio.write_arrow(table, path, geometry_name="wkb here", geometry_type=kind, crs=crs, **options)
    return str(path)


def copied(source, output, size=2):
    layer = open_polygons(source)
    survey = layer.survey
    schema = LayerSchema(layer.fields, layer.crs, survey.geometry_type, survey.missing, survey.zones)
    assert write_batches(layer.batches(size), output, schema) == survey.count
    return layer


def table_of(path):
    if str(path).endswith("parquet"):
        return parquet.read_table(path)
    with pyogrio.open_arrow(path, use_pyarrow=True, datetime_as_string=True) as (_, reader):
        return reader.read_all()


@pytest.mark.parametrize("ending", ["gpkg", "geojson", "fgb", "shp"])
def test_a_copy_in_the_same_format_is_the_same(tmp_path, ending):
    columns = {name[:10]: column for name, column in COLUMNS.items()}
    source = write_ogr(tmp_path / f"in.{ending}", columns)
    copied(source, tmp_path / f"out.{ending}")
    before, after = table_of(source), table_of(tmp_path / f"out.{ending}")
    assert after.schema.names == before.schema.names
    assert [field.type for field in after.schema] == [field.type for field in before.schema]
    order = pa.compute.sort_indices(before["long"]), pa.compute.sort_indices(after["long"])
    assert before.take(order[0]).to_pylist() == after.take(order[1]).to_pylist()


def test_geopackage_to_geoparquet_and_back(tmp_path):
    source = write_ogr(tmp_path / "in.gpkg", COLUMNS)
    copied(source, tmp_path / "out.parquet")
    stored = parquet.read_table(tmp_path / "out.parquet")
    for name in ("flag", "small", "long", "number", "text", "bytes", "day"):
        assert stored[name].to_pylist() == COLUMNS[name].to_pylist(), name
    assert stored.schema.field("when").type == pa.timestamp("ms", "UTC")
    assert stored["when"].to_pylist() == COLUMNS["when"].to_pylist()
    copied(str(tmp_path / "out.parquet"), tmp_path / "back.gpkg")
    before, after = table_of(source), table_of(tmp_path / "back.gpkg")
    for name in COLUMNS:
        assert after[name].to_pylist() == before[name].to_pylist(), name


def test_geoparquet_is_described_as_its_readers_want_it(tmp_path):
    source = write_ogr(
        tmp_path / "in.gpkg",
        {"k": pa.array([1, 2, 3])},
        [BOXES[0], None, shapely.MultiPolygon(BOXES[1:])],
        kind="MultiPolygon",
    )
    copied(source, tmp_path / "out.parquet")
    facts = json.loads(parquet.read_metadata(tmp_path / "out.parquet").metadata[b"geo"])
    column = facts["columns"][facts["primary_column"]]
    assert column["bbox"] == [0, 0, 50, 10] and column["geometry_types"] == ["MultiPolygon"]
    read = geopandas.read_parquet(tmp_path / "out.parquet")
    assert read.crs == UTM and list(read["k"]) == [1, 2, 3]
    assert read.geometry[1] is None and set(read.geom_type.dropna()) == {"MultiPolygon"}


def test_what_only_geoparquet_has_is_told_in_other_words(tmp_path):
    columns = {
        "huge": pa.array([2**63 + 5, None, 1], pa.uint64()),
        "nested": pa.array([{"x": 1, "y": ["q"]}, None, {"x": None, "y": None}]),
        "deep": pa.array([[{"a": 1}], None, []]),
        "kind": pa.array(["a", None, "b"]).dictionary_encode(),
        "span": pa.array([1500, None, 0], pa.duration("ms")),
        "nothing": pa.nulls(3),
        "view": pa.array(["é", None, ""], pa.string_view()),
        "price": pa.array([decimal.Decimal("1.25"), None, decimal.Decimal("3.50")]),
    }
    geo = {"version": "1.0.0", "primary_column": "g", "columns": {"g": {"encoding": "WKB", "geometry_types": []}}}
    table = pa.table({**columns, "g": pa.array(shapely.to_wkb(np.array(BOXES)), pa.binary())})
    parquet.write_table(table.replace_schema_metadata({"geo": json.dumps(geo)}), tmp_path / "in.parquet")
    layer = copied(str(tmp_path / "in.parquet"), tmp_path / "out.gpkg")
    assert pyproj.CRS(pyogrio.read_info(tmp_path / "out.gpkg")["crs"]).equals("OGC:CRS84") and layer.survey.count == 3
    found = table_of(tmp_path / "out.gpkg").to_pydict()
    assert found["huge"] == [str(2**63 + 5), None, "1"]
    assert [json.loads(text) if text else None for text in found["nested"]] == columns["nested"].to_pylist()
    assert [json.loads(text) if text else None for text in found["deep"]] == columns["deep"].to_pylist()
    assert found["kind"] == ["a", None, "b"] and found["view"] == ["é", None, ""]
    assert found["span"] == [1.5, None, 0.0] and found["price"] == [1.25, None, 3.5] and found["nothing"] == [None] * 3
    copied(str(tmp_path / "in.parquet"), tmp_path / "out.parquet")
    again = parquet.read_table(tmp_path / "out.parquet").to_pydict()
    assert {name: again[name] for name in columns} == {name: column.to_pylist() for name, column in columns.items()}


def test_times_keep_their_offsets(tmp_path):
    times = ["2020-01-01T00:00:00+05:00", "2020-01-01T00:00:00Z", "2020-01-01T00:00:00"]
    features = [
        {"type": "Feature", "properties": {"t": text}, "geometry": shapely.geometry.mapping(BOXES[0])} for text in times
    ]
    (tmp_path / "in.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    copied(str(tmp_path / "in.geojson"), tmp_path / "out.gpkg")
    assert table_of(tmp_path / "out.gpkg")["t"].to_pylist() == times
    copied(str(tmp_path / "in.geojson"), tmp_path / "out.parquet")
    assert parquet.read_table(tmp_path / "out.parquet")["t"].to_pylist() == times


def test_coded_values_stay_codes(tmp_path):
    source = write_ogr(tmp_path / "in.gpkg", {"use": pa.array([0, 2, None], pa.int32())}, layer="in")
    with closing(sqlite3.connect(source)) as base:
        base.executescript(
            "CREATE TABLE gpkg_data_columns (table_name TEXT, column_name TEXT, name TEXT, title TEXT,"
            " description TEXT, mime_type TEXT, constraint_name TEXT);"
            "CREATE TABLE gpkg_data_column_constraints (constraint_name TEXT, constraint_type TEXT, value TEXT,"
            " min NUMERIC, min_is_inclusive BOOLEAN, max NUMERIC, max_is_inclusive BOOLEAN, description TEXT);"
            "INSERT INTO gpkg_extensions VALUES ('gpkg_data_columns', NULL, 'gpkg_schema', 'x', 'read-write');"
            "INSERT INTO gpkg_extensions VALUES ('gpkg_data_column_constraints', NULL, 'gpkg_schema', 'x', 'all');"
            "INSERT INTO gpkg_data_columns VALUES ('in', 'use', 'use', NULL, NULL, NULL, 'uses');"
            "INSERT INTO gpkg_data_column_constraints VALUES ('uses', 'enum', '0', NULL, NULL, NULL, NULL, 'house');"
            "INSERT INTO gpkg_data_column_constraints VALUES ('uses', 'enum', '1', NULL, NULL, NULL, NULL, 'barn');"
            "INSERT INTO gpkg_data_column_constraints VALUES ('uses', 'enum', '2', NULL, NULL, NULL, NULL, 'shed');"
        )
    copied(source, tmp_path / "out.gpkg")
    assert table_of(tmp_path / "out.gpkg")["use"].to_pylist() == [0, 2, None]


def test_names_that_formats_use_themselves(tmp_path):
    named = {"geom": "a", "geometry": 1, "OGC_FID": 7, "fid_1": 2}
    feature = {"type": "Feature", "properties": named, "geometry": shapely.geometry.mapping(BOXES[0])}
    (tmp_path / "in.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    copied(str(tmp_path / "in.geojson"), tmp_path / "out.gpkg")
    found = table_of(tmp_path / "out.gpkg").to_pydict()
    assert {name: found[{"OGC_FID": "ogc_fid"}.get(name, name)] for name in named} == {
        name: [v] for name, v in named.items()
    }
    copied(str(tmp_path / "in.geojson"), tmp_path / "out.parquet")
    read = geopandas.read_parquet(tmp_path / "out.parquet")
    assert read.geometry.name == "geometry_1" and dict(read.iloc[0].drop("geometry_1")) == named


def write_text(path, geometries):
    rows = "".join(f'{k},"{text}"\n' for k, text in enumerate(geometries))
    path.write_text(f"id,WKT\n{rows}")
    return path


CURVED = "CURVEPOLYGON(CIRCULARSTRING(0 0,5 5,10 0,5 -5,0 0))"


def test_arcs_surfaces_and_measures_become_plain_polygons(tmp_path):
    shapes = [
        CURVED, f"MULTISURFACE({CURVED},((20 0,30 0,30 10,20 0)))", "POLYGON M((0 0 1,9 0 2,9 9 3,0 0 1))",
        "POLYGON ZM((0 0 1 5,9 0 2 5,9 9 3 5,0 0 1 5))", "TRIANGLE((0 0,9 0,9 9,0 0))",
        "TIN Z(((0 0 1,9 0 2,9 9 3,0 0 1)),((0 0 1,9 9 3,0 9 2,0 0 1)))",
        "POLYHEDRALSURFACE Z(((0 0 1,9 0 2,9 9 3,0 0 1)))", "", "POLYGON EMPTY",
    ]  # fmt: skip
    path = write_text(tmp_path / "in.csv", shapes)
    (tmp_path / "in.vrt").write_text(
        f'<OGRVRTDataSource><OGRVRTLayer name="in"><SrcDataSource>{path}</SrcDataSource>'
        "<LayerSRS>EPSG:32636</LayerSRS></OGRVRTLayer></OGRVRTDataSource>"
    )
    layer = open_polygons(str(tmp_path / "in.vrt"))
    assert layer.survey.geometry_type == "MultiPolygon Z" and layer.survey.missing
    (batch,) = layer.batches()
    kinds = [None if shape is None else shape.geom_type for shape in batch.geometry]
    assert kinds == [
        "Polygon",
        "MultiPolygon",
        "Polygon",
        "Polygon",
        "Polygon",
        "MultiPolygon",
        "MultiPolygon",
        None,
        "Polygon",
    ]
    assert batch.geometry[0].area == pytest.approx(np.pi * 25, rel=1e-2)
    assert not shapely.has_m(batch.geometry).any()
    assert list(shapely.has_z(batch.geometry)) == [False, False, False, True, False, True, True, False, False]
    assert shapely.get_coordinates(batch.geometry[5], include_z=True)[-2].tolist() == [0, 9, 2]
    assert batch.geometry[4].equals(shapely.Polygon([(0, 0), (9, 0), (9, 9)]))
    copied(str(tmp_path / "in.vrt"), tmp_path / "out.gpkg")
    assert len(pyogrio.read_dataframe(tmp_path / "out.gpkg")) == len(shapes)


def polygon_wkb(*rings, order="<"):
    body = b"".join(
        struct.pack(f"{order}I", len(ring)) + b"".join(struct.pack(f"{order}dd", *point) for point in ring)
        for ring in rings
    )
    return struct.pack(f"{order}BII", order == "<", 3, len(rings)) + body


def test_rings_that_geos_cannot_hold_go_through(tmp_path):
    corners = [(0.0, 0.0), (9.0, 0.0), (9.0, 9.0), (0.0, 9.0)]
    shapes = [polygon_wkb([corners[0]] * 2), polygon_wkb(corners), polygon_wkb([*corners, corners[0]], order=">")]
    table = pa.table({"g": pa.array(shapes), "k": pa.array([1, 2, 3])})
    source = tmp_path / "in.gpkg"
    pyogrio.write_arrow(table, source, geometry_name="g", geometry_type="Polygon", crs=UTM)
    (batch,) = open_polygons(str(source)).batches()
    assert list(batch.odd) == [0] and batch.geometry[0] is None
    assert batch.geometry[1].equals(shapely.box(0, 0, 9, 9)) and batch.geometry[2].equals(batch.geometry[1])
    copied(str(source), tmp_path / "out.gpkg", size=1)
    found = table_of(tmp_path / "out.gpkg")
    assert found["k"].to_pylist() == [1, 2, 3] and found["geom"].to_pylist()[0] == shapes[0]


def test_all_features_of_flatgeobuf_are_written_also_those_without_geometry(tmp_path):
    source = write_ogr(tmp_path / "in.gpkg", {"k": pa.array([1, 2, 3])}, [BOXES[0], None, shapely.Polygon()])
    copied(source, tmp_path / "out.fgb")
    assert list(pyogrio.read_dataframe(tmp_path / "out.fgb")["k"]) == [1, 2, 3]


@pytest.mark.parametrize(("shapes", "kind"), [
    (BOXES, "Polygon"), ([BOXES[0], shapely.MultiPolygon(BOXES[1:])], "MultiPolygon"),
    ([shapely.force_3d(BOXES[0], 3)], "Polygon Z"), ([None, shapely.Polygon()], "Polygon"),
    ([BOXES[0], shapely.GeometryCollection([BOXES[1]])], "Unknown"), ([BOXES[0], shapely.Point(0, 0)], "Unknown"),
])  # fmt: skip
def test_the_type_of_a_layer_is_that_of_its_features(tmp_path, shapes, kind):
    source = write_ogr(tmp_path / "in.gpkg", {}, shapes, kind="Unknown")
    layer = copied(source, tmp_path / "out.gpkg")
    assert layer.survey.geometry_type == kind
    assert pyogrio.read_info(tmp_path / "out.gpkg")["geometry_type"] == kind
    read = pyogrio.read_dataframe(tmp_path / "out.gpkg")
    assert len(read) == len(shapes) and read.geometry.area.sum() == pytest.approx(sum(s.area for s in shapes if s))


def test_a_layer_by_name_and_what_cannot_be_opened(tmp_path):
    write_ogr(tmp_path / "two.gpkg", {}, BOXES[:1], layer="first")
    write_ogr(tmp_path / "two.gpkg", {}, BOXES, layer="second", append=True)
    assert open_polygons(f"{tmp_path / 'two.gpkg'}|layername=second").survey.count == 3
    with pytest.raises(InputUnreadableError, match="third"):
        open_polygons(f"{tmp_path / 'two.gpkg'}|layername=third", "footprints")
    with pytest.raises(InputNotFoundError, match="nowhere"):
        open_polygons(str(tmp_path / "nowhere.gpkg"))
    with pytest.raises(InputUnreadableError, match="holds Point"):
        open_polygons(write_ogr(tmp_path / "points.gpkg", {}, [shapely.Point(0, 0)], kind="Point"))
    with pytest.raises(MissingCrsError):
        open_polygons(write_ogr(tmp_path / "placeless.gpkg", {}, crs=None))
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputUnreadableError, match="no geometry"):
        open_polygons(str(tmp_path / "table.csv"))
    parquet.write_table(pa.table({"a": [1]}), tmp_path / "plain.parquet")
    with pytest.raises(InputUnreadableError, match="not GeoParquet"):
        open_polygons(str(tmp_path / "plain.parquet"))


def test_a_layer_that_changes_meanwhile_is_told(tmp_path):
    layer = open_polygons(write_ogr(tmp_path / "in.gpkg", {}))
    write_ogr(tmp_path / "in.gpkg", {}, BOXES * 2)
    with pytest.raises(InputUnreadableError, match="changed"):
        list(layer.batches())


def test_large_geometries_make_small_batches(tmp_path, monkeypatch):
    monkeypatch.setattr("building_segmenter.geo.vectors.reading._BYTES", 2500)
    rings = [shapely.Point(100 * k, 0).buffer(40, quad_segs=16) for k in range(9)]
    layer = open_polygons(write_ogr(tmp_path / "in.gpkg", {"k": pa.array(range(9))}, rings))
    batches = list(layer.batches())
    assert [len(batch) for batch in batches] == [2, 2, 2, 2, 1]
    whole = joined(batches)
    assert whole.fields["k"].to_pylist() == list(range(9)) and list(whole.keys) == list(range(1, 10))


def test_an_error_while_batches_are_made_is_raised_as_it_is_and_nothing_is_left(tmp_path):
    def batches():
        yield Batch(np.array(BOXES, object), pa.record_batch({"k": pa.array([1, 2, 3])}))
        raise CancelledError

    for name in ("out.gpkg", "out.parquet", "out.geojson"):
        with pytest.raises(CancelledError):
            write_batches(batches(), tmp_path / name, LayerSchema(pa.schema({"k": pa.int64()}), UTM))
    assert list(tmp_path.iterdir()) == []


def test_cancel_while_the_output_is_looked_at(tmp_path):
    cancelled = threading.Event()

    def batches():
        yield Batch(np.array(BOXES, object), pa.record_batch({"k": pa.array([1, 2, 3])}))
        cancelled.set()

    with pytest.raises(CancelledError):
        schema = LayerSchema(pa.schema({"k": pa.int64()}), UTM)
        write_batches(batches(), tmp_path / "out.gpkg", schema, Progress(cancelled=cancelled))
    assert list(tmp_path.iterdir()) == []


def test_steps_run_ahead_by_a_few_items_only():
    made = []

    def items():
        for k in range(100):
            made.append(k)
            yield k

    with ahead(items(), depth=2) as taken:
        assert next(taken) == 0
        time.sleep(0.1)
        assert len(made) <= 4
        assert next(taken) == 1
    assert len(made) < 8 and threading.active_count() < 10


def test_an_error_ahead_comes_in_its_place():
    def items():
        yield 1
        raise ValueError("later")

    with ahead(items()) as taken:
        assert next(taken) == 1
        with pytest.raises(ValueError, match="later"):
            next(taken)


def test_a_maker_that_is_stopped_ends_in_its_own_thread():
    began, ended = [], []

    def made():
        began.append(threading.get_ident())
        try:
            yield from range(100)
        finally:
            ended.append(threading.get_ident())

    with pytest.raises(ZeroDivisionError), ahead(made()) as items:
        next(items)
        1 / 0  # noqa: B018
    assert ended == began != [threading.get_ident()]
