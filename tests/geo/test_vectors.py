import geopandas
import pytest
import shapely

from building_segmenter.errors import InputNotFoundError, InputUnreadableError, MissingCrsError, OutputNotWritableError
from building_segmenter.geo.vectors import check_vector_output, read_polygons, write_polygons

BOX = shapely.box(0, 0, 10, 10)


def layer(geometries, crs="EPSG:32636", **fields):
    return geopandas.GeoDataFrame(fields, geometry=geometries, crs=crs)


@pytest.mark.parametrize("name", ["a.gpkg", "a.geojson", "a.fgb", "a.shp", "a.parquet", "Ünter lagen.gpkg"])
def test_written_and_read_again(tmp_path, name):
    path = tmp_path / name
    write_polygons(layer([BOX, shapely.box(20, 0, 30, 5)], height=[3.5, 4.0]), path)
    read = read_polygons(str(path))
    assert read.crs == "EPSG:32636"
    assert sorted(read["height"]) == [3.5, 4.0]
    assert read.geometry.area.sum() == pytest.approx(150)
    assert {"Polygon"} == set(read.geom_type)


def test_parts_and_heights_survive(tmp_path):
    parts = shapely.MultiPolygon([BOX, shapely.box(20, 0, 30, 5)])
    write_polygons(layer([parts, BOX]), tmp_path / "parts.gpkg")
    assert set(read_polygons(str(tmp_path / "parts.gpkg")).geom_type) == {"MultiPolygon"}
    write_polygons(layer([shapely.force_3d(BOX, 7.0)]), tmp_path / "z.gpkg")
    assert shapely.get_coordinates(read_polygons(str(tmp_path / "z.gpkg")).geometry, include_z=True)[0, 2] == 7.0


def test_a_layer_of_several_by_name(tmp_path):
    path = tmp_path / "two.gpkg"
    layer([BOX]).to_file(path, layer="first")
    layer([BOX, BOX]).to_file(path, layer="second")
    assert len(read_polygons(f"{path}|layername=second")) == 2


def test_an_empty_layer_keeps_its_fields(tmp_path):
    write_polygons(layer([], score=[]), tmp_path / "empty.gpkg")
    read = read_polygons(str(tmp_path / "empty.gpkg"))
    assert len(read) == 0
    assert "score" in read.columns


def test_mistakes_are_named(tmp_path):
    with pytest.raises(InputNotFoundError, match="nowhere"):
        read_polygons(str(tmp_path / "nowhere.gpkg"), "footprints")
    (tmp_path / "broken.gpkg").write_bytes(b"SQLite format 3\0rubbish")
    with pytest.raises(InputUnreadableError, match=r"footprints .*broken"):
        read_polygons(str(tmp_path / "broken.gpkg"), "footprints")
    layer([shapely.Point(0, 0)]).to_file(tmp_path / "points.gpkg")
    with pytest.raises(InputUnreadableError, match="holds Point"):
        read_polygons(str(tmp_path / "points.gpkg"))
    layer([BOX], crs=None).to_file(tmp_path / "nocrs.gpkg")
    with pytest.raises(MissingCrsError):
        read_polygons(str(tmp_path / "nocrs.gpkg"))
    with pytest.raises(OutputNotWritableError, match="ending"):
        write_polygons(layer([BOX]), tmp_path / "a.xyz123")


@pytest.mark.parametrize("ending", [".csv", ".gpx", ".dxf", ".xlsx", ""])
def test_a_format_that_holds_no_polygons_with_fields_is_told_before_the_work(tmp_path, ending):
    with pytest.raises(OutputNotWritableError, match="ending"):
        check_vector_output(tmp_path / f"a{ending}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", [".sqlite", ".gml", ".tab", ".geojsonl"])
def test_other_formats_of_ogr_are_written(tmp_path, ending):
    check_vector_output(tmp_path / f"a{ending}")
    write_polygons(layer([BOX], score=[1.5]), tmp_path / f"a{ending}")
    assert len(geopandas.read_file(tmp_path / f"a{ending}")) == 1
