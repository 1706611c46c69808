"""The polygonize task on rasters of every kind: what is inside, errors, columns, files."""

import threading

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from rasterio.transform import from_origin

from building_segmenter import tasks
from building_segmenter.errors import (
    BandsError,
    CancelledError,
    InputNotFoundError,
    InputUnreadableError,
    InvalidParameterError,
    MissingCrsError,
)
from building_segmenter.footprints import tracing
from building_segmenter.footprints.polygonize import polygonize_mask, polygonize_raster
from building_segmenter.footprints.tracing import TraceRule
from building_segmenter.geo.ground import scaled_frame
from building_segmenter.progress import Progress, SilentSink

UTM = "EPSG:32616"
COLUMNS = ["score", "area_m2", "perim_m", "vertices", "geometry"]


def write(path, array, *, scale=None, offset=0.0, alpha=None, mask=None, crs=UTM, pixel=1.0, **profile):
    array = np.asarray(array)
    bands = array[None] if array.ndim == 2 else array
    if alpha is not None:
        bands = np.concatenate([bands, alpha[None].astype(array.dtype)])
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=len(bands),
        height=bands.shape[1],
        width=bands.shape[2],
        dtype=bands.dtype,
        crs=crs,
        transform=from_origin(740_000, 3_732_000, pixel, pixel),
        **profile,
    ) as dataset:
        if alpha is not None:
            dataset.colorinterp = [*dataset.colorinterp[:-1], rasterio.enums.ColorInterp.alpha]
        dataset.write(bands)
        if scale is not None:
            dataset.scales, dataset.offsets = [scale] * len(bands), [offset] * len(bands)
        if mask is not None:
            dataset.write_mask(mask)
    return str(path)


def square(inside, outside, dtype, low=4, high=12, size=16):
    array = np.full((size, size), outside, dtype)
    array[low:high, low:high] = inside
    return array


def bounds_in_pixels(frame):
    x0, y0, x1, y1 = frame.total_bounds
    return x0 - 740_000, 3_732_000 - y1, x1 - 740_000, 3_732_000 - y0


def test_own_probabilities_have_scale_and_nodata(tmp_path):
    array = square(254, 0, np.uint8)
    array[:6] = 255
    path = write(tmp_path / "p.tif", array, scale=1 / 254, nodata=255)
    frame = polygonize_raster(path)
    assert list(frame.columns) == COLUMNS
    assert frame.crs == UTM
    assert frame.score.tolist() == [pytest.approx(100, abs=1e-3)]
    # The level is 126.5 of 254; at nodata the outline follows the pixels.
    share = 127.5 / 254
    assert bounds_in_pixels(frame) == pytest.approx((4.5 - share, 6, 11.5 + share, 11.5 + share), abs=1e-9)


@pytest.mark.parametrize(("threshold", "inside"), [(0.5, 127), (0.3, 77), (1.0, 254), (0.0, 0), (127 / 254, 127)])
def test_scaled_integers_are_inside_from_the_threshold_on(tmp_path, threshold, inside):
    values = np.arange(254).reshape(1, -1).astype(np.uint8)
    path = write(tmp_path / "p.tif", np.append(values, [[254]], axis=1).astype(np.uint8), scale=1 / 254, nodata=255)
    frame = polygonize_raster(path, TraceRule(threshold=threshold, min_area=0))
    assert bounds_in_pixels(frame)[0] == pytest.approx(max(0, inside), abs=1e-9)


def test_negative_scale_and_offset(tmp_path):
    values = np.arange(0, 101, 10, np.int16).reshape(1, -1)
    path = write(tmp_path / "p.tif", values, scale=-0.01, offset=1.0)
    frame = polygonize_raster(path, TraceRule(threshold=0.5, min_area=0))
    # Inside are 0 to 50; 50.5 is a twentieth of the way to 60.
    assert bounds_in_pixels(frame) == pytest.approx((0, 0, 5.55, 1), abs=1e-6)
    assert frame.score[0] == pytest.approx(75, abs=1e-3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.7, 0.5])
def test_float_equal_to_the_threshold_is_inside(tmp_path, dtype, threshold):
    path = write(tmp_path / "p.tif", square(threshold, 0, dtype))
    frame = polygonize_raster(path, TraceRule(threshold=threshold))
    assert bounds_in_pixels(frame) == pytest.approx((4.5, 4.5, 11.5, 11.5), abs=1e-2)
    assert frame.score[0] == pytest.approx(100 * threshold, abs=1e-3)


def test_nan_and_nodata_of_floats_are_outside(tmp_path):
    array = square(0.9, 0.1, np.float32)
    array[:, :6], array[:, 10:] = np.nan, -9999
    frame = polygonize_raster(write(tmp_path / "p.tif", array, nodata=-9999))
    assert bounds_in_pixels(frame)[::2] == (6, 10)


