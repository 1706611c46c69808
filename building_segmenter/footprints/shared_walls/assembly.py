"""Polygons from solved lines: every face runs along the same points as its neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely

from building_segmenter.footprints.shared_walls.chains import Layout
from building_segmenter.footprints.shared_walls.course import Course, Points
from building_segmenter.footprints.shared_walls.meeting import End
from building_segmenter.footprints.shared_walls.solving import Failure
from building_segmenter.footprints.shared_walls.topology import Piece

Meeting = dict[End, tuple[int, int, Points]]
Numbers = dict[tuple[int, float, float], int]


@dataclass(frozen=True)
class _Stretch:
    """A part of a chain that a face runs along: its first and last piece, and whether it runs like the chain."""

    chain: int
    first: int
    last: int
    forward: bool


class Assembly:
    """The solved lines of a layout, ready to be put together to faces.

    Args:
        layout: The chains.
        courses: Their courses, after they met.
        meetings: Where ends meet other lines.
    """

    def __init__(self, layout: Layout, courses: list[Course], meetings: Meeting) -> None:
        self._layout, self._meetings = layout, meetings
        self._lines: list[tuple[Points, Numbers] | None] = [course.whole() for course in courses]
        self._courses = courses

    def face(self, number: int) -> Any | None:
        """Return the polygon of a face, or None where its lines do not fit together."""
        rings = []
        for pieces in self._layout.topology.faces[number]:
            ring = self._ring(pieces)
            if ring is None or len(ring) < 3:
                return None
            rings.append(ring)
        return shapely.Polygon(rings[0], rings[1:])

    def _ring(self, pieces: list[Piece]) -> Points | None:
        stretches = self._stretches(pieces)
        points: list[Points] = []
        if (
            len(stretches) == 1
            and self._layout.chains[stretches[0].chain].closed
            and len(pieces) == self._size(stretches[0].chain)
        ):
            line = self._lines[stretches[0].chain]
            return None if line is None else line[0][:: 1 if stretches[0].forward else -1]
        for k, stretch in enumerate(stretches):
            before, after = stretches[k - 1], stretches[(k + 1) % len(stretches)]
            begin, between = self._junction(before, stretch)
            end, _ = self._junction(stretch, after, of_last=True)
            if begin is None or end is None or between is None:
                return None
            points += between
            points += self._along(stretch, begin, end)
        return _without_repeats(np.array(points))

    def _size(self, chain: int) -> int:
        return len(self._layout.chains[chain].pieces)

    def _stretches(self, pieces: list[Piece]) -> list[_Stretch]:
        """Join pieces of a ring that follow each other on one chain."""
        places = []
        for arc, forward in pieces:
            chain, number, alike = self._layout.place[arc]
            places.append((chain, number, alike == forward))
        breaks = [k for k in range(len(places)) if not self._follows(places[k - 1], places[k])]
        if not breaks:
            return [_Stretch(places[0][0], places[0][1], places[-1][1], places[0][2])]
        stretches = []
        for k, start in enumerate(breaks):
            end = breaks[(k + 1) % len(breaks)] - 1
            stretches.append(_Stretch(places[start][0], places[start][1], places[end][1], places[start][2]))
        return stretches

    def _follows(self, before: tuple[int, int, bool], after: tuple[int, int, bool]) -> bool:
        if before[0] != after[0] or before[2] != after[2]:
            return False
        following = before[1] + (1 if before[2] else -1)
        if self._layout.chains[before[0]].closed:
            following %= self._size(before[0])
        return following == after[1]

    def _terminal(self, stretch: _Stretch, at_end: bool) -> End | None:
        """Return the end of the chain at which the stretch begins or ends, None where the chain goes on."""
        if self._layout.chains[stretch.chain].closed:
            return None
        piece = stretch.last if at_end else stretch.first
        last = stretch.forward == at_end
        return (stretch.chain, last) if piece == (self._size(stretch.chain) - 1 if last else 0) else None

    def _junction(
        self, before: _Stretch, after: _Stretch, of_last: bool = False
    ) -> tuple[int | None, list[Points] | None]:
        """Return at which point of its line `after` begins (or `before` ends), and points of a third line between."""
        asked = before if of_last else after
        line = self._lines[asked.chain]
        if line is None:
            return None, None
        ending, beginning = self._terminal(before, True), self._terminal(after, False)
        own, other = (ending, beginning) if of_last else (beginning, ending)
        between: list[Points] | None = []
        if ending is not None and beginning is not None:
            between = self._between(ending, beginning)
        if own is not None:
            return (len(line[0]) - 1 if own[1] else 0), between
        if other is not None:
            host, wall, place = self._meetings[other]
            at_node = self._at_node(asked, of_last, line[1]) if host == asked.chain else None
            if at_node is not None and (place == line[0][at_node]).all():
                return at_node, between
            return (line[1].get((wall, *place)) if host == asked.chain else None), between
        return self._anchor(asked, of_last), between

    def _visit(self, stretch: _Stretch, at_end: bool) -> int:
        return (stretch.last if at_end else stretch.first) + (1 if stretch.forward == at_end else 0)

    def _at_node(self, stretch: _Stretch, at_end: bool, numbers: Numbers) -> int | None:
        """Return the point at which a stretch of a line that stays as it is ends: the line may pass there twice."""
        chain = self._layout.chains[stretch.chain]
        if chain.block >= 0:
            return None
        visit = self._visit(stretch, at_end) % (len(chain.pieces) if chain.closed else len(chain.visits))
        place = self._layout.topology.nodes[chain.visits[visit]]
        return numbers.get((chain.vertex(visit), float(place[0]), float(place[1])))

    def _anchor(self, stretch: _Stretch, at_end: bool) -> int | None:
        """Return the number of the point of a line at which it touches another one in passing."""
        chain, line = self._layout.chains[stretch.chain], self._lines[stretch.chain]
        if line is None:
            return None
        at_node = self._at_node(stretch, at_end, line[1])
        if at_node is not None:
            return at_node
        place = self._layout.topology.nodes[chain.visits[self._visit(stretch, at_end)]]
        for (_, x, y), number in line[1].items():
            if x == place[0] and y == place[1]:
                return number
        return None

    def _between(self, ending: End, beginning: End) -> list[Points] | None:
        """Return the points of the common host between two lines that end on it at one node."""
        (host, wall, place), (other, to_wall, to_place) = self._meetings[ending], self._meetings[beginning]
        line = self._lines[host]
        if host != other or line is None:
            return None
        if (place == to_place).all():
            return [place]
        begin, end = line[1].get((wall, *place)), line[1].get((to_wall, *to_place))
        if begin is None or end is None:
            return None
        count = len(line[0])
        step = 1 if begin <= end else -1
        if self._layout.chains[host].closed and abs(end - begin) > count / 2:
            step = -step
        numbers = [begin]
        while numbers[-1] != end:
            numbers.append((numbers[-1] + step) % count)
        return [line[0][k] for k in numbers]

    def _along(self, stretch: _Stretch, begin: int, end: int) -> list[Points]:
        line = self._lines[stretch.chain]
        if line is None:
            return []
        points, chain = line[0], self._layout.chains[stretch.chain]
        step = 1 if stretch.forward else -1
        if not chain.closed:
            # Where it runs back the polygon is invalid, which is found later.
            step = step if (end - begin) * step >= 0 else -step
            return [points[k] for k in range(begin, end + step, step)]
        numbers = [begin]
        if begin == end and self._share(stretch) > 0.5:
            numbers.append((begin + step) % len(points))
        while numbers[-1] != end:
            numbers.append((numbers[-1] + step) % len(points))
        return [points[k] for k in numbers]

    def _share(self, stretch: _Stretch) -> float:
        """Return how much of a closed chain's length a stretch covers."""
        chain = self._layout.chains[stretch.chain]
        count, k, covered = len(chain.pieces), stretch.first, 0.0
        while True:
            covered += self._layout.topology.arcs[chain.pieces[k][0]].length
            if k == stretch.last:
                return covered / chain.length
            k = (k + (1 if stretch.forward else -1)) % count


def _without_repeats(points: Points) -> Points:
    if len(points) == 0:
        return points
    changes = (points != np.roll(points, 1, axis=0)).any(axis=1)
    kept: Points = points[changes]
    return kept


def faces_of(layout: Layout, courses: list[Course], meetings: Meeting) -> list[Any] | Failure:
    """Return the polygons of all faces, or the faces that cannot be put together."""
    assembly = Assembly(layout, courses, meetings)
    faces = [assembly.face(number) for number in range(len(layout.topology.faces))]
    missing = frozenset(number for number, face in enumerate(faces) if face is None)
    return Failure("rings", missing) if missing else faces
