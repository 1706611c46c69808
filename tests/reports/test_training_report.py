"""The report of a training run: whole, self-contained, and true to its figures."""

import base64
import dataclasses
import io
import re

import numpy as np
import pytest
from PIL import Image

from building_segmenter.networks.facts import BandFacts, ModelFacts
from building_segmenter.reports import pictures
from building_segmenter.reports.charts import line_chart
from building_segmenter.reports.page import page, table
from building_segmenter.reports.training import RunReport, Sample, render_run_report

FACTS = ModelFacts(
    name="<script>alert(1)</script>",
    architecture="DeepLabV3+",
    bands=(BandFacts("1", 0.0, 255.0, 100.0, 50.0),),
    dtype="uint8",
    scale=(1 / 127.5,),
    offset=(-1.0,),
    gsd=0.15,
    tile_size=512,
    channels=("building",),
    classes=({"value": 1, "name": "building"},),
    threshold=0.43,
    created="2026-01-02T03:04:05Z",
    metrics={"iou": 0.7812, "f1": 0.877},
    training={
        "options": {"dataset": ["/data/a & b"], "epochs": 2, "report": None},
        "datasets": [{"folder": "/data/a & b", "gsd": [0.15, 0.15]}],
        "versions": {"keras": "3.15.1"},
    },
)


def row(epoch):
    measured = {"loss": 1.0 / epoch, "iou": 0.3 * epoch, "val_loss": 0.5 / epoch, "val_iou": 0.35 * epoch}
    return {"epoch": epoch, "phase": "all", "learning_rate": 0.001, **measured}


def report(epochs=2, samples=2):
    rng = np.random.default_rng(0)
    made = [
        Sample(f"a/{i}", 0.9 - i / 4, rng.integers(0, 255, (48, 48, 1), np.uint8), label(), np.full((48, 48, 1), 0.5))
        for i in range(samples)
    ]
    thresholds = [
        {"threshold": t / 10, "iou": 0.5, "precision": t / 10, "recall": 0.4, "f1": 0.3} for t in range(1, 10)
    ]
    history = [row(epoch) for epoch in range(1, epochs + 1)]
    return RunReport(FACTS, history, epochs, {"tp": 1234567, "fp": 20, "fn": 30, "tn": 40}, thresholds, made)


def label():
    target = np.zeros((48, 48), np.uint8)
    target[8:24, 8:24], target[40:] = 1, 255
    return target


def test_report_has_curves_metrics_confusion_and_how_to_repeat_it():
    text = render_run_report(report())
    assert text.count("<svg") == 4
    assert "0.7812" in text
    assert "1,234,567" in text
    assert "chosen: 0.43" in text
    assert "/data/a &amp; b" in text
    assert "3.15.1" in text


def test_learning_curve_and_command_are_shown_where_they_are():
    points = [{"chips": 25 * 2**i, "iou": 0.5 + i / 10, "best_epoch": 3 + i, "epochs": 9} for i in range(3)]
    facts = dataclasses.replace(FACTS, training=FACTS.training | {"learning_curve": points, "chips": 100})
    text = render_run_report(dataclasses.replace(report(), facts=facts, command="python -m it 'a & b'"))
    assert text.count("<svg") == 5
    assert "Learning curve" in text
    assert "python -m it &#x27;a &amp; b&#x27;" in text
    assert "Learning curve" not in render_run_report(report())


def test_report_needs_nothing_else_and_runs_nothing():
    text = render_run_report(report())
    assert not re.search(r"(src|href)=\"(?!data:)", text)
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_each_sample_is_shown_as_image_outcome_and_probability():
    text = render_run_report(report(samples=3))
    images = re.findall(r"data:image/jpeg;base64,([^\"]+)", text)
    assert len(images) == 9
    assert all(Image.open(io.BytesIO(base64.b64decode(data))).size == (48, 48) for data in images)
    assert text.index("a/0") < text.index("a/2")


def test_run_of_one_epoch_without_buildings_has_a_report():
    text = render_run_report(report(epochs=1, samples=0))
    assert "No validation chip shows a building" in text
    assert "nan" not in text.lower().split("<body>")[1]


def test_overlay_colours_each_pixel_by_its_outcome():
    image = np.full((48, 48, 3), 90, np.uint8)
    found = np.zeros((48, 48), bool)
    found[8:16], found[44:] = True, True
    overlay = pictures.outcome_overlay(image, label(), found).astype(int)

    def colour_of(y, x):
        return min(
            (pictures.RIGHT, pictures.MISSED, pictures.FALSE, pictures.UNKNOWN),
            key=lambda colour: np.abs(overlay[y, x] - (0.45 * 90 + 0.55 * np.array(colour))).sum(),
        )

    assert colour_of(10, 10) == pictures.RIGHT
    assert colour_of(20, 10) == pictures.MISSED
    assert colour_of(10, 40) == pictures.FALSE
    assert colour_of(46, 10) == pictures.UNKNOWN
    assert (overlay[30, 30] == 90).all()


def test_lines_of_a_chart_lie_inside_it_and_higher_is_higher():
    chart = line_chart("T", {"a": [(0, 0.0), (1, 1.0), (2, float("nan"))]}, "x", (0.0, 1.0))
    points = re.search(r"points=\"([^\"]+)\"", chart).group(1).split()
    (x0, y0), (x1, y1) = (tuple(map(float, point.split(","))) for point in points)
    assert 0 < x0 < x1 < 500
    assert 300 > y0 > y1 > 0


@pytest.mark.parametrize("points", [[], [(1, 5.0)], [(1, 1e-9), (2, 2e-9)], [(1, -4.0), (2, 1e6)]])
def test_charts_take_any_values(points):
    assert "<svg" in line_chart("T", {"a": points}, "x")


def test_table_and_page_escape_what_users_wrote():
    text = page("a<b", "c&d", [("e<f", table([["<i>", 1234, 0.12345, None]], ["<u>"], "<s>"))])
    for unsafe in ("a<b", "c&d ", "e<f", "<i>", "<u>", "<s>"):
        assert unsafe not in text
    assert "1,234" in text
    assert "0.1235" in text or "0.1234" in text
