"""A coverage of touching polygons as a graph: arcs between nodes, each arc once, and faces as rings of arcs."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

Piece = tuple[int, bool]
"""An arc, and whether it is passed from its start to its end."""

OUTSIDE = -1


@dataclass(frozen=True)
class Arc:
    """A line between two nodes, or a whole ring without nodes.

    Args:
        points: Array (n, 2).
        start: Node at the first point, or -1 for a ring without nodes.
        end: Node at the last point, or -1.
        left: Face on the left, or `OUTSIDE`.
        right: Face on the right, or `OUTSIDE`.
    """

    points: NDArray[np.float64]
    start: int
    end: int
    left: int
    right: int

    @cached_property
    def length(self) -> float:
        """Length in metres."""
        return float(np.hypot(*np.diff(self.points, axis=0).T).sum())


@dataclass(frozen=True)
class Topology:
    """Arcs, faces and nodes of a coverage.

    Args:
        arcs: All arcs.
        faces: For each polygon its rings, the outer one first, each a list of pieces with the face on the left.
        nodes: Place of each node.
        around: For each node the pieces that leave it, counter-clockwise.
    """

    arcs: list[Arc]
    faces: list[list[list[Piece]]]
    nodes: dict[int, NDArray[np.float64]]
    around: dict[int, list[Piece]]

    def begin(self, piece: Piece) -> int:
        """Return the node at which a piece begins."""
        return self.arcs[piece[0]].start if piece[1] else self.arcs[piece[0]].end

    def end(self, piece: Piece) -> int:
        """Return the node at which a piece ends."""
        return self.arcs[piece[0]].end if piece[1] else self.arcs[piece[0]].start

    def points(self, piece: Piece) -> NDArray[np.float64]:
        """Return the points of a piece in its direction."""
        points = self.arcs[piece[0]].points
        return points if piece[1] else points[::-1]

    def left(self, piece: Piece) -> int:
        """Return the face on the left of a piece."""
        return self.arcs[piece[0]].left if piece[1] else self.arcs[piece[0]].right

    def open_contacts(self) -> set[tuple[int, int]]:
        """Return the pairs of faces that meet in a point at the outside: parted, they would leave a crack."""
        pairs = set()
        for ways in self.around.values():
            faces = {self.left(way) for way in ways}
            if OUTSIDE in faces:
                pairs |= {(one, other) for one in faces for other in faces if OUTSIDE < one < other}
        return pairs

    def boundary(self, members: Collection[int]) -> list[list[Piece]]:
        """Return the rings around some faces, these on the left: outer rings and courtyards.

        Where four ways meet in a point, a ring goes on around the same outside, so that a courtyard that touches
        the outside in a point is a ring of its own.
        """
        own = frozenset(members)
        open_pieces = {
            (k, arc.left in own): None for k, arc in enumerate(self.arcs) if (arc.left in own) != (arc.right in own)
        }
        rings = []
        while open_pieces:
            piece = next(iter(open_pieces))
            ring = []
            while piece in open_pieces:
                del open_pieces[piece]
                ring.append(piece)
                if self.end(piece) >= 0:
                    piece = self._around_outside(piece, own)
            rings.append(ring)
        return rings

    def _around_outside(self, piece: Piece, own: frozenset[int]) -> Piece:
        ways = self.around[self.end(piece)]
        back = ways.index((piece[0], not piece[1]))
        for step in range(1, len(ways) + 1):
            way = ways[(back + step) % len(ways)]
            if self.left(way) in own and self.left((way[0], not way[1])) not in own:
                return way
        raise AssertionError("a boundary that comes to a node leaves it")


def topology_of(polygons: NDArray[np.object_]) -> Topology | None:
    """Return the graph of a valid coverage of polygons, or None where two of them lie on the same side of a line."""
    rings, owner = shapely.get_rings(shapely.orient_polygons(polygons), return_index=True)
    coordinates, ring_of = shapely.get_coordinates(rings, return_index=True)
    places, identity = np.unique(coordinates, axis=0, return_inverse=True)
    identity = identity.ravel()
    is_node = _degrees(identity, ring_of, len(places)) != 2
    arcs: list[Arc] = []
    found: dict[tuple[int, int], int] = {}
    faces: list[list[list[Piece]]] = [[] for _ in polygons]
    by_ring = np.split(identity, np.flatnonzero(np.diff(ring_of)) + 1)
    for points, face in zip(by_ring, owner, strict=True):
        pieces = [_piece(ids, int(face), arcs, found, places, is_node) for ids in _split(points[:-1], is_node)]
        if any(piece is None for piece in pieces):
            return None
        faces[face].append([piece for piece in pieces if piece is not None])
    nodes = {int(k): places[k] for k in np.flatnonzero(is_node)}
    return Topology(arcs, faces, nodes, _around(arcs))


def _degrees(identity: Any, ring_of: Any, count: int) -> Any:
    within = ring_of[1:] == ring_of[:-1]
    edges = np.sort(np.column_stack((identity[:-1], identity[1:]))[within], axis=1)
    return np.bincount(np.unique(edges, axis=0).ravel(), minlength=count)


def _split(ids: Any, is_node: Any) -> list[Any]:
    """Cut an open ring of points at its nodes; a ring without nodes begins at its lowest point."""
    cuts = np.flatnonzero(is_node[ids])
    first = cuts[0] if len(cuts) else int(np.argmin(ids))
    ids, cuts = np.roll(ids, -first), cuts - first
    closed = np.append(ids, ids[0])
    if len(cuts) == 0:
        return [closed]
    ends = np.append(cuts[1:], len(ids))
    return [closed[a : b + 1] for a, b in zip(cuts, ends, strict=True)]


def _piece(
    ids: Any, face: int, arcs: list[Arc], found: dict[tuple[int, int], int], places: Any, is_node: Any
) -> Piece | None:
    """Return a face's stretch of boundary as a piece of the arc that its neighbour brought, or of a new one."""
    seen = found.get((int(ids[-1]), int(ids[-2])))
    if seen is not None and arcs[seen].right == OUTSIDE and len(arcs[seen].points) == len(ids):
        arc = arcs[seen]
        arcs[seen] = Arc(arc.points, arc.start, arc.end, arc.left, face)
        return seen, False
    key = (int(ids[0]), int(ids[1]))
    if key in found or seen is not None:
        return None
    found[key] = len(arcs)
    ends = (int(ids[0]), int(ids[-1])) if is_node[ids[0]] else (-1, -1)
    arcs.append(Arc(places[ids], *ends, face, OUTSIDE))
    return len(arcs) - 1, True


def _around(arcs: list[Arc]) -> dict[int, list[Piece]]:
    leaving: dict[int, list[tuple[float, Piece]]] = {}
    for k, arc in enumerate(arcs):
        if arc.start < 0:
            continue
        for node, at, towards, forward in ((arc.start, 0, 1, True), (arc.end, -1, -2, False)):
            dx, dy = arc.points[towards] - arc.points[at]
            leaving.setdefault(node, []).append((math.atan2(dy, dx), (k, forward)))
    return {node: [piece for _, piece in sorted(ways)] for node, ways in leaving.items()}
