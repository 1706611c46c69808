"""Each bad input ends with its code, a message that names it, and a hint; nothing is written or left behind.

Images in degrees, web-mercator and feet, rotated and south-up ones, and formats of the output are tested in
tests/footprints/test_extract.py; 16-bit and float images in tests/inference/test_segment.py; labels of chips from
broken footprints in tests/chips/test_export_chips.py; models that reach outside themselves in
tests/networks/test_model_file.py.
"""

import json
import zipfile
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from end_to_end_runs import assert_refused, nothing_changes, outcome_of, outcome_of_command, run_task

FIELDS = "score area_m2 perim_m vertices status reason method angle_deg max_dev_m iou geometry".split()


@pytest.fixture
def refused(tmp_path, bright_model):
    """Run a task that must fail, and check how it does."""

    def check(code, *named, task="extract", **options):
        output = {"extract": "out.gpkg", "segment": "out.tif", "chips": "chips", "train": "out.keras"}
        facts = {"output": str(tmp_path / output.get(task, "out.gpkg"))}
        if task in ("extract", "segment"):
            facts["model"] = bright_model
        with nothing_changes(tmp_path):
            outcome = outcome_of(task, **facts | options)
        assert_refused(outcome, code, *named)

    return check


def test_missing_files(refused, tmp_path, write_image, flat_scene):
    there, missing = write_image(flat_scene.image), str(tmp_path / "nø file.tif")
    refused("input-not-found", missing, input=missing)
    refused("input-not-found", missing, input=missing, task="segment")
    refused("input-not-found", missing, input=missing, task="polygonize")
    refused("input-not-found", missing, input=missing, task="regularize")
    refused("input-not-found", missing, input=there, model=missing)
    refused("input-not-found", missing, input=there, area=missing)
    refused("input-not-found", missing, input=there, footprints=missing, task="chips")
    refused("input-not-found", missing, dataset=missing, task="train")


def test_garbage(refused, tmp_path, write_image, flat_scene):
    garbage, layer = tmp_path / "garbage.tif", tmp_path / "garbage.gpkg"
    garbage.write_bytes(b"no raster " * 100)
    layer.write_bytes(b"no layer " * 100)
    for task in ("extract", "segment", "polygonize"):
        refused("input-unreadable", str(garbage), input=str(garbage), task=task)
    refused("input-unreadable", str(layer), input=str(layer), task="regularize")
    there = write_image(flat_scene.image)
    refused("input-unreadable", str(layer), input=there, footprints=str(layer), task="chips")
    (tmp_path / "empty.tif").write_bytes(b"")
    refused("input-unreadable", "empty.tif", input=str(tmp_path / "empty.tif"))


@pytest.mark.parametrize("share", [0.3, 0.7])
@pytest.mark.parametrize("layout", [{}, {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"}])
def test_an_image_that_breaks_off(refused, tmp_path, write_image, write_roofs, flat_scene, share, layout):
    noise = np.random.default_rng(1).integers(0, 255, (300, 400, 3)).astype(np.uint8)
    path = tmp_path / write_image(noise, "whole.tif", **layout)
    broken = tmp_path / "brøken.tif"
    broken.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    for task in ("extract", "segment"):
        refused("input-unreadable", "brøken.tif", input=str(broken), task=task)
    footprints = write_roofs(flat_scene.roofs)
    refused("input-unreadable", "brøken.tif", input=str(broken), footprints=footprints, task="chips")


def test_an_image_without_crs_needs_its_ground_pixel(refused, tmp_path, write_image, flat_scene, bright_model):
    path = write_image(flat_scene.image, crs=None, transform=Affine.identity())
    refused("crs-missing", path, input=path)
    refused("crs-missing", path, input=path, task="segment")
    result, _ = run_task("extract", input=path, output=str(tmp_path / "out.gpkg"), model=bright_model, gsd=0.15)
    assert result["features"] == 3


def test_layers_without_crs(refused, tmp_path, write_image, flat_scene):
    path = tmp_path / "no crs.gpkg"
    geopandas.GeoDataFrame(geometry=flat_scene.roofs).to_file(path)
    refused("crs-missing", "no crs.gpkg", input=str(path), task="regularize")
    refused("crs-missing", "no crs.gpkg", input=write_image(flat_scene.image), footprints=str(path), task="chips")


def test_fewer_bands_than_the_model_needs(refused, write_image, flat_scene):
    path = write_image(flat_scene.image[..., :2])
    refused("bands", "3 bands", path, input=path)
    refused("bands", "band 4", input=write_image(flat_scene.image), bands=(1, 2, 4))


def test_a_colour_table(refused, tmp_path, write_image, write_roofs, flat_scene):
    path = write_image(flat_scene.image[..., :1] // 128, "palette.tif")
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {0: (40, 40, 40, 255), 1: (240, 240, 240, 255)})
    refused("bands", "colour table", path, input=path)
    refused("bands", "colour table", path, input=path, footprints=write_roofs(flat_scene.roofs), task="chips")


@pytest.mark.parametrize("kind", ["alpha", "nodata"])
def test_transparent_and_nodata_pixels_are_no_buildings(tmp_path, write_image, flat_scene, bright_model, kind):
    image = np.full((300, 400, 3), 240, np.uint8)
    image[:, 200:] = 0
    if kind == "alpha":
        image = np.dstack([image, np.where(image[..., 0] > 0, 255, 0).astype(np.uint8)])
        path = write_image(image, photometric="RGB", alpha="unassociated")
    else:
        path = write_image(image, nodata=0)
    result, _ = run_task("extract", input=path, output=str(tmp_path / "out.gpkg"), model=bright_model)
    assert result["features"] == 1
    assert geopandas.read_file(tmp_path / "out.gpkg")["area_m2"].sum() == pytest.approx(300 * 200 * 0.15**2, rel=0.01)


def test_nothing_but_nodata(refused, write_image, write_roofs, flat_scene):
    nothing = write_image(np.zeros((300, 400, 3), np.uint8), nodata=0)
    for task in ("extract", "segment"):
        refused("no-data", nothing, input=nothing, task=task)
    refused("no-data", nothing, input=nothing, footprints=write_roofs(flat_scene.roofs), task="chips")
    nan = write_image(np.full((50, 60, 3), np.nan, np.float32), "nan.tif")
    refused("no-data", nan, input=nan)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 500), (500, 3), (17, 129)])
