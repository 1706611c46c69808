"""Splitting chips into training and validation by blocks of ground, so that no chip overlaps the other split."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from building_segmenter.chips.chip import Split
from building_segmenter.rasters.overlay import Window

_BLOCKS_WANTED = 16
_LONGEST_BLOCK_IN_CHIPS = 4


class SpatialSplit:
    """A chessboard of square blocks, some of them drawn for validation.

    Args:
        width: Model pixels of the ground to split.
        height: The same, down.
        tile: Side of a chip.
        share: Share of the blocks for validation, 0..1.
        seed: Chooses the blocks.
    """

    def __init__(self, width: int, height: int, tile: int, share: float, seed: int) -> None:
        wanted = int((width * height / _BLOCKS_WANTED) ** 0.5)
        self._side = min(max(wanted, tile), _LONGEST_BLOCK_IN_CHIPS * tile)
        columns, rows = max(1, -(-width // self._side)), max(1, -(-height // self._side))
        self._validation = _draw(rows, columns, share, seed)

    def of(self, window: Window) -> Split | None:
        """Return the split of a chip, or None where it lies over blocks of both."""
        column, row, width, height = window
        rows = slice(row // self._side, (row + height - 1) // self._side + 1)
        columns = slice(column // self._side, (column + width - 1) // self._side + 1)
        blocks = self._validation[rows, columns]
        if blocks.all():
            return "validation"
        return None if blocks.any() else "train"


def _draw(rows: int, columns: int, share: float, seed: int) -> NDArray[np.bool_]:
    blocks = rows * columns
    count = round(share * blocks)
    if 0 < share < 1 and blocks > 1:
        count = min(max(count, 1), blocks - 1)
    drawn = np.zeros(blocks, np.bool_)
    drawn[np.random.default_rng(seed).permutation(blocks)[:count]] = True
    return drawn.reshape(rows, columns)
