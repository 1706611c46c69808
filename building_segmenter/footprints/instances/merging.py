"""Merging the instances of all tiles while they come in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from building_segmenter.footprints.instances.grouping import ALIKE, grouped
from building_segmenter.footprints.instances.instance import Instance
from building_segmenter.footprints.instances.overlaps import Overlaps, near, overlaps
from building_segmenter.footprints.instances.patch import INSIDE, common_area
from building_segmenter.footprints.instances.views import Merged, seen_as_one

_RELATED = 0.1
"""Common part of the smaller of two instances below which neither has a say in what becomes of the other."""

_COVERED = 0.5
"""Part of an instance that others must not cover more of."""


def merged(rows: Iterable[tuple[int, Iterable[Instance]]]) -> Iterator[list[Merged]]:
    """Merge instances while rows of tiles come in from the top.

    What is given depends neither on the order of tiles in a row nor on that of instances in a tile. Memory: the
    instances of two rows of tiles, and those that lie over each other in a chain that reaches down to the last row.

    Args:
        rows: For each row of tiles the first row of pixels, ascending, and the instances of all its tiles.

    Yields:
        For each row of tiles, and once more at the end, what no later tile can change, from top to bottom by where it
        ends; possibly nothing.
    """
    merger = Merger()
    for top, instances in rows:
        yield merger.settled(top)
        merger.add(instances)
    yield merger.settled()


class Merger:
    """Holds instances until all tiles that could show more of them were added."""

    def __init__(self) -> None:
        self._waiting: list[Instance] = []

    def add(self, instances: Iterable[Instance]) -> None:
        """Add instances of one or more tiles, in any order."""
        self._waiting += instances

    def settled(self, row: int | None = None) -> list[Merged]:
        """Return, and let go, what no tile that begins at a row of pixels or below can change; None: all."""
        instances = sorted(self._waiting, key=lambda one: one.order)
        if not instances:
            return []
        pairs = overlaps(instances)
        pairs = pairs.take((pairs.of_smaller >= ALIKE) | (pairs.of_whole >= _RELATED))
        cluster = _clusters(len(instances), pairs)
        ready = _ends(instances, cluster) <= (np.inf if row is None else row)
        self._waiting = [one for one, number in zip(instances, cluster, strict=True) if not ready[number]]
        found = [seen_as_one([instances[k]]) for k in _alone(cluster) if ready[cluster[k]]]
        for members, inner in _related(cluster, pairs, ready):
            found += _apart([instances[k] for k in members], inner)
        return sorted(found, key=lambda one: one.order)


def _clusters(count: int, pairs: Overlaps) -> NDArray[np.int64]:
    """Return for each instance the number of those that have a say in what becomes of each other."""
    links = coo_array((np.ones(len(pairs.one)), (pairs.one, pairs.other)), shape=(count, count))
    numbers: NDArray[np.int64] = connected_components(links, directed=False)[1].astype(np.int64)
    return numbers


def _ends(instances: Sequence[Instance], cluster: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each cluster the first row of pixels below it."""
    ends = np.zeros(len(instances), np.int64)
    np.maximum.at(ends, cluster, np.array([one.patch.extent[3] for one in instances], np.int64))
    return ends


def _alone(cluster: NDArray[np.int64]) -> list[int]:
    """Return the instances that are a cluster for themselves."""
    alone: list[int] = np.flatnonzero(np.bincount(cluster)[cluster] == 1).tolist()
    return alone


def _related(
    cluster: NDArray[np.int64], pairs: Overlaps, ready: NDArray[np.bool_]
) -> Iterator[tuple[list[int], Overlaps]]:
    """Yield the members of each cluster of several that is ready, and the pairs among them by their places there."""
    used = np.flatnonzero(ready[cluster[pairs.one]])
    used = used[np.argsort(cluster[pairs.one[used]], kind="stable")]
    if len(used) == 0:
        return
    by_cluster = np.argsort(cluster, kind="stable")
    bounds = np.searchsorted(cluster[by_cluster], np.arange(len(cluster) + 1))
    for which in np.split(used, np.flatnonzero(np.diff(cluster[pairs.one[used]])) + 1):
        number = int(cluster[pairs.one[which[0]]])
        members = by_cluster[bounds[number] : bounds[number + 1]]
        some = pairs.take(which)
        places = np.searchsorted(members, some.one), np.searchsorted(members, some.other)
        yield members.tolist(), Overlaps(*places, some.of_smaller, some.of_union, some.of_whole)


def _apart(instances: Sequence[Instance], pairs: Overlaps) -> list[Merged]:
    """Return one instance for each building in a cluster."""
    found = [seen_as_one([instances[k] for k in group]) for group in grouped(instances, pairs)]
    # What tiles show whole goes before pieces, then what the detector is surer of.
    found.sort(key=lambda one: (not one.is_whole, -one.score, -one.patch.area, one.order))
    neighbours: list[list[int]] = [[] for _ in found]
    for one, other in near([instance.patch.extent for instance in found]):
        neighbours[other].append(one)
    return _without_doubles(found, neighbours)


def _without_doubles(found: list[Merged], before: list[list[int]]) -> list[Merged]:
    """Drop what others that go before cover, and what is but a part of another.

    Args:
        found: In the order of their rank.
        before: For each the indices of those near it that go before.
    """
    kept: set[int] = set()
    for index, one in enumerate(found):
        rivals = [other for other in before[index] if other in kept]
        if _covered(one, [found[other] for other in rivals]) >= _COVERED * one.patch.area:
            continue
        parts = {other for other in rivals if _is_part(found[other], one)}
        kept = (kept - parts) | {index}
    return [found[index] for index in sorted(kept)]


def _covered(one: Merged, others: list[Merged]) -> int:
    """Return how many pixels of an instance are inside of others."""
    box = one.patch.extent
    taken = np.zeros((box[3] - box[1], box[2] - box[0]), np.bool_)
    for other in others:
        taken |= other.patch.over(box) >= INSIDE
    return int(np.count_nonzero(taken & (one.patch.part(box) >= INSIDE)))


def _is_part(small: Merged, large: Merged) -> bool:
    if small.is_whole and not large.is_whole:
        return False
    return common_area(small.patch, large.patch) >= _COVERED * small.patch.area
