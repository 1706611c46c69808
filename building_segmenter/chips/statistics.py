"""Running figures over chips: band statistics of the images, and pixels and chips of each class."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from building_segmenter.chips.chip import BUILDING, IGNORE, Chip


@dataclass
class BandStatistics:
    """Minimum, maximum, mean and standard deviation of each band over the known pixels of many chips."""

    _low: NDArray[np.float64] | None = None
    _high: NDArray[np.float64] | None = None
    _sums: Any = 0.0
    _squares: Any = 0.0
    _count: int = 0

    def add(self, chip: Chip) -> None:
        """Count a chip's known pixels."""
        pixels = chip.image[chip.label != IGNORE].astype(np.float64)
        if len(pixels) == 0:
            return
        low, high = pixels.min(axis=0), pixels.max(axis=0)
        self._low = low if self._low is None else np.minimum(self._low, low)
        self._high = high if self._high is None else np.maximum(self._high, high)
        self._sums, self._squares = self._sums + pixels.sum(axis=0), self._squares + (pixels**2).sum(axis=0)
        self._count += len(pixels)

    def summary(self) -> list[dict[str, float]]:
        """Return `{min, max, mean, std}` of each band."""
        if self._low is None or self._high is None:
            return []
        mean = self._sums / self._count
        deviation = np.sqrt(np.maximum(self._squares / self._count - mean**2, 0.0))
        columns = zip(self._low, self._high, mean, deviation, strict=True)
        return [dict(zip(("min", "max", "mean", "std"), map(float, column), strict=True)) for column in columns]


@dataclass
class ClassStatistics:
    """Building pixels of every chip that has any."""

    pixels: list[int] = field(default_factory=list)
    chips: int = 0

    def add(self, chip: Chip) -> None:
        """Count a chip."""
        self.chips += 1
        count = int((chip.label == BUILDING).sum())
        if count:
            self.pixels.append(count)
