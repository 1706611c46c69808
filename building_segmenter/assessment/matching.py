"""Which footprint is which: predicted and reference polygons matched one to one by their overlap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

Polygons = NDArray[np.object_]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Matches:
    """Pairs of predicted and reference footprints.

    Args:
        predicted: Index (k,) of the predicted footprint of each pair.
        reference: Index (k,) of the reference footprint of each pair.
        iou: Intersection over union (k,) of each pair, descending.
        predicted_count: Number of predicted footprints, matched or not.
        reference_count: Number of reference footprints, matched or not.
    """

    predicted: Indices
    reference: Indices
    iou: NDArray[np.float64]
    predicted_count: int
    reference_count: int

    def __len__(self) -> int:
        return len(self.iou)

    @property
    def precision(self) -> float:
        """Share of the predicted footprints that are matched; 0 if there are none."""
        return len(self) / self.predicted_count if self.predicted_count else 0.0

    @property
    def recall(self) -> float:
        """Share of the reference footprints that are matched; 0 if there are none."""
        return len(self) / self.reference_count if self.reference_count else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 if there is no footprint at all."""
        both = self.predicted_count + self.reference_count
        return 2 * len(self) / both if both else 0.0


def match_footprints(predicted: Polygons, reference: Polygons, min_iou: float = 0.5) -> Matches:
    """Pair predicted footprints with reference ones, best pairs first, each at most once.

    Where the polygons of a layer do not overlap each other, a pair of more than 0.5 has no rival, and the order does
    not matter (as in the panoptic quality of Kirillov et al. 2019, https://arxiv.org/abs/1801.00868).

    Args:
        predicted: Valid polygons or multipolygons (n,) in a plane; for areas as they are on the ground a metric one,
            such as `geo.ground.local_frame` gives.
        reference: Valid ones (m,) in the same plane.
        min_iou: Least intersection over union of a pair, 0..1.

    Returns:
        The pairs; pairs of equal overlap in the order of the predicted, then of the reference footprints.
    """
    empty = np.zeros(0, np.intp)
    if len(predicted) == 0 or len(reference) == 0:
        return Matches(empty, empty, np.zeros(0), len(predicted), len(reference))
    first, second = shapely.STRtree(reference).query(predicted, predicate="intersects")
    iou = _iou(predicted[first], reference[second])
    order = np.lexsort((second, first, -iou))
    order = order[iou[order] >= min_iou]
    kept = _one_to_one(first[order], second[order])
    order = order[kept]
    return Matches(first[order], second[order], iou[order], len(predicted), len(reference))


def _iou(some: Polygons, others: Polygons) -> NDArray[np.float64]:
    common = shapely.area(shapely.intersection(some, others))
    union = shapely.area(some) + shapely.area(others) - common
    iou: NDArray[np.float64] = np.divide(common, union, out=np.zeros(len(common)), where=union > 0)
    return iou


def _one_to_one(first: Indices, second: Indices) -> list[int]:
    kept: list[int] = []
    used: tuple[set[int], set[int]] = (set(), set())
    for place, (one, other) in enumerate(zip(first.tolist(), second.tolist(), strict=True)):
        if one not in used[0] and other not in used[1]:
            kept.append(place)
            used[0].add(one)
            used[1].add(other)
    return kept
