"""A solved line: its walls, which may be shifted sideways, and the places where other lines meet it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]

SAME = 1e-6
"""Metres within which two places of the linework are one."""

_PARALLEL = 0.05


@dataclass
class Course:
    """A solved line.

    Args:
        vertices: Array (n, 2); of a closed line the first is not repeated.
        closed: It is a ring.
        room: Metres (walls,) that each wall may be shifted sideways; 0 for walls that must stay.
        met: Places (wall, point) where other lines meet it.
    """

    vertices: Points
    closed: bool
    room: NDArray[np.float64]
    met: list[tuple[int, Points]] = field(default_factory=list)

    def __len__(self) -> int:
        """Return the number of walls."""
        return len(self.vertices) - (not self.closed)

    @property
    def begins(self) -> Points:
        """Where each wall begins."""
        return self.vertices[: len(self)]

    @property
    def ends(self) -> Points:
        """Where each wall ends."""
        return np.roll(self.vertices, -1, axis=0)[: len(self)]

    def unit(self, wall: int) -> Points:
        """Return the direction of a wall."""
        step = self.vertices[(wall + 1) % len(self.vertices)] - self.vertices[wall]
        unit: Points = step / np.hypot(*step)
        return unit

    def shift(self, wall: int, point: Points) -> bool:
        """Shift a wall so that its line goes through a point; tell whether its neighbours allow that."""
        n = len(self.vertices)
        unit, moved = self.unit(wall), self.vertices.copy()
        for corner, beyond in ((wall, wall - 1), ((wall + 1) % n, (wall + 2) % n)):
            if not self.closed and corner in (0, n - 1):
                moved[corner] = point + unit * (unit @ (self.vertices[corner] - point))
                continue
            along = self.vertices[corner] - self.vertices[beyond]
            sine = along[0] * unit[1] - along[1] * unit[0]
            if abs(sine) < _PARALLEL * np.hypot(*along):
                return False
            gap = point - self.vertices[beyond]
            moved[corner] = self.vertices[beyond] + along * ((gap[0] * unit[1] - gap[1] * unit[0]) / sine)
        old, self.vertices = self.vertices, moved
        touched = [wall, (wall - 1) % n, (wall + 1) % n]
        if all(self._keeps_direction(k, old) for k in touched if k < len(self)):
            return True
        self.vertices = old
        return False

    def _keeps_direction(self, wall: int, old: Points) -> bool:
        following = (wall + 1) % len(old)
        step = self.vertices[following] - self.vertices[wall]
        return bool(step @ (old[following] - old[wall]) > 0)

    def meet(self, wall: int, point: Points) -> Points:
        """Note that a line meets a wall; return the place: a corner or an earlier place if that is the same."""
        other: Points
        for other in (self.vertices[wall], self.vertices[(wall + 1) % len(self.vertices)]):
            if np.abs(other - point).max() <= SAME:
                self.met.append((wall, other))
                return other
        for _, other in self.met:
            if np.abs(other - point).max() <= SAME:
                point = other
                break
        self.met.append((wall, point))
        return point

    def whole(self) -> tuple[Points, dict[tuple[int, float, float], int]] | None:
        """Return all points, those where other lines meet it among them, and their numbers; None if one lies beyond."""
        points: list[Points] = []
        numbers: dict[tuple[int, float, float], int] = {}
        begins, ends = self.begins, self.ends
        for wall in range(len(self)):
            step = ends[wall] - begins[wall]
            length = float(np.hypot(*step))
            if length == 0.0:
                return None
            here = {tuple(point): float((point - begins[wall]) @ step) / length for at, point in self.met if at == wall}
            if any(not -SAME <= along <= length + SAME for along in here.values()):
                return None
            points.append(begins[wall])
            for place, _ in sorted(here.items(), key=lambda item: item[1]):
                last = wall == len(self) - 1 and self.closed
                if place == tuple(ends[wall]):
                    # The vertex that the next wall, or the first one again, brings.
                    numbers[wall, *place] = 0 if last else len(points)
                    continue
                if place != tuple(begins[wall]):
                    points.append(np.array(place))
                numbers[wall, *place] = len(points) - 1
        if not self.closed:
            points.append(self.vertices[-1])
        return np.array(points), numbers
