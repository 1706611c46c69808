"""From rings to polygons: which hole belongs to which shell, which holes are filled, what is too small."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from building_segmenter.footprints.contours.marching import Floats, Indices
from building_segmenter.footprints.contours.rings import Rings

Measure = Callable[[Rings], tuple[Floats, Floats]]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Outlines:
    """Polygons in pixels from the raster's corner, with what was measured of them.

    Args:
        polygons: Array (n) of shapely polygons.
        area: Array (n) of areas without the holes, in square metres on the ground.
        perimeter: Array (n) of lengths of all rings, in metres on the ground.
        mean_excess: Array (n) of the mean excess of the pixels whose centres lie inside and that are not nodata.
    """

    polygons: NDArray[Any]
    area: Floats
    perimeter: Floats
    mean_excess: Floats


def joined_outlines(parts: Sequence[Outlines]) -> Outlines:
    """Return the outlines of one or more parts as one."""
    return Outlines(
        np.concatenate([part.polygons for part in parts]),
        np.concatenate([part.area for part in parts]),
        np.concatenate([part.perimeter for part in parts]),
        np.concatenate([part.mean_excess for part in parts]),
    )


def nested(batches: Iterable[Rings], measure: Measure, min_area: float, min_hole_area: float) -> Iterator[Outlines]:
    """Put holes into their shells and give each polygon as soon as its shell is closed.

    Holes go to the smallest shell around them; a shell inside a hole is a polygon of its own. A hole below
    `min_hole_area` is filled, unless a shell of at least `min_area` lies in it. Memory: the holes of open shells.

    Args:
        batches: Rings in the order of `contour_rings`: a hole before the shell around it.
        measure: Gives the area and length of rings on the ground.
        min_area: Polygons with less area, without their holes, are left out; square metres on the ground.
        min_hole_area: See above; square metres on the ground.

    Yields:
        The polygons of each batch, possibly none.
    """
    waiting: _Measured | None = None
    islands = np.zeros((0, 2))
    for rings in batches:
        found = _Measured(rings, *measure(rings))
        hole = rings.hole
        shells = found.take(np.flatnonzero(~hole))
        small = hole & (found.area < min_hole_area)
        if min_area < min_hole_area:
            # Only then can a filled hole bury a polygon that is large enough to be kept.
            islands = np.vstack(
                [islands, _first_points(shells, (shells.area >= min_area) & (shells.area < min_hole_area))]
            )
            small &= ~_holds_any(rings, small, islands)
        holes = found.take(np.flatnonzero(hole & ~small))
        waiting = holes if waiting is None else waiting.joined(holes)
        owner = _owners(shells.rings, waiting.rings)
        yield _assembled(shells, waiting.take(np.flatnonzero(owner >= 0)), owner[owner >= 0], min_area)
        waiting = waiting.take(np.flatnonzero(owner < 0))


@dataclass(frozen=True)
class _Measured:
    rings: Rings
    area: Floats
    length: Floats

    def take(self, which: Indices) -> _Measured:
        return _Measured(self.rings.take(which), self.area[which], self.length[which])

    def joined(self, other: _Measured) -> _Measured:
        return _Measured(
            self.rings.joined(other.rings),
            np.concatenate([self.area, other.area]),
            np.concatenate([self.length, other.length]),
        )


def _first_points(found: _Measured, which: Flags) -> Floats:
    return found.rings.points[found.rings.starts[which]]


def _holds_any(rings: Rings, which: Flags, points: Floats) -> Flags:
    """Tell for each ring whether it is one of `which` and encloses a point."""
    holds = np.zeros(len(rings), np.bool_)
    chosen = np.flatnonzero(which)
    if len(chosen) and len(points):
        tree = shapely.STRtree(shapely.points(points))
        index, _ = tree.query(_areas(rings.take(chosen)), predicate="contains")
        holds[chosen[index]] = True
    return holds


def _owners(shells: Rings, holes: Rings) -> Indices:
    """Return for each hole the index of the smallest shell around it, -1 where that is still open.

    Of shells around each other the inner one is closed first, and rings never touch, so that one point tells.
    """
    owner = np.full(len(holes), len(shells))
    if len(shells) and len(holes):
        tree = shapely.STRtree(shapely.points(holes.points[holes.starts]))
        shell, hole = tree.query(_areas(shells), predicate="contains")
        np.minimum.at(owner, hole, shell)
    return np.where(owner < len(shells), owner, -1)


def _areas(rings: Rings) -> NDArray[Any]:
    areas: NDArray[Any] = shapely.polygons(_linear_rings(rings))
    return areas


def _linear_rings(rings: Rings) -> NDArray[Any]:
    index = np.repeat(np.arange(len(rings)), rings.lengths)
    linear: NDArray[Any] = shapely.linearrings(rings.points, indices=index)
    return linear


def _assembled(shells: _Measured, holes: _Measured, owner: Indices, min_area: float) -> Outlines:
    count = len(shells.rings)
    area = shells.area - np.bincount(owner, holes.area, count)
    perimeter = shells.length + np.bincount(owner, holes.length, count)
    excess = shells.rings.excess + np.bincount(owner, holes.rings.excess, count)
    pixels = shells.rings.pixels + np.bincount(owner, holes.rings.pixels, count)
    kept = np.flatnonzero(area >= min_area)
    place = np.full(count, -1)
    place[kept] = np.arange(len(kept))
    inner = np.flatnonzero(place[owner] >= 0)
    inner = inner[np.argsort(owner[inner], kind="stable")]
    polygons = _polygons(shells.rings.take(kept), holes.rings.take(inner), place[owner[inner]])
    return Outlines(polygons, area[kept], perimeter[kept], excess[kept] / pixels[kept])


def _polygons(shells: Rings, holes: Rings, owner: Indices) -> NDArray[Any]:
    if len(shells) == 0:
        return np.zeros(0, object)
    outer = _linear_rings(shells)
    if len(holes) == 0:
        return np.asarray(shapely.polygons(outer), object)
    polygons: NDArray[Any] = shapely.polygons(outer)
    with_holes = np.unique(owner)
    first = np.searchsorted(owner, with_holes)
    for shell, inner in zip(with_holes, np.split(_linear_rings(holes), first[1:]), strict=True):
        polygons[shell] = shapely.polygons(outer[shell], inner)
    return polygons
