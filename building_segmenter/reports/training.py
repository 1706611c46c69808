"""The report of a training run: one HTML file that needs nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from building_segmenter.networks.facts import ModelFacts
from building_segmenter.reports import pictures
from building_segmenter.reports.charts import line_chart
from building_segmenter.reports.classes import ClassFigures, class_key, class_pictures, class_tables
from building_segmenter.reports.page import escape, page, table

_METRIC_NAMES = {"iou": "IoU", "precision": "Precision", "recall": "Recall", "f1": "F1"}


@dataclass(frozen=True)
class Sample:
    """A validation chip and what the model makes of it.

    Args:
        title: Name of the chip.
        iou: IoU of its building pixels, or mean IoU of its classes.
        image: (H, W, bands) bytes.
        label: (H, W): 0 ground, 1 building, or number of the channel of a class; 255 unknown.
        probability: (H, W, channels).
    """

    title: str
    iou: float
    image: NDArray[np.uint8]
    label: NDArray[np.uint8]
    probability: NDArray[np.float32]


@dataclass(frozen=True)
class RunReport:
    """What the report of a training run shows.

    Args:
        facts: The facts of the model.
        history: One row an epoch.
        best_epoch: The epoch that was kept.
        confusion: Pixels `tp`, `fp`, `fn`, `tn` at the model's threshold.
        thresholds: Metrics at a row of thresholds.
        samples: Best validation chips first, worst last.
        command: The command that repeats the run.
        classes: Of a model with several classes; `confusion` and `thresholds` are then empty.
    """

    facts: ModelFacts
    history: Sequence[dict[str, Any]]
    best_epoch: int
    confusion: dict[str, int]
    thresholds: Sequence[dict[str, float]]
    samples: Sequence[Sample]
    command: str = ""
    classes: ClassFigures | None = None

    @property
    def overlap_title(self) -> str:
        """What the IoU of the curves is the IoU of."""
        return "Mean IoU of the classes" if self.classes else "IoU of buildings"


def render_run_report(report: RunReport) -> str:
    """Return the report as HTML: metrics, curves, threshold, sample predictions, and how to repeat the run."""
    facts = report.facts
    lead = (
        f"{facts.architecture}; {len(facts.bands)} bands at {facts.gsd:.3g} m; trained {facts.created};"
        f" epoch {report.best_epoch} of {len(report.history)} was kept."
    )
    points = facts.training.get("learning_curve", [])
    sections = [
        ("Validation", _validation(report)),
        ("Course of the training", _curves(report)),
        *([("Learning curve: what more chips bring", _learning_curve(points, report.overlap_title))] if points else []),
        *([] if report.classes else [("Choice of the threshold", _threshold(report))]),
        ("Validation chips, best first, worst last", _samples(report)),
        ("Epochs", history_table(report.history)),
        ("To repeat this run", recipe(report.facts, report.command)),
    ]
    return page(f"Training of {facts.name}", lead, sections)


def _validation(report: RunReport) -> str:
    metrics = [[_METRIC_NAMES.get(name, name), value] for name, value in report.facts.metrics.items()]
    if report.classes:
        means = [row for row, name in zip(metrics, report.facts.metrics, strict=True) if name in _METRIC_NAMES]
        return (
            "<p>Over all valid pixels of the validation chips; each pixel belongs to the most probable class. Means are"
            " over the classes that occur, the background left out.</p>"
            f"{table(means, ('Mean', 'Value'))}{class_tables(report.classes, _METRIC_NAMES)}"
        )
    count = report.confusion
    confusion = [
        ["Building", count["tp"], count["fn"]],
        ["Ground", count["fp"], count["tn"]],
    ]
    return (
        f"<p>Over all valid pixels of the validation chips, at threshold {report.facts.threshold:.2f}.</p>"
        f'<div class="row">{table(metrics, ("Metric", "Value"))}'
        f"{table(confusion, ('In truth', 'called building', 'called ground'), 'Pixels')}</div>"
    )


def _curves(report: RunReport) -> str:
    best = (float(report.best_epoch), "kept")
    overlap = {"training": _column(report, "iou"), "validation": _column(report, "val_iou")}
    loss = {"training (with Dice)": _column(report, "loss"), "validation (cross-entropy)": _column(report, "val_loss")}
    rate = {"new layers": _column(report, "learning_rate")}
    return (
        f'<div class="row">{line_chart(report.overlap_title, overlap, "Epoch", (0.0, 1.0), best)}'
        f"{line_chart('Loss', loss, 'Epoch', None, best)}{line_chart('Learning rate', rate, 'Epoch')}</div>"
    )


def _learning_curve(points: Sequence[dict[str, Any]], title: str) -> str:
    names = {"chips": "Training chips", "iou": "Validation IoU", "best_epoch": "Best epoch", "epochs": "Epochs"}
    rows = [[point[name] for name in names] for point in points]
    line = {"validation": [(float(point["chips"]), float(point["iou"])) for point in points]}
    chart = line_chart(title, line, "Training chips")
    return (
        "<p>The same training on growing parts of the chips, always measured on all validation chips. A line that still"
        " rises at its end says that more labels would help; a flat one says that they would not.</p>"
        f'<div class="row">{chart}{table(rows, list(names.values()))}</div>'
    )


def _threshold(report: RunReport) -> str:
    series = {
        shown: [(row["threshold"], row[name]) for row in report.thresholds] for name, shown in _METRIC_NAMES.items()
    }
    marker = (report.facts.threshold, f"chosen: {report.facts.threshold:.2f}")
    return (
        "<p>A higher threshold gives fewer and surer buildings. The one with the best IoU is stored in the model;"
        " every tool that uses the model lets it be changed.</p>"
        f"{line_chart('Metrics by threshold', series, 'Threshold', (0.0, 1.0), marker)}"
    )


def _samples(report: RunReport) -> str:
    if report.classes:
        chips = "".join(map(_sample_of_classes, report.samples))
        return (
            f"<p>{class_key(report.classes.names)}</p>{chips}" if chips else "<p>No validation chip shows a class.</p>"
        )
    key = "".join(
        f'<span class="key" style="background:rgb{colour}"></span>{name}'
        for colour, name in (
            (pictures.RIGHT, "found"),
            (pictures.MISSED, "missed"),
            (pictures.FALSE, "falsely found"),
            (pictures.UNKNOWN, "not judged"),
        )
    )
    shown = "".join(_sample(sample, report.facts.threshold) for sample in report.samples)
    return f"<p>Building pixels:{key}</p>{shown}" if shown else "<p>No validation chip shows a building.</p>"


def _sample_of_classes(sample: Sample) -> str:
    called = sample.probability.argmax(axis=-1).astype(np.uint8)
    return class_pictures(sample.image, sample.label, called, sample.title, sample.iou)


def _sample(sample: Sample, threshold: float) -> str:
    building = sample.probability[..., 0]
    overlay = pictures.outcome_overlay(sample.image, sample.label, building >= threshold)
    grey = np.rint(building * 255).astype(np.uint8)
    return (
        f'<div class="row">{pictures.picture(pictures.as_rgb(sample.image), sample.title)}'
        f"{pictures.picture(overlay, f'truth and prediction, IoU {sample.iou:.3f}')}"
        f"{pictures.picture(grey, 'probability')}</div>"
    )


def history_table(history: Sequence[dict[str, Any]]) -> str:
    """Return the epochs of a training as a table."""
    head = list(history[0])
    return table([[row[name] for name in head] for row in history], head)


def recipe(facts: ModelFacts, command: str) -> str:
    """Return what a run needs to be repeated: its command, datasets, options and versions."""
    training = facts.training
    options = [[name.upper(), _plain(value)] for name, value in training.get("options", {}).items()]
    datasets = training.get("datasets", [])
    head = list(datasets[0]) if datasets else []
    versions = [[name, value] for name, value in training.get("versions", {}).items()]
    scaling = json.dumps({"scale": facts.scale, "offset": facts.offset}, indent=1)
    outcome = [[name, value] for name, value in training.items() if isinstance(value, int | float)]
    return (
        f"<p>The same seed on the same machine and versions gives the same run:</p><pre>{escape(command)}</pre>"
        f"{table(outcome, ('Of the run', 'Value'))}"
        f"{table(options, ('Parameter', 'Value'))}"
        f"{table([[_plain(one[name]) for name in head] for one in datasets], head, 'Datasets')}"
        f"{table(versions, ('Part', 'Version'))}<p>The network scales pixel values by</p><pre>{escape(scaling)}</pre>"
    )


def _column(report: RunReport, name: str) -> list[tuple[float, float]]:
    return [(float(row["epoch"]), float(row[name])) for row in report.history]


def _plain(value: Any) -> Any:
    if value is None:
        return ""
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
