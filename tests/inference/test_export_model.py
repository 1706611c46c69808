"""Exported models give the answers of the model in other programs, and carry its facts."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
import rasterio
from affine import Affine

from building_segmenter import tasks
from building_segmenter.errors import InvalidParameterError, ModelError
from building_segmenter.inference.export import export_model
from building_segmenter.inference.network import keras_network
from building_segmenter.inference.runtime import TilePredictor
from building_segmenter.inference.segment import segment_raster
from building_segmenter.networks.facts import item_to_facts
from building_segmenter.networks.model_file import load_model, read_facts, save_model
from building_segmenter.networks.onnx_export.segmentation import FACTS_KEY
from building_segmenter.networks.shipped import default_model_path
from building_segmenter.progress import Progress

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
SITE = DATA / "hot_oam_7cm" / "kampala"
OVERLAP = 0.25
F32 = {"INFERENCE_PRECISION_HINT": "f32"}


@pytest.fixture
def export(tmp_path):
    """Export a model; returns the path, the result, and what was told."""

    def run(model, name="model.onnx", **options):
        progress = Progress()
        output = tmp_path / name
        result = export_model(tasks.ExportModel(model=model, output=str(output), **options), progress)
        return output, result, progress.sink

    return run


@pytest.fixture
def changed_model(bright_model, tmp_path):
    """Write the bright model with other facts; returns its path."""

    def write(network=None, **facts):
        loaded, stated = load_model(bright_model)
        save_model(network or loaded, dataclasses.replace(stated, **facts), tmp_path / "changed.keras")
        return str(tmp_path / "changed.keras")

    return write


@pytest.fixture(scope="module")
def shipped():
    """The shipped model, a picture of blocks, and what the model says of it in full precision."""
    facts = read_facts(default_model_path())
    side, random = facts.tile_size, np.random.default_rng(3)
    blocks = np.kron(random.integers(0, 256, (side // 32, side // 32, len(facts.bands))), np.ones((32, 32, 1)))
    image = np.clip(blocks + random.normal(0, 9, blocks.shape), 0, 255).round().astype(np.float32)
    return facts, image, TilePredictor(keras_network(default_model_path(), facts), "f32", 1).predict(image)


def scores_of(path, image):
    """Run an exported file on an image as Deepness feeds it: (channels, height, width)."""
    given = (image * np.float32(1 / 255)).transpose(2, 0, 1)[None]
    return onnxruntime.InferenceSession(str(path)).run(None, {"image": given})[0][0]


def test_onnx_gives_the_models_probability(export, shipped):
    facts, image, probability = shipped
    path, result, _ = export(None)
    scores = scores_of(path, image)
    assert scores.shape == (2, facts.tile_size, facts.tile_size)
    assert probability[..., 0].min() < 0.1 and probability[..., 0].max() > 0.9
    worst = np.abs(scores[1] - probability[..., 0]).max()
    print(f"\nONNX Runtime and OpenVINO differ by {worst:.1e} at most")
    assert worst < 1e-4
    assert result["format"] == "ONNX" and result["files"] == ["model.onnx"]
    onnx.checker.check_model(onnx.load(path), full_check=True)


def test_openvino_gives_the_models_probabilities_and_its_facts(export, shipped):
    facts, image, probability = shipped
    path, result, _ = export(None, "mödel 1.xml")
    assert result["files"] == ["mödel 1.bin", "mödel 1.mlm.json", "mödel 1.xml"]
    core = openvino.Core()
    model = core.read_model(path)
    answer = core.compile_model(model, "CPU", F32)(image[None])[0][0]
    assert np.abs(answer - probability).max() < 1e-4
    assert float(model.get_rt_info(["building_segmenter", "threshold"]).astype(str)) == pytest.approx(facts.threshold)
    inside = json.loads(model.get_rt_info(["building_segmenter", "mlm"]).astype(str))
    assert inside == json.loads(path.with_suffix(".mlm.json").read_text(encoding="utf-8"))
    assert item_to_facts(inside, "model.xml") == facts
    assert inside["assets"]["model"]["href"] == "./mödel 1.xml"


def test_the_metadata_are_those_of_deepness_and_the_facts_are_whole(export, shipped):
    facts, _, _ = shipped
    path, _, _ = export(None)
    session = onnxruntime.InferenceSession(str(path))
    stated = session.get_modelmeta().custom_metadata_map
    item = json.loads(stated.pop(FACTS_KEY))
    assert item_to_facts(item, "model.onnx") == facts
    assert item["properties"]["mlm:input"][0]["input"]["shape"] == session.get_inputs()[0].shape
    assert item["properties"]["mlm:output"][0]["result"]["shape"] == session.get_outputs()[0].shape
    read = {name: json.loads(value) for name, value in stated.items()}
    assert read["model_type"] == "Segmentor"
    assert read["class_names"] == {"0": "background", "1": "building"}
    assert read["resolution"] == pytest.approx(100 * facts.gsd, abs=1e-3)
    assert read["tiles_size"] == read["tile_size"] == facts.tile_size
    assert read["seg_thresh"] == pytest.approx(facts.threshold)
    assert (read["standardization_mean"], read["standardization_std"]) == ([0, 0, 0], [1, 1, 1])


@pytest.mark.parametrize("threshold", [0.05, 0.3, 0.5, 0.57, 0.8, 0.97])
def test_the_highest_score_wins_at_the_threshold(export, bright_model, threshold):
    path, result, _ = export(bright_model, threshold=threshold)
    assert result["threshold"] == threshold
    image = np.broadcast_to(np.linspace(0, 255, 128, dtype=np.float32)[:, None], (128, 128, 3)[:2])[..., None]
    scores = scores_of(path, np.repeat(image, 3, axis=-1))
    expected = scores[1] >= threshold
    assert 0 < expected.sum() < expected.size
    assert (scores >= 0).all() and (scores <= 1).all()
    np.testing.assert_array_equal(scores.argmax(axis=0) == 1, expected)
    # Deepness and GeoDeep set scores below the threshold to zero first; in Deepness it may be raised.
    for higher in (threshold, (1 + threshold) / 2):
        np.testing.assert_array_equal(np.where(scores < higher, 0, scores).argmax(axis=0) == 1, scores[1] >= higher)


def test_classes_that_exclude_each_other_stay_as_they_are(export, changed_model):
    import keras

    image = keras.Input((None, None, 3))
    network = keras.Model(image, keras.layers.Conv2D(3, 1, activation="softmax")(image))
    weights = [np.eye(3, dtype=np.float32).reshape(1, 1, 3, 3) / 64, np.zeros(3, np.float32)]
    network.set_weights(weights)
    classes = ({"value": 2, "name": "roof"}, {"value": 5, "name": "Straße"})
    channels = ("background", "roof", "Straße")
    model = changed_model(network, channels=channels, classes=classes, activation="softmax")
    path, _, sink = export(model, threshold=0.9)
    assert any("THRESHOLD has no effect" in line for line in sink.warnings)
    stated = onnxruntime.InferenceSession(str(path)).get_modelmeta().custom_metadata_map
    assert json.loads(stated["class_names"]) == {"0": "background", "1": "roof", "2": "Straße"}
    assert float(stated["seg_thresh"]) == 0.0
    values = np.random.default_rng(1).integers(0, 256, (128, 128, 3)).astype(np.float32)
    odds = np.exp(values / 64)
    np.testing.assert_allclose(
        scores_of(path, values), (odds / odds.sum(-1, keepdims=True)).transpose(2, 0, 1), atol=1e-5
    )


def test_what_other_programs_would_not_feed_is_told(export, changed_model):
    _, _, sink = export(changed_model(dtype="uint16"))
    assert any("bytes only" in line for line in sink.warnings)
    with pytest.raises(ModelError, match="float32 values") as caught:
        export(changed_model(dtype="float32"))
    assert ".xml" in caught.value.hint
    with pytest.raises(InvalidParameterError, match="calls everything"):
        export(changed_model(threshold=0.0))


def test_nothing_is_left_of_an_export_that_failed(export, changed_model, tmp_path):
    import keras

    image = keras.Input((None, None, 3))
    inner = keras.layers.LayerNormalization(name="odd_one")(image)
    model = changed_model(keras.Model(image, keras.layers.Conv2D(1, 1, activation="sigmoid")(inner)))
    with pytest.raises(ModelError, match="odd_one"):
        export(model)
    assert [path.name for path in tmp_path.iterdir()] == ["changed.keras"]


def geodeep_mask(image, model):
    return pytest.importorskip("geodeep").segment(str(image), str(model), max_threads=1).astype(bool)


def iou(first, second):
    return (first & second).sum() / (first | second).sum()


def test_geodeep_finds_what_the_model_finds(export, bright_model, write_image, flat_scene):
    path, _, _ = export(bright_model)
    image = write_image(flat_scene.image, crs="EPSG:32616", transform=Affine(0.15, 0, 3e5, 0, -0.15, 37e5))
    found = geodeep_mask(image, path)
    assert iou(found, flat_scene.image[..., 0] >= 140) > 0.985


@pytest.fixture(scope="module")
def real_block(tmp_path_factory):
    """A real block, three by two tiles of the shipped model that begin on lattice lines, at the model's pixel."""
    if not SITE.is_dir():
        pytest.skip(f"there is no real imagery in {DATA}")
    folder = tmp_path_factory.mktemp("block")
    words = [sys.executable, DATA / "make_mosaics.py", SITE, folder]
    subprocess.run(words, check=True, timeout=300, capture_output=True)
    _, facts = load_model(default_model_path())
    tile, gsd = facts.tile_size, facts.gsd
    stride = round(tile * (1 - OVERLAP))
    width, height = tile + 2 * stride, tile + stride
    with rasterio.open(folder / "kampala_block0.tif") as block:
        part = rasterio.windows.Window(0, 0, min(2 * width, block.width), min(2 * height, block.height))
        resampling = rasterio.enums.Resampling.average
        image = block.read((1, 2, 3), window=part, out_shape=(3, height, width), resampling=resampling)
    # The block's own pixels, laid where the model's tiles begin with the block.
    place = Affine(gsd, 0, 1000 * stride * gsd, 0, -gsd, 10000 * stride * gsd)
    profile = {"width": width, "height": height, "count": 3, "dtype": "uint8", "crs": "EPSG:32636"}
    tiled = {"tiled": True, "blockxsize": 256, "blockysize": 256}
    with rasterio.open(folder / "block.tif", "w", driver="GTiff", transform=place, **profile, **tiled) as dataset:
        dataset.write(image)
    return folder / "block.tif", facts


