"""Blocks: neighbours that are solved together because they share a main direction."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from building_segmenter.footprints.shared_walls.topology import Topology


def blocks_of(
    topology: Topology,
    faces: Collection[int],
    directions: NDArray[np.float64],
    sizes: NDArray[np.float64],
    tolerance: float,
    most_turn: float,
) -> list[tuple[frozenset[int], float]]:
    """Return sets of faces that touch and have about the same direction, the largest first.

    Args:
        topology: The coverage.
        faces: Faces to put into blocks.
        directions: Main direction of each face in degrees, NaN where it shows none.
        sizes: Half the greatest extent of each face in metres: turning it moves its ends by that times the sine.
        tolerance: Metres; turning into the direction of the block may cost half of it.
        most_turn: Degrees that a face may be turned; from 45 on, all that touch are one set.

    Returns:
        Faces and direction in degrees of each set.
    """
    affordable = np.degrees(np.arcsin(np.minimum(tolerance / 2 / sizes, 1.0)))
    most = np.minimum(affordable, most_turn) if most_turn < 45.0 else np.full(len(sizes), 45.0)
    group = {face: {face} for face in faces}
    for a, b in _by_likeness(topology, set(faces), directions):
        joined = group[a] | group[b]
        if group[a] is not group[b] and _agree(sorted(joined), directions, sizes, most):
            for face in joined:
                group[face] = joined
    found = {id(members): members for members in group.values()}.values()
    blocks = [(frozenset(members), _common(sorted(members), directions, sizes)) for members in found]
    return sorted(blocks, key=lambda block: (-sum(sizes[face] for face in block[0]), min(block[0])))


def connected(topology: Topology, faces: Collection[int]) -> list[frozenset[int]]:
    """Return the sets of faces that hang together by common lines."""
    number = {face: k for k, face in enumerate(sorted(faces))}
    links = [(number[a.left], number[a.right]) for a in topology.arcs if a.left in number and a.right in number]
    ends = np.array(links, int).reshape(-1, 2).T
    labels = connected_components(coo_array((np.ones(len(links)), ends), shape=(len(number),) * 2), directed=False)[1]
    return [frozenset(face for face, k in number.items() if labels[k] == label) for label in np.unique(labels)]


def _by_likeness(topology: Topology, faces: set[int], directions: NDArray[np.float64]) -> list[tuple[int, int]]:
    pairs = {(a, b) for there in _faces_at_nodes(topology, faces) for a in there for b in there if a < b}
    ranked = sorted((_turn(directions[a], directions[b]), a, b) for a, b in pairs)
    return [(a, b) for _, a, b in ranked]


def _faces_at_nodes(topology: Topology, faces: set[int]) -> list[set[int]]:
    at_nodes = [{topology.left(way) for way in ways} & faces for ways in topology.around.values()]
    # A house that fills the court of another has no node.
    return at_nodes + [{arc.left, arc.right} & faces for arc in topology.arcs if arc.start < 0]


def _turn(a: float, b: float) -> float:
    """Return the degrees between two directions modulo a right angle; 0 where one shows none."""
    return float(abs((a - b + 45.0) % 90.0 - 45.0)) if np.isfinite(a) and np.isfinite(b) else 0.0


def _agree(
    faces: list[int], directions: NDArray[np.float64], sizes: NDArray[np.float64], most: NDArray[np.float64]
) -> bool:
    common = _common(faces, directions, sizes)
    return all(_turn(directions[face], common) <= most[face] for face in faces)


def _common(faces: list[int], directions: NDArray[np.float64], sizes: NDArray[np.float64]) -> float:
    shown = [face for face in faces if np.isfinite(directions[face])]
    if not shown:
        return 0.0
    # Multiplied by four, directions at right angles are one.
    mean = (np.exp(1j * np.radians(4 * directions[shown])) * sizes[shown]).sum()
    return float(np.degrees(np.angle(mean)) / 4)
