"""What the regularization can be asked for, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Method = Literal["right-angles"]

REASONS: dict[str, str] = {
    "empty": "the feature has no geometry, or an empty one",
    "not-polygon": "the geometry is not a polygon",
    "not-finite": "a coordinate is infinite or not a number",
    "outside-crs": "the layer's coordinate reference system is not defined where the feature lies",
    "invalid": "the polygon is invalid and its repair would split it, or leaves nothing",
    "too-small": "the outline encloses next to nothing",
    "too-complex": "the outline would take too long",
    "not-rectilinear": "no outline of right angles lies within the tolerance",
    "staircase": "right angles could follow the outline only by stairs",
    "self-touching": "the outline of right angles would touch or cross itself",
    "hole-lost": "a hole would touch or leave its outer ring",
    "area-changed": "the outline of right angles would cover another area",
    "parts-overlap": "the parts of the feature would touch or overlap",
}
"""Why an original was kept: code in the field `reason` -> its meaning."""


@dataclass(frozen=True)
class Settings:
    """How to regularize.

    Args:
        method: `right-angles`: every corner is a right angle.
        tolerance: Metres that the new boundary may lie from the old one, and the old from the new.
        densification: Longest distance in metres between places where a wall may end. None: half the tolerance.
        precision: 0.05..0.25. Wall ends follow the outline within 0.4 times this share of the tolerance.
        directions: Angles in degrees that are tried first as main direction of every polygon.
        area_ratio: Lowest and highest area of a result as a share of the input's.
        min_iou: Lowest intersection over union of a result with its input.
        threads: Threads to use. 0: one for each processor.
    """

    method: Method = "right-angles"
    tolerance: float = 1.0
    densification: float | None = None
    precision: float = 0.25
    directions: tuple[float, ...] = ()
    area_ratio: tuple[float, float] = (0.75, 1.33)
    min_iou: float = 0.7
    threads: int = 0


@dataclass
class Regularized:
    """Results as arrays, one element for each input geometry.

    Args:
        geometry: Regularized polygons, or the originals where `status` is 1.
        status: 0 regularized, 1 original kept.
        reason: Why the original was kept, a key of `REASONS`; empty for `status` 0.
        angle_deg: Main direction in degrees, -45..45, counter-clockwise from east; of the largest part. NaN for
            `status` 1.
        max_dev_m: Upper bound of the distance between old and new boundary, both ways. NaN for `status` 1.
        iou: Intersection over union with the input. NaN for `status` 1.
        vertices: Corners of all rings, without the repeated last one. 0 without geometry.
    """

    geometry: NDArray[np.object_]
    status: NDArray[np.int32]
    reason: NDArray[np.object_]
    angle_deg: NDArray[np.float64]
    max_dev_m: NDArray[np.float64]
    iou: NDArray[np.float64]
    vertices: NDArray[np.int32]
