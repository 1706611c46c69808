"""What is measured of a tool's answers, one number or more for each footprint."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from benchmarks.rivals import Answers

Geometries = NDArray[np.object_]
Floats = NDArray[np.float64]

RIGHT_WITHIN_DEG = 0.1
STRAIGHT_WITHIN_DEG = 0.1
CIRCLE_COMPACTNESS = 0.99


@dataclass(frozen=True)
class Measures:
    """Arrays (n) of what was measured of each footprint.

    Args:
        iou: Intersection over union with the truth; 0 where the tool dropped the footprint.
        exact: Whether it has the truth's corners in number, ring by ring; of a round truth: whether it is a circle
            (4 pi area / perimeter^2 of at least `CIRCLE_COMPACTNESS`).
        corners: Corners, without those within `STRAIGHT_WITHIN_DEG` of a straight line.
        right: Of these, those within `RIGHT_WITHIN_DEG` of a right angle.
        deviation: Hausdorff distance in metres between its boundary and that of the outline given.
        angle_error: Degrees between its main direction and the truth's; NaN where there is none.
        dropped: The tool gave nothing back.
        invalid: It gave an invalid polygon back.
        split: It gave several pieces back for one.
        kept: It gave the outline back as it was.
    """

    iou: Floats
    exact: Floats
    corners: Floats
    right: Floats
    deviation: Floats
    angle_error: Floats
    dropped: Floats
    invalid: Floats
    split: Floats
    kept: Floats

    def of(self, which: Any) -> Measures:
        """Return those of some of the footprints."""
        return Measures(*(getattr(self, item.name)[which] for item in fields(self)))


def measure(answers: Answers, truth: Geometries, outlines: Geometries, angle: Floats) -> Measures:
    """Compare answers with the truth (polygons), the outlines given and the true main directions (degrees)."""
    found = answers.geometry
    dropped = shapely.is_missing(found) | shapely.is_empty(found)
    looks = [_looks(polygon) for polygon in found]
    return Measures(
        iou=iou(found, truth),
        exact=exact(found, truth),
        corners=np.array([float(look.corners) for look in looks]),
        right=np.array([float(look.right) for look in looks]),
        deviation=deviation(found, outlines),
        angle_error=np.abs((main_directions(found) - angle + 45) % 90 - 45),
        dropped=dropped.astype(float),
        invalid=(~dropped & ~shapely.is_valid(found)).astype(float),
        split=(shapely.get_num_geometries(found) > 1).astype(float),
        kept=answers.kept.astype(float),
    )


def exact(found: Geometries, truth: Geometries) -> Floats:
    """Return 1 where a polygon has the corners of the truth in number, ring by ring, or is a circle as the truth is."""
    pairs = zip(found, truth, strict=True)
    same = np.array([_looks(polygon).ring_corners == _looks(true).ring_corners for polygon, true in pairs])
    is_circle = _compactness(found) >= CIRCLE_COMPACTNESS
    return np.where(_compactness(truth) >= CIRCLE_COMPACTNESS, is_circle, same).astype(float)


def iou(found: Geometries, truth: Geometries) -> Floats:
    """Return the intersection over union of each pair; 0 where something is missing."""
    found = shapely.make_valid(found)
    common = shapely.area(shapely.intersection(found, truth))
    ratio: Floats = np.nan_to_num(common / (shapely.area(found) + shapely.area(truth) - common))
    return ratio


def main_directions(polygons: Geometries) -> Floats:
    """Return the directions in degrees, 0..90, that most of the walls have or are square to."""
    return np.array([_looks(polygon).direction for polygon in polygons])


def deviation(found: Geometries, outlines: Geometries) -> Floats:
    """Return the Hausdorff distance of boundaries, looked at every 0.2 m or nearer; NaN where one is missing."""
    dense = [shapely.segmentize(shapely.boundary(polygons), 0.2) for polygons in (found, outlines)]
    distance: Floats = shapely.hausdorff_distance(dense[0], dense[1])
    return distance


@dataclass(frozen=True)
class _Looks:
    ring_corners: tuple[int, ...]
    right: int
    direction: float

    @property
    def corners(self) -> int:
        return sum(self.ring_corners)


def _looks(geometry: Any) -> _Looks:
    """Count the corners of each ring and the right ones among all, and find the main direction in degrees 0..90."""
    corners, right, turn = [], 0, 0j
    rings = shapely.get_parts(shapely.get_rings(geometry)) if geometry is not None else []
    for ring in rings:
        points = shapely.get_coordinates(ring)[:-1]
        steps = np.roll(points, -1, axis=0) - points
        steps = steps[np.hypot(*steps.T) > 1e-6]
        edges = steps[:, 0] + 1j * steps[:, 1]
        bends = np.degrees(np.angle(np.roll(edges, -1) / edges)) if len(edges) else np.zeros(0)
        corners.append(int((np.abs(bends) > STRAIGHT_WITHIN_DEG).sum()))
        right += int((np.abs(np.abs(bends) - 90) < RIGHT_WITHIN_DEG).sum())
        # Edges at right angles agree when their angles are taken four times; long walls count more than short.
        turn += (edges**4 / np.maximum(np.abs(edges), 1e-9) ** 3).sum()
    direction = float(np.degrees(np.angle(turn)) / 4 % 90) if abs(turn) > 0 else np.nan
    # Holes come in any order.
    return _Looks((*corners[:1], *sorted(corners[1:])), right, direction)


def _compactness(polygons: Geometries) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        compactness: Floats = np.nan_to_num(4 * np.pi * shapely.area(polygons) / shapely.length(polygons) ** 2)
    return compactness
