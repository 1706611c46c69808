"""What a model file says of itself, of ours and of others, and what is refused."""

import dataclasses
import hashlib
import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from building_segmenter.errors import InputNotFoundError, ModelError, UnsafeModelError
from building_segmenter.networks.inspection import inspect_model
from building_segmenter.networks.model_file import read_facts
from building_segmenter.networks.onnx_export.segmentation import FACTS_KEY, as_onnx


@pytest.fixture
def foreign():
    """A network without facts: three bands in, four classes out."""
    import keras

    image = keras.Input((64, None, 3), name="picture")
    hidden = keras.layers.Conv2D(5, 3, padding="same", name="hidden")(image)
    return keras.Model(image, keras.layers.Conv2D(4, 1, activation="softmax", name="classes")(hidden))


PARAMETERS = 5 * 27 + 5 + 4 * 5 + 4


def test_a_model_of_ours_says_all(bright_model):
    told = inspect_model(bright_model)
    assert told.facts == read_facts(bright_model)
    assert told.inputs == [{"name": "image", "shape": [None, 128, 128, 3], "type": "float32"}]
    assert told.outputs == [{"name": "probabilities", "shape": [None, 128, 128, 1], "type": "float32"}]
    with open(bright_model, "rb") as file:
        content = file.read()
    assert (told.size, told.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_a_foreign_keras_archive(foreign, tmp_path):
    path = tmp_path / "foreign.keras"
    foreign.save(path)
    told = inspect_model(path)
    assert (told.format, told.facts, told.parameters) == ("Keras archive", None, PARAMETERS)
    assert told.inputs == [{"name": "picture", "shape": [None, 64, None, 3], "type": "float32"}]
    assert [one["shape"] for one in told.outputs] == [[None, 64, None, 4]]
    assert told.layers == {"Conv2D": 2, "InputLayer": 1}


def test_a_keras_hdf5_file(foreign, tmp_path):
    path = tmp_path / "foreign.h5"
    foreign.compile("adam", "mse")
    foreign.optimizer.build(foreign.trainable_variables)
    foreign.save(path)
    told = inspect_model(path)
    assert told.format.startswith("Keras HDF5 (Keras 3.")
    assert (told.facts, told.parameters) == (None, PARAMETERS)
    assert [(one["name"], one["shape"]) for one in told.inputs] == [("picture", [None, 64, None, 3])]
    assert [(one["name"], one["shape"]) for one in told.outputs] == [("classes", [None, None, None, 4])]


def test_hdf5_weights_alone_are_no_model(foreign, tmp_path):
    path = tmp_path / "only.weights.h5"
    foreign.save_weights(path)
    with pytest.raises(ModelError, match="weights only"):
        inspect_model(path)


def test_an_onnx_file_from_elsewhere(tmp_path):
    weight = onnx.numpy_helper.from_array(np.ones((2, 3, 1, 1), np.float32), "w")
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 32, 32])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2, 32, 32])
    graph = helper.make_graph([helper.make_node("Conv", ["x", "w"], ["y"])], "g", [image], [result], [weight])
    model = helper.make_model(graph, producer_name="someone", opset_imports=[helper.make_opsetid("", 17)])
    helper.set_model_props(model, {"resolution": "30", "model_type": '"Segmentor"'})
    onnx.save(model, tmp_path / "other.onnx")
    told = inspect_model(tmp_path / "other.onnx")
    assert told.format == "ONNX, operators 17, by someone"
    assert told.inputs == [{"name": "x", "shape": [None, 3, 32, 32], "type": "float"}]
    assert told.outputs == [{"name": "y", "shape": [None, 2, 32, 32], "type": "float"}]
    assert (told.facts, told.parameters, told.layers) == (None, 6, {"Conv": 1})
    assert told.metadata == {"resolution": "30", "model_type": '"Segmentor"'}


@pytest.mark.parametrize("damage", ["{", '{"properties": {}}'])
def test_an_exported_file_has_our_facts_unless_they_are_damaged(bright_model, tmp_path, damage):
    from building_segmenter.networks.facts import facts_to_item
    from building_segmenter.networks.model_file import load_model

    network, facts = load_model(bright_model)
    model = as_onnx(network, facts, facts.threshold, facts_to_item(facts))
    path = tmp_path / "ours.onnx"
    onnx.save(model, path)
    told = inspect_model(path)
    assert told.facts == facts
    assert FACTS_KEY not in told.metadata and json.loads(told.metadata["model_type"]) == "Segmentor"
    next(one for one in model.metadata_props if one.key == FACTS_KEY).value = damage
    onnx.save(model, path)
    with pytest.raises(ModelError, match=r"facts in .*ours\.onnx|ours\.onnx lack"):
        inspect_model(path)


@pytest.mark.parametrize("content", [b"", b"\x00\xff no model at all", b"\x08\x07"])
@pytest.mark.parametrize("ending", [".onnx", ".h5", ".keras", ".pt"])
def test_what_is_no_model_is_refused(tmp_path, content, ending):
    path = tmp_path / f"broken{ending}"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="broken") as caught:
        inspect_model(path)
    assert caught.value.hint


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputNotFoundError, match=r"gone\.onnx"):
        inspect_model(tmp_path / "gone.onnx")


def test_code_in_a_foreign_archive_is_not_run(tmp_path):
    import keras

    image = keras.Input((8, 8, 1))
    keras.Model(image, keras.layers.Lambda(lambda x: x * 2)(image)).save(tmp_path / "code.keras")
    with pytest.raises(UnsafeModelError, match="Lambda"):
        inspect_model(tmp_path / "code.keras")


def test_the_description_is_ready_for_json(bright_model):
    told = dataclasses.asdict(inspect_model(bright_model))
    assert json.loads(json.dumps(told))["facts"]["threshold"] == 0.5
