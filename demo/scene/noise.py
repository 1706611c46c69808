"""Textures from seeded random numbers: cloudy noise for ground, roofs, crowns and light."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.float32]

TILE = 512
"""Width and height in samples of the noise tiles, which repeat seamlessly."""


def clouds(rng: np.random.Generator, shape: tuple[int, int], cell: float, octaves: int = 3) -> Floats:
    """Return smooth noise of mean 0 and deviation 1, each octave half the size and strength of the one before.

    Args:
        rng: Where the randomness comes from.
        shape: Height and width in samples.
        cell: Size of the largest lumps in samples.
        octaves: How many sizes are added.
    """
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        size = max(cell / 2**octave, 1.0)
        coarse = rng.standard_normal((int(shape[0] / size) + 3, int(shape[1] / size) + 3)).astype(np.float32)
        total += _enlarged(coarse, shape, size) / 2**octave
    return (total - total.mean()) / (total.std() + 1e-6)


def tile(rng: np.random.Generator, sigma: float) -> Floats:
    """Return a seamless square of noise of deviation 1, blurred by `sigma` samples."""
    white = rng.standard_normal((TILE, TILE)).astype(np.float32)
    smooth = ndimage.gaussian_filter(white, sigma, mode="wrap") if sigma > 0 else white
    return smooth / smooth.std()


def cut(noise: Floats, rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Return a piece of a seamless tile from a random place, repeated as far as needed."""
    row, column = rng.integers(0, TILE, 2)
    rows, columns = (row + np.arange(shape[0])) % TILE, (column + np.arange(shape[1])) % TILE
    return noise[rows[:, None], columns[None, :]]


def _enlarged(coarse: Floats, shape: tuple[int, int], size: float) -> Floats:
    """Interpolate a coarse lattice linearly, rows first, then columns."""
    rows, row_part = _steps(shape[0], size)
    columns, column_part = _steps(shape[1], size)
    tall = coarse[rows] + (coarse[rows + 1] - coarse[rows]) * row_part[:, None]
    wide: Floats = tall[:, columns] + (tall[:, columns + 1] - tall[:, columns]) * column_part[None, :]
    return wide


def _steps(length: int, size: float) -> tuple[NDArray[np.intp], Floats]:
    place = np.arange(length, dtype=np.float32) / np.float32(size)
    whole = place.astype(np.intp)
    part = place - whole
    return whole, part * part * (3 - 2 * part)
