"""Training from chips on disk to model, history and report, on drawn houses.

The runs share a process of their own, since Keras' backend is chosen once a process.
"""

import csv
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from building_segmenter.networks.model_file import read_facts

pytest.importorskip("tensorflow")

TIMED = ("seconds", "chips_per_second")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("drawn")
    script = Path(__file__).with_name("drawn_runs.py")
    environment = os.environ | {
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    done = subprocess.run([sys.executable, str(script), str(place)], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    return place


@pytest.fixture(scope="module")
def runs(folder):
    return json.loads((folder / "runs.json").read_text(encoding="utf-8"))


def history(path):
    with open(path, encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_network_learns_the_drawn_houses(runs):
    result = runs["first"]["result"]
    assert result["iou"] > 0.6
    assert 0.2 <= result["threshold"] <= 0.8


def test_loss_falls(folder):
    rows = history(folder / "first.csv")
    assert float(rows[-1]["loss"]) < 0.7 * float(rows[0]["loss"])
    assert [int(row["epoch"]) for row in rows] == list(range(1, len(rows) + 1))


def test_same_seed_gives_the_same_history(folder):
    first, again = (
        [{key: value for key, value in row.items() if key not in TIMED} for row in history(folder / f"{name}.csv")]
        for name in ("first", "again")
    )
    assert first == again


def test_best_epoch_by_validation_is_kept(runs, folder):
    rows = history(folder / "first.csv")
    best = max(rows, key=lambda row: float(row["val_iou"]))
    result = runs["first"]["result"]
    assert result["best_epoch"] == int(best["epoch"])
    assert result["iou"] == pytest.approx(float(best["val_iou"]), abs=1e-4)
    assert result["threshold"] == float(best["val_threshold"])


def test_cancel_stops_at_the_next_batch_and_leaves_nothing(runs):
    cancelled = runs["cancelled"]
    assert "batch 2/" in cancelled["stages"][-1]
    assert not [name for name in cancelled["left"] if "cancelled" in name]


def test_progress_rises_to_the_end_and_tells_loss_and_overlap(runs):
    fractions = [fraction for fraction, _ in runs["first"]["progress"]]
    assert fractions == sorted(fractions)
    assert fractions[-1] > 0.9
    stages = [stage for _, stage in runs["first"]["progress"]]
    # 16 chips in batches of 4; but an epoch has 16 steps at least.
    assert sum("loss" in stage and "IoU" in stage for stage in stages) == 3 * 16
    assert any("Epoch 3/3, batch 16/16" in stage for stage in stages)


def test_facts_tell_what_the_model_needs(runs, folder):
    facts = read_facts(folder / "first.keras")
    assert facts.channels == ("building", "contact")
    assert facts.gsd == pytest.approx(0.2)
    assert (facts.dtype, len(facts.bands)) == ("uint8", 3)
    assert facts.scale == pytest.approx((1 / 127.5,) * 3)
    assert facts.threshold == runs["first"]["result"]["threshold"]
    assert facts.metrics["iou"] == runs["first"]["result"]["iou"]
    assert facts.tile_size == 256
    assert facts.training["options"]["seed"] == 1
    assert facts.training["datasets"][0]["training_chips"] == 16
    assert facts.training["versions"]["keras"] == facts.framework_version


def test_report_lies_beside_the_model_with_curves_and_samples(folder):
    text = (folder / "first.html").read_text(encoding="utf-8")
    assert text.count("<svg") == 4
    assert text.count("data:image/jpeg") == 4 * 3
    assert "häuser" in text


def test_sixteen_bit_bands_without_contacts_and_a_backbone_from_a_file(runs, folder):
    facts = read_facts(folder / "sixteen.keras")
    assert facts.channels == ("building",)
    assert facts.pretrained_source == "file backbone.weights.h5"
    assert (facts.dtype, len(facts.bands)) == ("uint16", 4)
    for band, scale, offset in zip(facts.bands, facts.scale, facts.offset, strict=True):
        assert band.mean * scale + offset == pytest.approx(0.0, abs=1e-6)
        assert band.stddev * scale == pytest.approx(0.5)
    assert [row["phase"] for row in history(folder / "sixteen.csv")] == ["heads", "all"]
    assert (folder / "reports" / "other.html").is_file()
    assert runs["sixteen"]["result"]["report"].endswith("other.html")


@pytest.mark.parametrize(
    ("case", "code"),
    [
        ("no folder for the output", "output-not-writable"),
        ("no folder for the report", "output-not-writable"),
        ("no dataset", "input-not-found"),
        ("no weights", "input-not-found"),
        ("other bands", "bands"),
        ("other bands than the model", "bands"),
        ("ground pixel far from the model's", "invalid-parameter"),
        ("another ground pixel than the model's", "invalid-parameter"),
        ("no memory", "out-of-memory"),
    ],
)
def test_failure_has_its_code_and_hint_and_leaves_nothing(runs, case, code):
    failure = runs["failures"][case]
    assert failure["code"] == code
    assert failure["hint"]
    assert not failure["left"]


def test_too_little_memory_is_told_with_a_batch_that_fits(runs):
    proposed = re.search(r"BATCH_SIZE to (\d+)", runs["failures"]["no memory"]["hint"])
    assert 1 <= int(proposed[1]) < 1024


def test_model_goes_on_from_another_at_its_ground_pixel(runs, folder):
    first, tuned = read_facts(folder / "first.keras"), read_facts(folder / "tuned.keras")
    assert tuned.gsd == first.gsd == pytest.approx(0.2)
    assert (tuned.scale, tuned.offset, tuned.bands) == (first.scale, first.offset, first.bands)
    assert tuned.pretrained_source == "the model first"
    assert tuned.tile_size == first.tile_size
    (told,) = (line for line in runs["tuned"]["logs"] if "The initial model has an IoU of" in line)
    assert f"{tuned.training['initial_iou']:.4f}" in told
    # Houses of the same kind, drawn with another seed: the model knows them before it is trained on them.
    assert tuned.training["initial_iou"] > 0.3
    assert [row["phase"] for row in history(folder / "tuned.csv")] == ["all"]
    # Chips of 64 px at 0.14 m become 45 px at 0.2 m, so pieces have 32 px.
    assert any("crop 32 px" in line for line in runs["tuned"]["logs"])
    assert any("resampled to 0.2 m" in line for line in runs["tuned"]["logs"])
    # It has seen such houses before: a new network begins with a far higher loss.
    assert float(history(folder / "tuned.csv")[0]["loss"]) < 0.7 * float(history(folder / "curve.csv")[-1]["loss"])


def test_learning_curve_over_datasets_of_every_format(runs, folder):
    rows = history(folder / "curve.csv")
    assert [(row["chips"], row["epoch"]) for row in rows] == [("5", "1"), ("10", "1")]
    facts = read_facts(folder / "curve.keras")
    points = facts.training["learning_curve"]
    assert [point["chips"] for point in points] == [5, 10]
    assert [point["iou"] for point in points] == [round(float(row["val_iou"]), 4) for row in rows]
    assert [one["format"] for one in facts.training["datasets"]] == [
        "classified-tiles",
        "hdf5",
        "coco",
        "yolo",
        "rcnn-masks",
    ]
    assert "Learning curve" in (folder / "curve.html").read_text(encoding="utf-8")


def test_logs_for_tensorboard_hold_every_epoch(folder):
    from tensorflow import make_ndarray
    from tensorflow.compat.v1.train import summary_iterator

    (log,) = (folder / "logs" / "curve" / "10 chips").iterdir()
    drawn = {
        value.tag: float(make_ndarray(value.tensor))
        for event in summary_iterator(str(log))
        for value in event.summary.value
    }
    row = history(folder / "curve.csv")[-1]
    assert drawn["iou/validation"] == pytest.approx(float(row["val_iou"]), abs=1e-6)
    assert drawn["loss/training"] == pytest.approx(float(row["loss"]), abs=1e-6)


def test_report_tells_how_to_repeat_the_run(folder):
    text = (folder / "first.html").read_text(encoding="utf-8")
    assert "building_segmenter train" in text
    digest = read_facts(folder / "first.keras").training["datasets"][0]["manifest_sha256"]
    assert digest == hashlib.sha256((folder / "häuser" / "dataset.json").read_bytes()).hexdigest()
    assert digest in text


def test_nothing_is_left_beside_the_outputs(folder):
    assert not list(folder.rglob("*.tmp"))
    assert not list(folder.glob("*.partial"))
