"""Tiles along an axis, and the weights that blend them: pure arithmetic of model pixels."""

from __future__ import annotations

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
