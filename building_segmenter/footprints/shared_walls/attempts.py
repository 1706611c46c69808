"""One group of touching polygons: attempts to solve it, from the whole tolerance and all members to less of both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from building_segmenter.footprints.measures import vertex_counts
from building_segmenter.footprints.regularize import Settings
from building_segmenter.footprints.shared_walls.assembly import faces_of
from building_segmenter.footprints.shared_walls.blocks import blocks_of, connected
from building_segmenter.footprints.shared_walls.chains import layout_of
from building_segmenter.footprints.shared_walls.course import SAME
from building_segmenter.footprints.shared_walls.meeting import aligned, at_corners, met
from building_segmenter.footprints.shared_walls.nearness import boundary_distance
from building_segmenter.footprints.shared_walls.neighbours import corners_match
from building_segmenter.footprints.shared_walls.solving import Failure, Plan, RingSolver, Walls, solve_chains
from building_segmenter.footprints.shared_walls.topology import Topology

_MOST_TURN, _ANY_TURN = 6.0, 45.0
"""Degrees that the direction which a member shows may lie from that of its block."""

_ROUNDING = 1e-4
"""Square metres that rounding may take from a polygon."""

_STAIRS = 2
"""Corners for one of free angles from which an outline is stairs, as for single polygons."""

_SCALES = (1.0, 0.8, 0.6, 0.35)
"""Shares of the tolerance that are tried one after the other."""


@dataclass
class Group:
    """Polygons that touch.

    Args:
        members: Places of the polygons in the array they come from.
        topology: Their clean coverage as arcs.
        clean: Their clean coverage.
        originals: The polygons as they were.
        directions: Main direction of each in degrees, NaN where it shows none.
        kept: Members that stay as they are.
    """

    members: NDArray[np.intp]
    topology: Topology
    clean: NDArray[np.object_]
    originals: NDArray[np.object_]
    directions: NDArray[np.float64]
    kept: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Solution:
    """A solved group.

    Args:
        faces: The new polygons.
        kept: Members that are as they were.
        angle: Main direction of each in degrees.
        method: What made each.
        deviation: Upper bound of the distance between old and new boundary of each.
    """

    faces: NDArray[np.object_]
    kept: frozenset[int]
    angle: NDArray[np.float64]
    method: NDArray[np.object_]
    deviation: NDArray[np.float64]


@dataclass
class _Search:
    group: Group
    settings: Settings
    walls: list[Walls]
    rings: Any
    kept: set[int]
    single: set[int] = field(default_factory=set)

    def blocks(self, most_turn: float) -> list[Plan]:
        """Return the blocks to solve one after the other, with the degrees that a member may be turned."""
        topology, directions = self.group.topology, self.group.directions
        x0, y0, x1, y1 = shapely.bounds(self.group.originals).T
        sizes = np.hypot(x1 - x0, y1 - y0) / 2
        together = set(range(len(directions))) - self.kept - self.single
        found = blocks_of(topology, together, directions, sizes, self.settings.tolerance, most_turn)
        # Blocks that touch in a point only are solved for themselves, in the same direction.
        parts = [
            Plan(part, angle, alike)
            for alike, (faces, angle) in enumerate(found)
            for part in sorted(connected(topology, faces), key=lambda part: (-sum(sizes[list(part)]), min(part)))
        ]
        alone = sorted(self.single - self.kept, key=lambda face: -sizes[face])
        angles = np.nan_to_num(directions)
        return parts + [Plan(frozenset([face]), float(angles[face]), len(found) + face) for face in alone]

    def corners_kept(self) -> NDArray[np.float64]:
        """Return the points (n, 2) of outlines that stay as they are."""
        points: NDArray[np.float64] = shapely.get_coordinates(self.group.clean[list(self.kept)])
        return points

    def trials(self) -> Iterator[tuple[list[list[Plan]], float]]:
        """Yield blocks in some orders, and the share of the tolerance to try them with.

        A wall between blocks of different directions belongs to the one that is solved first. The direction that an
        unsteady outline shows may be far from the true one, so where blocks by direction fail the members are also
        tried as one.
        """
        apart, together = self.blocks(_MOST_TURN), self.blocks(_ANY_TURN)
        orders = [apart, apart[::-1]] if len(together) < len(apart) else [apart]
        for scale in _SCALES:
            yield orders, scale
            if len(together) < len(apart):
                yield [together], scale


def solve_group(group: Group, settings: Settings, walls: list[Walls], rings: Any) -> Solution:
    """Regularize a group; members that resist stay as they are, and the others are fitted to them.

    Args:
        group: The polygons.
        settings: As for single polygons.
        walls: Directions of walls.
        rings: Gives a `RingSolver` for a share of the tolerance.

    Returns:
        The new polygons; if all members stay as they are, the clean coverage.
    """
    search = _Search(group, settings, walls, rings, set(group.kept))
    count = len(group.originals)
    while len(search.kept) < count:
        failures: list[tuple[bool, int, int, Failure, list[Plan]]] = []
        for orders, scale in search.trials():
            solutions = []
            for blocks in orders:
                found = _solution(search, blocks, scale)
                if isinstance(found, Solution):
                    solutions.append(found)
                else:
                    failures.append((found.block >= 0, len(found.faces), len(failures), found, blocks))
            if solutions:
                return min(solutions, key=lambda solution: vertex_counts(solution.faces).sum())
        *_, failure, blocks = min(failures)
        _give_way(search, blocks, failure)
    none = np.full(count, np.nan)
    return Solution(group.clean, frozenset(range(count)), none, np.full(count, "", object), none)


def _solution(search: _Search, blocks: list[Plan], scale: float) -> Solution | Failure:
    """Solve the blocks, with walls made collinear if that can be."""
    found = _attempt(search, blocks, scale, True)
    if isinstance(found, Solution) or found.block >= 0:
        return found
    plain = _attempt(search, blocks, scale, False)
    return plain if isinstance(plain, Solution) or len(plain.faces) < len(found.faces) else found


def _give_way(search: _Search, blocks: list[Plan], failure: Failure) -> None:
    """Keep the members in whose way the best attempt failed, after an attempt with each for itself."""
    if failure.block >= 0:
        block = blocks[failure.block].faces
        if len(block) > 1:
            search.single |= block
            return
        search.kept |= block
        return
    new = failure.faces - search.kept
    search.kept |= new or set(range(len(search.group.originals)))


def _attempt(search: _Search, blocks: list[Plan], scale: float, align: bool) -> Solution | Failure:
    topology, settings = search.group.topology, search.settings
    reach = settings.tolerance * scale
    layout = layout_of(topology, [block.faces for block in blocks], frozenset(search.kept), 2 * reach)
    rings: RingSolver = search.rings(scale)
    step = min(settings.densification or reach / 2, reach / 2)
    found = solve_chains(layout, blocks, reach, step, search.walls, rings)
    if isinstance(found, Failure):
        return found
    courses, solved = found
    if align:
        courses = aligned(layout, courses, reach)
    at_corners(layout, courses, reach)
    meetings = met(layout, courses, reach)
    if isinstance(meetings, Failure):
        return meetings
    faces = faces_of(layout, courses, meetings)
    if isinstance(faces, Failure):
        return faces
    angle, method = np.full(len(faces), np.nan), np.full(len(faces), "", object)
    for block, figures in zip(blocks, solved, strict=True):
        angle[list(block.faces)], method[list(block.faces)] = figures.angle, figures.method
    return _checked(search, _noded(np.array(faces, object)), angle, method)


def _noded(faces: NDArray[np.object_]) -> NDArray[np.object_]:
    """Give faces whose walls came to lie on the same line without having been one the same points on both sides."""
    if not shapely.is_valid(faces).all() or (corners_match(faces, SAME) and shapely.coverage_is_valid(faces)):
        return faces
    clean = shapely.coverage_clean(faces, snapping_distance=SAME)
    same = (shapely.get_type_id(clean) == 3) & (shapely.area(shapely.symmetric_difference(clean, faces)) < _ROUNDING)
    return clean if same.all() else faces


def _checked(
    search: _Search, faces: NDArray[np.object_], angle: NDArray[np.float64], method: NDArray[np.object_]
) -> Solution | Failure:
    """Check every promise for the faces that changed, and that all fit together."""
    old, settings = search.group.originals, search.settings
    bad = ~shapely.is_valid(faces)
    if bad.any():
        return Failure("crossing", frozenset(np.flatnonzero(bad).tolist()))
    bad = ~shapely.is_empty(shapely.coverage_invalid_edges(faces))
    if bad.any():
        return Failure("overlap", frozenset(np.flatnonzero(bad).tolist()))
    a, b = np.array(sorted(search.group.topology.open_contacts()), int).reshape(-1, 2).T
    parted = shapely.distance(faces[a], faces[b]) > SAME
    if parted.any():
        return Failure("contact lost", frozenset([*a[parted].tolist(), *b[parted].tolist()]))
    new = np.array([face not in search.kept for face in range(len(faces))])
    deviation = np.full(len(faces), np.nan)
    for face in np.flatnonzero(new):
        deviation[face] = boundary_distance(old[face], faces[face], settings.tolerance)
        bad[face] = not deviation[face] <= settings.tolerance
    look = new & ~bad
    bad[look] = ~_alike(old[look], faces[look], settings)
    look = new & ~bad
    bad[look] = _is_staircase(old[look], faces[look], search.corners_kept(), settings.tolerance)
    if bad.any():
        return Failure("tolerance", frozenset(np.flatnonzero(bad).tolist()))
    return Solution(faces, frozenset(search.kept), angle, method, deviation)


def _alike(old: NDArray[np.object_], new: NDArray[np.object_], settings: Settings) -> NDArray[np.bool_]:
    ratio = shapely.area(new) / shapely.area(old)
    common = shapely.area(shapely.intersection(old, new))
    iou = common / (shapely.area(old) + shapely.area(new) - common)
    low, high = settings.area_ratio
    same: NDArray[np.bool_] = (ratio >= low) & (ratio <= high) & (iou >= settings.min_iou)
    same &= shapely.get_num_interior_rings(old) == shapely.get_num_interior_rings(new)
    return same


def _is_staircase(
    old: NDArray[np.object_], new: NDArray[np.object_], kept: NDArray[np.float64], tolerance: float
) -> NDArray[np.bool_]:
    # Points where walls of neighbours end are no corners, and those of outlines that stay as they are not ours.
    slim = shapely.simplify(new, SAME)
    points, owner = shapely.get_coordinates(slim, return_index=True)
    foreign = np.isin(_as_complex(points), _as_complex(kept))
    corners = vertex_counts(slim) - np.bincount(owner[foreign], minlength=len(new))
    free = vertex_counts(shapely.simplify(old, tolerance))
    stairs: NDArray[np.bool_] = corners > _STAIRS * free + 4 * (shapely.get_num_interior_rings(new) + 1)
    return stairs


def _as_complex(points: NDArray[np.float64]) -> NDArray[np.complex128]:
    whole: NDArray[np.complex128] = points[:, 0] + 1j * points[:, 1]
    return whole
