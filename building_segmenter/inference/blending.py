"""Blending of tiles where they overlap: compiled, one pass over each tile.

Tiles are added in the order of their lattice, row by row, so a pixel's sum has the same order however the work is
split, and the same bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from building_segmenter.compiled import kernel
from building_segmenter.rasters.probability import FULL, NODATA

Floats = NDArray[np.float32]


class Sheet:
    """The rows of a raster under the present row of tiles.

    Args:
        channels: Channels of the network.
        rows: Rows of a tile.
        width: Columns of the raster.
        stored: How many of the channels, the last ones, are stored.
    """

    def __init__(self, channels: int, rows: int, width: int, stored: int) -> None:
        self._sums = np.zeros((stored, rows, width), np.float32)
        self._valid = np.zeros((rows, width), np.bool_)
        self._skipped = channels - stored

    def add(self, tile: Floats, known: NDArray[np.bool_], left: int, down: Floats, across: Floats) -> None:
        """Add a tile with its weights, clipped to the sheet's columns.

        Args:
            tile: Probabilities (rows or more, columns or more, channels).
            known: Where they count (rows, columns).
            left: The sheet's column of the tile's first one; negative where the tile begins before the sheet.
            down: Weight of each row.
            across: Weight of each column.
        """
        first, last = max(0, -left), min(len(across), self._sums.shape[2] - left)
        _add(self._sums, self._valid, tile, known, down, across, first, last, left, self._skipped)

    def stored(self, first: int, last: int) -> tuple[NDArray[np.uint8], bool]:
        """Return finished rows as they are stored, (channels, rows, width), and whether any pixel is valid."""
        values = np.empty((len(self._sums), last - first, self._sums.shape[2]), np.uint8)
        return values, bool(_quantize(self._sums[:, first:last], self._valid[first:last], values, FULL, NODATA))

    def scroll(self, rows: int) -> None:
        """Move up by some rows; those that come in at the bottom are empty."""
        for plane in (*self._sums, self._valid):
            kept = max(0, len(plane) - rows)
            plane[:kept] = plane[len(plane) - kept :].copy()
            plane[kept:] = 0


@kernel
def _add(
    sums: Any, valid: Any, tile: Any, known: Any, down: Any, across: Any, first: int, last: int, left: int, skipped: int
) -> None:
    for row in range(len(down)):
        for column in range(first, last):
            weight = down[row] * across[column]
            for channel in range(sums.shape[0]):
                sums[channel, row, left + column] += tile[row, column, skipped + channel] * weight
            if known[row, column]:
                valid[row, left + column] = True


@kernel
def _quantize(sums: Any, valid: Any, values: Any, full: int, nodata: int) -> bool:
    any_valid = False
    half, top = np.float32(0.5), np.float32(full)
    for row in range(valid.shape[0]):
        for column in range(valid.shape[1]):
            any_valid |= valid[row, column]
        for channel in range(sums.shape[0]):
            for column in range(valid.shape[1]):
                value = min(max(sums[channel, row, column] * top + half, np.float32(0.0)), top)
                values[channel, row, column] = np.uint8(value) if valid[row, column] else np.uint8(nodata)
    return any_valid
