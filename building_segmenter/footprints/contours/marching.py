"""Marching squares over one band of rows: where the outline crosses the grid of pixel centres, and in which order.

The field is the excess of a pixel over the level, in units of probability: inside is `excess >= 0`; NaN is nodata and
lies outside. Outlines run with the inside on their left as seen on the screen. Method: W. Lorensen and H. Cline,
Marching Cubes, 1987, in two dimensions, with the asymptotic decider of G. Nielson and B. Hamann, 1991, for saddles.

The field is padded by two pixels on each side: a copy of the edge pixels that lies on the edge of the raster, and
nodata outside of it. So an outline that meets the edge of the raster runs along it and has a square corner there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Excess = NDArray[np.float32]
Indices = NDArray[np.int64]

KEY, X, Y, EXCESS, PIXELS = range(5)
"""Columns of a vertex: its place in the order of rows and columns, its position in pixels (0 is the raster's edge, 0.5
the first pixel's centre), and what it adds to the sum of its ring's excess (in `EXCESS_STEP`s) and pixels."""

EXCESS_STEP = 2.0**-20
"""Excess is summed in whole steps, so that a sum is exact and does not depend on the order of its terms."""

PAD = 2

# A vertex keeps this far from pixel centres (in excess), so that outlines never touch there, also after rounding.
LEAST_EXCESS = 1e-4


@dataclass(frozen=True)
class Segments:
    """The directed segments of all outlines inside one band.

    Args:
        vertices: Array (n, 5) of the vertices where a segment begins, in the order of their keys; columns as above.
        next_key: Array (n) of the key of the vertex where each segment ends.
        next_index: Array (n) of that vertex' row in `vertices`; -1 where the outline leaves the band there.
    """

    vertices: Floats
    next_key: Indices
    next_index: Indices


def band_segments(bands: Iterable[Excess], height: int) -> Iterator[Segments]:
    """Trace the outlines of a field band by band.

    Args:
        bands: Arrays (rows, width) of excess that follow each other from the top; any number of rows each.
        height: Rows of the whole field.

    Yields:
        The segments of each band, the rows between it and the one before included, and once more at the end those
        between the last row and the raster's edge.
    """
    row = 0
    for excess in padded(bands):
        yield _segments(excess, row, height)
        row += len(excess) - 1


def row_of(key: Floats, width: int) -> Floats:
    """Return the row of cells, counted from the padding, in which vertices lie, from their keys."""
    return np.floor(key / (2 * (width + 2 * PAD)))


def padded(bands: Iterable[Excess]) -> Iterator[Excess]:
    """Give each band (..., rows, width) with the margin of two pixels and the last row of the one before."""
    above: Excess | None = None
    for band in bands:
        if band.shape[-2] == 0:
            continue
        rows, columns = band.shape[-2:]
        first = 2 if above is None else 1
        together = np.full((*band.shape[:-2], rows + first, columns + 2 * PAD), np.nan, band.dtype)
        sides = together[..., first:, 1:-1]
        sides[..., 1:-1], sides[..., 0], sides[..., -1] = band, band[..., 0], band[..., -1]
        together[..., first - 1, :] = together[..., first, :] if above is None else above[..., 0, :]
        yield together
        above = together[..., -1:, :]
    if above is not None:
        yield np.concatenate([above, above, np.full_like(above, np.nan)], axis=-2)


def _segments(excess: Excess, first_row: int, height: int) -> Segments:
    width = excess.shape[1]
    flat = excess.ravel()
    inside = flat >= 0
    within, outside = crossings(inside, width)
    ahead = heading(outside - within, width)
    stays = (within + ahead >= 0) & (within + ahead < flat.size)
    within, outside, ahead = within[stays], outside[stays], ahead[stays]
    order = np.argsort(keys_of(within, outside, width))
    within, outside, ahead = within[order], outside[order], ahead[order]
    base = 2 * first_row * width
    keys = keys_of(within, outside, width) + base
    next_key = keys_of(*_next(flat, inside, within, outside, ahead), width) + base
    x, y = _positions(excess, within, outside, first_row, height)
    vertices = np.column_stack([keys, x, y, *row_sums(excess, within, outside, first_row, height)])
    return Segments(vertices.astype(np.float64, copy=False), next_key, indices_of(next_key, keys))


def crossings(inside: NDArray[np.bool_], width: int) -> tuple[Indices, Indices]:
    """Return the flat places of the pixels, inside and outside, of each pair that an outline passes between."""
    # The first and last column are outside, so that flat neighbours across a line's end never differ.
    beside = np.flatnonzero(inside[:-1] != inside[1:])
    below = np.flatnonzero(inside[:-width] != inside[width:])
    first = np.concatenate([beside, below])
    second = np.concatenate([beside + 1, below + width])
    forward = inside[first]
    return np.where(forward, first, second), np.where(forward, second, first)


def heading(across: Indices, width: int) -> Indices:
    """Return the step along the outline from the step across it."""
    # A quarter turn to the left of the step from the pixel inside to the one outside.
    heading: Indices = np.where(np.abs(across) == 1, -across * width, np.sign(across))
    return heading


def keys_of(within: Indices, outside: Indices, width: int) -> Indices:
    """Return a number for each pair of neighbours, in the order of rows and columns."""
    keys: Indices = 2 * np.minimum(within, outside) + (np.abs(outside - within) == width)
    return keys


def _next(
    flat: Excess, inside: NDArray[np.bool_], within: Indices, outside: Indices, ahead: Indices
) -> tuple[Indices, Indices]:
    left, right = within + ahead, outside + ahead
    left_in, right_in = inside[left], inside[right]
    turns_right = right_in.copy()
    saddle = np.flatnonzero(right_in & ~left_in)
    corners = (_away(flat[index[saddle]]) for index in (within, right, outside, left))
    first_in, second_in, first_out, second_out = corners
    # The sign of the bilinear saddle point; with nodata at a corner (NaN) and on a tie the inside is cut.
    turns_right[saddle] = first_in * second_in > first_out * second_out
    straight = left_in & ~right_in
    next_within = np.where(turns_right, right, np.where(straight, left, within))
    next_outside = np.where(turns_right, outside, np.where(straight, right, left))
    return next_within, next_outside


def _away(excess: Excess) -> Floats:
    wide = excess.astype(np.float64)
    return np.where(wide >= 0, np.maximum(wide, LEAST_EXCESS), np.minimum(wide, -LEAST_EXCESS))


def _positions(excess: Excess, within: Indices, outside: Indices, first_row: int, height: int) -> tuple[Floats, Floats]:
    width = excess.shape[1]
    flat = excess.ravel()
    high, low = _away(flat[within]), _away(flat[outside])
    share = high / (high - low)
    share[np.isnan(share)] = 0.5
    row, column = np.divmod(within, width)
    next_row, next_column = np.divmod(outside, width)
    x, y = centre(column, width - 2 * PAD), centre(row + first_row, height)
    to_x, to_y = centre(next_column, width - 2 * PAD), centre(next_row + first_row, height)
    return x + share * (to_x - x), y + share * (to_y - y)


def centre(padded_index: Indices, length: int) -> Floats:
    """Return where the middle of a pixel of the padded field lies along one axis, in pixels from the raster's edge."""
    return np.clip(padded_index - (PAD - 0.5), 0.0, length)


def row_sums(excess: Excess, within: Indices, outside: Indices, first_row: int, height: int) -> tuple[Floats, Floats]:
    """Return each vertex' share of the excess and pixel count of its ring.

    In a row a ring holds the pixels between its crossings, so the sum over the ring is the sum of the row's running
    sums where it is left minus those where it is entered.
    """
    data = excess[:, PAD:-PAD]
    steps = data * np.float32(1 / EXCESS_STEP)
    np.rint(steps, out=steps)
    row, column = np.divmod(np.minimum(within, outside), excess.shape[1])
    counted = (row + first_row >= PAD) & (row + first_row < height + PAD) & (column >= PAD)
    sign = np.where(counted & (np.abs(outside - within) == 1), np.sign(outside - within), 0)
    column = np.clip(column - PAD, 0, data.shape[1] - 1)
    counts = (column + 1).astype(np.float64)
    if np.isnan(data.min(initial=0.0)):
        known = ~np.isnan(steps)
        counts, steps = _sums_to(known, row, column), np.where(known, steps, 0)
    return sign * _sums_to(steps, row, column), sign * counts


def _sums_to(values: NDArray[Any], row: Indices, column: Indices) -> Floats:
    """Return the sums of rows of whole numbers up to and with a column; faster than running sums of all pixels."""
    height, width = values.shape
    starts, stops = row * width, row * width + column + 1
    # Rows and vertices ascend by themselves: a stable sort joins the two in a third of the time of `np.unique`.
    places = np.sort(np.concatenate([np.arange(height) * width, stops[stops < values.size]]), kind="stable")
    places = places[np.diff(places, prepend=-1) > 0]
    between = np.add.reduceat(values.ravel(), places, dtype=np.float64)
    before = np.concatenate([[0.0], np.cumsum(between)])
    sums: Floats = before[np.searchsorted(places, stops)] - before[np.searchsorted(places, starts)]
    return sums


def indices_of(wanted: Indices, keys: Indices) -> Indices:
    """Return the places of numbers among ascending ones, -1 for those that are not among them."""
    if len(keys) == 0:
        return np.zeros(0, np.int64)
    found = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    indices: Indices = np.where(keys[found] == wanted, found, -1)
    return indices
