"""Networks written as ONNX compute what Keras computes, layer by layer; what cannot be written is refused by name."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from building_segmenter.errors import ModelError

CASES = Path(__file__).with_name("onnx_cases.py")
REPOSITORY = CASES.parents[2]


@pytest.fixture(scope="module")
def differences(tmp_path_factory):
    """Run all cases on Keras with TensorFlow and on ONNX Runtime; returns how far they differ, by name."""
    result = tmp_path_factory.mktemp("onnx") / "differences.json"
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "TF_CPP_MIN_LOG_LEVEL": "2"}
    run = subprocess.run([sys.executable, CASES, result], env=environment, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads(result.read_text())


def test_every_known_layer_computes_what_keras_computes(differences):
    shipped = differences.pop("shipped")
    assert len(differences) == 17
    assert {name: value for name, value in differences.items() if not value < 1e-5} == {}
    worst, lowest, highest = shipped
    print(f"\nshipped model: ONNX Runtime and Keras differ by {worst:.1e} at most")
    assert worst < 1e-4
    # A picture of one answer would prove nothing.
    assert lowest < 0.1 and highest > 0.9


def convert(build):
    import keras

    from building_segmenter.networks.onnx_export.graph import Graph, Plane
    from building_segmenter.networks.onnx_export.network import add_network

    image = keras.Input((32, 32, 3))
    outputs = build(keras.layers, image)
    add_network(Graph(), keras.Model(image, outputs), Plane("image", 32, 32))


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda layers, image: layers.LayerNormalization(name="odd")(image), r"odd \(LayerNormalization\)"),
        (lambda layers, image: layers.Conv2D(2, 1, activation="gelu", name="odd")(image), "activation gelu"),
        (lambda layers, image: layers.ReLU(negative_slope=0.1, name="odd")(image), "slope"),
        (lambda layers, image: layers.BatchNormalization(axis=1, name="odd")(image), "axis 1"),
        (
            lambda layers, image: layers.ZeroPadding2D(1, data_format="channels_first", name="odd")(image),
            "channels first",
        ),
        (lambda layers, image: layers.UpSampling2D(2, interpolation="bicubic", name="odd")(image), "bicubic"),
        (lambda layers, image: layers.GlobalAveragePooling2D(name="odd")(image), "without rows and columns"),
    ],
)
def test_what_cannot_be_written_is_named(build, said):
    with pytest.raises(ModelError, match=said) as caught:
        convert(build)
    assert "odd" in caught.value.message
    assert "Conv2D" in caught.value.hint


def test_a_network_of_two_outputs_is_refused():
    with pytest.raises(ModelError, match="1 inputs and 2 outputs"):
        convert(lambda layers, image: [layers.ReLU()(image), layers.Conv2D(1, 1)(image)])
