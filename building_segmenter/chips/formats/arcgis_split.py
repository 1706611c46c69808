"""Validation chips of a dataset that names none: by blocks of ground, so that they overlap no training chip.

ArcGIS splits at random; where chips overlap, that shows the network in training what it is measured with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from building_segmenter.chips.formats.reading import ChipEntry

_SHARE = 0.15
_SEED = 1
_LONGEST_BLOCK_IN_CHIPS = 4
_BLOCKS_WANTED = 16


def split_by_place(entries: Sequence[ChipEntry], places: Sequence[Any]) -> tuple[list[ChipEntry], tuple[str, ...]]:
    """Give each chip a split, `none` where it lies over blocks of both.

    Args:
        entries: The chips.
        places: Of each, or None where its image is missing.

    Returns:
        The chips with their splits, and what there is to tell.
    """
    if len(entries) < 2:
        return list(entries), ()
    if any(place is None or not place.is_known for place in places):
        return _at_random(entries)
    bounds = np.array([_bounds(place) for place in places])
    splits = _splits(bounds)
    left_out = int((splits == "none").sum())
    told = f" {left_out} chips that overlap both are left out." if left_out else ""
    note = f"The dataset names no validation chips: blocks of ground with {_SHARE:.0%} of it were drawn.{told}"
    return [replace(entry, split=str(split)) for entry, split in zip(entries, splits, strict=True)], (note,)


def _at_random(entries: Sequence[ChipEntry]) -> tuple[list[ChipEntry], tuple[str, ...]]:
    drawn = set(np.random.default_rng(_SEED).permutation(len(entries))[: max(1, round(_SHARE * len(entries)))])
    note = (
        f"The dataset names no validation chips and does not say where its chips lie: {len(drawn)} of {len(entries)}"
        " were drawn at random. If chips overlap, the validation figures are too good."
    )
    return [replace(one, split="validation" if i in drawn else "train") for i, one in enumerate(entries)], (note,)


def _bounds(place: Any) -> tuple[float, float, float, float]:
    width, height = place.size
    corners = [place.transform @ corner for corner in ((0, 0), (width, 0), (0, height), (width, height))]
    xs, ys = zip(*corners, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def _splits(bounds: NDArray[np.float64]) -> NDArray[np.str_]:
    chip = np.median(bounds[:, 2:] - bounds[:, :2], axis=0)
    origin = bounds[:, :2].min(axis=0)
    spread = bounds[:, 2:].max(axis=0) - origin
    side = np.clip(spread / _BLOCKS_WANTED**0.5, chip, chip * _LONGEST_BLOCK_IN_CHIPS)
    # Chips that only touch do not overlap: a millionth of a chip is rounding.
    first = np.floor((bounds[:, :2] - origin) / side + 1e-6).astype(np.int64)
    last = np.maximum(np.ceil((bounds[:, 2:] - origin) / side - 1e-6).astype(np.int64) - 1, first)
    validation = _drawn_blocks(first, last)
    shares = np.array([_share(validation, low, high) for low, high in zip(first, last, strict=True)])
    return np.where(shares == 0, "train", np.where(shares == 1, "validation", "none"))


def _drawn_blocks(first: NDArray[np.int64], last: NDArray[np.int64]) -> set[tuple[int, int]]:
    """Return blocks, of those that hold a whole chip, until they hold the share of chips that is wanted."""
    whole = (first == last).all(axis=1)
    inside = first[whole] if whole.any() else first
    blocks, counts = np.unique(inside, axis=0, return_counts=True)
    order = np.random.default_rng(_SEED).permutation(len(blocks))
    enough = int(np.searchsorted(np.cumsum(counts[order]), _SHARE * counts.sum())) + 1
    most = max(1, len(blocks) - 1) if len(blocks) > 1 else 0
    return {(int(x), int(y)) for x, y in blocks[order[: min(enough, most)]]}


def _share(validation: set[tuple[int, int]], low: NDArray[np.int64], high: NDArray[np.int64]) -> float:
    covered = [(x, y) in validation for x in range(low[0], high[0] + 1) for y in range(low[1], high[1] + 1)]
    return sum(covered) / len(covered)
