"""What the regularization can be asked for, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Method = Literal["right-angles", "right-angles-and-diagonals", "any-angle", "circle", "auto"]
ToleranceType = Literal["distance", "area-ratio"]

REASONS: dict[str, str] = {
    "empty": "the feature has no geometry, or an empty one",
    "not-polygon": "the geometry is not a polygon",
    "not-finite": "a coordinate is infinite or not a number",
    "outside-crs": "the layer's coordinate reference system is not defined where the feature lies",
    "invalid": "the polygon is invalid and its repair would split it, or leaves nothing",
    "too-small": "the outline encloses next to nothing",
    "too-complex": "the outline would take too long",
    "not-rectilinear": "no outline of right angles lies within the tolerance",
    "no-outline": "no outline of the walls allowed lies within the tolerance",
    "not-round": "no circle lies within the tolerance",
    "radius": "the best circle is smaller or larger than allowed",
    "staircase": "the walls allowed could follow the outline only by stairs",
    "self-touching": "the new outline would touch or cross itself",
    "hole-lost": "a hole would touch or leave its outer ring",
    "area-changed": "the new outline would cover another area",
    "parts-overlap": "the parts of the feature would touch or overlap",
    "shared-walls": "no new outline fits the walls that the feature shares with its neighbours",
}
"""Why an original was kept: code in the field `reason` -> its meaning."""


@dataclass(frozen=True)
class Settings:
    """How to regularize.

    Args:
        method: `right-angles`: every corner is a right angle. `right-angles-and-diagonals`: walls may also lie at 45
            degrees. `any-angle`: walls may lie in any direction. `circle`: the circle that fits best. `auto`: a circle
            where the outline is round, otherwise the simplest of the others that is accepted.
        tolerance: Metres that the new boundary may lie from the old one, and the old from the new. With
            `tolerance_type` `area-ratio` a share instead.
        densification: Metres between places where a wall may end; more in the middle of long straight edges. None: four
            times the precision, in tolerances.
        precision: 0.05..0.25. Smaller: more places where walls may end, slower, closer to the optimum.
        diagonal_penalty: A diagonal counts as two thirds of it more than a wall along the main direction, a wall of
            free direction as one and a half times of it more. 0: all walls count alike.
        tolerance_type: `distance`, or for circles `area-ratio`: the area between the outline and the circle, as a
            share of the circle's.
        min_radius: Smallest circle, metres.
        max_radius: Largest circle, metres.
        area_ratio: Lowest and highest area of a result as a share of the input's.
        min_iou: Lowest intersection over union of a result with its input.
        threads: Threads to use. 0: one for each processor.
    """

    method: Method = "right-angles"
    tolerance: float = 1.0
    densification: float | None = None
    precision: float = 0.25
    diagonal_penalty: float = 1.5
    tolerance_type: ToleranceType = "distance"
    min_radius: float = 0.1
    max_radius: float = 1_000_000.0
    area_ratio: tuple[float, float] = (0.75, 1.33)
    min_iou: float = 0.7
    threads: int = 0


@dataclass(frozen=True)
class Offered:
    """Main directions that are tried first, as they are, for each geometry: from lines, neighbours, or the user.

    An offered direction stands unless the outline's own is far better.

    Args:
        angles: Degrees (d,), counter-clockwise from east.
        ends: Offsets (n + 1,) of the geometries into `angles`.
    """

    angles: NDArray[np.float64]
    ends: NDArray[np.int64]

    @classmethod
    def to_all(cls, angles: Sequence[float], count: int) -> Offered:
        """Offer the same directions to each of `count` geometries."""
        each = np.asarray(angles, np.float64)
        return cls(np.tile(each, count), np.arange(count + 1, dtype=np.int64) * len(each))

    def taken(self, members: NDArray[np.intp]) -> Offered:
        """Return what is offered to the geometries at these places, in their order."""
        counts = np.diff(self.ends)[members]
        ends = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        places = np.repeat(self.ends[members] - ends[:-1], counts) + np.arange(ends[-1])
        return Offered(self.angles[places], ends)


@dataclass
class Regularized:
    """Results as arrays, one element for each input geometry.

    Args:
        geometry: Regularized polygons, or the originals where `status` is 1.
        status: 0 regularized, 1 original kept.
        reason: Why the original was kept, a key of `REASONS`; empty for `status` 0.
        method: What made the result, never `auto`; of the largest part. Empty for `status` 1.
        angle_deg: Main direction in degrees, -45..45, counter-clockwise from east; of the largest part. NaN for
            circles and for `status` 1.
        max_dev_m: Upper bound of the distance between old and new boundary, both ways. NaN for `status` 1.
        iou: Intersection over union with the input. NaN for `status` 1.
        area_ratio: Area between input and result as a share of the result's, largest of the parts, where the
            tolerance is one. NaN otherwise and for `status` 1.
        vertices: Corners of all rings, without the repeated last one. 0 without geometry.
    """

    geometry: NDArray[np.object_]
    status: NDArray[np.int32]
    reason: NDArray[np.object_]
    method: NDArray[np.object_]
    angle_deg: NDArray[np.float64]
    max_dev_m: NDArray[np.float64]
    iou: NDArray[np.float64]
    area_ratio: NDArray[np.float64]
    vertices: NDArray[np.int32]
