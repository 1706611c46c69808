"""From the segments of bands to closed rings, joined exactly at the lines between bands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from building_segmenter.footprints.contours.marching import (
    EXCESS,
    EXCESS_STEP,
    KEY,
    PIXELS,
    Excess,
    Floats,
    Indices,
    Segments,
    X,
    Y,
    band_segments,
    row_of,
)

Trace = Callable[[Iterable[Excess], int], Iterator[Segments]]


@dataclass(frozen=True)
class Rings:
    """Closed rings, by the row in which they end and then by that in which they begin.

    Args:
        points: Array (n, 2) of x, y in pixels from the raster's corner, all rings one after another; rings run with
            the inside on their left on the screen, and the first point is not repeated. No point is a duplicate of
            the one before or exactly on the line between its neighbours.
        starts: Array (m) of each ring's first row in `points`.
        excess: Array (m) of the sum of the excess of the pixels that the ring encloses; negative of it for holes.
        pixels: Array (m) of their number; zero or negative for holes. Nodata does not count.
    """

    points: Floats
    starts: Indices
    excess: Floats
    pixels: Floats

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def hole(self) -> NDArray[np.bool_]:
        """Array (m): whether the ring is that of a hole; a shell holds at least one pixel with data."""
        return self.pixels <= 0

    @property
    def lengths(self) -> Indices:
        """Array (m) of the number of points of each ring."""
        return np.diff(self.starts, append=len(self.points))

    def take(self, which: Indices) -> Rings:
        """Return the rings with these indices, in this order."""
        members, starts = _ragged(self.starts[which], self.lengths[which])
        return Rings(self.points[members], starts, self.excess[which], self.pixels[which])

    def joined(self, other: Rings) -> Rings:
        """Return these rings and then those of `other`."""
        return Rings(
            np.concatenate([self.points, other.points]),
            np.concatenate([self.starts, other.starts + len(self.points)]),
            np.concatenate([self.excess, other.excess]),
            np.concatenate([self.pixels, other.pixels]),
        )


@dataclass
class _Path:
    start: int
    end: int
    parts: list[Floats]


def contour_rings(bands: Iterable[Excess], shape: tuple[int, int], trace: Trace = band_segments) -> Iterator[Rings]:
    """Trace the outlines of a field and give each ring as soon as it is closed.

    What is given does not depend on how the field is cut into bands, and neither does its order; only the grouping
    does. Memory: a band and the open rings.

    Args:
        bands: Arrays (rows, width) of excess over the level that follow each other from the top: inside is
            `excess >= 0`, NaN is nodata.
        shape: Rows and columns of the whole field.
        trace: What finds the segments in bands; other tracers take other bands.

    Yields:
        The rings that end in each band, possibly none. A hole always comes before the shell around it.
    """
    opened: dict[int, _Path] = {}
    ending: dict[int, _Path] = {}
    for segments in trace(bands, shape[0]):
        order, starts, closed = _chains(segments.next_index)
        vertices = segments.vertices[order]
        ends = np.append(starts[1:], len(order))
        whole = np.flatnonzero(closed)
        members, _ = _ragged(starts[whole], (ends - starts)[whole])
        joined = []
        for chain in np.flatnonzero(~closed):
            part = vertices[starts[chain] : ends[chain]]
            path = _Path(int(part[0, KEY]), int(segments.next_key[order[ends[chain] - 1]]), [part])
            joined += _join(path, opened, ending)
        yield _rings([vertices[members], *joined], (ends - starts)[whole], shape[1])


def _chains(next_index: Indices) -> tuple[Indices, Indices, NDArray[np.bool_]]:
    """Follow segments: return their indices chain by chain, where each chain starts, and whether it is closed."""
    following = next_index.tolist()
    has_one_before = np.zeros(len(following), np.bool_)
    has_one_before[next_index[next_index >= 0]] = True
    loose = np.flatnonzero(~has_one_before)
    seen = bytearray(len(following))
    order: list[int] = []
    starts: list[int] = []
    for first in (*loose.tolist(), *range(len(following))):
        if seen[first]:
            continue
        starts.append(len(order))
        index = first
        while index >= 0 and not seen[index]:
            seen[index] = 1
            order.append(index)
            index = following[index]
    closed = np.arange(len(starts)) >= len(loose)
    return np.array(order, np.int64), np.array(starts, np.int64), closed


def _join(path: _Path, opened: dict[int, _Path], ending: dict[int, _Path]) -> list[Floats]:
    """Join a path to the open ones that it meets; return the ring if it is closed by that, else keep it open."""
    if path.start in ending:
        before = ending.pop(path.start)
        del opened[before.start]
        before.parts.extend(path.parts)
        path = _Path(before.start, path.end, before.parts)
    if path.start == path.end:
        ring = np.concatenate(path.parts)
        return [np.roll(ring, -int(np.argmin(ring[:, KEY])), axis=0)]
    if path.end in opened:
        after = opened.pop(path.end)
        del ending[after.end]
        path = _Path(path.start, after.end, path.parts + after.parts)
    opened[path.start] = path
    ending[path.end] = path
    return []


def _rings(parts: list[Floats], lengths_of_first: Indices, width: int) -> Rings:
    vertices = np.concatenate(parts)
    lengths = np.concatenate([lengths_of_first, [len(part) for part in parts[1:]]]).astype(np.int64)
    starts = np.cumsum(lengths) - lengths
    if len(starts) == 0:
        return Rings(vertices[:, X : Y + 1], starts, np.zeros(0), np.zeros(0))
    keys = vertices[:, KEY]
    order = np.lexsort((keys[starts], row_of(np.maximum.reduceat(keys, starts), width)))
    excess = np.add.reduceat(vertices[:, EXCESS], starts) * EXCESS_STEP
    pixels = np.add.reduceat(vertices[:, PIXELS], starts)
    rings = Rings(vertices[:, X : Y + 1], starts, excess, pixels).take(order)
    rings = _without(rings, _is_duplicate(rings))
    return _without(rings, _is_on_line(rings))


def _without(rings: Rings, drop: NDArray[np.bool_]) -> Rings:
    kept = np.add.reduceat(~drop, rings.starts, dtype=np.int64)
    return Rings(rings.points[~drop], np.cumsum(kept) - kept, rings.excess, rings.pixels)


def _is_duplicate(rings: Rings) -> NDArray[np.bool_]:
    before, _ = neighbours(rings)
    same: NDArray[np.bool_] = (rings.points == rings.points[before]).all(axis=1)
    return same


def _is_on_line(rings: Rings) -> NDArray[np.bool_]:
    before, after = neighbours(rings)
    come, go = rings.points - rings.points[before], rings.points[after] - rings.points
    on_line: NDArray[np.bool_] = come[:, 0] * go[:, 1] == come[:, 1] * go[:, 0]
    return on_line


def neighbours(rings: Rings) -> tuple[Indices, Indices]:
    """Return for each point the index of the point before and after it in its ring."""
    index = np.arange(len(rings.points))
    before, after = index - 1, index + 1
    last = rings.starts + rings.lengths - 1
    before[rings.starts], after[last] = last, rings.starts
    return before, after


def _ragged(starts: Indices, lengths: Indices) -> tuple[Indices, Indices]:
    """Return the indices of runs one after another, and where each run then starts."""
    new_starts = np.cumsum(lengths) - lengths
    members = np.arange(int(lengths.sum())) + np.repeat(starts - new_starts, lengths)
    return members, new_starts
