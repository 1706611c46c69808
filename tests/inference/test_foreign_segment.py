"""Models from elsewhere through segment and extract: the same parameters, errors and outputs as of our own."""

import json

import geopandas
import numpy as np
import onnx
import pytest
import rasterio
from affine import Affine
from foreign_networks import logit, onnx_network

from building_segmenter import tasks
from building_segmenter.errors import InputNotFoundError, InvalidParameterError, ModelError
from building_segmenter.footprints.extract import extract_buildings
from building_segmenter.inference.export import export_model
from building_segmenter.inference.segment import segment_raster
from building_segmenter.progress import Progress

UTM = Affine(0.15, 0, 300000, 0, -0.15, 3700000)
DEEPNESS = {"model_type": "Segmentor", "resolution": 15, "tiles_overlap": 50, "tile_size": 64}


@pytest.fixture
def image():
    return np.random.default_rng(5).integers(0, 255, (150, 210, 3)).astype(np.uint8)


@pytest.fixture
def segment(tmp_path):
    """Segment an image; returns the stored bands, the result, and what was logged."""

    def run(path, **options):
        output, progress = tmp_path / "probability.tif", Progress()
        facts = {"inference_precision": "f32"} | options
        result = segment_raster(tasks.SegmentRaster(input=path, output=str(output), **facts), progress)
        with rasterio.open(output) as dataset:
            return dataset.read(), result, progress.sink.logs

    return run


@pytest.fixture
def save(tmp_path):
    def run(network, name="elsewhere.onnx"):
        onnx.save(network, tmp_path / name)
        return str(tmp_path / name)

    return run


def stored(probability):
    return np.rint(probability * 254).astype(int)


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def test_a_model_for_deepness_needs_no_parameters(segment, save, write_image, image):
    network = onnx_network((), side=None, unit=1 / 255, metadata={**DEEPNESS, "seg_thresh": 0.35})
    found, result, logs = segment(write_image(image, transform=UTM), model=save(network))
    assert np.abs(found[0].astype(int) - stored(sigmoid(logit(image)))).max() <= 1
    assert (result["threshold"], result["model_gsd"]) == (0.35, 0.15)
    assert any("comes from elsewhere" in log and "tiles of 64 px" in log for log in logs)


def test_parameters_in_place_of_metadata(segment, save, write_image, image):
    network = onnx_network(("Softmax",), channels=3, side=None, last=True)
    stated = {"model_gsd": 0.15, "model_tile_size": 64, "model_scaling": "none", "model_class": "2"}
    found, _, _ = segment(write_image(image, transform=UTM), model=save(network), **stated)
    powers = np.exp(logit(image)[..., None] * [1, 2, 3])
    assert np.abs(found[0].astype(int) - stored((powers / powers.sum(axis=-1, keepdims=True))[..., 1])).max() <= 1
    with pytest.raises(InvalidParameterError) as caught:
        segment(write_image(image, transform=UTM), model=save(network), model_class="2")
    assert all(name in caught.value.hint for name in ("MODEL_GSD", "MODEL_TILE_SIZE", "MODEL_SCALING"))


def test_all_classes_become_bands(segment, save, write_image, image):
    names = ["background", "roof", "tree"]
    network = onnx_network(("Softmax",), channels=3, unit=1 / 255, metadata={**DEEPNESS, "class_names": names})
    found, result, _ = segment(write_image(image, transform=UTM), model=save(network), model_class="all")
    powers = np.exp(logit(image)[..., None] * [1, 2, 3])
    expected = stored(powers / powers.sum(axis=-1, keepdims=True))[..., 1:]
    assert np.abs(np.moveaxis(found, 0, -1).astype(int) - expected).max() <= 1
    assert result["classes"] == [{"value": 1, "name": "roof"}, {"value": 2, "name": "tree"}]


@pytest.mark.parametrize(
    ("said", "given", "taken"), [(50, None, 0.5), (None, None, 0.25), (50, 0.1, 0.1), (90, None, 0.75)]
)
def test_the_overlap_of_the_metadata_unless_one_is_given(save, said, given, taken):
    from building_segmenter.inference.models import model_of

    metadata = {"model_type": "Segmentor", "resolution": 15} | ({"tiles_overlap": said} if said else {})
    path = save(onnx_network(metadata=metadata))
    options = tasks.SegmentRaster(input="a.tif", output="b.tif", model=path, overlap=given)
    assert model_of(options, ["uint8"], lambda message: None).overlap == taken


