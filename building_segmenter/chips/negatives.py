"""Choosing some of many chips without buildings, evenly over the ground."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray


def some_of(
    places: NDArray[np.int32], usable: Sequence[Callable[[], bool]], count: int, random: np.random.Generator
) -> NDArray[np.intp]:
    """Choose so many places, spread over the ground, of those that are usable.

    Places are put in order along a Z-curve, which keeps neighbours together; one is drawn from each of `count` equal
    pieces of it. Where a draw is not usable, the rest of its piece is tried, and what is still missing is drawn from
    all that was not tried.

    Args:
        places: Column and row of each place (n, 2), none negative.
        usable: Tells of each place whether it can be used; asked of few.
        count: How many to choose; fewer if fewer are usable.
        random: Draws.

    Returns:
        Indices, in order.
    """
    order = np.argsort(_z_curve(places), kind="stable")
    if count >= len(order):
        return np.array([index for index in np.sort(order) if usable[index]()], np.intp)
    chosen, left = [], []
    for piece in np.array_split(order, count) if count else []:
        drawn = [int(index) for index in random.permutation(piece)]
        found = next((i for i, index in enumerate(drawn) if usable[index]()), None)
        if found is not None:
            chosen.append(drawn[found])
            left += drawn[found + 1 :]
    for index in random.permutation(np.array(left, np.intp)):
        if len(chosen) >= count:
            break
        if usable[index]():
            chosen.append(int(index))
    return np.sort(np.array(chosen, np.intp))


def _z_curve(places: NDArray[np.int32]) -> NDArray[np.uint64]:
    return _spread(places[:, 0]) | (_spread(places[:, 1]) << np.uint64(1))


def _spread(values: NDArray[np.int32]) -> NDArray[np.uint64]:
    """Return numbers of up to 31 bits with a zero between each two of their bits."""
    bits = np.maximum(values, 0).astype(np.uint64)
    for shift, mask in ((16, 0x0000FFFF0000FFFF), (8, 0x00FF00FF00FF00FF), (4, 0x0F0F0F0F0F0F0F0F),
                        (2, 0x3333333333333333), (1, 0x5555555555555555)):  # fmt: skip
        bits = (bits | (bits << np.uint64(shift))) & np.uint64(mask)
    return bits
