"""Boxes on NumPy: anchors, coordinates, deltas and suppression, with the numbers of Matterport's implementation.

Boxes are y1, x1, y2, x2. In pixels y2 and x2 are exclusive; normalised, 1 is the last pixel of the image.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from building_segmenter.compiled import kernel
from building_segmenter.networks.mask_rcnn.config import Config, feature_shapes

_SHIFT = np.array([0.0, 0.0, 1.0, 1.0])


def anchor_boxes(config: Config, height: int, width: int) -> NDArray[np.float64]:
    """Return all anchors of an image: (anchors, 4) in pixels, in the order of the trunk's outputs.

    They are centred on the first pixel of a feature's field, as the weights learned it, not on its middle.
    """
    levels = zip(config.RPN_ANCHOR_SCALES, config.BACKBONE_STRIDES, feature_shapes(config, height, width), strict=True)
    return np.concatenate([_level(config, scale, stride, shape) for scale, stride, shape in levels])


def normalised_boxes(boxes: NDArray[Any], height: int, width: int) -> NDArray[np.float32]:
    """Turn boxes (..., 4) in pixels into normalised ones."""
    normalised: NDArray[np.float32] = ((boxes - _SHIFT) / _scale(height, width)).astype(np.float32)
    return normalised


def pixel_boxes(boxes: NDArray[Any], height: int, width: int) -> NDArray[np.int32]:
    """Turn normalised boxes (..., 4) into pixels, rounded."""
    pixels: NDArray[np.int32] = np.around(boxes * _scale(height, width) + _SHIFT).astype(np.int32)
    return pixels


def moved_boxes(boxes: NDArray[np.float32], deltas: NDArray[np.float32]) -> NDArray[np.float32]:
    """Apply deltas (n, 4) dy, dx, log dh, log dw, in parts of the box, to boxes (n, 4)."""
    size = boxes[:, 2:] - boxes[:, :2]
    centre = boxes[:, :2] + np.float32(0.5) * size + deltas[:, :2] * size
    size = size * np.exp(deltas[:, 2:])
    corner = centre - np.float32(0.5) * size
    return np.concatenate([corner, corner + size], axis=1)


def clipped_boxes(boxes: NDArray[np.float32], window: NDArray[np.float32]) -> NDArray[np.float32]:
    """Clip boxes (n, 4) to a window (4,) of the same coordinates."""
    least, most = np.tile(window[:2], 2), np.tile(window[2:], 2)
    return np.maximum(np.minimum(boxes, most), least)


def suppressed(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], threshold: float, count: int
) -> NDArray[np.int64]:
    """Return the numbers of at most `count` boxes, best first, none of which overlaps a better one too much.

    Args:
        boxes: (n, 4).
        scores: (n,); of equal ones the first wins.
        threshold: Intersection over union above which the lesser of two boxes goes.
        count: At most so many.
    """
    order = np.argsort(-scores, kind="stable")
    ordered = np.ascontiguousarray(boxes[order], np.float32)
    kept: NDArray[np.int64] = order[_greedy(ordered, np.float32(threshold), count)]
    return kept


def _scale(height: int, width: int) -> NDArray[np.float64]:
    return np.array([height - 1, width - 1, height - 1, width - 1], np.float64)


def _level(config: Config, scale: float, stride: int, shape: tuple[int, int]) -> NDArray[np.float64]:
    roots = np.sqrt(np.array(config.RPN_ANCHOR_RATIOS, np.float64))
    sizes = np.stack([scale / roots, scale * roots], axis=-1)
    step = config.RPN_ANCHOR_STRIDE
    places = [np.arange(0, length, step) * stride for length in shape]
    centres = np.stack(np.meshgrid(*places, indexing="ij"), axis=-1).reshape(-1, 1, 2)
    return np.concatenate([centres - 0.5 * sizes, centres + 0.5 * sizes], axis=-1).reshape(-1, 4)


@kernel
def _greedy(boxes, threshold, count):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    kept = np.empty(min(count, len(boxes)), np.int64)
    found = 0
    for number in range(len(boxes)):
        if found == len(kept):
            break
        y1, x1, y2, x2 = boxes[number]
        area = (y2 - y1) * (x2 - x1)
        free = True
        for other in range(found - 1, -1, -1):
            v1, u1, v2, u2 = boxes[kept[other]]
            height = min(y2, v2) - max(y1, v1)
            width = min(x2, u2) - max(x1, u1)
            if height <= 0 or width <= 0:
                continue
            both = height * width
            if both / (area + (v2 - v1) * (u2 - u1) - both) > threshold:
                free = False
                break
        if free:
            kept[found] = number
            found += 1
    return kept[:found]
