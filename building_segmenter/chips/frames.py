"""Where a chip lies on the grid, upright or turned about its middle."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray

from building_segmenter.chips.chip import Split
from building_segmenter.rasters.overlay import Window

_KERNEL = 2
"""Pixels beyond the chip that cubic resampling looks at."""


@dataclass(frozen=True)
class Frame:
    """The place of a chip.

    Args:
        column: Left edge of the upright chip in pixels of the grid.
        row: Its top edge.
        width: Of the chip, in pixels.
        height: Of the chip.
        angle: Degrees by which it is turned about its middle, clockwise on the picture.
        split: What it is for.
        subject: Id of the footprint that it is cut for; 0: for whatever it shows.
    """

    column: int
    row: int
    width: int
    height: int
    angle: float = 0.0
    split: Split = "train"
    subject: int = 0

    @property
    def to_grid(self) -> Affine:
        """From pixels of the chip to pixels of the grid."""
        if self.angle == 0:
            return Affine.translation(self.column, self.row)
        middle = Affine.translation(self.column + self.width / 2, self.row + self.height / 2)
        return middle @ _turn(self.angle) @ Affine.translation(-self.width / 2, -self.height / 2)

    @cached_property
    def outline(self) -> Any:
        """The chip as a polygon in pixels of the grid."""
        corners = [(0, 0), (self.width, 0), (self.width, self.height), (0, self.height)]
        return shapely.Polygon([self.to_grid @ corner for corner in corners])

    @property
    def quarters(self) -> int | None:
        """Quarter turns by which the chip's pixels are the grid's own; None where they lie between those."""
        whole = self.angle % 90 == 0
        quarters = int(self.angle // 90) % 4
        return quarters if whole and (quarters % 2 == 0 or (self.width - self.height) % 2 == 0) else None

    @property
    def window(self) -> Window:
        """The pixels of the grid (column, row, width, height) that the chip is made of."""
        if self.angle == 0:
            return self.column, self.row, self.width, self.height
        (left, top, right, bottom), margin = self.outline.bounds, 0 if self.quarters is not None else _KERNEL
        first = math.floor(left + 1e-6) - margin, math.floor(top + 1e-6) - margin
        return *first, math.ceil(right - 1e-6) + margin - first[0], math.ceil(bottom - 1e-6) + margin - first[1]


def angles_of(step: float) -> tuple[float, ...]:
    """Return the angles of the sets of chips: 0, and every step of `step` degrees below a whole turn."""
    if step == 0:
        return (0.0,)
    return tuple(float(angle) for angle in np.arange(0, 360 - 1e-9, step))


def outlines(columns: NDArray[Any], rows: NDArray[Any], size: tuple[int, int], angle: float) -> NDArray[Any]:
    """Return the outlines of many chips as polygons in pixels of the grid.

    They are drawn in by a millionth of a pixel, so that chips that only touch something do not lie over it.

    Args:
        columns: Left edges of the upright chips.
        rows: Top edges, as many.
        size: Width and height of a chip.
        angle: As in `Frame`.
    """
    half = np.array(size) / 2 - 1e-6
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * half
    turn = _turn(angle)
    turned = np.stack(
        [turn.a * corners[:, 0] + turn.b * corners[:, 1], turn.d * corners[:, 0] + turn.e * corners[:, 1]]
    )
    middles = np.stack([columns + size[0] / 2, rows + size[1] / 2], axis=1)
    made: NDArray[Any] = shapely.polygons(middles[:, np.newaxis] + turned.T)
    return made


def _turn(angle: float) -> Affine:
    # Quarter turns without the rounding of sine and cosine.
    exact = {0.0: (1, 0), 90.0: (0, 1), 180.0: (-1, 0), 270.0: (0, -1)}
    cosine, sine = exact.get(angle % 360, (math.cos(math.radians(angle)), math.sin(math.radians(angle))))
    return Affine(cosine, -sine, 0, sine, cosine, 0)
