"""A model saved on TensorFlow loads on OpenVINO, without TensorFlow, and exports to the same function."""

import os
import subprocess
import sys

import numpy as np
import pytest

SAVE = """
import sys
import numpy as np
import keras
from building_segmenter.networks.deeplabv3plus import build_deeplabv3plus
keras.utils.set_random_seed(3)
network = build_deeplabv3plus(3, 2, [1 / 127.5] * 3, [-1.0] * 3, aspp_filters=32, decoder_filters=32)
image = np.random.default_rng(5).integers(0, 256, (2, 128, 160, 3)).astype("float32")
# Fresh batch norms do nothing; some steps give them statistics, so that a wrong one would show.
for layer in network.layers:
    if isinstance(layer, keras.layers.BatchNormalization):
        layer.momentum = 0.7
for _ in range(12):
    network(image, training=True)
network.save(sys.argv[1])
np.savez(sys.argv[2], image=image, first=network(image[:1]).numpy(), second=network(image[1:]).numpy())
"""

LOAD = """
import importlib.abc
import sys
class NoTensorFlow(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "tensorflow":
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, NoTensorFlow())
sys.modules["openvino_telemetry"] = None
import keras
import numpy as np
import openvino
network = keras.saving.load_model(sys.argv[1], compile=False)
signature = [keras.InputSpec(shape=(1, 128, 160, 3), dtype="float32")]
network.export(sys.argv[3], format="openvino", input_signature=signature, verbose=False)
compiled = openvino.Core().compile_model(sys.argv[3], "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
from building_segmenter.networks.folding import for_prediction
fast = for_prediction(network)
fast.export(sys.argv[3], format="openvino", input_signature=signature, verbose=False)
graph = openvino.Core().read_model(sys.argv[3])
quick = openvino.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
with np.load(sys.argv[2]) as arrays:
    folded = [quick(arrays["image"][index : index + 1])[0] for index in (0, 1)]
    results = [compiled(arrays["image"][index : index + 1])[0] for index in (0, 1)]
transposes = [op for op in graph.get_ops() if op.get_type_name() == "Transpose"]
planes = [op for op in transposes if op.input_value(0).get_node().get_type_name() != "Constant"]
moved = [op for op in planes if max(op.get_output_shape(0)[1:]) > 100]
fast = {"fast_first": folded[0], "fast_second": folded[1]}
np.savez(sys.argv[4], first=results[0], second=results[1], moved=len(moved), **fast)
"""

OTHERS = """
import sys
sys.modules["openvino_telemetry"] = None
import keras
import numpy as np
import openvino
from keras import layers
from building_segmenter.networks.folding import for_prediction


def compiled(network, path):
    signature = [keras.InputSpec(shape=(1, 32, 48, 3), dtype="float32")]
    network.export(path, format="openvino", input_signature=signature, verbose=False)
    return openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


def with_statistics(network):
    rng = np.random.default_rng(0)
    for layer in network.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 2.0, weight.shape) for weight in layer.get_weights()])
    return network


def networks():
    image = layers.Input((None, None, 3))
    norm = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(image))
    yield keras.Model(image, norm)
    # A batch norm at the image, one after an activation, one of a branch that is used twice, one without a scale.
    first = layers.Conv2D(4, 3, padding="same", activation="relu")(layers.BatchNormalization()(image))
    second = layers.Conv2D(4, 1, use_bias=False)(layers.BatchNormalization()(first))
    joined = layers.Add()([layers.BatchNormalization(scale=False)(second), second])
    deep = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(joined)
    yield keras.Model(image, layers.BatchNormalization(center=False)(deep))
    # The image beside its features, and a layer that is not known to work with channels first.
    beside = layers.Concatenate()([image, layers.BatchNormalization()(layers.Conv2D(4, 1)(image))])
    yield keras.Model(image, beside)
    yield keras.Model(image, layers.Softmax()(layers.BatchNormalization()(layers.Conv2D(4, 1)(image))))
    soft = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(4, 1)(image)))
    yield keras.Model(image, layers.Activation("softmax")(soft))
    # A mean of the surroundings; at the border, of what lies inside.
    features = layers.Conv2D(4, 3, padding="same", activation="relu")(image)
    rows = layers.AveragePooling2D((5, 1), 1, "same")(features)
    means = layers.AveragePooling2D((1, 99), 1, "same")(rows)
    yield keras.Model(image, layers.Add()([features, means]))
    # Bands with scales of their own, and an offset that they share.
    scaled = layers.Rescaling([1.0, 2.0, 3.0], [0.5, 0.5, 0.5])(image)
    yield keras.Model(image, layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(scaled)))
    yield keras.Sequential([layers.Input((None, None, 3)), layers.Conv2D(4, 1), layers.BatchNormalization()])


picture = np.random.default_rng(1).uniform(-1, 1, (1, 32, 48, 3)).astype("float32")
for network in map(with_statistics, networks()):
    before = [weight.copy() for weight in network.get_weights()]
    expected, found = (compiled(one, sys.argv[1])(picture)[0] for one in (network, for_prediction(network)))
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=1e-4)
    assert expected.shape[:3] == (1, 32, 48) and np.ptp(expected) > 0.1
    for weight, old in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)
"""


def run(backend, script, *arguments):
    environment = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, "-c", script, *map(str, arguments)], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[-3000:]


def test_openvino_agrees_with_tensorflow(tmp_path):
    pytest.importorskip("tensorflow")
    model, arrays, exported, answers = (tmp_path / name for name in ("m.keras", "a.npz", "m.xml", "b.npz"))
    run("tensorflow", SAVE, model, arrays)
    run("openvino", LOAD, model, arrays, exported, answers)
    with np.load(arrays) as expected, np.load(answers) as found:
        for name in ("first", "second"):
            assert found[name].shape == (1, 128, 160, 2)
            assert np.ptp(expected[name]) > 0.01
            np.testing.assert_allclose(found[name], expected[name], atol=1e-4)
            np.testing.assert_allclose(found[f"fast_{name}"], expected[name], atol=1e-4)
        # Of the big planes only the image, the result and the one that is enlarged are moved about.
        assert found["moved"] < 10


def test_networks_of_other_shapes_predict_the_same_when_folded(tmp_path):
    run("openvino", OTHERS, tmp_path / "m.xml")