def test_smaller_than_one_tile(tmp_path, write_image, bright_model, height, width):
    path = write_image(np.full((height, width, 3), 240, np.uint8))
    run_task("segment", input=path, output=str(tmp_path / "out.tif"), model=bright_model)
    with rasterio.open(tmp_path / "out.tif") as dataset:
        assert dataset.shape == (height, width)
        assert (dataset.read(1) > 250).all()
    run_task("polygonize", input=str(tmp_path / "out.tif"), output=str(tmp_path / "outline.gpkg"), min_area=0.0)
    assert geopandas.read_file(tmp_path / "outline.gpkg")["area_m2"].tolist() == [
        pytest.approx(height * width * 0.15**2, rel=0.01)
    ]
    # A strip narrower than the tolerance may be no building to extract; it only must not fail.
    output = tmp_path / "out.gpkg"
    result, _ = run_task("extract", input=path, output=str(output), model=bright_model, min_area=0.0)
    assert len(geopandas.read_file(output)) == result["features"]
    assert result["features"] == 1 or min(height, width) * 0.15 < result["tolerance"]


def test_no_building_is_a_success_with_an_empty_layer_and_a_warning(tmp_path, write_image, bright_model):
    path = write_image(np.full((200, 200, 3), 30, np.uint8))
    for ending in (".gpkg", ".geojson", ".fgb", ".shp", ".parquet"):
        output = tmp_path / f"out{ending}"
        result, warnings = run_task("extract", input=path, output=str(output), model=bright_model)
        layer = (geopandas.read_parquet if ending == ".parquet" else geopandas.read_file)(output)
        assert len(layer) == result["features"] == 0
        assert warnings
        # GeoJSON has no place for the fields of no features.
        assert ending == ".geojson" or set(layer.columns) >= set(FIELDS) - {"geometry"}


BOWTIE = shapely.Polygon([(0, 0), (10, 10), (10, 0), (0, 10)])


def test_broken_footprints_are_kept_and_told(tmp_path):
    geometries = [BOWTIE, shapely.Polygon(), None, shapely.box(20, 0, 30, 10)]
    frame = geopandas.GeoDataFrame({"name": ["bowtie", "empty", "null", "good"]}, geometry=geometries, crs="EPSG:32616")
    frame.geometry = frame.geometry.translate(740000, 3700000)
    frame.to_file(tmp_path / "in.gpkg")
    run_task("regularize", input=str(tmp_path / "in.gpkg"), output=str(tmp_path / "out.gpkg"))
    out = geopandas.read_file(tmp_path / "out.gpkg").set_index("name")
    assert list(out.index) == ["bowtie", "empty", "null", "good"]
    assert out.loc["good", "status"] == 0
    assert (out["status"].drop("good") == 1).all()
    assert (out["reason"].drop("good").str.len() > 0).all()


