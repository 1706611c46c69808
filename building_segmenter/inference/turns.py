"""Prediction of a tile as seen from several sides: the mean is surer than a single look."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Turn = tuple[int, bool]
"""Quarters to turn by, after mirroring or without."""

TURNS: dict[str, tuple[Turn, ...]] = {
    "none": ((0, False),),
    # The image, mirrored left to right, top to bottom (which is by half a turn), and both.
    "flips": ((0, False), (0, True), (2, True), (2, False)),
    "turns": tuple((quarters, mirrored) for mirrored in (False, True) for quarters in range(4)),
}
"""How a tile is turned for each choice of AUGMENT."""

Floats = NDArray[np.float32]


def mean_over_turns(predict: Callable[[Floats], Floats], tile: Floats, turns: tuple[Turn, ...]) -> Floats:
    """Return the mean of what is predicted of a turned tile, turned back.

    The sum is always made in the order of the turns, so that its bytes depend on nothing else.

    Args:
        predict: Returns probabilities (side, side, channels) of a tile (side, side, bands).
        tile: A square tile.
        turns: Where there is but one, its prediction is returned as it is.
    """
    first, *others = turns
    total = turned_back(predict(turned(tile, first)), first)
    if not others:
        return total
    for turn in others:
        total = total + turned_back(predict(turned(tile, turn)), turn)
    return total * np.float32(1 / len(turns))


def turned(image: NDArray[Any], turn: Turn) -> NDArray[Any]:
    """Return an image (height, width, channels) mirrored, if it is to be, and then turned."""
    quarters, mirrored = turn
    return np.rot90(image[:, ::-1] if mirrored else image, quarters)


def turned_back(image: NDArray[Any], turn: Turn) -> NDArray[Any]:
    """Return an image as it was before `turned`."""
    quarters, mirrored = turn
    back = np.rot90(image, -quarters)
    return back[:, ::-1] if mirrored else back
