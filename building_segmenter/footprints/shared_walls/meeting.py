"""Bring solved lines together: make walls that go on in one another collinear, and let ends meet other lines."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np

from building_segmenter.footprints.shared_walls.chains import Layout
from building_segmenter.footprints.shared_walls.course import SAME, Course, Points
from building_segmenter.footprints.shared_walls.solving import Failure

End = tuple[int, bool]
"""A chain, and whether its last end is meant."""

Wall = tuple[int, int]
"""A chain, and the number of a wall."""

_PARALLEL = 1e-3
_LEAST_SINE = math.sin(math.radians(4.0))


def aligned(layout: Layout, courses: list[Course], reach: float) -> list[Course]:
    """Return the courses with walls that nearly go on in one another made collinear, as far as the tolerance allows.

    The end of a party wall goes on in a step of the facade, or in another party wall on the other side.
    """
    courses = copy.deepcopy(courses)
    sets: dict[Wall, set[Wall]] = {}
    for _, a, b in sorted(_nearly_collinear(layout, courses, reach)):
        joined = sets.get(a, {a}) | sets.get(b, {b})
        trial = copy.deepcopy([courses[chain] for chain, _ in joined])
        by_chain = dict(zip((chain for chain, _ in joined), trial, strict=True))
        if _made_collinear(by_chain, joined, courses):
            for chain, course in by_chain.items():
                courses[chain] = course
            for wall in joined:
                sets[wall] = joined
    return courses


def _nearly_collinear(layout: Layout, courses: list[Course], reach: float) -> list[tuple[float, Wall, Wall]]:
    ends = [end for end in _open_ends(layout) if layout.chains[end[0]].block >= 0]
    tips = {end: courses[end[0]].vertices[-1 if end[1] else 0] for end in ends}
    found: dict[tuple[Wall, Wall], float] = {}
    for end in ends:
        wall = _end_wall(courses, end)
        others: list[Wall] = []
        host = layout.host(*end)
        if host is not None:
            others += [(host, k) for k in _near(courses[host], tips[end], reach)]
        others += [_end_wall(courses, o) for o in ends if np.hypot(*(tips[o] - tips[end])) <= 1.5 * reach]
        for other in others:
            if other == wall or (min(wall, other), max(wall, other)) in found:
                continue
            apart = _apart_if_collinear(courses, wall, other, reach)
            if apart is not None:
                found[min(wall, other), max(wall, other)] = apart
    return [(apart, *walls) for walls, apart in found.items()]


def _open_ends(layout: Layout) -> list[End]:
    return [(k, last) for k, chain in enumerate(layout.chains) if not chain.closed for last in (False, True)]


def _end_wall(courses: list[Course], end: End) -> Wall:
    return end[0], len(courses[end[0]]) - 1 if end[1] else 0


def _near(course: Course, point: Points, reach: float) -> Any:
    step = course.ends - course.begins
    squared = np.maximum((step**2).sum(axis=1), 1e-18)
    share = np.clip(((point - course.begins) * step).sum(axis=1) / squared, 0.0, 1.0)
    return np.flatnonzero(np.hypot(*(course.begins + step * share[:, None] - point).T) <= 1.5 * reach).tolist()


def _apart_if_collinear(courses: list[Course], wall: Wall, other: Wall, reach: float) -> float | None:
    """Return how far apart the lines of two walls are that lie one behind the other, else None."""
    (a, b), (c, d) = (_tips(courses, each) for each in (wall, other))
    unit = courses[wall[0]].unit(wall[1])
    if abs(unit[0] * (d - c)[1] - unit[1] * (d - c)[0]) > _PARALLEL * np.hypot(*(d - c)):
        return None
    spans = [sorted((float(unit @ p), float(unit @ q))) for p, q in ((a, b), (c, d))]
    overlap = min(spans[0][1], spans[1][1]) - max(spans[0][0], spans[1][0])
    shorter = min(span[1] - span[0] for span in spans)
    # Walls side by side are two walls.
    if overlap > min(reach, max(shorter, spans[0][1] - spans[0][0]) / 2):
        return None
    offset = ((c + d) - (a + b)) / 2
    apart = abs(float(unit[0] * offset[1] - unit[1] * offset[0]))
    return apart if apart <= reach else None


def _tips(courses: list[Course], wall: Wall) -> tuple[Points, Points]:
    course = courses[wall[0]]
    return course.vertices[wall[1]], course.vertices[(wall[1] + 1) % len(course.vertices)]


def _made_collinear(trial: dict[int, Course], walls: set[Wall], courses: list[Course]) -> bool:
    """Shift walls onto one line, the mean of theirs; tell whether all have the room for that."""
    order = sorted(walls)
    middles = np.array([np.add(*_tips(courses, wall)) / 2 for wall in order])
    longest = max(order, key=lambda wall: np.hypot(*np.subtract(*_tips(courses, wall))))
    unit = courses[longest[0]].unit(longest[1])
    normal = np.array([-unit[1], unit[0]])
    offsets = (middles - middles[0]) @ normal
    room = np.array([trial[chain].room[k] for chain, k in order])
    weights = np.array([np.hypot(*np.subtract(*_tips(courses, wall))) for wall in order])
    stay = room == 0.0
    target = offsets[stay].mean() if stay.any() else float((offsets * weights).sum() / weights.sum())
    if (np.abs(offsets - target) > room + SAME).any():
        return False
    point = middles[0] + normal * target
    for k, (chain, number) in enumerate(order):
        if stay[k]:
            continue
        if not trial[chain].shift(number, point):
            return False
        trial[chain].room[number] = max(float(room[k] - abs(offsets[k] - target)), SAME)
    return True


def at_corners(layout: Layout, courses: list[Course], reach: float) -> None:
    """Shift end walls that just miss the line on which they end, or its corner, so that they meet the corner.

    Corners of lines of the same block are the matter of `aligned`.
    """
    for end in _open_ends(layout):
        chain, host = end[0], layout.host(*end)
        if host is None or layout.chains[chain].block < 0:
            continue
        crossing = _crossing(layout, courses, end, host, reach)
        if crossing is None:
            _shift_to_corner(layout, courses, end, courses[host].vertices, reach, reach / 2)
        elif layout.chains[host].block != layout.chains[chain].block:
            corners = courses[host].vertices
            near = np.hypot(*(corners - crossing[1]).T) <= reach / 25
            _shift_to_corner(layout, courses, end, corners[near], reach, 0.0)


def _shift_to_corner(
    layout: Layout, courses: list[Course], end: End, corners: Points, reach: float, least_room: float
) -> None:
    chain, last = end
    course, wall = courses[chain], len(courses[chain]) - 1 if last else 0
    unit = course.unit(wall)
    node = layout.chains[chain].points[-1 if last else 0]
    away = (corners - course.vertices[wall]) @ np.array([-unit[1], unit[0]])
    # A wall that meets nothing is worse than one that leaves its room: the polygons are checked at last.
    room = max(float(course.room[wall]), least_room)
    usable = (np.abs(away) <= room) & (np.hypot(*(corners - node).T) <= 1.5 * reach)
    if usable.any():
        nearest = int(np.argmin(np.where(usable, np.abs(away), np.inf)))
        if course.shift(wall, corners[nearest]):
            course.room[wall] = max(room - abs(float(away[nearest])), 0.0)


def met(layout: Layout, courses: list[Course], reach: float) -> dict[End, tuple[int, int, Points]] | Failure:
    """Let the ends of open lines meet the lines they end on; the courses are changed.

    Returns:
        For each end the chain it meets, the wall and the place there; or the faces next to an end that meets nothing.
    """
    found: dict[End, tuple[int, int, Points]] = {}
    for end in sorted(_open_ends(layout), key=lambda e: -layout.chains[e[0]].length):
        host = layout.host(*end)
        place = None if host is None else _crossing(layout, courses, end, host, reach)
        if host is None or place is None:
            return Failure("end of a line", frozenset(layout.chains[end[0]].faces_at(end[1])))
        found[end] = host, place[0], courses[host].meet(*place)
    for (chain, last), (_, _, point) in found.items():
        courses[chain].vertices[-1 if last else 0] = point
    return found


def _crossing(layout: Layout, courses: list[Course], end: End, host: int, reach: float) -> tuple[int, Points] | None:
    """Return wall and place where the line of an end first meets its host near the node."""
    chain, last = end
    course, other = courses[chain], courses[host]
    node = layout.chains[chain].points[-1 if last else 0]
    if layout.chains[chain].block < 0:
        return _corner_at(other, node)
    tip, inner = (course.vertices[-1], course.vertices[-2]) if last else (course.vertices[0], course.vertices[1])
    unit = (tip - inner) / np.hypot(*(tip - inner))
    begins, step = other.begins, other.ends - other.begins
    lengths = np.hypot(*step.T)
    sine = unit[0] * step[:, 1] - unit[1] * step[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = inner - begins
        share = (unit[0] * gap[:, 1] - unit[1] * gap[:, 0]) / sine
        points = begins + step * share[:, None]
        along = (points - inner) @ unit
    before, after = np.full(len(other), SAME), np.full(len(other), SAME)
    if not other.closed and layout.chains[host].block >= 0:
        # Its own ends may still be moved.
        before[0], after[-1] = reach, reach
    good = (np.abs(sine) > _LEAST_SINE * lengths) & (share * lengths >= -before) & ((share - 1) * lengths <= after)
    good &= (along > SAME) & (np.hypot(*(points - node).T) <= 1.5 * reach)
    if host == chain:
        good[len(other) - 1 if last else 0] = False
    if not good.any():
        return None
    wall = int(np.argmin(np.where(good, along, np.inf)))
    return wall, points[wall]


def _corner_at(course: Course, place: Points) -> tuple[int, Points] | None:
    found = np.flatnonzero((course.begins == place).all(axis=1))
    return (int(found[0]), place) if len(found) else None