def away_from_tile_lines(size, tile):
    """Tell which pixels along an axis only one tile sees."""
    stride = round(tile * (1 - OVERLAP))
    seen = np.zeros(size, int)
    for start in range(0, size - tile + 1, stride):
        seen[start : start + tile] += 1
    assert seen.min() == 1
    return seen == 1


def test_geodeep_and_segment_agree_on_a_real_block(export, real_block, tmp_path):
    image, facts = real_block
    path, _, _ = export(None)
    found = geodeep_mask(image, path)
    output = str(tmp_path / "probability.tif")
    options = {"inference_precision": "f32", "gsd": facts.gsd, "overlap": OVERLAP, "threads": 1}
    segment_raster(tasks.SegmentRaster(input=str(image), output=output, **options), Progress())
    with rasterio.open(output) as dataset:
        ours = dataset.read(1) / 254 >= facts.threshold
    assert ours.shape == found.shape and 0.05 < ours.mean() < 0.95
    rows, columns = (away_from_tile_lines(size, facts.tile_size) for size in ours.shape)
    inner = np.ix_(rows, columns)
    away, everywhere = iou(found[inner], ours[inner]), iou(found, ours)
    print(f"\nGeoDeep and segment agree at IoU {away:.4f} away from tile lines, {everywhere:.4f} everywhere")
    assert away >= 0.97
    assert everywhere >= 0.9