def test_floats_that_are_no_probabilities_are_refused_and_value_helps(tmp_path):
    path = write(tmp_path / "p.tif", square(255, 0, np.float32))
    with pytest.raises(InvalidParameterError, match="from 0 to 255") as caught:
        polygonize_raster(path)
    assert "VALUE" in caught.value.hint
    assert len(polygonize_raster(path, TraceRule(value=255))) == 1


def test_mask_of_integers_is_inside_where_not_zero(tmp_path):
    array = square(1, 0, np.int32)
    array[4:8, 4:8] = -3
    frame = polygonize_raster(write(tmp_path / "p.tif", array))
    assert bounds_in_pixels(frame) == (4, 4, 12, 12)
    assert (frame.score[0], frame.area_m2[0], frame.vertices[0]) == (100, pytest.approx(63.5, rel=2e-3), 8)


def test_value_chooses_one_class(tmp_path):
    array = square(1, 2, np.uint8)
    array[0:3, 0:3] = 7
    path = write(tmp_path / "p.tif", array, scale=0.5)
    assert bounds_in_pixels(polygonize_raster(path, TraceRule(value=1))) == (4, 4, 12, 12)
    assert bounds_in_pixels(polygonize_raster(path, TraceRule(value=7))) == (0, 0, 3, 3)


def test_value_that_is_nodata_is_refused(tmp_path):
    with pytest.raises(InvalidParameterError, match="nodata"):
        polygonize_raster(write(tmp_path / "p.tif", square(1, 0, np.uint8), nodata=1), TraceRule(value=1))


def test_alpha_and_mask_bands_are_outside(tmp_path):
    array, opaque = square(1, 0, np.uint8), np.full((16, 16), 255, np.uint8)
    opaque[:, 8:] = 0
    for path in (
        write(tmp_path / "alpha.tif", array, alpha=opaque),
        write(tmp_path / "mask.tif", array, mask=opaque),
    ):
        assert bounds_in_pixels(polygonize_raster(path)) == (4, 4, 8, 12)


def test_band_is_chosen_and_checked(tmp_path):
    path = write(tmp_path / "p.tif", np.stack([square(1, 0, np.uint8), square(1, 0, np.uint8, 2, 6)]))
    assert bounds_in_pixels(polygonize_raster(path, TraceRule(band=2))) == (2, 2, 6, 6)
    with pytest.raises(BandsError, match="BAND is 3"):
        polygonize_raster(path, TraceRule(band=3))


def test_min_areas_are_ground_metres(tmp_path):
    path = write(tmp_path / "p.tif", square(1, 0, np.uint8), pixel=0.5)
    area = (64 - 0.5) / 4
    frame = polygonize_raster(path, TraceRule(min_area=area * 0.998))
    assert frame.area_m2[0] == pytest.approx(area, rel=1.5e-3)
    assert len(polygonize_raster(path, TraceRule(min_area=area * 1.002))) == 0


def test_raster_without_crs_needs_a_ground_frame(tmp_path):
    path = write(tmp_path / "p.tif", square(1, 0, np.uint8), crs=None)
    with pytest.raises(MissingCrsError, match="coordinate reference system") as caught:
        polygonize_raster(path)
    assert "Assign" in caught.value.hint
    frame = polygonize_raster(path, TraceRule(min_area=0), ground=scaled_frame(0.1))
    assert frame.crs is None
    assert frame.area_m2[0] == pytest.approx(0.635)
    assert frame.perim_m[0] == pytest.approx(2.8 + 4 * np.sqrt(0.5) / 10)


def test_mean_probability_and_holes(tmp_path):
    array = np.zeros((40, 40), np.float32)
    array[5:35, 5:35] = np.linspace(0.6, 1.0, 30)
    array[15:25, 15:25] = 0.2
    frame = polygonize_raster(write(tmp_path / "p.tif", array))
    assert frame.score[0] == pytest.approx(100 * array[array > 0.5].mean(), abs=1e-3)
    filled = polygonize_raster(write(tmp_path / "p.tif", array), TraceRule(min_hole_area=200))
    assert filled.score[0] == pytest.approx(100 * array[5:35, 5:35].mean(), abs=1e-3)


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".shp", ".parquet"])
def test_task_writes_a_layer(tmp_path, suffix):
    path = write(tmp_path / "p.tif", square(0.9, 0, np.float32))
    output = tmp_path / f"häuser 1{suffix}"
    result = polygonize_mask(tasks.PolygonizeMask(input=path, output=str(output)), Progress())
    assert result == {"output": str(output), "features": 1}
    frame = geopandas.read_parquet(output) if suffix == ".parquet" else geopandas.read_file(output)
    assert list(frame.columns) == COLUMNS
    assert shapely.is_valid(frame.geometry).all()
    assert sorted(part.name for part in tmp_path.iterdir() if part.name.startswith(".")) == []


