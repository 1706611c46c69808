"""From basins on pixels to polygons that share clean lines."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from building_segmenter.footprints.splitting.basins import Labels

Floats = NDArray[np.float64]
Geometries = NDArray[np.object_]

_STRAIGHT, _REACH, _SHORT = 1.5, 2.0, 4
"""Pixels by which a dividing line may leave the middle of the staircase between two basins, by which it is carried on
beyond its ends, and edges of pixels that tell a direction at least."""


def cut(polygon: shapely.Polygon, lines: Geometries, least: float) -> Geometries:
    """Cut a polygon along lines.

    Args:
        polygon: In any plane.
        lines: Lines (n,) that begin and end outside the polygon or at each other's ends; what of them does not part
            anything is left out.
        least: Area of the smallest piece; smaller ones, as crossing lines leave them, are joined to the neighbour
            with which they have the longest line in common.

    Returns:
        Valid polygons (n,) that make up the polygon without gaps and overlaps, from top to bottom. Its own vertices
        stay; neighbours have all vertices of their common line in common.
    """
    noded = shapely.union_all([polygon.boundary, *lines])
    faces = shapely.get_parts(shapely.polygonize([noded]))
    inside = shapely.contains(polygon, shapely.point_on_surface(faces))
    pieces = _without_slivers(list(faces[inside]), least)
    order = sorted(range(len(pieces)), key=lambda k: shapely.bounds(pieces[k])[[1, 0, 3, 2]].tolist())
    return np.array(pieces, object)[order]


def dividing_lines(labels: Labels, polygon: shapely.Polygon) -> Geometries:
    """Return the smoothed lines (n,) between basins, each a little longer than the region where it ends there.

    A basin that lies wholly in another is a part of its building, such as a tank on the roof: no line is around it.

    Args:
        labels: (height, width), basin of each pixel whose centre the polygon holds, 0 elsewhere and all along the edge
            of the array.
        polygon: The region, in pixels of `labels`, 0 at the corner of the first.
    """
    shapely.prepare(polygon)
    edges, pairs = _edges(labels)
    lines: list[Any] = []
    for pair in np.unique(pairs):
        merged = shapely.line_merge(shapely.multilinestrings(edges[pairs == pair]))
        open_ones = (line for line in shapely.get_parts(merged) if not line.is_closed)
        lines += [_smoothed(shapely.get_coordinates(line), labels, polygon) for line in open_ones]
    return np.array(lines, object)


def _edges(labels: Labels) -> tuple[Geometries, NDArray[np.int64]]:
    """Return the edges of pixels between two basins, and a number for each pair of basins."""
    beside = (labels[:, :-1] != labels[:, 1:]) & (labels[:, :-1] > 0) & (labels[:, 1:] > 0)
    below = (labels[:-1] != labels[1:]) & (labels[:-1] > 0) & (labels[1:] > 0)
    row, column = np.nonzero(beside)
    upright = np.stack([column + 1, row, column + 1, row + 1], axis=1)
    pairs = [_pair(labels[row, column], labels[row, column + 1])]
    row, column = np.nonzero(below)
    level = np.stack([column, row + 1, column + 1, row + 1], axis=1)
    pairs.append(_pair(labels[row, column], labels[row + 1, column]))
    ends = np.concatenate([upright, level]).astype(np.float64).reshape(-1, 2, 2)
    return shapely.linestrings(ends), np.concatenate(pairs)


def _pair(one: Labels, other: Labels) -> NDArray[np.int64]:
    pair: NDArray[np.int64] = np.minimum(one, other).astype(np.int64) << 32 | np.maximum(one, other)
    return pair


def _smoothed(corners: Floats, labels: Labels, polygon: shapely.Polygon) -> shapely.LineString:
    """Return a clean line for the staircase between two basins, from beyond the region or where basins meet."""
    middles = (corners[:-1] + corners[1:]) / 2
    ends = corners[[0, -1]]
    first, last = (_outside(end, labels) for end in ends)
    path = _straight(middles) if first is not None and last is not None else None
    if path is None:
        path = shapely.get_coordinates(shapely.simplify(shapely.linestrings(_joined(ends, middles)), _STRAIGHT))
    path = _begun(path, first, polygon)
    return shapely.linestrings(_begun(path[::-1], last, polygon)[::-1])


def _joined(ends: Floats, middles: Floats) -> Floats:
    return np.vstack([ends[:1], middles, ends[1:]])


def _straight(middles: Floats) -> Floats | None:
    """Return the ends of the straight line that fits points best; None where some lie too far from it."""
    centre = middles.mean(axis=0)
    direction = np.linalg.svd(middles - centre, full_matrices=False)[2][0]
    along = (middles - centre) @ direction
    across = (middles - centre) @ (direction[1], -direction[0])
    if len(middles) < _SHORT or np.abs(across).max() > _STRAIGHT:
        return None
    line: Floats = centre + along[[0, -1], None] * direction
    return line


def _begun(path: Floats, outside: Floats | None, polygon: shapely.Polygon) -> Floats:
    """Return a line that begins outside of the region, unless its first point is one where basins meet."""
    if outside is None:
        return path
    step = path[0] - path[1]
    ahead = path[0] + _REACH * step / np.hypot(*step)
    # Where the line runs along the outline, only a bend brings it out.
    leaves = not shapely.covers(polygon, shapely.linestrings([path[0], ahead]))
    return np.vstack([ahead if leaves else outside, path])


def _outside(corner: Floats, labels: Labels) -> Floats | None:
    """Return a place outside the region near an end of a line, or None where it is basins that meet there.

    The outline passes between pixels inside and outside, so a line from here to the other end crosses it.
    """
    x, y = corner.astype(int)
    rows, columns = np.nonzero(labels[y - 1 : y + 1, x - 1 : x + 1] == 0)
    if len(rows) == 0:
        return None
    place: Floats = corner + (np.array([columns.mean(), rows.mean()]) - 0.5)
    return place


def _without_slivers(pieces: list[Any], least: float) -> list[Any]:
    while len(pieces) > 1:
        smallest = min(range(len(pieces)), key=lambda k: pieces[k].area)
        if pieces[smallest].area >= least:
            break
        sliver = pieces.pop(smallest)
        common = [shapely.length(shapely.intersection(sliver.boundary, piece.boundary)) for piece in pieces]
        k = int(np.argmax(common))
        # Their common line is the same in both, so nothing is computed and nothing moves.
        pieces[k] = shapely.coverage_union(sliver, pieces[k])
    return pieces
