"""Features of regions read from a pyramid, on NumPy.

Exact: He et al., "Mask R-CNN", https://arxiv.org/abs/1703.06870, section 3: each bin is the mean of four places, read
linearly between the middles of features. Matterport: one place a bin, on a grid from the first to the last feature;
outside of it the bin is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from building_segmenter.compiled import kernel

FINEST, COARSEST = 2, 5
"""Levels of the pyramid that regions are read from."""
USUAL_SIDE = 224.0
"""Side of a region in pixels that is read from level 4 (Lin et al., https://arxiv.org/abs/1612.03144, section 4.2)."""
SAMPLES = 2
"""Places a bin in each direction that the exact variant takes the mean of."""


def roi_align(
    levels: Sequence[NDArray[np.float32]],
    rois: NDArray[np.float32],
    side: int,
    image_shape: tuple[int, int],
    variant: Literal["exact", "matterport"] = "exact",
) -> NDArray[np.float32]:
    """Read the features of the regions of one image.

    Args:
        levels: P2 to P5, each (height, width, channels).
        rois: (n, 4) normalised.
        side: Bins in each direction.
        image_shape: Height and width in pixels of the image that the trunk saw.
        variant: See above.

    Returns:
        (n, side, side, channels).
    """
    pooled = np.zeros((len(rois), side, side, levels[0].shape[-1]), np.float32)
    which = roi_levels(rois, image_shape)
    for level, features in enumerate(levels, FINEST):
        own = np.flatnonzero(which == level)
        if len(own):
            rows, columns = _places(rois[own], features.shape[:2], side, image_shape, variant)
            _read(np.ascontiguousarray(features, np.float32), rows, columns, own, pooled)
    return pooled


def roi_levels(rois: NDArray[np.float32], image_shape: tuple[int, int]) -> NDArray[np.int32]:
    """Return the level (n,) that each normalised region (n, 4) is read from, by its size in pixels."""
    sides = np.sqrt((rois[:, 2] - rois[:, 0]) * (rois[:, 3] - rois[:, 1]))
    unit = np.float32(USUAL_SIDE) / np.sqrt(np.float32(image_shape[0] * image_shape[1]))
    with np.errstate(divide="ignore"):
        level = 4 + np.round(np.log2(sides / unit))
    clipped: NDArray[np.int32] = np.clip(level, FINEST, COARSEST).astype(np.int32)
    return clipped


def _places(
    rois: NDArray[np.float32], shape: Sequence[int], side: int, image_shape: tuple[int, int], variant: str
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return rows and columns (n, side * samples) to read at, in features; NaN outside."""
    found = []
    for axis in (0, 1):
        start, end, length = rois[:, axis, None], rois[:, axis + 2, None], shape[axis]
        if variant == "exact":
            found.append(_exact(start, end, length, side, image_shape[axis]))
        else:
            found.append(_on_corners(start, end, length, side))
    return found[0], found[1]


def _on_corners(start: NDArray[np.float32], end: NDArray[np.float32], length: int, side: int) -> NDArray[np.float32]:
    # Each step in float32, in this order: whether the last place is outside hangs on the last bit.
    last = np.float32(length - 1)
    step = (end - start) * last / np.float32(side - 1)
    place = start * last + np.arange(side, dtype=np.float32) * step
    return np.where((place >= 0) & (place <= last), place, np.float32(np.nan))


def _exact(
    start: NDArray[np.float32], end: NDArray[np.float32], length: int, side: int, pixels: int
) -> NDArray[np.float32]:
    stride = np.float32(pixels / length)
    first = start * np.float32(pixels - 1) / stride
    last = (end * np.float32(pixels - 1) + 1) / stride
    parts = (np.arange(side * SAMPLES, dtype=np.float32) + np.float32(0.5)) / np.float32(side * SAMPLES)
    place = first + parts * (last - first) - np.float32(0.5)
    return np.clip(place, 0, np.float32(length - 1))


@kernel
def _read(features, rows, columns, own, pooled):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    side, channels = pooled.shape[1], pooled.shape[3]
    samples = rows.shape[1] // side
    share = np.float32(1.0 / (samples * samples))
    for number in range(len(own)):
        out = pooled[own[number]]
        for i in range(rows.shape[1]):
            y = rows[number, i]
            if np.isnan(y):
                continue
            top = int(np.floor(y))
            bottom = int(np.ceil(y))
            down = y - np.float32(top)
            for j in range(columns.shape[1]):
                x = columns[number, j]
                if np.isnan(x):
                    continue
                left = int(np.floor(x))
                right = int(np.ceil(x))
                over = x - np.float32(left)
                cell = out[i // samples, j // samples]
                for c in range(channels):
                    above = features[top, left, c] + (features[top, right, c] - features[top, left, c]) * over
                    below = features[bottom, left, c] + (features[bottom, right, c] - features[bottom, left, c]) * over
                    cell[c] += share * (above + (below - above) * down)
