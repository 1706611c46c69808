"""Smallest, largest, sum and squares of the pixels of bands in one pass: what statistics of small integers need."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from building_segmenter.compiled import kernel

_NARROW_COLUMNS = (2**32 - 1) // 255**2
"""Squares of bytes that certainly add up in 32 bits, at half the time of 64."""


def plane_sums(planes: NDArray[Any]) -> NDArray[np.float64]:
    """Measure the bands of an image.

    Args:
        planes: (bands, rows, columns) integers of 8 or 16 bits, not empty.

    Returns:
        (bands, 4): minimum, maximum, mean, and sum of squared deviations from the mean.
    """
    narrow = planes.dtype == np.uint8 and planes.shape[2] <= _NARROW_COLUMNS
    measured: NDArray[np.float64] = (_narrow_sums if narrow else _wide_sums)(planes)
    return measured


def compile_kernels() -> None:
    """Compile what bytes and other small integers need, or load it from the cache; about a second the first time."""
    for dtype in (np.uint8, np.uint16, np.int16):
        plane_sums(np.zeros((1, 2, 4), dtype)[:, :, 1:3])


def _sums_in(integer: Any) -> Any:
    """Return the kernel that adds a row up in integers of a type."""

    def sums(planes):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        bands, rows, columns = planes.shape
        measured = np.empty((bands, 4))
        for band in range(bands):
            low = high = planes[band, 0, 0]
            total, squares = np.int64(0), np.int64(0)
            for line in range(rows):
                row = planes[band, line]
                row_total, row_squares = integer(0), integer(0)
                for column in range(columns):
                    pixel = row[column]
                    low, high = min(low, pixel), max(high, pixel)
                    value = integer(pixel)
                    row_total = integer(row_total + value)
                    row_squares = integer(row_squares + integer(value * value))
                total += np.int64(row_total)
                squares += np.int64(row_squares)
            mean = total / (rows * columns)
            measured[band, 0], measured[band, 1] = low, high
            measured[band, 2], measured[band, 3] = mean, squares - total * mean
        return measured

    return kernel(sums)


_narrow_sums = _sums_in(np.uint32)
_wide_sums = _sums_in(np.int64)
