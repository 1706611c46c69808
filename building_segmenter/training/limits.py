"""A part of the training chips, spread over the ground."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from building_segmenter.training.datasets import TrainingData


def limited(data: TrainingData, limit: int, seed: int) -> TrainingData:
    """Return data with at most `limit` training chips; validation chips and statistics stay.

    Exports list chips row by row. So each dataset's list is halved again and again, and chips are taken from the
    halves in turn: any number of them is spread over the rows of the ground. Datasets contribute in proportion.
    The chips of a smaller limit are among those of a larger one.

    Args:
        data: All chips.
        limit: At least 1.
        seed: Which chip of a stretch comes first is chance.
    """
    order = _order_of_all([len(chips) for chips in data.train], seed)[:limit]
    chosen = set(order)
    train = tuple(
        tuple(chip for index, chip in enumerate(chips) if (number, index) in chosen)
        for number, chips in enumerate(data.train)
    )
    return dataclasses.replace(data, train=train)


def curve_sizes(chips: int, parts: int) -> list[int]:
    """Return the numbers of chips of a learning curve: each twice the one before, the last one all.

    Few chips give fewer parts than asked, since each has at least one chip more than the one before.
    """
    return sorted({-(-chips // 2**halvings) for halvings in range(parts)})


def _order_of_all(counts: Sequence[int], seed: int) -> list[tuple[int, int]]:
    ranked = []
    for number, count in enumerate(counts):
        order = _spread(0, count, np.random.default_rng([seed, number]))
        # The middle of the chip's share, so that the first chip of a small dataset does not precede all others.
        ranked += [((rank + 0.5) / count, number, index) for rank, index in enumerate(order)]
    return [(number, index) for _, number, index in sorted(ranked)]


def _spread(start: int, stop: int, rng: np.random.Generator) -> list[int]:
    if stop - start < 2:
        return list(range(start, stop))
    middle = (start + stop) // 2
    halves = [_spread(start, middle, rng), _spread(middle, stop, rng)]
    first, second = halves if rng.random() < 0.5 else reversed(halves)
    # Halves differ by one chip at most; the longer one's last chip comes last.
    turns = [chip for pair in zip(first, second, strict=False) for chip in pair]
    return turns + first[len(second) :] + second[len(first) :]
