"""Which chips an epoch sees, and how often."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_EMPTY_SHARE = 0.2


def draw_epoch(built: Sequence[NDArray[np.bool_]], draws: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Draw the chips of an epoch, balanced between datasets and between built-up and empty ground.

    A dataset gets a share that grows with the square root of its size, so that a small site is heard beside a
    large one. Within it at most a fifth of the draws are chips without buildings, however many there are.
    Inside a group every chip is drawn once before any is drawn again.

    Args:
        built: For each dataset, which of its chips show a building; empty datasets are allowed.
        draws: Number of chips to draw.
        rng: Source of chance.

    Returns:
        `draws` pairs (dataset, chip) in random order.
    """
    groups = [(dataset, np.flatnonzero(chips == kind)) for dataset, chips in enumerate(built) for kind in (True, False)]
    counts = _whole_counts(_shares(built), draws)
    picked = [
        (dataset, int(chip))
        for (dataset, chips), count in zip(groups, counts, strict=True)
        for chip in _cycled(chips, count, rng)
    ]
    return [picked[index] for index in rng.permutation(len(picked))]


def _shares(built: Sequence[NDArray[np.bool_]]) -> NDArray[np.float64]:
    shares = []
    for chips in built:
        total = np.sqrt(len(chips))
        empty = 1.0 - chips.mean() if len(chips) else 0.0
        if 0.0 < empty < 1.0:
            empty = min(empty, _EMPTY_SHARE)
        shares += [total * (1.0 - empty), total * empty]
    weights = np.array(shares, np.float64)
    return weights / float(weights.sum())


def _whole_counts(shares: NDArray[np.float64], draws: int) -> NDArray[np.int64]:
    # Largest remainders: the counts add up to the draws exactly and are the same for every epoch.
    exact = shares * draws
    counts = np.floor(exact).astype(np.int64)
    missing = draws - int(counts.sum())
    counts[np.argsort(-(exact - counts), kind="stable")[:missing]] += 1
    return counts


def _cycled(chips: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    rounds = -(-count // len(chips)) if count else 0
    orders = [rng.permutation(chips) for _ in range(rounds)]
    return np.concatenate(orders)[:count] if orders else chips[:0]
