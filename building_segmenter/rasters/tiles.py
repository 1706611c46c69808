"""Tiles along an axis, and the weights that blend them: pure arithmetic of model pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray


def tile_starts(size: int, tile: int, stride: int, index: int = 0) -> list[int]:
    """Return where tiles begin along an axis so that they cover it.

    Tiles begin on lattice lines, the multiples of `stride` on the world lattice. The first and the last shift
    inwards instead of sticking out; an axis no longer than a tile has one tile at 0.

    Args:
        size: Pixels along the axis.
        tile: Pixels of a tile.
        stride: Pixels from one lattice line to the next, at most `tile`.
        index: Position of the axis' first pixel on the world lattice.
    """
    if size <= tile:
        return [0]
    starts: list[int] = []
    line = -(index % stride)
    while True:
        starts.append(min(max(line, 0), size - tile))
        if line + tile >= size:
            return sorted(set(starts))
        line += stride


def blend_weights(size: int, tile: int, starts: list[int]) -> list[NDArray[np.float32]]:
    """Return each tile's weights along an axis; at every pixel the weights of its tiles sum to one.

    Weights rise linearly from a tile's edges to its middle, so that the pixels that saw least of their
    surroundings count least, and are then divided by their sum.

    Args:
        size: Pixels along the axis.
        tile: Pixels of a tile.
        starts: From `tile_starts`.
    """
    length = min(tile, size)
    steps = np.arange(length) + 0.5
    taper = np.minimum(steps, length - steps)
    total = np.zeros(size)
    for start in starts:
        total[start : start + length] += taper
    return [(taper / total[start : start + length]).astype(np.float32) for start in starts]


@dataclass(frozen=True)
class TileAxis:
    """Tiles along one axis of a raster: those that some run of its pixels needs.

    They are blended in cells, squares of `factor` pixels whose lines lie on the world lattice. So the raster's first
    and last cells may stick out of it, and so may tiles, which begin on lines of cells.

    Args:
        size: Pixels of the raster along the axis.
        tile: Pixels of a tile.
        factor: Pixels of a cell.
        phase: Pixels of the first cell that lie before the raster.
        first: The first pixel of the run.
        count: Pixels of the run.
        cells: First cell of each tile, counted from the cell of the raster's first pixel.
        weights: Of each tile's cells, which sum to one over the tiles.
    """

    size: int
    tile: int
    factor: int
    phase: int
    first: int
    count: int
    cells: list[int]
    weights: list[NDArray[np.float32]]

    @property
    def starts(self) -> list[int]:
        """First pixel of each tile; the first may be negative, by less than a cell."""
        return [self._start(cell) for cell in self.cells]

    @property
    def reach(self) -> int:
        """How many pixels beyond its own a tile is needed for."""
        return 0 if self.factor == 1 else self.factor

    @property
    def cell_count(self) -> int:
        """Cells of the whole raster."""
        return -(-(self.phase + self.size) // self.factor)

    @property
    def tile_cells(self) -> int:
        """Cells of a tile, as far as the raster has them."""
        return min(self.tile // self.factor, self.cell_count)

    def pixels(self, number: int) -> tuple[int, int]:
        """Return the first pixel and the count of those of the raster that a tile holds."""
        start = self._start(self.cells[number])
        first = max(start, 0)
        return first, min(start + self.tile, self.size) - first

    def from_tile(self, number: int) -> TileAxis:
        """Return the same without the tiles before one."""
        return replace(self, cells=self.cells[number:], weights=self.weights[number:])

    def needed(self, first: int, count: int) -> tuple[int, int]:
        """Return the first cell, and the one behind the last, that interpolation of some pixels takes.

        It goes by the centres of cells, so the first may be -1 and the last one beyond the raster's.
        """
        if self.factor == 1:
            return first, first + count
        return self._cell_before(first), self._cell_before(first + count - 1) + 2

    def finished(self, cell: int) -> int:
        """Return the first pixel of the run that takes a cell or one after it; the end of the run if none does."""
        before = self._start(cell) - self.factor // 2
        return min(max(before, self.first), self.first + self.count)

    def _start(self, cell: int) -> int:
        return cell * self.factor - self.phase

    def _cell_before(self, pixel: int) -> int:
        """Return the last cell whose centre is not after that of a pixel."""
        return (2 * (pixel + self.phase) + 1 - self.factor) // (2 * self.factor)


def tile_axis(
    size: int, tile: int, overlap: float, index: int, run: tuple[int, int] | None = None, factor: int = 1
) -> TileAxis:
    """Return the tiles along an axis that a run of its pixels needs.

    Args:
        size: Pixels of the raster along the axis.
        tile: Pixels of a tile, a multiple of `factor`.
        overlap: Share of a tile that it has in common with the next, rounded to whole cells.
        index: Position of the raster's first pixel on the world lattice; 0 where the raster is no larger than a tile.
        run: First pixel and count of the run; None: all.
        factor: Pixels of a cell.
    """
    first, count = run or (0, size)
    whole = TileAxis(size, tile, factor, index % factor, first, count, [], [])
    cells, of_tile = whole.cell_count, tile // factor
    starts = tile_starts(cells, of_tile, max(1, round(of_tile * (1.0 - overlap))), index // factor)
    weights = blend_weights(cells, of_tile, starts)
    low, high = whole.needed(first, count)
    touching = [i for i, start in enumerate(starts) if start < high and start + of_tile > low]
    return replace(whole, cells=[starts[i] for i in touching], weights=[weights[i] for i in touching])
