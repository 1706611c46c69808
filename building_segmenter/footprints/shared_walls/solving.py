"""Solve the chains of a layout: rings by the regularization of polygons, open lines by the one of this package."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from building_segmenter.footprints.shared_walls.chains import Chain, Layout
from building_segmenter.footprints.shared_walls.course import Course, Points
from building_segmenter.footprints.shared_walls.straight import breaks_along, straightened, with_points

_MOST_BREAKS = 1500
_METHODS = ("circle", "right-angles", "right-angles-and-diagonals", "any-angle")
_RIGHT = (0.0, 90.0)
_DIAGONAL = (0.0, 90.0, 45.0, 135.0)
# Degrees from the direction of its members at which the direction of an outline around them is doubted.
_ASTRAY = 6.0
# As for single polygons, a penalty of 3 makes a wall off the preferred directions cost as much as two along them.
_PENALTY_UNIT = 3.0


@dataclass(frozen=True)
class Ring:
    """A regularized polygon: its direction in degrees, its deviation in metres and the method that made it."""

    polygon: Any
    angle: float
    deviation: float
    method: str


RingSolver = Callable[[Any, float | None], Ring | None]
"""Regularizes a polygon, in this direction if one is given; None where it has no solution."""


@dataclass(frozen=True)
class Failure:
    """Why a layout has no solution.

    Args:
        cause: What was found.
        faces: The faces next to the trouble.
        block: The block whose outline has no solution, or -1.
    """

    cause: str
    faces: frozenset[int]
    block: int = -1


@dataclass(frozen=True)
class Walls:
    """The directions that walls may have.

    Args:
        method: What is told of a result.
        angles: Degrees from the main direction.
        costs: Cost of a wall in each direction, in corners.
        widest: The sharpest turn between walls in degrees.
    """

    method: str
    angles: tuple[float, ...]
    costs: tuple[float, ...]
    widest: float


@dataclass(frozen=True)
class Plan:
    """A block to solve: its faces, its direction in degrees, and the number of those that share its direction."""

    faces: frozenset[int]
    angle: float
    alike: int


@dataclass(frozen=True)
class Block:
    """How a block was solved: its main direction in degrees, and the most general method that it needed."""

    angle: float
    method: str


def walls_for(method: str, penalty: float) -> list[Walls]:
    """Return the sets of directions to try one after the other."""
    price = 1.0 + penalty / _PENALTY_UNIT
    right = Walls("right-angles", _RIGHT, (1.0, 1.0), 90.0)
    diagonal = Walls("right-angles-and-diagonals", _DIAGONAL, (1.0, 1.0, price, price), 90.0)
    angles = _RIGHT + tuple(float(angle) for angle in range(5, 180, 5) if angle != 90)
    free = Walls("any-angle", angles, (1.0, 1.0) + (price,) * (len(angles) - 2), 120.0)
    return {walls.method: [walls] for walls in (right, diagonal, free)}.get(method, [right, diagonal, free])


def solve_chains(
    layout: Layout, plans: list[Plan], reach: float, step: float, walls: list[Walls], rings: RingSolver
) -> tuple[list[Course], list[Block]] | Failure:
    """Solve all chains of a layout.

    Args:
        layout: The chains.
        plans: The blocks, in the order of the layout.
        reach: Tolerance in metres.
        step: Longest distance between points of a line that are looked at.
        walls: Directions of walls, tried one after the other for each line.
        rings: Regularizes polygons.

    Returns:
        For each chain its course, whose ends do not yet meet others, and how each block was solved; or what failed.
    """
    courses: list[Course | None] = [None] * len(layout.chains)
    solved: list[Block] = []
    for k, chain in enumerate(layout.chains):
        if chain.block < 0:
            courses[k] = _as_it_is(chain)
    shown: dict[int, float] = {}
    for block, plan in enumerate(plans):
        own = [k for k, chain in enumerate(layout.chains) if chain.block == block]
        main = _solve_rings(layout, own, plan.angle, shown.get(plan.alike), rings, courses, reach)
        if main is None:
            return Failure("outline of a block", frozenset(), block)
        shown.setdefault(plan.alike, main.angle)
        methods = {main.method} - {""}
        for k in _by_dependence(layout, [k for k in own if courses[k] is None]):
            hosts = [_walls_near(layout, k, last, courses, reach) for last in (False, True)]
            opened = _opened(layout.chains[k], hosts, main.angle, reach, step, walls)
            if opened is None or not _anchored(layout, layout.chains[k], opened[0], reach):
                beside = layout.chains[k].faces_at(False) | layout.chains[k].faces_at(True)
                return Failure("line between outlines", frozenset(beside))
            courses[k] = opened[0]
            methods.add(opened[1])
        solved.append(Block(main.angle, max(methods, key=_METHODS.index, default=walls[0].method)))
    return [course for course in courses if course is not None], solved


def _as_it_is(chain: Chain) -> Course:
    vertices = chain.points[:-1] if chain.closed else chain.points
    course = Course(vertices, chain.closed, np.zeros(len(chain.points) - 1))
    for visit in chain.passed:
        wall = chain.vertex(visit)
        course.met.append((wall, vertices[wall]))
    return course


def _touched_in_passing(layout: Layout, chain: Chain) -> dict[int, Points]:
    """Return the visits of a chain to points where another line goes on too, and their places."""
    return {
        visit: layout.topology.nodes[chain.visits[visit]]
        for visit in chain.passed
        if len(layout.through[chain.visits[visit]]) > 1
    }


def _solve_rings(
    layout: Layout,
    own: list[int],
    angle: float,
    given: float | None,
    rings: RingSolver,
    courses: list[Course | None],
    reach: float,
) -> Block | None:
    """Solve the closed chains of a block; return what they show of it, or None where a ring has no solution."""
    closed = [k for k in own if layout.chains[k].closed]
    rim = [k for k in closed if layout.chains[k].rim]
    outer = [k for k in rim if _signed_area(layout.chains[k].points) > 0]
    angle = angle if given is None else given
    if len(outer) == 1:
        # The first ring is the outer one, and courtyards share its direction.
        rim = outer + [k for k in rim if k != outer[0]]
        together = [rim, *([k] for k in closed if k not in rim)]
    else:
        together, given = [[k] for k in closed], angle
    methods = {""}
    for group in together:
        shell, *holes = (layout.chains[k].points for k in group)
        polygon = shapely.Polygon(shell, holes)
        found = _regularized(rings, polygon, given, angle) if polygon.is_valid else None
        if found is None:
            return None
        angle = found.angle if given is None and np.isfinite(found.angle) else angle
        given = angle
        methods.add(found.method)
        for k, ring in zip(group, [found.polygon.exterior, *found.polygon.interiors], strict=True):
            course = _ring_course(layout.chains[k], ring, max(reach - found.deviation, reach / 2))
            if not _anchored(layout, layout.chains[k], course, reach):
                return None
            courses[k] = course
    return Block(angle, max(methods, key=("", *_METHODS).index))


def _regularized(rings: RingSolver, polygon: Any, given: float | None, members: float) -> Ring | None:
    """Regularize in the direction given, or else in the polygon's own; if that is not its members', in the better."""
    own = rings(polygon, given)
    if given is not None or (own is not None and abs((own.angle - members + 45.0) % 90.0 - 45.0) <= _ASTRAY):
        return own
    other = rings(polygon, members)
    found = [ring for ring in (other, own) if ring is not None]
    return min(found, key=lambda ring: shapely.get_num_coordinates(ring.polygon), default=None)


def _ring_course(chain: Chain, ring: Any, room: float) -> Course:
    points = np.array(ring.coords)[:-1]
    # The block lies on the left of rims only; a course must run like its chain.
    if (_signed_area(points) > 0) != (_signed_area(chain.points) > 0):
        points = points[::-1]
    return Course(points, True, np.full(len(points), room))


def _signed_area(points: Points) -> float:
    x, y = (points - points[0]).T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def _by_dependence(layout: Layout, chains: list[int]) -> list[int]:
    """Return chains in the order to solve them: the longest first of those whose ends lie on what is solved."""
    pending = sorted(chains, key=lambda k: -layout.chains[k].length)
    order = []
    while pending:
        waiting = set(pending)
        ready = [k for k in pending if not ({layout.host(k, False), layout.host(k, True)} & (waiting - {k}))]
        # Lines that wait for each other in a circle: the longest begins, with free ends.
        following = ready[0] if ready else pending[0]
        order.append(following)
        pending.remove(following)
    return order


def _walls_near(
    layout: Layout, k: int, last: bool, courses: list[Course | None], reach: float
) -> NDArray[np.float64] | None:
    """Return the walls (n, 4) that an end of a chain may meet; none where they are not solved yet."""
    host = layout.host(k, last)
    course = courses[host] if host is not None else None
    if course is None:
        return np.empty((0, 4))
    walls = np.column_stack((course.begins, course.ends))
    node = shapely.Point(layout.chains[k].points[-1 if last else 0])
    near = shapely.distance(shapely.linestrings(walls.reshape(-1, 2, 2)), node) <= 2 * reach
    return walls[near] if near.any() else None


def _opened(
    chain: Chain, hosts: list[NDArray[np.float64] | None], main: float, reach: float, step: float, walls: list[Walls]
) -> tuple[Course, str] | None:
    if hosts[0] is None or hosts[1] is None:
        return None
    origin = chain.points[0]
    x, y = with_points(*np.ascontiguousarray((chain.points - origin).T), step)
    breaks = breaks_along(x, y, max(reach / 8, chain.length / _MOST_BREAKS))
    starts, ends = (np.ascontiguousarray(host - np.tile(origin, 2)) for host in hosts if host is not None)
    for kind in walls:
        angles = np.radians(main + np.array(kind.angles))
        cost, *solution = straightened(
            x, y, breaks, angles, np.array(kind.costs), math.radians(kind.widest), reach, starts, ends
        )
        if np.isfinite(cost):
            course = _course_of(np.column_stack((x, y))[[0, -1]], solution, angles, origin, reach)
            return course, kind.method
    return None


def _course_of(tips: Points, solution: Any, angles: Any, origin: Points, reach: float) -> Course:
    ways, offsets, room, _ = solution
    angles = angles[ways % len(angles)]
    units = np.column_stack((np.cos(angles), np.sin(angles)))
    normals = np.column_stack((-units[:, 1], units[:, 0]))
    corners = [np.linalg.solve(normals[k : k + 2], offsets[k : k + 2]) for k in range(len(ways) - 1)]
    first, last = (tip - normals[k] * (normals[k] @ tip - offsets[k]) for k, tip in ((0, tips[0]), (-1, tips[1])))
    vertices = np.array([first, *corners, last]) + origin
    return Course(vertices, False, np.maximum(reach - room, 0.0))


def _anchored(layout: Layout, chain: Chain, course: Course, reach: float) -> bool:
    """Make a line pass exactly through the points where another line goes on too: polygons that touch in a point."""
    return all(
        _anchor(course, place, _is_corner(chain, visit, reach), reach)
        for visit, place in _touched_in_passing(layout, chain).items()
    )


def _is_corner(chain: Chain, visit: int, reach: float) -> bool:
    """Tell whether the chain turns at a node, seen over about the tolerance."""
    arms = []
    for points in (chain.topology.points(chain.pieces[visit]), chain.topology.points(chain.pieces[visit - 1])[::-1]):
        away = np.flatnonzero(np.hypot(*(points - points[0]).T) >= reach)
        step = points[away[0] if len(away) else -1] - points[0]
        arms.append(step / max(float(np.hypot(*step)), 1e-12))
    return bool(arms[0] @ arms[1] > math.cos(math.radians(140.0)))


def _anchor(course: Course, place: Points, at_corner: bool, reach: float) -> bool:
    n = len(course.vertices)
    corner = int(np.argmin(np.hypot(*(course.vertices - place).T)))
    if not course.closed and corner in (0, n - 1):
        at_corner = False
    if at_corner and np.hypot(*(course.vertices[corner] - place)) <= reach:
        walls = [(corner - 1) % n, corner]
    else:
        segments = shapely.linestrings(np.stack((course.begins, course.ends), axis=1))
        walls = [int(np.argmin(shapely.distance(segments, shapely.Point(place))))]
    for wall in walls:
        if course.room[wall] == 0.0 or not course.shift(wall, place):
            return False
        course.room[wall] = 0.0
    if len(walls) == 2:
        course.vertices[corner] = place
    course.meet(walls[-1], place)
    return True
