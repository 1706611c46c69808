"""One instance from all views of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from building_segmenter.footprints.instances.instance import Instance, Tile
from building_segmenter.footprints.instances.patch import Box, Patch, around, meeting

Floats = NDArray[np.float64]

_STRAY = 0.05
"""Part of a whole instance that other tiles may see beyond its tile without it being a piece."""


@dataclass(frozen=True, eq=False)
class Merged:
    """An instance of the grid.

    Args:
        patch: Where it is.
        score: How sure the detector is, 0..1: mean of the views it was made from, weighted by their pixels. Not the
            largest, which would grow with the number of tiles that a building lies in, and which a sure glimpse of
            its end would lend to all of a long hall.
        label: Number of its class.
        is_whole: Whether a tile showed all of it, or several together did.
        views: How many instances of tiles it was made from.
    """

    patch: Patch
    score: float
    label: int
    is_whole: bool
    views: int

    @property
    def order(self) -> tuple[Any, ...]:
        """What sorts merged instances by where they are."""
        left, top, right, bottom = self.patch.extent
        return (bottom, top, left, right, self.label, self.score, self.patch.area)


def seen_as_one(group: Sequence[Instance]) -> Merged:
    """Make one instance of all views of a building.

    If tiles show the whole of it, pieces in others are dropped. Otherwise the pieces are joined. Where several tiles
    see a pixel, its probability is the mean of theirs, weighted by how far it lies from their sides as in blending of
    predictions: in the overlap one view passes over into the other without a step.

    Args:
        group: Views in an order that does not depend on that of tiles.
    """
    wholes = [one for one in group if not one.is_cut and _is_all(one, group)]
    used = wholes or list(group)
    patch = used[0].patch if len(used) == 1 else _blended(used)
    areas = np.array([one.patch.area for one in used], np.float64)
    score = float(areas @ [one.score for one in used] / areas.sum())
    is_whole = bool(wholes) or not Instance(_together([one.tile for one in used]), patch, score).is_cut
    return Merged(patch, score, used[0].label, is_whole, len(used))


def _is_all(one: Instance, group: Sequence[Instance]) -> bool:
    beyond = max(other.patch.area - other.patch.area_in(one.tile.box) for other in group)
    return beyond <= _STRAY * one.patch.area


def _together(tiles: Sequence[Tile]) -> Tile:
    """Return the box around tiles as one tile; its sides are seams where those of tiles there are."""
    box = around(tile.box for tile in tiles)
    left, top, right, bottom = (any(tile.seams[k] for tile in tiles if tile.box[k] == box[k]) for k in range(4))
    return Tile(box, (left, top, right, bottom))


def _blended(views: Sequence[Instance]) -> Patch:
    left, top, right, bottom = around(one.patch.extent for one in views)
    # One pixel more, for outlines run between pixels inside and outside.
    area = left - 1, top - 1, right + 1, bottom + 1
    total, weight = np.zeros((2, bottom - top + 2, right - left + 2))
    for tile in dict.fromkeys(one.tile for one in views):
        seen = meeting(tile.box, area)
        if seen is not None:
            place = np.s_[seen[1] - area[1] : seen[3] - area[1], seen[0] - area[0] : seen[2] - area[0]]
            taper = _taper(tile.box, seen)
            weight[place] += taper
            # Pieces that meet behind a seam are one view.
            pieces = [one.patch.over(seen) for one in views if one.tile == tile]
            total[place] += taper * np.maximum.reduce(pieces)
    mean = np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)
    return Patch(area[0], area[1], np.rint(mean).astype(np.uint8))


def _taper(tile: Box, part: Box) -> Floats:
    """Return weights of the pixels of a part of a tile: the distances from its sides, both directions multiplied."""
    across, down = (np.arange(part[k], part[k + 2]) + 0.5 for k in (0, 1))
    across = np.minimum(across - tile[0], tile[2] - across)
    return np.outer(np.minimum(down - tile[1], tile[3] - down), across)
