"""Metrics over whole validation sets, for every threshold at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from building_segmenter.training.datasets import IGNORE

LEVELS = 254
"""Probabilities are counted in this many steps, as in the probability rasters."""

_THRESHOLDS = (0.2, 0.8)
_SMALLEST = 1e-7


@dataclass
class PixelCounts:
    """Histograms of the predicted probability, apart for pixels that are buildings and pixels that are not."""

    building: NDArray[np.int64] = field(default_factory=lambda: np.zeros(LEVELS + 1, np.int64))
    ground: NDArray[np.int64] = field(default_factory=lambda: np.zeros(LEVELS + 1, np.int64))

    def add(self, label: NDArray[np.uint8], probability: NDArray[np.float32]) -> None:
        """Count the valid pixels of a label (1 building, 0 ground) and its probability, of equal shape."""
        level = np.rint(probability * LEVELS).astype(np.int64)
        self.building += np.bincount(level[label == 1], minlength=LEVELS + 1)
        self.ground += np.bincount(level[(label != 1) & (label != IGNORE)], minlength=LEVELS + 1)

    def merge(self, other: PixelCounts) -> None:
        """Add the counts of other pixels."""
        self.building += other.building
        self.ground += other.ground

    def confusion(self, threshold: float) -> dict[str, int]:
        """Return pixels truly and falsely called building (`tp`, `fp`) and ground (`tn`, `fn`)."""
        cut = int(np.ceil(threshold * LEVELS - 1e-9))
        tp, fp = int(self.building[cut:].sum()), int(self.ground[cut:].sum())
        return {"tp": tp, "fp": fp, "fn": int(self.building.sum()) - tp, "tn": int(self.ground.sum()) - fp}

    def metrics(self, threshold: float) -> dict[str, float]:
        """Return `iou`, `precision`, `recall` and `f1` of buildings; 1 where there is nothing to find or to miss."""
        count = self.confusion(threshold)
        tp, fp, fn = count["tp"], count["fp"], count["fn"]
        return {
            "iou": _ratio(tp, tp + fp + fn),
            "precision": _ratio(tp, tp + fp),
            "recall": _ratio(tp, tp + fn),
            "f1": _ratio(2 * tp, 2 * tp + fp + fn),
        }

    def curve(self) -> list[dict[str, float]]:
        """Return the metrics at every fiftieth of the probability, each with its `threshold`."""
        return [{"threshold": step / 50, **self.metrics(step / 50)} for step in range(1, 50)]

    def best_threshold(self) -> float:
        """Return the threshold of the highest IoU, rounded to a hundredth and kept within 0.2..0.8.

        Beyond those the optimum says more about the validation chips than about the network.
        """
        steps = np.arange(round(_THRESHOLDS[0] * 100), round(_THRESHOLDS[1] * 100) + 1) / 100
        scores = np.array([self.metrics(float(step))["iou"] for step in steps])
        # Of equally good thresholds the one nearest to a half asks for the least faith.
        equal = steps[scores >= scores.max() - 1e-9]
        return float(equal[np.argmin(np.abs(equal - 0.5))])


@dataclass
class Evaluation:
    """What a network achieves on chips.

    Args:
        loss: Mean cross-entropy of the valid pixels, buildings only.
        counts: Histograms over all chips.
        chips: Histograms of each chip, in the order of the chips.
    """

    loss: float
    counts: PixelCounts
    chips: list[PixelCounts]


def evaluate(
    chips: Iterable[tuple[NDArray[np.generic], NDArray[np.uint8]]],
    predict: Callable[[NDArray[np.generic]], NDArray[np.float32]],
) -> Evaluation:
    """Measure a network on whole chips.

    Args:
        chips: Images (H, W, bands) and labels (H, W, channels).
        predict: Gives the probabilities (H, W, channels) of an image.
    """
    total, per_chip, loss, pixels = PixelCounts(), [], 0.0, 0
    for image, target in chips:
        label, probability = target[..., 0], predict(image)[..., 0]
        counts = PixelCounts()
        counts.add(label, probability)
        per_chip.append(counts)
        total.merge(counts)
        chip_loss, chip_pixels = _cross_entropy(label, probability)
        loss, pixels = loss + chip_loss, pixels + chip_pixels
    return Evaluation(loss / max(pixels, 1), total, per_chip)


def _cross_entropy(label: NDArray[np.uint8], probability: NDArray[np.float32]) -> tuple[float, int]:
    valid = label != IGNORE
    right = np.where(label[valid] == 1, probability[valid], 1.0 - probability[valid])
    return float(-np.log(np.maximum(right, _SMALLEST)).sum(dtype=np.float64)), int(valid.sum())


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 1.0
