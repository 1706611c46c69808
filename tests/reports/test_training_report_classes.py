"""The report of a training of several classes."""

import re

import numpy as np

from building_segmenter.networks.facts import BandFacts, ModelFacts
from building_segmenter.reports.classes import ClassFigures, class_key, class_pictures, class_tables
from building_segmenter.reports.training import RunReport, Sample, render_run_report

NAMES = ("background", "roof <1>", "water", "wood")
MATRIX = np.array([[900, 50, 50, 0], [100, 1234567, 0, 0], [0, 25, 75, 0], [0, 0, 0, 0]])
METRICS = {
    "roof <1>": {"iou": 0.91, "precision": 0.92, "recall": 0.93, "f1": 0.94},
    "water": {"iou": 0.375, "precision": 0.6, "recall": 0.75, "f1": 0.66},
}
FIGURES = ClassFigures(NAMES, MATRIX, METRICS)
FACTS = ModelFacts(
    name="Land cover",
    architecture="DeepLabV3+",
    bands=(BandFacts("1", 0.0, 255.0, 100.0, 50.0),),
    dtype="uint8",
    scale=(1 / 127.5,),
    offset=(-1.0,),
    gsd=0.15,
    tile_size=512,
    channels=NAMES,
    classes=tuple({"value": i, "name": name} for i, name in enumerate(NAMES[1:], start=1)),
    threshold=0.5,
    created="2026-01-02T03:04:05Z",
    metrics={"iou": 0.6425, "precision": 0.76, "recall": 0.84, "f1": 0.8, "iou: water": 0.375},
    activation="softmax",
)


def report(samples=1):
    rng = np.random.default_rng(0)
    label = np.zeros((48, 48), np.uint8)
    label[:20], label[40:] = 2, 255
    made = [
        Sample(f"a/{i}", 0.5, rng.integers(0, 255, (48, 48, 1), np.uint8), label, rng.random((48, 48, 4)))
        for i in range(samples)
    ]
    measured = {"loss": 0.5, "iou": 0.3, "val_loss": 0.5, "val_iou": 0.35}
    history = [{"epoch": epoch, "phase": "all", "learning_rate": 0.001, **measured} for epoch in (1, 2)]
    return RunReport(FACTS, history, 2, {}, (), made, classes=FIGURES)


def test_report_tells_each_class_and_no_threshold():
    text = render_run_report(report())
    assert "Mean IoU of the classes" in text
    assert "threshold" not in text.lower()
    assert "0.6425" in text
    assert "0.375" in text
    assert text.count("data:image/jpeg") == 3
    assert "<1>" not in text
    assert "roof &lt;1&gt;" in text


def test_report_without_samples():
    assert "No validation chip shows a class" in render_run_report(report(samples=0))


def test_confusion_has_counts_and_shares_and_absent_classes_say_so():
    text = class_tables(FIGURES, {"iou": "IoU", "recall": "Recall"})
    assert "1,234,567 (100.0%)" in text
    assert "25 (25.0%)" in text
    assert "75 (75.0%)" in text
    wood = re.search(r"<tr><td>wood</td>.*?</tr>", text).group()
    assert wood.count("does not occur") == 2


def test_every_class_has_its_colour_in_key_and_pictures():
    key = class_key(NAMES)
    colours = re.findall(r"rgb\((\d+), (\d+), (\d+)\)", key)
    assert len(colours) == len(set(colours)) == len(NAMES)
    grey, label = np.full((8, 8, 3), 100, np.uint8), np.full((8, 8), 3, np.uint8)
    assert class_pictures(grey, label, label, "t", 1.0).count("<img") == 3
