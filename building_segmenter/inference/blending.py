"""Blending of tiles where they overlap.

Tiles are added in the order of their lattice, row by row, so a cell's sum has the same order however the work is
split, and the same bytes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from building_segmenter.inference.ending import Ending, Run
from building_segmenter.rasters.tiles import TileAxis

Floats = NDArray[np.float32]


class Sheet:
    """The part of a raster under the present row of tiles, and what pixels above the next row need of it.

    Args:
        channels: Channels of the network.
        rows: The raster's tiles from top to bottom; one at least.
        columns: Its tiles from left to right; one at least.
        ending: What becomes of blended cells.
    """

    def __init__(self, channels: int, rows: TileAxis, columns: TileAxis, ending: Ending) -> None:
        self._rows, self._columns, self._ending = rows, columns, ending
        # Pixels above a row of tiles are interpolated with the cells above it.
        self._above = 0 if ending.factor == 1 else 1
        self._top = rows.cells[0] - self._above
        low, high = _inside(columns, columns.first, columns.count)
        self._left = low
        height = rows.tile_cells + self._above
        self._sums = np.zeros((channels - ending.skipped, height, high - low), np.float32)
        self._valid = np.zeros((height * ending.factor, columns.count), np.bool_)
        self._done = rows.first
        self._weights: dict[tuple[bytes, bytes], Floats] = {}

    def add(self, tile: Floats, known: NDArray[np.bool_], row: int, column: int) -> None:
        """Add a tile with its weights, clipped to the sheet's columns.

        Args:
            tile: What the network gave (rows or more, columns or more, channels), in cells; overwritten.
            known: Which of the raster's pixels under it count (rows, columns).
            row: Number of the tile from top to bottom: the present one.
            column: Number of the tile from left to right.
        """
        down, across = self._rows.weights[row], self._columns.weights[column]
        start = self._columns.cells[column] - self._left
        first, last = max(0, -start), min(len(across), self._sums.shape[2] - start)
        weights = self._of_tile(down, across[first:last])
        place = np.s_[self._above : self._above + len(down), start + first : start + last]
        # Channel by channel: that is how a tile lies in memory.
        for channel, sums in enumerate(self._sums, start=self._ending.skipped):
            plane = tile[: len(down), first:last, channel]
            plane *= weights
            sums[place] += plane
        self._mark(known, self._rows.pixels(row)[0], self._columns.pixels(column)[0])

    def _mark(self, known: NDArray[np.bool_], top: int, left: int) -> None:
        """Note which pixels count, from a place in the raster on."""
        row, column = top - self._first_row(), left - self._columns.first
        first, last = max(0, -column), min(known.shape[1], self._valid.shape[1] - column)
        if last > first:
            self._valid[row : row + len(known), column + first : column + last] |= known[:, first:last]

    def _first_row(self) -> int:
        """Return the raster's row of pixels at which the sheet begins."""
        return self._top * self._ending.factor - self._rows.phase

    def _of_tile(self, down: Floats, across: Floats) -> Floats:
        # All tiles that no edge is near have the same.
        key = down.tobytes(), across.tobytes()
        if key not in self._weights:
            self._weights[key] = down[:, np.newaxis] * across
        return self._weights[key]

    def end_row(self, row: int) -> NDArray[np.uint8]:
        """Return what all tiles of a row have finished, as it is stored, (channels, rows, width), and go to the next.

        It follows what earlier rows finished; there may be no row in it.

        Args:
            row: Number of the row of tiles from top to bottom: the present one.
        """
        first, is_last = self._done, row + 1 == len(self._rows.cells)
        end = self._rows.first + self._rows.count
        self._done = end if is_last else max(first, self._rows.finished(self._rows.cells[row + 1]))
        stored = self._stored(first, self._done)
        if not is_last:
            self._scroll_to(row + 1)
        return stored

    def _stored(self, first: int, last: int) -> NDArray[np.uint8]:
        """Return finished rows of the raster as they are stored; `last` is not one of them."""
        if first == last:
            return np.zeros((0, 0, self._columns.count), np.uint8)
        rows, columns = self._rows, self._columns
        low, high = _inside(rows, first, last - first)
        # Beyond the raster's edges its cells go on as they are there.
        margins = [(0, 0), _beyond(rows, first, last - first), _beyond(columns, columns.first, columns.count)]
        cells = self._sums[:, low - self._top : high - self._top]
        if any(any(pair) for pair in margins):
            cells = np.pad(cells, margins, mode="edge")
        top = self._first_row()
        valid = self._valid[first - top : last - top]
        down, across = _run(rows, first, last - first), _run(columns, columns.first, columns.count)
        return self._ending.stored(cells, down, across, valid)

    def _scroll_to(self, row: int) -> None:
        """Move down to a row of tiles, by its number; cells and pixels that come in at the bottom are empty."""
        cells = self._rows.cells[row] - self._above - self._top
        self._top += cells
        _shift_up(self._valid, cells * self._ending.factor)
        for plane in self._sums:
            _shift_up(plane, cells)


def _inside(axis: TileAxis, first: int, count: int) -> tuple[int, int]:
    """Return the cells of the raster that pixels need: the first, and the one behind the last."""
    low, high = axis.needed(first, count)
    return max(low, 0), min(high, axis.cell_count)


def _beyond(axis: TileAxis, first: int, count: int) -> tuple[int, int]:
    """Return how many cells pixels need before the raster's, and after them."""
    (low, high), (inside_low, inside_high) = axis.needed(first, count), _inside(axis, first, count)
    return inside_low - low, high - inside_high


def _run(axis: TileAxis, first: int, count: int) -> Run:
    """Return pixels as counted from the first cell that they need."""
    return Run(first + axis.phase - axis.needed(first, count)[0] * axis.factor, count)


def _shift_up(plane: NDArray[np.float32] | NDArray[np.bool_], rows: int) -> None:
    kept = max(0, len(plane) - rows)
    plane[:kept] = plane[len(plane) - kept :].copy()
    plane[kept:] = 0
