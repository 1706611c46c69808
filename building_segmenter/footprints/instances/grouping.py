"""Which instances are views of one building.

Pairs are taken in the order of how alike they are; a pair is joined unless that would put two instances of one tile
into one group. So neighbours never chain together: some tile shows both.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from building_segmenter.footprints.instances.instance import Instance
from building_segmenter.footprints.instances.overlaps import Overlaps
from building_segmenter.footprints.instances.patch import INSIDE, Patch, around

ALIKE = 0.5
"""Least common part of the smaller one, where both tiles look."""

_NO_SLIVER = 0.25
"""Least common part of both there: a rim that strays over the seam tells nothing of what lies behind it."""

_SAME_WHOLE = 0.6
"""The same for two that no seam cuts: they are views of one building only if they agree on where it ends."""

_GAP = 4
"""Pixels between pieces of one building, such as wings; touching houses have none."""


def grouped(instances: Sequence[Instance], pairs: Overlaps) -> list[list[int]]:
    """Group views of one building.

    Args:
        instances: In an order that does not depend on that of tiles.
        pairs: Their overlaps.

    Returns:
        Indices of each group in ascending order, groups by their first.
    """
    group_of = {index: [index] for index in range(len(instances))}
    alike = pairs.take(_alike(instances, pairs))
    for k in np.lexsort((alike.other, alike.one, -alike.of_smaller, -alike.of_union)).tolist():
        one, other = group_of[int(alike.one[k])], group_of[int(alike.other[k])]
        if one is not other and _go_together([instances[i] for i in one], [instances[i] for i in other]):
            joined = sorted(one + other)
            group_of.update(dict.fromkeys(joined, joined))
    return [group for index, group in group_of.items() if group[0] == index]


def _alike(instances: Sequence[Instance], pairs: Overlaps) -> NDArray[np.bool_]:
    cut = np.array([instance.is_cut for instance in instances], np.bool_)
    tiles = [
        instances[one].tile != instances[other].tile
        for one, other in zip(pairs.one.tolist(), pairs.other.tolist(), strict=True)
    ]
    least = np.where(cut[pairs.one] | cut[pairs.other], _NO_SLIVER, _SAME_WHOLE)
    alike: NDArray[np.bool_] = np.array(tiles, np.bool_) & (pairs.of_smaller >= ALIKE) & (pairs.of_union >= least)
    return alike


def _go_together(one: list[Instance], other: list[Instance]) -> bool:
    """Tell whether two groups may be one: of a tile they hold one instance, or pieces that meet behind a seam only."""
    pairs = [(first, second) for first in one for second in other if first.tile == second.tile]
    return all(first.is_cut and second.is_cut and _apart(first.patch, second.patch) for first, second in pairs)


def _apart(one: Patch, other: Patch) -> bool:
    """Tell whether there are more than `_GAP` pixels between two patches."""
    gaps = [max(one.extent[k] - other.extent[k + 2], other.extent[k] - one.extent[k + 2]) for k in (0, 1)]
    if max(gaps) > _GAP:
        return True
    box = around((one.extent, other.extent))
    distance = distance_transform_edt(one.over(box) < INSIDE)
    return bool(distance[other.over(box) >= INSIDE].min() > _GAP + 1)
