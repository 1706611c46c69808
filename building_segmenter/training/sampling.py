"""Which chips an epoch sees, and how often."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_EMPTY_SHARE = 0.2


Kinds = Sequence[NDArray[np.int64]]
"""For each dataset, the kind of each of its chips: the rarest thing that it shows, from 1 on, or 0 if it is empty."""


def kinds_of(shown: Sequence[NDArray[np.bool_]]) -> Kinds:
    """Tell the kind of every chip: of the things that it shows, the one that the fewest chips show.

    Args:
        shown: For each dataset (chips, things): what each chip shows, one thing (buildings) or several classes.
    """
    order = np.argsort(np.concatenate(shown).sum(axis=0), kind="stable")
    return [np.where(chips.any(axis=1), order[np.argmax(chips[:, order], axis=1)] + 1, 0) for chips in shown]


def draw_epoch(kinds: Kinds, draws: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Draw the chips of an epoch, balanced between datasets, between rare and common, built-up and empty ground.

    A dataset gets a share that grows with the square root of its size, so that a small site is heard beside a
    large one. Within it at most a fifth of the draws are empty chips, however many there are; chips of the other
    kinds share the rest by the square root of their numbers. Inside a group every chip is drawn once before any is
    drawn again.

    Args:
        kinds: From `kinds_of`; empty datasets are allowed.
        draws: Number of chips to draw.
        rng: Source of chance.

    Returns:
        `draws` pairs (dataset, chip) in random order.
    """
    last = max(int(chips.max(initial=0)) for chips in kinds)
    order = range(max(last, 1), -1, -1)
    groups = [(dataset, np.flatnonzero(chips == kind)) for dataset, chips in enumerate(kinds) for kind in order]
    counts = _whole_counts(np.concatenate([_shares(chips, order) for chips in kinds]), draws)
    picked = [
        (dataset, int(chip))
        for (dataset, chips), count in zip(groups, counts, strict=True)
        for chip in _cycled(chips, count, rng)
    ]
    return [picked[index] for index in rng.permutation(len(picked))]


def _shares(kinds: NDArray[np.int64], order: Sequence[int]) -> NDArray[np.float64]:
    """Return the weight of each kind of a dataset, in the order of the kinds, of which the last is empty."""
    roots = np.sqrt([float((kinds == kind).sum()) for kind in order])
    total = float(np.sqrt(len(kinds)))
    empty = 1.0 - float((kinds > 0).mean()) if len(kinds) else 0.0
    if 0.0 < empty < 1.0:
        empty = min(empty, _EMPTY_SHARE)
    filled = roots[:-1] / max(float(roots[:-1].sum()), 1.0)
    return total * np.append((1.0 - empty) * filled, empty)


def _whole_counts(weights: NDArray[np.float64], draws: int) -> NDArray[np.int64]:
    # Largest remainders: the counts add up to the draws exactly and are the same for every epoch.
    exact = weights / float(weights.sum()) * draws
    counts = np.floor(exact).astype(np.int64)
    missing = draws - int(counts.sum())
    counts[np.argsort(-(exact - counts), kind="stable")[:missing]] += 1
    return counts


def _cycled(chips: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    rounds = -(-count // len(chips)) if count else 0
    orders = [rng.permutation(chips) for _ in range(rounds)]
    return np.concatenate(orders)[:count] if orders else chips[:0]
