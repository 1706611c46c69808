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
with np.load(sys.argv[2]) as arrays:
    results = [compiled(arrays["image"][index : index + 1])[0] for index in (0, 1)]
np.savez(sys.argv[4], first=results[0], second=results[1])
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
