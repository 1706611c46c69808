"""Splitting chips into training and validation by blocks of ground, so that no chip overlaps the other split."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from building_segmenter.chips.chip import Split
from building_segmenter.rasters.overlay import Window

NEITHER, TRAIN, VALIDATION = 0, 1, 2
SPLITS: dict[int, Split] = {TRAIN: "train", VALIDATION: "validation"}

_BLOCKS_WANTED = 16
_LONGEST_BLOCK_IN_CHIPS = 4


class SpatialSplit:
    """A chessboard of square blocks, some of them drawn for validation.

    Args:
        ground: The pixels of the grid to split (column, row, width, height).
        tile: Longer side of a chip.
        share: Share of the blocks for validation, 0..1.
        seed: Chooses the blocks.
    """

    def __init__(self, ground: Window, tile: int, share: float, seed: int) -> None:
        self._left, self._top, width, height = ground
        wanted = int((width * height / _BLOCKS_WANTED) ** 0.5)
        self._side = min(max(wanted, tile), _LONGEST_BLOCK_IN_CHIPS * tile)
        columns, rows = max(1, -(-width // self._side)), max(1, -(-height // self._side))
        self._validation = _draw(rows, columns, share, seed)
        self._sums = np.pad(self._validation.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))

    def of(self, outlines: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the split of each chip: `TRAIN`, `VALIDATION`, or `NEITHER` where it lies over blocks of both.

        Args:
            outlines: Polygons in pixels of the grid, from `frames.outlines`.
        """
        bounds = shapely.bounds(outlines)
        x0, y0, x1, y1 = self._blocks(bounds)
        sums = self._sums
        drawn = sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]
        split = np.where(drawn == 0, TRAIN, np.where(drawn == (x1 - x0) * (y1 - y0), VALIDATION, NEITHER))
        # A turned chip does not reach the corners of its bounds.
        turned = shapely.area(outlines) < 0.999 * (bounds[:, 2:] - bounds[:, :2]).prod(axis=1)
        for index in np.flatnonzero(turned & (split == NEITHER)):
            split[index] = self._of_turned(outlines[index], x0[index], y0[index], x1[index], y1[index])
        return split.astype(np.uint8)

    def _blocks(self, bounds: NDArray[np.float64]) -> NDArray[np.intp]:
        """Return the first and the last-plus-one column and row of the blocks under bounds, as (4, n)."""
        low = np.floor((bounds[:, :2] - (self._left, self._top)) / self._side)
        high = np.floor((bounds[:, 2:] - (self._left, self._top)) / self._side) + 1
        rows, columns = self._validation.shape
        low = np.clip(low, 0, (columns - 1, rows - 1))
        return np.vstack([low.T, np.clip(high, low + 1, (columns, rows)).T]).astype(np.intp)

    def _of_turned(self, outline: Any, x0: int, y0: int, x1: int, y1: int) -> int:
        rows, columns = np.mgrid[y0:y1, x0:x1]
        left, top = self._left + columns * self._side, self._top + rows * self._side
        boxes = shapely.box(left, top, left + self._side, top + self._side)
        drawn = self._validation[y0:y1, x0:x1][shapely.intersects(outline, boxes)]
        if drawn.all():
            return VALIDATION
        return NEITHER if drawn.any() else TRAIN


def _draw(rows: int, columns: int, share: float, seed: int) -> NDArray[np.bool_]:
    blocks = rows * columns
    count = round(share * blocks)
    if 0 < share < 1 and blocks > 1:
        count = min(max(count, 1), blocks - 1)
    drawn = np.zeros(blocks, np.bool_)
    drawn[np.random.default_rng(seed).permutation(blocks)[:count]] = True
    return drawn.reshape(rows, columns)
