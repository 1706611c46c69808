"""Blending of tiles where they overlap.

Tiles are added in the order of their lattice, row by row, so a pixel's sum has the same order however the work is
split, and the same bytes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from building_segmenter.rasters.probability import quantized

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
        self._weights: dict[tuple[bytes, bytes], Floats] = {}

    def add(self, tile: Floats, known: NDArray[np.bool_], left: int, down: Floats, across: Floats) -> None:
        """Add a tile with its weights, clipped to the sheet's columns.

        Args:
            tile: Probabilities (rows or more, columns or more, channels); overwritten.
            known: Where they count (rows, columns).
            left: The sheet's column of the tile's first one; negative where the tile begins before the sheet.
            down: Weight of each row.
            across: Weight of each column.
        """
        first, last = max(0, -left), min(len(across), self._sums.shape[2] - left)
        place = np.s_[: len(down), left + first : left + last]
        weights = self._of_tile(down, across[first:last])
        # Channel by channel: that is how a tile lies in memory.
        for channel, sums in enumerate(self._sums, start=self._skipped):
            plane = tile[: len(down), first:last, channel]
            plane *= weights
            sums[place] += plane
        self._valid[place] |= known[:, first:last]

    def _of_tile(self, down: Floats, across: Floats) -> Floats:
        # All tiles that no edge is near have the same.
        key = down.tobytes(), across.tobytes()
        if key not in self._weights:
            self._weights[key] = down[:, np.newaxis] * across
        return self._weights[key]

    def stored(self, first: int, last: int) -> NDArray[np.uint8]:
        """Return finished rows as they are stored, (channels, rows, width); they are to be scrolled away next."""
        return quantized(self._sums[:, first:last], self._valid[first:last], overwrite=True)

    def scroll(self, rows: int) -> None:
        """Move up by some rows; those that come in at the bottom are empty."""
        for plane in (*self._sums, self._valid):
            kept = max(0, len(plane) - rows)
            plane[:kept] = plane[len(plane) - kept :].copy()
            plane[kept:] = 0
