"""Polygons to regularize and results for them, one element each, and how a result is compared with its polygon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from building_segmenter.footprints.regularize.settings import Offered, Settings

Geometries = NDArray[np.object_]


@dataclass
class Parts:
    """Results for single polygons, one element each.

    `score` compares results for one polygon: corners, plus a weight for the mean squared deviation. `slant` is the
    longest stretch of the outline off the axes, in metres, and `free` the corners that walls of any direction need.
    `unroundness` is the mean radial deviation of the worst of its rings from its circle, in radii.
    """

    geometry: Geometries
    reason: Geometries
    method: Geometries
    angle: NDArray[np.float64]
    deviation: NDArray[np.float64]
    iou: NDArray[np.float64]
    area_ratio: NDArray[np.float64]
    score: NDArray[np.float64]
    slant: NDArray[np.float64]
    free: NDArray[np.float64]
    unroundness: NDArray[np.float64]

    @classmethod
    def none(cls, count: int, method: str = "") -> Parts:
        """Return `count` results that are none yet."""
        return cls(
            np.full(count, None, object),
            np.full(count, "no-outline", object),
            np.full(count, method, object),
            angle=np.full(count, np.nan),
            deviation=np.full(count, np.nan),
            iou=np.full(count, np.nan),
            area_ratio=np.full(count, np.nan),
            score=np.full(count, np.inf),
            slant=np.full(count, np.inf),
            free=np.full(count, np.inf),
            unroundness=np.full(count, np.inf),
        )

    def put(self, where: Any, other: Parts) -> None:
        """Set the elements at these places."""
        for name, values in vars(self).items():
            values[where] = getattr(other, name)

    def taken(self, where: Any) -> Parts:
        """Return the elements at these places."""
        return Parts(*(values[where] for values in vars(self).values()))

    def improved_by(self, where: NDArray[np.intp], other: Parts) -> None:
        """Take the results at these places that are accepted where there was none, or have the lower score."""
        here = self.taken(where)
        better = (other.reason == "") & ((here.reason != "") | (other.score < here.score))
        self.put(where[better], other.taken(better))


@dataclass(frozen=True)
class Outlines:
    """Polygons to regularize, with what is known of them.

    Args:
        polygons: Valid polygons (p,).
        masses: Weight of each coordinate, as `shapely.get_coordinates` gives them; None: all alike.
        offered: Directions for each.
    """

    polygons: Geometries
    masses: NDArray[np.float64] | None
    offered: Offered

    def taken(self, members: NDArray[np.intp]) -> Outlines:
        """Return those at these places."""
        masses = self.masses
        if masses is not None:
            _, owner = shapely.get_coordinates(self.polygons, return_index=True)
            starts = np.searchsorted(owner, np.arange(len(self.polygons) + 1))
            counts = np.diff(starts)[members]
            first = np.repeat(starts[:-1][members] - np.concatenate(([0], np.cumsum(counts)[:-1])), counts)
            masses = masses[first + np.arange(counts.sum())]
        return Outlines(self.polygons[members], masses, self.offered.taken(members))

    def offered_first(self, angles: NDArray[np.float64]) -> Outlines:
        """Return them with one direction each in place of those offered, none where it is NaN."""
        there = np.isfinite(angles)
        ends = np.concatenate(([0], np.cumsum(there))).astype(np.int64)
        return Outlines(self.polygons, self.masses, Offered(angles[there], ends))

    def ragged(self) -> tuple[Any, Any, Any, Any]:
        """Return coordinates (n, 2), masses (n,), and offsets of rings and of polygons."""
        coordinates, rings, polygons = ragged(self.polygons)
        masses = np.ones(len(coordinates)) if self.masses is None else self.masses
        return coordinates, masses, rings, polygons


def ragged(polygons: Geometries) -> tuple[Any, Any, Any]:
    """Return coordinates (n, 2), and offsets of rings into them and of polygons into the rings."""
    _, coordinates, (rings, ends) = shapely.to_ragged_array(polygons)
    return np.ascontiguousarray(coordinates), rings.astype(np.int64), ends.astype(np.int64)


def compared(
    old: Geometries, new: Geometries, shared: NDArray[np.float64], settings: Settings
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the intersection over union of each pair, from the area it shares, and where too much is changed."""
    low, high = settings.area_ratio
    old_area, new_area = shapely.area(old), shapely.area(new)
    # By rounding the same outline may get a little more than 1.
    iou = np.minimum(shared / (old_area + new_area - shared), 1.0)
    ratio = new_area / old_area
    return iou, ~((ratio >= low) & (ratio <= high) & (iou >= settings.min_iou))