def test_other_values_than_bytes(segment, save, write_image, image):
    deep = write_image(image.astype(np.uint16) * 20, transform=UTM)
    plain = save(onnx_network(unit=1 / 255, metadata=DEEPNESS), "plain.onnx")
    with pytest.raises(InvalidParameterError, match="holds uint16"):
        segment(deep, model=plain)
    # With statistics, the image's own are mapped to them, as for models of ours.
    mean, deviation = float(image.mean() / 255), float(image.std() / 255)
    standard = {"standardization_mean": [mean] * 3, "standardization_std": [deviation] * 3}
    known = save(onnx_network(metadata=DEEPNESS | standard), "known.onnx")
    taken = (image / 255 - mean) / deviation
    assert np.abs(segment(deep, model=known)[0][0].astype(int) - stored(sigmoid(logit(taken)))).max() <= 2
    # Values as they are: 16 bits go to the network unchanged.
    as_is = segment(deep, model=plain, model_scaling="none", model_deviations=(20.0 * 255,))[0][0]
    assert np.abs(as_is.astype(int) - stored(sigmoid(logit(image)))).max() <= 1
    as_is = segment(deep, model=save(onnx_network(unit=20.0)), model_scaling="none", model_gsd=0.15)[0][0]
    assert np.abs(as_is.astype(int) - stored(sigmoid(logit(image)))).max() <= 1


def test_our_own_export_gives_the_same_as_the_model(segment, bright_model, write_image, image, tmp_path):
    onnx_path = str(tmp_path / "ours.onnx")
    export_model(tasks.ExportModel(output=onnx_path, model=bright_model, threshold=0.62), Progress())
    path = write_image(image, transform=UTM)
    expected, own, _ = segment(path, model=bright_model)
    found, exported, logs = segment(path, model=onnx_path)
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= 1
    assert (exported["threshold"], exported["model_gsd"]) == (0.62, own["model_gsd"])
    assert any("export of Bright" in log for log in logs)


@pytest.mark.parametrize("kind", [".keras", ".onnx"])
def test_facts_in_the_file_are_not_overridden(segment, bright_model, write_image, image, tmp_path, kind):
    model = bright_model
    if kind == ".onnx":
        model = str(tmp_path / "ours.onnx")
        export_model(tasks.ExportModel(output=model, model=bright_model), Progress())
    with pytest.raises(InvalidParameterError, match="MODEL_GSD and MODEL_SCALING are given"):
        segment(write_image(image, transform=UTM), model=model, model_gsd=0.3, model_scaling="unit")


def test_an_export_that_contradicts_its_facts(segment, bright_model, write_image, image, tmp_path):
    path = tmp_path / "ours.onnx"
    export_model(tasks.ExportModel(output=str(path), model=bright_model), Progress())
    model = onnx.load(path)
    entry = next(one for one in model.metadata_props if one.key == "building_segmenter:mlm")
    item = json.loads(entry.value)
    item["properties"]["building_segmenter:tile_size"] = 256
    entry.value = json.dumps(item)
    onnx.save(model, path)
    with pytest.raises(ModelError, match="contradicts its facts"):
        segment(write_image(image, transform=UTM), model=str(path))


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_keras_files_without_facts(segment, write_image, image, tmp_path, ending):
    import keras

    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(1, 1, activation="sigmoid")(inputs))
    model.set_weights([np.full((1, 1, 3, 1), 0.05 / 3, np.float32), np.array([-7.0], np.float32)])
    path = tmp_path / f"elsewhere{ending}"
    model.save(path)
    stated = {"model_gsd": 0.15, "model_tile_size": 64, "model_scaling": "none"}
    found, _, _ = segment(write_image(image, transform=UTM), model=str(path), **stated)
    assert np.abs(found[0].astype(int) - stored(sigmoid(logit(image)))).max() <= 1


def test_extract_with_a_model_from_elsewhere(flat_scene, save, write_image, tmp_path):
    path = write_image(flat_scene.image)
    output = tmp_path / "buildings.gpkg"
    model = save(onnx_network((), unit=1 / 255, metadata=DEEPNESS))
    options = tasks.ExtractBuildings(input=path, output=str(output), model=model, inference_precision="f32")
    assert extract_buildings(options, Progress())["features"] == len(flat_scene.roofs)
    areas = sorted(geopandas.read_file(output)["area_m2"])
    np.testing.assert_allclose(areas, sorted(roof.area * 0.15**2 for roof in flat_scene.roofs), rtol=0.05)


def test_what_is_no_model(segment, write_image, image, tmp_path):
    path = write_image(image, transform=UTM)
    (tmp_path / "model.pt").write_bytes(b"x")
    with pytest.raises(ModelError, match=r"ending \.pt"):
        segment(path, model=str(tmp_path / "model.pt"))
    for ending in (".keras", ".h5", ".onnx"):
        with pytest.raises(InputNotFoundError, match="gone"):
            segment(path, model=str(tmp_path / f"gone{ending}"))
