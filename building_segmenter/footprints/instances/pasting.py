"""From a detector's boxes and masks to probabilities on the pixels of the grid.

A mask is a picture stretched over its box: the middle of cell k of n lies (k + 0.5) / n along it. Between the middles
probabilities run linearly (K. He and others, Mask R-CNN, 2017, resize to the box rounded to whole pixels instead, which
moves outlines by up to half a pixel and leaves steps of a cell). Beyond the box they are 0, so that a mask which fills
its box has its outline on the box, to a fraction of a pixel.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from building_segmenter.footprints.instances.instance import Instance, Tile
from building_segmenter.footprints.instances.patch import FULL, Patch

Floats = NDArray[np.float32]

_AT_SIDE = 0.25
"""Pixels from the side of its tile within which a box goes on beyond it: boxes are clipped to their tile."""


def placed(
    boxes: Iterable[Sequence[float]],
    masks: Iterable[NDArray[Any]],
    scores: Iterable[float],
    labels: Iterable[int],
    tile: Tile,
    known: NDArray[np.bool_] | None = None,
) -> list[Instance]:
    """Bring what was detected in a tile to the pixels of the grid.

    Args:
        boxes: Left, top, right and bottom of each in pixels from the tile's corner; the middle of its first pixel is
            at 0.5. Fractions count.
        masks: (rows, columns) of probabilities 0..1 of each, stretched over its box; any size, such as 28 x 28.
        scores: How sure the detector is, 0..1.
        labels: Number of the class.
        tile: The tile.
        known: Where in the tile (height, width) there may be anything; None: everywhere.

    Returns:
        Instances of which a pixel or more is inside (probability of at least 0.5), slivers at seams left out.
    """
    found = []
    everywhere = known is None or bool(known.all())
    for box, mask, score, label in zip(boxes, masks, scores, labels, strict=True):
        patch = pasted(box, mask, tile)
        if patch is not None and known is not None and not everywhere:
            patch = _where(known, patch, tile)
        if patch is not None and patch.area:
            instance = Instance(tile, patch, float(score), int(label))
            if not instance.is_sliver:
                found.append(instance)
    return found


def _where(known: NDArray[np.bool_], patch: Patch, tile: Tile) -> Patch:
    left, top = patch.column - tile.box[0], patch.row - tile.box[1]
    height, width = patch.values.shape
    there = known[top : top + height, left : left + width]
    return Patch(patch.column, patch.row, np.where(there, patch.values, np.uint8(0)))


def pasted(box: Sequence[float], mask: NDArray[Any], tile: Tile) -> Patch | None:
    """Sample a mask at the middles of the pixels of its tile; see `placed`. None for a box without extent in the tile.

    Cells smaller than a pixel are averaged under a triangle of two pixels, so that nothing falls between samples.
    """
    left, top, right, bottom = tile.box
    across = _weights(float(box[0]), float(box[2]), mask.shape[1], right - left)
    down = _weights(float(box[1]), float(box[3]), mask.shape[0], bottom - top)
    if across is None or down is None:
        return None
    values = down[1] @ np.asarray(mask, np.float32) @ across[1].T
    stored = np.rint(FULL * np.clip(values, 0.0, 1.0)).astype(np.uint8)
    return Patch(left + across[0], top + down[0], stored)


def _weights(start: float, stop: float, cells: int, size: int) -> tuple[int, Floats] | None:
    """Return the first pixel along an axis that a mask reaches, and the weight of each cell at it and those after.

    Args:
        start: Where the box begins, in pixels of the tile.
        stop: Where it ends.
        cells: Cells of the mask.
        size: Pixels of the tile.
    """
    if not stop > start:
        return None
    cell = (stop - start) / cells
    reach = max(cell, 1.0)
    first, last = max(math.floor(start - reach), 0), min(math.ceil(stop + reach), size)
    if last <= first:
        return None
    beyond = math.ceil((2 * reach + 1) / cell)
    middles = start + (np.arange(-beyond, cells + beyond) + 0.5) * cell
    pixels = np.arange(first, last) + 0.5
    weights = np.maximum(1 - np.abs(pixels[:, None] - middles) / reach, 0)
    weights /= weights.sum(axis=1, keepdims=True)
    own = weights[:, beyond:-beyond].copy()
    # What a tile's side cuts off goes on behind it.
    if start <= _AT_SIDE:
        own[:, 0] += weights[:, :beyond].sum(axis=1)
    if stop >= size - _AT_SIDE:
        own[:, -1] += weights[:, -beyond:].sum(axis=1)
    return first, own.astype(np.float32)
