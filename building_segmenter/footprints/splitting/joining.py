"""Joining basins that are too small for a building."""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int32]


def joined(labels: Labels, contact: NDArray[np.float32], least: float) -> Labels:
    """Join basins that are too small with neighbours, first where the least contact is on the common line.

    Args:
        labels: (height, width), basin of each pixel from 1, 0 outside.
        contact: (height, width), probability of contact, 0..1.
        least: Pixels of the smallest basin.

    Returns:
        The basins (height, width), with the numbers of some of those before. One of a region may be too small if it
        has no neighbour.
    """
    graph = _Graph(labels, contact)
    graph.join(least)
    result: Labels = graph.names()[labels]
    return result


class _Graph:
    """Basins, and the lines between them: for each the number of pairs of pixels, and their sum of contact."""

    def __init__(self, labels: Labels, contact: NDArray[np.float32]) -> None:
        self.sizes = np.bincount(labels.ravel()).astype(np.float64)
        self.name = np.arange(len(self.sizes), dtype=np.int32)
        self.lines: list[dict[int, tuple[int, float]]] = [{} for _ in self.sizes]
        for one, other, count, total in zip(*_lines(labels, contact), strict=True):
            self.lines[one][other] = self.lines[other][one] = (count, total)

    def names(self) -> Labels:
        """Return what each basin is now called."""
        for k in range(len(self.name)):
            while self.name[self.name[k]] != self.name[k]:
                self.name[k] = self.name[self.name[k]]
        return self.name

    def join(self, least: float) -> None:
        """Join pairs of which one is too small, the least parted first."""
        pairs = [(one, other, *line) for one, lines in enumerate(self.lines) for other, line in lines.items()]
        heap = [(total / count, one, other, count) for one, other, count, total in pairs if one < other]
        heapq.heapify(heap)
        while heap:
            _, one, other, count = heapq.heappop(heap)
            if self.lines[one].get(other, (0, 0.0))[0] != count:
                continue
            if min(self.sizes[one], self.sizes[other]) >= least:
                continue
            for third in self._merge(one, other):
                count, total = self.lines[one][third]
                heapq.heappush(heap, (total / count, min(one, third), max(one, third), count))

    def _merge(self, one: int, other: int) -> list[int]:
        """Make `other` a part of `one`; return the neighbours of both."""
        self.sizes[one] += self.sizes[other]
        self.name[other] = one
        del self.lines[one][other]
        for third, (count, total) in self.lines[other].items():
            if third == one:
                continue
            before = self.lines[one].get(third, (0, 0.0))
            self.lines[one][third] = self.lines[third][one] = (before[0] + count, before[1] + total)
            del self.lines[third][other]
        self.lines[other] = {}
        return list(self.lines[one])


def _lines(labels: Labels, contact: NDArray[np.float32]) -> tuple[list[int], list[int], list[int], list[float]]:
    """Return for each pair of neighbours both numbers, the pairs of pixels between them, and their sum of contact."""
    pairs, values = [], []
    for one, other in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        apart = (labels[one] != labels[other]) & (labels[one] > 0) & (labels[other] > 0)
        first, second = labels[one][apart].astype(np.int64), labels[other][apart].astype(np.int64)
        pairs.append(np.minimum(first, second) << 32 | np.maximum(first, second))
        values.append((contact[one][apart] + contact[other][apart]).astype(np.float64) / 2)
    found, index, counts = np.unique(np.concatenate(pairs), return_inverse=True, return_counts=True)
    sums = np.bincount(index, np.concatenate(values), len(found))
    return (found >> 32).tolist(), (found & 0xFFFFFFFF).tolist(), counts.tolist(), sums.tolist()
