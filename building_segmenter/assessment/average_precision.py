"""Average precision of detected objects by their masks, after the rules of COCO.

Lin et al., "Microsoft COCO", ECCV 2014, https://arxiv.org/abs/1405.0312, and https://cocodataset.org/#detection-eval:
precision is made to fall with recall, and read at 101 recalls. Unlike there, all detections of an image count, not only
its best hundred: a chip of a town has more buildings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_RECALLS = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True)
class ImageDetections:
    """The objects of one class that were found on one image, and how they lie over the true ones.

    Args:
        scores: (n,) of the found ones, in any order.
        ious: (n, m) intersection over union of each found object with each true one.
        unjudged: (n,) found objects that count for nothing unless they are a true one: they lie where nobody knows.
    """

    scores: NDArray[np.floating]
    ious: NDArray[np.floating]
    unjudged: NDArray[np.bool_]


@dataclass(frozen=True)
class Ranking:
    """The found objects of all images, best score first.

    Args:
        scores: (n,) descending.
        hits: (n,) which of them are true objects.
        truths: Number of true objects.
    """

    scores: NDArray[np.float64]
    hits: NDArray[np.bool_]
    truths: int

    @property
    def average_precision(self) -> float:
        """COCO's average precision, 0..1; 1 where there is nothing to find and nothing was found."""
        if not self.truths:
            return float(len(self.hits) == 0)
        right = np.cumsum(self.hits)
        precision = right / np.arange(1, len(right) + 1)
        falling = np.maximum.accumulate(precision[::-1])[::-1]
        place = np.searchsorted(right / self.truths, _RECALLS, side="left")
        reached = place < len(falling)
        return float(falling[place[reached]].sum() / len(_RECALLS))

    def at(self, min_score: float) -> dict[str, float]:
        """Return `precision`, `recall` and `f1` of the objects of at least this score; 1 where there is nothing."""
        found = int(np.searchsorted(-self.scores, -min_score, side="right"))
        right = int(self.hits[:found].sum())
        return {
            "precision": _ratio(right, found),
            "recall": _ratio(right, self.truths),
            "f1": _ratio(2 * right, found + self.truths),
        }


def mask_ious(found: NDArray[np.bool_], numbers: NDArray[np.integer], count: int) -> NDArray[np.float64]:
    """Return the intersection over union of found masks with true objects: (n, count).

    Args:
        found: (n, height, width); they may overlap.
        numbers: (height, width) picture of the true objects: 1 for a pixel of the first one, 2 for the second; 0 or
            less where there is none.
        count: True objects.
    """
    shown = np.maximum(numbers, 0)
    areas = np.bincount(shown.ravel(), minlength=count + 1)[1:]
    ious = np.zeros((len(found), count))
    for row, mask in zip(ious, found, strict=True):
        under = np.bincount(shown[mask], minlength=count + 1)
        row[:] = under[1:] / np.maximum(under.sum() + areas - under[1:], 1)
    return ious


def ranked(images: Sequence[ImageDetections], min_iou: float) -> Ranking:
    """Tell of all found objects which are true ones.

    On each image the found objects choose in the order of their scores: each takes, of the true ones that are left, the
    one that it overlaps most, if by `min_iou` or more.

    Args:
        images: All images of one class, also those without any object.
        min_iou: Intersection over union that makes a found object a true one.
    """
    scores, hits = [np.zeros(0)], [np.zeros(0, bool)]
    for image in images:
        order = np.argsort(-image.scores, kind="stable")
        hit = _matched(image.ious[order], min_iou)
        judged = hit | ~image.unjudged[order]
        scores.append(image.scores[order][judged].astype(np.float64))
        hits.append(hit[judged])
    all_scores = np.concatenate(scores)
    order = np.argsort(-all_scores, kind="stable")
    truths = sum(image.ious.shape[1] for image in images)
    return Ranking(all_scores[order], np.concatenate(hits)[order], truths)


def _matched(ious: NDArray[np.floating], min_iou: float) -> NDArray[np.bool_]:
    """Tell which found objects (n,), best first, get a true one."""
    free = np.ones(ious.shape[1], bool)
    hit = np.zeros(len(ious), bool)
    for number, row in enumerate(ious):
        candidates = np.where(free, row, -1.0)
        if len(candidates) and candidates.max() >= min_iou:
            # Of equal ones the last, as COCO's own program has it.
            free[len(candidates) - 1 - int(candidates[::-1].argmax())] = False
            hit[number] = True
    return hit


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 1.0
