"""Which instances lie over each other, and how alike they are in the ground that both their tiles see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from building_segmenter.footprints.instances.instance import Instance
from building_segmenter.footprints.instances.patch import Box, common_area, meeting

Indices = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Overlaps:
    """Pairs of instances of one class with pixels in common; arrays (n,).

    Args:
        one: Index of one of the pair.
        other: Index of the other, larger than `one`.
        of_smaller: Common pixels over those of the one that is smaller, of what lies in the ground that both tiles see.
        of_union: The same over those of either.
        of_whole: Common pixels over those of the instance that is smaller as a whole.
    """

    one: Indices
    other: Indices
    of_smaller: Floats
    of_union: Floats
    of_whole: Floats

    def take(self, which: NDArray[np.bool_] | Indices) -> Overlaps:
        """Return some of the pairs."""
        columns = (self.one, self.other, self.of_smaller, self.of_union, self.of_whole)
        return Overlaps(*(column[which] for column in columns))  # type: ignore[arg-type]  # in the order of the fields


def overlaps(instances: Sequence[Instance]) -> Overlaps:
    """Return all pairs of instances of one class that have pixels in common."""
    pairs = []
    for one, other in near([instance.patch.extent for instance in instances]):
        first, second = instances[one], instances[other]
        common = common_area(first.patch, second.patch) if first.label == second.label else 0
        if common:
            pairs.append((one, other, *_shares(first, second, common)))
    table = np.array(pairs, np.float64).reshape(-1, 5)
    return Overlaps(table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), *table[:, 2:].T)


def near(boxes: Sequence[Box]) -> list[tuple[int, int]]:
    """Return the pairs of boxes that meet, in the order of their indices, the smaller first."""
    if not boxes:
        return []
    areas = shapely.box(*np.array(boxes, np.float64).T)
    pairs = shapely.STRtree(areas).query(areas)
    pairs = pairs[:, pairs[0] < pairs[1]]
    return [(int(one), int(other)) for one, other in pairs[:, np.lexsort(pairs[::-1])].T]


def _shares(one: Instance, other: Instance, common: int) -> tuple[float, float, float]:
    seen = meeting(one.tile.box, other.tile.box)
    if seen is None:
        raise ValueError("instances with pixels in common lie outside of their tiles")
    first, second = one.patch.area_in(seen), other.patch.area_in(seen)
    smaller = min(one.patch.area, other.patch.area)
    return common / min(first, second), common / (first + second - common), common / smaller
