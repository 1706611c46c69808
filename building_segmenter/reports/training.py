"""The report of a training run: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from building_segmenter.networks.facts import ModelFacts


@dataclass(frozen=True)
class Sample:
    """A validation chip and what the model makes of it.

    Args:
        title: Name of the chip.
        iou: IoU of its building pixels.
        image: (H, W, bands) bytes.
        label: (H, W): 0 ground, 1 building, 255 unknown.
        probability: (H, W) of buildings.
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
    """

    facts: ModelFacts
    history: Sequence[dict[str, Any]]
    best_epoch: int
    confusion: dict[str, int]
    thresholds: Sequence[dict[str, float]]
    samples: Sequence[Sample]


def render_run_report(report: RunReport) -> str:
    """Return the report as HTML."""
    return f"<!doctype html><title>{report.facts.name}</title>"
