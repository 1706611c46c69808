"""A piece of the grid with the probability that its pixels belong to an instance."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Box = tuple[int, int, int, int]
"""Pixels of the grid: left, top, right, bottom; right and bottom are the first that are not in it."""

FULL, INSIDE = 255, 128
"""Stored value of probability 1, and the smallest that is inside; the outline lies half a unit below it."""


@dataclass(frozen=True, eq=False)
class Patch:
    """Probabilities on pixels of the grid; 0 all around.

    Args:
        column: Column of the first pixel on the grid.
        row: Its row.
        values: (height, width), probability in units of 1 / 255.
    """

    column: int
    row: int
    values: NDArray[np.uint8]

    @cached_property
    def extent(self) -> Box:
        """The smallest box around all pixels inside; empty at the first pixel if there is none."""
        inside = self.values >= INSIDE
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        if len(rows) == 0:
            return self.column, self.row, self.column, self.row
        left, top = self.column + int(columns[0]), self.row + int(rows[0])
        return left, top, self.column + int(columns[-1]) + 1, self.row + int(rows[-1]) + 1

    @cached_property
    def area(self) -> int:
        """Pixels inside."""
        return int(np.count_nonzero(self.values >= INSIDE))

    def part(self, box: Box) -> NDArray[np.uint8]:
        """Return the values in a box that lies within the patch."""
        left, top, right, bottom = box
        return self.values[top - self.row : bottom - self.row, left - self.column : right - self.column]

    def over(self, box: Box) -> NDArray[np.uint8]:
        """Return the values in any box, 0 where the patch does not reach."""
        left, top, right, bottom = box
        values = np.zeros((bottom - top, right - left), np.uint8)
        height, width = self.values.shape
        common = meeting((self.column, self.row, self.column + width, self.row + height), box)
        if common is not None:
            values[common[1] - top : common[3] - top, common[0] - left : common[2] - left] = self.part(common)
        return values

    def area_in(self, box: Box) -> int:
        """Return the pixels inside that lie in a box."""
        common = meeting(self.extent, box)
        return 0 if common is None else int(np.count_nonzero(self.part(common) >= INSIDE))


def meeting(one: Box, other: Box) -> Box | None:
    """Return what two boxes have in common; None where there is nothing."""
    left, top = max(one[0], other[0]), max(one[1], other[1])
    right, bottom = min(one[2], other[2]), min(one[3], other[3])
    return (left, top, right, bottom) if left < right and top < bottom else None


def around(boxes: Iterable[Box]) -> Box:
    """Return the smallest box around one or more."""
    left, top, right, bottom = zip(*boxes, strict=True)
    return min(left), min(top), max(right), max(bottom)


def common_area(one: Patch, other: Patch) -> int:
    """Return the pixels that are inside of both."""
    common = meeting(one.extent, other.extent)
    if common is None:
        return 0
    return int(np.count_nonzero((one.part(common) >= INSIDE) & (other.part(common) >= INSIDE)))