def test_no_polygon_is_an_empty_layer_and_a_warning(tmp_path):
    path = write(tmp_path / "p.tif", square(0.1, 0, np.float32))
    output, sink = tmp_path / "none.gpkg", SilentSink()
    assert polygonize_mask(tasks.PolygonizeMask(input=path, output=str(output)), Progress(sink))["features"] == 0
    assert any("No polygon" in warning for warning in sink.warnings)
    frame = geopandas.read_file(output)
    assert (len(frame), list(frame.columns), frame.crs) == (0, COLUMNS, UTM)


def test_all_nodata_is_an_empty_layer(tmp_path):
    frame = polygonize_raster(write(tmp_path / "p.tif", np.full((8, 8), 255, np.uint8), scale=1 / 254, nodata=255))
    assert (len(frame), list(frame.columns)) == (0, COLUMNS)


def test_warns_of_integers_that_look_like_probabilities_and_of_an_unused_threshold(tmp_path):
    graded = np.arange(256, dtype=np.uint8).repeat(4).reshape(16, -1)
    sink = SilentSink()
    polygonize_raster(write(tmp_path / "p.tif", graded), TraceRule(threshold=0.7), progress=Progress(sink))
    assert any("many values" in warning for warning in sink.warnings)
    assert any("THRESHOLD" in warning for warning in sink.warnings)


def test_missing_and_broken_files(tmp_path):
    with pytest.raises(InputNotFoundError):
        polygonize_raster(str(tmp_path / "no.tif"))
    (tmp_path / "text.tif").write_text("no raster")
    with pytest.raises(InputUnreadableError):
        polygonize_raster(str(tmp_path / "text.tif"))


@pytest.mark.parametrize("compress", ["deflate", None])
def test_file_that_breaks_off_names_its_rows_and_leaves_nothing(tmp_path, compress):
    noise = np.random.default_rng(0).random((4096, 2048), np.float32) * np.float32(0.4)
    path = write(tmp_path / "p.tif", noise, compress=compress, tiled=True)
    whole = (tmp_path / "p.tif").read_bytes()
    (tmp_path / "p.tif").write_bytes(whole[: len(whole) * 3 // 4])
    with pytest.raises(InputUnreadableError, match=r"p\.tif cannot be read in rows 2049 to 4096"):
        polygonize_mask(tasks.PolygonizeMask(input=path, output=str(tmp_path / "out.gpkg")), Progress())
    assert [part.name for part in tmp_path.iterdir()] == ["p.tif"]


def test_cancelled(tmp_path):
    stop = threading.Event()
    stop.set()
    with pytest.raises(CancelledError):
        polygonize_raster(write(tmp_path / "p.tif", square(1, 0, np.uint8)), progress=Progress(None, stop))


@pytest.mark.parametrize("layout", [{}, {"tiled": True, "blockxsize": 64, "blockysize": 64}, {"blockysize": 3}])
def test_blocks_and_bands_do_not_change_a_bit(tmp_path, monkeypatch, layout):
    rng = np.random.default_rng(3)
    smooth = rng.random((20, 15)).repeat(10, 0).repeat(10, 1).astype(np.float32)
    path = write(tmp_path / "p.tif", smooth * rng.random(smooth.shape, np.float32) ** 0.1, **layout)
    whole = polygonize_raster(path, TraceRule(min_area=1, min_hole_area=3))
    monkeypatch.setattr("building_segmenter.footprints.contours.field._BAND_PIXELS", 1000)
    monkeypatch.setattr("building_segmenter.footprints.contours.field._READ_PIXELS", 2500)
    cut = polygonize_raster(path, TraceRule(min_area=1, min_hole_area=3))
    assert len(whole) > 20
    assert shapely.to_wkb(whole.geometry).tolist() == shapely.to_wkb(cut.geometry).tolist()
    assert whole.drop(columns="geometry").equals(cut.drop(columns="geometry"))


def test_polygon_that_rounding_broke_is_mended():
    bow = shapely.Polygon([(0, 0), (4, 4), (4, 0), (1, 3), (0, 3)])
    (mended,) = tracing._repaired(np.array([bow]))
    assert (mended.geom_type, mended.is_valid) == ("Polygon", True)


def test_pixels_as_fine_as_the_rounding_of_coordinates_give_valid_polygons(tmp_path):
    # Eight thousand kilometres from the origin a double has steps of 1e-9; the pixel has 4e-9 here.
    noise = np.random.default_rng(2).random((60, 60), np.float32)
    path = tmp_path / "p.tif"
    write(path, noise)
    with rasterio.open(path, "r+") as dataset:
        dataset.transform = from_origin(8_000_000, 3_732_000, 4e-9, 4e-9)
    frame = polygonize_raster(str(path), TraceRule(min_area=0), ground=scaled_frame(1.0))
    assert len(frame) > 10
    assert frame.geometry.is_valid.all()
    assert set(frame.geom_type) == {"Polygon"}
