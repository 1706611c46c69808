"""The report of a training of Mask R-CNN: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from skimage.segmentation import find_boundaries

from building_segmenter.networks.facts import ModelFacts
from building_segmenter.reports import pictures
from building_segmenter.reports.charts import line_chart
from building_segmenter.reports.page import page, table
from building_segmenter.reports.training import history_table, recipe

_METRIC_NAMES = {
    "ap50": "AP50",
    "ap75": "AP75",
    "precision": "Precision of objects",
    "recall": "Recall of objects",
    "f1": "F1 of objects",
}
_LOSSES = {
    "loss": "Sum of the five losses",
    "rpn_class_loss": "Regions: object or ground",
    "rpn_bbox_loss": "Regions: boxes",
    "mrcnn_class_loss": "Objects: class",
    "mrcnn_bbox_loss": "Objects: boxes",
    "mrcnn_mask_loss": "Objects: masks",
}
_TRUE, _FOUND = (0, 158, 255), (255, 140, 0)


@dataclass(frozen=True)
class InstanceSample:
    """A validation chip and the objects that the model finds on it.

    Args:
        title: Name of the chip.
        f1: F1 of its objects.
        image: (H, W, bands) bytes.
        numbers: (H, W): 1 for a pixel of the first true object, 2 for the second; 0 for ground, less where unknown.
        masks: (n, H, W) of the found objects.
        scores: (n,) of these.
    """

    title: str
    f1: float
    image: NDArray[np.uint8]
    numbers: NDArray[np.int32]
    masks: NDArray[np.bool_]
    scores: NDArray[np.floating]


@dataclass(frozen=True)
class InstanceReport:
    """What the report shows.

    Args:
        facts: The facts of the model; its threshold is a score of objects.
        history: One row an epoch.
        best_epoch: The epoch that was kept.
        curve: Precision, recall and F1 at a row of scores.
        samples: Best validation chips first, worst last.
        command: The command that repeats the run.
    """

    facts: ModelFacts
    history: Sequence[dict[str, Any]]
    best_epoch: int
    curve: Sequence[dict[str, float]]
    samples: Sequence[InstanceSample]
    command: str


def render_instance_report(report: InstanceReport) -> str:
    """Return the report as HTML: metrics, curves of each loss, score, samples, and how to repeat the run."""
    facts = report.facts
    lead = (
        f"{facts.architecture}; {len(facts.bands)} bands at {facts.gsd:.3g} m; trained {facts.created};"
        f" epoch {report.best_epoch} of {len(report.history)} was kept."
    )
    sections = [
        ("Validation", _validation(facts)),
        ("Course of the training", _curves(report)),
        ("Choice of the score", _scores(report)),
        ("Validation chips, best first, worst last", _samples(report)),
        ("Epochs", history_table(report.history)),
        ("To repeat this run", recipe(facts, report.command)),
    ]
    return page(f"Training of {facts.name}", lead, sections)


def instance_overlay(sample: InstanceSample) -> NDArray[np.uint8]:
    """Return the image (H, W, 3) with the outlines of true and found objects, and the scores of these in percent."""
    shown = pictures.as_rgb(sample.image).copy()
    shown[sample.numbers < 0] //= 2
    shown[find_boundaries(np.maximum(sample.numbers, 0), mode="inner")] = _TRUE
    for mask in sample.masks:
        shown[find_boundaries(mask, mode="inner")] = _FOUND
    picture = Image.fromarray(shown)
    draw = ImageDraw.Draw(picture)
    for mask, score in zip(sample.masks, sample.scores, strict=True):
        rows, columns = np.nonzero(mask)
        if len(rows):
            draw.text((float(columns.mean()), float(rows.mean())), f"{score * 100:.0f}", fill=_FOUND, anchor="mm")
    return np.asarray(picture)


def _validation(facts: ModelFacts) -> str:
    rows = [[_METRIC_NAMES.get(name, name), value] for name, value in facts.metrics.items()]
    return (
        "<p>Over all objects of the validation chips, by their masks: average precision (AP) as COCO defines it, of"
        " objects that overlap a true one by half or by three quarters. Precision, recall and F1 are of objects of at"
        f" least the score {facts.threshold:.2f} that overlap by half.</p>{table(rows, ('Metric', 'Value'))}"
    )


def _curves(report: InstanceReport) -> str:
    best = (float(report.best_epoch), "kept")
    precision = {"AP50": _column(report, "val_ap50"), "AP75": _column(report, "val_ap75")}
    charts = [line_chart("Average precision on the validation chips", precision, "Epoch", (0.0, 1.0), best)]
    for name, title in _LOSSES.items():
        lines = {"training": _column(report, name), "validation": _column(report, f"val_{name}")}
        charts.append(line_chart(title, lines, "Epoch", None, best))
    charts.append(line_chart("Learning rate", {"new layers": _column(report, "learning_rate")}, "Epoch"))
    return f'<div class="row">{"".join(charts)}</div>'


def _scores(report: InstanceReport) -> str:
    names = {"precision": "Precision", "recall": "Recall", "f1": "F1"}
    series = {shown: [(row["threshold"], row[name]) for row in report.curve] for name, shown in names.items()}
    marker = (report.facts.threshold, f"chosen: {report.facts.threshold:.2f}")
    return (
        "<p>A higher score gives fewer and surer buildings. The one with the best F1 is stored in the model.</p>"
        f"{line_chart('Objects by score', series, 'Score', (0.0, 1.0), marker)}"
    )


def _samples(report: InstanceReport) -> str:
    key = "".join(
        f'<span class="key" style="background:rgb{colour}"></span>{name}'
        for colour, name in ((_TRUE, "true"), (_FOUND, "found, with its score in percent"))
    )
    shown = "".join(
        f'<div class="row">{pictures.picture(pictures.as_rgb(sample.image), sample.title)}'
        f"{pictures.picture(instance_overlay(sample), f'true and found objects, F1 {sample.f1:.3f}')}</div>"
        for sample in report.samples
    )
    return f"<p>Outlines of objects:{key}</p>{shown}" if shown else "<p>No validation chip shows an object.</p>"


def _column(report: InstanceReport, name: str) -> list[tuple[float, float]]:
    return [(float(row["epoch"]), float(row[name])) for row in report.history]
