"""Keras networks from elsewhere, with and without an archive, and what is refused in HDF5 files."""

import json

import h5py
import keras
import numpy as np
import openvino
import pytest
from foreign_networks import MIDDLE, STEEP, logit

from building_segmenter.errors import InvalidParameterError, ModelError, UnsafeModelError
from building_segmenter.inference.models import _to_graph
from building_segmenter.networks.foreign.model import keras_model
from building_segmenter.networks.foreign.stated import Stated
from building_segmenter.networks.inspection import inspect_model

STATED = Stated(gsd=0.2, scaling="none", tile_size=64)


def network(activation="sigmoid", channels=1, size=None, layout="channels_last"):
    """Return a network of two convolutions about a batch norm; the first channel is the logit of brightness."""
    shape = (size, size, 3) if layout == "channels_last" else (3, size, size)
    axis = -1 if layout == "channels_last" else 1
    image = keras.Input(shape)
    hidden = keras.layers.Conv2D(1, 1, data_format=layout, use_bias=False, name="mean")(image)
    hidden = keras.layers.BatchNormalization(axis=axis, epsilon=0.0, name="norm")(hidden)
    result = keras.layers.Conv2D(channels, 1, data_format=layout, activation=activation, name="logit")(hidden)
    model = keras.Model(image, result)
    model.get_layer("mean").set_weights([np.full((1, 1, 3, 1), 1 / 3, np.float32)])
    model.get_layer("norm").set_weights([np.array([value], np.float32) for value in (1.0, 0.0, MIDDLE, 1.0)])
    kernel = STEEP * np.arange(1, channels + 1, dtype=np.float32)
    model.get_layer("logit").set_weights([kernel[None, None, None], np.zeros(channels, np.float32)])
    return model


@pytest.fixture
def image():
    return np.random.default_rng(3).integers(0, 256, (64, 64, 3)).astype(np.float32)


@pytest.fixture
def load(tmp_path):
    def run(model, ending=".keras", stated=STATED):
        path = tmp_path / f"elsewhere{ending}"
        if model is not None:
            model.save(path)
        return keras_model(path, stated, _to_graph)

    return run


def answer(model, image):
    compiled = openvino.Core().compile_model(model.graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return compiled(image[None])[0][0]


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_networks_of_one_class(load, image, ending, layout, activation):
    model = load(network(activation, layout=layout), ending)
    np.testing.assert_allclose(answer(model, image)[..., 0], 1 / (1 + np.exp(-logit(image))), atol=1e-5)
    assert (model.facts.tile_size, model.facts.gsd, model.facts.channels) == (64, 0.2, ("building",))


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_a_class_of_several_at_a_fixed_size(load, image, ending):
    model = load(network("softmax", 3, 64), ending, Stated(gsd=0.2, scaling="none", wanted="3"))
    powers = np.exp(logit(image)[..., None] * [1, 2, 3])
    np.testing.assert_allclose(
        answer(model, image)[..., 0], (powers / powers.sum(axis=-1, keepdims=True))[..., 2], atol=1e-5
    )


def test_missing_facts_are_named(load):
    with pytest.raises(InvalidParameterError, match="MODEL_GSD and MODEL_TILE_SIZE and MODEL_SCALING"):
        load(network(), stated=Stated())


def test_a_network_of_something_else_is_refused(load):
    model = keras.Sequential([keras.Input((64, 64, 3)), keras.layers.GlobalAveragePooling2D()])
    with pytest.raises(ModelError, match="64 x 64 px into 1 x 3"):
        load(model)


def test_a_file_as_keras_2_wrote_it(load, image, tmp_path):
    """Keras 2 stated no modules."""
    network().save(tmp_path / "elsewhere.h5")
    with h5py.File(tmp_path / "elsewhere.h5", "r+") as file:
        config = json.loads(file.attrs["model_config"])
        file.attrs["model_config"] = json.dumps(_without_modules(config))
        file.attrs["keras_version"] = "2.10.0"
    assert '"module"' not in json.dumps(_without_modules(config))
    model = load(None, ".h5")
    np.testing.assert_allclose(answer(model, image)[..., 0], 1 / (1 + np.exp(-logit(image))), atol=1e-5)


def _without_modules(config):
    if isinstance(config, list):
        return [_without_modules(one) for one in config]
    if not isinstance(config, dict):
        return config
    if config.get("class_name") == "DTypePolicy":
        return config["config"]["name"]
    plain = {key: _without_modules(value) for key, value in config.items() if key not in ("module", "registered_name")}
    if "batch_shape" in plain:
        plain["batch_input_shape"] = plain.pop("batch_shape")
    return plain


@pytest.mark.parametrize("name", ["Lambda", "TFOpLambda", "SlicingOpLambda", "Exec", "deserialize"])
@pytest.mark.parametrize("module", [None, "keras.layers", "os"])
def test_code_in_hdf5_files_is_not_run(load, tmp_path, name, module):
    network().save(tmp_path / "elsewhere.h5")
    with h5py.File(tmp_path / "elsewhere.h5", "r+") as file:
        config = json.loads(file.attrs["model_config"])
        layer = {"class_name": name, "module": module, "config": {"name": "code", "function": ["4wEA", None, None]}}
        config["config"]["layers"].insert(1, layer)
        file.attrs["model_config"] = json.dumps(config)
    if name == "Lambda" or module != "keras.layers" or name == "deserialize":
        with pytest.raises(UnsafeModelError) as caught:
            load(None, ".h5")
        assert name in caught.value.message and caught.value.hint
    else:
        with pytest.raises(ModelError):
            load(None, ".h5")


def test_links_in_hdf5_files_are_refused(load, tmp_path):
    network().save(tmp_path / "elsewhere.h5")
    with h5py.File(tmp_path / "elsewhere.h5", "r+") as file:
        file["model_weights"]["far"] = h5py.ExternalLink("other.h5", "/secret")
    for use in (lambda: load(None, ".h5"), lambda: inspect_model(tmp_path / "elsewhere.h5")):
        with pytest.raises(UnsafeModelError, match=r"other\.h5"):
            use()


def test_weights_alone_are_no_model(load, tmp_path):
    network().save_weights(tmp_path / "elsewhere.weights.h5")
    with pytest.raises(ModelError, match="weights only"):
        load(None, ".weights.h5")