def test_footprints_elsewhere(refused, tmp_path, write_image, flat_scene):
    frame = geopandas.GeoDataFrame(geometry=[shapely.box(10.0, 50.0, 10.1, 50.1)], crs="EPSG:4326")
    frame.to_file(tmp_path / "elsewhere.gpkg")
    image, elsewhere = write_image(flat_scene.image), str(tmp_path / "elsewhere.gpkg")
    refused("no-overlap", "footprints", input=image, footprints=elsewhere, task="chips")
    refused("no-overlap", "area", input=image, area=elsewhere)
    refused("no-overlap", "EXTENT", input=image, extent=(0.0, 0.0, 1.0, 1.0))


@pytest.fixture
def changed_model(tmp_path, bright_model):
    """Write the bright model with its configuration changed."""

    def write(name, change):
        path = tmp_path / name
        with zipfile.ZipFile(bright_model) as source, zipfile.ZipFile(path, "w") as target:
            for entry in source.namelist():
                content = source.read(entry)
                if entry == "config.json":
                    configuration = json.loads(content)
                    change(configuration)
                    content = json.dumps(configuration).encode()
                target.writestr(entry, content)
        return str(path)

    return write


def test_models_that_cannot_be_used(refused, tmp_path, write_image, flat_scene, bright_model, changed_model):
    image, cut, text = write_image(flat_scene.image), tmp_path / "cut.keras", tmp_path / "text.keras"
    cut.write_bytes(Path(bright_model).read_bytes()[:3000])
    text.write_text("no model")
    for path in (cut, text):
        for task in ("extract", "segment"):
            refused("model-invalid", str(path), input=image, model=str(path), task=task)

    def with_code(configuration):
        layer = configuration["config"]["layers"][1]
        layer.update(module="keras.layers", class_name="Lambda")

    refused("model-unsafe", "Lambda", input=image, model=changed_model("code.keras", with_code))


def test_a_model_that_is_not_for_segmentation(refused, tmp_path, write_image, flat_scene, bright_model):
    import keras

    from building_segmenter.networks.model_file import read_facts, save_model

    inputs = keras.Input((None, None, 3))
    classifier = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.GlobalAveragePooling2D()(inputs)))
    path = tmp_path / "classifier.keras"
    save_model(classifier, read_facts(bright_model), path)
    refused("model-invalid", str(path), "segmentation", input=write_image(flat_scene.image), model=str(path))


@pytest.mark.parametrize(
    ("task", "option", "value"),
    [
        ("extract", "overlap", 0.8),
        ("extract", "threshold", 1.5),
        ("extract", "min_area", -1.0),
        ("extract", "tolerance", 0.0),
        ("extract", "method", "round"),
        ("extract", "gsd", float("nan")),
        ("extract", "bands", (0,)),
        ("extract", "extent", (10.0, 0.0, 0.0, 10.0)),
        ("extract", "threads", -1),
        ("segment", "inference_precision", "f64"),
        ("polygonize", "band", 0),
        ("regularize", "precision", 2.0),
        ("regularize", "densification", 5.0),
    ],
)
def test_parameters_out_of_range(refused, write_image, flat_scene, task, option, value):
    refused("invalid-parameter", option.upper(), task=task, input=write_image(flat_scene.image), **{option: value})


def test_the_command_line_tells_status_code_message_and_hint(tmp_path, write_image, flat_scene, bright_model):
    image, output = write_image(flat_scene.image), tmp_path / "øut put.gpkg"
    cases = [
        (("extract", tmp_path / "nøwhere.tif", output), 1, "input-not-found", "nøwhere.tif"),
        (("extract", image, output, "--overlap", "0.9"), 2, "invalid-parameter", "OVERLAP"),
        (("extract", image, output, "--overlap", "much"), 2, "invalid-parameter", "--overlap"),
        (("extract", image, output, "--model", image), 1, "model-invalid", "image.tif"),
        (("regularise", image, output), 2, "invalid-parameter", "regularise"),
    ]
    for words, status, code, named in cases:
        with nothing_changes(tmp_path):
            outcome = outcome_of_command(*words)
        assert (outcome.status, outcome.code) == (status, code), outcome
        assert named in outcome.said
        assert outcome.hint


def test_no_building_on_the_command_line(tmp_path, write_image, bright_model):
    path = write_image(np.full((200, 200, 3), 30, np.uint8))
    outcome = outcome_of_command("extract", path, tmp_path / "out.gpkg", "--model", bright_model)
    assert outcome.status == 0
    assert "Warning: " in outcome.said
    assert len(geopandas.read_file(tmp_path / "out.gpkg")) == 0
