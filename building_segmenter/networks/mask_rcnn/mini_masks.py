"""Masks of objects kept small: each cut to its box and scaled to one size.

A chip of 512 px with 300 buildings has 75 MB of masks, but 1 MB of mini masks of 56 px.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.transform import resize

MINI_SIZE = 56


def mask_boxes(masks: NDArray[Any]) -> NDArray[np.int32]:
    """Return the box of each mask (n, height, width): (n, 4) y1, x1, y2, x2, the last two exclusive; empty: zeros."""
    boxes = np.zeros((len(masks), 4), np.int32)
    for axis, at in ((2, 0), (1, 1)):
        used = np.logical_or.reduce(masks, axis=axis)
        found = used.any(axis=1)
        boxes[found, at] = used.argmax(axis=1)[found]
        boxes[found, at + 2] = used.shape[1] - used[:, ::-1].argmax(axis=1)[found]
    return boxes


def minimize_masks(masks: NDArray[Any], boxes: NDArray[Any], size: int = MINI_SIZE) -> NDArray[np.bool_]:
    """Cut masks (n, height, width) to their boxes (n, 4) in whole pixels and scale them to (n, size, size)."""
    mini = np.zeros((len(masks), size, size), bool)
    for number, (mask, (y1, x1, y2, x2)) in enumerate(zip(masks, boxes, strict=True)):
        if y2 > y1 and x2 > x1:
            mini[number] = _scaled(mask[y1:y2, x1:x2], (size, size))
    return mini


def expand_masks(mini: NDArray[Any], boxes: NDArray[Any], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Scale mini masks (n, size, size) back into their boxes (n, 4): (n, height, width) of `shape`."""
    masks = np.zeros((len(mini), *shape), bool)
    for number, (mask, (y1, x1, y2, x2)) in enumerate(zip(mini, boxes, strict=True)):
        if y2 > y1 and x2 > x1:
            masks[number, y1:y2, x1:x2] = _scaled(mask, (y2 - y1, x2 - x1))
    return masks


def minimize_numbers(
    numbers: NDArray[np.int32], count: int, size: int = MINI_SIZE
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Take boxes and mini masks from a picture of numbered objects, without a full mask for each.

    Args:
        numbers: (height, width): 1 for a pixel of the first object, 2 for the second; 0 where there is none.
        count: Objects; those without a pixel have a box of zeros and an empty mask.
        size: Height and width of a mini mask.

    Returns:
        (count, 4) boxes as of `mask_boxes`, (count, size, size) masks.
    """
    boxes = np.zeros((count, 4), np.int32)
    mini = np.zeros((count, size, size), bool)
    for index, place in enumerate(ndimage.find_objects(numbers, count)):
        if place is not None:
            rows, columns = place
            boxes[index] = rows.start, columns.start, rows.stop, columns.stop
            mini[index] = _scaled(numbers[place] == index + 1, (size, size))
    return boxes, mini


def _scaled(mask: NDArray[Any], shape: tuple[int, int]) -> NDArray[np.bool_]:
    scaled = resize(mask.astype(np.float64), shape, order=1, mode="constant", anti_aliasing=False)
    return np.asarray(np.around(scaled) > 0, bool)
