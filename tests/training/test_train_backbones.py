"""Every backbone, and mixed precision, through a whole training on drawn houses to a model that loads elsewhere."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from building_segmenter.networks.model_file import load_model

pytest.importorskip("tensorflow")

XCEPTION = Path(__file__).parents[3] / "shared/weights/xception_imagenet_notop.fp16.npz"


def trained(folder, **options):
    """Train; returns the model, loaded in this process (OpenVINO), its facts and its history."""
    script = Path(__file__).with_name("backbone_trainings.py")
    environment = os.environ | {
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    command = [sys.executable, str(script), str(folder), json.dumps(options)]
    done = subprocess.run(command, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    with open(folder / "m.csv", encoding="utf-8") as file:
        history = list(csv.DictReader(file))
    return *load_model(folder / "m.keras"), history


def falls(history):
    losses = [float(row["loss"]) for row in history]
    return np.isfinite(losses).all() and losses[-1] < losses[0]


def test_mixed_precision_leaves_an_ordinary_model(tmp_path):
    options = {"backbone_weights": "none", "epochs": 2, "batch_size": 2}
    model, facts, history = trained(tmp_path, training_precision="mixed_bfloat16", **options)
    assert falls(history)
    assert facts.training["options"]["training_precision"] == "mixed_bfloat16"
    assert {layer.dtype_policy.name for layer in model.layers} == {"float32"}


@pytest.mark.slow
def test_xception_goes_on_from_imagenet(tmp_path):
    if not XCEPTION.is_file():
        pytest.skip(f"no pretrained weights at {XCEPTION}")
    options = {"epochs": 2, "head_epochs": 1, "batch_size": 1, "backbone_weights": str(XCEPTION)}
    model, facts, history = trained(tmp_path, backbone="xception", **options)
    assert [row["phase"] for row in history] == ["heads", "all"]
    assert falls(history)
    assert facts.architecture == "DeepLabV3+ with Xception, output stride 16"
    assert facts.pretrained_source == f"file {XCEPTION.name}"
    with np.load(XCEPTION) as arrays:
        first = arrays["w000"].astype("float32")
    kernel = model.get_layer("block1_conv1").get_weights()[0]
    assert 0 < np.abs(kernel - first).max() < 0.05 * np.abs(first).max()


@pytest.mark.slow
@pytest.mark.parametrize(("backbone", "output_stride"), [("resnet101", "16"), ("resnet50", "8")])
def test_resnets_train_from_scratch(tmp_path, backbone, output_stride):
    options = {"epochs": 2, "batch_size": 1, "backbone_weights": "none", "output_stride": output_stride}
    _, facts, history = trained(tmp_path, backbone=backbone, **options)
    assert {row["phase"] for row in history} == {"all"}
    assert falls(history)
    assert facts.architecture == f"DeepLabV3+ with ResNet-{backbone[6:]}, output stride {output_stride}"
    assert facts.parameters > 20_000_000
