"""How the arcs of a coverage are solved: rings around blocks first, then lines between what is solved already."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from building_segmenter.footprints.shared_walls.topology import OUTSIDE, Piece, Topology


@dataclass(frozen=True)
class Chain:
    """Arcs that are solved as one line.

    Args:
        pieces: Arcs in order, with their directions.
        closed: The last piece ends where the first begins, and the line goes on there.
        block: The block that solves it, or -1 if it stays as it is.
        rim: It is the boundary of its block, with the block on the left.
        topology: The coverage.
    """

    pieces: list[Piece]
    closed: bool
    block: int
    rim: bool
    topology: Topology

    @cached_property
    def points(self) -> NDArray[np.float64]:
        """Points (n, 2); of a closed chain the first is repeated."""
        parts = [self.topology.points(piece) for piece in self.pieces]
        return np.concatenate([parts[0], *(part[1:] for part in parts[1:])])

    @cached_property
    def visits(self) -> list[int]:
        """Nodes where its pieces begin, and the one where the last ends."""
        return [self.topology.begin(piece) for piece in self.pieces] + [self.topology.end(self.pieces[-1])]

    def vertex(self, visit: int) -> int:
        """Return the number among its points of the node that it visits."""
        return sum(len(self.topology.arcs[arc].points) - 1 for arc, _ in self.pieces[:visit])

    @property
    def passed(self) -> range:
        """Numbers of the visits at which the chain goes on; none in a ring without nodes."""
        return range(1 if not self.closed or self.visits[0] < 0 else 0, len(self.pieces))

    @cached_property
    def length(self) -> float:
        """Length in metres."""
        return sum(self.topology.arcs[arc].length for arc, _ in self.pieces)

    def faces_at(self, last: bool) -> set[int]:
        """Return the faces on both sides of its first or last piece."""
        arc = self.topology.arcs[self.pieces[-1 if last else 0][0]]
        return {arc.left, arc.right} - {OUTSIDE}


@dataclass
class Layout:
    """The chains of a coverage, in the order of their blocks.

    Args:
        topology: The coverage.
        chains: All chains.
        place: For each arc its chain, its number among the pieces, and whether it runs like the chain.
        through: For each node the chains that go on there, with the number of the visit.
    """

    topology: Topology
    chains: list[Chain] = field(default_factory=list)
    place: dict[int, tuple[int, int, bool]] = field(default_factory=dict)
    through: dict[int, list[tuple[int, int]]] = field(default_factory=dict)

    def add(self, pieces: list[Piece], closed: bool, block: int, rim: bool) -> None:
        """Add a chain."""
        number = len(self.chains)
        chain = Chain(pieces, closed, block, rim, self.topology)
        self.chains.append(chain)
        for k, (arc, forward) in enumerate(pieces):
            self.place[arc] = number, k, forward
        for visit in chain.passed:
            self.through.setdefault(chain.visits[visit], []).append((number, visit))

    def host(self, number: int, last: bool) -> int | None:
        """Return the chain that an open chain meets at one of its ends."""
        chain = self.chains[number]
        there = [other for other, _ in self.through.get(chain.visits[-1 if last else 0], [])]
        # Blocks that touch in a point have a chain each that goes on there.
        there.sort(key=lambda other: (self.chains[other].block != chain.block, other == number, other))
        return there[0] if there else None


def layout_of(topology: Topology, blocks: list[frozenset[int]], kept: frozenset[int], chord: float) -> Layout:
    """Return the chains for blocks of faces that are solved one after the other.

    Args:
        topology: The coverage.
        blocks: Faces of each block.
        kept: Faces whose boundary stays as it is.
        chord: Metres from a node over which the direction of an arc is looked at.
    """
    layout = Layout(topology)
    still = [k for k, arc in enumerate(topology.arcs) if arc.left in kept or arc.right in kept]
    for pieces, closed in _strokes(topology, still, set(), chord):
        layout.add(pieces, closed, -1, False)
    for number, block in enumerate(blocks):
        for ring in topology.boundary(block):
            for pieces, closed in _unsolved_runs(ring, layout.place):
                layout.add(pieces, closed, number, True)
        inner = [
            k for k, a in enumerate(topology.arcs) if k not in layout.place and a.left in block and a.right in block
        ]
        taken = {node for arc in layout.place for node in (topology.arcs[arc].start, topology.arcs[arc].end)}
        for pieces, closed in _strokes(topology, inner, taken, chord):
            layout.add(pieces, closed, number, False)
    return layout


def _unsolved_runs(ring: list[Piece], solved: Iterable[int]) -> list[tuple[list[Piece], bool]]:
    """Return the stretches of a ring whose arcs belong to no chain yet."""
    solved = set(solved)
    is_solved = [arc in solved for arc, _ in ring]
    if not any(is_solved):
        return [(ring, True)]
    first = is_solved.index(True)
    runs: list[list[Piece]] = [[]]
    for k in range(len(ring)):
        place = (first + k) % len(ring)
        if is_solved[place]:
            runs.append([])
        else:
            runs[-1].append(ring[place])
    return [(run, False) for run in runs if run]


def _strokes(topology: Topology, arcs: list[int], taken: set[int], chord: float) -> list[tuple[list[Piece], bool]]:
    """Join arcs into lines that go straight on at nodes, except at those that other lines have taken."""
    partner = _partners(topology, set(arcs), taken, chord)
    strokes, done = [], set()
    ends = [(k, forward) for k in arcs for forward in (True, False) if (k, forward) not in partner]
    # What is left after the lines with ends is closed.
    for start in ends + [(k, True) for k in arcs]:
        if start[0] in done:
            continue
        pieces = [start]
        done.add(start[0])
        while (onward := partner.get((pieces[-1][0], not pieces[-1][1]))) is not None and onward != start:
            pieces.append(onward)
            done.add(onward[0])
        closed = topology.begin(start) < 0 or start in partner
        strokes.append((pieces, closed))
    return sorted(strokes, key=lambda stroke: -sum(topology.arcs[arc].length for arc, _ in stroke[0]))


def _partners(topology: Topology, arcs: set[int], taken: set[int], chord: float) -> dict[Piece, Piece]:
    """Pair the pieces that leave a node in most nearly opposite directions, one pair a node."""
    partner: dict[Piece, Piece] = {}
    for node, ways in topology.around.items():
        if node in taken:
            continue
        here = [way for way in ways if way[0] in arcs]
        units = [_direction(topology.points(way), chord) for way in here]
        # A line that comes back to its node goes on in itself only if there is no other.
        pairs = [
            (here[a][0] == here[b][0], float(units[a] @ units[b]), a, b)
            for a in range(len(here))
            for b in range(a + 1, len(here))
        ]
        if pairs:
            *_, a, b = min(pairs)
            partner[here[a]], partner[here[b]] = here[b], here[a]
    return partner


def _direction(points: NDArray[np.float64], chord: float) -> NDArray[np.float64]:
    """Return the unit from the first point towards the point about `chord` further on."""
    away = np.hypot(*(points - points[0]).T)
    beyond = np.flatnonzero(away >= chord)
    step = points[beyond[0] if len(beyond) else -1] - points[0]
    if not step.any():
        step = points[1] - points[0]
    unit: NDArray[np.float64] = step / np.hypot(*step)
    return unit
