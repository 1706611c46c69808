"""COCO's run lengths: a mask as the lengths of its runs of 0 and 1, down the columns, beginning with 0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def encoded(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Return the uncompressed run lengths of a mask (height, width), ready for JSON."""
    flat = np.concatenate([[False], mask.ravel(order="F"), [False]])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    ends = np.append(changes, mask.size) if len(changes) == 0 or changes[-1] != mask.size else changes
    return {"size": list(mask.shape), "counts": np.diff(ends, prepend=0).tolist()}


def decoded(runs: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Return the mask (height, width) of run lengths, compressed as pycocotools does or not.

    Raises:
        ValueError: They do not add up to the mask's size.
    """
    height, width = runs["size"]
    counts = runs["counts"]
    lengths = np.array(_decompressed(counts) if isinstance(counts, str) else counts, np.int64)
    if lengths.sum() != height * width or (lengths < 0).any():
        raise ValueError(f"run lengths add up to {lengths.sum()} pixels, not {height} x {width}")
    flat = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    return flat.reshape((height, width), order="F")


def _decompressed(text: str) -> list[int]:
    """Return run lengths from COCO's text: 5 bits a character, the sixth tells that more follow.

    From the fourth on, a number is the difference to the one before the last.
    """
    lengths: list[int] = []
    position = 0
    while position < len(text):
        number, shift, more = 0, 0, True
        while more:
            bits = ord(text[position]) - 48
            number |= (bits & 0x1F) << shift
            more = bool(bits & 0x20)
            position, shift = position + 1, shift + 5
        if bits & 0x10:
            number |= -1 << shift
        lengths.append(number + lengths[-2] if len(lengths) > 2 else number)
    return lengths
