"""How far a pixel IoU can be trusted: counts by cells of ground, drawn again and again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CELL_M = 40.0
"""Side of a cell: wider than a house, so that cells are nearly independent of each other."""
DRAWS = 10_000

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class CellCounts:
    """What predicted and true pixels have in common, cell by cell.

    Args:
        shared: Pixels (n,) that are buildings in both.
        either: Pixels (n,) that are buildings in one of them at least.
    """

    shared: NDArray[np.int64]
    either: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.shared)

    @property
    def iou(self) -> float:
        """Intersection over union of all cells together; 1 if there is no building at all."""
        either = int(self.either.sum())
        return int(self.shared.sum()) / either if either else 1.0


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval of 95 %."""

    value: float
    low: float
    high: float


def count_cells(found: Mask, true: Mask, known: Mask, pixel: tuple[float, float]) -> CellCounts:
    """Count by cells of ground.

    Args:
        found: Predicted buildings (height, width).
        true: True ones.
        known: Pixels that count; cells without any are left out.
        pixel: Width and height of a pixel in ground metres.

    Returns:
        Counts of cells that part the image evenly, each as near to 40 m as that allows.
    """
    rows, columns = (_parts(size, side) for size, side in zip(found.shape, reversed(pixel), strict=True))
    cells = rows[:, None] * (columns[-1] + 1) + columns[None, :]
    number = int(cells[-1, -1]) + 1
    shared, either, counted = (
        np.bincount(cells[mask & known], minlength=number) for mask in (found & true, found | true, known)
    )
    return CellCounts(shared[counted > 0], either[counted > 0])


def joined(parts: Sequence[CellCounts]) -> CellCounts:
    """Return the cells of several images as one."""
    return CellCounts(np.concatenate([p.shared for p in parts]), np.concatenate([p.either for p in parts]))


def drawn_ious(cells: CellCounts, seed: int, draws: int = DRAWS) -> NDArray[np.float64]:
    """Return the IoU (draws,) of as many cells as there are, drawn with replacement.

    Shared pixels and those in either are summed over the draw before they are divided, as for the figure itself: the
    bootstrap of a ratio (Efron & Tibshirani 1993, chapter 6).
    """
    times = np.random.default_rng(seed).multinomial(len(cells), np.full(len(cells), 1 / len(cells)), size=draws)
    shared, either = times @ cells.shared, times @ cells.either
    return np.divide(shared, either, out=np.ones(draws), where=either > 0)


def estimated(cells: CellCounts, seed: int = 1) -> Estimate:
    """Return the IoU of cells with its interval."""
    return Estimate(cells.iou, *_interval(drawn_ious(cells, seed)))


def estimated_mean(groups: Sequence[CellCounts], seed: int = 1) -> Estimate:
    """Return the mean of the IoUs of groups of cells with its interval; each group is drawn from by itself."""
    draws = [drawn_ious(cells, seed + number) for number, cells in enumerate(groups)]
    return Estimate(float(np.mean([cells.iou for cells in groups])), *_interval(np.mean(draws, axis=0)))


def _parts(pixels: int, side: float) -> NDArray[np.int64]:
    """Return which of the even parts of about a cell's side each pixel of a row or column lies in."""
    number = max(1, round(pixels * side / CELL_M))
    return np.arange(pixels) * number // pixels


def _interval(draws: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.percentile(draws, (2.5, 97.5))
    return float(low), float(high)
