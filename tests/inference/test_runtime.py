"""Networks are compiled once and found again, and compute the same bytes either way."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import openvino
import pytest

from building_segmenter import tasks
from building_segmenter.errors import InvalidParameterError, ModelError
from building_segmenter.inference import compiling
from building_segmenter.inference.devices import chosen_device
from building_segmenter.inference.model_cache import VARIABLE, ModelCache
from building_segmenter.inference.network import Network, giving_planes, keras_network
from building_segmenter.inference.runtime import TilePredictor
from building_segmenter.inference.segment import segment_raster
from building_segmenter.inference.turns import TURNS, turned, turned_back
from building_segmenter.networks.model_file import read_facts, save_model
from building_segmenter.networks.shipped import default_model_path
from building_segmenter.progress import Progress

SIDE = 64
SETTINGS = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "f32"}
REPOSITORY = Path(__file__).resolve().parents[2]

COMMAND = """
import sys
from building_segmenter.engine import run
from building_segmenter.progress import Progress
from building_segmenter.tasks import SegmentRaster

image, output, model = sys.argv[1:]
progress = Progress()
run(SegmentRaster(input=image, output=output, model=model), progress)
print("keras" in sys.modules, *progress.sink.logs, sep="|")
"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The folder of compiled models of this test."""
    folder = tmp_path / "compiled models"
    monkeypatch.setenv(VARIABLE, str(folder))
    return folder


@pytest.fixture(scope="module")
def small_model(tmp_path_factory, bright_model):
    """A network of some drawn convolutions with tiles of 64 pixels, whose answers depend on what lies around."""
    inputs = keras.Input((None, None, 3))
    inner = keras.layers.Rescaling(1 / 127.5, -1.0)(inputs)
    inner = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(inner)
    inner = keras.layers.DepthwiseConv2D(3, padding="same")(inner)
    network = keras.Model(inputs, keras.layers.Conv2D(2, 1, activation="sigmoid")(inner))
    random = np.random.default_rng(4)
    network.set_weights([random.normal(0, 0.5, weights.shape) for weights in network.get_weights()])
    facts = dataclasses.replace(read_facts(bright_model), tile_size=SIDE, channels=("building", "contact"))
    path = tmp_path_factory.mktemp("model") / "small.keras"
    save_model(network, facts, path)
    return str(path)


@pytest.fixture(scope="module")
def tile():
    return np.random.default_rng(5).integers(0, 255, (SIDE, SIDE, 3)).astype(np.float32)


def network_of(model, **facts):
    return keras_network(model, dataclasses.replace(read_facts(model), **facts))


def never_built(network):
    def build(core):
        raise AssertionError("the network is built although it was compiled before")

    return dataclasses.replace(network, build=build)


@pytest.mark.parametrize("precision", ["f32", "auto"])
@pytest.mark.parametrize("threads", [0, 1])
def test_a_network_from_the_cache_gives_the_same_bytes(small_model, tile, cache, monkeypatch, precision, threads):
    network = network_of(small_model)
    first = TilePredictor(network, precision, threads)
    again = TilePredictor(never_built(network), precision, threads)
    monkeypatch.setenv(VARIABLE, "off")
    without = TilePredictor(network, precision, threads)
    expected = without.predict(tile)
    assert np.ptp(expected) > 0.1
    for predictor in (first, again):
        assert predictor.predict(tile).tobytes() == expected.tobytes()
        assert (predictor.runtime.precision, predictor.requests) == (without.runtime.precision, without.requests)
    assert len(list(cache.iterdir())) == 1


@pytest.mark.slow
def test_the_shipped_model_from_the_cache_gives_the_same_bytes(cache):
    model = default_model_path()
    facts = read_facts(model)
    tile = np.random.default_rng(8).integers(0, 255, (facts.tile_size, facts.tile_size, 3)).astype(np.float32)
    network = keras_network(model, facts)
    expected = TilePredictor(network).predict(tile)
    assert TilePredictor(never_built(network)).predict(tile).tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    "other",
    [
        lambda model: (network_of(model), "f32", 1),
        lambda model: (network_of(model, tile_size=96), "f32", 0),
        lambda model: (dataclasses.replace(network_of(model), content="another"), "f32", 0),
    ],
    ids=["threads", "tile", "content"],
)
def test_what_the_result_may_depend_on_is_another_entry(bright_model, cache, other):
    TilePredictor(network_of(bright_model), "f32", 0)
    TilePredictor(*other(bright_model))
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("program", ["openvino", "keras", "sources"])
def test_another_version_of_a_program_is_another_entry(bright_model, cache, monkeypatch, program):
    TilePredictor(network_of(bright_model), "f32")
    if program == "openvino":
        monkeypatch.setattr(compiling.openvino, "__version__", "2099.0.0")
    elif program == "keras":
        monkeypatch.setattr(compiling, "version", lambda name: "9.0")
    else:
        monkeypatch.setattr(compiling, "_sources_digest", lambda: "changed")
    TilePredictor(network_of(bright_model), "f32")
    assert len(list(cache.iterdir())) == 2


