"""Footprints with exact truth: rectangles, L, T, U, courtyards, chamfered and round, as large as houses and halls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import affinity

Geometries = NDArray[np.object_]

HALL_SHARE = 0.15
ROUND_POINTS = 180


@dataclass(frozen=True)
class Scene:
    """Footprints with what is known of them.

    Args:
        truth: Array (n) of polygons in metres, each around the origin.
        kind: Array (n) of the names of their shapes, keys of `KINDS`.
        angle: Array (n) of main directions in degrees, 0..90 counter-clockwise from east; NaN where round.
    """

    truth: Geometries
    kind: NDArray[np.object_]
    angle: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.truth)

    def repeated(self, times: int) -> Scene:
        """Return the footprints several times, one round after the other."""
        return Scene(np.tile(self.truth, times), np.tile(self.kind, times), np.tile(self.angle, times))


def draw_scene(count_each: int, seed: int) -> Scene:
    """Draw as many footprints of each kind, turned at random.

    Args:
        count_each: Footprints of each of the kinds.
        seed: Same seed, same footprints.
    """
    random = np.random.default_rng(seed)
    kinds = np.repeat(np.array(list(KINDS), object), count_each)
    angles = random.uniform(0, 90, len(kinds))
    polygons = [KINDS[kind](random, *_size(random)) for kind in kinds]
    turned = [
        affinity.rotate(_centred(polygon), angle, origin=(0, 0))
        for polygon, angle in zip(polygons, angles, strict=True)
    ]
    return Scene(np.array(turned, object), kinds, np.where(kinds == "round", np.nan, angles))


def _size(random: np.random.Generator) -> tuple[float, float]:
    """Return length and width: of a house, or of a hall once in a while."""
    if random.random() < HALL_SHARE:
        return random.uniform(25, 60), random.uniform(18, 35)
    return random.uniform(10, 22), random.uniform(7.5, 13)


def _centred(polygon: Any) -> Any:
    middle = shapely.box(*polygon.bounds).centroid
    return affinity.translate(polygon, -middle.x, -middle.y)


def _rectangle(random: np.random.Generator, length: float, width: float) -> Any:
    return shapely.box(0, 0, length, width)


def _l_shape(random: np.random.Generator, length: float, width: float) -> Any:
    across, along = random.uniform(0.35, 0.65, 2)
    corner = shapely.box(length * (1 - along), width * (1 - across), length, width)
    return shapely.box(0, 0, length, width).difference(corner)


def _t_shape(random: np.random.Generator, length: float, width: float) -> Any:
    stem = length * random.uniform(0.3, 0.45)
    start = random.uniform(0.25, 0.75) * (length - stem)
    reach = max(3.0, random.uniform(0.35, 0.7) * width)
    return shapely.box(0, 0, length, width).union(shapely.box(start, width, start + stem, width + reach))


def _u_shape(random: np.random.Generator, length: float, width: float) -> Any:
    width = max(width, 9.0)
    wing = max(3.5, random.uniform(0.25, 0.33) * length)
    length = max(length, 2 * wing + 4.0)
    depth = random.uniform(0.4, 0.6) * width
    return shapely.box(0, 0, length, width).difference(shapely.box(wing, width - depth, length - wing, width))


def _courtyard(random: np.random.Generator, length: float, width: float) -> Any:
    wing = random.uniform(4.0, 7.0)
    length, width = max(length, 2 * wing + 5.0), max(width, 2 * wing + 5.0)
    return shapely.box(0, 0, length, width).difference(shapely.box(wing, wing, length - wing, width - wing))


def _chamfered(random: np.random.Generator, length: float, width: float) -> Any:
    """Return a rectangle with one or two corners cut off at 45 degrees."""
    cuts = random.uniform(0.25, 0.4, 2) * min(length, width)
    second = random.random() < 0.5
    points = [(0, 0), (length, 0), (length, width - cuts[0]), (length - cuts[0], width)]
    points += [(cuts[1], width), (0, width - cuts[1])] if second else [(0, width)]
    return shapely.Polygon(points)


def _round(random: np.random.Generator, length: float, width: float) -> Any:
    return shapely.Point(0, 0).buffer(width * 0.6, quad_segs=ROUND_POINTS // 4)


KINDS: dict[str, Callable[[np.random.Generator, float, float], Any]] = {
    "rectangle": _rectangle,
    "L": _l_shape,
    "T": _t_shape,
    "U": _u_shape,
    "courtyard": _courtyard,
    "chamfered": _chamfered,
    "round": _round,
}
