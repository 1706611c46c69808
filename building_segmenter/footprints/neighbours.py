"""The direction that an outline has in common with its neighbours.

Rough outlines show their direction with errors of some degrees; those of a row of houses differ, and their mean is
better than each. So each outline is offered the mean direction of those around it that agree with it within ten
degrees, the near and sure ones most. How far it is drawn from its own direction to theirs depends on how sure its own
is (told by the spread among parts of the outline) and on how alike theirs are: neighbours of clean outlines that truly
differ by some degrees stay as they are. Directions are modulo a right angle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from building_segmenter.compiled import kernel
from building_segmenter.footprints.regularize.direction import folded

Floats = NDArray[np.float64]

_AGREE = math.radians(10.0)
_FEWEST = 2
_ROUNDS = 3
_BLOCKS = 8
_LEAST = math.radians(0.3) ** 2
_METRES = 111_320.0
"""Of a degree of latitude."""


@dataclass(frozen=True)
class Directed:
    """Outlines as far as their directions go; arrays (n,), of which NaN stands for what is not known.

    Args:
        longitude: Of the middle, degrees.
        latitude: Of the middle, degrees.
        angle: Direction in radians, counter-clockwise from east, modulo a right angle.
        variance: Squared standard error of the angle, radians.
    """

    longitude: Floats
    latitude: Floats
    angle: Floats
    variance: Floats


def own_directions(plane: NDArray[np.object_], chord: float) -> tuple[Floats, Floats]:
    """Return the direction (n,) that each outline shows by itself, in radians, and the variance of that.

    Args:
        plane: Polygons (n,) in ground metres, or None.
        chord: Metres over which a wall's direction is taken: longer than what roughens it. At most an eighth of the
            perimeter is taken.
    """
    areal = plane.copy()
    areal[~np.isin(shapely.get_type_id(plane), (3, 6))] = None
    parts, owner = shapely.get_parts(areal, return_index=True)
    rings = shapely.get_exterior_ring(parts)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    ends = np.searchsorted(ring, np.arange(len(rings) + 1))
    angle, variance = np.full(len(plane), np.nan), np.full(len(plane), np.nan)
    _directions(points, ends, owner, chord, angle, variance)
    return angle, variance


def consensus(layer: Directed, distance: float) -> Floats:
    """Return the direction (n,) of each outline and its neighbours together, in degrees; NaN for the lonely.

    Args:
        layer: All outlines.
        distance: Metres to the middle of a neighbour, at most.
    """
    found = np.full(len(layer.angle), np.nan)
    there = np.flatnonzero(np.isfinite(layer.latitude + layer.longitude + layer.angle + layer.variance))
    if len(there) == 0:
        return found
    rows = np.floor(layer.latitude[there] * _METRES / distance).astype(np.int64)
    columns = np.floor(layer.longitude[there] * _shrunk(rows, distance) / distance).astype(np.int64)
    order = np.lexsort((columns, rows))
    sorted_rows, sorted_columns, members = rows[order], columns[order], there[order]
    distinct, starts = np.unique(sorted_rows, return_index=True)
    arrays = (layer.longitude[members], layer.latitude[members], layer.angle[members], layer.variance[members])
    ends = np.append(starts, len(members))
    found[members] = np.degrees(_agreed(distinct, ends, sorted_columns, _shrunk(distinct, distance), *arrays, distance))
    return found


def _shrunk(rows: NDArray[np.int64], distance: float) -> Floats:
    """Return metres of a degree of longitude in the middle of rows of cells."""
    latitude = (rows + 0.5) * distance / _METRES
    metres: Floats = _METRES * np.cos(np.radians(np.clip(latitude, -89.9, 89.9)))
    return metres


@kernel
def _directions(points: Any, ends: Any, owner: Any, chord: float, angle: Any, variance: Any) -> None:
    """Fill in what the longest ring of each owner says."""
    longest = np.zeros(len(angle))
    for k in range(len(ends) - 1):
        ring = points[ends[k] : ends[k + 1] - 1]
        if len(ring) < 3 or not np.isfinite(ring).all():
            continue
        length = 0.0
        for i in range(len(ring)):
            length += math.hypot(ring[i, 0] - ring[i - 1, 0], ring[i, 1] - ring[i - 1, 1])
        if length > longest[owner[k]]:
            longest[owner[k]] = length
            angle[owner[k]], variance[owner[k]] = _direction(ring - ring[0], length, min(chord, length / _BLOCKS))


@kernel
def _direction(ring: Any, length: float, chord: float) -> Any:
    """Return the mean direction of chords and its variance, from the directions without one eighth of the ring."""
    sums = np.zeros((_BLOCKS, 2))
    n = len(ring)
    arc, end, reach = 0.0, 0, 0.0
    for k in range(n):
        if end <= k:
            end, reach = k + 1, math.hypot(ring[(k + 1) % n, 0] - ring[k, 0], ring[(k + 1) % n, 1] - ring[k, 1])
        while end < k + n - 1 and reach < chord:
            a, b = end % n, (end + 1) % n
            reach += math.hypot(ring[b, 0] - ring[a, 0], ring[b, 1] - ring[a, 1])
            end += 1
        dx, dy = ring[end % n, 0] - ring[k, 0], ring[end % n, 1] - ring[k, 1]
        step = math.hypot(ring[(k + 1) % n, 0] - ring[k, 0], ring[(k + 1) % n, 1] - ring[k, 1])
        straight = math.hypot(dx, dy)
        share = straight * (straight / reach) ** 16 * step if reach > 0 else 0.0
        turn = 4 * math.atan2(dy, dx)
        block = min(int(arc / length * _BLOCKS), _BLOCKS - 1)
        sums[block, 0] += share * math.cos(turn)
        sums[block, 1] += share * math.sin(turn)
        arc += step
        reach -= step
    cosine, sine = sums[:, 0].sum(), sums[:, 1].sum()
    angle = math.atan2(sine, cosine) / 4
    spread = 0.0
    for block in range(_BLOCKS):
        without = math.atan2(sine - sums[block, 1], cosine - sums[block, 0]) / 4
        spread += folded(without - angle) ** 2
    return folded(angle), spread * (_BLOCKS - 1) / _BLOCKS


@kernel
def _agreed(
    rows: Any, ends: Any, columns: Any, shrunk: Any, longitude: Any, latitude: Any, angle: Any, variance: Any,
    distance: float,
) -> Any:  # fmt: skip
    """Return the common direction of each outline, which lie in cells as wide as the distance, row by row."""
    found = np.full(len(angle), np.nan)
    for r in range(len(rows)):
        for k in range(ends[r], ends[r + 1]):
            common = angle[k]
            for _ in range(_ROUNDS):
                total = turn = squares = noise = doubled = 0.0
                count = 0
                for near in range(max(r - 1, 0), min(r + 2, len(rows))):
                    if abs(rows[near] - rows[r]) > 1:
                        continue
                    column = math.floor(longitude[k] * shrunk[near] / distance)
                    first = ends[near] + np.searchsorted(columns[ends[near] : ends[near + 1]], column - 1)
                    last = ends[near] + np.searchsorted(columns[ends[near] : ends[near + 1]], column + 1, side="right")
                    for j in range(first, last):
                        east = (longitude[j] - longitude[k]) * shrunk[r]
                        north = (latitude[j] - latitude[k]) * _METRES
                        square = (east * east + north * north) / (distance * distance)
                        apart = folded(angle[j] - common)
                        if j == k or square > 1.0 or abs(apart) > _AGREE:
                            continue
                        share = math.exp(-2.0 * square) / (variance[j] + _LEAST)
                        total += share
                        doubled += share * share
                        turn += share * apart
                        squares += share * apart * apart
                        noise += share * variance[j]
                        count += 1
                if count < _FEWEST:
                    common = np.nan
                    break
                mean = turn / total
                spread = squares / total - mean * mean
                own = 0.5 * (variance[k] + noise / total) + _LEAST
                others = max(spread - noise / total, _LEAST) + spread * doubled / (total * total)
                common = folded(common + (mean * own + folded(angle[k] - common) * others) / (own + others))
            found[k] = common
    return found
