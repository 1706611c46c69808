"""Metrics over whole validation sets: of buildings for every threshold at once, or of each of several classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from building_segmenter.training.datasets import IGNORE

LEVELS = 254
"""Probabilities are counted in this many steps, as in the probability rasters."""

_THRESHOLDS = (0.2, 0.8)
_SMALLEST = 1e-7
_METRICS = ("iou", "precision", "recall", "f1")


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

    def summary(self) -> dict[str, float]:
        """Return the metrics at the best threshold, and that `threshold`."""
        threshold = self.best_threshold()
        return {**self.metrics(threshold), "threshold": threshold}

    def overlap(self, threshold: float) -> float | None:
        """Return the IoU of buildings; None where there are none in truth."""
        return self.metrics(threshold)["iou"] if self.building.any() else None

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


class ClassCounts:
    """How many pixels of each class were called what.

    Args:
        classes: Names of the classes; the background comes before them.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = tuple(classes)
        self.matrix: NDArray[np.int64] = np.zeros((len(classes) + 1,) * 2, np.int64)
        """Pixels by class in truth (rows) and prediction (columns), the background first."""

    def add(self, label: NDArray[np.uint8], probability: NDArray[np.float32]) -> None:
        """Count the valid pixels of a label (H, W) of channel numbers by their likeliest channel (H, W, channels)."""
        valid, size = label != IGNORE, len(self.matrix)
        pairs = label[valid].astype(np.int64) * size + probability.argmax(axis=-1)[valid]
        self.matrix += np.bincount(pairs, minlength=size * size).reshape(size, size)

    def merge(self, other: ClassCounts) -> None:
        """Add the counts of other pixels."""
        self.matrix += other.matrix

    def by_class(self) -> dict[str, dict[str, float]]:
        """Return `iou`, `precision`, `recall` and `f1` of each class that occurs in truth, by name."""
        right, true, called = self.matrix.diagonal(), self.matrix.sum(axis=1), self.matrix.sum(axis=0)
        return {
            name: {
                "iou": float(right[i] / (true[i] + called[i] - right[i])),
                # Of a class that occurs and is never called, nothing is right.
                "precision": float(right[i] / max(called[i], 1)),
                "recall": float(right[i] / true[i]),
                "f1": float(2 * right[i] / (true[i] + called[i])),
            }
            for i, name in enumerate(self.classes, start=1)
            if true[i]
        }

    def summary(self) -> dict[str, float]:
        """Return the means over the classes that occur in truth, then the IoU of each as `iou: NAME`.

        The background is not one of them: what is called background and is a class lowers that class' recall, what is
        called a class and is background its precision. Where no class occurs, all is right unless one was called.
        """
        rows = self.by_class()
        if not rows:
            return dict.fromkeys(_METRICS, float(not self.matrix[:, 1:].any()))
        means = {metric: float(np.mean([row[metric] for row in rows.values()])) for metric in _METRICS}
        return means | {f"iou: {name}": row["iou"] for name, row in rows.items()}

    def overlap(self, _threshold: float) -> float | None:
        """Return the mean IoU of the classes; None where there are none in truth."""
        return self.summary()["iou"] if self.by_class() else None


@dataclass
class Evaluation:
    """What a network achieves on chips.

    Args:
        loss: Mean cross-entropy of the valid pixels, of buildings only or of all classes.
        counts: Counts over all chips.
        chips: Counts of each chip, in the order of the chips.
    """

    loss: float
    counts: PixelCounts | ClassCounts
    chips: Sequence[PixelCounts | ClassCounts]


def evaluate(
    chips: Iterable[tuple[NDArray[np.generic], NDArray[np.uint8]]],
    predict: Callable[[NDArray[np.generic]], NDArray[np.float32]],
    classes: Sequence[str] = (),
) -> Evaluation:
    """Measure a network on whole chips.

    Args:
        chips: Images (H, W, bands) and labels (H, W, planes).
        predict: Gives the probabilities (H, W, channels) of an image.
        classes: Names of the channels after the background, or empty: the first channel is of buildings.
    """
    total, per_chip, loss, pixels = _counts(classes), [], 0.0, 0
    for image, target in chips:
        label, probability = target[..., 0], predict(image)
        counts = _counts(classes)
        counts.add(label, probability if classes else probability[..., 0])
        per_chip.append(counts)
        total.merge(counts)
        valid = label != IGNORE
        right = _of_the_truth(label[valid], probability[valid], bool(classes))
        loss -= float(np.log(np.maximum(right, _SMALLEST)).sum(dtype=np.float64))
        pixels += int(valid.sum())
    return Evaluation(loss / max(pixels, 1), total, per_chip)


def _counts(classes: Sequence[str]) -> Any:
    return ClassCounts(classes) if classes else PixelCounts()


def _of_the_truth(label: NDArray[np.uint8], probability: NDArray[np.float32], classes: bool) -> NDArray[np.float32]:
    """Return the probability that each pixel (N, channels) was given of being what it is."""
    if classes:
        return np.take_along_axis(probability, label[:, np.newaxis].astype(np.int64), axis=-1)[:, 0]
    building = probability[:, 0]
    return np.where(label == 1, building, 1.0 - building)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 1.0
