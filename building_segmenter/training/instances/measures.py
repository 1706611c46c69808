"""What a Mask R-CNN achieves on chips: average precision of its objects, and the score to ask of one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from building_segmenter.assessment.average_precision import ImageDetections, Ranking, mask_ious, ranked
from building_segmenter.training.instances.samples import UNKNOWN, ObjectChip

LEAST_SCORE = 0.05
"""Objects of less are not measured; average precision wants to know also of unlikely ones."""

_HIT = 0.5
_MOSTLY = 0.5
_SCORES = np.arange(2, 20) / 20

Detect = Callable[[NDArray[Any]], Mapping[str, NDArray[Any]]]
"""From an image to its objects as `MaskRCNN.detect` returns them."""


@dataclass
class InstanceEvaluation:
    """What was found on validation chips.

    Args:
        metrics: `ap50`, `ap75`, then `precision`, `recall` and `f1` of the objects of at least the best score, and
            that score as `threshold`; of several classes, `ap50: NAME` of each that occurs.
        curve: Precision, recall and F1 at a row of scores, each with its `threshold`.
        chips: F1 of each chip at the best score, in the order of the chips; None where there is no object in truth.
    """

    metrics: dict[str, float]
    curve: list[dict[str, float]]
    chips: list[float | None]


@dataclass(frozen=True)
class _Found:
    """The found objects of a chip over the true ones, of all classes."""

    scores: NDArray[np.floating]
    ious: NDArray[np.float64]
    unjudged: NDArray[np.bool_]
    class_ids: NDArray[np.int32]
    true_ids: NDArray[np.int32]

    def of(self, class_id: int) -> ImageDetections:
        """Return those of one class."""
        rows, columns = self.class_ids == class_id, self.true_ids == class_id
        return ImageDetections(self.scores[rows], self.ious[np.ix_(rows, columns)], self.unjudged[rows])

    def together(self) -> ImageDetections:
        """Return those of all classes; an object is none of another class."""
        same = self.class_ids[:, np.newaxis] == self.true_ids[np.newaxis]
        return ImageDetections(self.scores, np.where(same, self.ious, 0.0), self.unjudged)


def evaluate(chips: Iterable[ObjectChip], detect: Detect, classes: Sequence[str]) -> InstanceEvaluation:
    """Measure a network on whole chips. What it finds mostly where nobody knows is not held against it.

    Args:
        chips: With their true objects.
        detect: Finds objects of at least `LEAST_SCORE` on an image.
        classes: Names of the classes of objects; the first has the number 1.
    """
    found = [_found(chip, detect(chip.image)) for chip in chips]
    together = [one.together() for one in found]
    ranking = ranked(together, _HIT)
    threshold = best_score(ranking)
    fifty, seventy_five = ([_precision(found, number, iou) for number in _occurring(found)] for iou in (_HIT, 0.75))
    nothing = float(not len(ranking.scores))
    metrics = {
        "ap50": float(np.mean(fifty)) if fifty else nothing,
        "ap75": float(np.mean(seventy_five)) if seventy_five else nothing,
        **ranking.at(threshold),
        "threshold": threshold,
    }
    if len(classes) > 1:
        names = [classes[number - 1] for number in _occurring(found)]
        metrics |= {f"ap50: {name}": value for name, value in zip(names, fifty, strict=True)}
    curve = [{"threshold": float(score), **ranking.at(float(score))} for score in _SCORES]
    per_chip = [ranked([one], _HIT).at(threshold)["f1"] if one.ious.shape[1] else None for one in together]
    return InstanceEvaluation(metrics, curve, per_chip)


def best_score(ranking: Ranking) -> float:
    """Return the score of the best F1, a multiple of 0.05; of equally good ones, the nearest to a half."""
    best = [ranking.at(float(score))["f1"] for score in _SCORES]
    equal = _SCORES[np.array(best) >= max(best) - 1e-9]
    return float(equal[np.argmin(np.abs(equal - 0.5))])


def _found(chip: ObjectChip, detected: Mapping[str, NDArray[Any]]) -> _Found:
    masks = np.moveaxis(detected["masks"], -1, 0)
    shown = np.setdiff1d(chip.numbers, (0, UNKNOWN))
    ious = mask_ious(masks, chip.numbers, len(chip.class_ids))[:, shown - 1]
    unknown = chip.numbers == UNKNOWN
    share = np.array([unknown[mask].mean() if mask.any() else 1.0 for mask in masks]).reshape(-1)
    return _Found(detected["scores"], ious, share > _MOSTLY, detected["class_ids"], chip.class_ids[shown - 1])


def _occurring(found: Sequence[_Found]) -> list[int]:
    return sorted({int(number) for one in found for number in one.true_ids})


def _precision(found: Sequence[_Found], class_id: int, min_iou: float) -> float:
    return ranked([one.of(class_id) for one in found], min_iou).average_precision
