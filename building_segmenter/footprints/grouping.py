"""Batches that hold whole groups of features that lie close together, and their results back in the layer's order.

Memory holds some tens of bytes for each feature of the layer, and of the features themselves those between the first
and the last member of a group: few where a file is ordered by place, as most are, and at worst the layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from building_segmenter.compiled import kernel
from building_segmenter.geo.strips import NOWHERE, Strips
from building_segmenter.geo.vectors import Batch, joined

Rows = NDArray[np.int64]

_MOST_CELLS = 1024
"""Cells of a feature from which it is no building; it is a group of its own, and joins no others."""


def close_groups(bounds: NDArray[np.float64], gap: float) -> NDArray[np.int64]:
    """Return a group (n,) for each feature: those whose boxes touch, directly or through others, are of one.

    Args:
        bounds: Boxes (n, 4) in one plane; NaN for features without a place, which are groups of their own.
        gap: Boxes so far apart still touch, in units of the plane.

    Returns:
        Groups counted from 0 in the order of their first members.
    """
    parents = np.arange(len(bounds))
    there = np.flatnonzero(np.isfinite(bounds).all(axis=1))
    if len(there):
        wide = bounds[there] + np.array([-gap / 2, -gap / 2, gap / 2, gap / 2])
        cells, members = _in_cells(wide)
        order = np.argsort(cells, kind="stable")
        _join(cells[order], members[order], wide, there, parents)
    roots = _roots(parents)
    _, first, groups = np.unique(roots, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[groups]


def strips_of_groups(strips: Strips, groups: NDArray[np.int64]) -> Strips:
    """Return strips in which all members of a group with a place have that of the first."""
    there = np.flatnonzero(strips != NOWHERE)
    _, first, which = np.unique(groups[there], return_index=True, return_inverse=True)
    shared = strips.copy()
    shared[there] = strips[there][first][which]
    return shared


def whole_groups(batches: Iterable[Batch], groups: NDArray[np.int64], size: int) -> Iterator[tuple[Rows, Batch]]:
    """Yield the features of a layer so that all of a group are in one batch.

    Args:
        batches: All features in order.
        groups: Group (n,) of each.
        size: Features that make a batch; groups of more are not cut.

    Yields:
        The places of the features in the layer, ascending, and the features.
    """
    missing = np.bincount(groups)
    waiting: list[tuple[Rows, Batch]] = []
    done = held = ready = 0
    for batch in batches:
        rows = np.arange(done, done + len(batch))
        done += len(batch)
        members, counts = np.unique(groups[rows], return_counts=True)
        missing[members] -= counts
        held += len(batch)
        ready += int(np.isin(groups[rows], members[missing[members] == 0]).sum())
        waiting.append((rows, batch))
        # Of much that waits only much is looked through again, so that disorder costs no more than a few looks.
        if ready >= max(size, held // 2):
            complete, waiting = _parted(waiting, lambda rows: missing[groups[rows]] == 0)
            yield from _cut(complete, groups, size)
            held, ready = sum(len(rows) for rows, _ in waiting), 0
    if waiting:
        yield from _cut(_merged(waiting), groups, size)


def in_order(results: Iterable[tuple[Rows, Batch]], size: int) -> Iterator[Batch]:
    """Yield features in the order of their places in the layer, which are 0, 1, 2 ... all together.

    Args:
        results: Places and features in any order.
        size: Features that make a batch, at most.
    """
    waiting: list[tuple[Rows, Batch]] = []
    held = following = 0
    for rows, batch in results:
        waiting.append((rows, batch))
        held += len(rows)
        if held < size:
            continue
        following, ready, waiting = _next(following, waiting)
        held = sum(len(rows) for rows, _ in waiting)
        yield from _sliced(ready, size)
    for _, batch in [_merged(waiting)] if waiting else []:
        yield from _sliced(batch, size)


def _next(following: int, waiting: list[tuple[Rows, Batch]]) -> tuple[int, Batch | None, list[tuple[Rows, Batch]]]:
    """Return what comes next without a hole, and what is left waiting."""
    rows, batch = _merged(waiting)
    whole = int((rows == following + np.arange(len(rows))).sum())
    ready = batch.take(np.arange(whole)) if whole else None
    left = [(rows[whole:], batch.take(np.arange(whole, len(rows))))] if whole < len(rows) else []
    return following + whole, ready, left


def _sliced(batch: Batch | None, size: int) -> Iterator[Batch]:
    count = 0 if batch is None else len(batch)
    for start in range(0, count, size):
        if batch is not None:
            yield batch if count <= size else batch.take(np.arange(start, min(start + size, count)))


def _merged(pieces: list[tuple[Rows, Batch]]) -> tuple[Rows, Batch]:
    rows = np.concatenate([rows for rows, _ in pieces])
    batch = joined([batch for _, batch in pieces])
    if (np.diff(rows) > 0).all():
        return rows, batch
    order = np.argsort(rows)
    return rows[order], batch.take(order)


def _parted(
    pieces: list[tuple[Rows, Batch]], is_wanted: Callable[[Rows], NDArray[np.bool_]]
) -> tuple[tuple[Rows, Batch], list[tuple[Rows, Batch]]]:
    rows, batch = _merged(pieces)
    wanted = is_wanted(rows)
    first, second = np.flatnonzero(wanted), np.flatnonzero(~wanted)
    rest = [(rows[second], batch.take(second))] if len(second) else []
    return (rows[first], batch.take(first)), rest


def _cut(piece: tuple[Rows, Batch], groups: NDArray[np.int64], size: int) -> Iterator[tuple[Rows, Batch]]:
    """Yield about `size` features at a time, without cutting a group."""
    rows, batch = piece
    by_group = np.argsort(groups[rows], kind="stable")
    ends = np.flatnonzero(np.diff(groups[rows][by_group], append=-1)) + 1
    start = 0
    while start < len(rows):
        enough = int(np.searchsorted(ends, start + size))
        stop = int(ends[min(enough, len(ends) - 1)])
        members = np.sort(by_group[start:stop])
        yield rows[members], batch.take(members)
        start = stop


def _in_cells(boxes: NDArray[np.float64]) -> tuple[Rows, Rows]:
    """Return, for each cell of a grid that a box reaches, the cell and the box."""
    side = 2 * float(np.median(boxes[:, 2:] - boxes[:, :2])) or 1.0
    origin = boxes[:, :2].min(axis=0)
    low = np.floor((boxes[:, :2] - origin) / side).astype(np.int64)
    count = np.floor((boxes[:, 2:] - origin) / side).astype(np.int64) - low + 1
    cells = count.prod(axis=1)
    kept = np.flatnonzero(cells <= _MOST_CELLS)
    members = np.repeat(kept, cells[kept])
    nth = np.arange(len(members)) - np.repeat(np.cumsum(cells[kept]) - cells[kept], cells[kept])
    column = low[members, 0] + nth % count[members, 0]
    row = low[members, 1] + nth // count[members, 0]
    return column * (int(row.max(initial=0)) + 1) + row, members


@kernel
def _join(cells: Any, members: Any, boxes: Any, places: Any, parents: Any) -> None:
    """Join all boxes that meet in a cell; `cells` ascends."""
    start = 0
    while start < len(cells):
        stop = start + 1
        while stop < len(cells) and cells[stop] == cells[start]:
            stop += 1
        for i in range(start, stop):
            a = members[i]
            for j in range(i + 1, stop):
                b = members[j]
                if (
                    boxes[a, 0] <= boxes[b, 2]
                    and boxes[b, 0] <= boxes[a, 2]
                    and boxes[a, 1] <= boxes[b, 3]
                    and boxes[b, 1] <= boxes[a, 3]
                ):
                    one, other = _root(parents, places[a]), _root(parents, places[b])
                    parents[max(one, other)] = min(one, other)
        start = stop


@kernel
def _root(parents: Any, k: int) -> Any:
    while parents[k] != k:
        parents[k] = parents[parents[k]]
        k = parents[k]
    return k


def _roots(parents: Rows) -> Rows:
    while True:
        above = parents[parents]
        if np.array_equal(above, parents):
            return parents
        parents = above
