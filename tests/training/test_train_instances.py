"""Training of Mask R-CNN from chips on disk to model, history and report, on drawn squares.

The runs share a process of their own, since Keras' backend is chosen once a process.
"""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from building_segmenter import tasks
from building_segmenter.errors import InvalidParameterError
from building_segmenter.networks.model_file import read_facts

pytest.importorskip("tensorflow")

LOSSES = ("rpn_class_loss", "rpn_bbox_loss", "mrcnn_class_loss", "mrcnn_bbox_loss", "mrcnn_mask_loss")
TIMED = ("seconds", "chips_per_second")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("squares")
    trained(place, "whole")
    return place


@pytest.fixture(scope="module")
def runs(folder):
    return json.loads((folder / "whole.json").read_text(encoding="utf-8"))


def trained(folder, which):
    environment = os.environ | {
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    command = [sys.executable, str(Path(__file__).with_name("instance_runs.py")), str(folder), which]
    done = subprocess.run(command, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[-3000:]


def history(path):
    with open(path, encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_losses_fall_and_are_told_one_by_one(runs, folder):
    rows = history(folder / "whole.csv")
    assert [row["phase"] for row in rows] == ["heads", "all"]
    # More regions are objects as proposals get better, so the losses of boxes may rise at first. The mask loss of six
    # training steps is of other regions in each epoch, and hardly falls from one to the next; on validation it does.
    for name in ("loss", "rpn_class_loss", "val_loss", "val_rpn_class_loss", "val_mrcnn_mask_loss"):
        assert float(rows[-1][name]) < float(rows[0][name]), name
    for row in rows:
        for prefix in ("", "val_"):
            parts = [float(row[prefix + name]) for name in LOSSES]
            assert sum(parts) == pytest.approx(float(row[f"{prefix}loss"]), rel=1e-5) and min(parts) >= 0
    batch = next(stage for stage in runs["whole"]["stages"] if "batch 2/" in stage)
    assert "regions: class" in batch and "objects: class" in batch and "mask" in batch


def test_best_epoch_by_average_precision_is_kept(runs, folder):
    rows, result = history(folder / "whole.csv"), runs["whole"]["result"]
    best = max(rows, key=lambda row: (float(row["val_ap50"]), -float(row["val_loss"])))
    assert result["best_epoch"] == int(best["epoch"])
    assert result["ap50"] == pytest.approx(float(best["val_ap50"]), abs=1e-4)


def test_layers_before_the_named_stage_keep_what_they_know(runs):
    blocks = {name: {int(one.split("_")[1]) for one in names} for name, names in runs["part"].items()}
    assert blocks["same"] == {1, 2, 3, 4, 5} and min(blocks["changed"]) == 6


@pytest.mark.slow
def test_cancelled_within_a_batch_and_resumed_to_the_same_losses(folder):
    trained(folder, "stopped")
    runs = json.loads((folder / "stopped.json").read_text(encoding="utf-8"))
    assert runs["cancelled"]["stages"][-1].startswith("Epoch 2/2, batch 2/")
    assert runs["cancelled"]["left"] == ["stopped.keras.partial"]
    assert not any("Epoch 1/2" in stage for stage in runs["resumed"]["stages"])
    for one, other in zip(history(folder / "whole.csv"), history(folder / "stopped.csv"), strict=True):
        for name in set(one) - {"phase", *TIMED}:
            assert float(other[name]) == pytest.approx(float(one[name]), rel=1e-4, abs=1e-5), name
    assert not list(folder.glob("*.partial"))


def test_the_model_knows_its_facts_and_loads(folder):
    facts = read_facts(folder / "whole.keras")
    assert facts.architecture == "Mask R-CNN with MobileNetV2" and facts.channels == ("house", "shed & co")
    assert facts.gsd == pytest.approx(0.1524) and facts.tile_size % 64 == 0 and facts.dtype == "uint8"
    assert [one["value"] for one in facts.classes] == [1, 4]
    assert {"ap50", "ap75", "f1", "precision", "recall"} <= set(facts.metrics)
    assert facts.training["options"]["architecture"] == "mask-rcnn"
    with np.load(folder / "found.npz") as found:
        assert int(found["weights"]) == facts.parameters and int(found["classes"]) == 3


def test_the_report_shows_every_loss_and_needs_nothing_else(folder):
    page = (folder / "whole.html").read_text(encoding="utf-8")
    for title in ("Regions: boxes", "Objects: masks", "Average precision on the validation chips", "AP75"):
        assert title in page
    assert 'src="http' not in page and "--architecture mask-rcnn" in page


def test_chips_without_masks_are_refused(runs):
    assert runs["no masks"]["code"] == "invalid-parameter" and "rcnn-masks" in runs["no masks"]["hint"]


@pytest.mark.parametrize(
    "given",
    [
        {"backbone": "xception"},
        {"backbone": "resnet101"},
        {"initial_model": "m.keras"},
        {"output_stride": "8"},
        {"learning_curve": 2},
        {"training_precision": "mixed_bfloat16"},
        {"layers": "3+", "backbone_weights": "none"},
    ],
)
def test_options_that_mean_nothing_to_it_are_refused(given):
    recipe = {"dataset": "chips", "output": "m.keras", "architecture": "mask-rcnn"}
    assert tasks.build_task("train", recipe | {"backbone": "resnet101", "backbone_weights": "coco.h5"}).backbone
    with pytest.raises(InvalidParameterError, match=next(iter(given)).upper()) as caught:
        tasks.build_task("train", recipe | given)
    assert caught.value.hint


def test_layers_are_of_this_architecture():
    with pytest.raises(InvalidParameterError, match="LAYERS"):
        tasks.build_task("train", {"dataset": "chips", "output": "m.keras", "layers": "4+"})
