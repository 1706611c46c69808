"""What a detector found in one tile."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from building_segmenter.footprints.instances.patch import Box, Patch

SEAM_REACH = 8
"""Pixels from a seam within which an instance may be cut by it: detectors seldom mark the last pixels of a tile."""


@dataclass(frozen=True)
class Tile:
    """A tile and which of its sides are seams.

    Args:
        box: Its pixels on the grid.
        seams: Of left, top, right and bottom: whether the picture goes on there, in other tiles.
    """

    box: Box
    seams: tuple[bool, bool, bool, bool]

    @classmethod
    def of(cls, window: tuple[int, int, int, int], within: tuple[int, int, int, int]) -> Tile:
        """Return the tile of a window.

        Args:
            window: Column, row, width and height of the tile on the grid.
            within: The same of all that is tiled; sides on its edge are no seams.
        """
        box, whole = _box(window), _box(within)
        left, top, right, bottom = (one != other for one, other in zip(box, whole, strict=True))
        return cls(box, (left, top, right, bottom))


@dataclass(frozen=True, eq=False)
class Instance:
    """An instance as one tile shows it; made by `placed`.

    Args:
        tile: The tile, which holds all of `patch`.
        patch: Where it is.
        score: How sure the detector is, 0..1.
        label: Number of its class.
    """

    tile: Tile
    patch: Patch
    score: float
    label: int = 1

    @cached_property
    def is_cut(self) -> bool:
        """Whether it reaches a seam, so that the tile may show but a piece of it."""
        pairs = zip(self.patch.extent, self.tile.box, self.tile.seams, strict=True)
        return any(seam and abs(edge - side) <= SEAM_REACH for edge, side, seam in pairs)

    @cached_property
    def is_sliver(self) -> bool:
        """Whether it is no more than the rim of something behind a seam, which the tile over there shows better."""
        left, top, right, bottom = self.patch.extent
        sides = self.tile.box
        depths = right - sides[0], bottom - sides[1], sides[2] - left, sides[3] - top
        return any(seam and depth <= SEAM_REACH for seam, depth in zip(self.tile.seams, depths, strict=True))

    @cached_property
    def order(self) -> tuple[Any, ...]:
        """What sorts instances by what they are and where, whatever order they come in."""
        digest = zlib.crc32(self.patch.values.tobytes())
        return (*self.patch.extent, *self.tile.box, self.label, self.score, self.patch.area, digest)


def _box(window: tuple[int, int, int, int]) -> Box:
    column, row, width, height = window
    return column, row, column + width, row + height
