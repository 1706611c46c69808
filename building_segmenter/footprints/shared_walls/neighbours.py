"""Which polygons touch, and the clean coverage of each group of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from building_segmenter.footprints.shared_walls.topology import OUTSIDE, topology_of

TOUCHING = 0.01
"""Metres up to which polygons that do not meet are taken as touching: the carelessness of digitizing."""

_OWN_BUILDING = 0.1
"""Share of the smaller polygon that another one may cover; one that is covered more is not a neighbour."""


@dataclass(frozen=True)
class Coverage:
    """Polygons that touch, as a valid coverage.

    Args:
        members: Places of the polygons in the array they come from.
        polygons: Their clean form: nothing overlaps, and common lines have the same points on both sides.
    """

    members: NDArray[np.intp]
    polygons: NDArray[np.object_]


def coverages(polygons: NDArray[np.object_], tolerance: float) -> list[Coverage]:
    """Return the groups of polygons that touch, each as a coverage.

    Polygons without neighbours are left out, and those whose clean form would lie far from what they are.

    Args:
        polygons: Valid polygons in ground metres.
        tolerance: Metres; the cleaning may use half of it.
    """
    near = min(TOUCHING, tolerance / 100)
    a, b = _pairs(polygons, near)
    found = []
    for members in _components(a, b, len(polygons)):
        found += _cleaned(members, polygons[members], near, tolerance / 2)
    return found


def _pairs(polygons: NDArray[np.object_], near: float) -> tuple[Any, Any]:
    a, b = shapely.STRtree(polygons).query(polygons, predicate="dwithin", distance=near)
    a, b = a[a < b], b[a < b]
    area = shapely.area(polygons)
    common = shapely.area(shapely.intersection(polygons[a], polygons[b]))
    covered = common > _OWN_BUILDING * np.minimum(area[a], area[b])
    out = np.where(area[a] < area[b], a, b)[covered]
    stays = ~(np.isin(a, out) | np.isin(b, out))
    return a[stays], b[stays]


def _components(a: Any, b: Any, count: int) -> list[NDArray[np.intp]]:
    links = coo_array((np.ones(len(a), np.int8), (a, b)), shape=(count, count))
    labels = connected_components(links, directed=False)[1]
    order = np.argsort(labels, kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(labels, minlength=1))[:-1])
    return [group for group in groups if len(group) > 1]


def _cleaned(members: Any, polygons: Any, near: float, most: float) -> list[Coverage]:
    """Return the coverages of a group; without the members that the cleaning would bend too far it may fall apart."""
    if corners_match(polygons, near) and shapely.coverage_is_valid(polygons):
        return [Coverage(members, without_short_contacts(polygons, most / 2))]
    clean = _clean(polygons, near)
    whole = (shapely.get_type_id(clean) == 3) & ~shapely.is_empty(clean) & shapely.is_valid(clean)
    whole &= shapely.get_num_interior_rings(clean) == shapely.get_num_interior_rings(polygons)
    whole[whole] = shapely.hausdorff_distance(polygons[whole], clean[whole]) <= most
    if whole.all():
        if not shapely.coverage_is_valid(clean):
            return []
        return [Coverage(members, without_short_contacts(clean, most / 2))]
    left, rest = members[whole], polygons[whole]
    a, b = _pairs(rest, near)
    found = []
    for group in _components(a, b, len(rest)):
        found += _cleaned(left[group], rest[group], near, most)
    return found


def _clean(polygons: NDArray[np.object_], near: float) -> NDArray[np.object_]:
    """Return polygons as a coverage, with corners snapped as far as `near` unless that parts some that touch."""
    a, b = _pairs(polygons, near)
    touch = shapely.distance(polygons[a], polygons[b]) == 0
    for snap in (near, near / 10, near / 100):
        clean: NDArray[np.object_] = shapely.coverage_clean(polygons, snapping_distance=snap, gap_width=near)
        if not shapely.distance(clean[a[touch]], clean[b[touch]]).any():
            break
    return clean


def corners_match(polygons: NDArray[np.object_], near: float) -> bool:
    """Tell whether polygons that come near a corner of another one have a corner at the same place."""
    coordinates, owner = shapely.get_coordinates(polygons, return_index=True)
    places, place_of = np.unique(coordinates, axis=0, return_inverse=True)
    beside, place = shapely.STRtree(shapely.points(places)).query(polygons, predicate="dwithin", distance=near)
    inner = shapely.contains_properly(polygons[beside], shapely.points(places[place]))
    own = set(zip(owner.tolist(), place_of.ravel().tolist(), strict=True))
    return own >= set(zip(beside[~inner].tolist(), place[~inner].tolist(), strict=True)) and not inner.any()


def without_short_contacts(polygons: NDArray[np.object_], shortest: float) -> NDArray[np.object_]:
    """Return a coverage whose polygons meet in a point where they met along less than `shortest` metres.

    Such a line says nothing of a wall: corners that touch a wall, or four buildings that nearly meet in a point.
    """
    topology = topology_of(polygons)
    short = (
        []
        if topology is None
        else [
            arc
            for arc in topology.arcs
            if arc.length < shortest and arc.start != arc.end and OUTSIDE not in (arc.left, arc.right)
        ]
    )
    if not short:
        return polygons
    moved = polygons
    for points in _joined([arc.points for arc in short]):
        if np.ptp(points, axis=0).max() < shortest:
            moved = _in_one_point(moved, points)
    whole = shapely.is_valid(moved).all() and (shapely.get_type_id(moved) == 3).all()
    return moved if whole and shapely.coverage_is_valid(moved) else polygons


def _joined(lines: list[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    """Return the points of lines that hang together."""
    points = np.concatenate(lines)
    line_of = np.repeat(np.arange(len(lines)), [len(line) for line in lines])
    _, place_of = np.unique(points, axis=0, return_inverse=True)
    links = coo_array(
        (np.ones(len(points)), (line_of, len(lines) + place_of.ravel())), shape=(len(lines) + len(points),) * 2
    )
    label = connected_components(links, directed=False)[1][line_of]
    return [points[label == each] for each in np.unique(label)]


def _in_one_point(polygons: NDArray[np.object_], points: NDArray[np.float64]) -> NDArray[np.object_]:
    """Return polygons with some of their points moved to the middle of these."""
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    coordinates = shapely.get_coordinates(polygons)
    there = (coordinates[:, None] == points).all(axis=2).any(axis=1)
    coordinates[there] = middle
    moved = shapely.set_coordinates(polygons.copy(), coordinates)
    result: NDArray[np.object_] = shapely.remove_repeated_points(moved)
    return result
