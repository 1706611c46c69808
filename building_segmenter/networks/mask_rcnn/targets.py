"""What the heads of Mask R-CNN should say of proposals: a sample of them with classes, box deltas and masks.

Girshick, "Fast R-CNN", ICCV 2015, https://arxiv.org/abs/1504.08083, section 2.3; the numbers are those of Matterport's
implementation. All shapes are fixed and zero padded, so that batches of images with any number of objects can be
learned from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from keras import ops, random

from building_segmenter.networks.mask_rcnn.losses import gather
from building_segmenter.networks.mask_rcnn.rpn_targets import DEVIATIONS

_CROWD_OVERLAP = 0.001


@dataclass(frozen=True)
class RoiRule:
    """Which proposals of an image the heads learn from.

    Args:
        rois: Sampled per image.
        positive_ratio: Share of objects among them at most. Where there are fewer, there is also less ground, in
            this ratio; so an image without objects teaches the heads nothing.
        fill: Take ground for all the rest instead, so that also images without objects teach what is none.
        positive_iou: From this overlap with a true box on, a proposal is an object.
        mask_size: Height and width of a mask to learn.
        mini_masks: The true masks are cut to their boxes (see `mini_masks`), not to the image.
        shuffle: Draw the sample; else take the first ones, the most certain objects first.
        pass_gradients: Let gradients of the box deltas run into the proposals, as the original does. By the paper
            proposals are given.
        deviations: Box deltas are divided by these.
    """

    rois: int = 200
    positive_ratio: float = 0.33
    fill: bool = False
    positive_iou: float = 0.5
    mask_size: int = 28
    mini_masks: bool = True
    shuffle: bool = True
    pass_gradients: bool = False
    deviations: tuple[float, float, float, float] = DEVIATIONS

    @property
    def positives(self) -> int:
        """Objects in a sample at most. They come first, so masks are needed of so many regions only."""
        return int(self.rois * self.positive_ratio)


class DetectionTargets(NamedTuple):
    """A sample of proposals: objects first, then ground, then zeros.

    Args:
        rois: (batch, rois, 4) normalised y1, x1, y2, x2.
        class_ids: (batch, rois) int32; 0 ground or padding.
        deltas: (batch, rois, 4) from the region to its true box; zeros but for objects.
        masks: (batch, positives, mask_size, mask_size) 0 or 1, of the first regions.
    """

    rois: Any
    class_ids: Any
    deltas: Any
    masks: Any


def detection_targets(
    proposals: Any, class_ids: Any, boxes: Any, masks: Any, rule: RoiRule = RoiRule(), seed: Any = None
) -> DetectionTargets:
    """Sample proposals and tell what the heads should say of them.

    Args:
        proposals: (batch, n, 4) normalised y1, x1, y2, x2, zero padded.
        class_ids: (batch, m) of the true objects, zero padded; negative: a crowd, which is neither object nor ground.
        boxes: (batch, m, 4) of the true objects, normalised, zero padded.
        masks: (batch, m, height, width) of the true objects, 0 or 1.
        rule: How to sample.
        seed: Of the draw, as of `keras.random.uniform`.
    """
    proposals = ops.cast(proposals, "float32")
    boxes = ops.cast(boxes, "float32")
    if not rule.pass_gradients:
        proposals = ops.stop_gradient(proposals)
    positive, negative, nearest = _judge(ops.stop_gradient(proposals), class_ids, boxes, rule.positive_iou)
    chosen, is_positive, is_used = _sample(positive, negative, rule, seed)
    rois = gather(proposals, chosen) * ops.expand_dims(ops.cast(is_used, "float32"), -1)
    match = gather(nearest, chosen)
    true_boxes = gather(boxes, match)
    found = ops.where(is_positive, gather(ops.cast(class_ids, "int32"), match), 0)
    kept = slice(0, rule.positives)
    cut = _cut_masks(masks, rois[:, kept], true_boxes[:, kept], match[:, kept], rule)
    cut = ops.where(is_positive[:, kept, None, None], cut, 0.0)
    deltas = _deltas(rois, true_boxes, is_positive) / ops.convert_to_tensor(rule.deviations, "float32")
    return DetectionTargets(rois, ops.stop_gradient(found), deltas, ops.stop_gradient(cut))


def normalise_boxes(boxes: Any, height: int, width: int) -> Any:
    """Turn boxes (..., 4) in pixels, y2 and x2 exclusive, into shares of the image in which 1 is its last pixel."""
    shift = ops.convert_to_tensor([0.0, 0.0, 1.0, 1.0], "float32")
    scale = ops.convert_to_tensor([height - 1.0, width - 1.0, height - 1.0, width - 1.0], "float32")
    return (ops.cast(boxes, "float32") - shift) / scale


def pairwise_iou(one: Any, other: Any) -> Any:
    """Return the overlap of each box of one list with each of another: (..., n, 4), (..., m, 4) to (..., n, m)."""
    first, second = ops.expand_dims(one, -2), ops.expand_dims(other, -3)
    top_left = ops.maximum(first[..., :2], second[..., :2])
    bottom_right = ops.minimum(first[..., 2:], second[..., 2:])
    both = ops.prod(ops.maximum(bottom_right - top_left, 0.0), axis=-1)
    either = _areas(first) + _areas(second) - both
    return ops.where(either > 0, both / ops.where(either > 0, either, 1.0), 0.0)


def _areas(boxes: Any) -> Any:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def _judge(proposals: Any, class_ids: Any, boxes: Any, positive_iou: float) -> tuple[Any, Any, Any]:
    """Say of each proposal (batch, n) whether it is an object, whether it is ground, and its nearest true object."""
    overlaps = pairwise_iou(proposals, boxes)
    is_real = ops.any(ops.not_equal(boxes, 0.0), axis=-1)
    is_object = ops.expand_dims(ops.logical_and(is_real, ops.greater(class_ids, 0)), 1)
    is_crowd = ops.expand_dims(ops.logical_and(is_real, ops.less(class_ids, 0)), 1)
    by_object = ops.where(is_object, overlaps, -1.0)
    best = ops.max(by_object, axis=-1)
    off_crowds = ops.max(ops.where(is_crowd, overlaps, 0.0), axis=-1) < _CROWD_OVERLAP
    is_proposal = ops.any(ops.not_equal(proposals, 0.0), axis=-1)
    positive = ops.logical_and(is_proposal, best >= positive_iou)
    negative = ops.logical_and(ops.logical_and(is_proposal, best < positive_iou), off_crowds)
    return positive, negative, ops.argmax(by_object, axis=-1)


def _sample(positive: Any, negative: Any, rule: RoiRule, seed: Any) -> tuple[Any, Any, Any]:
    """Choose proposals: (batch, rois) their numbers, whether they are objects, and whether the place is used."""
    first, positives = _first(positive, rule.positives, rule.shuffle, seed)
    second, negatives = _first(negative, rule.rois, rule.shuffle, seed)
    if rule.fill:
        wanted = rule.rois - positives
    else:
        ratio = ops.cast(positives, "float32") * (1.0 / rule.positive_ratio)
        wanted = ops.cast(ratio, "int32") - positives
    negatives = ops.minimum(negatives, wanted)
    place = ops.expand_dims(ops.arange(rule.rois, dtype="int32"), 0)
    is_positive = place < positives
    behind = ops.clip(place - positives, 0, second.shape[1] - 1)
    of_first = first[:, : rule.rois]
    of_first = ops.pad(of_first, ((0, 0), (0, rule.rois - of_first.shape[1])))
    chosen = ops.where(is_positive, of_first, gather(second, behind))
    return chosen, is_positive, place < positives + negatives


def _first(wanted: Any, count: int, shuffle: bool, seed: Any) -> tuple[Any, Any]:
    """Return the numbers of the first (or of drawn) proposals that are wanted, and how many of them are (batch, 1)."""
    length = wanted.shape[1]
    if shuffle:
        order = random.uniform(ops.shape(wanted), minval=0.1, seed=seed)
    else:
        order = ops.expand_dims(ops.cast(length - ops.arange(length, dtype="int32"), "float32"), 0)
    indices = ops.top_k(ops.where(wanted, order, 0.0), min(count, length))[1]
    total = ops.sum(ops.cast(wanted, "int32"), axis=1, keepdims=True)
    return ops.cast(indices, "int32"), ops.minimum(total, min(count, length))


def _deltas(rois: Any, boxes: Any, is_positive: Any) -> Any:
    # Where there is no object, any boxes with an area serve: logarithms of 0 would make the gradient NaN.
    whole = ops.convert_to_tensor([0.0, 0.0, 1.0, 1.0], "float32")
    chosen = ops.expand_dims(is_positive, -1)
    rois, boxes = ops.where(chosen, rois, whole), ops.where(chosen, boxes, whole)
    size, true_size = rois[..., 2:] - rois[..., :2], boxes[..., 2:] - boxes[..., :2]
    shift = (boxes[..., :2] + 0.5 * true_size - rois[..., :2] - 0.5 * size) / size
    return ops.concatenate([shift, ops.log(true_size / size)], axis=-1)


def _cut_masks(masks: Any, rois: Any, boxes: Any, match: Any, rule: RoiRule) -> Any:
    """Cut the true masks to regions: (batch, n, mask_size, mask_size) float32, 0 or 1."""
    rois, boxes = ops.stop_gradient(rois), ops.stop_gradient(boxes)
    if rule.mini_masks:
        size = ops.concatenate([boxes[..., 2:] - boxes[..., :2]] * 2, axis=-1)
        corner = ops.concatenate([boxes[..., :2]] * 2, axis=-1)
        rois = (rois - corner) / ops.where(size > 0, size, 1.0)
    chosen = ops.cast(gather(masks, match), "float32")
    rows = _weights(rois[..., 0], rois[..., 2], masks.shape[2], rule.mask_size)
    columns = _weights(rois[..., 1], rois[..., 3], masks.shape[3], rule.mask_size)
    cut = ops.matmul(ops.matmul(rows, chosen), ops.swapaxes(columns, -1, -2))
    return ops.round(cut)


def _weights(start: Any, end: Any, length: int, count: int) -> Any:
    """Return weights (..., count, length) that read an axis linearly at `count` places from start to end.

    Both are normalised; what lies outside the axis reads 0.
    """
    step = (end - start) * (length - 1) / (count - 1)
    place = ops.expand_dims(start * (length - 1), -1) + ops.arange(count, dtype="float32") * ops.expand_dims(step, -1)
    inside = ops.logical_and(place >= 0, place <= length - 1)
    distance = ops.abs(ops.expand_dims(place, -1) - ops.arange(length, dtype="float32"))
    return ops.relu(1.0 - distance) * ops.expand_dims(ops.cast(inside, "float32"), -1)
