"""Outlines of classes that fill the ground together: each class where it is the most probable.

Where two classes meet, both have the same points, at which their probabilities, interpolated between pixel centres, are
equal. In a cell of pixel centres in which three or four classes meet, their outlines run to one point, the mean of the
crossings around it. With `marching.band_segments` for one class against all others, the classes' outlines would part
where three are close.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from building_segmenter.footprints.contours.marching import (
    LEAST_EXCESS,
    PAD,
    Excess,
    Floats,
    Indices,
    Segments,
    centre,
    crossings,
    heading,
    indices_of,
    keys_of,
    padded,
    row_sums,
)

NOWHERE = -1
"""Class of pixels without data."""


def class_segments(number: int) -> Callable[[Iterable[Excess], int], Iterator[Segments]]:
    """Return what traces one class as `marching.band_segments` traces what is inside.

    Args:
        number: Plane of the class.

    Returns:
        A function of bands and height. The bands are arrays (planes, rows, width) of probabilities, NaN for nodata;
        of planes that are equal the first has the pixel. What is summed up in the rings is the class' probability.
    """

    def segments(bands: Iterable[Excess], height: int) -> Iterator[Segments]:
        row = 0
        for planes in padded(bands):
            yield _Cells(planes, row, height).segments(number)
            row += planes.shape[1] - 1

    return segments


class _Cells:
    """The cells of one padded band, and the classes at their corners.

    Args:
        planes: (planes, rows, width), padded.
        first_row: Row of the first, counted from the padding.
        height: Rows of the whole field.
    """

    def __init__(self, planes: Excess, first_row: int, height: int) -> None:
        self._planes, self._first_row, self._height = planes, first_row, height
        self._width = planes.shape[2]
        self._flat = planes.reshape(len(planes), -1)
        known = ~np.isnan(self._flat).any(axis=0)
        self._class = np.where(known, np.argmax(np.nan_to_num(self._flat, nan=-1.0), axis=0), NOWHERE)

    def segments(self, number: int) -> Segments:
        """Return the segments of one class."""
        within, outside = crossings(self._class == number, self._width)
        ahead = heading(outside - within, self._width)
        stays = (within + ahead >= 0) & (within + ahead < self._class.size)
        order = np.argsort(keys_of(within[stays], outside[stays], self._width))
        within, outside, ahead = (values[stays][order] for values in (within, outside, ahead))
        base = 2 * self._first_row * self._width
        key = keys_of(within, outside, self._width) + base
        next_key = keys_of(*self._next(within, outside, ahead), self._width) + base
        x, y = self._places(within, outside)
        sums = row_sums(self._planes[number], within, outside, self._first_row, self._height)
        vertices = np.column_stack([key, x, y, *sums]).astype(np.float64, copy=False)
        return _with_meetings(
            Segments(vertices, next_key, indices_of(next_key, key)), *self._meetings(within, outside, ahead)
        )

    def _next(self, within: Indices, outside: Indices, ahead: Indices) -> tuple[Indices, Indices]:
        left, right = within + ahead, outside + ahead
        own = self._class[within]
        left_in, right_in = self._class[left] == own, self._class[right] == own
        turns_right = right_in.copy()
        saddle = np.flatnonzero(right_in & ~left_in)
        turns_right[saddle] = self._is_joined(within[saddle], right[saddle], outside[saddle], left[saddle])
        straight = left_in & ~right_in
        return (
            np.where(turns_right, right, np.where(straight, left, within)),
            np.where(turns_right, outside, np.where(straight, right, left)),
        )

    def _is_joined(self, one: Indices, other: Indices, first: Indices, second: Indices) -> NDArray[np.bool_]:
        """Tell at saddles whether the class of `one` and `other` holds the middle of the cell.

        Against one class by the sign of the bilinear saddle point of the difference, and on a tie if it has the lower
        number; against two it always does.
        """
        own, rival = self._class[one], self._class[first]
        inside = self._lead(one, own, rival) * self._lead(other, own, rival)
        outside = self._lead(first, rival, own) * self._lead(second, rival, own)
        wins = (inside > outside) | ((inside == outside) & (own < rival))
        return np.where(self._class[second] == rival, wins, True)

    def _lead(self, pixel: Indices, own: Indices, rival: Indices) -> Floats:
        """Return by how much one class is more probable than another where it is, at least a little; NaN at nodata."""
        lead = self._flat[own, pixel].astype(np.float64) - self._flat[rival, pixel]
        return np.where((own == NOWHERE) | (rival == NOWHERE), np.nan, np.maximum(lead, LEAST_EXCESS))

    def _places(self, one: Indices, other: Indices) -> tuple[Floats, Floats]:
        """Return where the outlines cross between neighbours: to the bit the same for the classes on both sides."""
        first, second = np.minimum(one, other), np.maximum(one, other)
        own, rival = self._class[first], self._class[second]
        before, behind = self._lead(first, own, rival), self._lead(second, rival, own)
        share = before / (before + behind)
        share[np.isnan(share)] = 0.5
        (x, y), (to_x, to_y) = self._centres(first), self._centres(second)
        return x + share * (to_x - x), y + share * (to_y - y)

    def _centres(self, pixel: Indices) -> tuple[Floats, Floats]:
        row, column = np.divmod(pixel, self._width)
        return centre(column, self._width - 2 * PAD), centre(row + self._first_row, self._height)

    def _meetings(self, within: Indices, outside: Indices, ahead: Indices) -> tuple[Indices, Floats, Floats]:
        """Return the segments in whose cell three or four classes meet in a point, and those points."""
        corners = np.sort(np.stack([within, outside, within + ahead, outside + ahead]), axis=0)
        top_left, top_right, low_left, low_right = corners
        around = [(top_left, top_right), (top_right, low_right), (low_left, low_right), (top_left, low_left)]
        changes = np.array([self._class[one] != self._class[other] for one, other in around])
        # Three changes: two of a class side by side; four: all differ, or a saddle, whose middle one class holds.
        saddle = (self._class[top_left] == self._class[low_right]) | (self._class[top_right] == self._class[low_left])
        count = changes.sum(axis=0)
        which = np.flatnonzero((count == 3) | ((count == 4) & ~saddle))
        x, y = np.zeros(len(which)), np.zeros(len(which))
        for (one, other), change in zip(around, changes[:, which], strict=True):
            at_x, at_y = self._places(one[which], other[which])
            x += np.where(change, at_x, 0.0)
            y += np.where(change, at_y, 0.0)
        return which, x / count[which], y / count[which]


def _with_meetings(segments: Segments, which: Indices, x: Floats, y: Floats) -> Segments:
    """Return segments of which some lead over a point within their cell."""
    count = len(segments.vertices)
    points: Any = np.zeros((len(which), segments.vertices.shape[1]))
    # Between the numbers of two pairs of neighbours, so that none is used twice and rows stay in order.
    points[:, 0], points[:, 1], points[:, 2] = segments.vertices[which, 0] + 0.5, x, y
    next_key = segments.next_key.astype(np.float64)
    next_index = np.concatenate([segments.next_index, segments.next_index[which]])
    next_index[which] = count + np.arange(len(which))
    return Segments(
        np.concatenate([segments.vertices, points]), np.concatenate([next_key, next_key[which]]), next_index
    )