def test_a_model_of_the_same_name_with_other_weights_is_another_network(bright_model, tmp_path):
    before = network_of(bright_model).content
    copy = tmp_path / "copy.keras"
    copy.write_bytes(Path(bright_model).read_bytes())
    assert network_of(copy).content == before
    copy.write_bytes(Path(bright_model).read_bytes()[:-1])
    assert keras_network(copy, read_facts(bright_model)).content != before


def test_a_damaged_entry_is_built_again_and_replaced(small_model, tile, cache):
    network, logs = network_of(small_model), []
    expected = TilePredictor(network, "f32").predict(tile)
    (entry,) = cache.iterdir()
    stored = entry.read_bytes()
    entry.write_bytes(stored[: len(stored) // 2])
    again = TilePredictor(network, "f32", log=logs.append)
    assert again.predict(tile).tobytes() == expected.tobytes()
    assert len(logs) == 1 and "damaged" in logs[0]
    np.testing.assert_array_equal(TilePredictor(never_built(network), "f32").predict(tile), expected)


def test_an_entry_that_openvino_refuses_is_built_again_and_replaced(bright_model, tile, cache):
    network, logs = network_of(bright_model, tile_size=SIDE), []
    expected = TilePredictor(network, "f32").predict(tile)
    # The entry is as it was written, by a program that wrote nonsense.
    key = compiling._key(giving_planes(network), chosen_device(openvino.Core(), "cpu"), SETTINGS)
    ModelCache(cache, logs.append).write(key, b"no model")
    assert len(list(cache.iterdir())) == 1
    again = TilePredictor(network, "f32", log=logs.append)
    assert again.predict(tile).tobytes() == expected.tobytes()
    assert len(logs) == 1 and "cannot be used" in logs[0]
    assert TilePredictor(never_built(network), "f32").predict(tile).tobytes() == expected.tobytes()


def test_a_cache_that_cannot_be_written_is_told_and_does_no_harm(bright_model, tile, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file" / "models"))
    logs = []
    predictor = TilePredictor(network_of(bright_model, tile_size=SIDE), "f32", log=logs.append)
    assert predictor.predict(tile).shape == (SIDE, SIDE, 1)
    assert logs


def test_a_network_that_cannot_be_built_says_so(cache):
    def build(core):
        raise ModelError("no layers", "Give it some.")

    with pytest.raises(ModelError, match="no layers"):
        TilePredictor(Network("broken", build), "f32")
    assert not cache.exists()


def test_a_network_that_cannot_be_compiled_says_for_what(cache, monkeypatch, bright_model):
    class Refusing(compiling.openvino.Core):
        def compile_model(self, *given):
            raise RuntimeError("Exception from core.cpp:\nunsupported")

    monkeypatch.setattr(compiling.openvino, "Core", Refusing)
    with pytest.raises(ModelError, match="cannot be compiled for") as caught:
        TilePredictor(network_of(bright_model), "f32")
    assert "DEVICE" in caught.value.hint


def test_a_card_that_is_not_there(bright_model, cache):
    if any(name.startswith("GPU") for name in openvino.Core().available_devices):
        pytest.skip("this machine has a graphics card that OpenVINO can use")
    with pytest.raises(InvalidParameterError, match="DEVICE is gpu"):
        TilePredictor(network_of(bright_model), "f32", device="gpu")


@pytest.mark.parametrize("choice", ["flips", "turns"])
def test_augmented_prediction_is_the_mean_over_turned_tiles(small_model, tile, cache, choice):
    network = network_of(small_model)
    once, mean = TilePredictor(network, "f32"), TilePredictor(network, "f32", augment=choice)
    looks = [turned_back(once.predict(turned(tile, turn)), turn) for turn in TURNS[choice]]
    assert np.abs(looks[1] - looks[0]).max() > 1e-3
    np.testing.assert_allclose(mean.predict(tile), np.mean(looks, axis=0), atol=1e-6)


def test_augmented_rasters_do_not_depend_on_threads(small_model, write_image, tmp_path, cache):
    image = write_image(np.random.default_rng(6).integers(0, 255, (150, 130, 3)).astype(np.uint8))
    given = {"input": image, "model": small_model, "inference_precision": "f32"}
    results = []
    for number, options in enumerate(({"threads": 1}, {"threads": 2}, {"augment": "none"})):
        output = tmp_path / f"{number}.tif"
        segment_raster(tasks.SegmentRaster(**given, **({"augment": "turns"} | options), output=str(output)), Progress())
        results.append(output.read_bytes())
    assert results[0] == results[1] != results[2]


def test_the_second_run_does_without_keras_and_gives_the_same_bytes(small_model, write_image, tmp_path, cache):
    image = write_image(np.random.default_rng(7).integers(0, 255, (90, 70, 3)).astype(np.uint8))
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    environment.pop("KERAS_BACKEND", None)
    told, made = [], []
    for number in range(2):
        output = tmp_path / f"{number}.tif"
        words = [sys.executable, "-c", COMMAND, image, str(output), small_model]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
        told.append(done.stdout.strip().split("|"))
        made.append(output.read_bytes())
    assert [one[0] for one in told] == ["True", "False"]
    assert told[0][1:] == told[1][1:]
    assert "OpenVINO" in told[1][1] and ("bf16" in told[1][1] or "f32" in told[1][1])
    assert made[0] == made[1]
