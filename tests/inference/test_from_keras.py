"""Keras networks brought to OpenVINO, from whatever Keras computes on in a process."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import openvino
import pytest

from building_segmenter.errors import ModelError
from building_segmenter.inference import from_keras
from building_segmenter.inference.from_keras import as_openvino

AFTER_TRAINING = """
import sys
sys.modules["openvino_telemetry"] = None
import keras
import numpy as np
import openvino
from keras import layers
from building_segmenter.inference.from_keras import as_openvino
assert keras.backend.backend() == "tensorflow"
side = 32  # as many columns as channels
image = keras.Input((None, None, 3))
features = layers.Conv2D(side, 3, padding="same", bias_initializer="random_normal")(image)
network = keras.Model(image, layers.Conv2D(1, 1)(layers.ReLU()(features)))
pixels = np.random.default_rng(0).normal(size=(1, side, side, 3)).astype("float32")
core = openvino.Core()
compiled = core.compile_model(as_openvino(core, network, *pixels.shape), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
np.testing.assert_allclose(compiled(pixels)[0], network(pixels).numpy(), atol=1e-4)
"""


def network():
    image = keras.Input((None, None, 3))
    return keras.Model(image, keras.layers.Conv2D(2, 3, padding="same")(image))


def test_a_process_that_has_trained_predicts_what_the_network_says():
    environment = os.environ | {"KERAS_BACKEND": "tensorflow", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", AFTER_TRAINING], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[-3000:]


def test_converted_apart_is_the_same_network(monkeypatch):
    core, model = openvino.Core(), network()
    pixels = np.random.default_rng(0).normal(size=(1, 16, 24, 3)).astype("float32")

    def answer():
        return core.compile_model(as_openvino(core, model, *pixels.shape), "CPU")(pixels)[0]

    here = answer()
    monkeypatch.setattr(keras.backend, "backend", lambda: "tensorflow")
    np.testing.assert_array_equal(answer(), here)


def test_what_went_wrong_apart_is_told(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "tensorflow")
    monkeypatch.setattr(from_keras, "_CHILD", "raise ValueError('no such layer')")
    with pytest.raises(ModelError, match="no such layer") as raised:
        as_openvino(openvino.Core(), network(), 1, 16, 16, 3)
    assert "process of its own" in raised.value.hint
