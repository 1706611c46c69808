"""Proposals and features of regions on tensors, through which gradients pass; of any batch.

The numbers are those of `proposals` and `roi_align`. Suppression is TensorFlow's, the backend of training.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from keras import ops

from building_segmenter.networks.mask_rcnn.config import Config
from building_segmenter.networks.mask_rcnn.losses import gather
from building_segmenter.networks.mask_rcnn.roi_align import COARSEST, FINEST, SAMPLES, USUAL_SIDE


def propose(probabilities: Any, deltas: Any, anchors: Any, config: Config, count: int | None = None) -> Any:
    """Choose regions by what the region proposal network says.

    Args:
        probabilities: (batch, anchors, 2) of ground and object.
        deltas: (batch, anchors, 4) of the network.
        anchors: (anchors, 4) normalised.
        config: Of the network.
        count: Of an image at most; without, `POST_NMS_ROIS_TRAINING`.

    Returns:
        (batch, count, 4) normalised boxes, best first, then zeros. Gradients run to the deltas.
    """
    count = config.POST_NMS_ROIS_TRAINING if count is None else count
    scores, best = ops.top_k(probabilities[..., 1], min(config.PRE_NMS_LIMIT, len(anchors)))
    scaled = gather(deltas, best) * ops.convert_to_tensor(config.RPN_BBOX_STD_DEV, "float32")
    chosen = ops.take(ops.convert_to_tensor(anchors, "float32"), best, axis=0)
    boxes = ops.clip(moved_boxes(chosen, scaled), 0.0, 1.0)
    kept, found = _suppressed(boxes, scores, config.RPN_NMS_THRESHOLD, count)
    used = ops.arange(count, dtype="int32")[None, :, None] < ops.reshape(found, (-1, 1, 1))
    return ops.where(used, gather(boxes, kept), 0.0)


def moved_boxes(boxes: Any, deltas: Any) -> Any:
    """Apply deltas (..., 4) dy, dx, log dh, log dw, in parts of the box, to boxes (..., 4)."""
    size = boxes[..., 2:] - boxes[..., :2]
    centre = boxes[..., :2] + 0.5 * size + deltas[..., :2] * size
    size = size * ops.exp(deltas[..., 2:])
    corner = centre - 0.5 * size
    return ops.concatenate([corner, corner + size], axis=-1)


def roi_align(
    levels: Sequence[Any],
    rois: Any,
    side: int,
    image_shape: tuple[int, int],
    variant: Literal["exact", "matterport"] = "exact",
) -> Any:
    """Read the features of regions.

    Args:
        levels: P2 to P5, each (batch, height, width, channels) of known size.
        rois: (batch, n, 4) normalised. No gradient runs to them.
        side: Bins in each direction.
        image_shape: Height and width in pixels of the images.
        variant: As of `roi_align.roi_align`.

    Returns:
        (batch, n, side, side, channels).
    """
    rois = ops.stop_gradient(ops.cast(rois, "float32"))
    shapes = np.array([level.shape[1:3] for level in levels], np.int32)
    which = _levels(rois, image_shape) - FINEST
    begins = np.concatenate([[0], np.cumsum(shapes.prod(axis=1))[:-1]]).astype(np.int32)
    sizes = ops.take(ops.convert_to_tensor(shapes), which, axis=0)
    begin = ops.take(ops.convert_to_tensor(begins), which, axis=0)
    rows = _places(rois[..., 0], rois[..., 2], sizes[..., 0], side, image_shape[0], variant)
    columns = _places(rois[..., 1], rois[..., 3], sizes[..., 1], side, image_shape[1], variant)
    return _read(_in_a_row(levels), begin, sizes[..., 1], rows, columns, side)


def _suppressed(boxes: Any, scores: Any, threshold: float, count: int) -> tuple[Any, Any]:
    """Return the numbers (batch, count) of the boxes that stay, padded with 0, and how many these are (batch,)."""
    import tensorflow as tf

    def of_image(one: Any) -> Any:
        return tf.image.non_max_suppression_padded(
            one[0], one[1], count, iou_threshold=threshold, pad_to_max_output_size=True
        )

    given = (ops.stop_gradient(boxes), ops.stop_gradient(scores))
    kept, found = tf.map_fn(of_image, given, fn_output_signature=(tf.int32, tf.int32))
    return tf.ensure_shape(kept, (None, count)), found


def _levels(rois: Any, image_shape: tuple[int, int]) -> Any:
    area = (rois[..., 2] - rois[..., 0]) * (rois[..., 3] - rois[..., 1])
    unit = USUAL_SIDE / float(np.sqrt(np.float32(image_shape[0] * image_shape[1])))
    # Regions of zeros, which fill up an image, have no logarithm; they belong to the finest level.
    side = ops.sqrt(ops.maximum(area, 1e-12))
    level = 4 + ops.round(ops.log(side / unit) / float(np.log(2.0)))
    return ops.cast(ops.clip(level, FINEST, COARSEST), "int32")


def _places(start: Any, end: Any, length: Any, side: int, pixels: int, variant: str) -> tuple[Any, Any, Any]:
    """Return for (batch, n, places) the feature before, the share of the one after, and whether it is inside (1, 0)."""
    start, end = ops.expand_dims(start, -1), ops.expand_dims(end, -1)
    last = ops.expand_dims(ops.cast(length, "float32") - 1.0, -1)
    if variant == "exact":
        stride = pixels / (last + 1.0)
        first, final = start * (pixels - 1.0) / stride, (end * (pixels - 1.0) + 1.0) / stride
        parts = (ops.arange(side * SAMPLES, dtype="float32") + 0.5) / (side * SAMPLES)
        place = ops.minimum(ops.maximum(first + parts * (final - first) - 0.5, 0.0), last)
        inside = ops.ones_like(place)
    else:
        step = (end - start) * last / float(side - 1)
        place = start * last + ops.arange(side, dtype="float32") * step
        inside = ops.cast(ops.logical_and(place >= 0, place <= last), "float32")
        place = ops.minimum(ops.maximum(place, 0.0), last)
    before = ops.floor(place)
    return ops.cast(before, "int32"), place - before, inside


def _in_a_row(levels: Sequence[Any]) -> Any:
    flat = [ops.reshape(level, (-1, level.shape[1] * level.shape[2], level.shape[3])) for level in levels]
    return ops.concatenate(flat, axis=1)


def _read(
    features: Any, begin: Any, width: Any, rows: tuple[Any, Any, Any], columns: tuple[Any, Any, Any], side: int
) -> Any:
    (top, down, has_row), (left, over, has_column) = rows, columns
    regions, places, channels = top.shape[1], top.shape[2], features.shape[-1]
    begin, width = begin[..., None, None], width[..., None, None]
    total = 0.0
    for lower, row_share in ((0, 1.0 - down), (1, down)):
        for right, column_share in ((0, 1.0 - over), (1, over)):
            # The share of a feature after the last one is 0, so any feature serves.
            row = top[..., :, None] + ops.cast(ops.expand_dims(down > 0, -1), "int32") * lower
            column = left[..., None, :] + ops.cast(ops.expand_dims(over > 0, -2), "int32") * right
            index = ops.reshape(begin + row * width + column, (-1, regions * places * places))
            share = (row_share * has_row)[..., :, None] * (column_share * has_column)[..., None, :]
            read = ops.reshape(gather(features, index), (-1, regions, places, places, channels))
            total = total + read * ops.expand_dims(share, -1)
    samples = places // side
    split = ops.reshape(total, (-1, regions, side, samples, side, samples, channels))
    return ops.mean(split, axis=(3, 5))
