"""What the region proposal network should say of each anchor of an image.

The rule is that of Ren, He, Girshick, Sun, "Faster R-CNN", NeurIPS 2015, https://arxiv.org/abs/1506.01497, section
3.1.2, with the numbers of Matterport's Mask R-CNN, so that its schedules and weights keep their meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from building_segmenter.compiled import kernel

DEVIATIONS = (0.1, 0.1, 0.2, 0.2)
"""Box deltas (dy, dx, log dh, log dw) are divided by these."""

_CROWD_OVERLAP = 0.001


@dataclass(frozen=True)
class AnchorRule:
    """Which anchors of an image the network learns from.

    Args:
        samples: At most so many anchors, half of them at most objects.
        object_iou: From this overlap with a box on, an anchor is an object.
        ground_iou: Below this overlap with all boxes it is ground; in between nothing is learned from it.
        deviations: See `DEVIATIONS`.
    """

    samples: int = 256
    object_iou: float = 0.7
    ground_iou: float = 0.3
    deviations: tuple[float, float, float, float] = DEVIATIONS


def anchor_targets(
    anchors: NDArray[np.float64],
    boxes: NDArray[Any],
    class_ids: NDArray[Any],
    random: np.random.Generator | np.random.RandomState,
    rule: AnchorRule = AnchorRule(),
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Draw the anchors that an image teaches, and the way from them to their boxes.

    Args:
        anchors: (n, 4) y1, x1, y2, x2 in pixels.
        boxes: (m, 4) of the objects in pixels, y2 and x2 exclusive. Rows without area (padding) do not count.
        class_ids: (m,) of the objects; negative: a crowd, where nothing is ground.
        random: Draws where there are more than wanted.
        rule: Which anchors count.

    Returns:
        (n,) 1 object, -1 ground, 0 not learned from; and (rule.samples, 4) deltas of the objects, in the order of
        their anchors, then zeros.
    """
    real = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    objects = np.asarray(boxes[real & (class_ids > 0)], np.float64)
    matches, nearest = match_anchors(anchors, objects, rule)
    crowds = np.asarray(boxes[real & (class_ids < 0)], np.float64)
    if len(crowds):
        in_crowd = best_overlaps(anchors, crowds)[0] >= _CROWD_OVERLAP
        matches[in_crowd & (matches < 0)] = 0
    _thin_out(matches, 1, rule.samples // 2, random)
    _thin_out(matches, -1, rule.samples - int((matches == 1).sum()), random)
    deltas = np.zeros((rule.samples, 4), np.float32)
    chosen = np.flatnonzero(matches == 1)
    if len(chosen):
        deltas[: len(chosen)] = _deltas(anchors[chosen], objects[nearest[chosen]]) / np.asarray(rule.deviations)
    return matches, deltas


def match_anchors(
    anchors: NDArray[np.float64],
    boxes: NDArray[np.float64],
    rule: AnchorRule = AnchorRule(),
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Match all anchors with boxes, both (_, 4) in pixels.

    Every box gets its best anchor (the first of equals), however little they overlap: else small buildings between
    the anchors' sizes would teach nothing.

    Returns:
        (n,) 1 object, -1 ground, 0 neither; and (n,) the box that each anchor overlaps most.
    """
    overlap, nearest, best_anchor = best_overlaps(anchors, boxes)
    matches = np.where(overlap < rule.ground_iou, -1, 0).astype(np.int32)
    matches[best_anchor[best_anchor >= 0]] = 1
    matches[overlap >= rule.object_iou] = 1
    return matches, nearest


def best_overlaps(
    anchors: NDArray[np.float64], boxes: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.int32]]:
    """Find the best partners of anchors (n, 4) and boxes (m, 4) by IoU, without a matrix of all pairs.

    Returns:
        (n,) best IoU of each anchor, (n,) the first box that has it, and (m,) the first best anchor of each box, -1
        where a box meets none.
    """
    overlap = np.zeros(len(anchors))
    nearest = np.zeros(len(anchors), np.int32)
    best_anchor = np.full(len(boxes), -1, np.int32)
    _fill_best(np.ascontiguousarray(anchors), np.ascontiguousarray(boxes), overlap, nearest, best_anchor)
    return overlap, nearest, best_anchor


@kernel
def _fill_best(anchors: Any, boxes: Any, overlap: Any, nearest: Any, best_anchor: Any) -> None:
    best_of_box = np.zeros(len(boxes))
    box_areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    for a in range(len(anchors)):
        y1, x1, y2, x2 = anchors[a, 0], anchors[a, 1], anchors[a, 2], anchors[a, 3]
        area = (y2 - y1) * (x2 - x1)
        for b in range(len(boxes)):
            height = min(y2, boxes[b, 2]) - max(y1, boxes[b, 0])
            width = min(x2, boxes[b, 3]) - max(x1, boxes[b, 1])
            if height <= 0 or width <= 0:
                continue
            both = height * width
            iou = both / (box_areas[b] + area - both)
            if iou > overlap[a]:
                overlap[a], nearest[a] = iou, b
            if iou > best_of_box[b]:
                best_of_box[b], best_anchor[b] = iou, a


def _thin_out(
    matches: NDArray[np.int32], kind: int, keep: int, random: np.random.Generator | np.random.RandomState
) -> None:
    """Leave at most `keep` anchors of a kind, in place."""
    found = np.flatnonzero(matches == kind)
    if len(found) > keep:
        matches[random.choice(found, len(found) - keep, replace=False)] = 0


def _deltas(start: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.float64]:
    start_size, end_size = start[:, 2:] - start[:, :2], end[:, 2:] - end[:, :2]
    shift = (end[:, :2] + 0.5 * end_size - start[:, :2] - 0.5 * start_size) / start_size
    return np.concatenate([shift, np.log(end_size / start_size)], axis=1)
